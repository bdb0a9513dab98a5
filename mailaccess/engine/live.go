package engine

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// LiveSearch is a search whose result is brought up to date as its view is (RFC 5267,
// section 4.3). It belongs to the view's goroutine, and ends with the view.
type LiveSearch struct {
	v     *View
	found mailaccess.UIDSet
	upTo  mailaccess.ModSeq
}

// SearchLive searches, as [View.Search] does, for a result that will be kept.
func (v *View) SearchLive(ctx context.Context, e mailaccess.Expr, o SearchOptions) (*LiveSearch, error) {
	// What changes while the search runs is looked at again.
	l := &LiveSearch{v: v, upTo: v.applied}
	o.Limit = 0
	var err error
	l.found, err = v.Search(ctx, e, o)
	return l, err
}

// Found returns the messages that match, as of the last update.
func (l *LiveSearch) Found() mailaccess.UIDSet { return l.found }

// Forget takes messages out of the result, and returns those that were in it.
func (l *LiveSearch) Forget(uids mailaccess.UIDSet) mailaccess.UIDSet {
	gone := l.found.Intersect(uids)
	l.found = l.found.Minus(gone)
	return gone
}

// Stale reports whether the view knows more than the result does.
func (l *LiveSearch) Stale() bool {
	return l.upTo != l.v.applied || !l.found.Intersect(l.v.gone).IsEmpty()
}

// Update brings the result to where the view is, and returns what changed: messages
// whose removal the client was not told of yet among removed. Only what changed is
// asked, unless all is set, which an expression needs whose answer changes by itself,
// as those do that compare with the present time. On an error nothing has changed.
func (l *LiveSearch) Update(ctx context.Context, e mailaccess.Expr, all bool) (added, removed mailaccess.UIDSet, err error) {
	v := l.v
	upTo := v.applied
	there := v.uids.Minus(v.gone)
	now := l.found.Intersect(there)
	switch {
	case all:
		now, err = v.Search(ctx, e, SearchOptions{})
		now = now.Intersect(there)
	case l.upTo != upTo:
		now, err = l.again(ctx, e, now, there)
	}
	if err != nil {
		return added, removed, err
	}
	added, removed = now.Minus(l.found), l.found.Minus(now)
	l.found, l.upTo = now, upTo
	return added, removed, nil
}

// again asks the messages that changed, and returns what now is with their answers.
func (l *LiveSearch) again(ctx context.Context, e mailaccess.Expr, now, there mailaccess.UIDSet) (mailaccess.UIDSet, error) {
	m, err := query.Compile(e, nil)
	if err != nil {
		return now, err
	}
	changes, err := l.v.s.acct.MailboxChanges(ctx, l.v.at.ID, l.upTo)
	if err != nil {
		return now, err
	}
	var changed mailaccess.UIDSetBuilder
	s := search{v: l.v, m: m, batch: searchBatch}
	err = s.look(ctx, func(yield func(mailaccess.Message, error) bool) {
		for msg, err := range changes.Messages {
			if err == nil && !there.Contains(msg.UID) {
				continue
			}
			changed.AddUID(msg.UID)
			if !yield(msg, err) {
				return
			}
		}
	})
	return now.Minus(changed.Set()).Union(s.found.Set()), err
}
