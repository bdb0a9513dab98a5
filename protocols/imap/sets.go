package imap

import (
	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
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
	return c.r.ReadNumSet(&c.set)
}

// errNoMessage is the answer to a message number that there is none with, "*" in an
// empty mailbox included (RFC 3501, section 9, seq-number). Clients that look into
// an empty mailbox every minute are no nuisance: it does not count as one.
var errNoMessage = bad("no message with that number")

// resolve turns a set as the client wrote it into the UIDs of messages that the
// client was told of. UIDs without a message are passed over (RFC 3501, section
// 6.4.8); a message number without one is BAD.
func (c *conn) resolve(set *imapwire.NumSet, how addressing) (mailaccess.UIDSet, error) {
	if set.Saved {
		// RFC 5182, section 2.1: $ may stand for nothing, and for what a
		// command of the other form found.
		return c.saved, nil
	}
	if how == byUID {
		return resolveUIDs(c.view, set), nil
	}
	if n := c.view.Len(); set.Max() > uint32(n) || n == 0 {
		return mailaccess.UIDSet{}, errNoMessage
	}
	return resolveNumbers(c.view.UIDs(), set), nil
}

// resolveNumbers returns those of uids that have the numbers in set.
func resolveNumbers(uids mailaccess.UIDSet, set *imapwire.NumSet) mailaccess.UIDSet {
	n := uint32(uids.Len())
	var found mailaccess.UIDSetBuilder
	for _, r := range set.Resolve(n) {
		if r.First == 1 && r.Last >= n {
			return uids
		}
		if r.First > n {
			break
		}
		// The range of UIDs between may hold gaps, but no other message.
		found.AddRange(uids.Select(int(r.First)), uids.Select(int(min(r.Last, n))))
	}
	return found.Set().Intersect(uids)
}

func resolveUIDs(view *engine.View, set *imapwire.NumSet) mailaccess.UIDSet {
	// RFC 3501, section 6.4.8: * is the highest UID there is, so that n:*
	// names the last message even when n is above it.
	top := view.UIDs().Max()
	if top == 0 {
		return mailaccess.UIDSet{}
	}
	var found mailaccess.UIDSetBuilder
	for _, r := range set.Resolve(uint32(top)) {
		found.AddRange(mailaccess.UID(r.First), mailaccess.UID(r.Last))
	}
	return found.Set().Intersect(view.UIDs())
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
