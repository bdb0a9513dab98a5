package imap

import (
	"context"
	"strings"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseCreate is RFC 3501, section 6.3.3. A separator at the end says that
// mailboxes below are to come; it is not part of the name.
func parseCreate(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		_, err := c.sess.Create(ctx, strings.TrimSuffix(name, "/"), 0)
		return err
	}, c.r.CRLF()
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
		if c.view != nil && c.view.Status().ID == m.ID {
			// The client deleted what it has selected: it knows.
			c.deselect()
		}
		return nil
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
		return c.sess.Rename(ctx, from, strings.TrimSuffix(to, "/"))
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
			return c.sess.Subscribe(ctx, strings.TrimSuffix(name, "/"), on)
		}, c.r.CRLF()
	}
}

// statusItem is something that STATUS tells.
type statusItem struct {
	name  string
	value func(ctx context.Context, c *conn, st *mailaccess.Status) (uint64, error)
}

// statusItems are those of RFC 3501, section 6.3.10.
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
	var items []*statusItem
	err = c.r.ReadList(func() error {
		word, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		for i := range statusItems {
			if it := &statusItems[i]; it.name == string(word) {
				items = append(items, it)
				return nil
			}
		}
		return bad("unknown status item")
	})
	if err != nil {
		return nil, err
	}
	if len(items) == 0 {
		return nil, bad("no status item")
	}
	return func(ctx context.Context, c *conn) error {
		m, err := c.sess.Lookup(ctx, name)
		if err != nil {
			return err
		}
		return c.sendStatus(ctx, m.ID, items)
	}, c.r.CRLF()
}

// sendStatus writes a STATUS response (RFC 3501, section 7.2.4).
func (c *conn) sendStatus(ctx context.Context, box mailaccess.MailboxID, items []*statusItem) error {
	st, err := c.sess.Status(ctx, box)
	if err != nil {
		return err
	}
	values := make([]uint64, len(items))
	for i, it := range items {
		if values[i], err = it.value(ctx, c, &st); err != nil {
			return err
		}
	}
	b := c.appendMailbox(append(c.w.Begin(), "* STATUS "...), st.Name)
	b = append(b, " ("...)
	for i, it := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imapwire.AppendNumber(append(append(b, it.name...), ' '), values[i])
	}
	return c.w.End(append(b, ")\r\n"...))
}
