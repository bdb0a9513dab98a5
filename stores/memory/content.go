package memory

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

// content is the bytes of a message, which never change, and the places where
// the message is. Places are guarded by the account's lock.
type content struct {
	id     mailaccess.EmailID
	data   []byte
	thread mailaccess.ThreadID
	keys   []uint64           // see threads
	first  place              // the only one of most messages, if it has a box
	others map[place]struct{} // nil for most messages
	gone   mailaccess.ModSeq  // when the last place went
}

type place struct {
	box *mailbox
	uid mailaccess.UID
}

// placed reports whether the message is anywhere.
func (c *content) placed() bool { return c.first.box != nil || len(c.others) > 0 }

func (c *content) add(p place) {
	if c.first.box == nil {
		c.first = p
		return
	}
	if c.others == nil {
		c.others = make(map[place]struct{})
	}
	c.others[p] = struct{}{}
}

func (c *content) remove(p place) {
	if c.first == p {
		c.first = place{}
	} else if delete(c.others, p); len(c.others) == 0 {
		c.others = nil
	}
}

// locations appends where c is to buf, without mailboxes being deleted.
func (c *content) locations(buf []mailaccess.Location) []mailaccess.Location {
	add := func(p place) {
		if p.box != nil && !p.box.deleted {
			buf = append(buf, mailaccess.Location{ID: c.id, Mailbox: p.box.ID, UID: p.uid})
		}
	}
	add(c.first)
	for p := range c.others {
		add(p)
	}
	return buf
}

// retained is a content without a place that accounts opened before n may read.
type retained struct {
	n mailaccess.ModSeq
	c *content
}

// leave takes a place from a content, in transaction n, and lets go of it when
// that was the last. a.mu is held.
func (a *account) leave(id mailaccess.EmailID, p place, n mailaccess.ModSeq) {
	c := a.contents[id]
	c.remove(p)
	if c.placed() {
		return
	}
	a.used -= int64(len(c.data))
	c.gone = n
	if a.opened.Len() > 0 {
		a.retained = append(a.retained, retained{n, c})
		return
	}
	a.letGo(c)
}

// dropRetained lets go of what nobody may read any more. a.mu is held.
func (a *account) dropRetained() {
	i := 0
	for ; i < len(a.retained); i++ {
		r := a.retained[i]
		if oldest := a.opened.Front(); oldest != nil && oldest.Value.(*handle).since < r.n {
			break
		}
		// It may have come back, and even gone again.
		if !r.c.placed() && r.c.gone == r.n {
			a.letGo(r.c)
		}
	}
	if i > 0 {
		a.retained = slices.Clone(a.retained[i:])
	}
}

// Content opens the bytes of a message.
func (h *handle) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	const op = "content"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.contents[id]
	if c == nil {
		return nil, fail(op, mailaccess.KindContentGone, "", nil)
	}
	return &reader{store: h.store, data: c.data}, nil
}

// Locate yields the places of messages.
func (h *handle) Locate(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	return func(yield func(mailaccess.Location, error) bool) {
		var buf []mailaccess.Location
		for _, id := range ids {
			if err := h.begin(ctx, "locate", mailaccess.RightRead); err != nil {
				yield(mailaccess.Location{}, err)
				return
			}
			buf = buf[:0]
			h.mu.Lock()
			if c := h.contents[id]; c != nil {
				buf = c.locations(buf)
			}
			h.mu.Unlock()
			for _, l := range buf {
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

// reader is an opened content.
type reader struct {
	store  *Store
	data   []byte
	closed atomic.Bool
}

// usable checks that what is asked for can be read.
func (r *reader) usable(off, n int64) error {
	const op = "read content"
	switch {
	case r.store.closed.Load():
		return errClosed(op)
	case r.closed.Load():
		return fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	case off < 0 || n < 0 || off > r.Size() || n > r.Size()-off:
		return fail(op, mailaccess.KindInvalid, "", fmt.Errorf("%d octets from %d on, of %d", n, off, r.Size()))
	}
	return nil
}

func (r *reader) Size() int64 { return int64(len(r.data)) }

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.usable(min(off, r.Size()), 0); err != nil {
		return 0, err
	}
	if off > r.Size() {
		return 0, io.EOF
	}
	n := copy(p, r.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *reader) WriteRange(w io.Writer, off, n int64) (int64, error) {
	if err := r.usable(off, n); err != nil || n == 0 {
		return 0, err
	}
	k, err := w.Write(r.data[off : off+n : off+n])
	if err == nil && int64(k) < n {
		err = io.ErrShortWrite
	}
	return int64(k), err
}

func (r *reader) Close() error {
	r.closed.Store(true)
	return nil
}
