package imap

import (
	"context"
	"io"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// opened is a message whose content, header and structure are read when first needed,
// and as little of it as will do. It is used for one message after the other.
type opened struct {
	c       *conn
	id      mailaccess.EmailID
	content mailaccess.Content
	batch   *fetch // of the messages that are answered for together; nil: it is one
	tree    *message.Part
	// head is how the message begins, hasHeader that its header is the first
	// headerLen octets of it.
	head      []byte
	headerLen int64
	hasHeader bool
	// listed are the header fields that clients list; nil: they are not known.
	listed message.Header
}

// reset begins another message.
func (o *opened) reset(batch *fetch, id mailaccess.EmailID, listed message.Header) {
	*o = opened{c: batch.c, id: id, head: o.head[:0], batch: batch, listed: listed}
}

func (o *opened) close() {
	if o.content != nil {
		// It was only read.
		_ = o.content.Close()
	}
	if cap(o.head) > headKept {
		o.head = nil
	}
}

// What is read of a message at first for its header, and what of it is kept for the next
// message.
const (
	headFirst = 8 << 10
	headKept  = 64 << 10
)

func (o *opened) open(ctx context.Context) (mailaccess.Content, error) {
	if o.content == nil {
		content, err := o.c.sess.Content(ctx, o.id)
		if err != nil {
			return nil, err
		}
		o.content = content
	}
	return o.content, nil
}

func (o *opened) structure(ctx context.Context) (*message.Part, error) {
	content, err := o.open(ctx)
	switch {
	case err != nil || o.tree != nil:
	case o.batch == nil:
		o.tree, err = o.c.sess.Structure(ctx, o.id, content)
	default:
		o.tree, err = o.batch.structures().Of(ctx, o.id, content)
	}
	return o.tree, err
}

// header reads the header of the message, [message.MaxHeader] octets of it at most. The
// structure, which may cost reading all of the message, is not needed for it.
func (o *opened) header(ctx context.Context) (message.Header, error) {
	content, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	if o.hasHeader {
		return o.head[:o.headerLen], nil
	}
	size := min(content.Size(), message.MaxHeader)
	for n := int64(headFirst); ; n *= 8 {
		n = min(n, size)
		if int64(cap(o.head)) < n {
			o.head = make([]byte, n)
		}
		o.head = o.head[:n]
		if k, err := content.ReadAt(o.head, 0); k < len(o.head) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if o.headerLen, o.hasHeader = message.HeaderLen(o.head); o.hasHeader {
			return o.head[:o.headerLen], nil
		}
		if n == size {
			break
		}
	}
	tree, err := o.structure(ctx)
	if err != nil {
		return nil, err
	}
	return tree.ReadHeader(content)
}

// section appends to ranges where a section lies. The message as a whole needs no structure,
// and mostly its header is enough.
func (o *opened) section(ctx context.Context, ranges message.Ranges, s message.Section) (_ message.Ranges, absent bool, err error) {
	content, err := o.open(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(s.Path) == 0 && s.Kind != message.SectionMIME {
		if s.Kind == message.SectionWhole {
			return append(ranges, message.Range{Len: content.Size()}), false, nil
		}
		header, err := o.header(ctx)
		if err != nil {
			return nil, false, err
		}
		if o.hasHeader {
			return o.topSection(ranges, s, header), false, nil
		}
	}
	tree, err := o.structure(ctx)
	if err != nil {
		return nil, false, err
	}
	ranges, ok, err := tree.Section(content, s)
	return ranges, !ok, err
}

// topSection is a section of the message that its header tells.
func (o *opened) topSection(ranges message.Ranges, s message.Section, header message.Header) message.Ranges {
	n := int64(len(header))
	switch s.Kind {
	case message.SectionHeader:
		return append(ranges, message.Range{Len: n})
	case message.SectionText:
		return append(ranges, message.Range{Off: n, Len: o.content.Size() - n})
	}
	return header.AppendSubset(ranges, 0, s.Fields, s.Kind == message.SectionHeaderFieldsNot)
}

// WriteRange writes from the listed header fields, for sections of which they are all.
func (o *opened) WriteRange(w io.Writer, off, n int64) (int64, error) {
	k, err := w.Write(o.listed[off : off+n])
	return int64(k), err
}
