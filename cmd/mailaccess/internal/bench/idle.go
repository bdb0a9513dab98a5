package bench

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/proc"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// lineBuffer is enough to read what comes in IDLE, thousands of times.
const lineBuffer = 4 << 10

// idleWorkloads have connections that wait. The memory of connections is measured before all other
// work, whose leavings would hide it.
func idleWorkloads() (before, after []*workload) {
	return []*workload{{
			name: "idle-memory", about: "connections that wait in IDLE with INBOX selected", unit: "connection", needs: []string{"IDLE"},
			whole: idleMemory,
		}, {
			name: "idle-memory-tls", about: "connections that wait in IDLE with INBOX selected, over TLS", unit: "connection", needs: []string{"IDLE"},
			tls: true, whole: idleMemory,
		}}, []*workload{{
			name: "idle-wake", about: "APPEND, until the last of all who wait in IDLE has heard of it", unit: "append", needs: []string{"IDLE"}, writes: true,
			setup: func(r *run) error { return errors.Join(r.fresh("idle"), r.fill("idle", 1)) }, teardown: func(r *run) error { return r.remove("idle") },
			whole: idleWake,
		}}
}

// ports is how many connections go from one address to one other at most: systems have some
// 28,000 ports for that.
const ports = 20000

// source returns the address from which connection i goes to a server on the loopback interface; nil:
// the usual one.
func (r *run) source(i int) net.IP {
	host, _, err := net.SplitHostPort(r.IMAP)
	if to := net.ParseIP(host).To4(); err != nil || to == nil || !to.IsLoopback() || i < ports {
		return nil
	}
	return net.IPv4(127, 0, 0, byte(1+i/ports))
}

// listen opens connections that wait in IDLE.
func (r *run) listen(n int, mailbox string) (all []*wire.IMAP, err error) {
	if err := descriptorsFor(n); err != nil {
		return nil, err
	}
	all = make([]*wire.IMAP, n)
	errs := make([]error, min(n, parallel))
	var dialing sync.WaitGroup
	for w := range errs {
		dialing.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				c, err := r.loginWith(r, wire.DialOptions{Buffer: lineBuffer, From: r.source(i)})
				if err == nil {
					all[i] = c
					if _, err = c.Do("SELECT " + mailbox); err == nil {
						err = c.Idle()
					}
				}
				if err != nil {
					errs[w] = fmt.Errorf("connection %d: %w", i+1, err)
				}
			}
		})
	}
	dialing.Wait()
	return all, errors.Join(errs...)
}

// hangUp closes connections, those that there are.
func hangUp(all []*wire.IMAP) {
	for _, c := range all {
		if c != nil {
			c.Close() //nolint:errcheck // it was only listened to
		}
	}
}

// idleMemory is how much memory the server has with the connections, above what it had without: before
// all runs or before this one, whichever is less, since memory that a server keeps after work, or after other
// connections, would hide that of these.
func idleMemory(r *run) (s Sample, err error) {
	before, err := basePSS(r.Target)
	if err != nil {
		return s, err
	}
	before = min(before, r.base)
	m, err := r.begin()
	if err != nil {
		return s, err
	}
	all, err := r.listen(r.opts.Connections, "INBOX")
	defer hangUp(all)
	if err != nil {
		return s, err
	}
	m.finish(&s, newHistogram())
	for _, c := range all {
		s.Octets += c.In()
	}
	s.Operations, s.Units = int64(len(all)), int64(len(all))
	if err := m.settle(r, r.opts.Calm, &s); err != nil {
		return s, err
	}
	s.Connection = max(0, (s.PSS-before)/int64(len(all))) // none to be seen: not known
	for _, c := range all {                               // all are still there
		if _, err := c.Done(); err != nil {
			return s, fmt.Errorf("a connection that waited: %w", err)
		}
	}
	return s, nil
}

// idleWake measures how long news take.
func idleWake(r *run) (s Sample, err error) {
	all, err := r.listen(r.opts.Listeners, scratch+"idle")
	defer hangUp(all)
	if err != nil {
		return s, err
	}
	c, err := r.login(r)
	if err != nil {
		return s, err
	}
	heard := make(chan error, 2*len(all)) // of each that it has heard, and how it ended
	var listening sync.WaitGroup
	for _, l := range all {
		listening.Go(func() {
			for known := r.block(); ; known++ {
				for {
					a, err := l.Next()
					if err != nil {
						heard <- err
						return
					}
					if a.Exists > known {
						break
					}
				}
				heard <- nil
			}
		})
	}
	defer listening.Wait()
	defer hangUp(all)
	m, err := r.begin()
	if err != nil {
		return s, errors.Join(err, c.Close())
	}
	latencies, err := r.wakes(c, heard, &s)
	if err != nil {
		return s, errors.Join(err, c.Close())
	}
	m.finish(&s, latencies)
	return s, errors.Join(m.settle(r, r.opts.Calm, &s), c.Logout())
}

// maxWakes is how often all are woken in one run.
const maxWakes = 50

func (r *run) wakes(c *wire.IMAP, heard <-chan error, s *Sample) (*hdrhistogram.Histogram, error) {
	latencies := newHistogram()
	for until := time.Now().Add(r.opts.Duration); s.Operations == 0 || time.Now().Before(until) && s.Operations < maxWakes; {
		begin := time.Now()
		a, err := c.Append(scratch+"idle", r.sample(int(s.Operations)))
		if err != nil {
			return nil, err
		}
		for range r.opts.Listeners {
			select {
			case <-r.Done():
				return nil, r.Err()
			case err := <-heard:
				if err != nil {
					return nil, fmt.Errorf("a connection that waits: %w", err)
				}
			}
		}
		if err := latencies.RecordValue(int64(time.Since(begin))); err != nil {
			return nil, err
		}
		s.Operations, s.Units, s.Octets = s.Operations+1, s.Units+1, s.Octets+a.Octets
	}
	return latencies, nil
}

// basePSS is how much memory a target has before the first run; 0: unknown.
func basePSS(t *Target) (int64, error) {
	if t.PID == 0 {
		return 0, nil
	}
	u, err := proc.Tree(t.PID)
	if err != nil {
		return 0, fmt.Errorf("server: %w", err)
	}
	return u.PSS, nil
}
