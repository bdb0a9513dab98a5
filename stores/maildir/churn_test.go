package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
)

// churn is a store on which everybody is at work at the same time: clients, other programs
// in the directories, and the upkeep, with hardly any memory allowed.
type churn struct {
	*crashParent
	mu      sync.Mutex // of what the workers tell
	flagged map[string]bool
	outside []string
	work    sync.WaitGroup
	done    atomic.Bool
	errs    chan error
}

func newChurn(t *testing.T) *churn {
	t.Helper()
	before := openDescriptors(t)
	goroutines := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		goleak.VerifyNone(t, goroutines)
		if err := before.same(t); err != nil {
			t.Error(err)
		}
	})
	c := &churn{crashParent: newCrashParent(t, rand.Uint64()), flagged: make(map[string]bool), errs: make(chan error, 100)}
	var err error
	c.handles = make(map[string]mailaccess.Account)
	if c.store, err = New(c.path, &Options{Memory: 1, LogBytes: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *churn) tell(d deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told(&d) //nolint:errcheck // it never fails
}

// start has so many commands given by each worker, and others disturb them until done. With
// hurry, the store's upkeep is always at work; it must not be when the store is closed.
func (c *churn) start(commands int, hurry bool) (workers *sync.WaitGroup) {
	workers = new(sync.WaitGroup)
	for w := range crashWorkers {
		workers.Go(func() {
			worker := newCrashWorker(c.store, w, c.seed, c.tell)
			err := worker.run(commands)
			for _, h := range worker.handles {
				err = errors.Join(err, h.Close())
			}
			c.failed(err)
		})
	}
	others := []func(*rand.Rand) error{c.deliver, c.flag, c.read, c.hold, c.visit}
	if hurry {
		others = append(others, c.upkeep)
	}
	for _, other := range others {
		rng := rand.New(rand.NewPCG(c.seed, c.rng.Uint64()))
		c.work.Go(func() {
			for !c.done.Load() {
				if err := other(rng); err != nil {
					c.failed(err)
					return
				}
			}
		})
	}
	return workers
}

// failed keeps an error, unless it is that of a store that was closed.
func (c *churn) failed(err error) {
	if err == nil || c.store.closed.Load() && errors.Is(err, mailaccess.KindUnavailable) {
		return
	}
	select {
	case c.errs <- err:
	default:
	}
}

func (c *churn) end(t *testing.T) {
	c.done.Store(true)
	c.work.Wait()
	close(c.errs)
	for err := range c.errs {
		t.Error(err)
	}
}

// deliver is another program that delivers.
func (c *churn) deliver(*rand.Rand) error {
	text := fmt.Sprintf("outside%d", len(c.outside))
	_, err := Deliver(context.Background(), c.path, ann, outsideBox, strings.NewReader(oracleMail(text)))
	if err == nil {
		c.outside = append(c.outside, text)
	}
	return err
}

// flag is another program that flags a message which was delivered.
func (c *churn) flag(rng *rand.Rand) error {
	folder := filepath.Join(c.path, ann, "."+outsideBox)
	for _, sub := range []string{"new", "cur"} {
		all, err := os.ReadDir(filepath.Join(folder, sub))
		if err != nil {
			return err
		}
		if len(all) == 0 {
			continue
		}
		name := all[rng.IntN(len(all))].Name()
		text, err := os.ReadFile(filepath.Join(folder, sub, name))
		if err == nil {
			err = os.Rename(filepath.Join(folder, sub, name), filepath.Join(folder, "cur", baseOf(name)+":2,F"))
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // the store gave it another name
		}
		if err != nil {
			return err
		}
		c.flagged[textOf(string(text))] = true
	}
	return nil
}

// session opens an account for a while.
func (c *churn) session(rng *rand.Rand, do func(h mailaccess.Account, m mailaccess.Mailbox) error) error {
	ctx := context.Background()
	name := []string{ann, bob}[rng.IntN(2)]
	h, err := c.store.Open(ctx, name, mailaccess.Identity{User: name, Account: name})
	if err != nil {
		return err
	}
	var boxes []mailaccess.Mailbox
	for m, err := range h.Mailboxes(ctx) {
		if err != nil {
			return errors.Join(err, h.Close())
		}
		boxes = append(boxes, m)
	}
	err = do(h, boxes[rng.IntN(len(boxes))])
	if errors.Is(err, mailaccess.KindNotFound) || errors.Is(err, mailaccess.KindContentGone) {
		err = nil // a worker deleted it
	}
	return errors.Join(err, h.Close())
}

func (c *churn) read(rng *rand.Rand) error {
	return c.session(rng, func(h mailaccess.Account, m mailaccess.Mailbox) error {
		s, err := h.Snapshot(context.Background(), m.ID)
		if err != nil {
			return err
		}
		for msg, err := range h.Messages(context.Background(), m.ID, s.UIDs) {
			if err != nil {
				return err
			}
			text, _, err := readAllOf(h, msg.EmailID)
			if err == nil && strings.HasPrefix(text, "damaged") {
				err = errors.New(text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *churn) hold(rng *rand.Rand) error {
	return c.session(rng, func(h mailaccess.Account, m mailaccess.Mailbox) error {
		release, err := h.Capabilities().Hold.Hold(context.Background(), m.ID)
		if err == nil {
			release()
		}
		return err
	})
}

// visit opens an account that nobody else has, so that it is put away in between.
func (c *churn) visit(rng *rand.Rand) error {
	h, err := c.store.Open(context.Background(), "eve", mailaccess.Identity{User: "eve", Account: "eve"})
	if err != nil {
		return err
	}
	return h.Close()
}

func (c *churn) upkeep(rng *rand.Rand) error {
	c.store.upkeep(time.Now().Add(time.Duration(rng.IntN(600)) * time.Second))
	if rng.IntN(4) == 0 {
		c.store.shortenLog(rng.IntN(2) == 0)
	}
	return nil
}

// settle closes the store if it is not, and looks at everything twice.
func (c *churn) settle(t *testing.T) {
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	for _, text := range c.outside {
		c.model[ann].add(outsideBox, text, mailaccess.Flags{})
	}
	for range 2 {
		if err := c.openReal(); err != nil {
			t.Fatal(err)
		}
		if err := c.look(); err != nil {
			t.Error(err)
		}
		for _, m := range c.model[ann].boxes[outsideBox] {
			if c.flagged[m.text] && !m.flags.System.Has(mailaccess.FlagFlagged) {
				t.Errorf("%v: another program flagged it", m)
			}
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Everybody at once: nothing that was acknowledged is lost, nor what other programs did.
func TestChurn(t *testing.T) {
	c := newChurn(t)
	c.start(24, true).Wait()
	c.end(t)
	c.settle(t)
}

// The store is closed while everybody is at work: what was acknowledged is there, and
// nothing stays open.
func TestCloseWhileBusy(t *testing.T) {
	for range 2 {
		c := newChurn(t)
		workers := c.start(1_000_000, false)
		for enough := 20 + c.rng.IntN(40); ; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			n := c.acknowledged
			c.mu.Unlock()
			if n >= enough || len(c.errs) > 0 {
				break
			}
		}
		if err := c.store.Close(); err != nil {
			t.Error(err)
		}
		workers.Wait()
		c.end(t)
		c.settle(t)
	}
}
