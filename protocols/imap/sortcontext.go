package imap

import (
	"context"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// sendSorted writes how a sorted result becomes another one, by positions (RFC 5267,
// sections 4.3.3 and 4.3.4): first what goes, then what comes.
func (c *conn) sendSorted(x *searchContext, numbers, removed, added mailaccess.UIDSet, sorted []mailaccess.UID) error {
	before := x.sorted
	x.sorted = sorted
	if removed.IsEmpty() && added.IsEmpty() {
		return nil
	}
	b := c.appendContext(x)
	var err error
	for _, part := range []struct {
		name   string
		blocks iter.Seq2[int, []mailaccess.UID]
	}{
		{" REMOVEFROM (", blocks(before, removed, false)},
		{" ADDTO (", blocks(sorted, added, true)},
	} {
		some := false
		for position, uids := range part.blocks {
			if some {
				b = append(b, ' ')
			} else {
				b, some = append(b, part.name...), true
			}
			b = append(imapwire.AppendNumber(b, uint64(position)), ' ')
			if b, err = c.sendSet(b, found{sorted: uids}.runs(numbers, x.how)); err != nil {
				return err
			}
		}
		if some {
			b = append(b, ')')
		}
	}
	return c.w.End(append(b, "\r\n"...))
}

// blocks yields what of sorted is in uids, in pieces that stand together, each with its
// position, from 1 on: that in sorted when staying, else that which it has once the
// pieces before it are gone.
func blocks(sorted []mailaccess.UID, uids mailaccess.UIDSet, staying bool) iter.Seq2[int, []mailaccess.UID] {
	return func(yield func(int, []mailaccess.UID) bool) {
		left := uids.Len()
		for i, yielded := 0, 0; i < len(sorted) && left > 0; i++ {
			from := i
			for i < len(sorted) && uids.Contains(sorted[i]) {
				i++
			}
			if i == from {
				continue
			}
			position := from + 1
			if !staying {
				position -= yielded
			}
			yielded += i - from
			left -= i - from
			if !yield(position, sorted[from:i]) {
				return
			}
		}
	}
}

// removeSorted takes messages out of a sorted result.
func (c *conn) removeSorted(x *searchContext, numbers, uids mailaccess.UIDSet) error {
	x.untold.added = x.untold.added.Minus(uids)
	if uids.IsEmpty() {
		return nil
	}
	var removed mailaccess.UIDSetBuilder // not all of uids need have had a place
	left := make([]mailaccess.UID, 0, len(x.sorted))
	for _, uid := range x.sorted {
		if uids.Contains(uid) {
			removed.AddUID(uid)
		} else {
			left = append(left, uid)
		}
	}
	return c.sendSorted(x, numbers, removed.Set(), mailaccess.UIDSet{}, left)
}

// addSorted brings what came into the result into its places.
func (c *conn) addSorted(ctx context.Context, x *searchContext) error {
	if x.untold.added.IsEmpty() {
		return nil
	}
	sorted, err := c.view.SortMore(ctx, x.sorted, x.untold.added, x.order, engine.SortOptions{Memory: c.reserveKeys(0)})
	if err != nil {
		return err
	}
	added, removed := x.untold.added, mailaccess.UIDSet{}
	if len(sorted) != len(x.sorted)+added.Len() {
		// Some are gone. They need no place, and have none any more.
		is, was := mailaccess.UIDSetOf(sorted...), mailaccess.UIDSetOf(x.sorted...)
		added, removed = is.Minus(was), was.Minus(is)
	}
	x.untold.added = mailaccess.UIDSet{}
	return c.sendSorted(x, c.view.UIDs(), removed, added, sorted)
}
