package memory

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// CreateMailbox makes a mailbox.
func (h *handle) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	const op = "create mailbox"
	if err := h.begin(ctx, op, mailaccess.RightCreate); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if use >= mailaccess.UseImportant<<1 {
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindUnsupported, name, errors.New("unknown special use"))
	}
	m, err := h.create(op, name, use)
	if err != nil {
		return mailaccess.Mailbox{}, err
	}
	h.ring("", m.Created)
	m.Rights = h.rights
	return m, nil
}

func (a *account) create(op, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.names[name] != nil:
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindExists, name, nil)
	case len(a.boxes) >= a.store.opts.MaxMailboxes:
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindLimit, name, fmt.Errorf("an account has at most %d mailboxes", a.store.opts.MaxMailboxes))
	case a.uidValidity == math.MaxUint32:
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindLimit, name, errors.New("the account has used up its UIDVALIDITY values"))
	}
	a.modseq++
	return a.newMailbox(name, use, a.modseq).Mailbox, nil
}

// RenameMailbox renames a mailbox and those below it.
func (h *handle) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	const op = "rename mailbox"
	if err := h.begin(ctx, op, mailaccess.RightRemove|mailaccess.RightCreate); err != nil {
		return err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return err
	}
	moved, n, err := h.rename(op, box, name)
	if err != nil {
		return err
	}
	h.ring("", n)
	for _, b := range moved {
		h.ring(b.ID, n)
	}
	return nil
}

func (a *account) rename(op string, box mailaccess.MailboxID, name string) ([]*mailbox, mailaccess.ModSeq, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.box(op, box)
	if err != nil {
		return nil, 0, err
	}
	old := b.Name
	switch {
	case old == mailaccess.Inbox:
		return nil, 0, fail(op, mailaccess.KindForbidden, old, nil)
	case name == old:
		return nil, 0, fail(op, mailaccess.KindExists, old, nil)
	case strings.HasPrefix(name, old+"/"):
		return nil, 0, fail(op, mailaccess.KindInvalid, old, errors.New("the new name is below the old one"))
	}
	moves := map[string]*mailbox{name: b} // by new name
	moved := []*mailbox{b}
	for have, below := range a.names {
		if rest, ok := strings.CutPrefix(have, old+"/"); ok {
			to := name + "/" + rest
			if err := mailaccess.CheckMailboxName(to); err != nil {
				return nil, 0, err
			}
			moves[to] = below
			moved = append(moved, below)
		}
	}
	for to := range moves {
		// A name that is left by a mailbox that moves too is free.
		if have := a.names[to]; have != nil && have != b && !strings.HasPrefix(have.Name, old+"/") {
			return nil, 0, fail(op, mailaccess.KindExists, to, nil)
		}
	}
	a.modseq++
	for _, m := range moved {
		delete(a.names, m.Name)
	}
	for to, m := range moves {
		m.Name, m.Changed, m.modseq = to, a.modseq, a.modseq
		a.names[to] = m
	}
	a.sorted = nil
	return moved, a.modseq, nil
}

// DeleteMailbox removes a mailbox.
func (h *handle) DeleteMailbox(ctx context.Context, box mailaccess.MailboxID) error {
	const op = "delete mailbox"
	if err := h.begin(ctx, op, mailaccess.RightRemove); err != nil {
		return err
	}
	b, n, err := h.delete(op, box)
	if err != nil {
		return err
	}
	h.ring("", n)
	h.ring(box, n)
	h.forget(b, n)
	return nil
}

func (a *account) delete(op string, box mailaccess.MailboxID) (*mailbox, mailaccess.ModSeq, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.box(op, box)
	if err != nil {
		return nil, 0, err
	}
	if b.Name == mailaccess.Inbox {
		return nil, 0, fail(op, mailaccess.KindForbidden, b.Name, nil)
	}
	a.modseq++
	delete(a.boxes, box)
	delete(a.names, b.Name)
	a.sorted = nil
	b.deleted = true
	a.tombstones = append(a.tombstones, a.bury(b))
	if limit := a.store.opts.HistoryLimit; len(a.tombstones) > limit {
		drop := (len(a.tombstones) + 1) / 2
		a.floor = a.tombstones[drop-1].ModSeq
		a.tombstones = slices.Clone(a.tombstones[drop:])
	}
	return b, a.modseq, nil
}

// bury makes the tombstone of b, which is deleted by the present transaction. What
// was in b is remembered unless that is more than HistoryLimit, for all deleted
// mailboxes together. a.mu is held.
func (a *account) bury(b *mailbox) tombstone {
	t := tombstone{
		DeletedMailbox: mailaccess.DeletedMailbox{ID: b.ID, Name: b.Name, ModSeq: a.modseq},
		created:        b.Created,
		emptied:        b.floor,
	}
	n := len(b.vanished) + b.uids.Len()
	for i := range a.tombstones {
		n += len(a.tombstones[i].vanished)
	}
	for i := 0; n > a.store.opts.HistoryLimit && i < len(a.tombstones); i++ {
		old := &a.tombstones[i]
		n -= len(old.vanished)
		old.vanished, old.emptied = nil, old.ModSeq
	}
	if n > a.store.opts.HistoryLimit {
		t.emptied = a.modseq
		return t
	}
	t.vanished = slices.Clone(b.vanished)
	b.messages.walk(b.uids, 1, func(c *chunk, j int) bool {
		t.vanished = append(t.vanished, vanished(&c.msgs[j], a.modseq))
		return true
	})
	return t
}

// tombstone returns that of a mailbox that was deleted, or nil. a.mu is held.
func (a *account) tombstone(box mailaccess.MailboxID) *tombstone {
	for i := range a.tombstones {
		if a.tombstones[i].ID == box {
			return &a.tombstones[i]
		}
	}
	return nil
}

// forget takes the messages of a deleted mailbox from their contents, some at a
// time. Nobody can reach the mailbox any more.
func (a *account) forget(b *mailbox, n mailaccess.ModSeq) {
	for next := mailaccess.UID(1); next != 0; {
		seen, from := 0, next
		next = 0
		a.mu.Lock()
		b.messages.walk(b.uids, from, func(c *chunk, j int) bool {
			m := &c.msgs[j]
			if seen++; seen > txnMax {
				next = m.UID
				return false
			}
			a.leave(m.EmailID, place{b, m.UID}, n)
			return true
		})
		a.mu.Unlock()
	}
}

// Subscriptions lists the names as they are when the loop begins.
func (h *handle) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := h.begin(ctx, "list subscriptions", 0); err != nil {
			yield("", err)
			return
		}
		h.mu.Lock()
		names := slices.Collect(maps.Keys(h.subscribed))
		h.mu.Unlock()
		slices.Sort(names)
		for _, name := range names {
			if err := h.begin(ctx, "list subscriptions", 0); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Subscribe adds a name or takes it out. Who may change nothing in any mailbox
// may not change this either.
func (h *handle) Subscribe(ctx context.Context, name string, on bool) error {
	const op = "subscribe"
	if err := h.begin(ctx, op, 0); err != nil {
		return err
	}
	if h.rights&^mailaccess.RightsReadOnly == 0 {
		return fail(op, mailaccess.KindForbidden, name, nil)
	}
	if on {
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return err
		}
	}
	n, err := h.subscribe(op, name, on)
	if n != 0 {
		h.ring("", n)
	}
	return err
}

// subscribe returns the number that it took, or 0.
func (a *account) subscribe(op, name string, on bool) (mailaccess.ModSeq, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, have := a.subscribed[name]; have == on {
		return 0, nil
	}
	switch {
	case !on:
		delete(a.subscribed, name)
	case len(a.subscribed) >= a.store.opts.MaxMailboxes:
		return 0, fail(op, mailaccess.KindLimit, name, fmt.Errorf("an account has at most %d subscriptions", a.store.opts.MaxMailboxes))
	default:
		a.subscribed[name] = struct{}{}
	}
	a.modseq++
	a.subscribedAt = a.modseq
	return a.modseq, nil
}

// Recent returns the UID from which on no session was told.
func (h *handle) Recent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "recent", box, false)
}

// ClaimRecent returns it and moves it up. Reading is all the right that it takes:
// it changes nothing that anybody but sessions of the same mailbox sees.
func (h *handle) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "claim recent", box, true)
}

func (h *handle) recent(ctx context.Context, op string, box mailaccess.MailboxID, claim bool) (mailaccess.UID, error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return 0, err
	}
	from := b.recent
	if claim {
		b.recent = b.uidNext
	}
	return from, nil
}

// Hold counts who uses a mailbox. All mailboxes are loaded always; the count is
// for tests that ask whether everybody lets go.
func (h *handle) Hold(ctx context.Context, box mailaccess.MailboxID) (release func(), err error) {
	const op = "hold"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return nil, err
	}
	b.holds++
	released := false
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !released {
			released = true
			b.holds--
		}
	}, nil
}
