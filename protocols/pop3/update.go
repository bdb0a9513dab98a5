package pop3

import (
	"context"

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

// updateAttempts is how often in a row a removal that removes nothing is tried.
const updateAttempts = 3

// update removes the messages that are marked. A store may do so in part, or
// not know whether it did; as a UID is never used again, what is left can then
// simply be removed once more.
func (d *maildrop) update(ctx context.Context) error {
	if d.deleted == nil {
		return nil
	}
	marked := d.marked()
	for attempt := 1; ; attempt++ {
		err := d.view.Expunge(ctx, marked, 0)
		if err == nil {
			return nil
		}
		left, lerr := d.present(ctx, marked)
		switch {
		case lerr == nil && left.IsEmpty():
			return nil
		case lerr == nil && left.Len() < marked.Len():
			marked, attempt = left, 0
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

// marked returns the messages that are marked.
func (d *maildrop) marked() mailaccess.UIDSet {
	var uids mailaccess.UIDSetBuilder
	n := 0
	for uid := range d.uids.All() {
		if n++; d.isDeleted(n) {
			uids.AddUID(uid)
		}
	}
	return uids.Set()
}

// present returns those of uids that are still there.
func (d *maildrop) present(ctx context.Context, uids mailaccess.UIDSet) (mailaccess.UIDSet, error) {
	var left mailaccess.UIDSetBuilder
	for m, err := range d.view.Messages(ctx, uids) {
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		left.AddUID(m.UID)
	}
	return left.Set(), nil
}
