package imap

import (
	"math"

	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// maxNonSync is the largest literal that a client may send without being asked to
// where LITERAL- is offered (RFC 7888, section 5).
const maxNonSync = 4096

// literalMinus reports whether LITERAL- is offered in place of LITERAL+. Nobody who
// is not logged in needs more.
func (c *conn) literalMinus() bool { return before(c) || c.srv.opts.LiteralMinus }

// appendLimit is the largest message that a client can append, in octets: the same for
// every mailbox (RFC 7889, section 2). 0: none at all (section 5). Rights and
// quotas are not in it (section 3.3).
func (c *conn) appendLimit() uint64 {
	can := c.sess.Can()
	if !can.Append {
		return 0
	}
	return uint64(min(can.MaxUpload, c.nc.Limits().MaxLiteral, math.MaxUint32))
}

// appendAppendLimit appends the capability of RFC 7889.
func (c *conn) appendAppendLimit(b []byte) []byte {
	return imapwire.AppendNumber(append(b, "APPENDLIMIT="...), c.appendLimit())
}
