package message

import "strings"

// parseMediaType reads the value of Content-Type. What is not a type and a
// subtype is text/plain; charset=us-ascii (RFC 2045, section 5.2).
func parseMediaType(v string) (typ, subtype string, params []Param) {
	l := lexer{s: v}
	typ = l.token()
	l.space()
	if typ != "" && l.take('/') {
		l.space()
		subtype = l.token()
	}
	if typ == "" || subtype == "" {
		return "text", "plain", []Param{{"charset", "us-ascii"}}
	}
	return lower(typ), lower(subtype), l.params()
}

// parseDisposition reads the value of Content-Disposition (RFC 2183, section
// 2).
func parseDisposition(v string) (string, []Param) {
	l := lexer{s: v}
	d := l.token()
	if d == "" {
		return "", nil
	}
	return lower(d), l.params()
}

// parseLanguages reads the value of Content-Language (RFC 3282, section 2).
func parseLanguages(v string) []string {
	var out []string
	l := lexer{s: v}
	for !l.done() && len(out) < maxParams {
		if t := l.token(); t != "" {
			out = append(out, t)
		} else {
			l.i++ // a comma, or what should be one
		}
	}
	return out
}

// firstToken returns the token that v begins with, in lower case.
func firstToken(v string) string {
	l := lexer{s: v}
	return lower(l.token())
}

// lexer reads the tokens of a structured MIME field. It takes what it can
// and passes over the rest.
type lexer struct {
	s string
	i int
}

func (l *lexer) peek() byte {
	if l.i < len(l.s) {
		return l.s[l.i]
	}
	return 0
}

func (l *lexer) take(c byte) bool {
	if l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

// done passes over space and reports whether nothing is left.
func (l *lexer) done() bool {
	l.space()
	return l.i >= len(l.s)
}

// space passes over white space and comments.
func (l *lexer) space() {
	for l.i < len(l.s) {
		switch l.s[l.i] {
		case ' ', '\t', '\r', '\n':
			l.i++
		case '(':
			l.comment()
		default:
			return
		}
	}
}

// comment passes over a comment and returns its text.
func (l *lexer) comment() string {
	var b strings.Builder
	for depth := 0; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		switch {
		case c == '\\' && l.i+1 < len(l.s):
			l.i++
			c = l.s[l.i]
		case c == '(':
			if depth++; depth == 1 {
				continue
			}
		case c == ')':
			if depth--; depth == 0 {
				l.i++
				return b.String()
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// token returns the token (RFC 2045, section 5.1) at hand, which is empty if
// there is none. 8-bit bytes count as part of it.
func (l *lexer) token() string {
	l.space()
	start := l.i
	for l.i < len(l.s) && isTokenByte(l.s[l.i]) {
		l.i++
	}
	return l.s[start:l.i]
}

func isTokenByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// quoted returns the text of the quoted string at hand. One that is not
// closed reaches to the end.
func (l *lexer) quoted() string {
	l.i++
	start := l.i
	plain := strings.IndexAny(l.s[start:], `"\`)
	if plain >= 0 && l.s[start+plain] == '"' {
		l.i = start + plain + 1
		return l.s[start : start+plain]
	}
	var b strings.Builder
	for ; l.i < len(l.s); l.i++ {
		c := l.s[l.i]
		if c == '"' {
			l.i++
			break
		}
		if c == '\\' && l.i+1 < len(l.s) {
			l.i++
			c = l.s[l.i]
		}
		b.WriteByte(c)
	}
	return b.String()
}

// params reads parameters: "; name=value" as often as it comes. A missing
// semicolon is made up for, a word without a value passed over, and an
// unquoted value may contain what only a quoted one should.
func (l *lexer) params() []Param {
	var out []Param
	for !l.done() && len(out) < maxParams {
		name := l.token()
		if name == "" {
			l.i++
			continue
		}
		l.space()
		if !l.take('=') {
			continue
		}
		l.space()
		var value string
		if l.peek() == '"' {
			value = l.quoted()
		} else {
			value = l.bareValue()
		}
		out = append(out, Param{lower(name), value})
	}
	return out
}

// bareValue reads a value without quotes: up to a semicolon, a comment, or
// white space after which another parameter begins.
func (l *lexer) bareValue() string {
	start, end := l.i, l.i
	for l.i < len(l.s) {
		switch c := l.s[l.i]; c {
		case ';', '(':
			return l.s[start:end]
		case ' ', '\t':
			l.i++
			if l.atParam() {
				return l.s[start:end]
			}
		default:
			l.i++
			end = l.i
		}
	}
	return l.s[start:end]
}

// atParam reports whether "name=" is next.
func (l *lexer) atParam() bool {
	ahead := *l
	for ahead.i < len(ahead.s) && ahead.i < l.i+maxParamName && isTokenByte(ahead.s[ahead.i]) {
		ahead.i++
	}
	return ahead.i > l.i && ahead.peek() == '='
}

const (
	maxParams    = 200 // of one field; beyond is passed over
	maxParamName = 100 // an end to looking ahead
)

// lower returns s with its ASCII letters in lower case; other bytes need not
// be of any charset.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}
