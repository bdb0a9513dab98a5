package imap

import (
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
)

// systemFlags are the system flags and their names (RFC 3501, section 2.3.2), in
// the order in which they are shown.
var systemFlags = [...]struct {
	bit  mailaccess.SystemFlags
	name string
}{
	{mailaccess.FlagAnswered, string(goimap.FlagAnswered)},
	{mailaccess.FlagFlagged, string(goimap.FlagFlagged)},
	{mailaccess.FlagDeleted, string(goimap.FlagDeleted)},
	{mailaccess.FlagSeen, string(goimap.FlagSeen)},
	{mailaccess.FlagDraft, string(goimap.FlagDraft)},
}

// appendFlags appends flags as a parenthesized list.
func appendFlags(b []byte, f mailaccess.Flags, recent bool) []byte {
	b = append(b, '(')
	b = appendFlagNames(b, f)
	if recent {
		b = append(flagSpace(b), `\Recent`...)
	}
	return append(b, ')')
}

func appendFlagNames(b []byte, f mailaccess.Flags) []byte {
	for _, s := range &systemFlags {
		if f.System&s.bit != 0 {
			b = append(flagSpace(b), s.name...)
		}
	}
	if !f.Keywords.IsEmpty() {
		// A set of keywords is kept the way it is shown.
		b = append(flagSpace(b), f.Keywords.String()...)
	}
	return b
}

func flagSpace(b []byte) []byte {
	if b[len(b)-1] != '(' {
		b = append(b, ' ')
	}
	return b
}

// appendDefinedFlags appends the FLAGS response (RFC 3501, section 7.2.6).
func appendDefinedFlags(b []byte, k mailaccess.Keywords) []byte {
	b = append(b, "* FLAGS "...)
	b = appendFlags(b, mailaccess.Flags{System: mailaccess.SystemFlagsAll, Keywords: k}, false)
	return append(b, "\r\n"...)
}

// appendPermanentFlags appends which flags can be changed for good (RFC 3501,
// section 7.1); \* says that new keywords can be made.
func (c *conn) appendPermanentFlags(b []byte, k mailaccess.Keywords) []byte {
	b = append(b, "* OK [PERMANENTFLAGS ("...)
	can := c.sess.Can()
	if !c.view.ReadOnly() && can.SetFlags {
		rights := c.view.Status().Rights
		f := mailaccess.Flags{System: can.SystemFlags}
		if !rights.Has(mailaccess.RightSeen) {
			f.System &^= mailaccess.FlagSeen
		}
		if !rights.Has(mailaccess.RightDeleted) {
			f.System &^= mailaccess.FlagDeleted
		}
		if !rights.Has(mailaccess.RightFlags) {
			f.System &= mailaccess.FlagSeen | mailaccess.FlagDeleted
		} else if can.Keywords {
			f.Keywords = k
		}
		b = appendFlagNames(b, f)
		if can.Keywords && rights.Has(mailaccess.RightFlags) && (c.keywordsFull == 0 || k.Len() < c.keywordsFull) {
			b = append(flagSpace(b), goimap.FlagWildcard...)
		}
	}
	return append(b, ")] flags that are kept\r\n"...)
}

// tellKeywordsFull tells that the mailbox takes no new keywords when a change of flags
// failed for that: PERMANENTFLAGS without \* (RFC 9051, section 7.1).
func (c *conn) tellKeywordsFull(err error, added mailaccess.Keywords) error {
	known := c.view.Status().Keywords
	told := c.keywordsFull != 0 && c.keywordsFull <= known.Len()
	if told || mailaccess.KindOf(err) != mailaccess.KindLimit || known.IsEmpty() || added.Minus(known).IsEmpty() {
		return nil
	}
	c.keywordsFull = known.Len()
	return c.w.End(c.appendPermanentFlags(c.w.Begin(), known))
}

// parseFlags turns the flags of a command into those of the contract. \Recent
// cannot be changed by clients, and other names after \ mean nothing (RFC 3501,
// section 2.3.2).
func parseFlags(names []string) (mailaccess.Flags, error) {
	var f mailaccess.Flags
	var words []string
next:
	for _, name := range names {
		if !strings.HasPrefix(name, `\`) {
			words = append(words, name)
			continue
		}
		for _, s := range &systemFlags {
			if name == s.name {
				f.System |= s.bit
				continue next
			}
		}
		return f, bad("no such system flag, or not one that can be set")
	}
	var err error
	f.Keywords, err = mailaccess.NewKeywords(words...)
	return f, err
}
