package transfer_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// mortal is a destination before which its user dies: at an operation, which is done or not,
// and from then on none is.
type mortal struct {
	transfer.Destination
	die   context.CancelFunc
	left  int  // operations until then
	after bool // the last one is done
	ops   int
}

// step reports whether an operation is done, and whether its outcome is known.
func (m *mortal) step() (do, know bool) {
	m.ops++
	if m.left < 0 {
		return true, true // immortal
	}
	m.left--
	switch {
	case m.left > 0:
		return true, true
	case m.left == 0:
		m.die()
		return m.after, false
	}
	m.left = 0
	return false, false
}

// do does an operation if its user lives.
func do[T any](m *mortal, f func() (T, error)) (T, error) {
	var v T
	do, know := m.step()
	if !do {
		return v, context.Canceled
	}
	v, err := f()
	if !know {
		err = context.Canceled
	}
	return v, err
}

func try(m *mortal, f func() error) error {
	_, err := do(m, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (m *mortal) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	return do(m, func() ([]transfer.Mailbox, error) { return m.Destination.Mailboxes(ctx) })
}

func (m *mortal) Messages(ctx context.Context, box transfer.Mailbox) iter.Seq2[transfer.Message, error] {
	if do, know := m.step(); !do || !know {
		return func(yield func(transfer.Message, error) bool) { yield(transfer.Message{}, context.Canceled) }
	}
	return m.Destination.Messages(ctx, box)
}

func (m *mortal) Create(ctx context.Context, name string, use mailaccess.SpecialUse) (transfer.Mailbox, error) {
	return do(m, func() (transfer.Mailbox, error) { return m.Destination.Create(ctx, name, use) })
}

func (m *mortal) Append(ctx context.Context, box transfer.Mailbox, msg transfer.Message, b transfer.Body) error {
	return try(m, func() error { return m.Destination.Append(ctx, box, msg, b) })
}

func (m *mortal) Flush(ctx context.Context, box transfer.Mailbox) ([]transfer.Appended, error) {
	return do(m, func() ([]transfer.Appended, error) { return m.Destination.Flush(ctx, box) })
}

func (m *mortal) SetFlags(ctx context.Context, box transfer.Mailbox, keys []string, c mailaccess.FlagChange) error {
	return try(m, func() error { return m.Destination.SetFlags(ctx, box, keys, c) })
}

func (m *mortal) Remove(ctx context.Context, box transfer.Mailbox, keys []string) error {
	return try(m, func() error { return m.Destination.Remove(ctx, box, keys) })
}

func (m *mortal) Subscribe(ctx context.Context, name string) error {
	return try(m, func() error { return m.Destination.Subscribe(ctx, name) })
}

func (m *mortal) Finish(ctx context.Context) error {
	return try(m, func() error { return m.Destination.Finish(ctx) })
}

// Wherever a run is ended, the next one brings the rest, and nothing twice.
func TestKilledAnywhere(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			here := newStore(t)
			defer here.Close()
			now := time.Unix(1.7e9, 0).UTC()
			l := func(text string, flags mailaccess.SystemFlags) letter {
				return letter{"Subject: " + text + "\n\n" + text + "\n", mailaccess.Flags{System: flags, Keywords: words("work")}, now}
			}
			fill(t, here, mailaccess.Inbox, 0, l("one", 0), l("two", mailaccess.FlagSeen), l("two", mailaccess.FlagSeen), l("three", 0))
			fill(t, here, "Sent", 0, l("four", mailaccess.FlagFlagged))
			subscribe(t, here, "Sent")
			src := openAccount(t, here)
			defer src.Close()
			// A first life is long enough to see how many operations there are.
			all := life(t, k, src, filepath.Join(t.TempDir(), "whole"), -1, false)
			if all < 8 {
				t.Fatalf("%d operations", all)
			}
			for n := 1; n <= all; n++ {
				for _, after := range []bool{false, true} {
					dir := filepath.Join(t.TempDir(), fmt.Sprint(n, after))
					life(t, k, src, dir, n, after)
					settled(t, k, src, dir, fmt.Sprintf("ended at operation %d (done: %v)", n, after))
				}
			}
		})
	}
}

// life runs a transfer that is ended at an operation, and returns how many there were.
func life(t *testing.T, k kind, src transfer.Source, dir string, n int, after bool) int {
	t.Helper()
	must(t, "make the directory", os.MkdirAll(dir, 0o700))
	ctx, die := context.WithCancel(context.Background())
	defer die()
	p := k.open(t, filepath.Join(dir, "there"))
	m := &mortal{Destination: p, die: die, left: n, after: after}
	j, err := transfer.OpenJournal(filepath.Join(dir, "state"), "a", "b")
	must(t, "open the journal", err)
	r := transfer.Run(ctx, src, m, j, nil)
	must(t, "close the journal", j.Close())
	if died := r.Error != ""; died != (n > 0) {
		t.Fatalf("operation %d: %q", n, r.Error)
	}
	if k.abandon != nil {
		k.abandon(p) // nobody cleans up
	} else {
		must(t, "close the place", p.Close())
	}
	return m.ops
}

// settled demands that a run brings what is missing, and the next one nothing.
func settled(t *testing.T, k kind, src transfer.Source, dir, what string) {
	t.Helper()
	state := filepath.Join(dir, "state")
	for i := range 2 {
		p := k.open(t, filepath.Join(dir, "there"))
		if i == 0 {
			carry(t, src, p, state, nil)
		} else {
			nothing(t, src, p, state)
		}
		got := contents(t, p)
		must(t, "close the place", p.Close())
		want := contents(t, src)
		same(t, what, got, want)
	}
}
