package imap

import "github.com/hashmail/mailaccess/protocols/imap/imapwire"

// utf8 reports whether the client takes, and sends, UTF-8 in quoted strings and
// mailbox names (RFC 6855, section 3; RFC 9051, section 5.1).
func (c *conn) utf8() bool { return c.enabled&(enabledRev2|enabledUTF8) != 0 }

// appendMailbox appends the name of a mailbox as the client understands it.
func (c *conn) appendMailbox(b []byte, name string) []byte {
	return imapwire.AppendMailbox(b, name, c.utf8())
}
