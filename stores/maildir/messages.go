package maildir

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// listLen is how many messages a listing takes at a time: what the nearest cache holds.
const listLen = 128

// Messages lists messages. It allocates once for each batch.
func (h *handle) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return h.list(ctx, "list messages", box, func(*mailbox) mailaccess.UIDSet { return uids }, 0)
}

// list yields the messages of what in returns whose number is above since.
func (h *handle) list(ctx context.Context, op string, box mailaccess.MailboxID, in func(*mailbox) mailaccess.UIDSet, since mailaccess.ModSeq) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		var uids mailaccess.UIDSet
		var rows []index.Message
		var ids idBuffer
		from, room := mailaccess.UID(1), 16 // many listings are of a few messages
		for first := true; from != 0; first = false {
			if cap(rows) < room {
				rows = make([]index.Message, room)
			}
			n, more, err := h.batch(ctx, op, box, &uids, in, first, from, since, rows[:room])
			if err != nil {
				yield(mailaccess.Message{}, err)
				return
			}
			h.ids(rows[:n], &ids)
			for i := range rows[:n] {
				ids.fill(i, &rows[i])
				if !yield(rows[i].Message, nil) {
					return
				}
			}
			if !more {
				return
			}
			from, room = rows[n-1].UID+1, listLen
		}
	}
}

// batch reads the next rows, and reports whether there may be more.
func (h *handle) batch(ctx context.Context, op string, box mailaccess.MailboxID, uids *mailaccess.UIDSet, in func(*mailbox) mailaccess.UIDSet, first bool, from mailaccess.UID, since mailaccess.ModSeq, rows []index.Message) (n int, more bool, err error) {
	if !first {
		in = nil
	}
	err = h.piece(ctx, op, box, uids, in, func(b *mailbox) {
		n = b.ix.NextMessages(from, *uids, since, rows)
		more = n == len(rows)
	})
	return n, more, err
}

// piece does a piece of work on the rows of uids, which are what in returns of the mailbox,
// unless in is nil, and with the account locked. Without uids there is nothing to do.
func (h *handle) piece(ctx context.Context, op string, box mailaccess.MailboxID, uids *mailaccess.UIDSet, in func(*mailbox) mailaccess.UIDSet, work func(*mailbox)) error {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return err
	}
	if in != nil {
		*uids = in(b)
	}
	if uids.IsEmpty() {
		return nil
	}
	if b, err = h.loaded(op, box); err != nil {
		return err
	}
	work(b)
	return nil
}

// MailboxChanges returns what changed in a mailbox. Its cost, and that of ranging over the
// result, is in proportion to what changed.
func (h *handle) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	const op = "mailbox changes"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	if err := h.refresh(op, box); err != nil && !errors.Is(err, mailaccess.KindNotFound) {
		return mailaccess.MailboxChanges{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if since > h.ModSeq {
		return mailaccess.MailboxChanges{}, fail(op, mailaccess.KindInvalid, string(box), errors.New("that number was never reached"))
	}
	b, err := h.loaded(op, box)
	if err != nil {
		if t := h.tombstone(box); t != nil {
			return mailaccess.MailboxChanges{
				Floor:    t.Emptied,
				UpTo:     max(since, t.ModSeq),
				Messages: func(func(mailaccess.Message, error) bool) {},
				Vanished: h.vanished(ctx, op, goneSince(t.Gone, since)),
			}, nil
		}
		return mailaccess.MailboxChanges{}, err
	}
	uids := b.ix.ChangedSince(since)
	return mailaccess.MailboxChanges{
		Floor:    b.ix.Floor(),
		UpTo:     max(since, b.ix.ModSeq()),
		Messages: h.list(ctx, op, box, func(*mailbox) mailaccess.UIDSet { return uids }, since),
		Vanished: h.vanished(ctx, op, b.ix.Vanished(since)),
	}, nil
}

// goneSince returns those of all, ascending by number, that were removed after since.
func goneSince(all []index.Gone, since mailaccess.ModSeq) []index.Gone {
	i, _ := slices.BinarySearchFunc(all, since+1, func(g index.Gone, n mailaccess.ModSeq) int {
		if g.ModSeq < n {
			return -1
		}
		return 1
	})
	return all[i:]
}

// vanished yields removals in UID order.
func (h *handle) vanished(ctx context.Context, op string, gone []index.Gone) iter.Seq2[mailaccess.Vanished, error] {
	byUID := func(x, y index.Gone) int { return int(int64(x.UID) - int64(y.UID)) }
	return func(yield func(mailaccess.Vanished, error) bool) {
		if !slices.IsSortedFunc(gone, byUID) {
			gone = slices.SortedFunc(slices.Values(gone), byUID)
		}
		for i, g := range gone {
			if i%listLen == 0 {
				if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
					yield(mailaccess.Vanished{}, err)
					return
				}
			}
			v := mailaccess.Vanished{UID: g.UID, Created: g.Created, ModSeq: g.ModSeq, EmailID: h.emailID(g.Email), ThreadID: h.threadID(g.Thread)}
			if !yield(v, nil) {
				return
			}
		}
	}
}
