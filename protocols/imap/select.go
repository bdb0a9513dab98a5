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
		s := selecting{readOnly: readOnly}
		s.name, s.nameErr = c.readMailbox()
		if wrong := (*imapwire.NameError)(nil); s.nameErr != nil && !errors.As(s.nameErr, &wrong) {
			return nil, s.nameErr
		}
		if err := c.parseSelectParams(&s); err != nil {
			return nil, err
		}
		return s.run, c.r.CRLF()
	}
}

// selecting is a SELECT or EXAMINE command that was parsed.
type selecting struct {
	name string
	// nameErr: it can be the name of no mailbox, so this fails as for one that does
	// not exist.
	nameErr  error
	readOnly bool
	// condstore: the client wants to hear of change numbers (RFC 7162, section 3.1.8).
	condstore bool
	resync    *resync // nil: not asked for
}

func (s *selecting) run(ctx context.Context, c *conn) error {
	// The mailbox selected before is left even when this fails.
	if err := c.leave(); err != nil {
		return err
	}
	if s.condstore {
		if err := c.enable(enabledCondstore); err != nil {
			return err
		}
	}
	if s.nameErr != nil {
		return s.nameErr
	}
	m, err := c.sess.Lookup(ctx, s.name)
	if err != nil {
		return err
	}
	if err := c.tellSelected(ctx, m.Name, s.name); err != nil {
		return err
	}
	view, err := c.sess.OpenView(ctx, m.ID, engine.ViewOptions{ReadOnly: s.readOnly})
	if err != nil {
		return err
	}
	if err := c.greetMailbox(view); err != nil || s.resync == nil {
		return err
	}
	if err := s.resync.run(ctx, c); err != nil {
		c.deselect() // RFC 3501, section 6.3.1: a SELECT that fails leaves none
		return err
	}
	return nil
}

// leave leaves the mailbox that was selected. The client must know which of the two
// what follows is about (RFC 7162, section 3.2.11).
func (c *conn) leave() error {
	if c.view == nil {
		return nil
	}
	c.deselect()
	_, err := c.w.WriteString("* OK [CLOSED] previous mailbox closed\r\n")
	return err
}

// greetMailbox tells what a client must know of the mailbox that it has selected now.
func (c *conn) greetMailbox(view *engine.View) error {
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
	// RFC 9051, appendix E, 11; RFC 9586, section 3: no number is told.
	if n := view.Number(st.FirstUnseen); n != 0 && !c.rev2() && !c.has(enabledUIDOnly) {
		b = imapwire.AppendNumber(append(b, "* OK [UNSEEN "...), uint32(n))
		b = append(b, "] first unseen\r\n"...)
	}
	b = imapwire.AppendNumber(append(b, "* OK [UIDVALIDITY "...), st.UIDValidity)
	b = imapwire.AppendNumber(append(b, "] UIDs valid\r\n* OK [UIDNEXT "...), uint32(st.UIDNext))
	b = append(b, "] predicted next UID\r\n* OK [MAILBOXID "...)
	b = append(appendObjectID(b, string(st.ID)), "] mailbox id\r\n* OK ["...) // RFC 8474, section 4.2
	// RFC 7162, section 3.1.2.1: told to everybody, so that a client need not enable
	// CONDSTORE to know where to begin next time. Each store keeps change numbers:
	// there is no NOMODSEQ.
	b = c.appendHighestModSeq(b)
	return c.w.End(append(b, "] highest\r\n"...))
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
			st := storeStatus(err)
			c.logFailed(st, err)
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
		return c.expunge(ctx, c.limit(uids))
	}, c.r.CRLF()
}

func (c *conn) expunge(ctx context.Context, uids mailaccess.UIDSet) error {
	if err := c.writable(); err != nil {
		return err
	}
	defer c.reportProgress()()
	c.acted = true
	return c.view.Expunge(ctx, uids, mailaccess.FlagDeleted)
}

// writable refuses what changes a mailbox that is selected read only.
func (c *conn) writable() error {
	if c.view.ReadOnly() {
		return no("", "the mailbox is selected read only")
	}
	return nil
}
