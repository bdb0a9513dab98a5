package pop3

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// leaseName is the lease that keeps a second session out.
const leaseName = "pop3"

// maildrop is one or more mailboxes as they were when the session began (RFC 1939,
// section 4).
type maildrop struct {
	policy *Policy
	sess   *engine.Session
	keep   func(n int64) bool // counts the memory that it takes
	lease  *engine.Lease      // nil: there is no lock
	boxes  []*dropBox

	sizes []int64 // of message number n at n-1, in octets
	total int64   // of all messages, in octets

	deleted marks // for the UPDATE state
	// left and octets are the messages not marked.
	left   int
	octets int64

	retrieved marks // delivered by RETR; kept where the policy asks for it

	trash mailaccess.MailboxID // once it was needed
}

// dropBox is a mailbox and those of its messages that are in the maildrop.
type dropBox struct {
	view  *engine.View
	first bool              // named first in the policy
	base  int               // message number base+n is the n-th of uids
	uids  mailaccess.UIDSet // in the maildrop
	// overdue are messages whose time is over, in the maildrop or not, and lapsed
	// those that were flagged and are kept no longer.
	overdue, lapsed mailaccess.UIDSet
}

// sizeMemory is what a message takes in a maildrop, in octets.
const sizeMemory = 8

// openMaildrop opens the account and its maildrop.
//
// keep is told how much memory the maildrop will take, and says whether it may; step and
// rest are for [engine.Session.SetStep] and [engine.Session.SetRest].
func openMaildrop(ctx context.Context, e *engine.Engine, id mailaccess.Identity, p *Policy, keep func(n int64) bool, step func() error, rest func() func()) (*maildrop, error) {
	sess, err := e.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	sess.SetStep(step)
	sess.SetRest(rest)
	d := &maildrop{policy: p, sess: sess, keep: keep}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *maildrop) open(ctx context.Context) (err error) {
	if !d.policy.NoLock {
		if d.lease, err = d.sess.Lease(ctx, leaseName); err != nil {
			return err
		}
	}
	var missing error
	for i, name := range d.policy.mailboxes() {
		box, err := d.sess.Lookup(ctx, name)
		switch {
		case mailaccess.KindOf(err) == mailaccess.KindNotFound && err != nil:
			missing = err
			continue
		case err != nil:
			return err
		}
		view, err := d.sess.OpenView(ctx, box.ID, engine.ViewOptions{Frozen: true})
		if err != nil {
			return err
		}
		b := &dropBox{view: view, first: i == 0, base: len(d.sizes)}
		d.boxes = append(d.boxes, b)
		if err := d.note(ctx, b); err != nil {
			return err
		}
	}
	if len(d.boxes) == 0 {
		return missing
	}
	d.reset()
	return nil
}

// note notes the messages of a mailbox and their sizes. What is removed while that
// goes on was never in the maildrop.
func (d *maildrop) note(ctx context.Context, b *dropBox) error {
	if !d.keep(sizeMemory * int64(len(d.sizes)+b.view.Len())) {
		return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "open maildrop"}
	}
	if d.sizes == nil {
		d.sizes = make([]int64, 0, b.view.Len())
	}
	var uids, overdue, lapsed mailaccess.UIDSetBuilder
	now := time.Now()
	for m, err := range b.view.Messages(ctx, b.view.UIDs()) {
		if err != nil {
			return err
		}
		if d.isOverdue(&m.Message, now) {
			overdue.AddUID(m.UID)
		}
		if d.isLapsed(&m.Message, now) {
			lapsed.AddUID(m.UID)
		}
		if d.isHidden(&m.Message, now) {
			continue
		}
		size, err := d.sess.Size(ctx, &m.Message)
		switch {
		case err != nil && mailaccess.KindOf(err) == mailaccess.KindContentGone:
			continue
		case err != nil:
			return err
		case d.policy.HideLarger > 0 && size > d.policy.HideLarger:
			continue
		}
		uids.AddUID(m.UID)
		d.sizes = append(d.sizes, size)
		d.total += size
	}
	b.overdue, b.lapsed = overdue.Set(), lapsed.Set()
	if len(d.sizes)-b.base == b.view.Len() {
		b.uids = b.view.UIDs() // which others share
	} else {
		b.uids = uids.Set()
	}
	return nil
}

// isHidden reports whether a message of a mailbox is not one of the maildrop, apart
// from its size.
func (d *maildrop) isHidden(m *mailaccess.Message, now time.Time) bool {
	p := d.policy
	return p.HideOlder > 0 && now.Sub(m.Received) > p.HideOlder ||
		p.Delete == DeleteFlag && m.Flags.System&mailaccess.FlagDeleted != 0
}

// isOverdue reports whether ExpireDays have passed.
func (d *maildrop) isOverdue(m *mailaccess.Message, now time.Time) bool {
	p := d.policy
	return p.ExpireDays > 0 && now.Sub(d.arrived(m)) >= days(p.ExpireDays)
}

// isLapsed reports whether a message that was flagged is kept no longer.
func (d *maildrop) isLapsed(m *mailaccess.Message, now time.Time) bool {
	p := d.policy
	return p.KeepDays > 0 && m.Flags.System&mailaccess.FlagDeleted != 0 && now.Sub(d.arrived(m)) >= days(p.KeepDays)
}

// arrived is when a message came into its mailbox, or as near as the store knows.
func (d *maildrop) arrived(m *mailaccess.Message) time.Time {
	if d.sess.Can().SavedDates && !m.Saved.IsZero() {
		return m.Saved
	}
	return m.Received
}

// close gives everything up, the lock too. It removes nothing.
func (d *maildrop) close() error {
	for _, b := range d.boxes {
		b.view.Close()
	}
	var err error
	if d.lease != nil {
		err = d.lease.Release()
	}
	return errors.Join(err, d.sess.Close())
}

func (c *conn) closeDrop() {
	if err := c.drop.close(); err != nil {
		c.log().Warn("closing the maildrop", zap.Error(err))
	}
	c.drop = nil
}

// lost reports whether the lock could not be kept.
func (d *maildrop) lost() bool {
	if d.lease == nil {
		return false
	}
	select {
	case <-d.lease.Lost():
		return true
	default:
		return false
	}
}

// check reports why number n cannot be used (RFC 1939, section 5).
func (d *maildrop) check(n int) error {
	switch {
	case n < 1 || n > len(d.sizes):
		return refuse("", "no such message")
	case d.deleted.has(n):
		return refuse("", "message is deleted")
	}
	return nil
}

// remove marks message number n, which is not marked yet.
func (d *maildrop) remove(n int) {
	d.deleted.set(n, len(d.sizes))
	d.left--
	d.octets -= d.sizes[n-1]
}

// delivered notes that RETR delivered message number n.
func (d *maildrop) delivered(n int) {
	if d.policy.MarkSeen || d.policy.ExpireDays == ExpireRetrieved {
		d.retrieved.set(n, len(d.sizes))
	}
}

// reset takes all marks for the UPDATE state away.
func (d *maildrop) reset() {
	d.deleted, d.left, d.octets = nil, len(d.sizes), d.total
}

// find returns where message number n is, which there is.
func (d *maildrop) find(n int) (*dropBox, mailaccess.UID) {
	i := len(d.boxes) - 1
	for d.boxes[i].base >= n {
		i--
	}
	b := d.boxes[i]
	return b, b.uids.Select(n - b.base)
}

// message returns message number n as it is now. The error is KindContentGone when
// somebody else removed it.
func (d *maildrop) message(ctx context.Context, n int) (mailaccess.Message, error) {
	b, uid := d.find(n)
	for m, err := range b.view.Messages(ctx, mailaccess.UIDSetOf(uid)) {
		if err != nil {
			return mailaccess.Message{}, err
		}
		return m.Message, nil
	}
	return mailaccess.Message{}, &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "read message"}
}

// content opens message number n. Errors as those of message.
func (d *maildrop) content(ctx context.Context, n int) (mailaccess.Content, error) {
	m, err := d.message(ctx, n)
	if err != nil {
		return nil, err
	}
	content, err := d.sess.Content(ctx, m.EmailID)
	if err != nil {
		return nil, err
	}
	if content.Size() != d.sizes[n-1] {
		return nil, errors.Join(&mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "read message"}, content.Close())
	}
	return content, nil
}

// marks are message numbers: bit n-1 for number n; nil when there are none.
type marks []uint64

func (s marks) has(n int) bool { return s != nil && s[(n-1)/64]&(1<<((n-1)%64)) != 0 }

// set marks number n of total.
func (s *marks) set(n, total int) {
	if *s == nil {
		*s = make(marks, (total+63)/64)
	}
	(*s)[(n-1)/64] |= 1 << ((n - 1) % 64)
}
