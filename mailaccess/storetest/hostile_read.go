package storetest

import (
	"context"
	"io"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// fragile ends a listing with KindUnavailable when it is time to.
func fragile[T any](h *hostile, op string, seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for v, err := range seq {
			if err == nil {
				if failed := h.unavailable(op); failed != nil {
					var zero T
					yield(zero, failed)
					return
				}
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

func (a *hostileAccount) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return fragile(a.h, "list mailboxes", a.inner.Mailboxes(ctx))
}

func (a *hostileAccount) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	if err := a.h.unavailable("look up"); err != nil {
		return mailaccess.Mailbox{}, err
	}
	return a.inner.Lookup(ctx, name)
}

func (a *hostileAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	if err := a.h.unavailable("status"); err != nil {
		return mailaccess.Status{}, err
	}
	return a.inner.Status(ctx, box)
}

// Snapshot builds the set of UIDs anew, so that it shares nothing with any other.
func (a *hostileAccount) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	if err := a.h.unavailable("snapshot"); err != nil {
		return mailaccess.Snapshot{}, err
	}
	s, err := a.inner.Snapshot(ctx, box)
	if err != nil {
		return s, err
	}
	var own mailaccess.UIDSetBuilder
	for r := range s.UIDs.Ranges() {
		own.AddRange(r.First, r.Last)
	}
	s.UIDs = own.Set()
	return s, nil
}

// Messages looks up which messages there are when the loop begins, and reads each
// just before it yields it.
func (a *hostileAccount) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return fragile(a.h, "list messages", func(yield func(mailaccess.Message, error) bool) {
		s, err := a.inner.Snapshot(ctx, box)
		if err != nil {
			yield(mailaccess.Message{}, err)
			return
		}
		for uid := range s.UIDs.Intersect(uids).All() {
			if !a.yieldLatest(ctx, box, uid, yield) {
				return
			}
		}
	})
}

// yieldLatest yields a message as it is now, if it still is, and reports whether
// to go on.
func (a *hostileAccount) yieldLatest(ctx context.Context, box mailaccess.MailboxID, uid mailaccess.UID, yield func(mailaccess.Message, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(mailaccess.Message{}, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "list messages", Err: err})
		return false
	}
	ms, err := collect(a.inner.Messages(ctx, box, mailaccess.UIDSetOf(uid)))
	if err != nil {
		yield(mailaccess.Message{}, err)
		return false
	}
	if len(ms) == 0 {
		return true
	}
	if !a.h.opts.KnownSizes && ms[0].UID%2 == 0 {
		ms[0].Size = mailaccess.SizeUnknown
	}
	return yield(ms[0], nil)
}

func (a *hostileAccount) State(ctx context.Context) (mailaccess.State, error) {
	if err := a.h.unavailable("state"); err != nil {
		return mailaccess.State{}, err
	}
	return a.inner.State(ctx)
}

func (a *hostileAccount) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	const op = "mailbox changes"
	if err := a.h.unavailable(op); err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	c, err := a.inner.MailboxChanges(ctx, box, since)
	if err != nil {
		return c, err
	}
	vanished := c.Vanished
	if a.forgotten(since, c.UpTo, 1) {
		c.Floor = max(c.Floor, c.UpTo-mailaccess.ModSeq(a.h.opts.History))
		vanished = func(yield func(mailaccess.Vanished, error) bool) {
			for v, err := range c.Vanished {
				if (err != nil || v.ModSeq > c.Floor) && !yield(v, err) {
					return
				}
			}
		}
	}
	messages := c.Messages
	c.Messages = fragile(a.h, op, once(func(yield func(mailaccess.Message, error) bool) {
		ms, err := collect(messages)
		if err != nil {
			yield(mailaccess.Message{}, err)
			return
		}
		for _, m := range ms {
			if !a.yieldLatest(ctx, box, m.UID, yield) {
				return
			}
		}
	}))
	return mailaccess.MailboxChanges{
		Floor:    c.Floor,
		UpTo:     c.UpTo,
		Messages: c.Messages,
		Vanished: fragile(a.h, op, once(vanished)),
	}, nil
}

// forgotten reports whether since is too long ago, times so many.
func (a *hostileAccount) forgotten(since, now mailaccess.ModSeq, times int) bool {
	n := a.h.opts.History
	return n >= 0 && since < now && now-since > mailaccess.ModSeq(n*times)
}

// once lets a listing be ranged over once.
func once[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	used := false
	return func(yield func(T, error) bool) {
		if used {
			var zero T
			yield(zero, &mailaccess.Error{Kind: mailaccess.KindInternal, Op: "changes", Err: errOnce})
			return
		}
		used = true
		seq(yield)
	}
}

func (a *hostileAccount) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	const op = "changes"
	if err := a.h.unavailable(op); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	c, err := a.inner.Changes(ctx, since)
	if err != nil {
		return c, err
	}
	if since != (mailaccess.State{}) && a.forgotten(since.ModSeq, c.UpTo.ModSeq, 4) {
		return mailaccess.AccountChanges{}, &mailaccess.Error{Kind: mailaccess.KindHistoryGone, Op: op}
	}
	slices.SortFunc(c.Mailboxes, func(x, y mailaccess.Status) int { return int(int64(y.ModSeq) - int64(x.ModSeq)) })
	return c, nil
}

// Content opens what some mailbox still holds.
func (a *hostileAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	const op = "open content"
	if err := a.h.unavailable(op); err != nil {
		return nil, err
	}
	held, err := a.held(ctx, id)
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: op}
	}
	c, err := a.inner.Content(ctx, id)
	if err != nil {
		return nil, err
	}
	return &hostileContent{Content: c, h: a.h}, nil
}

// held reports whether some mailbox has a message with the content; true when it
// cannot be found out. A place may be missed while the message moves, so it asks
// until the account stood still in between.
func (a *hostileAccount) held(ctx context.Context, id mailaccess.EmailID) (bool, error) {
	if a.caps.Locate == nil {
		return true, nil
	}
	for range 10 {
		before, err := a.inner.Changes(ctx, mailaccess.State{})
		if err != nil {
			return false, err
		}
		places, err := collect(a.caps.Locate.Locate(ctx, []mailaccess.EmailID{id}))
		if err != nil || len(places) > 0 {
			return true, err
		}
		after, err := a.inner.Changes(ctx, before.UpTo)
		if err == nil && after.UpTo == before.UpTo {
			return false, nil
		}
	}
	return true, nil
}

// hostileContent reads and writes by the letter of the contract.
type hostileContent struct {
	mailaccess.Content
	h *hostile
}

// ReadAt says io.EOF together with the last octets half of the time, as
// io.ReaderAt allows.
func (c *hostileContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	if n == len(p) && n > 0 && (err == nil || err == io.EOF) && off+int64(n) == c.Size() {
		if err = nil; c.h.below(2) == 0 {
			err = io.EOF
		}
	}
	return n, err
}

func (c *hostileContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return c.Content.WriteRange(&smallWriter{w: w, next: 1 + c.h.below(5)}, off, n)
}

// smallWriter passes octets on in pieces, small ones first.
type smallWriter struct {
	w    io.Writer
	next int
}

func (s *smallWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k, err := s.w.Write(p[n:min(len(p), n+s.next)])
		if n += k; err != nil {
			return n, err
		}
		s.next = min(2*s.next+1, 4093)
	}
	return n, nil
}
