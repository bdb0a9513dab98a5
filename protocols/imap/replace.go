package imap

import (
	"context"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
)

// parseReplace is RFC 8508, section 3: APPEND of a message and removal of another as one.
// The new message is read while the command runs, as for APPEND.
func parseReplace(how addressing) func(*conn) (action, error) {
	return func(c *conn) (action, error) {
		old, err := c.readMessageNumber()
		if err != nil {
			return nil, err
		}
		name, err := c.readMailbox()
		if err != nil {
			return nil, err
		}
		head, err := c.readMessageHead()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, c *conn) error {
			uid, err := c.theMessage(old, how)
			if err != nil {
				return err
			}
			return c.replace(ctx, uid, name, head)
		}, nil
	}
}

// lastMessage is "*" where one message is named.
const lastMessage = 0

// readMessageNumber reads a space and a seq-number (RFC 3501, section 9).
func (c *conn) readMessageNumber() (uint32, error) {
	if err := c.r.SP(); err != nil {
		return 0, err
	}
	if star, err := c.r.Accept('*'); star || err != nil {
		return lastMessage, err
	}
	return c.r.ReadNZNumber()
}

// theMessage finds the one message that a command names.
func (c *conn) theMessage(n uint32, how addressing) (mailaccess.UID, error) {
	switch {
	case c.view.Len() == 0 && how == byNumber:
		return 0, errNoMessage
	case n == lastMessage && c.view.Len() > 0:
		return c.view.UIDs().Max(), nil
	case how == byUID:
		if uid := mailaccess.UID(n); n != lastMessage && c.view.Number(uid) != 0 {
			return uid, nil
		}
		return 0, no(goimap.ResponseCodeNonExistent, "there is no such message")
	case n > uint32(c.view.Len()):
		return 0, errNoMessage
	}
	return c.view.UID(int(n)), nil
}

// replace refuses what it can before the client sends the message.
func (c *conn) replace(ctx context.Context, uid mailaccess.UID, name string, head messageHead) error {
	if err := c.writable(); err != nil {
		return err
	}
	// RFC 8508, section 4.1.
	if !c.view.Status().Rights.Has(mailaccess.RightDeleted | mailaccess.RightExpunge) {
		return &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "replace"}
	}
	box, err := c.destination(ctx, name)
	if err != nil {
		return err
	}
	in := incoming{c: c, begin: c.view.NewReplacement}
	defer in.close()
	if err := in.receive(ctx, head); err != nil {
		return err
	}
	if err := c.r.CRLF(); err != nil { // one message and no more (section 4.7)
		return err
	}
	done, err := c.view.Replace(ctx, uid, box.ID, in.messages[0])
	c.acted = true
	c.adds(box.ID, appendedUIDs(done))
	if code := appendUID(done, box); code != "" {
		// Section 4.3: before the client hears that the old one went. After an
		// error it says that the new one is there all the same.
		if werr := c.tagged([]byte{'*'}, "OK", code, "the new message is there"); werr != nil {
			return werr
		}
	}
	return tryCreate(err)
}
