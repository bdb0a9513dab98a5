package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

// staged is an upload: a body that becomes a content when it is appended.
type staged struct {
	a      *account
	w      *bodyWriter
	closed bool
	// content is what the message became, guarded by the account's lock.
	content *content
}

// Stage begins an upload.
func (h *handle) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	const op = "stage"
	if err := h.begin(ctx, op, mailaccess.RightInsert); err != nil {
		return nil, err
	}
	if limit := h.store.opts.MaxMessageSize; size > limit {
		return nil, tooBig(op, limit)
	}
	return &staged{a: h.account, w: newBodyWriter(&h.store.opts, size)}, nil
}

func (s *staged) Write(p []byte) (int, error) {
	const op = "write staged message"
	switch {
	case s.closed:
		return 0, fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	case s.a.store.closed():
		return 0, errClosed(op)
	case s.w.sealed:
		return 0, fail(op, mailaccess.KindInvalid, "", errors.New("it was opened for reading or appended"))
	}
	return s.w.Write(p)
}

func (s *staged) Size() int64 { return s.w.b.size }

func (s *staged) Content() (mailaccess.Content, error) {
	if err := s.whole("open staged message", s.a); err != nil {
		return nil, err
	}
	return newReader(s.a.store, s.w.seal().hold()), nil
}

// whole reports whether s can be used in a.
func (s *staged) whole(op string, a *account) error {
	switch {
	case s.w.err != nil:
		return s.w.err
	case s.closed:
		return fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	case s.a != a:
		return fail(op, mailaccess.KindInvalid, "", errors.New("the message was staged for another account"))
	}
	return nil
}

func (s *staged) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.w.b.drop()
}

// addition is a message on its way into a mailbox.
type addition struct {
	NewItem
	flags  mailaccess.Flags
	source *entry // of a copy, or nil
	staged *staged
	body   *body // of an upload
}

// Append gives messages to the application.
func (h *handle) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (done mailaccess.Appended, err error) {
	const op = "append"
	b, err := h.look(ctx, op, box, mailaccess.RightInsert)
	if err != nil {
		return done, err
	}
	if len(msgs) > 1 && !h.caps.AppendMany {
		return done, fail(op, mailaccess.KindUnsupported, string(box), errors.New("the application takes messages one by one"))
	}
	adds := make([]addition, len(msgs))
	now := time.Now()
	for i, m := range msgs {
		s, ok := m.Staged.(*staged)
		if !ok {
			return done, fail(op, mailaccess.KindInvalid, string(box), errors.New("the message was not staged here"))
		}
		if err := s.whole(op, h.account); err != nil {
			return done, err
		}
		received := m.Received
		if received.IsZero() {
			received = now
		}
		adds[i].staged, adds[i].body = s, s.w.seal()
		adds[i].Received = wholeSeconds(received)
		adds[i].flags = h.mayAppend(m.Flags)
		adds[i].Body = io.NewSectionReader(adds[i].body, 0, adds[i].body.size)
	}
	w, err := h.work(ctx, op, b)
	if err != nil {
		return done, err
	}
	defer w.done()
	entries, err := h.add(ctx, op, w, b, adds)
	if err != nil {
		return done, err
	}
	done.UIDValidity = b.UIDValidity
	h.mu.Lock()
	for _, e := range entries {
		done.Messages = append(done.Messages, e.message())
	}
	h.mu.Unlock()
	for i, e := range entries {
		h.keepBody(e.content, adds[i].body)
	}
	return done, nil
}

// mayAppend returns those of f that the identity may set and that are kept (RFC
// 4314, section 4: flags that may not be set are left out). An application that
// cannot change flags can keep those of a new message all the same.
func (h *handle) mayAppend(f mailaccess.Flags) mailaccess.Flags {
	r := flagrights.Of(mailaccess.RightsAll &^ h.without)
	f.System &= r.System
	if !r.Keywords {
		f.Keywords = mailaccess.Keywords{}
	}
	return h.store.abilities.kept(f)
}

// add gives messages to the application and records them. The turn of b is taken.
func (h *handle) add(ctx context.Context, op string, w *work, b *mailbox, adds []addition) ([]*entry, error) {
	if err := h.begun(op, b); err != nil {
		return nil, err
	}
	err := b.room(op, len(adds))
	for i := range adds {
		x := &adds[i]
		k, whole := b.spell(x.flags.Keywords, h.store.opts.MaxKeywords)
		if !whole {
			err = fail(op, mailaccess.KindLimit, string(b.ID), errors.New("too many keywords for a mailbox"))
		}
		x.flags.Keywords = k
		x.Mailbox, x.Flags = b.appName, words(x.flags)
	}
	h.mu.Unlock()
	if err != nil || len(adds) == 0 {
		return nil, err
	}
	keys, err := h.tellAdd(ctx, op, b, adds)
	if err != nil {
		return nil, err
	}
	entries := make([]*entry, len(adds))
	_, err = h.record(op, w, []*mailbox{b}, func(t *txn) error {
		if b.deleted {
			return notFound(op, b.ID)
		}
		x := t.box(b)
		for i := range adds {
			e := &entry{key: keys[i], flags: adds[i].flags, received: adds[i].Received}
			switch s := adds[i].staged; {
			case adds[i].source != nil:
				e.content = adds[i].source.content
			case s.content != nil:
				e.content = s.content
			default:
				c := t.newContent()
				c.size, c.sum, c.measured = adds[i].body.size, adds[i].body.sum, true
				s.content, e.content = c, c
			}
			t.add(x, e)
			entries[i] = e
		}
		return nil
	})
	return entries, err
}

// tellAdd returns the keys that the application gave.
func (h *handle) tellAdd(ctx context.Context, op string, b *mailbox, adds []addition) (keys []string, err error) {
	app := &h.store.app
	items := make([]NewItem, len(adds))
	for i := range adds {
		items[i] = adds[i].NewItem
		if adds[i].body != nil {
			adds[i].body.hold() // the function may be abandoned and read on
		}
	}
	// Once, by the function when it returns, or here if it is never called.
	var begun atomic.Bool
	letGo := func() {
		for i := range adds {
			if adds[i].body != nil {
				adds[i].body.drop()
			}
		}
	}
	var got []string
	err = h.tell(ctx, op, func(ctx context.Context) error {
		if begun.Swap(true) {
			return errAbandoned
		}
		defer letGo()
		var err error
		if len(items) == 1 && app.AddMailItem != nil {
			var key string
			key, err = app.AddMailItem(ctx, h.name, items[0])
			got = []string{key}
		} else {
			got, err = app.AddMailItems(ctx, h.name, items)
		}
		return appError(op, items[0].Mailbox, err)
	}, b)
	if !begun.Swap(true) {
		letGo()
	}
	if err != nil {
		return nil, err
	}
	if err := checkKeys(got, len(items)); err != nil {
		h.doubt(b)
		return nil, fail(op, mailaccess.KindUncertain, string(b.ID), err)
	}
	return got, nil
}

func checkKeys(keys []string, want int) error {
	if len(keys) != want {
		return fmt.Errorf("the application gave %d keys for %d messages", len(keys), want)
	}
	met := make(map[string]bool, want)
	for _, k := range keys {
		if k == "" || len(k) > maxText || met[k] {
			return errors.New("the application gave a key that is empty, too long or there twice")
		}
		met[k] = true
	}
	return nil
}
