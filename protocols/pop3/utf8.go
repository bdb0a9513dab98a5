package pop3

import (
	"bytes"
	"context"
)

// utf8Mode is RFC 6856, section 2.1. There is nothing to switch: messages go out as
// they are in either mode, since mail with 8-bit octets in its headers is older than
// the command, and clients that never heard of it read such mail. So the command may
// come after the login too, as Outlook has it.
func utf8Mode(_ context.Context, c *conn, _ *request) error {
	c.ok("UTF-8 is on")
	return nil
}

// language is the tag of the one language that texts are in (RFC 5646).
const language = "en"

// lang is RFC 6856, section 3.2. There is one language.
func lang(_ context.Context, c *conn, rq *request) error {
	switch {
	case rq.text == nil:
		c.ok("language listing follows")
		c.out().WriteString(language + " English\r\n") //nolint:errcheck // see out
		return c.endOfList()
	case !speaks(rq.text):
		return refuse("", "no such language")
	}
	c.ok(language + " English it is")
	return nil
}

// speaks reports whether texts are in a language that the range asks for, one
// without its last subtags counting too (RFC 4647, section 3.4).
func speaks(want []byte) bool {
	primary, _, _ := bytes.Cut(want, []byte("-"))
	return string(want) == "*" || bytes.EqualFold(primary, []byte(language))
}
