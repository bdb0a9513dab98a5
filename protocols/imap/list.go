package imap

import (
	"context"
	"iter"
	"strings"

	"golang.org/x/text/unicode/norm"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
)

// parseList is RFC 3501, section 6.3.8, with the options of RFC 6154, section 2.
func parseList(c *conn) (action, error) {
	var o listOptions
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	if err := c.readSelectionOptions(&o); err != nil {
		return nil, err
	}
	pattern, err := c.readPattern()
	if err != nil {
		return nil, err
	}
	if err := c.readReturnOptions(&o); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		switch {
		case pattern != "":
			return c.list(ctx, pattern, o)
		case o.extended: // RFC 5258, section 3
			return nil
		}
		// The separator and the root are asked for.
		_, err := c.w.WriteString("* LIST (\\Noselect) \"/\" \"\"\r\n")
		return err
	}, c.r.CRLF()
}

// listOptions are what an extended LIST command asks for. Of the options of RFC
// 5258 there are those that are advertised: SPECIAL-USE and CHILDREN. Both are
// returned always, wherefore nothing is kept of the return options.
type listOptions struct {
	extended   bool
	specialUse bool // only mailboxes that have a special use
}

// readSelectionOptions reads the options that may come first, and the space
// after them.
func (c *conn) readSelectionOptions(o *listOptions) error {
	if next, err := c.r.Peek(); err != nil || next != '(' {
		return err
	}
	o.extended = true
	err := c.r.ReadList(func() error {
		option, err := c.r.ReadKeyword()
		if err == nil && string(option) != "SPECIAL-USE" {
			return bad("unknown selection option")
		}
		o.specialUse = true
		return err
	})
	if err != nil {
		return err
	}
	return c.r.SP()
}

// readReturnOptions reads the options that may come last, and the space before
// them.
func (c *conn) readReturnOptions(o *listOptions) error {
	if more, err := c.r.Accept(' '); err != nil || !more {
		return err
	}
	o.extended = true
	word, err := c.r.ReadKeyword()
	if err != nil {
		return err
	}
	if string(word) != "RETURN" {
		return bad("expected RETURN")
	}
	if err := c.r.SP(); err != nil {
		return err
	}
	return c.r.ReadList(func() error {
		option, err := c.r.ReadKeyword()
		if err == nil && string(option) != "SPECIAL-USE" && string(option) != "CHILDREN" {
			return bad("unknown return option")
		}
		return err
	})
}

// parseLSub is RFC 3501, section 6.3.9.
func parseLSub(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	pattern, err := c.readPattern()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error { return c.lsub(ctx, pattern) }, c.r.CRLF()
}

// maxWildcards bounds the work of matching a pattern.
const maxWildcards = 64

// readPattern reads a reference name and a pattern, and joins them. It is empty
// when the pattern is.
func (c *conn) readPattern() (string, error) {
	ref, err := c.r.ReadMailbox()
	if err != nil {
		return "", err
	}
	if err := c.r.SP(); err != nil {
		return "", err
	}
	pattern, err := c.r.ReadListMailbox()
	if err != nil || pattern == "" {
		return "", err
	}
	if strings.Count(ref+pattern, "*")+strings.Count(ref+pattern, "%") > maxWildcards {
		return "", bad("too many wildcards")
	}
	// Names are kept in this form; see [engine.NormalizeName].
	return norm.NFC.String(ref + pattern), nil
}

// listed is a name in a listing: a mailbox, or a level above some.
type listed struct {
	name     string
	box      *mailaccess.Mailbox // nil: there is no such mailbox
	children bool
}

// levels lists names, ascending, together with the levels above them that are
// not among them. box is called for the names themselves.
func levels(names []string, box func(name string) *mailaccess.Mailbox) iter.Seq[listed] {
	exists := make(map[string]bool, len(names))
	children := make(map[string]bool)
	for _, name := range names {
		exists[name] = true
	}
	for _, name := range names {
		for i := strings.LastIndexByte(name, '/'); i > 0 && !children[name[:i]]; i = strings.LastIndexByte(name[:i], '/') {
			children[name[:i]] = true
		}
	}
	return func(yield func(listed) bool) {
		shown := make(map[string]bool)
		for _, name := range names {
			// Missing levels come before what is below them.
			for i := range len(name) {
				if above := name[:i]; name[i] == '/' && !exists[above] && !shown[above] {
					shown[above] = true
					if !yield(listed{name: above, children: true}) {
						return
					}
				}
			}
			if !yield(listed{name, box(name), children[name]}) {
				return
			}
		}
	}
}

func (c *conn) list(ctx context.Context, pattern string, o listOptions) error {
	var names []string
	boxes := make(map[string]*mailaccess.Mailbox)
	for m, err := range c.sess.Mailboxes(ctx) {
		if err != nil {
			return err
		}
		names = append(names, m.Name)
		boxes[m.Name] = &m
	}
	for l := range levels(names, func(name string) *mailaccess.Mailbox { return boxes[name] }) {
		if !matches(pattern, l.name) || o.specialUse && (l.box == nil || l.box.Use == 0) {
			continue
		}
		b := append(c.w.Begin(), "* LIST ("...)
		b = appendAttributes(b, l)
		b = c.appendMailbox(append(b, ") \"/\" "...), l.name)
		if err := c.w.End(append(b, "\r\n"...)); err != nil {
			return err
		}
	}
	return nil
}

// lsub lists subscribed names. A level above subscribed names that is not one
// itself is shown as \Noselect when the pattern stops there (RFC 3501, section
// 6.3.9).
func (c *conn) lsub(ctx context.Context, pattern string) error {
	var names []string
	for name, err := range c.sess.Subscriptions(ctx) {
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	subscribed := &mailaccess.Mailbox{}
	for l := range levels(names, func(string) *mailaccess.Mailbox { return subscribed }) {
		if !matches(pattern, l.name) || l.box == nil && !strings.HasSuffix(pattern, "%") {
			continue
		}
		b := append(c.w.Begin(), "* LSUB ("...)
		if l.box == nil {
			b = append(b, goimap.MailboxAttrNoSelect...)
		}
		b = c.appendMailbox(append(b, ") \"/\" "...), l.name)
		if err := c.w.End(append(b, "\r\n"...)); err != nil {
			return err
		}
	}
	return nil
}

// uses are the special uses and their attributes (RFC 6154, section 2; RFC 8457,
// section 3).
var uses = [...]struct {
	use  mailaccess.SpecialUse
	attr goimap.MailboxAttr
}{
	{mailaccess.UseAll, goimap.MailboxAttrAll},
	{mailaccess.UseArchive, goimap.MailboxAttrArchive},
	{mailaccess.UseDrafts, goimap.MailboxAttrDrafts},
	{mailaccess.UseFlagged, goimap.MailboxAttrFlagged},
	{mailaccess.UseJunk, goimap.MailboxAttrJunk},
	{mailaccess.UseSent, goimap.MailboxAttrSent},
	{mailaccess.UseTrash, goimap.MailboxAttrTrash},
	{mailaccess.UseImportant, goimap.MailboxAttrImportant},
}

// appendAttributes appends the attributes of a mailbox (RFC 3501, section 7.2.2;
// RFC 3348, section 3).
func appendAttributes(b []byte, l listed) []byte {
	if l.box == nil {
		return append(append(append(b, goimap.MailboxAttrNoSelect...), ' '), goimap.MailboxAttrHasChildren...)
	}
	if l.children {
		b = append(b, goimap.MailboxAttrHasChildren...)
	} else {
		b = append(b, goimap.MailboxAttrHasNoChildren...)
	}
	for _, u := range &uses {
		if l.box.Use&u.use != 0 {
			b = append(append(b, ' '), u.attr...)
		}
	}
	return b
}

// matches reports whether a name matches a pattern, in which * stands for
// anything and % for anything without a separator (RFC 3501, section 6.3.8).
// INBOX, also as the first level of a name, is matched in any case (section 5.1).
func matches(pattern, name string) bool {
	fold := 0
	if name == mailaccess.Inbox || strings.HasPrefix(name, mailaccess.Inbox+"/") {
		fold = len(mailaccess.Inbox)
	}
	return wildcard(pattern, name, fold)
}

// wildcard matches with work bounded by the product of the lengths: it keeps the
// set of places in the pattern that are reached so far. The first fold octets of
// the name are ASCII capitals that stand for small letters too.
func wildcard(pattern, name string, fold int) bool {
	at := make([]bool, len(pattern)+1)
	next := make([]bool, len(pattern)+1)
	reach(at, pattern, 0)
	for i := range len(name) {
		clear(next)
		for p := range len(pattern) {
			switch c := pattern[p]; {
			case !at[p]:
			case c == '*', c == '%' && name[i] != '/':
				reach(next, pattern, p)
			case c == name[i], i < fold && c == name[i]+('a'-'A'):
				reach(next, pattern, p+1)
			}
		}
		at, next = next, at
	}
	return at[len(pattern)]
}

// reach marks a place in the pattern, and those behind wildcards that may stand
// for nothing.
func reach(at []bool, pattern string, p int) {
	for at[p] = true; p < len(pattern) && (pattern[p] == '*' || pattern[p] == '%'); {
		p++
		at[p] = true
	}
}
