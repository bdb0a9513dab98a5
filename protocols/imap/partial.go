package imap

import "github.com/hashmail/mailaccess/protocols/imap/imapwire"

// partialRange is a range of results, counted from the first, or, when fromEnd,
// from the last (RFC 9394, section 4, partial-range). The bounds are as typed: the
// answer repeats them.
type partialRange struct {
	first, last uint32
	fromEnd     bool
}

// readPartialRange reads a space and a range.
func (c *conn) readPartialRange() (r partialRange, err error) {
	if err := c.r.SP(); err != nil {
		return r, err
	}
	if r.fromEnd, err = c.r.Accept('-'); err != nil {
		return r, err
	}
	if r.first, err = c.r.ReadNZNumber(); err != nil {
		return r, err
	}
	if err := c.r.Expect(':'); err != nil {
		return r, err
	}
	if r.fromEnd {
		if err := c.r.Expect('-'); err != nil {
			return r, err
		}
	}
	r.last, err = c.r.ReadNZNumber()
	return r, err
}

// of returns which of n results are in the range, from 1 on: none when from is
// above to. RFC 9394, section 3.1: what lies beyond the results is left out.
func (r partialRange) of(n int) (from, to int) {
	from, to = int(min(r.first, r.last)), int(max(r.first, r.last))
	if r.fromEnd {
		from, to = max(n-to+1, 1), n-from+1
	}
	return from, min(to, n)
}

func (r partialRange) appendTo(b []byte) []byte {
	sign := ""
	if r.fromEnd {
		sign = "-"
	}
	b = imapwire.AppendNumber(append(b, sign...), r.first)
	return imapwire.AppendNumber(append(append(b, ':'), sign...), r.last)
}
