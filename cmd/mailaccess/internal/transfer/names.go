package transfer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
)

// CleanName makes a name that [mailaccess.CheckMailboxName] allows of the levels of another:
// in NFC, with "_" for what cannot be and for empty levels. A / in a level becomes "_" too.
func CleanName(levels []string) string {
	clean := make([]string, len(levels))
	for i, level := range levels {
		level = strings.ToValidUTF8(level, "_")
		level = strings.Map(func(r rune) rune {
			if r == '/' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
				return '_'
			}
			return r
		}, level)
		level = norm.NFC.String(level)
		switch {
		case level == "":
			level = "_"
		case i == 0 && strings.EqualFold(level, mailaccess.Inbox):
			level = mailaccess.Inbox
		}
		clean[i] = level
	}
	name := strings.Join(clean, "/")
	for len(name) > mailaccess.MaxMailboxName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return strings.TrimSuffix(name, "/")
}

// Selection says which mailboxes are carried, and under which names.
type Selection struct {
	// Include are patterns of names, in which * is anything and % anything but /
	// (RFC 3501, section 6.3.8); none: all.
	Include []string
	// Exclude are patterns of names that are left out in any case.
	Exclude []string
	// Rename are the new names of mailboxes, and of those below them, by their old ones. The
	// longest counts.
	Rename map[string]string
}

// Has reports whether the mailbox is carried.
func (s *Selection) Has(name string) bool {
	for _, p := range s.Exclude {
		if matches(p, name) {
			return false
		}
	}
	for _, p := range s.Include {
		if matches(p, name) {
			return true
		}
	}
	return len(s.Include) == 0
}

// idle are the parts of it that concern none of boxes: perhaps somebody has mistyped them.
func (s *Selection) idle(boxes []Mailbox) []string {
	var none []string
	has := func(matches func(name string) bool) bool {
		return slices.ContainsFunc(boxes, func(b Mailbox) bool { return matches(b.Name) })
	}
	for _, p := range slices.Concat(s.Include, s.Exclude) {
		if !has(func(name string) bool { return matches(p, name) }) {
			none = append(none, p)
		}
	}
	for _, old := range slices.Sorted(maps.Keys(s.Rename)) {
		if !has(func(name string) bool { return name == old || strings.HasPrefix(name, old+"/") }) {
			none = append(none, old)
		}
	}
	return none
}

// Target returns the name that the mailbox gets.
func (s *Selection) Target(name string) string {
	for at := name; at != ""; {
		if to, ok := s.Rename[at]; ok {
			return to + name[len(at):]
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			break
		}
		at = at[:i]
	}
	return name
}

// ParseRename reads "OLD=NEW".
func ParseRename(text string) (from, to string, err error) {
	from, to, ok := strings.Cut(text, "=")
	if !ok {
		return "", "", fmt.Errorf("%q: not OLD=NEW", text)
	}
	for _, name := range []string{from, to} {
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return "", "", err
		}
	}
	return from, to, nil
}

// matches reports whether a pattern matches a name. It goes through both once for each
// wildcard at most.
func matches(pattern, name string) bool {
	p, n := 0, 0
	star, starAt := -1, 0       // the last "*" and where in name it begins again
	percent, percentAt := -1, 0 // the last "%" after it
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, starAt, percent = p, n, -1
			p++
		case p < len(pattern) && pattern[p] == '%':
			percent, percentAt = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case percent >= 0 && name[percentAt] != '/':
			percentAt++
			p, n = percent+1, percentAt
		case star >= 0:
			starAt++
			p, n, percent = star+1, starAt, -1
		default:
			return false
		}
	}
	for p < len(pattern) && (pattern[p] == '*' || pattern[p] == '%') {
		p++
	}
	return p == len(pattern)
}
