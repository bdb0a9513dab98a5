package imap

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// unasked is what is told of new messages without a FETCH command: as NOTIFY says of
// all that arrive (RFC 5465, section 5.2), or UPDATE of those that come into a result
// (section 7).
type unasked struct {
	plan *fetchPlan // nil: nothing
	uids mailaccess.UIDSet
}

func (u *unasked) items() int {
	if u.plan == nil {
		return 0
	}
	return len(u.plan.items)
}

// want adds messages to those of which something is to be told.
func (u *unasked) want(uids mailaccess.UIDSet) {
	if u.plan != nil {
		u.uids = u.uids.Union(uids)
	}
}

// arrivals tells what there is to tell of new messages, once the view is up to date:
// above is the highest UID that the client knew of before.
//
// RFC 5465, section 7 has what UPDATE asked for before the ESEARCH response, section
// 5.2, which is about NOTIFY, has the FETCH after it, and wants one for both: it comes
// after as soon as NOTIFY asks for anything.
func (c *conn) arrivals(ctx context.Context, above mailaccess.UID) error {
	c.noteArrived(above)
	c.lookAtContexts(ctx)
	last := c.notify != nil && !c.notify.silent() && c.notify.fetches.plan != nil
	if !last {
		if err := c.fetchUnasked(ctx); err != nil {
			return err
		}
	}
	if err := c.tellContexts(ctx); err != nil || !last {
		return err
	}
	return c.fetchUnasked(ctx)
}

// noteArrived notes what NOTIFY will tell of messages above a UID, but for those that
// the client itself put there (RFC 5465, section 5.2).
func (c *conn) noteArrived(above mailaccess.UID) {
	if top := c.view.UIDs().Max(); c.notify != nil && !c.notify.silent() && top > above {
		c.notify.fetches.want(c.view.UIDs().Intersect(mailaccess.UIDSetRange(above+1, top)).Minus(c.created))
	}
}

// fetchUnasked tells all that is to be told of new messages, of each in one response.
// What the store cannot say now is told another time.
func (c *conn) fetchUnasked(ctx context.Context) error {
	var wanted []*unasked
	var all mailaccess.UIDSet
	add := func(u *unasked) {
		if u.uids = u.uids.Intersect(c.view.UIDs()); !u.uids.IsEmpty() {
			wanted, all = append(wanted, u), all.Union(u.uids)
		}
	}
	if c.notify != nil && !c.notify.silent() {
		add(&c.notify.fetches)
	}
	for _, x := range c.contexts {
		add(&x.fetches)
	}
	for who, uids := range alike(all, wanted) {
		f := fetch{how: byUID}
		for _, u := range wantedBy(who, wanted) {
			f.plan.addAll(u.plan)
		}
		err := f.of(ctx, c, uids)
		if c.w.Err() != nil {
			return c.w.Err()
		}
		if err != nil && !errors.As(err, new(*statusError)) { // else: one may be gone already
			c.log().Warn("fetching what arrived", zap.Error(err))
			c.view.TryAgain()
			return nil
		}
		for _, u := range wantedBy(who, wanted) {
			u.uids = u.uids.Minus(uids)
		}
	}
	return nil
}

// alike yields sets of messages of which the same is wanted, and by whom, as bits.
func alike(uids mailaccess.UIDSet, wanted []*unasked) iter.Seq2[uint32, mailaccess.UIDSet] {
	groups := make(map[uint32]*mailaccess.UIDSetBuilder)
	for uid := range uids.All() {
		who := uint32(0)
		for i, u := range wanted {
			if u.uids.Contains(uid) {
				who |= 1 << i
			}
		}
		if groups[who] == nil {
			groups[who] = new(mailaccess.UIDSetBuilder)
		}
		groups[who].AddUID(uid)
	}
	return func(yield func(uint32, mailaccess.UIDSet) bool) {
		for _, who := range slices.Sorted(maps.Keys(groups)) {
			if !yield(who, groups[who].Set()) {
				return
			}
		}
	}
}

func wantedBy(who uint32, wanted []*unasked) (by []*unasked) {
	for i, u := range wanted {
		if who&(1<<i) != 0 {
			by = append(by, u)
		}
	}
	return by
}

// addAll adds what another plan asks for.
func (p *fetchPlan) addAll(other *fetchPlan) {
	for _, item := range other.items {
		p.add(item)
	}
	p.sees = p.sees || other.sees
}
