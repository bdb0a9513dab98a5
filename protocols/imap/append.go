package imap

import (
	"context"
	"errors"
	"fmt"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseAppend is RFC 3501, section 6.3.11, with the several messages of RFC 3502. They
// are the rest of the command: they are read while the command runs, and nothing is
// kept unless all of them came.
func parseAppend(c *conn) (action, error) {
	name, err := c.readMailbox()
	if err != nil {
		return nil, err
	}
	first, err := c.readMessageHead()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, c *conn) error { return c.append(ctx, name, first) }, nil
}

func (c *conn) append(ctx context.Context, name string, head messageHead) error {
	box, err := c.destination(ctx, name)
	if err != nil {
		return err
	}
	in := incoming{c: c, begin: c.sess.NewUpload}
	defer in.close()
	for {
		if err := in.receive(ctx, head); err != nil {
			return err
		}
		end, err := c.r.AtEnd()
		if err != nil {
			return err
		}
		if end || !c.sess.Can().AppendMany {
			break
		}
		if head, err = c.readMessageHead(); err != nil {
			return err
		}
	}
	if err := c.r.CRLF(); err != nil {
		return err
	}
	done, err := c.sess.Append(ctx, box.ID, in.messages...)
	if err != nil {
		return tryCreate(err)
	}
	c.adds(box.ID, appendedUIDs(done))
	c.answer.code = appendUID(done, box)
	return c.tellNormalized(ctx, box.Name, name, box.Name != name)
}

func appendedUIDs(done mailaccess.Appended) mailaccess.UIDSet {
	var uids mailaccess.UIDSetBuilder
	for i := range done.Messages {
		uids.AddUID(done.Messages[i].UID)
	}
	return uids.Set()
}

// appendUID returns the response code of RFC 4315, section 3, with as many UIDs as
// there were messages (RFC 3502); empty for whoever may not look into the mailbox
// (RFC 4315, section 5).
func appendUID(done mailaccess.Appended, box mailaccess.Mailbox) string {
	if len(done.Messages) == 0 || !box.Rights.Has(mailaccess.RightRead) {
		return ""
	}
	b := imapwire.AppendNumber([]byte("APPENDUID "), done.UIDValidity)
	return string(imapwire.AppendNumSet(append(b, ' '), func(yield func(mailaccess.UID) bool) {
		for i := range done.Messages {
			if !yield(done.Messages[i].UID) {
				return
			}
		}
	}))
}

// messageHead is what comes before the octets of a message (RFC 4466, section 6:
// append-message).
type messageHead struct {
	flags    mailaccess.Flags
	received time.Time
	// data is the literal that is the message; nil: the parts of CATENATE follow.
	data *imapwire.Literal
	// utf8: data stands in parentheses (RFC 6855, section 4).
	utf8 bool
}

// readMessageHead reads a space, flags and date, and what there is of the data before
// its octets.
func (c *conn) readMessageHead() (h messageHead, err error) {
	if err := c.r.SP(); err != nil {
		return h, err
	}
	next, err := c.r.Peek()
	if err != nil {
		return h, err
	}
	if next == '(' {
		names, err := c.r.ReadFlagList(nil)
		if err != nil {
			return h, err
		}
		if h.flags, err = parseFlags(names); err != nil {
			return h, err
		}
		if err := c.r.SP(); err != nil {
			return h, err
		}
		if next, err = c.r.Peek(); err != nil {
			return h, err
		}
	}
	if next == '"' {
		if h.received, err = c.r.ReadDateTime(); err != nil {
			return h, err
		}
		if err := c.r.SP(); err != nil {
			return h, err
		}
		if next, err = c.r.Peek(); err != nil {
			return h, err
		}
	}
	if next == '{' || next == '~' {
		h.data, err = c.r.ReadLiteral()
		return h, err
	}
	word, err := c.r.ReadKeyword()
	if err != nil {
		return h, err
	}
	switch string(word) {
	case "CATENATE": // RFC 4469, section 5
		if err := c.r.SP(); err != nil {
			return h, err
		}
		return h, c.r.Expect('(')
	case "UTF8": // RFC 6855, section 4
		h.utf8 = true
		h.data, err = c.readUTF8Literal()
		return h, err
	}
	return h, bad("expected a message")
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

// What one command may bring in: the store has not counted it towards a quota before
// the end.
const (
	maxAppendMessages = 1000
	maxAppendOctets   = 1 << 30 // or one message, where that may be larger
)

// incoming is the messages of an APPEND or a REPLACE. What was received and is not
// appended vanishes.
type incoming struct {
	c *conn
	// begin begins an upload of a size, -1 when it is not known.
	begin    func(ctx context.Context, size int64) (*engine.Upload, error)
	messages []engine.NewMessage
	octets   int64 // in all messages but the last
}

func (in *incoming) close() {
	for _, m := range in.messages {
		// What is thrown away cannot fail to be kept.
		_ = m.Upload.Close()
	}
}

// receive takes in the message whose head was read.
func (in *incoming) receive(ctx context.Context, h messageHead) error {
	if h.data == nil {
		return in.catenate(ctx, h)
	}
	if h.utf8 && !in.c.utf8() {
		return errNotEnabled
	}
	if err := in.receiveLiteral(ctx, h); err != nil || !h.utf8 {
		return err
	}
	return in.c.r.Expect(')')
}

// upload begins an upload, for one message more.
func (in *incoming) upload(ctx context.Context, h messageHead, size int64) (*engine.Upload, error) {
	n := len(in.messages)
	if n > 0 && n == in.c.srv.opts.MessageLimit {
		return nil, in.c.overLimit() // RFC 9738, section 3.1
	}
	if n == maxAppendMessages {
		return nil, no(goimap.ResponseCodeLimit, fmt.Sprintf("more than %d messages in one command", n))
	} else if n > 0 {
		in.octets += in.messages[n-1].Upload.Size()
	}
	u, err := in.begin(ctx, size)
	if err != nil {
		return nil, err
	}
	in.messages = append(in.messages, engine.NewMessage{Upload: u, Flags: h.flags, Received: h.received})
	return u, nil
}

// room refuses octets that would be too many, before the client sends them.
func (in *incoming) room(u *engine.Upload, size int64) error {
	most := in.c.sess.Can().MaxUpload
	if size > most-u.Size() {
		return &mailaccess.Error{Kind: mailaccess.KindTooBig, Op: "append"}
	}
	if size > max(maxAppendOctets, most)-in.octets-u.Size() {
		return no(goimap.ResponseCodeLimit, "the messages of one command are too many octets")
	}
	return nil
}

// receiveLiteral takes in a message that is one literal.
func (in *incoming) receiveLiteral(ctx context.Context, h messageHead) error {
	if h.data.Size == 0 {
		// RFC 3502, section 6.3.11: so does a client think better of it.
		return errNoOctets
	}
	if h.data.Size > in.c.nc.Limits().MaxLiteral {
		return &mailaccess.Error{Kind: mailaccess.KindTooBig, Op: "append"}
	}
	u, err := in.upload(ctx, h, h.data.Size)
	if err != nil {
		return err
	}
	if err := in.room(u, h.data.Size); err != nil {
		return err
	}
	if !h.data.Binary {
		return in.c.readData(h.data, u)
	}
	// RFC 3516, section 4.4: what the rest of IMAP could not tell a client is
	// brought into a form that it can.
	w := message.NewBinaryEncoder(u)
	if err := in.c.readData(h.data, w); err != nil {
		return err
	}
	return w.Close()
}

// errNotEnabled is the answer to UTF8 before ENABLE (RFC 6855, section 4). A plain
// literal with 8-bit octets in its header is taken from anybody all the same: old mail
// has them, and a client that moves it here must not lose it.
var errNotEnabled = no(goimap.ResponseCodeCannot, "UTF8=ACCEPT is not enabled")

// readUTF8Literal reads what comes after UTF8, up to the octets (RFC 6855, section 4:
// utf8-literal).
func (c *conn) readUTF8Literal() (*imapwire.Literal, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	if err := c.r.Expect('('); err != nil {
		return nil, err
	}
	lit, err := c.r.ReadLiteral()
	if err == nil && !lit.Binary {
		return nil, bad("expected a literal8")
	}
	return lit, err
}

var errNoOctets = no(goimap.ResponseCodeCannot, "a message has at least one octet")

// readData writes the data of a literal to w as they come.
func (c *conn) readData(lit *imapwire.Literal, w interface{ Write([]byte) (int, error) }) error {
	if lit.NonSync {
		// They may be long in coming: what was answered does not wait for them.
		if err := c.w.Flush(); err != nil {
			return err
		}
	}
	_, err := lit.WriteTo(w)
	return err
}
