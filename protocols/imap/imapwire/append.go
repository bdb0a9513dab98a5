package imapwire

import (
	"bytes"
	"iter"
	"strconv"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess/utf7"
)

// maxQuoted is the size in octets from which on a string is sent as a literal:
// clients read quoted strings into line buffers (RFC 2683, section 3.2.1.5).
const maxQuoted = 1024

// AppendNumber appends n in decimal digits.
func AppendNumber[N ~uint32 | ~uint64](dst []byte, n N) []byte {
	return strconv.AppendUint(dst, uint64(n), 10)
}

// Ascending appends numbers of which most are a little above the one before, as in the
// answer to SEARCH. The zero value is ready for use.
type Ascending struct {
	digits [10]byte // of the number that was appended last
	n      int
	last   uint32
}

// Append appends n, which may be any number, in decimal digits.
func (a *Ascending) Append(dst []byte, n uint32) []byte {
	if k := a.n - 1; k >= 0 && n >= a.last && n-a.last <= uint32('9'-a.digits[k]) {
		a.digits[k] += byte(n - a.last) // nothing is carried
	} else {
		a.n = len(AppendNumber(a.digits[:0], n))
	}
	a.last = n
	return append(dst, a.digits[:a.n]...)
}

// AppendNil appends NIL.
func AppendNil(dst []byte) []byte { return append(dst, "NIL"...) }

// AppendString appends s as a string: quoted if that can hold it, otherwise as
// a literal. CR, LF, NUL and more than 1024 octets need a literal, and so do
// octets above 127, unless utf8ok (the client has enabled UTF8=ACCEPT or
// IMAP4rev2: RFC 6855, section 3; RFC 9051, section 4.3) and s is valid UTF-8.
// NUL comes as 0x80; see the package comment.
func AppendString[S ~[]byte | ~string](dst []byte, s S, utf8ok bool) []byte {
	if !quotable(s, utf8ok) {
		return appendLiteral(dst, s)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		c := s[i]
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// AppendNString appends s as [AppendString] does, or NIL unless ok.
func AppendNString[S ~[]byte | ~string](dst []byte, s S, ok, utf8ok bool) []byte {
	if !ok {
		return AppendNil(dst)
	}
	return AppendString(dst, s, utf8ok)
}

// AppendAString appends s as an astring: as it is if it is an atom and not
// NIL, otherwise as [AppendString] does.
func AppendAString[S ~[]byte | ~string](dst []byte, s S, utf8ok bool) []byte {
	if len(s) == 0 || len(s) > maxQuoted || EqualFold(s, "NIL") {
		return AppendString(dst, s, utf8ok)
	}
	for i := range len(s) {
		if classes[s[i]]&classAString == 0 {
			return AppendString(dst, s, utf8ok)
		}
	}
	return append(dst, s...)
}

// AppendMailbox appends a mailbox name, given in UTF-8, as an astring: in
// modified UTF-7, or as it is if utf8ok. INBOX comes in upper case.
func AppendMailbox(dst []byte, name string, utf8ok bool) []byte {
	if EqualFold(name, "INBOX") {
		return append(dst, "INBOX"...)
	}
	if utf8ok || utf7.Plain(name) {
		return AppendAString(dst, name, utf8ok)
	}
	var array [128]byte
	return AppendAString(dst, utf7.Append(array[:0], name), false)
}

// AppendFlag appends a flag. It must be one that [Reader.ReadFlag] could have
// read: a store that lets others in would break the client's parser.
func AppendFlag(dst []byte, flag string) []byte { return append(dst, flag...) }

// AppendFlags appends "(" [flag *(SP flag)] ")".
func AppendFlags(dst []byte, flags iter.Seq[string]) []byte {
	dst = append(dst, '(')
	n := len(dst)
	for f := range flags {
		if len(dst) > n {
			dst = append(dst, ' ')
		}
		dst = AppendFlag(dst, f)
	}
	return append(dst, ')')
}

// AppendNumSet appends numbers as a set such as "1:3,7". Each number that is
// one more than the number before it joins its range, so that the order stays
// as it is, which COPYUID needs (RFC 4315, section 3). No number appends
// nothing, which is not a valid set: callers leave the response out.
func AppendNumSet[N ~uint32](dst []byte, numbers iter.Seq[N]) []byte {
	var first, last N
	for n := range numbers {
		if last != 0 && n == last+1 {
			last = n
			continue
		}
		if last != 0 {
			dst = append(AppendRange(dst, first, last), ',')
		}
		first, last = n, n
	}
	if last == 0 {
		return dst
	}
	return AppendRange(dst, first, last)
}

// AppendRanges appends ranges, each given by its first and last number, as a
// set such as "1:3,7". No range appends nothing, as for [AppendNumSet].
func AppendRanges[N ~uint32](dst []byte, ranges iter.Seq2[N, N]) []byte {
	n := len(dst)
	for first, last := range ranges {
		if len(dst) > n {
			dst = append(dst, ',')
		}
		dst = AppendRange(dst, first, last)
	}
	return dst
}

// AppendRange appends "first:last", or the one number if they are alike.
func AppendRange[N ~uint32](dst []byte, first, last N) []byte {
	dst = AppendNumber(dst, first)
	if last != first {
		dst = AppendNumber(append(dst, ':'), last)
	}
	return dst
}

// AppendSection appends a section with its brackets, as the answer to FETCH
// repeats it.
func AppendSection(dst []byte, s *Section) []byte {
	dst = append(dst, '[')
	for i, n := range s.Part {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = AppendNumber(dst, n)
	}
	if s.Text != TextAll && len(s.Part) > 0 {
		dst = append(dst, '.')
	}
	dst = append(dst, sectionNames[s.Text]...)
	if s.Text == TextHeaderFields || s.Text == TextHeaderFieldsNot {
		dst = append(dst, " ("...)
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendAString(dst, f, false)
		}
		dst = append(dst, ')')
	}
	return append(dst, ']')
}

// AppendText appends the human-readable text of a response. What it may not
// contain comes as "?": CR, LF, NUL, and octets above 127 unless utf8ok (RFC
// 9051, section 9, text). An empty text comes as "-", since one octet is
// needed, and a text that begins with "[" after a space, so that it is not
// taken for a response code.
func AppendText(dst []byte, s string, utf8ok bool) []byte {
	if s == "" {
		return append(dst, '-')
	}
	if s[0] == '[' {
		dst = append(dst, ' ')
	}
	for _, c := range s {
		switch {
		case c == 0 || c == '\r' || c == '\n', c >= 0x80 && !utf8ok:
			dst = append(dst, '?')
		default:
			dst = utf8.AppendRune(dst, c)
		}
	}
	return dst
}

// AppendLiteralHeader appends "{n}" CRLF, or "~{n}" CRLF if binary (literal8).
func AppendLiteralHeader(dst []byte, n int64, binary bool) []byte {
	if binary {
		dst = append(dst, '~')
	}
	dst = strconv.AppendInt(append(dst, '{'), n, 10)
	return append(dst, "}\r\n"...)
}

func appendLiteral[S ~[]byte | ~string](dst []byte, s S) []byte {
	dst = AppendLiteralHeader(dst, int64(len(s)), false)
	start := len(dst)
	dst = append(dst, s...)
	replaceNUL(dst[start:])
	return dst
}

// replaceNUL puts 0x80 in the place of NUL.
func replaceNUL(b []byte) {
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return
		}
		b[i] = 0x80
		b = b[i+1:]
	}
}

// quotable reports whether s can be sent as a quoted string.
func quotable[S ~[]byte | ~string](s S, utf8ok bool) bool {
	if len(s) > maxQuoted {
		return false
	}
	high := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n':
			return false
		case c >= 0x80:
			high = true
		}
	}
	return !high || utf8ok && validUTF8(s)
}

func validUTF8[S ~[]byte | ~string](s S) bool {
	switch s := any(s).(type) {
	case string:
		return utf8.ValidString(s)
	case []byte:
		return utf8.Valid(s)
	}
	return utf8.ValidString(string(s))
}
