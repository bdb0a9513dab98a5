package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

func historyMutants() map[string]mutant {
	return map[string]mutant{
		"vanished entries are dropped": in("Expunge/Vanished", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) { c.Vanished = listed[mailaccess.Vanished](nil, nil) }
		}),
		"vanished entries have the wrong number": in("Expunge/Vanished", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) {
				all, err := collect(c.Vanished)
				for i := range all {
					all[i].ModSeq--
				}
				c.Vanished = listed(all, err)
			}
		}),
		"what came and went since is left out": in("MailboxChanges/FromEveryPoint", func(a *bentAccount) {
			var since mailaccess.ModSeq
			a.since = func(n mailaccess.ModSeq) mailaccess.ModSeq { since = n; return n }
			a.changes = func(c *mailaccess.MailboxChanges) {
				all, err := collect(c.Vanished)
				all = slices.DeleteFunc(all, func(v mailaccess.Vanished) bool { return v.Created > since })
				c.Vanished = listed(all, err)
			}
		}),
		"a change is left out": in("Model/Seed2", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) {
				all, err := collect(c.Messages)
				c.Messages = listed(all[:max(0, len(all)-1)], err)
			}
		}),
		"changes say too much": in("MailboxChanges/FromEveryPoint", func(a *bentAccount) {
			a.since = func(since mailaccess.ModSeq) mailaccess.ModSeq { return max(since, 1) - 1 }
		}),
		"UpTo is ahead": in("MailboxChanges/FromEveryPoint", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) { c.UpTo++ }
		}),
		"the future is answered": in("MailboxChanges/NeverReached", func(a *bentAccount) {
			a.since = func(since mailaccess.ModSeq) mailaccess.ModSeq {
				c, _ := a.Account.Changes(context.Background(), mailaccess.State{})
				return min(since, c.UpTo.ModSeq)
			}
		}),
		"the floor is not told": in("MailboxChanges/Floor", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) { c.Floor = 0 }
		}),
		"what is live is cut at the floor": in("MailboxChanges/Floor", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) {
				floor := c.Floor
				all, err := collect(c.Messages)
				all = slices.DeleteFunc(all, func(m mailaccess.Message) bool { return m.ModSeq <= floor })
				c.Messages = listed(all, err)
			}
		}),
		"a deleted mailbox forgets a message": in("Delete/Vanish", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) {
				all, err := collect(c.Vanished)
				c.Vanished = listed(all[:max(len(all)-1, 0)], err)
			}
		}),
		"another epoch is answered": in("Changes/Epoch", func(a *bentAccount) {
			own, _ := a.Account.Changes(context.Background(), mailaccess.State{})
			a.allSince = func(since mailaccess.State) mailaccess.State {
				if since.Epoch != "" {
					since.Epoch = own.UpTo.Epoch
				}
				return since
			}
		}),
		"subscriptions do not show": in("Subscriptions/Changes", func(a *bentAccount) {
			a.all = func(c *mailaccess.AccountChanges) { c.Subscriptions = false }
		}),
		"the account leaves out a mailbox": in("Changes/FromEveryPoint", func(a *bentAccount) {
			a.all = func(c *mailaccess.AccountChanges) { c.Mailboxes = c.Mailboxes[:max(0, len(c.Mailboxes)-1)] }
		}),
		"the mailbox's number falls": in("Numbers/MailboxNeverFalls", func(a *bentAccount) {
			a.status = func(s *mailaccess.Status) {
				last := s.Created
				for m := range a.Account.Messages(context.Background(), s.ID, everyUID()) {
					last = max(last, m.ModSeq)
				}
				s.ModSeq = last
			}
		}),
		"numbers become visible out of order": {"Order/NothingNewAtOrBelow", lagging},
		"a follower misses what came late":    in("Order/FollowingMissesNothing", hasty),
		"a status of two instants": in("Concurrency/OneInstant", func(a *bentAccount) {
			a.snapshot = func(s *mailaccess.Snapshot) {
				dawdle()
				later, _ := a.Account.Snapshot(context.Background(), s.ID)
				s.UIDs = later.UIDs
			}
		}),
	}
}

// lagging shows one mailbox as it was some calls ago.
func lagging(b *bent) {
	var mu sync.Mutex
	var shown mailaccess.Status
	calls := 0
	b.account = func(a *bentAccount) {
		a.status = func(s *mailaccess.Status) {
			if s.Name != "b" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if calls++; calls%3 == 0 || shown.ID == "" {
				shown = *s
			}
			*s = shown
		}
	}
}

// hasty says that its answer goes up to a number that it has not looked at.
func hasty(a *bentAccount) {
	a.changes = func(c *mailaccess.MailboxChanges) {
		dawdle()
		now, err := a.Account.Changes(context.Background(), mailaccess.State{})
		if err == nil {
			c.UpTo = now.UpTo.ModSeq
		}
	}
}

func watchMutants() map[string]mutant {
	filter := func(keep func(mailaccess.Ring) (mailaccess.Ring, bool)) func(*bent) {
		return func(b *bent) {
			b.watch = func(inner mailaccess.Store, ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
				return inner.Watch(ctx, func(r mailaccess.Ring) {
					if r, ok := keep(r); ok {
						ring(r)
					}
				})
			}
		}
	}
	var n atomic.Int32
	return map[string]mutant{
		"no ring for mailboxes": {"Watch/Mailboxes", filter(func(r mailaccess.Ring) (mailaccess.Ring, bool) { return r, r.Mailbox != "" })},
		"no ring for messages":  {"Watch/Flags", filter(func(r mailaccess.Ring) (mailaccess.Ring, bool) { return r, r.Mailbox == "" })},
		"some rings are lost":   {"Watch/Append", filter(func(r mailaccess.Ring) (mailaccess.Ring, bool) { return r, n.Add(1)%3 != 0 })},
		"rings announce the future": {"Watch/Append", filter(func(r mailaccess.Ring) (mailaccess.Ring, bool) {
			r.ModSeq++
			return r, true
		})},
		"it rings before the commit": {"Watch/Append", func(b *bent) {
			var mu sync.Mutex
			var bell func(mailaccess.Ring)
			b.watch = func(_ mailaccess.Store, _ context.Context, ring func(mailaccess.Ring)) (func(), error) {
				mu.Lock()
				defer mu.Unlock()
				bell = ring
				return func() {}, nil
			}
			b.account = func(a *bentAccount) {
				inner := a.caps.Append
				a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
					mu.Lock()
					ring := bell
					mu.Unlock()
					ring(mailaccess.Ring{Account: "user@example.org", Mailbox: box})
					return inner.Append(ctx, box, msgs)
				}}
			}
		}},
		"it rings after stop": {"Watch/StopIsFinal", func(b *bent) {
			b.watch = func(inner mailaccess.Store, ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
				_, err := inner.Watch(ctx, ring)
				return func() {}, err
			}
		}},
		"a ring with a lock held": {"Watch/Append", func(b *bent) {
			lock := make(chan struct{}, 1)
			b.account = func(a *bentAccount) {
				inner := a.caps.Append
				a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
					lock <- struct{}{}
					defer func() { <-lock }()
					return inner.Append(ctx, box, msgs)
				}}
				a.all = func(c *mailaccess.AccountChanges) {
					waitForLock(lock)
				}
			}
		}},
	}
}
