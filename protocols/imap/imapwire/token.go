package imapwire

import (
	"bytes"
	"unicode/utf8"
)

func (r *Reader) syntaxError(msg string) error {
	return &SyntaxError{Pos: r.line, Msg: msg}
}

// at returns the octet at offset i from pos, reading as needed.
func (r *Reader) at(i int) (byte, error) {
	if r.lit.pending {
		if err := r.leaveLiteral(); err != nil {
			return 0, err
		}
	}
	if err := r.checkLine(i - 2); err != nil { // CR LF are not counted
		return 0, err
	}
	if err := r.grows(i); err != nil {
		return 0, err
	}
	for r.pos+i >= r.end {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos+i], nil
}

// span returns how many octets from offset i on belong to c.
func (r *Reader) span(i int, c class) (int, error) {
	if r.lit.pending {
		if err := r.leaveLiteral(); err != nil {
			return 0, err
		}
	}
	n := i
	for {
		for _, b := range r.buf[r.pos+n : r.end] {
			if classes[b]&c == 0 {
				if err := r.checkLine(n); err != nil {
					return 0, err
				}
				return n - i, r.grows(n)
			}
			n++
		}
		if err := r.checkLine(n); err != nil {
			return 0, err
		}
		if err := r.grows(n); err != nil {
			return 0, err
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// checkLine checks that the line may be n octets longer than consumed yet.
func (r *Reader) checkLine(n int) error {
	if r.line+n > r.limits.Line {
		return &LimitError{Kind: LimitLine, Max: int64(r.limits.Line)}
	}
	return nil
}

// grows calls Hold when the command is about to have n octets more and be large.
func (r *Reader) grows(n int) error {
	if r.large || r.hold == nil || r.held+r.line+n <= usualCommand {
		return nil
	}
	r.large = true
	return r.hold()
}

// consume returns a view of the next n octets, which are in the buffer, and
// goes behind them.
func (r *Reader) consume(n int) []byte {
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	r.line += n
	return b
}

// token reads one or more octets of class c.
func (r *Reader) token(c class, msg string) ([]byte, error) {
	n, err := r.span(0, c)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, r.syntaxError(msg)
	}
	return r.consume(n), nil
}

// Peek returns the next octet without consuming it. At the end of the command
// that is CR or LF.
func (r *Reader) Peek() (byte, error) { return r.at(0) }

func (r *Reader) nextIs(c byte) (bool, error) {
	b, err := r.at(0)
	return b == c, err
}

// Accept consumes the next octet if it is c, and says whether it was. c is not
// CR, LF or "{".
func (r *Reader) Accept(c byte) (bool, error) {
	b, err := r.at(0)
	if err != nil || b != c {
		return false, err
	}
	if err := r.checkLine(1); err != nil {
		return false, err
	}
	r.pos++
	r.line++
	return true, nil
}

// Expect consumes the next octet, which must be c, or fails with a
// *SyntaxError. c is as for Accept.
func (r *Reader) Expect(c byte) error {
	ok, err := r.Accept(c)
	if err != nil || ok {
		return err
	}
	if c == ' ' {
		return r.syntaxError("expected SP")
	}
	return r.syntaxError("expected " + string(rune(c)))
}

// SP consumes exactly one space.
func (r *Reader) SP() error { return r.Expect(' ') }

// AtEnd reports whether the line ends here. It consumes nothing.
func (r *Reader) AtEnd() (bool, error) {
	c, err := r.at(0)
	return c == '\r' || c == '\n', err
}

// CRLF consumes the end of the line, CRLF or a bare LF, which must be the end
// of the command. It gives the buffer back if the client has not sent more.
func (r *Reader) CRLF() error {
	c, err := r.at(0)
	if err != nil {
		return err
	}
	n := 1
	if c == '\r' {
		n = 2
		if c, err = r.at(1); err != nil {
			return err
		}
	}
	if c != '\n' {
		return r.syntaxError("expected the end of the command")
	}
	r.pos += n
	r.endCommand()
	r.Park()
	return nil
}

// ReadAtom reads an atom.
func (r *Reader) ReadAtom() ([]byte, error) {
	return r.token(classAtom, "expected an atom")
}

// ReadKeyword reads an atom and returns it in upper case: the second word of
// UID FETCH, a search key, "+FLAGS.SILENT".
func (r *Reader) ReadKeyword() ([]byte, error) {
	b, err := r.token(classAtom, "expected an atom")
	return upperInPlace(b), err
}

// ReadItemName reads an atom that ends before a "[", in upper case: the name
// of a fetch item. When "[" is next, [Reader.ReadSection] reads what follows.
func (r *Reader) ReadItemName() ([]byte, error) {
	b, err := r.token(classItem, "expected a data item")
	return upperInPlace(b), err
}

// ReadStringBytes reads a string: quoted or literal.
func (r *Reader) ReadStringBytes() ([]byte, error) {
	c, err := r.at(0)
	if err != nil {
		return nil, err
	}
	switch c {
	case '"':
		return r.readQuoted()
	case '{':
		return r.readLiteralString()
	}
	return nil, r.syntaxError("expected a string")
}

// ReadString reads a string: quoted or literal.
func (r *Reader) ReadString() (string, error) {
	b, err := r.ReadStringBytes()
	return string(b), err
}

// ReadAStringBytes reads an astring: an atom that may contain "]", or a
// string.
func (r *Reader) ReadAStringBytes() ([]byte, error) {
	return r.stringOr(classAString, "expected an astring")
}

// ReadAString reads an astring: an atom that may contain "]", or a string.
func (r *Reader) ReadAString() (string, error) {
	b, err := r.ReadAStringBytes()
	return string(b), err
}

// ReadNString reads an nstring: a string, or NIL, for which ok is false.
func (r *Reader) ReadNString() (s string, ok bool, err error) {
	c, err := r.at(0)
	if err != nil {
		return "", false, err
	}
	if c == '"' || c == '{' {
		s, err = r.ReadString()
		return s, err == nil, err
	}
	n, err := r.span(0, classAtom)
	if err != nil {
		return "", false, err
	}
	if !EqualFold(r.buf[r.pos:r.pos+n], "NIL") {
		return "", false, r.syntaxError("expected a string or NIL")
	}
	r.consume(n)
	return "", false, nil
}

func (r *Reader) stringOr(c class, msg string) ([]byte, error) {
	b, err := r.at(0)
	if err != nil {
		return nil, err
	}
	switch b {
	case '"':
		return r.readQuoted()
	case '{':
		return r.readLiteralString()
	}
	return r.token(c, msg)
}

// readQuoted reads a quoted string (RFC 3501, section 4.3). Only the quote and
// the backslash may be escaped.
func (r *Reader) readQuoted() ([]byte, error) {
	n := 1
	escaped := false
	for {
		m, err := r.span(n, classQuoted)
		if err != nil {
			return nil, err
		}
		n += m
		switch r.buf[r.pos+n] {
		case '"':
			if err := r.checkLine(n + 1); err != nil {
				return nil, err
			}
			b := r.buf[r.pos+1 : r.pos+n : r.pos+n]
			if r.utf8 && !utf8.Valid(b) {
				return nil, r.syntaxError("quoted string is not valid UTF-8")
			}
			if escaped {
				b = unescape(b)
			}
			r.consume(n + 1)
			return b, nil
		case '\\':
			c, err := r.at(n + 1)
			if err != nil {
				return nil, err
			}
			if c != '"' && c != '\\' {
				return nil, r.syntaxError("bad escape in a quoted string")
			}
			escaped = true
			n += 2
		default:
			return nil, r.syntaxError("CR, LF or NUL in a quoted string")
		}
	}
}

// unescape removes the backslashes before quoted-specials in place.
func unescape(b []byte) []byte {
	n := 0
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' {
			i++
		}
		b[n] = b[i]
		n++
	}
	return b[:n]
}

func (r *Reader) readLiteralString() ([]byte, error) {
	b, err := r.memoryLiteral()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return nil, r.syntaxError("NUL in a literal")
	}
	return b, nil
}

// ReadNumber reads a number of 32 bits; leading zeros are allowed.
func (r *Reader) ReadNumber() (uint32, error) {
	n, err := r.number(1<<32 - 1)
	return uint32(n), err
}

// ReadNZNumber reads a number of 32 bits that does not begin with 0.
func (r *Reader) ReadNZNumber() (uint32, error) {
	c, err := r.at(0)
	if err != nil {
		return 0, err
	}
	if c == '0' {
		return 0, r.syntaxError("number must not be 0")
	}
	return r.ReadNumber()
}

// ReadNumber64 reads a number of 63 bits, such as a mod-sequence (RFC 7162,
// section 7) or a size (RFC 9051, section 9).
func (r *Reader) ReadNumber64() (uint64, error) { return r.number(1<<63 - 1) }

func (r *Reader) number(most uint64) (uint64, error) {
	n, err := r.span(0, classDigit)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, r.syntaxError("expected a number")
	}
	var v uint64
	for _, c := range r.buf[r.pos : r.pos+n] {
		d := uint64(c - '0')
		if v > (most-d)/10 {
			return 0, r.syntaxError("number too big")
		}
		v = v*10 + d
	}
	r.consume(n)
	return v, nil
}

// ReadList reads "(" [item *(SP item)] ")". It calls item where an item
// begins, to consume it. The list may be empty: callers that need an item
// count them.
func (r *Reader) ReadList(item func() error) error {
	if err := r.Expect('('); err != nil {
		return err
	}
	if err := r.Enter(); err != nil {
		return err
	}
	ok, err := r.Accept(')')
	for !ok && err == nil {
		if r.items++; r.items > r.limits.ListItems {
			return &LimitError{Kind: LimitListItems, Max: int64(r.limits.ListItems)}
		}
		if err := item(); err != nil {
			return err
		}
		ok, err = r.Accept(')')
		if !ok && err == nil {
			err = r.SP()
		}
	}
	r.Leave()
	return err
}

// NextIsList reports whether a space and a parenthesized list come next, and
// consumes the space if so.
func (r *Reader) NextIsList() (bool, error) {
	if b, err := r.at(0); err != nil || b != ' ' {
		return false, err
	}
	if b, err := r.at(1); err != nil || b != '(' {
		return false, err
	}
	return true, r.SP()
}

// Enter counts one more level of nesting towards Limits.Depth, until
// [Reader.Leave]. [Reader.ReadList] calls it; a parser that recurses without a
// list, as for the search keys NOT and OR, calls it for itself.
func (r *Reader) Enter() error {
	if r.depth++; r.depth > r.limits.Depth {
		return &LimitError{Kind: LimitDepth, Max: int64(r.limits.Depth)}
	}
	return nil
}

// Leave undoes one [Reader.Enter].
func (r *Reader) Leave() { r.depth-- }
