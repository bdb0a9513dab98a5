package imap

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseCopy is RFC 3501, section 6.4.7.
func parseCopy(how addressing) func(*conn) (action, error) {
	return parseTransfer(how, func(ctx context.Context, c *conn, uids mailaccess.UIDSet, dst mailaccess.Mailbox) error {
		if c.limited != 0 {
			return c.overLimit() // RFC 9738, section 3.1: nothing is copied
		}
		stop := c.reportProgress()
		done, err := c.view.Copy(ctx, uids, dst.ID)
		stop()
		c.adds(dst.ID, done.Dest)
		c.answer.code = copyUID(done, dst)
		return tryCreate(err)
	})
}

// parseMove is RFC 6851, section 3. The untagged COPYUID comes before the
// EXPUNGEs, which the update sends (section 4.3).
func parseMove(how addressing) func(*conn) (action, error) {
	return parseTransfer(how, func(ctx context.Context, c *conn, uids mailaccess.UIDSet, dst mailaccess.Mailbox) error {
		if err := c.writable(); err != nil {
			return err
		}
		stop := c.reportProgress()
		done, err := c.view.Move(ctx, uids, dst.ID, c.advance)
		stop()
		c.acted = true
		c.adds(dst.ID, done.Dest)
		if code := copyUID(done, dst); code != "" {
			b := append(append(c.w.Begin(), "* OK ["...), code...)
			if werr := c.w.End(append(b, "] moved\r\n"...)); werr != nil {
				return werr
			}
		}
		return tryCreate(err)
	})
}

// parseTransfer parses a set and the name of a mailbox.
func parseTransfer(how addressing, transfer func(context.Context, *conn, mailaccess.UIDSet, mailaccess.Mailbox) error) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		if err := c.readSet(); err != nil {
			return nil, err
		}
		name, err := c.readMailbox()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error {
			uids, err := c.resolve(&c.set, how)
			if err != nil {
				return err
			}
			uids = c.limit(uids)
			dst, err := c.destination(ctx, name)
			if err != nil {
				return err
			}
			if how == byNumber {
				if err := c.allThere(ctx, uids); err != nil {
					return err
				}
			}
			return transfer(ctx, c, uids, dst)
		}, c.r.CRLF()
	}
}

// allThere refuses messages that are gone. RFC 3501 does not say what COPY does
// with a message number whose message another session expunged; a client that
// named it must not take it for copied. Dovecot answers the same, and copies
// nothing. UIDs without a message are passed over (section 6.4.8).
func (c *conn) allThere(ctx context.Context, uids mailaccess.UIDSet) error {
	n := 0
	for _, err := range c.view.Messages(ctx, uids) {
		if err != nil {
			return err
		}
		n++
	}
	if n < uids.Len() {
		return no(codeExpungeIssued, "some of the messages are no longer there")
	}
	return nil
}

// copyUID returns the response code of RFC 4315, section 3; empty when nothing
// was copied, or to where the client may not look (section 5).
func copyUID(done mailaccess.Copied, dst mailaccess.Mailbox) string {
	if done.Source.IsEmpty() || !dst.Rights.Has(mailaccess.RightRead) {
		return ""
	}
	b := imapwire.AppendNumber([]byte("COPYUID "), done.UIDValidity)
	b = appendUIDSet(append(b, ' '), done.Source)
	return string(appendUIDSet(append(b, ' '), done.Dest))
}
