package imap_test

import (
	"regexp"
	"slices"
	"strings"
)

// dateTime is the date-time of RFC 3501, section 9, between quotes.
var dateTime = regexp.MustCompile(`^[ 123]\d-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{4} \d\d:\d\d:\d\d [+-]\d{4}$`)

// objectID is the objectid of RFC 8474, section 7.
var objectID = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// attributes is msg-att.
func (g *grammar) attributes() {
	var all []string
	g.list(1, func() {
		from := g.pos
		g.attribute()
		// Partials that begin at the same octet have the same name.
		name, _, _ := strings.Cut(string(g.in[from:g.pos]), " ")
		if slices.Contains(all, name) && !strings.HasPrefix(name, "BODY[") && !strings.HasPrefix(name, "BINARY[") {
			g.fail("%s twice", name)
		}
		all = append(all, name)
	})
}

func (g *grammar) attribute() {
	word := g.take("an item", func(c byte) bool { return atomChar(c) && c != '[' })
	if word == "BODY" && g.peek() == '[' {
		g.section()
		if g.accept("<") {
			g.number()
			g.expect(">")
		}
		g.expect(" ")
		g.nstring()
		return
	}
	if word == "BINARY" || word == "BINARY.SIZE" {
		g.binary(word == "BINARY")
		return
	}
	g.expect(" ")
	switch word {
	case "FLAGS":
		g.flags(true, false)
	case "MODSEQ":
		g.expect("(")
		g.modSeq()
		g.expect(")")
	case "ENVELOPE":
		g.envelope()
	case "INTERNALDATE":
		if s := g.quoted(); g.ok() && !dateTime.MatchString(s) {
			g.fail("date-time %q", s)
		}
	case "RFC822", "RFC822.HEADER", "RFC822.TEXT":
		g.nstring()
	case "RFC822.SIZE":
		g.number()
	case "UID":
		g.nzNumber()
	case "PREVIEW":
		g.nstring()
	case "EMAILID":
		g.objectID()
	case "THREADID":
		if !g.accept("NIL") {
			g.objectID()
		}
	case "SAVEDATE":
		if g.accept("NIL") {
			return
		}
		if s := g.quoted(); g.ok() && !dateTime.MatchString(s) {
			g.fail("date-time %q", s)
		}
	case "BODY":
		g.body(false)
	case "BODYSTRUCTURE":
		g.body(true)
	default:
		g.fail("item %q", word)
	}
}

// objectID is an objectid (RFC 8474, section 7) in parentheses.
func (g *grammar) objectID() {
	g.expect("(")
	if id := g.take("an object id", func(c byte) bool { return atomChar(c) }); len(id) > 255 || !objectID.MatchString(id) {
		g.fail("object id %q", id)
	}
	g.expect(")")
}

// binary is what RFC 3516, section 7 adds to msg-att: the section is a number.
func (g *grammar) binary(data bool) {
	from := g.pos
	g.section()
	if text := string(g.in[from:g.pos]); g.ok() && strings.Trim(text, "[]0123456789.") != "" {
		g.fail("section %s of BINARY", text)
	}
	if data && g.accept("<") {
		g.number()
		g.expect(">")
	}
	g.expect(" ")
	switch {
	case !data:
		g.number()
	case g.accept("~"):
		if s := g.octets(); g.ok() && !strings.Contains(s, "\x00") {
			g.fail("a literal8 without NUL") // RFC 3516, section 4.3
		}
	default:
		g.nstring()
	}
}

func (g *grammar) section() {
	g.expect("[")
	parts := 0
	for ; digit(g.peek()); parts++ {
		g.nzNumber()
		if g.accept("]") {
			return
		}
		g.expect(".")
	}
	switch {
	case parts == 0 && g.peek() == ']':
	case g.accept("HEADER.FIELDS.NOT "), g.accept("HEADER.FIELDS "):
		g.list(1, func() { g.astring() })
	case g.accept("HEADER"), g.accept("TEXT"), parts > 0 && g.accept("MIME"):
	default:
		g.fail("expected the text of a section")
	}
	g.expect("]")
}

func (g *grammar) envelope() {
	g.expect("(")
	g.nstring()
	g.expect(" ")
	g.nstring()
	for range 6 {
		g.expect(" ")
		g.addresses()
	}
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	g.nstring()
	g.expect(")")
}

// addresses follow one another without a space.
func (g *grammar) addresses() {
	if g.accept("NIL") {
		return
	}
	g.expect("(")
	for more := true; g.ok() && more; more = g.peek() == '(' {
		g.expect("(")
		for i := range 4 {
			if i > 0 {
				g.expect(" ")
			}
			g.nstring()
		}
		g.expect(")")
	}
	g.expect(")")
}

// body is a body structure. Extension data come with BODYSTRUCTURE, and with it
// alone; this server sends all of RFC 3501's.
func (g *grammar) body(extended bool) {
	g.expect("(")
	if g.peek() == '(' {
		for g.ok() && g.peek() == '(' {
			g.body(extended)
		}
		g.expect(" ")
		g.str()
		if extended {
			g.expect(" ")
			g.params()
			g.extension()
		}
		g.expect(")")
		return
	}
	media := strings.ToLower(g.str())
	g.expect(" ")
	media += "/" + strings.ToLower(g.str())
	g.expect(" ")
	g.params()
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	g.nstring()
	g.expect(" ")
	g.str()
	g.expect(" ")
	g.number()
	switch {
	case media == "message/rfc822", g.rev2 && media == "message/global":
		g.expect(" ")
		g.envelope()
		g.expect(" ")
		g.body(extended)
		g.expect(" ")
		g.number()
	case strings.HasPrefix(media, "text/"):
		g.expect(" ")
		g.number()
	}
	if extended {
		g.expect(" ")
		g.nstring()
		g.extension()
	}
	g.expect(")")
}

// params is body-fld-param.
func (g *grammar) params() {
	if !g.accept("NIL") {
		g.list(1, func() { g.str(); g.expect(" "); g.str() })
	}
}

// extension is disposition, language and location.
func (g *grammar) extension() {
	g.expect(" ")
	if !g.accept("NIL") {
		g.expect("(")
		g.str()
		g.expect(" ")
		g.params()
		g.expect(")")
	}
	g.expect(" ")
	if g.peek() == '(' {
		g.list(1, func() { g.str() })
	} else {
		g.nstring()
	}
	g.expect(" ")
	g.nstring()
}
