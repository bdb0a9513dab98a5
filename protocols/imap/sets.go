package imap

import (
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// addressing is how a command names messages.
type addressing bool

const (
	byNumber addressing = false
	byUID    addressing = true // the UID forms (RFC 3501, section 6.4.8)
)

// readSet reads a sequence set into c.set.
func (c *conn) readSet() error {
	if err := c.r.SP(); err != nil {
		return err
	}
	if err := c.r.ReadNumSet(&c.set); err != nil {
		return err
	}
	if c.set.Saved {
		return bad("no search result is saved")
	}
	return nil
}

// errNoMessage is the answer to a message number that there is none with, "*" in an
// empty mailbox included (RFC 3501, section 9, seq-number). Clients that look into
// an empty mailbox every minute are no nuisance: it does not count as one.
var errNoMessage = bad("no message with that number")

// resolve turns a set as the client wrote it into the UIDs of messages that the
// client was told of. UIDs without a message are passed over (RFC 3501, section
// 6.4.8); a message number without one is BAD.
func (c *conn) resolve(set *imapwire.NumSet, how addressing) (mailaccess.UIDSet, error) {
	if how == byUID {
		return c.resolveUIDs(set), nil
	}
	n := c.view.Len()
	if set.Max() > uint32(n) || n == 0 {
		return mailaccess.UIDSet{}, errNoMessage
	}
	var found mailaccess.UIDSetBuilder
	for _, r := range set.Resolve(uint32(n)) {
		if r.First == 1 && r.Last == uint32(n) {
			return c.view.UIDs(), nil
		}
		// The range of UIDs between may hold gaps, but no other message.
		found.AddRange(c.view.UID(int(r.First)), c.view.UID(int(r.Last)))
	}
	return found.Set().Intersect(c.view.UIDs()), nil
}

func (c *conn) resolveUIDs(set *imapwire.NumSet) mailaccess.UIDSet {
	// RFC 3501, section 6.4.8: * is the highest UID there is, so that n:*
	// names the last message even when n is above it.
	top := c.view.UIDs().Max()
	if top == 0 {
		return mailaccess.UIDSet{}
	}
	var found mailaccess.UIDSetBuilder
	for _, r := range set.Resolve(uint32(top)) {
		found.AddRange(mailaccess.UID(r.First), mailaccess.UID(r.Last))
	}
	return found.Set().Intersect(c.view.UIDs())
}

// appendUIDSet appends a set of UIDs that is not empty.
func appendUIDSet(b []byte, s mailaccess.UIDSet) []byte {
	return imapwire.AppendRanges(b, func(yield func(first, last mailaccess.UID) bool) {
		for r := range s.Ranges() {
			if !yield(r.First, r.Last) {
				return
			}
		}
	})
}
