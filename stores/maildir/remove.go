package maildir

import (
	"context"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Expunge removes messages, some thousand in a transaction. Their files go to where
// expunged messages are kept.
func (h *handle) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) (done []mailaccess.Commit, err error) {
	const op = "expunge"
	for next := mailaccess.UID(1); next != 0; {
		if err := h.begin(ctx, op, mailaccess.RightExpunge); err != nil {
			return done, err
		}
		x := expunge{op: op, box: box, uids: uids, need: need, from: next}
		if err := h.do(&change{op: op, ctx: ctx, boxes: []mailaccess.MailboxID{box}, plan: x.plan}); err != nil {
			return done, err
		}
		if x.done.ModSeq != 0 {
			done = append(done, x.done)
		}
		next = x.next
	}
	return done, nil
}

// expunge is one transaction over messages at or above from.
type expunge struct {
	op   string
	box  mailaccess.MailboxID
	uids mailaccess.UIDSet
	need mailaccess.SystemFlags
	from mailaccess.UID

	done mailaccess.Commit
	next mailaccess.UID // where the next one begins, or 0
}

func (x *expunge) plan(p *planner) (*record, error) {
	b, err := p.a.loaded(x.op, x.box)
	if err != nil {
		return nil, err
	}
	uids := x.uids.Intersect(b.ix.UIDs())
	if x.need.Has(mailaccess.FlagDeleted) {
		uids = uids.Intersect(b.ix.Trashed()) // mostly far fewer
	}
	var out mailaccess.UIDSetBuilder
	seen := 0
	from := x.from
	var buf [batchLen]index.Row
	for n := b.ix.Next(from, uids, 0, buf[:]); n > 0 && x.next == 0; n = b.ix.Next(from, uids, 0, buf[:]) {
		for i := range buf[:n] {
			if seen++; seen > txnMax {
				x.next = buf[i].UID
				break
			}
			if buf[i].Flags.System.Has(x.need) {
				out.AddUID(buf[i].UID)
			}
		}
		from = buf[n-1].UID + 1
	}
	if out.Set().IsEmpty() {
		return nil, nil
	}
	if err := holdNames(b, out.Set()); err != nil {
		return nil, failDisk(x.op, string(x.box), err)
	}
	x.done = mailaccess.Commit{ModSeq: p.number(), UIDs: out.Set()}
	gone := removal{UIDs: rangesOf(x.done.UIDs), Keep: true, Time: p.a.store.now().Unix()}
	return &record{ModSeq: x.done.ModSeq, Boxes: []boxRecord{{Box: x.box, Removed: []removal{gone}}}}, nil
}

// holdNames takes the names of files into memory: when the messages are removed, which cannot
// fail, they have to be known. a.mu is held.
func holdNames(b *mailbox, uids mailaccess.UIDSet) error {
	for uid := range uids.All() {
		if err := b.ix.HoldFileName(uid); err != nil {
			return err
		}
	}
	return nil
}

// Replace puts a message in the place of another.
func (h *handle) Replace(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
	const op = "replace"
	// RFC 8508, section 4.1: what APPEND, STORE and EXPUNGE need.
	if err := h.begin(ctx, op, mailaccess.RightInsert|mailaccess.RightDeleted|mailaccess.RightExpunge); err != nil {
		return mailaccess.Appended{}, err
	}
	return h.append(ctx, op, dst, []mailaccess.NewMessage{m}, &replaced{box: src, uid: uid})
}

// replaced is the message that goes.
type replaced struct {
	box mailaccess.MailboxID
	uid mailaccess.UID
}

// plan adds the removal to r.
func (o *replaced) plan(p *planner, op string, now time.Time, r *record) error {
	b, err := p.a.loaded(op, o.box)
	if err != nil {
		return err
	}
	if !b.ix.UIDs().Contains(o.uid) {
		return fail(op, mailaccess.KindContentGone, string(o.box), nil)
	}
	if err := holdNames(b, mailaccess.UIDSetOf(o.uid)); err != nil {
		return failDisk(op, string(o.box), err)
	}
	gone := []removal{{UIDs: rangesOf(mailaccess.UIDSetOf(o.uid)), Keep: true, Time: now.Unix()}}
	if r.Boxes[0].Box == o.box {
		r.Boxes[0].Removed = gone
	} else {
		r.Boxes = append(r.Boxes, boxRecord{Box: o.box, Removed: gone})
	}
	return nil
}
