package imapwire

import (
	"slices"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess/utf7"
)

// ReadMailbox reads a mailbox name and returns it in UTF-8. INBOX comes in
// upper case whatever its case was (RFC 3501, section 5.1); names below it are
// left alone. A name that is not valid modified UTF-7, or in UTF-8 mode not
// valid UTF-8, is a *[NameError]. Octets above 127, of which there are none in
// modified UTF-7, are read as UTF-8 there too: a server that offers UTF8=ACCEPT
// must take it before the client has enabled that (RFC 6855, section 3), and
// clients that see IMAP4rev2 offered do send it, with "&-" for "&".
func (r *Reader) ReadMailbox() (string, error) {
	b, err := r.ReadAStringBytes()
	if err != nil {
		return "", err
	}
	if EqualFold(b, "INBOX") {
		return "INBOX", nil
	}
	return r.decodeName(b)
}

// ReadListMailbox reads a list-mailbox, a pattern in which "%" and "*" are
// wildcards, and returns it in UTF-8. Errors are those of
// [Reader.ReadMailbox]; INBOX is left as it is.
func (r *Reader) ReadListMailbox() (string, error) {
	b, err := r.stringOr(classList, "expected a mailbox pattern")
	if err != nil {
		return "", err
	}
	return r.decodeName(b)
}

func (r *Reader) decodeName(b []byte) (string, error) {
	var err error
	switch {
	case !utf8.Valid(b):
		err = ErrUTF8
	case r.utf8, utf7.Plain(b):
		return string(b), nil
	}
	var name []byte
	for rest := b; len(rest) > 0 && err == nil; {
		var s string
		ascii := span(rest, func(c byte) bool { return c < utf8.RuneSelf })
		s, err = utf7.Decode(rest[:ascii])
		rest = rest[ascii:]
		high := span(rest, func(c byte) bool { return c >= utf8.RuneSelf })
		name = append(append(name, s...), rest[:high]...)
		rest = rest[high:]
	}
	if err != nil {
		return "", &NameError{Raw: string(b), Err: err}
	}
	return string(name), nil
}

// span is how many octets at the beginning of b are of a kind.
func span(b []byte, kind func(c byte) bool) int {
	n := slices.IndexFunc(b, func(c byte) bool { return !kind(c) })
	if n < 0 {
		return len(b)
	}
	return n
}
