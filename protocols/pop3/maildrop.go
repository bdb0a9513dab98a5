package pop3

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// leaseName is the lease that keeps a second session out.
const leaseName = "pop3"

// maildrop is an INBOX as it was when the session began (RFC 1939, section 4).
type maildrop struct {
	sess  *engine.Session
	lease *engine.Lease
	view  *engine.View

	validity uint32
	uids     mailaccess.UIDSet // message number n is the n-th
	sizes    []int64           // of message number n at n-1, in octets
	total    int64             // of all messages, in octets

	// deleted marks messages for the UPDATE state: bit n-1 for number n; nil
	// when none is marked.
	deleted []uint64
	// left and octets are the messages not marked.
	left   int
	octets int64
}

// openMaildrop opens the account and its maildrop exclusively.
func openMaildrop(ctx context.Context, e *engine.Engine, id mailaccess.Identity) (*maildrop, error) {
	sess, err := e.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &maildrop{sess: sess}
	if err := d.open(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *maildrop) open(ctx context.Context) (err error) {
	if d.lease, err = d.sess.Lease(ctx, leaseName); err != nil {
		return err
	}
	box, err := d.sess.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		return err
	}
	if d.view, err = d.sess.OpenView(ctx, box.ID, engine.ViewOptions{Frozen: true}); err != nil {
		return err
	}
	d.validity = d.view.Status().UIDValidity
	if err := d.note(ctx); err != nil {
		return err
	}
	d.reset()
	return nil
}

// note notes the messages and their sizes. What is removed while that goes on
// was never in the maildrop.
func (d *maildrop) note(ctx context.Context) error {
	d.sizes = make([]int64, 0, d.view.Len())
	var uids mailaccess.UIDSetBuilder
	for m, err := range d.view.Messages(ctx, d.view.UIDs()) {
		if err != nil {
			return err
		}
		size, err := d.sess.Size(ctx, &m.Message)
		switch {
		case err != nil && mailaccess.KindOf(err) == mailaccess.KindContentGone:
			continue
		case err != nil:
			return err
		}
		uids.AddUID(m.UID)
		d.sizes = append(d.sizes, size)
		d.total += size
	}
	if len(d.sizes) == d.view.Len() {
		d.uids = d.view.UIDs() // which others share
	} else {
		d.uids = uids.Set()
	}
	return nil
}

// close gives everything up, the lock too. It removes nothing.
func (d *maildrop) close() error {
	if d.view != nil {
		d.view.Close()
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
	case d.isDeleted(n):
		return refuse("", "message is deleted")
	}
	return nil
}

func (d *maildrop) isDeleted(n int) bool {
	return d.deleted != nil && d.deleted[(n-1)/64]&(1<<((n-1)%64)) != 0
}

// remove marks message number n, which is not marked yet.
func (d *maildrop) remove(n int) {
	if d.deleted == nil {
		d.deleted = make([]uint64, (len(d.sizes)+63)/64)
	}
	d.deleted[(n-1)/64] |= 1 << ((n - 1) % 64)
	d.left--
	d.octets -= d.sizes[n-1]
}

// reset takes all marks away.
func (d *maildrop) reset() {
	d.deleted, d.left, d.octets = nil, len(d.sizes), d.total
}

// removable reports whether messages can be removed at all.
func (d *maildrop) removable() bool {
	rights := d.view.Status().Rights
	return !d.view.ReadOnly() && d.sess.Can().Expunge && rights.Has(mailaccess.RightExpunge)
}

// content opens message number n. The error is KindContentGone when somebody
// else removed the message.
func (d *maildrop) content(ctx context.Context, n int) (mailaccess.Content, error) {
	const op = "read message"
	for m, err := range d.view.Messages(ctx, mailaccess.UIDSetOf(d.uids.Select(n))) {
		if err != nil {
			return nil, err
		}
		content, err := d.sess.Content(ctx, m.EmailID)
		if err != nil {
			return nil, err
		}
		if content.Size() != d.sizes[n-1] {
			return nil, errors.Join(&mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: op}, content.Close())
		}
		return content, nil
	}
	return nil, &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: op}
}
