package hooks

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// resize gives a content another size. The account's lock is held.
func (c *content) resize(size int64) {
	var few [4]place
	for _, p := range c.places(few[:0]) {
		p.box.countSize(c.size, -1)
		p.box.countSize(size, +1)
	}
	c.size = size
}

// measured notes what a content really has. a.mu is held.
func (a *account) measured(c *content, size int64, sum checksum) {
	c.resize(size)
	c.sum, c.measured = sum, true
	if a.store.file != nil {
		a.sized = append(a.sized, c)
	}
}

// Content opens the bytes of a message. When they are not those that were there
// when they were first read, the message is another one now and this one is gone.
func (h *handle) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	const op = "content"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	b, err := h.body(ctx, op, id)
	if err != nil {
		return nil, err
	}
	return newReader(h.store, b), nil
}

// whereabouts are where the application has a content.
type whereabouts struct {
	box  *mailbox
	e    *entry
	ref  Ref
	size int64 // or SizeUnknown
}

// where returns one of them: of a message that was copied the next one each time,
// so that bytes that have changed in any place are found out.
func (a *account) where(op string, c *content) (w whereabouts, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(c.more) > 0 {
		c.first, c.more = c.more[0], append(c.more[1:], c.first)
	}
	if w.box = c.first.box; w.box != nil {
		w.e = w.box.find(c.first.uid)
	}
	if w.e == nil {
		return w, fail(op, mailaccess.KindContentGone, "", nil)
	}
	w.ref, w.size = Ref{Mailbox: w.box.appName, Key: w.e.key}, c.size
	return w, nil
}

// body returns the bytes of a message, with a reference for the caller. No turn
// is taken.
func (a *account) body(ctx context.Context, op string, id mailaccess.EmailID) (*body, error) {
	a.mu.Lock()
	c := a.contents[id]
	a.mu.Unlock()
	if c == nil {
		return nil, fail(op, mailaccess.KindContentGone, "", nil)
	}
	var b *body
	if a.store.bodies.get(bodyKey{a.name, id}, func(have *body) { b = have.hold() }) {
		return b, nil
	}
	w, err := a.where(op, c)
	if err != nil {
		return nil, err
	}
	box, e := w.box, w.e
	b, revision, err := a.fetch(ctx, op, w.ref, w.size)
	switch {
	case errors.Is(err, mailaccess.KindNotFound), errors.Is(err, mailaccess.KindContentGone):
		a.doubt(box)
		return nil, fail(op, mailaccess.KindContentGone, "", err)
	case err != nil:
		return nil, err
	}
	if a.agrees(c, e, b, revision) {
		a.keepBody(c, b)
		return b, nil
	}
	a.store.log.Info("hooks: the bytes of a message have changed: it is a new one", zap.String("mailbox", string(box.ID)))
	defer b.drop()
	if err := a.renew(ctx, op, box, e, b, revision); err != nil {
		return nil, err
	}
	return nil, fail(op, mailaccess.KindContentGone, "", errors.New("the message has other bytes now"))
}

// bodyWithin is body for use within a function of the application, whose place
// among the calls and whose time it shares, and with turns taken.
func (a *account) bodyWithin(ctx context.Context, op string, c *content) (b *body, err error) {
	if a.store.bodies.get(bodyKey{a.name, c.id}, func(have *body) { b = have.hold() }) {
		return b, nil
	}
	at, err := a.where(op, c)
	if err != nil {
		return nil, err
	}
	w := newBodyWriter(&a.store.opts, at.size)
	var revision string
	err = a.read(ctx, &call{op: op, start: time.Now()}, op, at.ref, w, &revision)
	b = w.seal()
	if err == nil && !a.agrees(c, at.e, b, revision) {
		err = fail(op, mailaccess.KindContentGone, "", errors.New("the message has other bytes now"))
	}
	if err != nil {
		b.drop()
		return nil, err
	}
	a.keepBody(c, b)
	return b, nil
}

// agrees reports whether b is the content that c stands for, and notes its size.
func (a *account) agrees(c *content, e *entry, b *body, revision string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case c.measured:
		return c.sum == b.sum && c.size == b.size
	case c.size >= 0 && c.size != b.size, revision != "" && e.revision != "" && revision != e.revision:
		return false
	}
	a.measured(c, b.size, b.sum)
	return true
}

// keepBody keeps b for the next reader of c.
func (a *account) keepBody(c *content, b *body) {
	b.hold()
	if !a.store.bodies.put(bodyKey{a.name, c.id}, b, max(b.size, 1)) {
		b.drop()
	}
}

// renew puts a new message with the content b in the place of e.
func (a *account) renew(ctx context.Context, op string, box *mailbox, e *entry, b *body, revision string) error {
	w, err := a.work(ctx, op, box)
	if err != nil {
		return err
	}
	defer w.done()
	_, err = a.commit(op, w, func(t *txn) error {
		have := box.byKey[e.key]
		if box.deleted || have == nil || have.content != e.content {
			return nil // somebody else has found out
		}
		if err := box.room(op, 1); err != nil {
			return err
		}
		n := &entry{key: e.key, revision: have.revision, claimed: have.claimed, flags: have.flags, received: have.received}
		if revision != "" {
			n.revision = revision
		}
		n.content = t.newContent()
		n.content.size, n.content.sum, n.content.measured = b.size, b.sum, true
		t.add(t.box(box), n)
		return nil
	})
	return err
}

// fetch reads the bytes of a message from the application. KindNotFound when it
// does not have it any more. revision is empty when it does not say.
func (a *account) fetch(ctx context.Context, op string, ref Ref, hint int64) (b *body, revision string, err error) {
	w := newBodyWriter(&a.store.opts, hint)
	k := &call{op: op, late: func() { w.seal().drop() }}
	finished, err := a.store.calls.do(ctx, a.name, k, func(ctx context.Context) error {
		return a.read(ctx, k, op, ref, w, &revision)
	})
	if err != nil {
		if finished {
			w.seal().drop()
		}
		return nil, "", err
	}
	return w.seal(), revision, nil
}

// read writes the bytes of a message to w.
func (a *account) read(ctx context.Context, k *call, op string, ref Ref, w *bodyWriter, revision *string) error {
	app := &a.store.app
	copyFrom := func(r io.Reader) error {
		_, err := io.Copy(message.NewCanonicalWriter(w), &progressReader{r, k})
		if w.err != nil {
			return w.err
		}
		return appError(op, ref.Mailbox, err)
	}
	open := func(f func() (io.ReadCloser, error)) error {
		r, err := f()
		if err != nil {
			return appError(op, ref.Mailbox, err)
		}
		if r == nil {
			return fail(op, mailaccess.KindInternal, ref.Mailbox, errors.New("the application opened nothing"))
		}
		defer r.Close()
		return copyFrom(r)
	}
	if app.OpenMailItem != nil {
		return open(func() (io.ReadCloser, error) { return app.OpenMailItem(ctx, a.name, ref) })
	}
	q := ItemQuery{Mailbox: ref.Mailbox, Keys: []string{ref.Key}, Fields: FieldRevision | FieldBody}
	seq := app.MailItems(ctx, a.name, q)
	if seq == nil {
		return fail(op, mailaccess.KindNotFound, ref.Mailbox, nil)
	}
	var later func(ctx context.Context) (io.ReadCloser, error)
	for item, err := range seq {
		if err != nil {
			return appError(op, ref.Mailbox, err)
		}
		k.progress()
		if item.Key != ref.Key || item.Gone || item.changesOnly {
			continue
		}
		*revision = item.Revision
		switch {
		case item.Body != nil:
			_, err := message.NewCanonicalWriter(w).Write(item.Body)
			return err
		case item.Reader != nil:
			return copyFrom(item.Reader)
		case item.Open == nil:
			return fail(op, mailaccess.KindInternal, ref.Mailbox, errors.New("the application gave no body"))
		}
		later = item.Open
		break
	}
	if later != nil {
		// Not inside the loop: the application may have one connection only.
		return open(func() (io.ReadCloser, error) { return later(ctx) })
	}
	return fail(op, mailaccess.KindNotFound, ref.Mailbox, nil)
}

// progressReader says that the call is at work whenever something was read.
type progressReader struct {
	r io.Reader
	k *call
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.k.progress()
	}
	if err == nil && p.k.state.Load() == callAbandoned {
		err = errAbandoned
	}
	return n, err
}

// Locate yields the places of messages.
func (h *handle) Locate(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	return func(yield func(mailaccess.Location, error) bool) {
		var places []place
		for i, id := range ids {
			if i%batch == 0 {
				if err := h.begin(ctx, "locate", mailaccess.RightRead); err != nil {
					yield(mailaccess.Location{}, err)
					return
				}
			}
			h.mu.Lock()
			places = places[:0]
			if c := h.contents[id]; c != nil {
				places = c.places(places)
			}
			h.mu.Unlock()
			for _, p := range places {
				if !yield(mailaccess.Location{ID: id, Mailbox: p.box.ID, UID: p.uid}, nil) {
					return
				}
			}
		}
	}
}
