package maildir

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Copy copies messages, all in one transaction. The files are links of one content.
func (h *handle) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	const op = "copy"
	if err := h.begin(ctx, op, mailaccess.RightRead|mailaccess.RightInsert); err != nil {
		return mailaccess.Copied{}, err
	}
	t := transfer{op: op, src: src, dst: dst, uids: uids}
	if err := t.transaction(ctx, h, 1); err != nil {
		return mailaccess.Copied{}, err
	}
	return t.copied(), nil
}

// Move moves messages, some thousand in a transaction.
func (h *handle) Move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	const op = "move"
	// RFC 6851, section 4.1: what COPY, STORE and EXPUNGE need.
	const need = mailaccess.RightRead | mailaccess.RightInsert | mailaccess.RightDeleted | mailaccess.RightExpunge
	t := transfer{op: op, src: src, dst: dst, uids: uids, move: true}
	for next := mailaccess.UID(1); next != 0; next = t.next {
		if err := h.begin(ctx, op, need); err != nil {
			return t.copied(), err
		}
		if src == dst {
			return t.copied(), fail(op, mailaccess.KindInvalid, string(src), errors.New("source and destination are the same"))
		}
		if err := t.transaction(ctx, h, next); err != nil {
			return t.copied(), err
		}
	}
	return t.copied(), nil
}

// copyMax is how many messages are copied at once: the record of all has to fit into the
// commit log.
const copyMax = 250_000

// transfer is a call of Copy or Move.
type transfer struct {
	op       string
	src, dst mailaccess.MailboxID
	uids     mailaccess.UIDSet
	move     bool

	next         mailaccess.UID // where the next transaction begins; 0: it is done
	validity     uint32
	source, dest mailaccess.UIDSetBuilder
}

func (t *transfer) copied() mailaccess.Copied {
	return mailaccess.Copied{UIDValidity: t.validity, Source: t.source.Set(), Dest: t.dest.Set()}
}

// transaction transfers messages at or above from: all in a copy, some in a move.
func (t *transfer) transaction(ctx context.Context, h *handle, from mailaccess.UID) error {
	var part portion
	err := h.do(&change{op: t.op, ctx: ctx, boxes: []mailaccess.MailboxID{t.src, t.dst}, plan: func(p *planner) (*record, error) {
		part = portion{transfer: t, from: from}
		return part.plan(p)
	}})
	if err != nil {
		return err
	}
	t.next, t.validity = part.next, part.validity
	for r := range part.source.Set().Ranges() {
		t.source.AddRange(r.First, r.Last)
	}
	for r := range part.dest.Set().Ranges() {
		t.dest.AddRange(r.First, r.Last)
	}
	return nil
}

// portion is one transaction of a transfer.
type portion struct {
	*transfer
	from         mailaccess.UID
	next         mailaccess.UID
	validity     uint32
	source, dest mailaccess.UIDSetBuilder
}

func (t *portion) plan(p *planner) (*record, error) {
	a := p.a
	src, err := a.loaded(t.op, t.src)
	if err != nil {
		return nil, err
	}
	dst, err := a.loaded(t.op, t.dst)
	if err != nil {
		return nil, err
	}
	t.validity = dst.UIDValidity
	// Which ones, before any number is taken.
	var rows []index.Row
	var buf [batchLen]index.Row
	from := t.from
	for n := src.ix.Next(from, t.uids, 0, buf[:]); n > 0; n = src.ix.Next(from, t.uids, 0, buf[:]) {
		if t.move && len(rows)+n > txnMax {
			n = txnMax - len(rows)
			t.next = buf[n].UID
			rows = append(rows, buf[:n]...)
			break
		}
		if len(rows)+n > copyMax {
			return nil, fail(t.op, mailaccess.KindLimit, string(t.src), fmt.Errorf("more than %d messages at once", copyMax))
		}
		rows = append(rows, buf[:n]...)
		from = buf[n-1].UID + 1
	}
	if len(rows) == 0 {
		return nil, nil
	}
	uid, err := p.uids(t.op, dst, len(rows))
	if err != nil {
		return nil, err
	}
	now := time.Unix(a.store.now().Unix(), 0).UTC()
	n := p.number()
	r := &record{ModSeq: n, Boxes: []boxRecord{{Box: t.dst}}}
	into := &r.Boxes[0]
	for i := range rows {
		row := &rows[i]
		name, err := src.ix.FileName(row.UID)
		if err != nil {
			return nil, failDisk(t.op, string(t.src), err)
		}
		if name.Place == index.PlaceSpool {
			return nil, fail(t.op, mailaccess.KindUnavailable, string(t.src), errors.New("a message is not in its folder yet"))
		}
		t.source.AddUID(row.UID)
		t.dest.AddUID(uid)
		if row.Flags.Keywords, err = a.keywords(t.op, dst, row.Flags.Keywords); err != nil {
			return nil, err
		}
		row.UID, row.ModSeq, row.Created, row.Saved = uid, n, n, now
		into.Rows = index.AppendRow(into.Rows, *row, index.FileName{
			Base: a.baseLike(name.Base), Suffix: a.suffix(dst, row.Flags), Place: index.PlaceSpool,
		})
		into.Sources = append(into.Sources, source{Box: t.src, Base: name.Base, Suffix: name.Suffix, Place: name.Place, Move: t.move})
		uid++
	}
	if t.move {
		r.Boxes = append(r.Boxes, boxRecord{Box: t.src, Removed: []removal{{UIDs: rangesOf(t.source.Set())}}})
	}
	return r, nil
}
