package hooks

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// batch is how many messages a listing takes at a time.
const batch = 128

// State returns the account's epoch and number.
func (h *handle) State(ctx context.Context) (mailaccess.State, error) {
	if err := h.begin(ctx, "state", 0); err != nil {
		return mailaccess.State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head.state(), nil
}

func (h *accountHead) state() mailaccess.State {
	return mailaccess.State{Epoch: h.epoch, ModSeq: h.modseq}
}

// Mailboxes lists the mailboxes as they are when the loop begins.
func (h *handle) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	const op = "list mailboxes"
	return func(yield func(mailaccess.Mailbox, error) bool) {
		err := h.begin(ctx, op, 0)
		if err == nil {
			err = h.freshenList(ctx, op, h.opened)
		}
		if err != nil {
			yield(mailaccess.Mailbox{}, err)
			return
		}
		h.mu.Lock()
		boxes := h.sortedMailboxes()
		h.mu.Unlock()
		for _, m := range boxes {
			if err := h.begin(ctx, op, 0); err != nil {
				yield(mailaccess.Mailbox{}, err)
				return
			}
			m.Rights = h.rights
			if !yield(m, nil) {
				return
			}
		}
	}
}

// sortedMailboxes returns all mailboxes by name. a.mu is held; the result is never
// changed.
func (a *account) sortedMailboxes() []mailaccess.Mailbox {
	if a.sorted == nil {
		a.sorted = make([]mailaccess.Mailbox, 0, len(a.boxes))
		for _, b := range a.boxes {
			a.sorted = append(a.sorted, b.Mailbox)
		}
		slices.SortFunc(a.sorted, func(x, y mailaccess.Mailbox) int { return strings.Compare(x.Name, y.Name) })
	}
	return a.sorted
}

// Lookup finds a mailbox by name.
func (h *handle) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	const op = "lookup"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if err := h.freshenList(ctx, op, h.opened); err != nil {
		return mailaccess.Mailbox{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.names[name]
	if b == nil {
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindNotFound, name, nil)
	}
	m := b.Mailbox
	m.Rights = h.rights
	return m, nil
}

// Status returns a mailbox with its counts.
func (h *handle) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	s, err := h.snapshot(ctx, "status", box)
	return s.Status, err
}

// Snapshot returns the status and the UIDs. It costs the same whatever the number
// of messages.
func (h *handle) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	return h.snapshot(ctx, "snapshot", box)
}

func (h *handle) snapshot(ctx context.Context, op string, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	b, err := h.look(ctx, op, box, mailaccess.RightRead)
	if err != nil {
		return mailaccess.Snapshot{}, err
	}
	if err := h.begun(op, b); err != nil {
		return mailaccess.Snapshot{}, err
	}
	defer h.mu.Unlock()
	return mailaccess.Snapshot{Status: b.status(h.rights), UIDs: b.uids}, nil
}

// Messages lists messages, a batch at a time.
func (h *handle) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	const op = "list messages"
	return func(yield func(mailaccess.Message, error) bool) {
		b, err := h.look(ctx, op, box, mailaccess.RightRead)
		if err != nil {
			yield(mailaccess.Message{}, err)
			return
		}
		h.list(ctx, op, b, uids, 0)(yield)
	}
}

// list yields the messages in uids whose number is above since.
func (h *handle) list(ctx context.Context, op string, b *mailbox, uids mailaccess.UIDSet, since mailaccess.ModSeq) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		var buf [batch]mailaccess.Message
		for next := mailaccess.UID(1); next != 0; {
			err := h.begin(ctx, op, mailaccess.RightRead)
			if err == nil {
				err = h.begun(op, b)
			}
			if err != nil {
				yield(mailaccess.Message{}, err)
				return
			}
			var msgs []mailaccess.Message
			msgs, next = b.take(buf[:0], uids, since, next)
			h.mu.Unlock()
			for i := range msgs {
				if !yield(msgs[i], nil) {
					return
				}
			}
		}
	}
}

// take appends messages at or above from to buf until that is full or enough were
// looked at, and returns where to go on, or 0.
func (b *mailbox) take(buf []mailaccess.Message, uids mailaccess.UIDSet, since mailaccess.ModSeq, from mailaccess.UID) (_ []mailaccess.Message, next mailaccess.UID) {
	seen := 0
	for r := range uids.RangesFrom(from) {
		i := b.at(max(r.First, from))
		if i == len(b.list) {
			return buf, 0
		}
		for ; i < len(b.list) && b.list[i].uid <= r.Last; i++ {
			e := b.list[i]
			if seen++; len(buf) == cap(buf) || seen > 16*batch {
				return buf, e.uid
			}
			if e.modseq > since {
				buf = append(buf, e.message())
			}
		}
	}
	return buf, 0
}

var errNeverReached = errors.New("that number was never reached")

// MailboxChanges returns what changed in a mailbox. Its cost is in proportion to
// that.
func (h *handle) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	const op = "mailbox changes"
	b, err := h.look(ctx, op, box, mailaccess.RightRead)
	if err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	if err := h.begun(op, b); err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	defer h.mu.Unlock()
	if since > h.head.modseq {
		return mailaccess.MailboxChanges{}, fail(op, mailaccess.KindInvalid, string(box), errNeverReached)
	}
	return mailaccess.MailboxChanges{
		Floor:    b.floor,
		UpTo:     max(since, b.modseq),
		Messages: h.list(ctx, op, b, b.changedSince(since), since),
		Vanished: h.vanished(ctx, op, removedSince(b.vanished, since)),
	}, nil
}

// vanished yields removals in UID order.
func (h *handle) vanished(ctx context.Context, op string, gone []mailaccess.Vanished) iter.Seq2[mailaccess.Vanished, error] {
	byUID := func(x, y mailaccess.Vanished) int { return int(int64(x.UID) - int64(y.UID)) }
	return func(yield func(mailaccess.Vanished, error) bool) {
		sorted := gone
		if !slices.IsSortedFunc(gone, byUID) {
			sorted = slices.SortedFunc(slices.Values(gone), byUID)
		}
		for i, v := range sorted {
			if i%batch == 0 {
				if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
					yield(mailaccess.Vanished{}, err)
					return
				}
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// Changes returns which mailboxes changed, each of which is first compared with
// the application if it has not been since the account was opened.
func (h *handle) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	const op = "changes"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	if err := h.freshenList(ctx, op, h.opened); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	h.mu.Lock()
	boxes := slices.Clone(h.sortedMailboxes())
	h.mu.Unlock()
	for _, m := range boxes {
		if !h.rights.Has(mailaccess.RightRead) {
			break // nothing of what is in them is told
		}
		if _, err := h.look(ctx, op, m.ID, 0); err != nil && !errors.Is(err, mailaccess.KindNotFound) {
			return mailaccess.AccountChanges{}, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.head.state()
	if since != (mailaccess.State{}) {
		switch {
		case since.Epoch != now.Epoch || since.ModSeq < h.head.floor:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindHistoryGone, "", nil)
		case since.ModSeq > now.ModSeq:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindInvalid, "", errNeverReached)
		}
	}
	c := mailaccess.AccountChanges{UpTo: now, Subscriptions: h.head.subscribedAt > since.ModSeq}
	for _, b := range h.boxes {
		if s := b.visible(h.rights); s.ModSeq > since.ModSeq {
			c.Mailboxes = append(c.Mailboxes, s)
		}
	}
	for _, t := range h.tombs {
		if t.ModSeq > since.ModSeq && t.created <= since.ModSeq {
			c.Deleted = append(c.Deleted, t.DeletedMailbox)
		}
	}
	return c, nil
}

// Recent returns the UID from which on no session was told.
func (h *handle) Recent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "recent", box, false)
}

// ClaimRecent returns it and moves it up. The file learns of it with the next
// change, or when the account is closed: it is no harm when a message is recent
// once more.
func (h *handle) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "claim recent", box, true)
}

func (h *handle) recent(ctx context.Context, op string, box mailaccess.MailboxID, claim bool) (mailaccess.UID, error) {
	b, err := h.look(ctx, op, box, mailaccess.RightRead)
	if err != nil {
		return 0, err
	}
	if err := h.begun(op, b); err != nil {
		return 0, err
	}
	defer h.mu.Unlock()
	from := b.recent
	if claim && from != b.uidNext {
		b.recent, b.recentDirty = b.uidNext, true
	}
	return from, nil
}

// Hold has the keeper compare the mailbox with the application at intervals.
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
