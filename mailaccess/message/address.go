package message

import "strings"

// AddressKind tells an address from the marks of a group.
type AddressKind uint8

// The kinds of Address.
const (
	// Mailbox is an address of somebody.
	Mailbox AddressKind = iota
	// GroupStart begins a group; Address.Mailbox has its name. IMAP shows it
	// with a NIL host.
	GroupStart
	// GroupEnd ends a group. IMAP shows it with a NIL mailbox and host.
	GroupEnd
)

// Address is an element of an address list (RFC 3501, section 7.4.2).
type Address struct {
	Kind AddressKind
	// Name is the display name without quoting, words separated by one space,
	// encoded words as written; failing that the comment after the address.
	// Empty means none.
	Name string
	// Route is the source route of RFC 5322, section 4.4, such as
	// "@a.example,@b.example"; empty means none.
	Route string
	// Mailbox is the local part without quoting.
	Mailbox string
	// Host is the domain. It is empty in an address that lacks one, which is
	// no group: IMAP must show it as an empty string, not as NIL.
	Host string
}

// String returns mailbox@host, which is for comparing and for people; it is
// not quoted as the grammar of a header demands.
func (a Address) String() string {
	if a.Host == "" {
		return a.Mailbox
	}
	return a.Mailbox + "@" + a.Host
}

// maxAddresses is how many elements of a list are read.
const maxAddresses = 10000

// ParseAddresses reads an unfolded address list (RFC 5322, section 3.4, with
// the obsolete forms of section 4.4). Any text gives a list: what is no
// address by the grammar becomes the most likely one. Text without anything
// in it gives nil. A group that is not closed ends with the text.
func ParseAddresses(s string) []Address { return parseAddresses(s, maxAddresses) }

// FirstAddress is the first element of [ParseAddresses], and whether there is
// one. It reads no further.
func FirstAddress(s string) (Address, bool) {
	if list := parseAddresses(s, 3); len(list) > 0 {
		return list[0], true
	}
	return Address{}, false
}

// parseAddresses reads at most limit elements. An element of the list adds one
// or two of them, the end of the text perhaps another.
func parseAddresses(s string, limit int) []Address {
	p := addressParser{lexer: lexer{s: s}}
	for len(p.out) <= limit-3 && !p.done() {
		p.element()
	}
	if p.group {
		p.out = append(p.out, Address{Kind: GroupEnd})
	}
	return p.out
}

type addressParser struct {
	lexer
	out   []Address
	group bool
	outer element // the address being read
	inner element // what is in its angle brackets
}

// element reads up to the next comma, semicolon, or the colon of a group.
func (p *addressParser) element() {
	e := &p.outer
	e.reset()
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case ' ', '\t', '\r', '\n':
			p.i++
			e.gap()
		case '(':
			e.comment = p.comment()
			e.gap()
		case '"':
			e.word(p.quoted())
		case ',':
			p.i++
			p.add(e)
			return
		case ';':
			p.i++
			p.add(e)
			if p.group {
				p.group = false
				p.out = append(p.out, Address{Kind: GroupEnd})
			}
			return
		case ':':
			p.i++
			if p.group || len(e.phrase) == 0 || e.at > 0 || e.angle {
				e.word(":")
				continue
			}
			p.group = true
			p.out = append(p.out, Address{Kind: GroupStart, Mailbox: string(e.phrase)})
			return
		case '<':
			p.i++
			p.angle()
		case '@':
			p.i++
			e.separator()
		case '[':
			e.word(p.literal())
		case '\\':
			p.i++ // quotes the next byte, as it may in a quoted string
			if p.i < len(p.s) {
				e.word(p.s[p.i : p.i+1])
				p.i++
			}
		default:
			e.word(p.atom())
		}
	}
	p.add(e)
}

// element is what is known of an address while it is read: it may turn out to
// be a name before an angle bracket, or an address by itself.
type element struct {
	phrase  []byte // as a name: words with single spaces
	addr    []byte // as an address: no spaces
	at      int    // index after the last @ of addr, or 0
	spaced  bool   // space since the last word
	dot     bool   // addr ends with a dot or an @
	full    bool   // addr is complete, more words are none of it
	comment string

	angle   bool // there was an address in angle brackets:
	address Address
}

func (e *element) reset() { *e = element{phrase: e.phrase[:0], addr: e.addr[:0]} }

func (e *element) gap() { e.spaced = true }

func (e *element) word(w string) {
	if e.angle {
		return // words after the address
	}
	if e.spaced && len(e.phrase) > 0 {
		e.phrase = append(e.phrase, ' ')
		// RFC 5322, section 4.4: space is allowed around the dots and the @.
		if e.at > 0 && !e.dot && !strings.HasPrefix(w, ".") {
			e.full = true
		}
	}
	e.spaced = false
	e.phrase = append(e.phrase, w...)
	if !e.full {
		e.addr = append(e.addr, w...)
		e.dot = strings.HasSuffix(w, ".")
	}
}

func (e *element) separator() {
	if e.angle {
		return
	}
	e.spaced = false
	e.phrase = append(e.phrase, '@')
	if !e.full {
		e.addr = append(e.addr, '@')
		e.at = len(e.addr)
		e.dot = true
	}
}

func (p *addressParser) add(e *element) {
	a := e.address
	switch {
	case e.angle:
		a.Name = string(e.phrase)
	case e.at > 0:
		s := string(e.addr)
		a.Mailbox, a.Host = s[:e.at-1], s[e.at:]
	case len(e.phrase) > 0:
		a.Mailbox = string(e.phrase)
	default:
		return
	}
	if a.Name == "" {
		a.Name = strings.TrimSpace(e.comment)
	}
	p.out = append(p.out, a)
}

// angle reads what is between angle brackets: an address, perhaps after a
// route. Without the closing one it ends before a comma or a semicolon.
func (p *addressParser) angle() {
	outer, e := &p.outer, &p.inner
	e.reset()
	route := ""
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == '>' {
			p.i++
			break
		}
		if c == ';' || c == ',' && !p.inRoute(e) {
			break
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			p.i++
			e.gap()
		case '(':
			p.comment()
			e.gap()
		case '<':
			p.i++
		case '"':
			e.word(p.quoted())
		case '@':
			p.i++
			e.separator()
		case '[':
			e.word(p.literal())
		case ',':
			p.i++
			e.spaced = false
			e.word(",")
			e.dot = true
		case ':':
			p.i++
			if e.isRoute() && route == "" {
				route = string(e.addr)
				e.reset()
				continue
			}
			e.word(":")
		default:
			e.word(p.atom())
		}
	}
	if outer.angle {
		return // a second one; the first counts
	}
	outer.angle = true
	outer.spaced = false
	outer.address.Route = route
	s := string(e.addr)
	if e.at > 0 {
		outer.address.Mailbox, outer.address.Host = s[:e.at-1], s[e.at:]
	} else {
		outer.address.Mailbox = s
	}
}

// isRoute reports whether what was read begins with an @, as a route does.
func (e *element) isRoute() bool { return len(e.addr) > 0 && e.addr[0] == '@' }

// inRoute reports whether a comma belongs to a route: one has begun, and its
// colon comes before the end of the brackets.
func (p *addressParser) inRoute(e *element) bool {
	if len(e.addr) > 0 && !e.isRoute() {
		return false
	}
	ahead := p.s[p.i:min(len(p.s), p.i+maxRoute)]
	k := strings.IndexAny(ahead, ":<>\"")
	return k >= 0 && ahead[k] == ':'
}

// Ends to looking ahead, far beyond what RFC 5322 allows.
const (
	maxRoute   = 250
	maxLiteral = 250
)

// atom reads bytes that are not special. An encoded word counts as one even
// with specials in it, as some senders write it.
func (p *addressParser) atom() string {
	start := p.i
	for p.i < len(p.s) {
		if n := encodedWord(p.s[p.i:]); n > 0 {
			p.i += n
			continue
		}
		if strings.IndexByte(" \t\r\n()<>@,;:\\\"[", p.s[p.i]) >= 0 {
			break
		}
		p.i++
	}
	if p.i == start {
		p.i++
	}
	return p.s[start:p.i]
}

// literal reads a domain literal, brackets included.
func (p *addressParser) literal() string {
	start := p.i
	end := strings.IndexAny(p.s[start:min(len(p.s), start+maxLiteral)], "],;<>")
	if end < 0 || p.s[start+end] != ']' {
		p.i++ // not closed: a bracket like any character
		return p.s[start:p.i]
	}
	p.i = start + end + 1
	return p.s[start:p.i]
}
