package pop3

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// quit is RFC 1939, sections 4 and 6: from the TRANSACTION state it enters
// UPDATE. The lock is free when the client reads the answer.
func quit(ctx context.Context, c *conn, _ *request) error {
	if c.drop != nil {
		// Answers to pipelined commands first: who could not be given a message
		// does not get it removed.
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.drop.markSeen(ctx); err != nil {
			// The client never asked for it.
			c.log().Warn("retrieved messages were not marked", zap.Error(err))
		}
		err := c.drop.update(ctx)
		c.closeDrop()
		if err != nil {
			c.state = over
			return c.notRemoved(err)
		}
	}
	c.state = over
	c.ok("bye")
	return nil
}

// notRemoved is the answer when UPDATE failed.
func (c *conn) notRemoved(err error) error {
	code := kindAnswers[mailaccess.KindOf(err)].code
	if code != codePerm {
		code = codeTemp
	}
	c.log().Warn("deleted messages were not removed", zap.Error(err))
	return refuse(code, "some deleted messages not removed")
}

// markSeen gives \Seen to what was retrieved, where the policy says so.
func (d *maildrop) markSeen(ctx context.Context) error {
	if !d.policy.MarkSeen {
		return nil
	}
	change := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
	var errs []error
	for _, b := range d.boxes {
		uids := b.marked(d.retrieved)
		if uids.IsEmpty() || b.view.ReadOnly() || !b.view.Status().Rights.Has(mailaccess.RightSeen) {
			continue
		}
		_, err := b.view.SetFlags(ctx, uids, change, mailaccess.AnyModSeq)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removable reports whether messages of a mailbox can be removed as the policy says.
func (d *maildrop) removable(b *dropBox) bool {
	can, want := d.sess.Can(), mailaccess.RightExpunge
	able := can.Expunge
	switch d.policy.Delete {
	case DeleteToTrash:
		able = can.Move
	case DeleteFlag:
		able, want = can.SetFlags && can.SystemFlags&mailaccess.FlagDeleted != 0, mailaccess.RightDeleted
	}
	return able && !b.view.ReadOnly() && b.view.Status().Rights.Has(want)
}

// update removes the messages that are marked, and those whose time is over. What
// fails in one mailbox is done in the others.
func (d *maildrop) update(ctx context.Context) error {
	var errs []error
	for _, b := range d.boxes {
		uids := b.marked(d.deleted)
		if d.removable(b) {
			uids = uids.Union(b.overdue)
			if d.policy.ExpireDays == ExpireRetrieved {
				uids = uids.Union(b.marked(d.retrieved))
			}
		}
		if !uids.IsEmpty() {
			errs = append(errs, d.dispose(ctx, b, uids))
		}
		if rights := b.view.Status().Rights; !b.lapsed.IsEmpty() && d.sess.Can().Expunge && rights.Has(mailaccess.RightExpunge) {
			errs = append(errs, d.expunge(ctx, b, b.lapsed, mailaccess.FlagDeleted))
		}
	}
	return errors.Join(errs...)
}

// dispose removes messages of a mailbox as the policy says.
func (d *maildrop) dispose(ctx context.Context, b *dropBox, uids mailaccess.UIDSet) error {
	switch d.policy.Delete {
	case DeleteToTrash:
		return d.moveToTrash(ctx, b, uids)
	case DeleteFlag:
		return d.flag(ctx, b, uids)
	}
	return d.expunge(ctx, b, uids, 0)
}

// expunge removes for good those of uids that have the flags need.
func (d *maildrop) expunge(ctx context.Context, b *dropBox, uids mailaccess.UIDSet, need mailaccess.SystemFlags) error {
	return d.carryOut(ctx, b, uids, func(uids mailaccess.UIDSet) error {
		return b.view.Expunge(ctx, uids, need)
	}, func(m *mailaccess.Message) bool { return m.Flags.System&need == need })
}

func (d *maildrop) moveToTrash(ctx context.Context, b *dropBox, uids mailaccess.UIDSet) error {
	trash, err := d.findTrash(ctx)
	if err != nil {
		return err
	}
	if trash == b.view.Status().ID {
		return d.expunge(ctx, b, uids, 0)
	}
	return d.carryOut(ctx, b, uids, func(uids mailaccess.UIDSet) error {
		_, err := b.view.Move(ctx, uids, trash, nil)
		return err
	}, func(*mailaccess.Message) bool { return true })
}

// flag gives messages \Deleted, and removes those for good that have been there as
// long as such messages are kept.
func (d *maildrop) flag(ctx context.Context, b *dropBox, uids mailaccess.UIDSet) error {
	change := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagDeleted}}
	err := d.carryOut(ctx, b, uids, func(uids mailaccess.UIDSet) error {
		_, err := b.view.SetFlags(ctx, uids, change, mailaccess.AnyModSeq)
		return err
	}, func(m *mailaccess.Message) bool { return m.Flags.System&mailaccess.FlagDeleted == 0 })
	if err != nil || d.policy.KeepDays == 0 {
		return err
	}
	var lapsed mailaccess.UIDSetBuilder
	now := time.Now()
	for m, err := range b.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		if d.isLapsed(&m.Message, now) {
			lapsed.AddUID(m.UID)
		}
	}
	b.lapsed = b.lapsed.Union(lapsed.Set())
	return nil
}

// trashName is the mailbox that is made where there is none for \Trash.
const trashName = "Trash"

// findTrash returns the mailbox for \Trash, which it makes where there is none.
func (d *maildrop) findTrash(ctx context.Context) (mailaccess.MailboxID, error) {
	if d.trash != "" {
		return d.trash, nil
	}
	var named mailaccess.MailboxID
	for box, err := range d.sess.Mailboxes(ctx) {
		switch {
		case err != nil:
			return "", err
		case box.Use&mailaccess.UseTrash != 0:
			d.trash = box.ID
			return d.trash, nil
		case box.Name == trashName:
			named = box.ID
		}
	}
	if named == "" {
		box, err := d.sess.Create(ctx, trashName, mailaccess.UseTrash)
		if mailaccess.KindOf(err) == mailaccess.KindUnsupported && err != nil {
			box, err = d.sess.Create(ctx, trashName, 0)
		}
		if err != nil {
			return "", err
		}
		named = box.ID
	}
	d.trash = named
	return named, nil
}

// updateAttempts is how often in a row an attempt that achieves nothing is made.
const updateAttempts = 3

// carryOut does something to the messages in uids. A store may do so in part, or not
// know whether it did; as a UID is never used again, what is left to do can then
// simply be done once more.
func (d *maildrop) carryOut(ctx context.Context, b *dropBox, uids mailaccess.UIDSet, do func(mailaccess.UIDSet) error, toDo func(*mailaccess.Message) bool) error {
	for attempt := 1; ; attempt++ {
		err := do(uids)
		if err == nil {
			return nil
		}
		left, lerr := b.present(ctx, uids, toDo)
		switch {
		case lerr == nil && left.IsEmpty():
			return nil
		case lerr == nil && left.Len() < uids.Len():
			uids, attempt = left, 0
		case attempt == updateAttempts || d.lost() || !mayPass(err):
			return err
		}
	}
}

// mayPass reports whether trying again may help.
func mayPass(err error) bool {
	switch mailaccess.KindOf(err) {
	case mailaccess.KindUncertain, mailaccess.KindUnavailable:
		return true
	}
	return false
}

// marked returns the messages of the mailbox that are marked.
func (b *dropBox) marked(in marks) mailaccess.UIDSet {
	if in == nil {
		return mailaccess.UIDSet{}
	}
	var uids mailaccess.UIDSetBuilder
	n := b.base
	for uid := range b.uids.All() {
		if n++; in.has(n) {
			uids.AddUID(uid)
		}
	}
	return uids.Set()
}

// present returns those of uids that are still there, and with which there is
// something to do.
func (b *dropBox) present(ctx context.Context, uids mailaccess.UIDSet, toDo func(*mailaccess.Message) bool) (mailaccess.UIDSet, error) {
	var left mailaccess.UIDSetBuilder
	for m, err := range b.view.Messages(ctx, uids) {
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		if toDo(&m.Message) {
			left.AddUID(m.UID)
		}
	}
	return left.Set(), nil
}
