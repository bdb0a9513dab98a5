package imap

import (
	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// limit returns those of uids that the present command may process: from the highest
// down, as many as Options.MessageLimit permits (RFC 9738, section 3.1). The client is told
// how far that goes when it is answered. EXPUNGE and CLOSE are never limited.
func (c *conn) limit(uids mailaccess.UIDSet) mailaccess.UIDSet {
	n := c.srv.opts.MessageLimit
	if n <= 0 || uids.Len() <= n {
		return uids
	}
	c.limited = uids.Select(uids.Len() - n + 1)
	return uids.Intersect(mailaccess.UIDSetRange(c.limited, uids.Max()))
}

// limitSearch narrows a search down to the messages that the present command may search:
// RFC 9738, section 3.1 counts those, not what is found. whole: of a part of them there
// is no result worth having. The first of a sort may be anywhere, and so may what belongs to
// a thread (section 3.3); nor could one UID say how far a search in several mailboxes came.
func (c *conn) limitSearch(e mailaccess.Expr, view *engine.View, whole bool) (mailaccess.Expr, error) {
	n := c.srv.opts.MessageLimit
	if n <= 0 {
		return e, nil
	}
	uids := query.Among(e, view.UIDs())
	c.asked += uids.Len()
	if c.asked <= n {
		return e, nil
	}
	if whole {
		return nil, c.overLimit()
	}
	return mailaccess.And{mailaccess.UIDIn{UIDs: c.limit(uids)}, e}, nil
}

// limitRange refuses a range that the answer could not hold (RFC 9738, section 3.1; RFC
// 9394 is where it comes from), before anything is done.
func (c *conn) limitRange(r partialRange) error {
	if n := c.srv.opts.MessageLimit; n > 0 && max(r.first, r.last)-min(r.first, r.last) >= uint32(n) {
		return c.overLimit()
	}
	return nil
}

// overLimit is the answer to a command that is done whole or not at all.
func (c *conn) overLimit() error {
	return no(goimap.ResponseCode(c.messageLimit()), "more messages than one command may process")
}

// messageLimit returns the response code MESSAGELIMIT (RFC 9738, section 5), with the
// lowest UID that is processed, if it is known.
func (c *conn) messageLimit() string {
	b := imapwire.AppendNumber([]byte("MESSAGELIMIT "), uint64(c.srv.opts.MessageLimit))
	if c.limited != 0 {
		b = imapwire.AppendNumber(append(b, ' '), uint32(c.limited))
	}
	return string(b)
}

// tellLimit tells in the answer to a command that succeeded that not all messages were
// processed. RFC 9738, section 3.1: where the answer has another code already, this one is
// in an untagged NO.
func (c *conn) tellLimit() error {
	if c.limited == 0 {
		return nil
	}
	if c.answer.code != "" {
		return c.tagged([]byte{'*'}, "NO", c.messageLimit(), "not all messages were processed")
	}
	c.answer = answer{code: c.messageLimit(), text: "not all messages were processed"}
	return nil
}

// processed passes on the error of a command that went through its messages all the same,
// after what the client must know of the limit.
func (c *conn) processed(err error) error {
	if c.limited == 0 {
		return err
	}
	return errorsFirst(c.tagged([]byte{'*'}, "NO", c.messageLimit(), "not all messages were processed"), err)
}

// appendMessageLimit appends a space and the capability of RFC 9738, section 3, if there is
// a limit.
func (c *conn) appendMessageLimit(b []byte) []byte {
	if n := c.srv.opts.MessageLimit; n > 0 {
		b = imapwire.AppendNumber(append(b, " MESSAGELIMIT="...), uint64(n))
	}
	return b
}

// uidFrom parses the search keys UIDAFTER and UIDBEFORE (RFC 9738, section 3.2). Neither
// matches the UID itself; unlike in n:*, the last message has no special place.
func (p *searchParser) uidFrom(name string) (searchKey, error) {
	n, err := p.c.r.ReadNZNumber()
	uid := mailaccess.UID(n)
	return func(s *searchScope) (mailaccess.Expr, error) {
		// What is not in the range, of all that there is.
		uids, rest := s.view.UIDs(), mailaccess.UIDSetRange(1, uid)
		if name == "UIDBEFORE" {
			rest = mailaccess.UIDSetRange(uid, max(uid, uids.Max()))
		}
		return mailaccess.UIDIn{UIDs: uids.Minus(rest)}, nil
	}, err
}
