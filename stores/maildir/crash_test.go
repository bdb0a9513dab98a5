package maildir

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

var (
	crashes   = flag.Int("maildir.crash", 3, "how often a process that serves a store is killed")
	crashSeed = flag.Uint64("maildir.seed", 0, "of the crashes; 0: any")
)

// crashEnv makes the test binary the process that is killed: the store's path and a seed.
const crashEnv = "MAILACCESS_TEST_CRASH"

func TestMain(m *testing.M) {
	if work := os.Getenv(crashEnv); work != "" {
		path, seed, _ := strings.Cut(work, "|")
		n, err := strconv.ParseUint(seed, 10, 64)
		if err == nil {
			err = serveUntilKilled(path, n)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const (
	crashWorkers = 6
	sharedBox    = "Shared" // everybody appends to it
	outsideBox   = "Outside"
)

// deed is a command of a worker, as it is told to the parent: before it is given, and after
// it returned.
type deed struct {
	Worker int
	Kind   string // "" in the answer
	Box    string
	To     string   `json:",omitempty"`
	Texts  []string `json:",omitempty"`
	Flags  uint8    `json:",omitempty"`
	On     bool     `json:",omitempty"`

	UIDs  []mailaccess.UID  `json:",omitempty"` // of an append to the shared mailbox
	State mailaccess.ModSeq `json:",omitempty"`
}

func crashAccount(worker int) string { return []string{ann, bob}[worker%2] }

func (d *deed) step() step {
	account, f := crashAccount(d.Worker), sys(mailaccess.SystemFlags(d.Flags))
	switch d.Kind {
	case "append":
		return appendMany(account, d.Box, f, d.Texts...)
	case "copy":
		return copyingTo(account, d.Box, d.To, d.Texts...)
	case "move":
		return movingTo(account, d.Box, d.To, d.Texts...)
	case "flags":
		if d.On {
			return flags(account, d.Box, f.Union(words("work")), mailaccess.Flags{}, d.Texts...)
		}
		return flags(account, d.Box, mailaccess.Flags{}, f.Union(words("work")), d.Texts...)
	case "expunge":
		return expunging(account, d.Box, d.Texts...)
	case "rename":
		return renaming1(account, d.Box, d.To)
	case "create":
		return create(account, d.Box)
	default:
		return deleting(account, d.Box)
	}
}

// serveUntilKilled works on the store from several goroutines and tells what it does.
func serveUntilKilled(path string, seed uint64) error {
	s, err := New(path, &Options{LogBytes: 64 << 10})
	if err != nil {
		return err
	}
	errs := make(chan error, crashWorkers+1)
	var mu sync.Mutex
	tell := func(d deed) {
		b, err := json.Marshal(d)
		mu.Lock()
		defer mu.Unlock()
		if _, werr := os.Stdout.Write(append(b, '\n')); err != nil || werr != nil {
			errs <- errors.Join(err, werr)
		}
	}
	for w := range crashWorkers {
		go func() {
			errs <- newCrashWorker(s, w, seed, tell).run(math.MaxInt)
		}()
	}
	go func() {
		rng := rand.New(rand.NewPCG(seed, 99))
		for {
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			s.upkeep(time.Now().Add(3 * time.Second)) // names follow at once
			if rng.IntN(4) == 0 {
				s.shortenLog(rng.IntN(2) == 0)
			}
		}
	}()
	return <-errs
}

// crashWorker has some mailboxes for itself, and one together with others.
type crashWorker struct {
	*trial
	n    int
	rng  *rand.Rand
	tell func(deed)
	name string
	made int
}

func newCrashWorker(s *Store, n int, seed uint64, tell func(deed)) *crashWorker {
	return &crashWorker{
		trial: &trial{store: s, handles: make(map[string]mailaccess.Account), announced: make(map[string]string), high: make(map[string]mailaccess.ModSeq)},
		n:     n, rng: rand.New(rand.NewPCG(seed, uint64(n))), tell: tell, name: fmt.Sprintf("w%dx%d", n, seed),
	}
}

// run does so many commands.
func (c *crashWorker) run(n int) error {
	account := crashAccount(c.n)
	h, err := c.account(account)
	if err != nil {
		return err
	}
	c.model = oracle{account: &oracleAccount{boxes: make(map[string][]oracleMessage), subs: make(map[string]bool)}}
	if err := c.learn(h, account); err != nil {
		return err
	}
	for range n {
		d := c.next(c.model[account])
		s := d.step()
		c.after = c.model.clone()
		s.effect(c.after)
		c.tell(d)
		if err := s.do(c.trial); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		c.model = c.after
		if err := c.learn(h, account); err != nil {
			return err
		}
		state, err := h.State(context.Background())
		if err != nil {
			return err
		}
		c.tell(deed{Worker: c.n, State: state.ModSeq})
	}
	return nil
}

// learn reads the UIDs of the worker's own mailboxes.
func (c *crashWorker) learn(h mailaccess.Account, account string) error {
	boxes := make(map[string][]oracleMessage)
	for m, err := range h.Mailboxes(context.Background()) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(m.Name, c.prefix()) {
			continue
		}
		if boxes[m.Name], err = c.observeBox(h, account, &m); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if c.made > 0 {
		want := oracle{account: &oracleAccount{boxes: owned(c.model[account], c.prefix())}}
		if d := want.differs(oracle{account: &oracleAccount{boxes: boxes}}); d != "" {
			return errors.New(d)
		}
	}
	c.model[account].boxes = boxes
	return nil
}

func (c *crashWorker) prefix() string { return workerPrefix(c.n) }

func workerPrefix(n int) string { return fmt.Sprintf("w%d", n) }

// owned are the mailboxes of a worker.
func owned(a *oracleAccount, prefix string) map[string][]oracleMessage {
	own := make(map[string][]oracleMessage)
	if a != nil {
		for name, messages := range a.boxes {
			if strings.HasPrefix(name, prefix) {
				own[name] = messages
			}
		}
	}
	return own
}

func (c *crashWorker) text() string {
	c.made++
	return fmt.Sprintf("%sn%d", c.name, c.made)
}

// next chooses what to do.
func (c *crashWorker) next(a *oracleAccount) deed {
	d := deed{Worker: c.n}
	boxes := slices.Sorted(maps.Keys(a.boxes))
	if len(boxes) < 2 || len(boxes) < 4 && c.rng.IntN(10) == 0 {
		d.Kind, d.Box = "create", c.prefix()+"/"+c.text()
		if len(boxes) == 0 {
			d.Box = c.prefix()
		}
		return d
	}
	d.Box = boxes[c.rng.IntN(len(boxes))]
	d.To = boxes[c.rng.IntN(len(boxes))]
	d.Flags = uint8(1 + c.rng.IntN(15))
	d.On = c.rng.IntN(2) == 0
	for _, m := range a.boxes[d.Box] {
		elsewhere := slices.ContainsFunc(a.boxes[d.To], func(o oracleMessage) bool { return o.text == m.text })
		if c.rng.IntN(2) == 0 && (d.To == d.Box || !elsewhere) {
			d.Texts = append(d.Texts, m.text)
		}
	}
	n := c.rng.IntN(20)
	switch {
	case n == 0 && d.Box != c.prefix():
		d.Kind, d.Texts = "delete", nil
	case n == 1:
		d.Kind, d.Texts, d.To = "rename", nil, c.prefix()+"/"+c.text()
		if d.Box == c.prefix() {
			d.Kind = "flags"
		}
	case len(d.Texts) == 0 || n < 7 && len(a.boxes[d.Box]) < 20:
		d.Kind, d.Texts = "append", []string{c.text()}
		for c.rng.IntN(3) == 0 {
			d.Texts = append(d.Texts, c.text())
		}
		if c.rng.IntN(4) == 0 {
			d.Box = sharedBox
		}
	case n < 10 || d.Box == d.To && n < 14:
		d.Kind = "flags"
	case d.Box == d.To:
		d.Kind = "expunge"
	case n < 14:
		d.Kind = "copy"
	default:
		d.Kind = "move"
	}
	return d
}

// A process that serves a store is killed at random moments. What it acknowledged is there
// at the next start; what it did not is there whole or not at all.
func TestCrashTorture(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("-maildir.seed %d", seed)
	p := newCrashParent(t, seed)
	for cycle := range *crashes {
		if err := p.cycle(cycle); err != nil {
			t.Fatalf("cycle %d: %v", cycle, err)
		}
	}
	t.Logf("%d commands were acknowledged", p.acknowledged)
}

// crashParent kills, and holds what it was told against what it finds.
type crashParent struct {
	*trial
	t            *testing.T
	path         string
	seed         uint64
	rng          *rand.Rand
	flying       [crashWorkers]*deed
	acknowledged int
	history      [crashWorkers][]string // what each told since the last start
}

func newCrashParent(t *testing.T, seed uint64) *crashParent {
	p := &crashParent{trial: newTrial(t, Options{}), t: t, path: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 0)), seed: seed}
	for _, account := range []string{ann, bob} {
		p.model[account] = &oracleAccount{boxes: map[string][]oracleMessage{mailaccess.Inbox: nil, sharedBox: nil, outsideBox: nil}, subs: make(map[string]bool)}
	}
	if err := p.prepare(); err != nil {
		t.Fatal(err)
	}
	return p
}

// prepare makes the mailboxes that everybody uses.
func (p *crashParent) prepare() error {
	if err := p.openReal(); err != nil {
		return err
	}
	for account := range p.model {
		for _, box := range []string{sharedBox, outsideBox} {
			s := create(account, box)
			if err := s.do(p.trial); err != nil {
				return err
			}
		}
	}
	return p.close()
}

func (p *crashParent) openReal() (err error) {
	p.handles = make(map[string]mailaccess.Account)
	p.store, err = New(p.path, nil)
	return err
}

func (p *crashParent) cycle(n int) error {
	out, outside, err := p.killed(uint64(n))
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var d deed
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			break // the last line may be cut short
		}
		p.history[d.Worker] = append(p.history[d.Worker], lines.Text())
		if err := p.told(&d); err != nil {
			return err
		}
	}
	for _, text := range outside {
		p.model[ann].add(outsideBox, text, mailaccess.Flags{})
	}
	if err := p.openReal(); err != nil {
		return err
	}
	return errors.Join(p.look(), p.close())
}

// killed starts a process, delivers some messages beside it, and kills it. It returns what
// the process told and what was delivered.
func (p *crashParent) killed(n uint64) (out []byte, outside []string, err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", crashEnv, p.path, p.seed+n))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	started := make(chan struct{}, 1)
	read := make(chan error, 1)
	go func() {
		var b [32 << 10]byte
		for {
			n, err := pipe.Read(b[:])
			if out = append(out, b[:n]...); n > 0 {
				select {
				case started <- struct{}{}:
				default:
				}
			}
			if err != nil {
				read <- err
				return
			}
		}
	}()
	if p.rng.IntN(5) > 0 {
		select {
		case <-started:
		case err := <-read: // it ended by itself
			read <- err
		}
	}
	kill := time.NewTimer(time.Duration(p.rng.IntN(300)) * time.Millisecond)
	defer kill.Stop()
	for i := range p.rng.IntN(4) {
		text := fmt.Sprintf("outside%dn%d", n, i)
		if _, err = Deliver(context.Background(), p.path, ann, outsideBox, strings.NewReader(oracleMail(text))); err != nil {
			break
		}
		outside = append(outside, text)
	}
	<-kill.C
	err = errors.Join(err, cmd.Process.Kill())
	if end := <-read; !errors.Is(end, io.EOF) {
		err = errors.Join(err, end)
	}
	cmd.Wait() // it was killed
	if stderr.Len() > 0 {
		err = errors.Join(err, errors.New(stderr.String()))
	}
	return out, outside, err
}

// told enters into the model what a worker told.
func (p *crashParent) told(d *deed) error {
	if d.Kind != "" {
		p.flying[d.Worker] = d
		return nil
	}
	p.acknowledged++
	s := p.flying[d.Worker].step()
	s.effect(p.model)
	p.flying[d.Worker] = nil
	p.high[crashAccount(d.Worker)+" state"] = max(p.high[crashAccount(d.Worker)+" state"], d.State)
	return nil
}

// look compares what there is with what was told.
func (p *crashParent) look() error {
	have, err := p.observe()
	if err != nil {
		return err
	}
	var errs []error
	for w, d := range p.flying {
		account := crashAccount(w)
		with := p.model.clone()
		if d != nil {
			s := d.step()
			s.effect(with)
		}
		var all []string
		for _, m := range []oracle{p.model, with} {
			want := oracle{account: {boxes: owned(m[account], workerPrefix(w))}}
			if diff := want.differs(oracle{account: {boxes: owned(have[account], workerPrefix(w))}}); diff != "" {
				all = append(all, diff)
			}
		}
		if len(all) == 2 {
			errs = append(errs, fmt.Errorf("worker %d, after\n%s\n%s", w, strings.Join(p.history[w], "\n"), strings.Join(all, "or\n")))
		}
	}
	for account := range p.model {
		errs = append(errs, p.lookShared(account, sharedBox, have), p.lookShared(account, outsideBox, have))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	clear(p.flying[:])
	clear(p.history[:])
	p.model = have
	return errors.Join(p.audit(), p.check())
}

// lookShared compares a mailbox in which the order is not known: everything that was
// acknowledged has to be there once, and else only what was under way, whole.
func (p *crashParent) lookShared(account, box string, have oracle) error {
	count := make(map[string]int)
	for _, m := range have[account].boxes[box] {
		count[m.text]++
	}
	for _, m := range p.model[account].boxes[box] {
		if count[m.text] != 1 {
			return fmt.Errorf("%s %s: %s is there %d times", account, box, m.text, count[m.text])
		}
		delete(count, m.text)
	}
	for w, d := range p.flying {
		if d == nil || d.Box != box || crashAccount(w) != account {
			continue
		}
		n := 0
		for _, text := range d.Texts {
			n += count[text]
			delete(count, text)
		}
		if n != 0 && n != len(d.Texts) {
			return fmt.Errorf("%s %s: %d of %v are there", account, box, n, d.Texts)
		}
	}
	if len(count) > 0 {
		return fmt.Errorf("%s %s: nobody knows of %v", account, box, count)
	}
	return nil
}
