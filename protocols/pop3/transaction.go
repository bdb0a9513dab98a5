package pop3

import (
	"context"
	"strconv"
)

// stat is RFC 1939, section 5.
func stat(_ context.Context, c *conn, _ *request) error {
	c.okNumbers(int64(c.drop.left), c.drop.octets, "")
	return nil
}

// list is RFC 1939, section 5. Sizes do not count the octets that byte-stuffing
// adds (RFC 1939, section 11).
func list(_ context.Context, c *conn, rq *request) error {
	d := c.drop
	if rq.msg != 0 {
		if err := d.check(rq.msg); err != nil {
			return err
		}
		c.okNumbers(int64(rq.msg), d.sizes[rq.msg-1], "")
		return nil
	}
	c.okNumbers(int64(d.left), d.octets, " scan listing follows")
	for i, size := range d.sizes {
		if d.deleted.has(i + 1) {
			continue
		}
		b := strconv.AppendInt(c.room(listingLine), int64(i+1), 10)
		b = strconv.AppendInt(append(b, ' '), size, 10)
		if _, err := c.w.Write(append(b, "\r\n"...)); err != nil {
			return err
		}
	}
	return c.endOfList()
}

// listingLine is room for a line of any listing.
const listingLine = 128

// endOfList ends a multi-line answer (RFC 1939, section 3).
func (c *conn) endOfList() error {
	_, err := c.out().WriteString(".\r\n")
	return err
}

// dele is RFC 1939, section 5: the message is marked, and removed by QUIT.
func dele(ctx context.Context, c *conn, rq *request) error {
	if err := c.drop.check(rq.msg); err != nil {
		return err
	}
	// Better now than in the UPDATE state.
	if b, _ := c.drop.find(rq.msg); !c.drop.removable(b) {
		return refuse(codePerm, "this maildrop is read-only")
	}
	if c.drop.policy.Delete == DeleteToTrash {
		if _, err := c.drop.findTrash(ctx); err != nil {
			return err
		}
	}
	c.drop.remove(rq.msg)
	c.ok("message deleted")
	return nil
}

// noop is RFC 1939, section 5.
func noop(_ context.Context, c *conn, _ *request) error {
	c.ok("nothing done")
	return nil
}

// rset is RFC 1939, section 5.
func rset(_ context.Context, c *conn, _ *request) error {
	c.drop.reset()
	c.ok("nothing is deleted")
	return nil
}
