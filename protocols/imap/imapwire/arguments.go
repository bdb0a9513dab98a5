package imapwire

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// ReadFlag reads a flag: a keyword, or "\" and an atom (RFC 3501, section 9).
// The system flags come in the case of RFC 3501, section 2.3.2, whatever their
// case was; all else comes as it is. "\Recent" and unknown names after "\" are
// for the caller to refuse.
func (r *Reader) ReadFlag() (string, error) {
	ok, err := r.Accept('\\')
	if err != nil {
		return "", err
	}
	b, err := r.token(classAtom, "expected a flag")
	if err != nil {
		return "", err
	}
	if !ok {
		return keyword(b), nil
	}
	for _, f := range [...]string{`\Seen`, `\Deleted`, `\Answered`, `\Flagged`, `\Draft`, `\Recent`} {
		if EqualFold(b, f[1:]) {
			return f, nil
		}
	}
	return `\` + string(b), nil
}

// keyword returns b as a string, without allocating for those that are
// common (RFC 5788, section 3.4; RFC 8457, section 2).
func keyword(b []byte) string {
	switch string(b) {
	case "$Forwarded":
		return "$Forwarded"
	case "$MDNSent":
		return "$MDNSent"
	case "$Junk":
		return "$Junk"
	case "$NotJunk":
		return "$NotJunk"
	case "$Phishing":
		return "$Phishing"
	case "$Important":
		return "$Important"
	case "Junk":
		return "Junk"
	case "NonJunk":
		return "NonJunk"
	}
	return string(b)
}

// ReadFlagList reads "(" [flag *(SP flag)] ")" and appends the flags to dst.
func (r *Reader) ReadFlagList(dst []string) ([]string, error) {
	err := r.ReadList(func() error {
		f, err := r.ReadFlag()
		if err == nil {
			dst = append(dst, f)
		}
		return err
	})
	return dst, err
}

// ReadStoreFlags reads the flags of STORE, a flag list or flags without
// parentheses up to the end of the line, and appends them to dst.
func (r *Reader) ReadStoreFlags(dst []string) ([]string, error) {
	c, err := r.at(0)
	if err != nil {
		return dst, err
	}
	if c == '(' {
		return r.ReadFlagList(dst)
	}
	for {
		if r.items++; r.items > r.limits.ListItems {
			return dst, &LimitError{Kind: LimitListItems, Max: int64(r.limits.ListItems)}
		}
		f, err := r.ReadFlag()
		if err != nil {
			return dst, err
		}
		dst = append(dst, f)
		if ok, err := r.Accept(' '); !ok || err != nil {
			return dst, err
		}
	}
}

// ReadBase64 reads base64 among the arguments: the initial response of
// AUTHENTICATE, where "=" stands for one that is empty (RFC 4959, section 3).
// The data is a new slice, not nil.
func (r *Reader) ReadBase64() ([]byte, error) {
	n, err := r.span(0, classBase64)
	if err != nil {
		return nil, err
	}
	b := r.buf[r.pos : r.pos+n]
	if n == 1 && b[0] == '=' {
		r.consume(n)
		return []byte{}, nil
	}
	data, ok := decodeBase64(b)
	if n == 0 || !ok {
		return nil, r.syntaxError("expected base64")
	}
	r.consume(n)
	return data, nil
}

// ReadAuthLine reads the line with which the client answers a challenge:
// base64, possibly empty, or "*", for which cancel is true (RFC 3501, section
// 6.2.2). Some clients, go-imap's among them, write an empty response as "=" here
// too, where only an initial response needs it; it is taken. The data is a new slice, not nil. A line that is not base64 is a
// *SyntaxError; otherwise errors are those of [Reader.ReadLine].
func (r *Reader) ReadAuthLine() (data []byte, cancel bool, err error) {
	b, err := r.ReadLine()
	if err != nil {
		return nil, false, err
	}
	if string(b) == "*" {
		return nil, true, nil
	}
	if string(b) == "=" {
		return []byte{}, false, nil
	}
	data, ok := decodeBase64(b)
	if !ok {
		return nil, false, r.syntaxError("expected base64")
	}
	return data, false, nil
}

// decodeBase64 is strict: padding is needed, and bits left over must be 0 (RFC
// 4648, section 3.5).
func decodeBase64(b []byte) ([]byte, bool) {
	if bytes.ContainsAny(b, "\r\n") { // which package base64 would skip
		return nil, false
	}
	enc := base64.StdEncoding.Strict()
	data := make([]byte, enc.DecodedLen(len(b)))
	n, err := enc.Decode(data, b)
	return data[:n], err == nil
}

// ReadDone reads the line that ends IDLE (RFC 2177, section 3). Another line is
// a *SyntaxError; otherwise errors are those of [Reader.ReadLine].
func (r *Reader) ReadDone() error {
	b, err := r.ReadLine()
	if err == nil && !EqualFold(b, "DONE") {
		return r.syntaxError("expected DONE")
	}
	return err
}

// ReadLine reads what is left of the line, or the next line when the command
// has been ended by [Reader.CRLF], whatever is in it, and returns it without
// its end. A line longer than Limits.Line, and one that ends in the header of a
// non-synchronizing literal (RFC 7888, section 3: every line is checked), is an
// error, after which [Reader.Skip] finds the end as for a command. When a
// deadline interrupts it, nothing is consumed.
func (r *Reader) ReadLine() ([]byte, error) {
	if r.lit.pending {
		if err := r.leaveLiteral(); err != nil {
			return nil, err
		}
	}
	n := 0
	for {
		if i := bytes.IndexByte(r.buf[r.pos+n:r.end], '\n'); i >= 0 {
			n += i
			break
		}
		n = r.end - r.pos
		if err := r.checkLine(n - 1); err != nil { // a CR is not counted
			r.ended = false
			return nil, err
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.pos : r.pos+n : r.pos+n]
	if n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	if err := r.checkLine(len(b)); err != nil {
		r.ended = false
		return nil, err
	}
	if endsInLiteral(b) {
		r.ended = false
		return nil, r.syntaxError("literal where none is allowed")
	}
	r.pos += n + 1
	r.endCommand()
	return b, nil
}

// A SectionText says which text of a part a [Section] names.
type SectionText uint8

const (
	TextAll             SectionText = iota // no text: the whole part
	TextHeader                             // HEADER
	TextHeaderFields                       // HEADER.FIELDS
	TextHeaderFieldsNot                    // HEADER.FIELDS.NOT
	TextBody                               // TEXT
	TextMIME                               // MIME
)

// sectionNames is never written to.
var sectionNames = [...]string{
	TextHeader: "HEADER", TextHeaderFields: "HEADER.FIELDS", TextHeaderFieldsNot: "HEADER.FIELDS.NOT",
	TextBody: "TEXT", TextMIME: "MIME",
}

// A Section is what stands between "[" and "]" after BODY, BODY.PEEK or BINARY
// (RFC 3501, section 6.4.5). A BINARY section has no Text (RFC 3516, section
// 7), which its parser checks.
type Section struct {
	Part   []uint32 // each at least 1; empty for the message itself
	Text   SectionText
	Fields []string // header field names as the client wrote them
}

// ReadSection reads a section with its brackets into s, which loses what it
// held. MIME is accepted only below a part, HEADER.FIELDS only with a list
// that is not empty. The number of parts is limited by Limits.Depth.
func (r *Reader) ReadSection(s *Section) error {
	s.Part, s.Text, s.Fields = s.Part[:0], TextAll, s.Fields[:0]
	if err := r.Expect('['); err != nil {
		return err
	}
	if ok, err := r.Accept(']'); ok || err != nil {
		return err
	}
	for {
		c, err := r.at(0)
		if err != nil {
			return err
		}
		if classes[c]&classDigit == 0 {
			break
		}
		n, err := r.ReadNZNumber()
		if err != nil {
			return err
		}
		if len(s.Part) == r.limits.Depth {
			return &LimitError{Kind: LimitDepth, Max: int64(r.limits.Depth)}
		}
		s.Part = append(s.Part, n)
		if ok, err := r.Accept('.'); err != nil {
			return err
		} else if !ok {
			return r.Expect(']')
		}
	}
	if err := r.sectionText(s); err != nil {
		return err
	}
	return r.Expect(']')
}

func (r *Reader) sectionText(s *Section) error {
	n, err := r.span(0, classAtom)
	if err != nil {
		return err
	}
	name := r.buf[r.pos : r.pos+n]
	i := slices.IndexFunc(sectionNames[1:], func(known string) bool { return EqualFold(name, known) }) + 1
	if i == 0 || SectionText(i) == TextMIME && len(s.Part) == 0 {
		return r.syntaxError("expected a section")
	}
	r.consume(n)
	s.Text = SectionText(i)
	if s.Text != TextHeaderFields && s.Text != TextHeaderFieldsNot {
		return nil
	}
	if err := r.SP(); err != nil {
		return err
	}
	err = r.ReadList(func() error {
		f, err := r.ReadAString()
		if err == nil {
			s.Fields = append(s.Fields, f)
		}
		return err
	})
	if err == nil && len(s.Fields) == 0 {
		err = r.syntaxError("expected a header field name")
	}
	return err
}

// ReadPartial reads the part of a section that is asked for, "<" offset "."
// count ">", in octets; count is at least 1. ok is false when none is there.
// Numbers are those of RFC 9051, section 9, of 63 bits.
func (r *Reader) ReadPartial() (offset, count uint64, ok bool, err error) {
	if ok, err = r.Accept('<'); !ok || err != nil {
		return 0, 0, false, err
	}
	if offset, err = r.ReadNumber64(); err == nil {
		err = r.Expect('.')
	}
	if err == nil {
		count, err = r.ReadNumber64()
	}
	if err == nil && count == 0 {
		err = r.syntaxError("number must not be 0")
	}
	if err == nil {
		err = r.Expect('>')
	}
	return offset, count, err == nil, err
}
