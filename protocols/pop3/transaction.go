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
		if d.isDeleted(i + 1) {
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

// uidl is RFC 1939, section 7.
func uidl(_ context.Context, c *conn, rq *request) error {
	d := c.drop
	if rq.msg != 0 {
		if err := d.check(rq.msg); err != nil {
			return err
		}
		b := append(c.room(listingLine), "+OK "...)
		c.w.Write(d.appendUniqueID(b, rq.msg, uint32(d.uids.Select(rq.msg)))) //nolint:errcheck // see out
		return nil
	}
	c.ok("unique-id listing follows")
	n := 0
	for uid := range d.uids.All() {
		if n++; d.isDeleted(n) {
			continue
		}
		if _, err := c.w.Write(d.appendUniqueID(c.room(listingLine), n, uint32(uid))); err != nil {
			return err
		}
	}
	return c.endOfList()
}

// listingLine is room for a line of any listing.
const listingLine = 64

// appendUniqueID appends a unique-id listing. UIDVALIDITY and UID together name a
// message of the mailbox for ever (RFC 3501, section 2.3.1.1); without the
// separator 1 and 23 would be 12 and 3.
func (d *maildrop) appendUniqueID(b []byte, n int, uid uint32) []byte {
	b = append(strconv.AppendInt(b, int64(n), 10), ' ')
	b = append(strconv.AppendUint(b, uint64(d.validity), 10), '.')
	return append(strconv.AppendUint(b, uint64(uid), 10), "\r\n"...)
}

// endOfList ends a multi-line answer (RFC 1939, section 3).
func (c *conn) endOfList() error {
	_, err := c.out().WriteString(".\r\n")
	return err
}

// dele is RFC 1939, section 5: the message is marked, and removed by QUIT.
func dele(_ context.Context, c *conn, rq *request) error {
	if err := c.drop.check(rq.msg); err != nil {
		return err
	}
	if !c.drop.removable() {
		// Better now than in the UPDATE state.
		return refuse(codePerm, "this maildrop is read-only")
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
