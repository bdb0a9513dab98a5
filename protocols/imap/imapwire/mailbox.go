package imapwire

import (
	"slices"
	"unicode/utf8"
)

// ReadMailbox reads a mailbox name and returns it in UTF-8. INBOX comes in
// upper case whatever its case was (RFC 3501, section 5.1); names below it are
// left alone. A name that is not valid modified UTF-7, or in UTF-8 mode not
// valid UTF-8, is a *[NameError]. A name with octets above 127, which none has
// in modified UTF-7, is read as UTF-8 in any mode: a server that offers
// UTF8=ACCEPT must take it before the client has enabled that (RFC 6855,
// section 3), and clients that see IMAP4rev2 offered do send it.
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
	if r.utf8 || slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 }) {
		if !utf8.Valid(b) {
			return "", &NameError{Raw: string(b), Err: ErrUTF8}
		}
		return string(b), nil
	}
	s, err := DecodeUTF7(b)
	if err != nil {
		return "", &NameError{Raw: string(b), Err: err}
	}
	return s, nil
}
