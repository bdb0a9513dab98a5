package storetest

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

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
		"a replacement in two transactions": in("Replace/Message", func(a *bentAccount) {
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				res, err := a.caps.Append.Append(ctx, dst, []mailaccess.NewMessage{m})
				if err == nil {
					_, err = a.caps.Expunge.Expunge(ctx, src, mailaccess.UIDSetOf(uid), 0)
				}
				return res, err
			})
		}),
		"what is replaced stays": in("Replace/Elsewhere", func(a *bentAccount) {
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				return a.caps.Append.Append(ctx, dst, []mailaccess.NewMessage{m})
			})
		}),
		"what is gone is replaced": in("Replace/Gone", func(a *bentAccount) {
			inner := a.caps.Replace
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				res, err := inner.Replace(ctx, src, uid, dst, m)
				if mailaccess.KindOf(err) == mailaccess.KindContentGone {
					return a.caps.Append.Append(ctx, dst, []mailaccess.NewMessage{m})
				}
				return res, err
			})
		}),
		"a declined replacement was done": in("Replace/Message", func(a *bentAccount) {
			inner := a.caps.Replace
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				inner.Replace(ctx, src, uid, dst, m)
				return mailaccess.Appended{}, mailaccess.ErrSkip
			})
		}),
		"flags pass to the replacement": in("Replace/Message", func(a *bentAccount) {
			inner := a.caps.Replace
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				m.Flags.System |= mailaccess.FlagSeen
				return inner.Replace(ctx, src, uid, dst, m)
			})
		}),
		"the ring of one side": in("Replace/Ring", func(a *bentAccount) {
			a.caps.Replace = replaceFunc(func(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
				return a.caps.Append.Append(ctx, dst, []mailaccess.NewMessage{m})
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
				who.Without = 0
				return who
			}
		}},
		"who may change \\Seen may all flags": {"Rights/Seen", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if !who.Without.Has(mailaccess.RightSeen) {
					who.Without &^= mailaccess.RightFlags
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
				who.Without &^= mailaccess.RightRead
				return who
			}
		}},
		"whoever may append may set flags": {"Rights/AppendWithoutFlags", func(b *bent) {
			b.open = func(_ mailaccess.Store, who mailaccess.Identity) mailaccess.Identity {
				if !who.Without.Has(mailaccess.RightInsert) {
					who.Without = 0
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
