package imap_test

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess/utf7"
)

// notRev2 refuses what RFC 9051, appendix E took away, once IMAP4rev2 is enabled.
func (g *grammar) notRev2(what string) {
	if g.rev2 {
		g.fail("%s after IMAP4rev2 was enabled", what)
	}
}

// number64 is 63 bits wide (RFC 9051, section 9).
func (g *grammar) number64() {
	s := g.take("a number", digit)
	if _, err := strconv.ParseUint(s, 10, 63); err != nil {
		g.fail("number %s", s)
	}
}

// mailbox is an astring in modified UTF-7 (RFC 3501, section 5.1.3), or in UTF-8.
func (g *grammar) mailbox() {
	name := g.astring()
	if g.utf8 {
		if !utf8.ValidString(name) {
			g.fail("mailbox %q is not UTF-8", name)
		}
		return
	}
	if _, err := utf7.Decode(name); g.ok() && err != nil {
		g.fail("mailbox %q: %v", name, err)
	}
}

// mailboxList is mailbox-list of RFC 9051, section 9, which takes in those of RFC
// 3501 and RFC 5258.
func (g *grammar) mailboxList() {
	g.expect(" ")
	var attrs []string
	g.list(0, func() {
		g.expect(`\`)
		attr := strings.ToLower(g.atom())
		if slices.Contains(attrs, attr) {
			g.fail("attribute %s twice", attr)
		}
		attrs = append(attrs, attr)
	})
	has := func(attr string) bool { return slices.Contains(attrs, attr) }
	if has("haschildren") && has("hasnochildren") {
		g.fail("a mailbox with children and without") // RFC 3348, section 3
	}
	if has("noselect") && has("nonexistent") {
		g.fail("two attributes of mbx-list-sflag")
	}
	g.expect(" ")
	if !g.accept("NIL") && len(g.quoted()) != 1 {
		g.fail("a separator is one character")
	}
	g.expect(" ")
	g.mailbox()
	if g.accept(" ") {
		g.list(1, g.listItem)
	}
}

// listItem is an extended data item (RFC 5258, section 6).
func (g *grammar) listItem() {
	tag := g.astring()
	g.expect(" ")
	switch strings.ToUpper(tag) {
	case "CHILDINFO":
		g.list(1, func() {
			if option := g.quoted(); g.ok() && option != "SUBSCRIBED" && option != "SPECIAL-USE" {
				g.fail("CHILDINFO %q", option)
			}
		})
	case "OLDNAME":
		g.expect("(")
		g.mailbox()
		g.expect(")")
	default:
		g.fail("extended data item %q", tag)
	}
}

// status is the rest of a STATUS response; the list may be empty (RFC 9051, section
// 9, mailbox-data).
func (g *grammar) status() {
	g.expect(" ")
	g.mailbox()
	g.expect(" ")
	var all []string
	g.list(0, func() {
		item := g.atom()
		if slices.Contains(all, item) {
			g.fail("status item %s twice", item)
		}
		all = append(all, item)
		g.expect(" ")
		switch item {
		case "RECENT":
			g.notRev2(item)
			g.number()
		case "MESSAGES", "UNSEEN", "DELETED":
			g.number()
		case "UIDNEXT", "UIDVALIDITY":
			g.nzNumber()
		case "SIZE", "APPENDLIMIT":
			g.number64()
		case "MAILBOXID":
			g.objectID()
		case "HIGHESTMODSEQ":
			g.modSeq()
		default:
			g.fail("status item %q", item)
		}
	})
}

// namespace is RFC 2342, section 6.
func (g *grammar) namespace() {
	if g.accept("NIL") {
		return
	}
	g.expect("(")
	for more := true; g.ok() && more; more = g.peek() == '(' {
		g.expect("(")
		g.str()
		g.expect(" ")
		if !g.accept("NIL") {
			g.quoted()
		}
		g.expect(")")
	}
	g.expect(")")
}
