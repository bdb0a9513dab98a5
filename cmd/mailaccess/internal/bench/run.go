package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/corpus"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/proc"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/strace"
)

// Options say what is measured and for how long.
type Options struct {
	Corpus    corpus.Corpus
	Workloads []string      // names; none: all
	Repeat    int           // runs of each workload; default 3
	Duration  time.Duration // of a run, which does one operation at least; default 2s
	// Calm is how long a server has to do nothing until all is taken to be done that it put off; default
	// 3.5s: our own writes flags into the names of files after two seconds, or three.
	Calm        time.Duration
	Connections int     // of idle-memory and idle-memory-tls; default 50
	Listeners   int     // of idle-wake; default 50
	Rate        float64 // commands in a second of mixed; default 200
	// Syscalls says that each workload is run once more, after those that are timed, to count the system
	// calls of the server: those whose processes are known (Target.PID). It takes strace.
	Syscalls bool
	// Progress, if not nil, is called when a run begins.
	Progress func(workload, target string, run, runs int)
}

// Measure runs each workload against each of the targets, which have the corpus in their INBOX, in
// turns: one run of each, then the next run of each, so that a drift of the machine hits all. What
// one server refuses, or answers wrongly, is in its result; the error is that nothing can be measured.
func Measure(ctx context.Context, targets []*Target, o Options) ([]*Report, error) {
	o.Repeat, o.Duration = cmp.Or(o.Repeat, 3), cmp.Or(o.Duration, 2*time.Second)
	o.Calm = cmp.Or(o.Calm, 3500*time.Millisecond)
	o.Connections, o.Listeners, o.Rate = cmp.Or(o.Connections, 50), cmp.Or(o.Listeners, 50), cmp.Or(o.Rate, 200)
	picked, err := pick(o.Workloads)
	if err != nil {
		return nil, err
	}
	e, appended := expect(o.Corpus), samples(o.Corpus)
	reports, base := make([]*Report, len(targets)), make([]int64, len(targets))
	for i, t := range targets {
		if base[i], err = basePSS(t); err != nil {
			return nil, err
		}
		reports[i] = &Report{Target: t.Name, Started: time.Now(), Messages: o.Corpus.Messages, Octets: e.octets, Seed: o.Corpus.Seed}
	}
	if o.Syscalls {
		if err := canTrace(ctx, targets); err != nil {
			return nil, err
		}
	}
	for _, w := range picked {
		for _, r := range reports {
			r.Results = append(r.Results, w.result())
		}
		begin := func(i, number int) *run {
			if o.Progress != nil {
				o.Progress(w.name, targets[i].Name, number+1, o.Repeat)
			}
			return &run{Context: ctx, Target: targets[i], opts: o, corpus: o.Corpus, expect: e, samples: appended, number: max(0, number), base: base[i]}
		}
		for number := -1; number < o.Repeat; number++ { // the first one warms up
			for i := range targets {
				result := reports[i].last()
				if result.NotOffered != "" || result.Error != "" {
					continue
				}
				r := begin(i, number)
				if number < 0 {
					r.opts.Duration = o.Duration / 4
				}
				s, err := r.once(w)
				var missing *notOffered
				switch {
				case ctx.Err() != nil:
					return reports, ctx.Err()
				case errors.As(err, &missing):
					result.NotOffered = missing.reason
				case err != nil:
					result.Error = err.Error()
				case number >= 0:
					result.Samples = append(result.Samples, s)
				}
			}
		}
		for i, t := range targets {
			if result := reports[i].last(); o.Syscalls && t.PID != 0 && len(result.Samples) > 0 {
				result.Syscalls = begin(i, o.Repeat).countSyscalls(w)
				if ctx.Err() != nil {
					return reports, ctx.Err()
				}
			}
		}
	}
	return reports, nil
}

func (w *workload) result() *Result {
	r := &Result{Workload: w.name, About: w.about, Unit: w.unit, Sessions: max(1, w.sessions), Loop: "closed"}
	if w.paced {
		r.Loop = "open"
	}
	return r
}

// once runs a workload once.
func (r *run) once(w *workload) (s Sample, err error) {
	defer func() { err = errors.Join(err, r.endTrace()) }()
	if w.tls {
		if r.Encrypted == nil {
			return s, &notOffered{"no address over TLS"}
		}
		r.Target = r.Encrypted
	}
	if err := r.offered(w); err != nil {
		return s, err
	}
	if w.setup != nil {
		if err := w.setup(r); err != nil {
			return s, fmt.Errorf("set up: %w", err)
		}
	}
	if w.whole != nil {
		s, err = w.whole(r)
	} else {
		s, err = r.sessions(w)
	}
	if w.teardown != nil {
		if e := w.teardown(r); e != nil {
			err = errors.Join(err, fmt.Errorf("tear down: %w", e))
		}
	}
	return s, err
}

// offered fails unless the server can do a workload.
func (r *run) offered(w *workload) error {
	switch {
	case w.pop3 && r.POP3 == "":
		return &notOffered{"no POP3"}
	case !w.pop3 && r.IMAP == "":
		return &notOffered{"no IMAP"}
	case len(w.needs) == 0:
		return nil
	}
	c, err := r.login(r)
	if err != nil {
		return err
	}
	for _, need := range w.needs {
		if !c.Has(need) {
			err = &notOffered{"no " + need}
			break
		}
	}
	return errors.Join(err, c.Logout())
}

// sessions does the operations of all sessions of a workload.
func (r *run) sessions(w *workload) (s Sample, err error) {
	var open []session
	end := func() error {
		var errs []error
		for _, o := range open {
			if o.end != nil {
				errs = append(errs, o.end())
			}
		}
		open = nil
		return errors.Join(errs...)
	}
	defer func() { err = errors.Join(err, end()) }()
	for k := range max(1, w.sessions) {
		o, err := w.open(r, k)
		if err != nil {
			return s, err
		}
		open = append(open, o)
	}
	m, err := r.begin()
	if err != nil {
		return s, err
	}
	latencies, err := r.loops(w, open, &s)
	if err != nil {
		return s, err
	}
	m.finish(&s, latencies)
	if !w.writes {
		return s, m.read(&s)
	}
	if err := end(); err != nil {
		return s, err
	}
	return s, m.settle(r, r.opts.Calm, &s)
}

// loops lets each session do operations until the time is over, and one at least.
func (r *run) loops(w *workload, open []session, s *Sample) (*hdrhistogram.Histogram, error) {
	type outcome struct {
		operations, units, octets int64
		latencies                 *hdrhistogram.Histogram
		err                       error
	}
	outcomes := make([]outcome, len(open))
	start := time.Now()
	until := start.Add(r.opts.Duration)
	var all sync.WaitGroup
	for k, session := range open {
		next := func(context.Context) (time.Time, error) { return time.Now(), r.Err() }
		if w.paced {
			next = r.pace(start, k, len(open))
		}
		all.Go(func() {
			o := &outcomes[k]
			o.latencies = newHistogram()
			for {
				var begin time.Time
				if begin, o.err = next(r); o.err != nil {
					return
				}
				if o.operations > 0 && (begin.After(until) || w.limit > 0 && o.operations >= int64(w.limit)) {
					return
				}
				d, err := session.do()
				if errors.Is(err, errEnough) {
					return
				}
				if o.err = err; err != nil {
					return
				}
				o.err = o.latencies.RecordValue(int64(time.Since(begin)))
				o.operations++
				o.units += int64(d.units)
				o.octets += d.octets
			}
		})
	}
	all.Wait()
	latencies := newHistogram()
	var errs []error
	for _, o := range outcomes {
		s.Operations += o.operations
		s.Units += o.units
		s.Octets += o.octets
		latencies.Merge(o.latencies)
		errs = append(errs, o.err)
	}
	return latencies, errors.Join(errs...)
}

// pace returns when the next operation of session k should begin, and waits until then. The times are
// set before and do not depend on how long operations take: one that should have begun already has
// waited. Between them are exponentially distributed pauses, as when many people act who know nothing
// of each other.
func (r *run) pace(start time.Time, k, sessions int) func(context.Context) (time.Time, error) {
	random := rand.New(rand.NewPCG(r.corpus.Seed+1, uint64(r.number)<<16|uint64(k)))
	mean := float64(sessions) / r.opts.Rate * float64(time.Second)
	return func(ctx context.Context) (time.Time, error) {
		start = start.Add(time.Duration(random.ExpFloat64() * mean))
		wait := time.NewTimer(time.Until(start))
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return start, ctx.Err()
		case <-wait.C:
			return start, nil
		}
	}
}

// newHistogram holds times up to an hour, to three digits.
func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Hour), 3) }

// A meter reads the clocks around a run.
type meter struct {
	run         *run
	pid         int
	begun       time.Time
	cpu, client time.Duration
}

func (r *run) begin() (*meter, error) {
	if r.trace {
		var err error
		if r.tracer, err = strace.Attach(r, r.PID); err != nil {
			return nil, err
		}
	}
	m := &meter{run: r, pid: r.PID}
	if m.pid != 0 {
		var err error
		if m.cpu, err = proc.CPU(m.pid); err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
	}
	m.client, m.begun = proc.Self(), time.Now()
	return m, nil
}

// finish takes the time, when the operations have ended.
func (m *meter) finish(s *Sample, latencies *hdrhistogram.Histogram) {
	s.Wall, s.Client = time.Since(m.begun), proc.Self()-m.client
	s.P50 = time.Duration(latencies.ValueAtQuantile(50))
	s.P99 = time.Duration(latencies.ValueAtQuantile(99))
	s.Max = time.Duration(latencies.Max())
}

// read reads what the server took.
func (m *meter) read(s *Sample) error {
	if m.pid == 0 {
		return nil
	}
	if err := m.run.endTrace(); err != nil {
		return err
	}
	u, err := proc.Tree(m.pid)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	s.CPU, s.PSS = u.CPU-m.cpu, u.PSS
	return nil
}

// What a server puts off counts: it is awaited until it has been calm for a while.
const (
	settleStep  = 100 * time.Millisecond
	settleLimit = 5 * time.Minute // 100,000 files are renamed in that time
)

// settle is read, once the server does nothing any more, or is awaited no longer.
func (m *meter) settle(ctx context.Context, calm time.Duration, s *Sample) (err error) {
	if m.pid == 0 {
		return nil
	}
	s.Unsettled, err = settle(ctx, calm, func() (time.Duration, error) { return proc.CPU(m.pid) })
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return m.read(s)
}

// settle waits until the processor time has hardly grown for a while, and says whether it went on to the end.
func settle(ctx context.Context, calm time.Duration, cpu func() (time.Duration, error)) (unsettled bool, err error) {
	last, err := cpu()
	if err != nil {
		return false, err
	}
	tick := time.NewTicker(settleStep)
	defer tick.Stop()
	start := time.Now()
	looked := start
	for still := time.Duration(0); still < calm; {
		if time.Since(start) >= settleLimit {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
		now, err := cpu()
		if err != nil {
			return false, err
		}
		// To look at a thousand processes takes longer than a step.
		took := time.Since(looked)
		if still += took; now-last > took/50 {
			still = 0
		}
		last, looked = now, looked.Add(took)
	}
	return false, nil
}
