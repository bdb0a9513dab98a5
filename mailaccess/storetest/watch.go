package storetest

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

func watchChecks() []check {
	return []check{
		{"Append", "Messages", checkRingAppend},
		{"Flags", "Messages Flags", checkRingFlags},
		{"Expunge", "Messages Expunge", checkRingExpunge},
		{"Copy", "Messages Copy Mailboxes", checkRingCopy},
		{"Move", "Messages Move Mailboxes", checkRingMove},
		{"Mailboxes", "Mailboxes", checkRingMailboxes},
		{"Subscriptions", "Subscriptions", checkRingSubscriptions},
		{"ManyWriters", "Append Flags Mailboxes", checkRingWriters},
		{"StopIsFinal", "Messages", checkRingStop},
		{"Again", "Messages", checkRingAgain},
	}
}

// bell is a listener. From inside each ring it asks the store how far the
// account is: the commit must be visible by then, and no lock held.
type bell struct {
	e    *env
	acct mailaccess.Account
	stop func()

	mu    sync.Mutex
	rings []rung
	more  chan struct{} // closed and replaced at each ring
}

// rung is a ring and the account's number when it rang.
type rung struct {
	mailaccess.Ring
	seen mailaccess.ModSeq
}

// watch begins to listen; the check is skipped when the store cannot ring.
func (e *env) watch() *bell {
	e.Helper()
	b := &bell{e: e, acct: e.openAgain(), more: make(chan struct{})}
	stop, err := e.store.Watch(e.ctx, b.ring)
	if errors.Is(err, mailaccess.ErrSkip) {
		e.Skip("needs Watch")
	}
	if err != nil {
		e.Fatalf("Watch: %v", err)
	}
	b.stop = sync.OnceFunc(stop)
	e.Cleanup(b.stop)
	return b
}

func (b *bell) ring(r mailaccess.Ring) {
	c, err := b.acct.Changes(b.e.ctx, mailaccess.State{})
	if err != nil {
		b.e.Errorf("Changes from inside a ring: %v", err)
	}
	if r.ModSeq > c.UpTo.ModSeq {
		b.e.Errorf("a ring announces %d, the account is at %d: it rang before the commit", r.ModSeq, c.UpTo.ModSeq)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rings = append(b.rings, rung{r, c.UpTo.ModSeq})
	close(b.more)
	b.more = make(chan struct{})
}

// expect waits for a ring that tells of change number n in box (empty: of the
// account), and rang when that change could be seen.
func (b *bell) expect(what string, box mailaccess.MailboxID, n mailaccess.ModSeq) {
	b.e.Helper()
	for {
		b.mu.Lock()
		for _, r := range b.rings {
			about := r.Account == "" || r.Account == b.e.h.Account && r.Mailbox == box
			if about && r.seen >= n && (r.ModSeq == 0 || r.ModSeq >= n) {
				b.mu.Unlock()
				return
			}
		}
		more, rings := b.more, len(b.rings)
		b.mu.Unlock()
		if !waitFor(more, b.e.h.Patience) {
			b.e.Fatalf("%s: change %d of %q did not ring; %d rings came", what, n, box, rings)
		}
	}
}

// after runs f, which makes one change in the mailboxes, and waits for the rings.
func (b *bell) after(what string, f func(), boxes ...mailaccess.MailboxID) {
	b.e.Helper()
	b.e.within(what+" with a ring that calls the store", f)
	for _, box := range boxes {
		n := b.e.state().ModSeq
		if box != "" {
			n = b.e.status(box).ModSeq
		}
		b.expect(what, box, n)
	}
}

func checkRingAppend(e *env) {
	b := e.watch()
	box := e.inbox().ID
	for range 5 { // the first at once: the watch is in force
		b.after("Append", func() { e.fill(box, 1) }, box)
	}
}

func checkRingFlags(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	all := uidsOf(e.fill(box, 3))
	b := e.watch()
	for range 3 {
		b.after("SetFlags", func() { e.setFlags(box, all, add(f)) }, box)
		b.after("SetFlags", func() { e.setFlags(box, all, remove(f)) }, box)
	}
}

func checkRingExpunge(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 3)
	b := e.watch()
	for _, m := range ms {
		b.after("Expunge", func() { e.expunge(box, m.UID) }, box)
	}
}

func checkRingCopy(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.fill(src, 3)
	b := e.watch()
	for _, m := range ms {
		b.after("Copy", func() {
			if _, err := e.caps.Copy.Copy(e.ctx, src, mailaccess.UIDSetOf(m.UID), dst); err != nil {
				e.Errorf("Copy: %v", err)
			}
		}, dst)
	}
}

func checkRingMove(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.fill(src, 3)
	b := e.watch()
	for _, m := range ms {
		moved := false
		b.after("Move", func() {
			_, err := e.move(src, mailaccess.UIDSetOf(m.UID), dst)
			if moved = err == nil; !moved {
				e.Errorf("Move: %v", err)
			}
		}, src, dst)
		if !moved {
			return
		}
	}
}

func checkRingMailboxes(e *env) {
	b := e.watch()
	var m mailaccess.Mailbox
	var err error
	b.after("CreateMailbox", func() { m, err = e.caps.Mailboxes.CreateMailbox(e.ctx, "Papers", 0) }, "")
	if err == nil {
		b.after("RenameMailbox", func() { err = e.caps.Mailboxes.RenameMailbox(e.ctx, m.ID, "Letters") }, "")
	}
	if err == nil {
		b.after("DeleteMailbox", func() { err = e.caps.Mailboxes.DeleteMailbox(e.ctx, m.ID) }, "")
	}
	e.supported("a change of mailboxes", err)
	if err != nil {
		e.Errorf("a change of mailboxes: %v", err)
	}
}

func checkRingSubscriptions(e *env) {
	b := e.watch()
	b.after("Subscribe", func() { e.subscribe("lists", true) }, "")
	b.after("Subscribe", func() { e.subscribe("lists", false) }, "")
}

// When all is quiet again, the last change of every mailbox has rung.
func checkRingWriters(e *env) {
	boxes := []mailaccess.MailboxID{e.inbox().ID, e.create("a").ID, e.create("b").ID}
	b := e.watch()
	var numbers atomic.Uint64
	enough := make(chan struct{})
	close(enough)
	done := e.writers(boxes, 40, enough, &numbers)
	if !waitFor(done, e.h.Patience) {
		e.Fatal("writers with a ring that calls the store: did not return")
	}
	for _, box := range boxes {
		b.expect("many writers", box, e.status(box).ModSeq)
	}
}

// After stop has returned, ring is not called, not even until the store closes.
func checkRingStop(e *env) {
	box := e.inbox().ID
	var stopped, late atomic.Bool
	stop, err := e.store.Watch(e.ctx, func(mailaccess.Ring) {
		if stopped.Load() {
			late.Store(true)
		}
	})
	if errors.Is(err, mailaccess.ErrSkip) {
		e.Skip("needs Watch")
	}
	if err != nil {
		e.Fatalf("Watch: %v", err)
	}
	e.fill(box, 10)
	stop()
	stopped.Store(true)
	e.fill(box, 10)
	e.close()
	if late.Load() {
		e.Error("it rang after stop")
	}
}

func checkRingAgain(e *env) {
	box := e.inbox().ID
	for range 3 {
		b := e.watch()
		b.after("Append", func() { e.fill(box, 1) }, box)
		b.stop()
	}
}
