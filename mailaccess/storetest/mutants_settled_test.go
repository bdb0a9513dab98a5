package storetest

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// settledMutants break what the contract settles in a sentence.
func settledMutants() map[string]mutant {
	rename := func(check string, before func(a *bentAccount, ctx context.Context, box mailaccess.MailboxID, name string) error) mutant {
		return in(check, func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, rename: func(ctx context.Context, box mailaccess.MailboxID, name string) error {
				if err := before(a, ctx, box, name); err != nil {
					return err
				}
				return inner.RenameMailbox(ctx, box, name)
			}}
		})
	}
	return map[string]mutant{
		"a rename wants levels": rename("Rename/DoesNotMakeLevels", func(a *bentAccount, ctx context.Context, _ mailaccess.MailboxID, name string) error {
			if i := strings.LastIndexByte(name, '/'); i > 0 {
				_, err := a.Account.Lookup(ctx, name[:i])
				return err
			}
			return nil
		}),
		"what a rename leaves is taken": rename("Rename/Upwards", func(a *bentAccount, ctx context.Context, box mailaccess.MailboxID, name string) error {
			if s, err := a.Account.Status(ctx, box); err == nil && strings.HasPrefix(s.Name, name+"/") {
				return mailaccess.KindExists
			}
			return nil
		}),
		"a rename to the own name is done already": in("Rename/Taken", func(a *bentAccount) {
			inner := a.caps.Mailboxes
			a.caps.Mailboxes = bentMailboxes{MailboxManager: inner, rename: func(ctx context.Context, box mailaccess.MailboxID, name string) error {
				if s, err := a.Account.Status(ctx, box); err == nil && s.Name == name {
					return nil
				}
				return inner.RenameMailbox(ctx, box, name)
			}}
		}),
		"an upload that stands twice is taken once": in("Staged/TwiceAtOnce", func(a *bentAccount) {
			inner := a.caps.Append
			a.caps.Append = bentAppender{Appender: inner, append: func(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
				return inner.Append(ctx, box, msgs[:1])
			}}
		}),
		"who may not read is told of what arrives": in("Rights/NoRead", func(a *bentAccount) {
			a.all = func(c *mailaccess.AccountChanges) {
				for i := range c.Mailboxes {
					c.Mailboxes[i].Messages++
				}
			}
		}),
		"each message is a thread": in("Threads/Replies", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.ThreadID = mailaccess.ThreadID("T" + m.EmailID) }
		}),
		"all messages are one thread": in("Threads/Replies", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.ThreadID = "T" }
		}),
		"a thread is called as its first message": in("Threads/Replies", func(a *bentAccount) {
			first := map[mailaccess.ThreadID]mailaccess.EmailID{}
			a.message = func(m *mailaccess.Message) {
				if _, known := first[m.ThreadID]; !known {
					first[m.ThreadID] = m.EmailID
				}
				m.ThreadID = mailaccess.ThreadID(first[m.ThreadID])
			}
		}),
		"threads end at the mailbox": in("Threads/OtherMailbox", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				all, err := collect(a.Account.Messages(ctx, box, uids))
				for i := range all {
					all[i].ThreadID += mailaccess.ThreadID(box)
				}
				return listed(all, err)
			}
		}),
		"threads are joined": in("Threads/Stay", func(a *bentAccount) {
			a.messages = func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
				s, _ := a.Account.Snapshot(ctx, box)
				all, err := collect(a.Account.Messages(ctx, box, uids))
				for i := range all {
					if s.Messages > 2 {
						all[i].ThreadID = "joined"
					}
				}
				return listed(all, err)
			}
		}),
		"a message is saved when it was received": in("Saved/Arrival", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) { m.Saved = m.Received }
		}),
		"a change saves anew": in("Saved/Arrival", func(a *bentAccount) {
			a.message = func(m *mailaccess.Message) {
				if m.ModSeq > m.Created {
					m.Saved = m.Saved.Add(time.Second)
				}
			}
		}),
		"a copy is saved when its source was": in("Saved/Transfer", func(a *bentAccount) {
			saved := map[mailaccess.EmailID]time.Time{}
			a.message = func(m *mailaccess.Message) {
				if _, known := saved[m.EmailID]; !known {
					saved[m.EmailID] = m.Saved
				}
				m.Saved = saved[m.EmailID]
			}
		}),
		"a closed account answers": {"Close/Account", func(b *bent) { b.Store = neverClosed{b.Store} }},
	}
}

// neverClosed opens accounts that go on after Close.
type neverClosed struct{ mailaccess.Store }

func (s neverClosed) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return neverClosedAccount{a}, err
}

type neverClosedAccount struct{ mailaccess.Account }

func (neverClosedAccount) Close() error { return nil }
