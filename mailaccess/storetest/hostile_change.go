package storetest

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

type hostileAppender struct{ a *hostileAccount }

func (x hostileAppender) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	if err := x.a.h.unavailable("stage"); err != nil {
		return nil, err
	}
	return x.a.caps.Append.Stage(ctx, size)
}

func (x hostileAppender) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	var res mailaccess.Appended
	err := x.a.h.change("append", func() (err error) {
		res, err = x.a.caps.Append.Append(ctx, box, msgs)
		return err
	})
	if err != nil {
		return mailaccess.Appended{}, err
	}
	return res, nil
}

type hostileCopier struct{ a *hostileAccount }

func (x hostileCopier) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	var res mailaccess.Copied
	err := x.a.h.change("copy", func() (err error) {
		res, err = x.a.caps.Copy.Copy(ctx, src, uids, dst)
		return err
	})
	if err != nil {
		return mailaccess.Copied{}, err
	}
	return res, nil
}

// inParts does something to the messages of box in uids, one or two at a time
// (more when there are many), until one part fails. do returns what keeps the
// part's result, which is dropped when nobody may know whether it happened.
func (a *hostileAccount) inParts(ctx context.Context, op string, box mailaccess.MailboxID, uids mailaccess.UIDSet, do func(part mailaccess.UIDSet) (keep func(), err error)) error {
	s, err := a.inner.Snapshot(ctx, box)
	if err == nil {
		uids = s.UIDs.Intersect(uids)
	}
	for most := 2; ; most += most / 8 {
		part := uids
		if n := 1 + a.h.below(most); n < uids.Len() {
			part = uids.Intersect(mailaccess.UIDSetRange(1, uids.Select(n)))
		}
		keep := func() {}
		err := a.h.change(op, func() (err error) {
			keep, err = do(part)
			return err
		})
		if !errors.Is(err, errUnlucky) {
			keep()
		}
		if err != nil {
			return err
		}
		if uids = uids.Minus(part); uids.IsEmpty() {
			return nil
		}
		if a.h.one(a.h.opts.Partial) {
			return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op, Mailbox: string(box)}
		}
	}
}

type hostileFlags struct{ a *hostileAccount }

func (x hostileFlags) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	var all mailaccess.FlagResult
	err := x.a.inParts(ctx, "set flags", box, uids, func(part mailaccess.UIDSet) (func(), error) {
		res, err := x.a.caps.Flags.SetFlags(ctx, box, part, c, since)
		return func() {
			all.Changed = append(all.Changed, res.Changed...)
			all.Conflict = all.Conflict.Union(res.Conflict)
		}, err
	})
	return all, err
}

type hostileExpunger struct{ a *hostileAccount }

func (x hostileExpunger) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	var all []mailaccess.Commit
	err := x.a.inParts(ctx, "expunge", box, uids, func(part mailaccess.UIDSet) (func(), error) {
		commits, err := x.a.caps.Expunge.Expunge(ctx, box, part, need)
		return func() { all = append(all, commits...) }, err
	})
	return all, err
}

type hostileMover struct{ a *hostileAccount }

// Move declines every other time.
func (x hostileMover) Move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	if x.a.h.below(2) == 0 {
		return mailaccess.Copied{}, mailaccess.ErrSkip
	}
	var all mailaccess.Copied
	begun := false
	err := x.a.inParts(ctx, "move", src, uids, func(part mailaccess.UIDSet) (func(), error) {
		res, err := x.a.caps.Move.Move(ctx, src, part, dst)
		if errors.Is(err, mailaccess.ErrSkip) && begun {
			// Too late to decline as a whole.
			err = &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "move"}
		}
		begun = true
		return func() {
			if !res.Source.IsEmpty() {
				all.UIDValidity = res.UIDValidity
				all.Source, all.Dest = all.Source.Union(res.Source), all.Dest.Union(res.Dest)
			}
		}, err
	})
	return all, err
}

type hostileReplacer struct{ a *hostileAccount }

// Replace declines every other time.
func (x hostileReplacer) Replace(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
	if x.a.h.below(2) == 0 {
		return mailaccess.Appended{}, mailaccess.ErrSkip
	}
	var res mailaccess.Appended
	err := x.a.h.change("replace", func() (err error) {
		res, err = x.a.caps.Replace.Replace(ctx, src, uid, dst, m)
		return err
	})
	if err != nil {
		return mailaccess.Appended{}, err
	}
	return res, nil
}

type hostileMailboxes struct{ a *hostileAccount }

func (x hostileMailboxes) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	var m mailaccess.Mailbox
	err := x.a.h.change("create mailbox", func() (err error) {
		m, err = x.a.caps.Mailboxes.CreateMailbox(ctx, name, use)
		return err
	})
	if err != nil {
		return mailaccess.Mailbox{}, err
	}
	return m, nil
}

func (x hostileMailboxes) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	return x.a.h.change("rename mailbox", func() error { return x.a.caps.Mailboxes.RenameMailbox(ctx, box, name) })
}

func (x hostileMailboxes) DeleteMailbox(ctx context.Context, box mailaccess.MailboxID) error {
	return x.a.h.change("delete mailbox", func() error { return x.a.caps.Mailboxes.DeleteMailbox(ctx, box) })
}
