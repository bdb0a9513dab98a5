package imap

import (
	"context"
	"errors"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseAppend is RFC 3501, section 6.3.11. The message is the rest of the command:
// it is read while the command runs, and nothing is kept unless all of it came.
func parseAppend(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	next, err := c.r.Peek()
	if err != nil {
		return nil, err
	}
	var m engine.NewMessage
	if next == '(' {
		names, err := c.r.ReadFlagList(nil)
		if err != nil {
			return nil, err
		}
		if m.Flags, err = parseFlags(names); err != nil {
			return nil, err
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		if next, err = c.r.Peek(); err != nil {
			return nil, err
		}
	}
	if next == '"' {
		if m.Received, err = c.r.ReadDateTime(); err != nil {
			return nil, err
		}
		if err := c.r.SP(); err != nil {
			return nil, err
		}
	}
	lit, err := c.r.ReadLiteral()
	if err != nil {
		return nil, err
	}
	if lit.Binary {
		return nil, bad("a literal8 is not accepted here") // RFC 3516 is not offered
	}
	return func(ctx context.Context, c *conn) error { return c.append(ctx, name, m, lit) }, nil
}

// append refuses what it can before the client sends the message.
func (c *conn) append(ctx context.Context, name string, m engine.NewMessage, lit *imapwire.Literal) error {
	box, err := c.destination(ctx, name)
	if err != nil {
		return err
	}
	if lit.Size == 0 {
		return no(goimap.ResponseCodeCannot, "a message has at least one octet")
	}
	if lit.Size > c.nc.Limits().MaxLiteral {
		return &mailaccess.Error{Kind: mailaccess.KindTooBig, Op: "append", Mailbox: name}
	}
	if m.Upload, err = c.sess.NewUpload(ctx, lit.Size); err != nil {
		return err
	}
	defer m.Upload.Close()
	if lit.NonSync {
		// The message may be long in coming: what was answered does not wait
		// for it.
		if err := c.w.Flush(); err != nil {
			return err
		}
	}
	if _, err := lit.WriteTo(m.Upload); err != nil {
		return err
	}
	if err := c.r.CRLF(); err != nil {
		return err
	}
	done, err := c.sess.Append(ctx, box.ID, m)
	if err != nil {
		return tryCreate(err)
	}
	if box.Rights.Has(mailaccess.RightRead) {
		// RFC 4315, section 3; section 5: not to whoever may not look into it.
		b := imapwire.AppendNumber([]byte("APPENDUID "), done.UIDValidity)
		b = imapwire.AppendNumber(append(b, ' '), uint32(done.Messages[0].UID))
		c.answer.code = string(b)
	}
	return nil
}

// destination finds the mailbox that messages are to go to. One that does not
// exist could be created (RFC 3501, section 7.1: TRYCREATE).
func (c *conn) destination(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	m, err := c.sess.Lookup(ctx, name)
	if err != nil && mailaccess.KindOf(err) == mailaccess.KindNotFound {
		if _, nameErr := engine.NormalizeName(name); nameErr != nil {
			return m, nameErr
		}
	}
	return m, tryCreate(err)
}

// tryCreate turns KindNotFound of a destination into TRYCREATE.
func tryCreate(err error) error {
	var e *mailaccess.Error
	if errors.As(err, &e) && e.Kind == mailaccess.KindNotFound {
		return no(goimap.ResponseCodeTryCreate, "no such mailbox")
	}
	return err
}

// parseCopy is RFC 3501, section 6.4.7.
func parseCopy(how addressing) func(*conn) (action, error) {
	return parseTransfer(how, func(ctx context.Context, c *conn, uids mailaccess.UIDSet, dst mailaccess.Mailbox) error {
		done, err := c.view.Copy(ctx, uids, dst.ID)
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
		done, err := c.view.Move(ctx, uids, dst.ID)
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
