package pop3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// UIDLFormat is a form of unique-ids (RFC 1939, section 7). The zero value is that of
// the name "default". Messages of the first mailbox of a maildrop have ids of just
// that form, so that what a client has seen stays seen when others join; those of the
// others end in a dot and the mailbox's id, where the form has a UID and no mailbox
// id. An id that would be longer than 70 octets is replaced by the SHA-256 of it.
type UIDLFormat struct {
	parts []uidlPart // nil: those of "default"
	// needs are the fields in it.
	email, hash, uid, box bool
}

// uidlPart is text, or a field.
type uidlPart struct {
	text  string
	field byte // 0: text
	hex   bool
	width int // of a number, filled with zeros
}

// maxUniqueID is from RFC 1939, section 7.
const maxUniqueID = 70

// namedUIDL are the templates that have names.
var namedUIDL = map[string]string{
	"default": "%v.%u",
	"dovecot": "%08Xu%08Xv",
	"courier": "UID%u-%v",
	"cyrus":   "%v.%u",
	"emailid": "%e",
	"sha256":  "%h",
}

// ParseUIDLFormat reads the form that a server has its unique-ids in, so that clients
// which leave mail on the server download nothing twice after a migration that kept
// UIDs and UIDVALIDITY. It is a name:
//
//	default   %v.%u
//	dovecot   %08Xu%08Xv, the default of Dovecot
//	courier   UID%u-%v, for those numbers of Courier's POP3 that are UIDs
//	cyrus     %v.%u
//	emailid   %e
//	sha256    %h
//
// or a template of printable ASCII without spaces, in which
//
//	%v   is the UIDVALIDITY
//	%u   the UID
//	%b   the id of the mailbox
//	%e   the id of the content (RFC 8474, section 5.1)
//	%h   the SHA-256 of the content in hexadecimal: every message is read once
//	%%   a percent sign
//
// Numbers may have a width before the letter, filled with zeros, and X for
// hexadecimal, as in Dovecot's setting. Copies of a message share what %e and %h say.
// Without %u, %e or %h it is no id of a message, and refused.
func ParseUIDLFormat(s string) (UIDLFormat, error) {
	if named, ok := namedUIDL[s]; ok {
		s = named
	}
	f, err := parseUIDLFormat(s)
	if err != nil {
		return UIDLFormat{}, fmt.Errorf("pop3: form of unique-ids %q: %w", s, err)
	}
	return f, nil
}

func parseUIDLFormat(s string) (UIDLFormat, error) {
	var f UIDLFormat
	if len(s) > maxUniqueID {
		return f, errors.New("too long")
	}
	for s != "" {
		text, rest, more := strings.Cut(s, "%")
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return f, errors.New("not printable ASCII without spaces")
		}
		if text != "" {
			f.parts = append(f.parts, uidlPart{text: text})
		}
		if !more {
			break
		}
		var err error
		if s, err = f.field(rest); err != nil {
			return f, err
		}
	}
	if !f.uid && !f.email && !f.hash {
		return f, errors.New("neither %u nor %e nor %h in it")
	}
	return f, nil
}

// field reads what follows a percent sign, and returns the rest.
func (f *UIDLFormat) field(s string) (rest string, err error) {
	p := uidlPart{}
	i := 0
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9' && p.width < 100; i++ {
		p.width = p.width*10 + int(s[i]-'0')
	}
	if p.width > 16 {
		return "", errors.New("a width over 16")
	}
	if i < len(s) && s[i] == 'X' {
		p.hex = true
		i++
	}
	if i == len(s) {
		return "", errors.New("a percent sign and nothing after it")
	}
	p.field = s[i]
	number := false
	switch p.field {
	case 'v':
		number = true
	case 'u':
		number, f.uid = true, true
	case 'b':
		f.box = true
	case 'e':
		f.email = true
	case 'h':
		f.hash = true
	case '%':
		p = uidlPart{text: "%", width: p.width, hex: p.hex}
	default:
		return "", fmt.Errorf("no field %q", "%"+s[:i+1])
	}
	if !number && i > 0 {
		return "", errors.New("a width or X before what is no number")
	}
	f.parts = append(f.parts, p)
	return s[i+1:], nil
}

// perMessage reports whether the ids say something that only the store knows.
func (f *UIDLFormat) perMessage() bool { return f.email || f.hash }

// orDefault returns f, or what it stands for.
func (f UIDLFormat) orDefault() UIDLFormat {
	if f.parts == nil {
		f.parts = []uidlPart{{field: 'v'}, {text: "."}, {field: 'u'}}
		f.uid = true
	}
	return f
}

// uidlFields are a message.
type uidlFields struct {
	box      mailaccess.MailboxID
	first    bool // the first mailbox of the maildrop
	validity uint32
	uid      mailaccess.UID
	email    mailaccess.EmailID
	hash     [sha256.Size]byte
	saved    string // from a server before; it counts whatever the format is
}

// append appends the id of a message.
func (f *UIDLFormat) append(b []byte, m *uidlFields) []byte {
	if m.saved != "" {
		return append(b, m.saved...)
	}
	start := len(b)
	for i := range f.parts {
		switch p := &f.parts[i]; p.field {
		case 0:
			b = append(b, p.text...)
		case 'v':
			b = p.appendNumber(b, m.validity)
		case 'u':
			b = p.appendNumber(b, uint32(m.uid))
		case 'b':
			b = append(b, m.box...)
		case 'e':
			b = append(b, m.email...)
		case 'h':
			b = hex.AppendEncode(b, m.hash[:])
		}
	}
	if !m.first && f.uid && !f.box {
		b = append(append(b, '.'), m.box...)
	}
	if len(b)-start > maxUniqueID {
		sum := sha256.Sum256(b[start:])
		b = hex.AppendEncode(b[:start], sum[:])
	}
	return b
}

func (p *uidlPart) appendNumber(b []byte, n uint32) []byte {
	base := 10
	if p.hex {
		base = 16
	}
	start := len(b)
	b = strconv.AppendUint(b, uint64(n), base)
	if digits := len(b) - start; digits < p.width {
		b = append(b, "0000000000000000"[:p.width-digits]...)
		copy(b[len(b)-digits:], b[start:start+digits])
		for i := start; i < len(b)-digits; i++ {
			b[i] = '0'
		}
	}
	return b
}
