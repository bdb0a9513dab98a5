package main

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// A plainWriter writes lines of the log so that they show as what they are. Clients choose
// names and IDs that get into a log: what zap leaves in the strings of its fields, and a
// terminal or a reader of lines may take for more than text, becomes an escape as in JSON.
// That is DEL, the controls U+0080 to U+009F (U+009B begins an escape sequence), the line
// ends U+0085, U+2028 and U+2029, and what changes the direction of text or cannot be seen.
type plainWriter struct{ w io.Writer }

// Write takes whole lines.
func (p plainWriter) Write(line []byte) (int, error) {
	at := 0
	for at < len(line) && line[at] < 0x7f {
		at++
	}
	if at == len(line) {
		return p.w.Write(line)
	}
	plain := append(make([]byte, 0, 2*len(line)), line[:at]...)
	for rest := line[at:]; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		switch {
		case r <= 0xffff && isOdd(r):
			plain = fmt.Appendf(plain, `\u%04x`, r)
		case isOdd(r):
			high, low := utf16.EncodeRune(r)
			plain = fmt.Appendf(plain, `\u%04x\u%04x`, high, low)
		default:
			plain = append(plain, rest[:n]...)
		}
		rest = rest[n:]
	}
	if _, err := p.w.Write(plain); err != nil {
		return 0, err
	}
	return len(line), nil
}

// isOdd leaves the controls of ASCII to zap: those that it writes are its own.
func isOdd(r rune) bool {
	return r >= 0x7f && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError)
}
