package storetest

import (
	"bytes"
	"context"
	"iter"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

type hostileSubscriber struct{ a *hostileAccount }

func (x hostileSubscriber) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	return fragile(x.a.h, "subscriptions", x.a.caps.Subscriptions.Subscriptions(ctx))
}

func (x hostileSubscriber) Subscribe(ctx context.Context, name string, on bool) error {
	return x.a.h.change("subscribe", func() error { return x.a.caps.Subscriptions.Subscribe(ctx, name, on) })
}

type hostileSearcher struct{ a *hostileAccount }

// Search declines a third of the time, and finds too much a third.
func (x hostileSearcher) Search(ctx context.Context, box mailaccess.MailboxID, e mailaccess.Expr) (mailaccess.Found, error) {
	if err := x.a.h.unavailable("search"); err != nil {
		return mailaccess.Found{}, err
	}
	mood := x.a.h.below(3)
	if mood == 0 {
		return mailaccess.Found{}, mailaccess.ErrSkip
	}
	found, err := x.a.caps.Search.Search(ctx, box, e)
	if err != nil || mood == 1 {
		return found, err
	}
	s, err := x.a.inner.Snapshot(ctx, box)
	if err != nil {
		return mailaccess.Found{}, err
	}
	found.Exact = false
	for uid := range s.UIDs.All() {
		if x.a.h.below(3) == 0 {
			found.UIDs = found.UIDs.With(uid)
		}
	}
	return found, nil
}

type hostileDerived struct{ a *hostileAccount }

// Derived forgets half, and overwrites what it yielded when the loop goes on.
func (x hostileDerived) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return fragile(x.a.h, "derived", func(yield func(mailaccess.Derived, error) bool) {
		for d, err := range x.a.caps.Derived.Derived(ctx, kind, ids) {
			if err == nil && x.a.h.below(2) == 0 {
				continue
			}
			own := bytes.Clone(d.Bytes)
			more := yield(mailaccess.Derived{ID: d.ID, Bytes: own}, err)
			for i := range own {
				own[i] = 0xff
			}
			if !more {
				return
			}
		}
	})
}

func (x hostileDerived) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	if err := x.a.h.unavailable("put derived"); err != nil {
		return err
	}
	return x.a.caps.Derived.PutDerived(ctx, kind, items)
}

type hostileLeaser struct{ a *hostileAccount }

func (x hostileLeaser) Lease(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
	if err := x.a.h.unavailable("lease"); err != nil {
		return nil, err
	}
	return x.a.caps.Lease.Lease(ctx, name, ttl)
}

type hostileRecent struct{ a *hostileAccount }

func (x hostileRecent) Recent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	if err := x.a.h.unavailable("recent"); err != nil {
		return 0, err
	}
	return x.a.caps.Recent.Recent(ctx, box)
}

func (x hostileRecent) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	if err := x.a.h.unavailable("claim recent"); err != nil {
		return 0, err
	}
	return x.a.caps.Recent.ClaimRecent(ctx, box)
}

type hostileLocator struct{ a *hostileAccount }

func (x hostileLocator) Locate(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	return fragile(x.a.h, "locate", x.a.caps.Locate.Locate(ctx, ids))
}

type hostileUniqueIDs struct{ a *hostileAccount }

func (x hostileUniqueIDs) UniqueIDs(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.UniqueID, error] {
	return fragile(x.a.h, "list unique-ids", x.a.caps.UniqueIDs.UniqueIDs(ctx, box, uids))
}

type hostileHolder struct{ a *hostileAccount }

func (x hostileHolder) Hold(ctx context.Context, box mailaccess.MailboxID) (func(), error) {
	if err := x.a.h.unavailable("hold"); err != nil {
		return nil, err
	}
	return x.a.caps.Hold.Hold(ctx, box)
}
