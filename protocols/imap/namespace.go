package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// Namespace is how clients see the names of mailboxes (RFC 2342, section 5). The zero
// value shows them as they are in the store, with / between levels.
//
// A separator other than / serves clients that know one from the server before, as "." and
// the prefix "INBOX." from Courier and older Dovecot. All names but INBOX itself have the
// prefix then; others are the names of nothing, and can be given to nothing. What in a
// level is the separator shows as "~" and its two hexadecimal digits, as with Dovecot's
// mailbox_list_visible_escape_char: the mailbox "v1.2" is "v1~2e2" where "." separates, and
// may be called so in any command. A "~" that would be read so shows as "~7e". "/" in a
// name that a client sends is part of no name.
type Namespace struct {
	// Prefix is printable ASCII that ends with the separator, as clients see it; or empty.
	Prefix string
	// Separator stands between levels; 0: /. It is one of . / ! # $ ' : ? @ ^ _ |
	Separator rune
}

// Check reports whether there can be such a namespace. [New] takes it for granted.
func (n Namespace) Check() error {
	sep := string(n.compiled().sep)
	switch {
	case n.Separator != 0 && !strings.ContainsRune("./!#$':?@^_|", n.Separator):
		return fmt.Errorf("imap: %q cannot separate levels", n.Separator)
	case n.Prefix == "":
		return nil
	case strings.ContainsFunc(n.Prefix, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\*%&`, r) }):
		return errors.New("imap: a prefix of names is printable ASCII without quotes, wildcards and &")
	case !strings.HasSuffix(n.Prefix, sep), strings.HasPrefix(n.Prefix, sep), strings.Contains(n.Prefix, sep+sep), sep != "/" && strings.Contains(n.Prefix, "/"):
		return fmt.Errorf("imap: a prefix of names consists of levels, each followed by %s", sep)
	}
	return nil
}

// namespace is a [Namespace] at work. There are three forms of a name: that of the wire;
// that of the store; and between them that of the tree which the client sees, with the
// prefix, but with / between levels whatever the separator is. Whoever lists names or
// looks for what is below one works with the latter.
type namespace struct {
	prefix string // in the form of the tree
	sep    byte
}

func (n Namespace) compiled() namespace {
	ns := namespace{prefix: n.Prefix, sep: '/'}
	if n.Separator != 0 {
		ns.sep = byte(n.Separator)
	}
	if ns.sep != '/' {
		ns.prefix = ns.read(n.Prefix)
	}
	if level := mailaccess.Inbox + "/"; len(ns.prefix) >= len(level) && strings.EqualFold(ns.prefix[:len(level)], level) {
		ns.prefix = level + ns.prefix[len(level):]
	}
	return ns
}

func (n *namespace) plain() bool { return n.prefix == "" && n.sep == '/' }

const (
	// noLevel stands for / where another character separates. It is in no name.
	noLevel = "\x00"
	// nowhere is, in the form of the store, the name of what can be no mailbox.
	nowhere = "//"
)

// read turns a name, or a pattern, from the form of the wire into that of the tree.
func (n *namespace) read(wire string) string {
	if n.sep == '/' {
		return wire
	}
	return strings.NewReplacer("/", noLevel, string(n.sep), "/").Replace(wire)
}

// written is the way back.
func (n *namespace) written(shown string) string {
	if n.sep == '/' {
		return shown
	}
	return strings.ReplaceAll(shown, "/", string(n.sep))
}

// shown turns a name from the form of the store into that of the tree.
func (n *namespace) shown(name string) string {
	if n.plain() || name == mailaccess.Inbox {
		return name
	}
	if n.sep == '/' || strings.IndexByte(name, n.sep) < 0 && strings.IndexByte(name, '~') < 0 {
		return n.prefix + name
	}
	b := []byte(n.prefix)
	for i := range len(name) {
		switch {
		case name[i] == n.sep, name[i] == '~' && n.escaped(name[i:]) != 0:
			b = fmt.Appendf(b, "~%02x", name[i])
		default:
			b = append(b, name[i])
		}
	}
	return string(b)
}

// escaped returns the character that s begins with in its escaped form; 0: none.
func (n *namespace) escaped(s string) byte {
	if len(s) < 3 || s[0] != '~' {
		return 0
	}
	for _, c := range []byte{n.sep, '~'} {
		if s[1:3] == fmt.Sprintf("%02x", c) {
			return c
		}
	}
	return 0
}

// known turns a name from the form of the tree into that of the store, which it may not
// be normalized in; nowhere: there can be no such mailbox.
func (n *namespace) known(shown string) string {
	if n.plain() || strings.EqualFold(shown, mailaccess.Inbox) {
		return shown
	}
	rest, ok := n.cutPrefix(shown)
	if level := strings.TrimSuffix(rest, "/"); !ok || level == "" || n.prefix != "" && strings.EqualFold(level, mailaccess.Inbox) {
		return nowhere // INBOX has one name
	}
	if n.sep == '/' || strings.IndexByte(rest, '~') < 0 {
		return rest
	}
	var b []byte
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if e := n.escaped(rest[i:]); e != 0 {
			c = e
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

// cutPrefix takes off the prefix, in which INBOX may be in any case (RFC 3501, section
// 5.1).
func (n *namespace) cutPrefix(shown string) (rest string, ok bool) {
	const inbox = mailaccess.Inbox + "/"
	if strings.HasPrefix(n.prefix, inbox) && len(shown) >= len(inbox) && strings.EqualFold(shown[:len(inbox)], inbox) {
		return strings.CutPrefix(shown[len(inbox):], n.prefix[len(inbox):])
	}
	return strings.CutPrefix(shown, n.prefix)
}

// normal normalizes a name in the form of the tree; ok is false if it can be the name of
// nothing in it. A level of the prefix is something.
func (n *namespace) normal(shown string) (_ string, ok bool) {
	shown = strings.TrimSuffix(shown, "/")
	if name, err := engine.NormalizeName(n.known(shown)); err == nil {
		return n.shown(name), true
	}
	return shown, shown != "" && strings.HasPrefix(n.prefix, shown+"/")
}

// utf8 reports whether the client takes, and sends, UTF-8 in quoted strings and
// mailbox names (RFC 6855, section 3; RFC 9051, section 5.1).
func (c *conn) utf8() bool { return c.enabled&(enabledRev2|enabledUTF8) != 0 }

// readMailbox reads a space and the name of a mailbox, and returns it in the form of
// the store.
func (c *conn) readMailbox() (string, error) {
	if err := c.r.SP(); err != nil {
		return "", err
	}
	name, err := c.r.ReadMailbox()
	if err != nil {
		return "", err
	}
	return c.names.known(c.names.read(name)), nil
}

// readBranch reads the name of a mailbox, or of a level above some, and returns it in the
// form of the tree, normalized; ok is false if there can be none.
func (c *conn) readBranch() (shown string, ok bool, err error) {
	name, err := c.r.ReadMailbox()
	if err != nil {
		return "", false, err
	}
	shown, ok = c.names.normal(c.names.read(name))
	return shown, ok, nil
}

// appendMailbox appends the name of a mailbox, in the form of the store, as the client
// understands it.
func (c *conn) appendMailbox(b []byte, name string) []byte {
	return c.appendShown(b, c.names.shown(name))
}

// appendShown appends a name in the form of the tree.
func (c *conn) appendShown(b []byte, shown string) []byte {
	return imapwire.AppendMailbox(b, c.names.written(shown), c.utf8())
}

// appendSeparator appends the separator as a quoted character.
func (c *conn) appendSeparator(b []byte) []byte { return append(b, '"', c.names.sep, '"') }

// tellNamespace is RFC 2342, section 5: the user's own mailboxes are all that there are.
func tellNamespace(_ context.Context, c *conn) error {
	b := append(c.w.Begin(), "* NAMESPACE (("...)
	b = imapwire.AppendString(b, c.names.written(c.names.prefix), false)
	b = c.appendSeparator(append(b, ' '))
	return c.w.End(append(b, ")) NIL NIL\r\n"...))
}
