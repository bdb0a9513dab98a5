package imap

import (
	"context"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// IMAP4rev1 and IMAP4rev2 are spoken side by side (RFC 9051, appendix A). What the
// newer one added is there for everybody, and what it only deprecated (CHECK, LSUB,
// the RFC822 items) stays. Where it takes away or does otherwise, the code asks rev2:
// there is no RECENT and no UNSEEN code, SEARCH is answered with ESEARCH, and LIST
// responses tell of mailboxes that are selected, of names that were normalized and of
// levels that do not exist, and message/global is a message.

// rev2 reports whether the client has enabled IMAP4rev2 (RFC 9051, section 6.3.1).
func (c *conn) rev2() bool { return c.has(enabledRev2) }

// recent are the messages that have \Recent, which IMAP4rev2 does not have (RFC 9051,
// appendix E, 12).
func (c *conn) recent() mailaccess.UIDSet {
	if c.rev2() {
		return mailaccess.UIDSet{}
	}
	return c.view.Recent()
}

// notInRev2 refuses what is only in IMAP4rev1 and would speak of \Recent.
func (c *conn) notInRev2() error {
	if c.rev2() {
		return bad("IMAP4rev2 has no \\Recent")
	}
	return nil
}

// tellNormalized writes a LIST response with the name that a client used and the one
// that the mailbox has, where they differ (RFC 9051, section 6.3.9.7). oldName is what
// the client called it before, or now.
func (c *conn) tellNormalized(ctx context.Context, name, oldName string, differ bool) error {
	if !differ || !c.rev2() {
		return nil
	}
	return c.tellListed(ctx, name, oldName)
}

// tellSelected writes the LIST response of SELECT and EXAMINE, whose attributes must be
// right (RFC 9051, section 6.3.2).
func (c *conn) tellSelected(ctx context.Context, name, given string) error {
	if !c.rev2() {
		return nil
	}
	if given == name {
		given = ""
	}
	return c.tellListed(ctx, name, given)
}

// tellRenamed writes a LIST response when the selected mailbox was renamed, by whom ever
// (RFC 9051, section 6.3.6): what the client knows it by is no mailbox any more, or
// another.
func (c *conn) tellRenamed(ctx context.Context) error {
	old, name := c.boxName, c.view.Status().Name
	if old == name || !c.rev2() {
		return nil
	}
	c.boxName = name
	return c.tellListed(ctx, name, old)
}

// tellListed writes a LIST response with all attributes of a mailbox.
func (c *conn) tellListed(ctx context.Context, name, oldName string) error {
	l, err := c.listing(ctx, true)
	if err != nil {
		// What the command was for is done.
		c.log().Warn("listing a mailbox beside a command", zap.Error(err))
		return nil
	}
	r := listed{name: c.names.shown(name), extended: true}
	if oldName != "" {
		r.oldName = c.names.shown(oldName)
	}
	b := c.appendListed(c.w.Begin(), l, &r, nil)
	return c.w.End(b)
}

// normalized is the name that a mailbox has when a client calls it so, and whether
// that is another. It must be one that a mailbox can have.
func normalized(name string) (norm string, differs bool) {
	norm, err := engine.NormalizeName(name)
	return norm, err == nil && norm != name
}
