package storetest

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func listingMutants() map[string]mutant {
	return map[string]mutant{
		"descending": in("Listing/Subset", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				all, err := collect(a.Account.Messages(ctx, box, uids))
				slices.Reverse(all)
				return listed(all, err)
			}
		}),
		"a gap is an error": in("Listing/Subset", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				all, err := collect(a.Account.Messages(ctx, box, uids))
				if err == nil && len(all) < uids.Len() {
					err = &mailaccess.Error{Kind: mailaccess.KindNotFound}
				}
				return listed(all, err)
			}
		}),
		"a lock is held while yielding": {"Listing/OpenWhileOthersWork", func(b *bent) {
			lock := make(chan struct{}, 1)
			b.account = func(a *bentAccount) {
				a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
					return func(yield func(mailaccess.Message, error) bool) {
						lock <- struct{}{}
						defer func() { <-lock }()
						a.Account.Messages(ctx, box, uids)(yield)
					}
				}
				inner := a.caps.Append
				a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
					waitForLock(lock)
					return inner.Append(ctx, box, msgs)
				}}
			}
		}},
		"a listing by position": in("Listing/ExpungeInside", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				return func(yield func(mailaccess.Message, error) bool) {
					for i := 0; ; i++ {
						all, err := collect(a.Account.Messages(ctx, box, uids))
						if err != nil || i >= len(all) || !yield(all[i], nil) {
							return
						}
					}
				}
			}
		}),
		"it goes on after an error": in("Context/EndedDuringListing", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				return func(yield func(mailaccess.Message, error) bool) {
					for m, err := range a.Account.Messages(context.WithoutCancel(ctx), box, uids) {
						if ctx.Err() != nil {
							m, err = mailaccess.Message{}, ctx.Err()
						}
						if !yield(m, err) {
							return
						}
					}
				}
			}
		}),
		"it ends early without an error": in("Context/EndedDuringListing", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				return func(yield func(mailaccess.Message, error) bool) {
					for m, err := range a.Account.Messages(ctx, box, uids) {
						if ctx.Err() != nil || !yield(m, err) {
							return
						}
					}
				}
			}
		}),
		"goroutines are left": in("Close/NoGoroutines", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				go func() { <-ctx.Done() }()
				return a.Account.Messages(ctx, box, uids)
			}
		}),
		"a closed store answers": {"Close/Store", func(b *bent) { b.Store = unclosed{b.Store} }},
	}
}

// waitForLock waits for a lock to be free, longer than a check is patient but not
// for ever.
func waitForLock(lock chan struct{}) {
	select {
	case lock <- struct{}{}:
		<-lock
	case <-time.After(400 * time.Millisecond):
	}
}

// dawdle gives others the time to get in between.
func dawdle() {
	for range 200 {
		runtime.Gosched()
	}
}

type unclosed struct{ mailaccess.Store }

func (unclosed) Close() error { return nil }

func optionalMutants() map[string]mutant {
	return map[string]mutant{
		"a search misses": in("Search/NeverMisses", func(a *bentAccount) {
			inner := a.caps.Search
			a.caps.Search = searchFunc(func(ctx context.Context, box mailaccess.MailboxID, x mailaccess.Expr) (mailaccess.Found, error) {
				f, err := inner.Search(ctx, box, x)
				if f.UIDs.Len() > 3 {
					f.UIDs = f.UIDs.Without(f.UIDs.Select(2))
				}
				return f, err
			})
		}),
		"a search is not as exact as it says": in("Search/NeverMisses", func(a *bentAccount) {
			inner := a.caps.Search
			a.caps.Search = searchFunc(func(ctx context.Context, box mailaccess.MailboxID, x mailaccess.Expr) (mailaccess.Found, error) {
				f, err := inner.Search(ctx, box, x)
				f.UIDs, f.Exact = f.UIDs.Union(mailaccess.UIDSetRange(1, 10)), true
				return f, err
			})
		}),
		"kinds are mixed up": in("Derived/Kinds", func(a *bentAccount) {
			a.caps.Derived = oneKind{a.caps.Derived}
		}),
		"a lease for everybody": in("Lease/Exclusive", func(a *bentAccount) {
			inner := a.caps.Lease
			a.caps.Lease = leaseFunc(func(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
				return inner.Lease(ctx, name, time.Nanosecond)
			})
		}),
		"a lease for ever": in("Lease/RunsOut", func(a *bentAccount) {
			inner := a.caps.Lease
			a.caps.Lease = leaseFunc(func(ctx context.Context, name string, _ time.Duration) (mailaccess.Lease, error) {
				return inner.Lease(ctx, name, time.Hour)
			})
		}),
		"claiming does not claim": in("Recent/Claim", func(a *bentAccount) {
			a.caps.Recent = unclaimed{a.caps.Recent}
		}),
		"one place is enough": in("Locate/EveryPlace", func(a *bentAccount) {
			inner := a.caps.Locate
			a.caps.Locate = locateFunc(func(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
				all, err := collect(inner.Locate(ctx, ids))
				return listed(all[:min(1, len(all))], err)
			})
		}),
	}
}

type oneKind struct{ mailaccess.DerivedCache }

func (o oneKind) Derived(ctx context.Context, _ mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return o.DerivedCache.Derived(ctx, "x", ids)
}

func (o oneKind) PutDerived(ctx context.Context, _ mailaccess.DerivedKind, items []mailaccess.Derived) error {
	return o.DerivedCache.PutDerived(ctx, "x", items)
}

type unclaimed struct{ mailaccess.RecentKeeper }

func (u unclaimed) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return u.Recent(ctx, box)
}
