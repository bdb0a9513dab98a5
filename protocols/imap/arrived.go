package imap

import (
	"context"
	"errors"
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
	wanted := c.wanted()
	if len(wanted) == 0 {
		return nil
	}
	for _, g := range alike(wanted) {
		var plan fetchPlan
		if !c.has(enabledUIDOnly) {
			// The UID tells which message it is when numbers have moved on; UIDFETCH tells it
			// anyway (RFC 9586, section 3).
			plan.add(fetchItem{kind: fetchUID})
		}
		for _, u := range g.by {
			plan.addAll(u.plan)
		}
		// One by one, so that what was sent is not sent again.
		for uid := range g.uids.All() {
			one := mailaccess.UIDSetOf(uid)
			f := fetch{how: byUID, plan: plan}
			err := f.of(ctx, c, one)
			if c.w.Err() != nil {
				return c.w.Err()
			}
			if err != nil && !errors.As(err, new(*statusError)) { // else: it may be gone already
				c.log().Warn("fetching what arrived", zap.Error(err))
				if mailaccess.KindOf(err) == mailaccess.KindUnavailable {
					c.view.TryAgain()
					return nil
				}
			}
			for _, u := range g.by {
				u.uids = u.uids.Minus(one)
			}
		}
	}
	return nil
}

// wanted are those that want something told.
func (c *conn) wanted() []*unasked {
	var wanted []*unasked
	if n := c.notify; n != nil && !n.silent() && !n.fetches.uids.IsEmpty() {
		wanted = append(wanted, &n.fetches)
	}
	for _, x := range c.contexts {
		if !x.fetches.uids.IsEmpty() {
			wanted = append(wanted, &x.fetches)
		}
	}
	return wanted
}

// wantedAlike are messages of which the same is wanted.
type wantedAlike struct {
	by   []*unasked
	uids mailaccess.UIDSet
}

// alike sorts out of which messages the same is wanted.
func alike(wanted []*unasked) []wantedAlike {
	var all mailaccess.UIDSet
	for _, u := range wanted {
		all = all.Union(u.uids)
	}
	sets := make(map[uint32]*mailaccess.UIDSetBuilder) // by who wants them, as bits
	for uid := range all.All() {
		who := uint32(0)
		for i, u := range wanted {
			if u.uids.Contains(uid) {
				who |= 1 << i
			}
		}
		if sets[who] == nil {
			sets[who] = new(mailaccess.UIDSetBuilder)
		}
		sets[who].AddUID(uid)
	}
	groups := make([]wantedAlike, 0, len(sets))
	for _, who := range slices.Sorted(maps.Keys(sets)) {
		g := wantedAlike{uids: sets[who].Set()}
		for i, u := range wanted {
			if who&(1<<i) != 0 {
				g.by = append(g.by, u)
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// addAll adds what another plan asks for.
func (p *fetchPlan) addAll(other *fetchPlan) {
	for _, item := range other.items {
		if item.kind == fetchBinary || item.kind == fetchBinarySize {
			// Its place is another one here.
			item.alike, _ = p.binaryAlike(&item)
		}
		p.add(item)
	}
	p.sees = p.sees || other.sees
}
