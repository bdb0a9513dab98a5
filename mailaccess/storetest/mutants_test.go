package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
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
		mailboxMutants(), messageMutants(), changeMutants(), historyMutants(), watchMutants(), listingMutants(), optionalMutants(), moreMutants(), settledMutants(),
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
