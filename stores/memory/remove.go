package memory

import (
	"context"
	"errors"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Expunge removes messages, some thousand in a transaction.
func (h *handle) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) (done []mailaccess.Commit, err error) {
	const op = "expunge"
	for next := mailaccess.UID(1); next != 0; {
		if err := h.begin(ctx, op, mailaccess.RightExpunge); err != nil {
			return done, err
		}
		var c mailaccess.Commit
		if c, next, err = h.expunge(op, box, uids, need, next); err != nil {
			return done, err
		}
		if c.ModSeq != 0 {
			done = append(done, c)
			h.ring(box, c.ModSeq)
		}
	}
	return done, nil
}

// expunge is one transaction over messages at or above from. It returns where
// the next one begins, or 0.
func (h *handle) expunge(op string, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags, from mailaccess.UID) (done mailaccess.Commit, next mailaccess.UID, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return done, 0, err
	}
	if need.Has(mailaccess.FlagDeleted) {
		uids = uids.Intersect(b.trashed) // mostly far fewer
	}
	var out removal
	seen := 0
	b.messages.walk(uids, from, func(c *chunk, j int) bool {
		m := &c.msgs[j]
		if seen++; seen > txnMax {
			next = m.UID
			return false
		}
		if m.Flags.System.Has(need) {
			out.add(m)
		}
		return true
	})
	if len(out.gone) == 0 {
		return done, next, nil
	}
	h.modseq++
	done.ModSeq = h.modseq
	done.UIDs = h.remove(b, &out, h.modseq)
	return done, next, nil
}

// Copy copies messages, all in one transaction.
func (h *handle) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	const op = "copy"
	if err := h.begin(ctx, op, mailaccess.RightRead|mailaccess.RightInsert); err != nil {
		return mailaccess.Copied{}, err
	}
	t := transfer{handle: h, op: op, src: src, dst: dst, uids: uids}
	_, n, err := t.transaction(1)
	if err != nil {
		return mailaccess.Copied{}, err
	}
	if n != 0 {
		h.ring(dst, n)
	}
	return t.copied(), nil
}

// Move moves messages, some thousand in a transaction.
func (h *handle) Move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	const op = "move"
	// RFC 6851, section 4.1: what COPY, STORE and EXPUNGE need.
	const need = mailaccess.RightRead | mailaccess.RightInsert | mailaccess.RightDeleted | mailaccess.RightExpunge
	t := transfer{handle: h, op: op, src: src, dst: dst, uids: uids, move: true}
	for next := mailaccess.UID(1); next != 0; {
		if err := h.begin(ctx, op, need); err != nil {
			return t.copied(), err
		}
		if src == dst {
			return t.copied(), fail(op, mailaccess.KindInvalid, string(src), errors.New("source and destination are the same"))
		}
		var n mailaccess.ModSeq
		var err error
		if next, n, err = t.transaction(next); err != nil {
			return t.copied(), err
		}
		if n != 0 {
			h.ring(dst, n)
			h.ring(src, n)
		}
	}
	return t.copied(), nil
}

// transfer is a call of Copy or Move.
type transfer struct {
	*handle
	op       string
	src, dst mailaccess.MailboxID
	uids     mailaccess.UIDSet
	move     bool

	validity     uint32
	source, dest mailaccess.UIDSetBuilder
}

func (t *transfer) copied() mailaccess.Copied {
	return mailaccess.Copied{UIDValidity: t.validity, Source: t.source.Set(), Dest: t.dest.Set()}
}

// transaction transfers messages at or above from: all in a copy, some in a move.
// It returns where the next transaction begins, or 0, and the number that it
// took, or 0.
func (t *transfer) transaction(from mailaccess.UID) (next mailaccess.UID, n mailaccess.ModSeq, err error) {
	now := time.Unix(time.Now().Unix(), 0).UTC()
	t.mu.Lock()
	defer t.mu.Unlock()
	src, err := t.box(t.op, t.src)
	if err != nil {
		return 0, 0, err
	}
	dst, err := t.box(t.op, t.dst)
	if err != nil {
		return 0, 0, err
	}
	t.validity = dst.UIDValidity

	// First what may fail, with nothing changed yet.
	defer dst.keywords.sweep()
	count := 0
	src.messages.walk(t.uids, from, func(c *chunk, j int) bool {
		m := &c.msgs[j]
		if t.move && count == txnMax {
			next = m.UID
			return false
		}
		count++
		_, err = dst.keywords.intern(t.op, m.Flags.Keywords, t.store.opts.MaxKeywords)
		return err == nil
	})
	if err == nil {
		err = dst.room(t.op, count)
	}
	if err != nil || count == 0 {
		return 0, 0, err
	}

	t.modseq++
	n = t.modseq
	in := dst.arrive(n)
	var out removal
	src.messages.walk(t.uids, from, func(c *chunk, j int) bool {
		if count == 0 {
			return false // what follows was added here just now, or is the next transaction's
		}
		count--
		m := c.msgs[j]
		t.source.AddUID(m.UID)
		if t.move {
			out.add(&m)
		}
		ks, _ := dst.keywords.intern(t.op, m.Flags.Keywords, t.store.opts.MaxKeywords)
		m.Saved = now
		in.add(&m, ks, t.contents[m.EmailID])
		t.dest.AddUID(m.UID)
		return true
	})
	if t.move {
		t.remove(src, &out, n)
	}
	in.done()
	return next, n, nil
}
