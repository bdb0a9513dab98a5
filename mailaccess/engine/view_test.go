package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an engine over a fresh memory store with an account demo.
type world struct {
	t     *testing.T
	ctx   context.Context
	store mailaccess.Store
	mem   *memory.Store
	e     *engine.Engine
}

// newWorld makes one; wrap, when not nil, comes between the engine and the store.
func newWorld(t *testing.T, wrap func(mailaccess.Store) mailaccess.Store) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), mem: memory.New(nil)}
	w.store = w.mem
	if wrap != nil {
		w.store = wrap(w.mem)
	}
	e, err := engine.New(engine.Options{Store: w.store, Authenticator: auth.Static(map[string]string{"demo": "secret"})})
	if err != nil {
		t.Fatal(err)
	}
	w.e = e
	t.Cleanup(func() {
		w.check(e.Close())
		w.check(w.mem.Close())
	})
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// session logs in.
func (w *world) session() *engine.Session {
	w.t.Helper()
	s, err := w.e.Login(w.ctx, mailaccess.Login{Username: "demo", Password: "secret", Private: true})
	w.check(err)
	w.t.Cleanup(func() { w.check(s.Close()) })
	return s
}

// open opens INBOX.
func (w *world) open(s *engine.Session, o engine.ViewOptions) *engine.View {
	w.t.Helper()
	m, err := s.Lookup(w.ctx, "inbox")
	w.check(err)
	v, err := s.OpenView(w.ctx, m.ID, o)
	w.check(err)
	w.t.Cleanup(v.Close)
	return v
}

// deliver puts n messages into INBOX from outside.
func (w *world) deliver(n int) {
	w.t.Helper()
	for i := range n {
		_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, fmt.Appendf(nil, "Subject: %d\n\nx\n", i), mailaccess.Flags{}, time.Time{})
		w.check(err)
	}
}

// client is a sink that keeps what a client would know.
type client struct {
	numbers []mailaccess.UID // by message number - 1; 0 where only the number is known
	heard   []string
	fail    error
}

func (c *client) Gone(g engine.Gone) error {
	for n := range g.Numbers() {
		c.heard = append(c.heard, fmt.Sprint("gone ", n))
		c.numbers = slices.Delete(c.numbers, n-1, n)
	}
	return c.fail
}

func (c *client) Exists(n int, recent mailaccess.UIDSet) error {
	c.heard = append(c.heard, fmt.Sprint("exists ", n, " recent ", recent.Len()))
	for len(c.numbers) < n {
		c.numbers = append(c.numbers, 0)
	}
	return c.fail
}

func (c *client) Keywords(k mailaccess.Keywords) error {
	c.heard = append(c.heard, "keywords "+k.String())
	return c.fail
}

func (c *client) Flags(m *engine.Numbered) error {
	c.heard = append(c.heard, fmt.Sprint("flags ", m.Number, " ", m.Flags.System))
	return c.fail
}

// take returns what was heard since the last call.
func (c *client) take() []string {
	h := c.heard
	c.heard = nil
	return h
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("heard %q, want %q", got, want)
	}
}

func newClient(v *engine.View) *client { return &client{numbers: slices.Collect(v.UIDs().All())} }

// RFC 3501, section 7.4.1: removals wait while numbers must not change, and
// numbers go on meaning the same messages meanwhile.
func TestRemovalsWait(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(5)
	s := w.session()
	v := w.open(s, engine.ViewOptions{})
	c := newClient(v)
	other := w.open(w.session(), engine.ViewOptions{})
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(2, 4), 0))

	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	expect(t, c.take())
	if v.Len() != 5 || v.Number(5) != 5 {
		t.Fatalf("numbers changed: %d messages, UID 5 is number %d", v.Len(), v.Number(5))
	}
	w.deliver(1)
	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	expect(t, c.take(), "exists 6 recent 6")

	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), "gone 4", "gone 2")
	if got := v.UIDs().String(); got != "1,3,5:6" {
		t.Fatalf("view holds %s", got)
	}
}

// RFC 7162, section 3.2: while a removal is untold, the number that a client may
// rely on stays below it. A client that comes back with that number learns of the
// removal; with a higher one it would keep a ghost.
func TestNoGhost(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(3)
	s := w.session()
	v := w.open(s, engine.ViewOptions{})
	c := newClient(v)
	other := w.open(w.session(), engine.ViewOptions{})
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(2), 0))
	_, err := other.SetFlags(w.ctx, mailaccess.UIDSetOf(3), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
	w.check(err)

	before := v.Told()
	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	expect(t, c.take(), fmt.Sprint("flags 3 ", mailaccess.FlagSeen))
	if v.Told() != before {
		t.Fatalf("told rose from %d to %d over an untold removal", before, v.Told())
	}
	// More arrives and more goes: told still stays.
	w.deliver(1)
	w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(1), 0))
	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	if v.Told() != before {
		t.Fatalf("told rose from %d to %d over untold removals", before, v.Told())
	}
	// The client is cut off and comes back with what it was told.
	acct, err := w.store.Open(w.ctx, "demo", mailaccess.Identity{User: "demo", Account: "demo"})
	w.check(err)
	defer acct.Close()
	changes, err := acct.MailboxChanges(w.ctx, v.Status().ID, v.Told())
	w.check(err)
	var gone []mailaccess.UID
	for g, err := range changes.Vanished {
		w.check(err)
		gone = append(gone, g.UID)
	}
	if !slices.Equal(gone, []mailaccess.UID{1, 2}) {
		t.Fatalf("a resync from %d shows %v gone, want 1 and 2", v.Told(), gone)
	}

	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	if st := v.Status(); v.Told() != st.ModSeq {
		t.Fatalf("told is %d with nothing untold, the mailbox is at %d", v.Told(), st.ModSeq)
	}
}

// RFC 3501, section 6.4.6: a client that stored silently is not told its own
// change, but told when somebody else changed the message too.
func TestSilentStore(t *testing.T) {
	add := func(f mailaccess.SystemFlags) mailaccess.FlagChange {
		return mailaccess.FlagChange{Add: mailaccess.Flags{System: f}}
	}
	w := newWorld(t, nil)
	w.deliver(3)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	c := newClient(v)

	_, err := v.SetFlags(w.ctx, mailaccess.UIDSetOf(1, 2), add(mailaccess.FlagSeen), mailaccess.AnyModSeq)
	w.check(err)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take())

	_, err = other.SetFlags(w.ctx, mailaccess.UIDSetOf(2), add(mailaccess.FlagFlagged), mailaccess.AnyModSeq)
	w.check(err)
	res, err := v.SetFlags(w.ctx, mailaccess.UIDSetOf(1, 2), add(mailaccess.FlagAnswered), mailaccess.AnyModSeq)
	w.check(err)
	if !res.Conflict.IsEmpty() {
		t.Fatalf("an unconditional store has conflicts: %s", res.Conflict)
	}
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), fmt.Sprint("flags 2 ", mailaccess.FlagSeen|mailaccess.FlagFlagged|mailaccess.FlagAnswered))
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take())
}

// Two writers: a change that is conditional loses to the one before it, and says so
// (RFC 7162, section 3.1.3).
func TestTwoWriters(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(2)
	a, b := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	since := a.Told()
	seen := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
	_, err := b.SetFlags(w.ctx, mailaccess.UIDSetOf(1), seen, since)
	w.check(err)
	res, err := a.SetFlags(w.ctx, mailaccess.UIDSetOf(1, 2), mailaccess.FlagChange{Replace: true}, since)
	w.check(err)
	if got := res.Conflict.String(); got != "1" {
		t.Fatalf("conflicts %q, want 1", got)
	}
	for m, err := range a.Messages(w.ctx, mailaccess.UIDSetOf(1)) {
		w.check(err)
		if m.Flags.System != mailaccess.FlagSeen {
			t.Fatalf("the other writer's flags were lost: %v", m.Flags)
		}
	}
}

// The order watch, snapshot, changes: whatever comes after the snapshot wakes the
// listener, also when it came before anybody waited.
func TestRingBeforeWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		v := w.open(w.session(), engine.ViewOptions{})
		w.deliver(1)
		woken := make(chan struct{}, 2)
		v.AfterRing(func() { woken <- struct{}{} })
		<-woken
		c := newClient(v)
		w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
		expect(t, c.take(), "exists 1 recent 1")
		// Once woken, it has to be asked again.
		w.deliver(1)
		synctest.Wait()
		if len(woken) != 0 {
			t.Fatal("woken twice")
		}
		stop := v.AfterRing(func() { woken <- struct{}{} })
		<-woken
		if stop() {
			t.Fatal("stop took back what had happened")
		}
		stop = v.AfterRing(func() { woken <- struct{}{} })
		if !stop() {
			t.Fatal("stop came too late for a ring that never was")
		}
		w.deliver(1)
		synctest.Wait()
		if len(woken) != 0 {
			t.Fatal("woken after stop")
		}
	})
}

// A mailbox that is deleted, and made again under the same name, is not the one of
// the view.
func TestMailboxReplaced(t *testing.T) {
	w := newWorld(t, nil)
	s := w.session()
	m, err := s.Create(w.ctx, "Work", 0)
	w.check(err)
	v, err := s.OpenView(w.ctx, m.ID, engine.ViewOptions{})
	w.check(err)
	defer v.Close()
	w.check(s.Rename(w.ctx, "Work", "Old/Work"))
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	if got := v.Status().Name; got != "Old/Work" {
		t.Fatalf("after the rename the view is of %q", got)
	}
	w.check(s.Delete(w.ctx, "Old/Work"))
	_, err = s.Create(w.ctx, "Work", 0)
	w.check(err)
	if err := v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)); !errors.Is(err, engine.ErrViewInvalid) {
		t.Fatalf("Update of a view whose mailbox is gone: %v", err)
	}
}

// An update that fails in the middle leaves nothing out: the next one tells it.
func TestUpdateFailsInTheMiddle(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(2)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	_, err := other.SetFlags(w.ctx, mailaccess.UIDSetOf(1, 2), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
	w.check(err)
	broken := errors.New("client gone")
	c := newClient(v)
	c.fail = broken
	if err := v.Update(w.ctx, engine.UpdateOptions{}, c); !errors.Is(err, broken) {
		t.Fatalf("Update returned %v", err)
	}
	c = newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), fmt.Sprint("flags 1 ", mailaccess.FlagSeen), fmt.Sprint("flags 2 ", mailaccess.FlagSeen))
}

// RFC 1939, section 3: a frozen view never changes.
func TestFrozenView(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(3)
	v := w.open(w.session(), engine.ViewOptions{Frozen: true})
	other := w.open(w.session(), engine.ViewOptions{})
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(1), 0))
	w.deliver(1)
	c := newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take())
	if v.Len() != 3 || v.Number(3) != 3 {
		t.Fatalf("a frozen view changed: %s", v.UIDs())
	}
	n := 0
	for m, err := range v.Messages(w.ctx, v.UIDs()) {
		w.check(err)
		if n++; m.Number != n+1 {
			t.Fatalf("UID %d has number %d", m.UID, m.Number)
		}
	}
	if n != 2 {
		t.Fatalf("%d messages are left, want 2", n)
	}
}

// RFC 3501, section 2.3.2: a message is \Recent in one session, the first that is
// told of it; EXAMINE takes it from nobody.
func TestRecent(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprint("keeper ", keeps), func(t *testing.T) {
			wrap := func(s mailaccess.Store) mailaccess.Store { return s }
			if !keeps {
				wrap = without(func(c *mailaccess.Capabilities) { c.Recent = nil })
			}
			w := newWorld(t, wrap)
			reader := w.open(w.session(), engine.ViewOptions{ReadOnly: true})
			w.deliver(2)
			w.check(reader.Update(w.ctx, engine.UpdateOptions{}, newClient(reader)))
			if got := reader.Recent().Len(); got != 2 {
				t.Fatalf("read only: %d recent, want 2", got)
			}
			first, second := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
			if got := [2]int{first.Recent().Len(), second.Recent().Len()}; got != [2]int{2, 0} {
				t.Fatalf("recent in first and second session: %v, want [2 0]", got)
			}
			w.deliver(1)
			w.check(second.Update(w.ctx, engine.UpdateOptions{}, newClient(second)))
			w.check(first.Update(w.ctx, engine.UpdateOptions{}, newClient(first)))
			if got := [2]int{first.Recent().Len(), second.Recent().Len()}; got != [2]int{2, 1} {
				t.Fatalf("recent after another arrival: %v, want [2 1]", got)
			}
		})
	}
}
