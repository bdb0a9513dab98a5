package maildirname

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
)

// infoSeparator begins what may change in the name of a message's file
// (https://cr.yp.to/proto/maildir.html, "What can I put in info?").
const infoSeparator = ":2,"

// SizeUnknown stands for a size that a name does not tell.
const SizeUnknown = mailaccess.SizeUnknown

// Message is the name of a message's file in cur or new, taken apart:
//
//	unique[,S=n][,W=n][,other fields]:2,FLAGS[,other fields]
//
// It shares the memory of the name.
type Message struct {
	// Base is all before the first ":2,", or the whole name when there is none. It
	// identifies the message in its folder, whatever happens to its flags. Names
	// with ":1,", whose meaning nobody fixed, have none, and so no flags.
	Base string
	// Size is the length of the file (S=), Wire its length with CRLF at the end of
	// each line (W=), in octets, or SizeUnknown.
	Size, Wire int64
	Flags      Letters
	// info is what follows ":2,"; hasInfo tells a name without it from one in which
	// it is empty.
	info    string
	hasInfo bool
}

// Letters are the flags in a name: "DFPRST", and a to z for keywords.
type Letters struct {
	// System holds D (\Draft), F (\Flagged), R (replied, \Answered), S (\Seen)
	// and T (trashed, \Deleted).
	System mailaccess.SystemFlags
	// Passed is P: the message was resent, forwarded or bounced. It is the keyword
	// $Forwarded (RFC 5788).
	Passed bool
	// Keywords has bit n set for the letter 'a'+n; what it means is said by the
	// folder's [Keywords].
	Keywords uint32
}

// ParseMessage takes a name apart. It takes any octets, and does not allocate. It is
// false for what is not the name of a message: one that is empty, begins with a dot
// (readers leave those alone, as the specification wants) or with the information.
func ParseMessage(name string) (Message, bool) {
	m := Message{Size: SizeUnknown, Wire: SizeUnknown}
	m.Base, m.info, m.hasInfo = strings.Cut(name, infoSeparator)
	if m.Base == "" || m.Base[0] == '.' {
		return Message{}, false
	}
	_, fields, more := strings.Cut(m.Base, ",")
	for more {
		var field string
		field, fields, more = strings.Cut(fields, ",")
		if n, ok := size(field, "S="); ok && m.Size == SizeUnknown {
			m.Size = n
		} else if n, ok := size(field, "W="); ok && m.Wire == SizeUnknown {
			m.Wire = n
		}
	}
	flags, _, _ := strings.Cut(m.info, ",")
	for i := range len(flags) {
		m.Flags.add(flags[i])
	}
	return m, true
}

// size reads the decimal number after a prefix.
func size(field, prefix string) (int64, bool) {
	digits, ok := strings.CutPrefix(field, prefix)
	if !ok || digits == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' || n > (math.MaxInt64-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// add adds the flag of a letter, and reports whether it is one.
func (l *Letters) add(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z':
		l.Keywords |= 1 << (c - 'a')
	case c == 'P':
		l.Passed = true
	default:
		f := systemFlag(c)
		l.System |= f
		return f != 0
	}
	return true
}

// Minus returns the letters that are in l and not in other.
func (l Letters) Minus(other Letters) Letters {
	return Letters{
		System:   l.System &^ other.System,
		Passed:   l.Passed && !other.Passed,
		Keywords: l.Keywords &^ other.Keywords,
	}
}

// systemFlag returns the flag of a capital letter, 0 when it has none.
func systemFlag(c byte) mailaccess.SystemFlags {
	switch c {
	case 'D':
		return mailaccess.FlagDraft
	case 'F':
		return mailaccess.FlagFlagged
	case 'R':
		return mailaccess.FlagAnswered
	case 'S':
		return mailaccess.FlagSeen
	case 'T':
		return mailaccess.FlagDeleted
	}
	return 0
}

// WithFlags returns the name that the message has with flags: Base, and after ":2,"
// the letters in the order of ASCII, as the specification asks. Letters that mean
// nothing here, and fields after a comma, are kept.
func (m Message) WithFlags(flags Letters) string {
	old, fields := m.info, ""
	if i := strings.IndexByte(m.info, ','); i >= 0 {
		old, fields = m.info[:i], m.info[i:]
	}
	b := make([]byte, 0, len(m.Base)+len(infoSeparator)+len(m.info)+32)
	b = append(append(b, m.Base...), infoSeparator...)
	start := len(b)
	for _, c := range []byte("DFRST") {
		if flags.System&systemFlag(c) != 0 {
			b = append(b, c)
		}
	}
	if flags.Passed {
		b = append(b, 'P')
	}
	for n := range byte(26) {
		if flags.Keywords&(1<<n) != 0 {
			b = append(b, 'a'+n)
		}
	}
	// Octets above ASCII stay in their order, which may be that of UTF-8.
	var high []byte
	for i := range len(old) {
		switch c := old[i]; {
		case c >= utf8.RuneSelf:
			high = append(high, c)
		case !new(Letters).add(c):
			b = append(b, c)
		}
	}
	slices.Sort(b[start:])
	return string(append(append(b, high...), fields...))
}

// HasInfo reports whether the name had ":2,". Files in new have none; a file without
// flags in cur should.
func (m Message) HasInfo() bool { return m.hasInfo }
