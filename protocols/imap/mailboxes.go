package imap

import (
	"context"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseCreate is RFC 3501, section 6.3.3, with the special use of RFC 6154, section
// 3. A separator at the end says that mailboxes below are to come; it is not part of
// the name.
func parseCreate(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	use, err := c.readCreateParams()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		return c.create(ctx, strings.TrimSuffix(name, "/"), use)
	}, c.r.CRLF()
}

func (c *conn) create(ctx context.Context, name string, use specialUse) error {
	if use.unknown {
		return no(codeUseAttr, "no such special use, or not one that a mailbox can be given")
	}
	m, err := c.sess.Create(ctx, name, use.set)
	if err != nil && use.set != 0 && mailaccess.KindOf(err) == mailaccess.KindUnsupported {
		return no(codeUseAttr, "not supported for this mailbox")
	}
	if err != nil {
		return err
	}
	c.notify.noteOwn(m.Name)
	c.answer.code = string(appendObjectID([]byte("MAILBOXID "), string(m.ID))) // RFC 8474, section 4.1
	return c.tellNormalized(ctx, m.Name, name, m.Name != name)
}

// parseDelete is RFC 3501, section 6.3.4.
func parseDelete(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		m, err := c.sess.Lookup(ctx, name)
		if err == nil && m.Name == mailaccess.Inbox {
			return no(goimap.ResponseCodeCannot, "INBOX cannot be deleted")
		}
		if err := c.sess.Delete(ctx, name); err != nil {
			return err
		}
		c.notify.noteOwn(name)
		if c.view != nil && c.view.Status().ID == m.ID {
			// The client deleted what it has selected: it knows.
			c.deselect()
		}
		return c.tellNormalized(ctx, m.Name, name, m.Name != name)
	}, c.r.CRLF()
}

// parseRename is RFC 3501, section 6.3.5.
func parseRename(c *conn) (action, error) {
	from, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	to, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		to := strings.TrimSuffix(to, "/")
		if err := c.sess.Rename(ctx, from, to); err != nil {
			return err
		}
		c.notify.noteOwn(from, to)
		// RFC 9051, section 6.3.6: the old name is told as it was given.
		_, fromDiffers := normalized(from)
		name, toDiffers := normalized(to)
		return c.tellNormalized(ctx, name, from, fromDiffers || toDiffers)
	}, c.r.CRLF()
}

// parseSubscribe is SUBSCRIBE and UNSUBSCRIBE (RFC 3501, sections 6.3.6 and
// 6.3.7).
func parseSubscribe(on bool) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		name, err := c.readMailbox()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error {
			err := c.sess.Subscribe(ctx, strings.TrimSuffix(name, "/"), on)
			if err == nil {
				c.notify.noteOwn(name)
			}
			return err
		}, c.r.CRLF()
	}
}

// statusItem is something that STATUS tells: a number, or, where there is no value,
// the mailbox's object identifier.
type statusItem struct {
	name  string
	value func(ctx context.Context, c *conn, st *mailaccess.Status) (uint64, error)
}

// statusItems are those of RFC 3501, section 6.3.10, and of extensions.
var statusItems = []statusItem{
	{"MESSAGES", counted(func(st *mailaccess.Status) uint64 { return uint64(st.Messages) })},
	{"RECENT", func(ctx context.Context, c *conn, st *mailaccess.Status) (uint64, error) {
		n, err := c.sess.Recent(ctx, st.ID)
		return uint64(n), err
	}},
	{"UIDNEXT", counted(func(st *mailaccess.Status) uint64 { return uint64(st.UIDNext) })},
	{"UIDVALIDITY", counted(func(st *mailaccess.Status) uint64 { return uint64(st.UIDValidity) })},
	{"UNSEEN", counted(func(st *mailaccess.Status) uint64 { return uint64(st.Unseen) })},
	// RFC 7889, section 3.1.
	{"APPENDLIMIT", func(_ context.Context, c *conn, _ *mailaccess.Status) (uint64, error) { return c.appendLimit(), nil }},
	{"DELETED", counted(func(st *mailaccess.Status) uint64 { return uint64(st.Deleted) })}, // RFC 9051, section 6.3.11
	{"SIZE", func(ctx context.Context, c *conn, st *mailaccess.Status) (uint64, error) { // RFC 8438, section 3
		n, err := c.sess.MailboxSize(ctx, st)
		return uint64(n), err
	}},
	{name: "MAILBOXID"},             // RFC 8474, section 4.3
	{"HIGHESTMODSEQ", statusModSeq}, // RFC 7162, section 3.1.7
}

func counted(of func(*mailaccess.Status) uint64) func(context.Context, *conn, *mailaccess.Status) (uint64, error) {
	return func(_ context.Context, _ *conn, st *mailaccess.Status) (uint64, error) { return of(st), nil }
}

// parseStatus is RFC 3501, section 6.3.10.
func parseStatus(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	items, err := c.readStatusItems()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		m, err := c.sess.Lookup(ctx, name)
		if err != nil {
			return err
		}
		if c.view != nil && c.view.Status().ID == m.ID {
			// RFC 5530, section 3: it works, but the client is told all this anyhow
			// (RFC 3501, section 6.3.10). Dovecot says the same.
			c.answer = answer{string(goimap.ResponseCodeClientBug), "this is the selected mailbox"}
		}
		return c.sendStatus(ctx, m.ID, items)
	}, c.r.CRLF()
}

// statusItemNamed returns an item, or nil.
func statusItemNamed(name string) *statusItem {
	i := slices.IndexFunc(statusItems, func(it statusItem) bool { return it.name == name })
	if i < 0 {
		return nil
	}
	return &statusItems[i]
}

// readStatusItems reads a list of items. One that comes twice is told once.
func (c *conn) readStatusItems() ([]*statusItem, error) {
	var items []*statusItem
	err := c.r.ReadList(func() error {
		word, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		it := statusItemNamed(string(word))
		if it == nil {
			return bad("unknown status item")
		}
		if it.name == "RECENT" {
			if err := c.notInRev2(); err != nil {
				return err
			}
		}
		if !slices.Contains(items, it) {
			items = append(items, it)
		}
		return nil
	})
	if err == nil && len(items) == 0 {
		err = bad("no status item")
	}
	return items, err
}

// sendStatus writes a STATUS response (RFC 3501, section 7.2.4).
func (c *conn) sendStatus(ctx context.Context, box mailaccess.MailboxID, items []*statusItem) error {
	var array [256]byte
	b, err := c.appendStatus(ctx, array[:0], box, items)
	if err != nil {
		return err
	}
	return c.w.End(append(c.w.Begin(), b...))
}

// appendStatus appends a STATUS response, or nothing when it fails.
func (c *conn) appendStatus(ctx context.Context, b []byte, box mailaccess.MailboxID, items []*statusItem) ([]byte, error) {
	st, err := c.sess.Status(ctx, box)
	if err != nil {
		return b, err
	}
	return c.appendStatusOf(ctx, b, &st, items)
}

// appendStatusOf appends a STATUS response of a mailbox whose status is known.
func (c *conn) appendStatusOf(ctx context.Context, b []byte, st *mailaccess.Status, items []*statusItem) ([]byte, error) {
	b = c.appendMailbox(append(b, "* STATUS "...), st.Name)
	b = append(b, " ("...)
	for i, it := range items {
		b = append(append(appendSpace(b, i), it.name...), ' ')
		if it.value == nil {
			b = appendObjectID(b, string(st.ID))
			continue
		}
		n, err := it.value(ctx, c, st)
		if err != nil {
			return nil, err
		}
		b = imapwire.AppendNumber(b, n)
	}
	return append(b, ")\r\n"...), nil
}
