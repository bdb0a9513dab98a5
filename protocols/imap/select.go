package imap

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseSelect is SELECT and EXAMINE (RFC 3501, sections 6.3.1 and 6.3.2).
func parseSelect(readOnly bool) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		name, err := c.readMailbox()
		if wrong := (*imapwire.NameError)(nil); errors.As(err, &wrong) {
			// It can be the name of no mailbox, so this fails as for one
			// that does not exist.
			return func(context.Context, *conn) error { c.deselect(); return err }, c.r.CRLF()
		} else if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error {
			return c.selectMailbox(ctx, name, readOnly)
		}, c.r.CRLF()
	}
}

// readMailbox reads a space and a mailbox name.
func (c *conn) readMailbox() (string, error) {
	if err := c.r.SP(); err != nil {
		return "", err
	}
	return c.r.ReadMailbox()
}

func (c *conn) selectMailbox(ctx context.Context, name string, readOnly bool) error {
	// The mailbox selected before is left even when this fails.
	if c.view != nil && c.rev2() {
		if _, err := c.w.WriteString("* OK [CLOSED] previous mailbox closed\r\n"); err != nil {
			return err
		}
	}
	c.deselect()
	m, err := c.sess.Lookup(ctx, name)
	if err != nil {
		return err
	}
	if err := c.tellSelected(ctx, m.Name, name); err != nil {
		return err
	}
	view, err := c.sess.OpenView(ctx, m.ID, engine.ViewOptions{ReadOnly: readOnly})
	if err != nil {
		return err
	}
	c.view, c.state = view, selected
	c.answer = answer{code: "READ-WRITE", text: "selected"}
	if view.ReadOnly() {
		c.answer.code = "READ-ONLY"
	}
	st := view.Status()
	c.boxName, c.keywordsFull = st.Name, 0
	b := appendDefinedFlags(c.w.Begin(), st.Keywords)
	b = c.appendPermanentFlags(b, st.Keywords)
	b = c.appendExists(b, view.Len(), view.Recent())
	if n := view.Number(st.FirstUnseen); n != 0 && !c.rev2() { // RFC 9051, appendix E, 11
		b = imapwire.AppendNumber(append(b, "* OK [UNSEEN "...), uint32(n))
		b = append(b, "] first unseen\r\n"...)
	}
	b = imapwire.AppendNumber(append(b, "* OK [UIDVALIDITY "...), st.UIDValidity)
	b = imapwire.AppendNumber(append(b, "] UIDs valid\r\n* OK [UIDNEXT "...), uint32(st.UIDNext))
	b = append(b, "] predicted next UID\r\n* OK [MAILBOXID "...)
	b = appendObjectID(b, string(st.ID)) // RFC 8474, section 4.2
	return c.w.End(append(b, "] mailbox id\r\n"...))
}

func (c *conn) deselect() {
	c.closeView()
	if c.state == selected {
		c.state = authenticated
	}
}

// check is RFC 3501, section 6.4.1: whatever was answered is kept already.
func check(context.Context, *conn) error { return nil }

// closeMailbox is CLOSE (RFC 3501, section 6.4.2): it expunges without telling, and
// has no failure but BAD. What could not be removed is said beside the OK.
func closeMailbox(ctx context.Context, c *conn) error {
	if !c.view.ReadOnly() && c.sess.Can().Expunge {
		err := c.view.Expunge(ctx, c.view.UIDs(), mailaccess.FlagDeleted)
		if err != nil && mailaccess.KindOf(err) != mailaccess.KindForbidden {
			st := c.storeStatus(err)
			if err := c.tagged([]byte{'*'}, st.status, string(st.code), "some messages were not removed: "+st.text); err != nil {
				return err
			}
		}
	}
	c.deselect()
	return nil
}

// unselect is RFC 3691, section 2.
func unselect(_ context.Context, c *conn) error {
	c.deselect()
	return nil
}

// expunge is RFC 3501, section 6.4.3; the update that follows shows what went.
func expunge(ctx context.Context, c *conn) error {
	return c.expunge(ctx, c.view.UIDs())
}

// parseUIDExpunge is RFC 4315, section 2.1.
func parseUIDExpunge(c *conn) (action, error) {
	if err := c.readSet(); err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error {
		uids, err := c.resolve(&c.set, byUID)
		if err != nil {
			return err
		}
		return c.expunge(ctx, uids)
	}, c.r.CRLF()
}

func (c *conn) expunge(ctx context.Context, uids mailaccess.UIDSet) error {
	if err := c.writable(); err != nil {
		return err
	}
	defer c.reportProgress()()
	return c.view.Expunge(ctx, uids, mailaccess.FlagDeleted)
}

// writable refuses what changes a mailbox that is selected read only.
func (c *conn) writable() error {
	if c.view.ReadOnly() {
		return no("", "the mailbox is selected read only")
	}
	return nil
}
