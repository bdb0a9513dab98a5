package storetest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// invalid is an error of a kind that is right nowhere it is used.
var invalid = &mailaccess.Error{Kind: mailaccess.KindInternal, Op: "mutant"}

// moreMutants are the simple ones.
func moreMutants() map[string]mutant {
	all := map[string]mutant{
		"missing is internal": in("Mailboxes/Missing", func(a *bentAccount) {
			a.lookup = func(string) string { return mailaccess.Inbox }
		}),
		"a new mailbox has an old number": in("Mailboxes/Create", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				m, err := inner.CreateMailbox(ctx, name, use)
				m.Created--
				return m, err
			}}
		}),
		"the use is lost": in("Mailboxes/SpecialUse", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, _ mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				return inner.CreateMailbox(ctx, name, 0)
			}}
		}),
		"a rename below itself": renamed("Rename/BelowItself", mailaccess.KindInvalid),
		"a rename onto another": renamed("Rename/Taken", mailaccess.KindExists),
		"UIDs of a failed upload": in("Staged/Vanishes", func(a *bentAccount) {
			a.caps.Append = stagedAppender{a.caps.Append, func(s mailaccess.Staged) mailaccess.Staged {
				inbox, _ := a.Account.Lookup(context.Background(), mailaccess.Inbox)
				return committing{s, func() {
					a.Account.Capabilities().Append.Append(context.Background(), inbox.ID, []mailaccess.NewMessage{{Staged: s}})
				}}
			}}
		}),
		"writing on after Content": in("Staged/WriteAfterContent", func(a *bentAccount) {
			a.caps.Append = stagedAppender{a.caps.Append, func(s mailaccess.Staged) mailaccess.Staged { return deaf{s} }}
		}),
		"an upload holds a lock": {"Staged/HoldsNoLock", func(b *bent) {
			lock := make(chan struct{}, 1)
			b.account = func(a *bentAccount) {
				a.caps.Append = stagedAppender{a.caps.Append, func(s mailaccess.Staged) mailaccess.Staged {
					select {
					case lock <- struct{}{}:
					case <-time.After(400 * time.Millisecond):
						return s
					}
					return committing{s, func() { <-lock }}
				}}
			}
		}},
		"an opened content dies": in("Content/OpenedSurvives", func(a *bentAccount) {
			var mu sync.Mutex
			gone, inner := false, a.caps.Expunge
			a.caps.Expunge = expungeFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
				mu.Lock()
				defer mu.Unlock()
				gone = true
				return inner.Expunge(ctx, box, uids, need)
			})
			a.content = func(c mailaccess.Content) mailaccess.Content {
				return dyingContent{c, func() bool { mu.Lock(); defer mu.Unlock(); return gone }}
			}
		}),
		"nothing is retained": in("Content/Retained", func(a *bentAccount) {
			a.contentOf = func(id mailaccess.EmailID) error {
				if places, _ := collect(a.caps.Locate.Locate(context.Background(), []mailaccess.EmailID{id})); len(places) == 0 {
					return &mailaccess.Error{Kind: mailaccess.KindContentGone}
				}
				return nil
			}
		}),
		"nothing is retained of a mailbox": in("Content/RetainedOfDeleted", func(a *bentAccount) {
			a.contentOf = func(id mailaccess.EmailID) error {
				if places, _ := collect(a.caps.Locate.Locate(context.Background(), []mailaccess.EmailID{id})); len(places) == 0 {
					return &mailaccess.Error{Kind: mailaccess.KindContentGone}
				}
				return nil
			}
		}),
		"one id for all": in("Content/EmailIDNamesContent", func(a *bentAccount) {
			inner := a.caps.Append
			a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
				res, err := inner.Append(ctx, box, msgs)
				for i := range res.Messages {
					res.Messages[i].EmailID = "one"
				}
				return res, err
			}}
		}),
		"a move within a mailbox": in("Move/SameMailbox", func(a *bentAccount) {
			inner := a.caps.Move
			a.caps.Move = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				if src == dst {
					return mailaccess.Copied{Source: uids, Dest: uids}, nil
				}
				return inner.Move(ctx, src, uids, dst)
			})
		}),
		"the error names the wrong mailbox": in("Copy/MissingMailbox", func(a *bentAccount) {
			inner := a.caps.Copy
			a.caps.Copy = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				res, err := inner.Copy(ctx, src, uids, dst)
				var e *mailaccess.Error
				if errors.As(err, &e) {
					err = &mailaccess.Error{Kind: e.Kind, Mailbox: "another"}
				}
				return res, err
			})
		}),
		"the source's UIDVALIDITY": in("Copy/One", func(a *bentAccount) {
			inner := a.caps.Copy
			a.caps.Copy = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				res, err := inner.Copy(ctx, src, uids, dst)
				res.UIDValidity++
				return res, err
			})
		}),
		"nothing new is everything": in("MailboxChanges/NothingNew", func(a *bentAccount) {
			a.since = func(mailaccess.ModSeq) mailaccess.ModSeq { return 0 }
		}),
		"UpTo goes back": in("MailboxChanges/SinceTheAccountsNumber", func(a *bentAccount) {
			a.changes = func(c *mailaccess.MailboxChanges) { c.UpTo = 1 }
		}),
		"the account's future is answered": in("Changes/NeverReached", func(a *bentAccount) {
			a.allSince = func(s mailaccess.State) mailaccess.State {
				now, _ := a.Account.Changes(context.Background(), mailaccess.State{})
				s.ModSeq = min(s.ModSeq, now.UpTo.ModSeq)
				return s
			}
		}),
		"deleted mailboxes are forgotten in silence": in("Changes/FloorOfDeleted", func(a *bentAccount) {
			a.allSince = func(s mailaccess.State) mailaccess.State {
				if _, err := a.Account.Changes(context.Background(), s); err != nil {
					now, _ := a.Account.Changes(context.Background(), mailaccess.State{})
					return now.UpTo
				}
				return s
			}
		}),
		"a change inside a listing lists twice": in("Listing/ChangesInside", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				return func(yield func(mailaccess.Message, error) bool) {
					for since := mailaccess.ModSeq(0); ; { // by number, so that what changes comes again
						next := mailaccess.Message{}
						for m, err := range a.Account.Messages(ctx, box, uids) {
							if err == nil && m.ModSeq > since && (next.UID == 0 || m.ModSeq < next.ModSeq) {
								next = m
							}
						}
						if next.UID == 0 || !yield(next, nil) {
							return
						}
						since = next.ModSeq
					}
				}
			}
		}),
		"an error with a value": in("Context/EndedBeforeListing", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				return func(yield func(mailaccess.Message, error) bool) { yield(mailaccess.Message{UID: 1}, ctx.Err()) }
			}
		}),
		"an ended context is an internal error": in("Context/EndedBefore", func(a *bentAccount) {
			a.boxes = func(all []mailaccess.Mailbox) []mailaccess.Mailbox { return all }
			inner := a.Account
			a.Account = failingStatus{inner}
		}),
		"reading takes rights": {"Rights/ReadOnlyReads", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if who.Without != 0 {
					who.Without = mailaccess.RightsAll &^ mailaccess.RightInsert
				}
				return who
			}
		}},
		"rights are those of the first who came": {"Rights/TwoSessions", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				who.Without = 0
				return who
			}
		}},
		"a search for nothing": in("Search/MissingMailbox", func(a *bentAccount) {
			a.caps.Search = searchFunc(func(context.Context, mailaccess.MailboxID, mailaccess.Expr) (mailaccess.Found, error) {
				return mailaccess.Found{}, nil
			})
		}),
		"a search of yesterday": in("Search/UnderChanges", func(a *bentAccount) {
			var last mailaccess.Found
			inner := a.caps.Search
			a.caps.Search = searchFunc(func(ctx context.Context, box mailaccess.MailboxID, x mailaccess.Expr) (mailaccess.Found, error) {
				now, err := inner.Search(ctx, box, x)
				old := mailaccess.Found{UIDs: last.UIDs, UpTo: now.UpTo}
				last = now
				return old, err
			})
		}),
		"derived bytes of another": in("Derived/WhatComesBackIsRight", func(a *bentAccount) {
			a.caps.Derived = addOnly{a.caps.Derived, map[mailaccess.EmailID]bool{}}
		}),
		"one lease for all names": in("Lease/Names", func(a *bentAccount) {
			inner := a.caps.Lease
			a.caps.Lease = leaseFunc(func(ctx context.Context, _ string, ttl time.Duration) (mailaccess.Lease, error) {
				return inner.Lease(ctx, "one", ttl)
			})
		}),
		"a closed account's contents are closed": in("Close/Account", func(a *bentAccount) {
			a.content = func(c mailaccess.Content) mailaccess.Content {
				return dyingContent{c, func() bool { return true }}
			}
		}),
		"contents outlive the store": {"Close/StoreWithContents", func(b *bent) { b.Store = unclosed{b.Store} }},
	}
	return all
}

// renamed answers nil where the rename of mailbox "a" should be refused.
func renamed(check string, kind mailaccess.Kind) mutant {
	return in(check, func(a *bentAccount) {
		inner := a.caps.Mailboxes
		a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, rename: func(ctx context.Context, box mailaccess.MailboxID, name string) error {
			err := inner.RenameMailbox(ctx, box, name)
			if errors.Is(err, kind) {
				return nil
			}
			return err
		}}
	})
}

// stagedAppender wraps what Stage returns, and hands the inner one to Append.
type stagedAppender struct {
	mailaccess.Appender
	wrap func(mailaccess.Staged) mailaccess.Staged
}

func (s stagedAppender) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	st, err := s.Appender.Stage(ctx, size)
	if err != nil {
		return nil, err
	}
	return s.wrap(st), nil
}

func (s stagedAppender) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	inner := append([]mailaccess.NewMessage(nil), msgs...)
	for i, m := range inner {
		switch st := m.Staged.(type) {
		case committing:
			inner[i].Staged = st.Staged
		case deaf:
			inner[i].Staged = st.Staged
		}
	}
	return s.Appender.Append(ctx, box, inner)
}

// committing does something when it is closed.
type committing struct {
	mailaccess.Staged
	closing func()
}

func (c committing) Close() error {
	c.closing()
	return c.Staged.Close()
}

// deaf takes what is written too late, and loses it.
type deaf struct{ mailaccess.Staged }

func (d deaf) Write(p []byte) (int, error) {
	if n, err := d.Staged.Write(p); err == nil {
		return n, nil
	}
	return len(p), nil
}

// dyingContent cannot be read any more once dead.
type dyingContent struct {
	mailaccess.Content
	dead func() bool
}

func (c dyingContent) Size() int64 {
	if c.dead() {
		return 0
	}
	return c.Content.Size()
}

// failingStatus fails in its own way when the context has ended.
type failingStatus struct{ mailaccess.Account }

func (f failingStatus) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	if ctx.Err() != nil {
		return mailaccess.Status{}, invalid
	}
	return f.Account.Status(ctx, box)
}

// addOnly keeps the first value for ever.
type addOnly struct {
	mailaccess.DerivedCache
	have map[mailaccess.EmailID]bool
}

func (a addOnly) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	for _, d := range items {
		if !a.have[d.ID] {
			a.have[d.ID] = true
			if err := a.DerivedCache.PutDerived(ctx, kind, []mailaccess.Derived{d}); err != nil {
				return err
			}
		}
	}
	return nil
}
