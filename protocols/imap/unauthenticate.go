package imap

import (
	"context"

	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
	"github.com/hashmail/mailaccess/protocols/imap/inflate"
)

// parseUnauthenticate is RFC 8437, section 3.
func parseUnauthenticate(c *conn) (action, error) {
	if !c.srv.opts.Unauthenticate {
		return nil, bad("unknown command")
	}
	return unauthenticate, c.r.CRLF()
}

// unauthenticate ends the login and everything that came of it, but for TLS. There is
// no NO: the client may have sent its next login already.
func unauthenticate(_ context.Context, c *conn) error {
	c.closeView()
	c.closeSession()
	c.userState = userState{}
	if err := c.nc.SetUser(""); err != nil {
		return err
	}
	c.state = notAuthenticated
	c.r.SetLimits(c.wireLimits())
	c.r.SetUTF8(c.utf8())
	c.answer = answer{code: string(c.appendCapabilities(nil)), text: "logged out"}
	if c.z == nil {
		return nil
	}
	return c.decompress()
}

// decompress answers the command and ends the compression (RFC 8437, section 4.1): this
// side's with the CRLF of the answer, the client's with that of the command.
func (c *conn) decompress() error {
	if c.r.Buffered() > 0 {
		// Compressed, and behind the end.
		c.broken = inflate.ErrCorrupt
		return c.broken
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	b := imapwire.AppendText([]byte(string(c.r.Tag())+" OK ["+c.answer.code+"] "), c.answer.text, false)
	if err := c.z.out.last(append(b, "\r\n"...)); err != nil {
		return err
	}
	if err := c.z.in.Finish(); err != nil {
		c.broken = err
		return err
	}
	c.unread = c.z.in.Rest()
	c.z = nil
	c.w.Reset(c.nc)
	c.bad = 0
	return errAnswered
}
