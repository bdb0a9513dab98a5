package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Each mutant breaks one promise, and the check that guards it must say so.
func TestTheSuiteBites(t *testing.T) {
	all := mutants()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		t.Run(name, func(t *testing.T) {
			c := find(t, m.check)
			r := record(t, c, func(t testing.TB) Harness { return harnessOf(t, m.bend) })
			if r.skipped != "" {
				t.Fatalf("%s was skipped: %s", m.check, r.skipped)
			}
			if !r.Failed() {
				t.Fatalf("%s passes over a store that breaks it", m.check)
			}
			t.Logf("%s: %s", m.check, r.failures[0])
		})
	}
}

// A check that fails over a broken store must pass over the whole one, wrapped
// the same way.
func TestTheSuiteDoesNotBiteForNothing(t *testing.T) {
	for _, m := range mutants() {
		r := record(t, find(t, m.check), func(t testing.TB) Harness {
			h := harnessOf(t, func(b *bent) { b.account = func(*bentAccount) {} })
			h.Patience = 0
			return h
		})
		if r.Failed() || r.skipped != "" {
			t.Errorf("%s: %q %s", m.check, r.failures, r.skipped)
		}
	}
}

type mutant struct {
	check string
	bend  func(*bent)
}

// in bends every account.
func in(check string, bend func(a *bentAccount)) mutant {
	return mutant{check, func(b *bent) { b.account = bend }}
}

func mutants() map[string]mutant {
	all := map[string]mutant{}
	for _, some := range []map[string]mutant{
		mailboxMutants(), messageMutants(), changeMutants(), historyMutants(), watchMutants(), listingMutants(), optionalMutants(),
	} {
		maps.Copy(all, some)
	}
	return all
}

func mailboxMutants() map[string]mutant {
	return map[string]mutant{
		"mailboxes unsorted": in("Mailboxes/Order", func(a *bentAccount) {
			a.boxes = func(all []mailaccess.Mailbox) []mailaccess.Mailbox { slices.Reverse(all); return all }
		}),
		"INBOX in any case": in("Mailboxes/Inbox", func(a *bentAccount) {
			a.lookup = func(name string) string {
				if name == "inbox" {
					return mailaccess.Inbox
				}
				return name
			}
		}),
		"a taken name is given": in("Mailboxes/CreateTaken", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				m, err := inner.CreateMailbox(ctx, name, use)
				if errors.Is(err, mailaccess.KindExists) {
					return a.Account.Lookup(ctx, name)
				}
				return m, err
			}}
		}),
		"levels are made": in("Mailboxes/CreateDoesNotMakeLevels", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				for i := range name {
					if name[i] == '/' {
						inner.CreateMailbox(ctx, name[:i], 0)
					}
				}
				return inner.CreateMailbox(ctx, name, use)
			}}
		}),
		"a rename leaves children": in("Rename/Subtree", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, rename: func(ctx context.Context, box mailaccess.MailboxID, name string) error {
				err := inner.RenameMailbox(ctx, box, name)
				if m, lost := a.Account.Lookup(ctx, name+"/b"); lost == nil {
					inner.RenameMailbox(ctx, m.ID, "a/b")
				}
				return err
			}}
		}),
		"a deletion takes children along": in("Delete/ChildrenStay", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, remove: func(ctx context.Context, box mailaccess.MailboxID) error {
				if m, err := a.Account.Lookup(ctx, "a/b"); err == nil {
					inner.DeleteMailbox(ctx, m.ID)
				}
				return inner.DeleteMailbox(ctx, box)
			}}
		}),
		"no tombstones": in("Delete/Gone", func(a *bentAccount) {
			a.all = func(c *mailaccess.AccountChanges) { c.Deleted = nil }
		}),
		"one UIDVALIDITY for all": in("Delete/Recreate", func(a *bentAccount) {
			a.status = func(s *mailaccess.Status) { s.UIDValidity = 7 }
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				m, err := inner.CreateMailbox(ctx, name, use)
				m.UIDValidity = 7
				return m, err
			}}
		}),
		"bad names": in("Mailboxes/Names", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, create: func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
				return inner.CreateMailbox(ctx, string(bytes.TrimRight([]byte(name), "/")), use)
			}}
		}),
		"subscriptions follow the mailbox": in("Subscriptions/OutliveMailboxes", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, remove: func(ctx context.Context, box mailaccess.MailboxID) error {
				s, _ := a.Account.Status(ctx, box)
				a.caps.Subscriptions.Subscribe(ctx, s.Name, false)
				return inner.DeleteMailbox(ctx, box)
			}}
		}),
	}
}

func messageMutants() map[string]mutant {
	return map[string]mutant{
		"wrong counts": in("Append/Flags", func(a *bentAccount) {
			a.status = func(s *mailaccess.Status) { s.Unseen = s.Messages }
		}),
		"a stale set of UIDs": in("Expunge/Removes", func(a *bentAccount) {
			a.snapshot = func(s *mailaccess.Snapshot) { s.UIDs = mailaccess.UIDSetRange(1, s.UIDNext-1) }
		}),
		"UIDs are used again": in("Expunge/UIDsNeverReused", func(a *bentAccount) {
			a.status = func(s *mailaccess.Status) {
				if s.Messages == 0 {
					s.UIDNext = 1
				}
			}
		}),
		"fractions of seconds": in("Append/Received", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.Received = m.Received.Add(time.Millisecond) }
		}),
		"many appended one by one": in("Append/Many", func(a *bentAccount) {
			a.caps.Append = bentAppender{Appender: a.caps.Append, append: oneByOne(a.caps.Append)}
		}),
		"half an append": in("Append/AllOrNone", func(a *bentAccount) {
			a.caps.Append = bentAppender{Appender: a.caps.Append, append: oneByOne(a.caps.Append)}
		}),
		"flags lost on append": in("Append/Flags", func(a *bentAccount) {
			inner := a.caps.Append
			a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
				msgs = slices.Clone(msgs)
				for i := range msgs {
					msgs[i].Flags.System = 0
				}
				return inner.Append(ctx, box, msgs)
			}}
		}),
		"NUL becomes a blank": in("Append/Bytes", func(a *bentAccount) {
			a.content = func(c mailaccess.Content) mailaccess.Content { return blankContent{c} }
		}),
		"a short read without an error": in("Content/ReadAt", func(a *bentAccount) {
			a.content = func(c mailaccess.Content) mailaccess.Content { return shortContent{c} }
		}),
		"the writer's error is wrapped": in("Content/WriterFails", func(a *bentAccount) {
			a.content = func(c mailaccess.Content) mailaccess.Content { return wrappingContent{c} }
		}),
		"a range is cut to fit": in("Content/WriteRangeOutside", func(a *bentAccount) {
			a.content = func(c mailaccess.Content) mailaccess.Content { return cuttingContent{c} }
		}),
		"content of copies goes": in("Expunge/CopiesStay", func(a *bentAccount) {
			inner, gone := a.caps.Expunge, false
			a.caps.Expunge = expungeFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
				gone = true
				return inner.Expunge(ctx, box, uids, need)
			})
			a.contentOf = func(mailaccess.EmailID) error {
				if gone {
					return &mailaccess.Error{Kind: mailaccess.KindContentGone}
				}
				return nil
			}
		}),
		"what never was is not found": in("Content/Unknown", func(a *bentAccount) {
			a.contentOf = func(mailaccess.EmailID) error { return &mailaccess.Error{Kind: mailaccess.KindNotFound} }
		}),
		"gone content is not found": in("Content/Gone", func(a *bentAccount) {
			a.contentOf = func(id mailaccess.EmailID) error {
				if places, _ := collect(a.caps.Locate.Locate(context.Background(), []mailaccess.EmailID{id})); len(places) == 0 {
					return &mailaccess.Error{Kind: mailaccess.KindNotFound}
				}
				return nil
			}
		}),
	}
}

// oneByOne appends each message in a transaction of its own.
func oneByOne(inner mailaccess.Appender) appendFunc {
	return func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
		var all mailaccess.Appended
		for i := range msgs {
			res, err := inner.Append(ctx, box, msgs[i:i+1])
			if err != nil {
				return all, err
			}
			all.UIDValidity = res.UIDValidity
			all.Messages = append(all.Messages, res.Messages...)
		}
		return all, nil
	}
}

type blankContent struct{ mailaccess.Content }

func (c blankContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	var buf bytes.Buffer
	if n, err := c.Content.WriteRange(&buf, off, n); err != nil {
		return n, err
	}
	k, err := w.Write(bytes.ReplaceAll(buf.Bytes(), []byte{0}, []byte(" ")))
	return int64(k), err
}

type shortContent struct{ mailaccess.Content }

func (c shortContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p[:min(len(p), 5)], off)
	return n, err
}

type wrappingContent struct{ mailaccess.Content }

func (c wrappingContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	n, err := c.Content.WriteRange(w, off, n)
	if err != nil {
		err = &mailaccess.Error{Kind: mailaccess.KindUnavailable, Err: err}
	}
	return n, err
}

type cuttingContent struct{ mailaccess.Content }

func (c cuttingContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	off = min(max(off, 0), c.Size())
	return c.Content.WriteRange(w, off, min(max(n, 0), c.Size()-off))
}

func changeMutants() map[string]mutant {
	return map[string]mutant{
		"unchangedSince is not looked at": in("Flags/UnchangedSince", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, _ mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				return inner.SetFlags(ctx, box, uids, c, mailaccess.AnyModSeq)
			})
		}),
		"unchanged since 0 means always": in("Flags/UnchangedSinceZero", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				if since == 0 {
					since = mailaccess.AnyModSeq
				}
				return inner.SetFlags(ctx, box, uids, c, since)
			})
		}),
		"unchangedSince is tested before": in("Concurrency/UnchangedSinceIsAtomic", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				for m, err := range a.Account.Messages(ctx, box, uids) {
					if err != nil || m.ModSeq > since {
						return mailaccess.FlagResult{Conflict: uids}, err
					}
				}
				dawdle()
				return inner.SetFlags(ctx, box, uids, c, mailaccess.AnyModSeq)
			})
		}),
		"a no-op takes a number": in("Flags/NoOpTakesNoNumber", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				inner.SetFlags(ctx, box, uids, add(mailaccess.FlagDraft), mailaccess.AnyModSeq)
				inner.SetFlags(ctx, box, uids, remove(mailaccess.FlagDraft), mailaccess.AnyModSeq)
				return inner.SetFlags(ctx, box, uids, c, since)
			})
		}),
		"what did not change is reported": in("Flags/OnlyThoseThatDiffer", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				res, err := inner.SetFlags(ctx, box, uids, c, since)
				for i := range res.Changed {
					res.Changed[i].UIDs = uids
				}
				return res, err
			})
		}),
		"flags change without a number": in("Flags/Commits", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.ModSeq = m.Created }
		}),
		"keywords in the last spelling": in("Flags/KeywordSpelling", func(a *bentAccount) {
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				inner.SetFlags(ctx, box, uids, mailaccess.FlagChange{Remove: c.Add}, since)
				return inner.SetFlags(ctx, box, uids, c, since)
			})
		}),
		"need is not looked at": in("Expunge/NeedsFlags", func(a *bentAccount) {
			inner := a.caps.Expunge
			a.caps.Expunge = expungeFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, _ mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
				return inner.Expunge(ctx, box, uids, 0)
			})
		}),
		"need is tested before": in("Concurrency/NeedIsAtomic", func(a *bentAccount) {
			inner := a.caps.Expunge
			a.caps.Expunge = expungeFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
				for m, err := range a.Account.Messages(ctx, box, uids) {
					if err != nil || !m.Flags.System.Has(need) {
						return nil, err
					}
				}
				dawdle()
				return inner.Expunge(ctx, box, uids, 0)
			})
		}),
		"a copy in many transactions": in("Copy/Many", func(a *bentAccount) {
			inner := a.caps.Copy
			a.caps.Copy = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				var all mailaccess.Copied
				for uid := range uids.All() {
					res, err := inner.Copy(ctx, src, mailaccess.UIDSetOf(uid), dst)
					if err != nil {
						return all, err
					}
					all = mailaccess.Copied{UIDValidity: res.UIDValidity, Source: all.Source.Union(res.Source), Dest: all.Dest.Union(res.Dest)}
				}
				return all, nil
			})
		}),
		"a copy says what was asked": in("Copy/MissingUIDs", func(a *bentAccount) {
			inner := a.caps.Copy
			a.caps.Copy = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				res, err := inner.Copy(ctx, src, uids, dst)
				res.Source = uids
				return res, err
			})
		}),
		"a move is a copy": in("Move/Messages", func(a *bentAccount) {
			a.caps.Move = copyFunc(a.caps.Copy.Copy)
		}),
		"a move in two transactions": in("Model/Seed1", func(a *bentAccount) {
			a.caps.Move = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				res, err := a.caps.Copy.Copy(ctx, src, uids, dst)
				if err == nil {
					_, err = a.caps.Expunge.Expunge(ctx, src, uids, 0)
				}
				return res, err
			})
		}),
		"moves at once double messages": in("Concurrency/MovesLoseNothing", func(a *bentAccount) {
			a.caps.Move = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				res, err := a.caps.Copy.Copy(ctx, src, uids, dst)
				dawdle()
				if err == nil {
					_, err = a.caps.Expunge.Expunge(ctx, src, uids, 0)
				}
				return res, err
			})
		}),
		"a declined move was done": in("Move/Messages", func(a *bentAccount) {
			inner := a.caps.Move
			a.caps.Move = copyFunc(func(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
				inner.Move(ctx, src, uids, dst)
				return mailaccess.Copied{}, mailaccess.ErrSkip
			})
		}),
		"everybody may everything": {"Rights/ReadOnly", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				who.Rights = 0
				return who
			}
		}},
		"who may change \\Seen may all flags": {"Rights/Seen", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if who.Rights.Has(mailaccess.RightSeen) {
					who.Rights |= mailaccess.RightFlags
				}
				return who
			}
		}},
		"one flag that is not allowed stops all": in("Rights/FlagsPassedOver", func(a *bentAccount) {
			inbox, _ := a.Account.Lookup(context.Background(), mailaccess.Inbox)
			inner := a.caps.Flags
			a.caps.Flags = flagsFunc(func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
				if !inbox.Rights.Has(mailaccess.RightFlags) && c.Add.System.Has(mailaccess.FlagFlagged) {
					return mailaccess.FlagResult{}, &mailaccess.Error{Kind: mailaccess.KindForbidden}
				}
				return inner.SetFlags(ctx, box, uids, c, since)
			})
		}),
		"whoever may write may read": {"Rights/NoRead", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if who.Rights != 0 {
					who.Rights |= mailaccess.RightRead
				}
				return who
			}
		}},
		"whoever may append may set flags": {"Rights/AppendWithoutFlags", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if who.Rights.Has(mailaccess.RightInsert) {
					who.Rights = 0
				}
				return who
			}
		}},
		"a failed change has happened": in("Context/EndedBeforeChange", func(a *bentAccount) {
			inner := a.caps.Append
			a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
				res, err := inner.Append(context.WithoutCancel(ctx), box, msgs)
				if ctx.Err() != nil {
					return mailaccess.Appended{}, ctx.Err()
				}
				return res, err
			}}
		}),
	}
}

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
			inbox, _ := a.Account.Lookup(context.Background(), mailaccess.Inbox)
			a.since = func(since mailaccess.ModSeq) mailaccess.ModSeq {
				if _, err := a.Account.MailboxChanges(context.Background(), inbox.ID, since); err == nil {
					return since
				}
				s, _ := a.Account.Status(context.Background(), inbox.ID)
				return s.ModSeq
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
