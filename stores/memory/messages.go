package memory

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Messages lists messages. It allocates nothing for each.
func (h *handle) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return h.list("list messages", box).messages(ctx, uids, 0)
}

// listing reads messages chunk by chunk.
type listing struct {
	h   *handle
	op  string
	box mailaccess.MailboxID
}

func (h *handle) list(op string, box mailaccess.MailboxID) listing { return listing{h, op, box} }

// messages yields the messages in uids whose number is above since.
func (l listing) messages(ctx context.Context, uids mailaccess.UIDSet, since mailaccess.ModSeq) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		if uids.IsEmpty() {
			// An empty listing of a mailbox that is gone fails all the same.
			if _, err := l.chunk(ctx, 1, since); err != nil {
				yield(mailaccess.Message{}, err)
			}
			return
		}
		var msgs []mailaccess.Message // what is left of the chunk
		for r := range uids.Ranges() {
			for u := r.First; ; {
				if n := len(msgs); n == 0 || msgs[n-1].UID < u {
					var err error
					if msgs, err = l.chunk(ctx, u, since); err != nil {
						yield(mailaccess.Message{}, err)
						return
					}
					if len(msgs) == 0 {
						return
					}
				}
				// The next range is mostly near: looking at each message in
				// turn is kinder to the memory than searching.
				i := 0
				for i < len(msgs) && i < 8 && msgs[i].UID < u {
					i++
				}
				if msgs = msgs[i:]; msgs[0].UID < u {
					msgs = msgs[search(msgs, u):]
				}
				i = 0
				for ; i < len(msgs) && msgs[i].UID <= r.Last; i++ {
					if m := &msgs[i]; m.ModSeq > since && !yield(*m, nil) {
						return
					}
				}
				if i < len(msgs) {
					msgs = msgs[i:]
					break
				}
				if u = msgs[i-1].UID + 1; u > r.Last {
					break
				}
			}
		}
	}
}

// chunk returns messages from u on, at least one unless there is none with a
// number above since; perhaps some before u.
func (l listing) chunk(ctx context.Context, u mailaccess.UID, since mailaccess.ModSeq) ([]mailaccess.Message, error) {
	if err := l.h.begin(ctx, l.op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	b, err := l.h.account.box(l.op, l.box)
	if err != nil {
		return nil, err
	}
	return b.messages.from(u, since), nil
}

// MailboxChanges returns what changed in a mailbox. Its cost, and that of ranging
// over the result, is in proportion to what changed.
func (h *handle) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	const op = "mailbox changes"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if since > h.modseq {
		return mailaccess.MailboxChanges{}, fail(op, mailaccess.KindInvalid, string(box), errors.New("that number was never reached"))
	}
	b, err := h.box(op, box)
	if err != nil {
		if t := h.tombstone(box); t != nil {
			return mailaccess.MailboxChanges{
				Floor:    t.emptied,
				UpTo:     max(since, t.ModSeq),
				Messages: func(func(mailaccess.Message, error) bool) {},
				Vanished: h.vanished(ctx, op, removedSince(t.vanished, since)),
			}, nil
		}
		return mailaccess.MailboxChanges{}, err
	}
	log, whole := b.changedSince(since)
	all := b.uids
	gone := removedSince(b.vanished, since)
	return mailaccess.MailboxChanges{
		Floor: b.floor,
		UpTo:  max(since, b.modseq),
		Messages: func(yield func(mailaccess.Message, error) bool) {
			uids := all
			if whole {
				uids = uidsOf(log)
			}
			h.list(op, box).messages(ctx, uids, since)(yield)
		},
		Vanished: h.vanished(ctx, op, gone),
	}, nil
}

// vanished yields removals in UID order.
func (h *handle) vanished(ctx context.Context, op string, gone []mailaccess.Vanished) iter.Seq2[mailaccess.Vanished, error] {
	byUID := func(x, y mailaccess.Vanished) int { return int(int64(x.UID) - int64(y.UID)) }
	return func(yield func(mailaccess.Vanished, error) bool) {
		if !slices.IsSortedFunc(gone, byUID) {
			gone = slices.SortedFunc(slices.Values(gone), byUID)
		}
		for i, v := range gone {
			if i%chunkLen == 0 {
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
