package pop3

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// capa is RFC 2449, section 5: what is offered on this channel. After the login
// the list is the same but for STLS, which RFC 2595, section 4 names in the
// AUTHORIZATION state only.
func capa(_ context.Context, c *conn, _ *request) error {
	c.ok("capability list follows")
	w := c.out()
	b := append(c.room(1024), "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUTF8 USER\r\nLANG\r\n"...)
	b = c.srv.opts.Policy.appendCapabilities(b)
	if c.state == authorization && c.nc.CanStartTLS() {
		b = append(b, "STLS\r\n"...)
	}
	if c.plaintextAllowed() && c.takesPasswords() {
		b = append(b, "USER\r\n"...)
	}
	if mechanisms := auth.Mechanisms(c.srv.opts.Engine.Authenticator(), c.login(), c.saslOptions()); len(mechanisms) > 0 {
		b = append(b, "SASL"...)
		for _, m := range mechanisms {
			b = append(append(b, ' '), m...)
		}
		b = append(b, "\r\n"...)
	}
	b = append(b, "IMPLEMENTATION mailaccess"...)
	if v := c.srv.opts.Version; v != "" {
		b = appendToken(append(b, '-'), v)
	}
	w.Write(append(b, "\r\n.\r\n"...)) //nolint:errcheck // see out
	return nil
}

// appendToken appends s as one parameter of a capability (RFC 2449, section 3),
// within the 512 octets of its line.
func appendToken(b []byte, s string) []byte {
	for _, ch := range []byte(s[:min(len(s), 256)]) {
		if ch <= ' ' || ch >= 0x7f {
			ch = '-'
		}
		b = append(b, ch)
	}
	return b
}
