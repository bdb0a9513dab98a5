package imap

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// messageURL is what a relative IMAP URL names: a message or a part of one (RFC 5092,
// section 6).
type messageURL struct {
	mailbox     string // in UTF-8, in the form of the wire; empty: the selected one
	uidValidity uint32 // 0: not said
	uid         mailaccess.UID
	section     message.Section
	partial     partial
}

// parseMessageURL takes the forms that RFC 4469, section 3 has in mind:
//
//	/enc-mailbox[;UIDVALIDITY=n]/;UID=n[/;SECTION=section][/;PARTIAL=offset[.length]]
//	;UID=n[/;SECTION=section][/;PARTIAL=offset[.length]]
//
// the latter of the selected mailbox. Another server, lists of messages and URLAUTH are
// none of them, nor other relative paths: RFC 5092, section 7.2 forbids to accept those,
// but for the one that its section 9.1 shows.
func parseMessageURL(s string) (u messageURL, ok bool) {
	for i := range len(s) {
		if !urlChar(s[i]) {
			return u, false
		}
	}
	rest := s
	if path, absolute := strings.CutPrefix(s, "/"); absolute {
		i := strings.IndexByte(path, ';')
		if i <= 0 || path[0] == '/' {
			return u, false
		}
		var box string
		if box, rest = path[:i], path[i:]; cutFold(&rest, ";UIDVALIDITY=") {
			if u.uidValidity, ok = cutNZNumber(&rest); !ok || !cutFold(&rest, "/") {
				return u, false
			}
		} else if box, ok = strings.CutSuffix(box, "/"); !ok {
			return u, false
		}
		if u.mailbox, ok = mailboxOf(box); !ok {
			return u, false
		}
	}
	var n uint32
	if !cutFold(&rest, ";UID=") {
		return u, false
	}
	if n, ok = cutNZNumber(&rest); !ok {
		return u, false
	}
	u.uid = mailaccess.UID(n)
	if cutFold(&rest, "/;SECTION=") {
		end := strings.IndexByte(rest, ';')
		if end < 0 {
			end = len(rest)
		} else {
			end-- // the slash before it
		}
		if u.section, ok = sectionOf(rest[:max(end, 0)]); !ok {
			return u, false
		}
		rest = rest[max(end, 0):]
	}
	if cutFold(&rest, "/;PARTIAL=") {
		if u.partial, ok = partialOf(&rest); !ok {
			return u, false
		}
	}
	return u, rest == ""
}

// urlChar reports whether c may stand in such a URL: bchar of RFC 5092, section 11, "%"
// and ";".
func urlChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~!$'()*+,&=:@/%;", c) >= 0
}

// mailboxOf is the name of a mailbox in UTF-8 (RFC 5092, section 8). Dot segments go as
// RFC 3986, section 5.2.4 has it; dots that are meant are percent-encoded (RFC 5092,
// section 7).
func mailboxOf(path string) (string, bool) {
	var levels []string
	for level := range strings.SplitSeq(path, "/") {
		switch level {
		case ".":
		case "..":
			levels = levels[:max(0, len(levels)-1)]
		default:
			levels = append(levels, level)
		}
	}
	name, ok := unescape(strings.Join(levels, "/"))
	return name, ok && name != "" && utf8.ValidString(name) && strings.IndexByte(name, 0) < 0
}

// sectionOf is a section as FETCH has it between brackets (RFC 5092, section 6).
func sectionOf(encoded string) (message.Section, bool) {
	text, ok := unescape(encoded)
	if !ok || text == "" {
		return message.Section{}, false
	}
	r := imapwire.NewReader(strings.NewReader("["+text+"]\r\n"), nil)
	defer r.DiscardBuffered()
	var s imapwire.Section
	if r.ReadSection(&s) != nil || r.CRLF() != nil {
		return message.Section{}, false
	}
	return messageSection(&s), true
}

// partialOf reads partial-range: an offset, and a length unless it goes to the end.
func partialOf(rest *string) (p partial, ok bool) {
	p.n = math.MaxInt64
	text := *rest
	*rest = ""
	off, length, limited := strings.Cut(text, ".")
	var err error
	if p.off, err = digits(off); err != nil {
		return p, false
	}
	if limited {
		if p.n, err = digits(length); err != nil || p.n == 0 {
			return p, false
		}
	}
	return p, true
}

// digits is a number of 63 bits.
func digits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// cutFold takes prefix off s, in any case.
func cutFold(s *string, prefix string) bool {
	if len(*s) < len(prefix) || !strings.EqualFold((*s)[:len(prefix)], prefix) {
		return false
	}
	*s = (*s)[len(prefix):]
	return true
}

// cutNZNumber takes an nz-number off s.
func cutNZNumber(s *string) (uint32, bool) {
	i := 0
	for i < len(*s) && '0' <= (*s)[i] && (*s)[i] <= '9' {
		i++
	}
	n, err := strconv.ParseUint((*s)[:i], 10, 32)
	ok := err == nil && (*s)[0] != '0'
	*s = (*s)[i:]
	return uint32(n), ok
}

// unescape undoes percent-encoding (RFC 3986, section 2.1).
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c = byte(n)
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

// appendURLText appends a URL as it may stand in a response code (RFC 4469, section 5:
// url-resp-text): octets that may not are percent-encoded.
func appendURLText(b []byte, s string) []byte {
	if s == "" {
		return append(b, `""`...)
	}
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == ']' {
			b = append(b, '%', hex[c>>4], hex[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
