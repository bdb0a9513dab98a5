package hooks

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Copy has the application add the messages once more.
func (h *handle) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (done mailaccess.Copied, err error) {
	const op = "copy"
	const need = mailaccess.RightRead | mailaccess.RightInsert
	if uids, err = h.measureAll(ctx, op, src, uids, need); err != nil {
		return done, err
	}
	w, from, to, err := h.ends(ctx, op, src, dst, need)
	if err != nil {
		return done, err
	}
	defer w.done()
	if err := h.begun(op, from); err != nil {
		return done, err
	}
	window := h.newWindow(ctx, op)
	defer window.close()
	var adds []addition
	from.walk(uids, 1, func(e *entry) bool {
		add := addition{source: e, flags: h.store.abilities.kept(e.flags)}
		add.Received = e.received
		add.CopyOf = Ref{Mailbox: from.appName, Key: e.key}
		size := e.content.size
		add.Body = io.NewSectionReader(windowAt{window, e.content}, 0, size)
		adds = append(adds, add)
		return true
	})
	h.mu.Unlock()
	done.UIDValidity = to.UIDValidity
	switch {
	case len(adds) == 0:
		return done, nil
	case len(adds) > 1 && !h.caps.CopyMany:
		return mailaccess.Copied{}, errOneByOne(op, dst)
	}
	entries, err := h.add(ctx, op, w, to, adds)
	if err != nil {
		w.done()
		if c := window.changed(); c != nil {
			// Reading it once more makes a new message of it.
			if b, err := h.body(ctx, op, c.id); err == nil {
				b.drop()
			}
		}
		return mailaccess.Copied{}, err
	}
	var source, dest mailaccess.UIDSetBuilder
	for i, e := range entries {
		source.AddUID(adds[i].source.uid)
		dest.AddUID(e.uid)
	}
	done.Source, done.Dest = source.Set(), dest.Set()
	return done, nil
}

// ends returns two mailboxes with their turns taken.
func (h *handle) ends(ctx context.Context, op string, src, dst mailaccess.MailboxID, need mailaccess.Rights) (w *work, from, to *mailbox, err error) {
	if from, err = h.look(ctx, op, src, need); err != nil {
		return nil, nil, nil, err
	}
	if to, err = h.look(ctx, op, dst, need); err != nil {
		return nil, nil, nil, err
	}
	w, err = h.work(ctx, op, from, to)
	return w, from, to, err
}

func errOneByOne(op string, box mailaccess.MailboxID) error {
	return fail(op, mailaccess.KindUnsupported, string(box), errors.New("the application takes messages one by one"))
}

// measureAll reads the messages in uids whose size nobody knows yet, and returns
// those of uids that are there and have been read.
func (h *handle) measureAll(ctx context.Context, op string, src mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.Rights) (there mailaccess.UIDSet, err error) {
	b, err := h.look(ctx, op, src, need)
	if err != nil {
		return there, err
	}
	if err := h.begun(op, b); err != nil {
		return there, err
	}
	var all mailaccess.UIDSetBuilder
	var unread []*entry
	n := 0
	b.walk(uids, 1, func(e *entry) bool {
		all.AddUID(e.uid)
		if !e.content.measured {
			unread = append(unread, e)
		}
		n++
		return h.caps.CopyMany || n < 2
	})
	h.mu.Unlock()
	if n > 1 && !h.caps.CopyMany {
		return there, errOneByOne(op, src)
	}
	there = all.Set()
	for _, e := range unread {
		body, err := h.body(ctx, op, e.content.id)
		switch {
		case errors.Is(err, mailaccess.KindContentGone):
			there = there.Without(e.uid)
		case err != nil:
			return there, err
		default:
			body.drop()
		}
	}
	return there, nil
}

// window lets a function of the application read the messages to be copied, one
// open at a time. It is opened when it is first read: an application that copies
// by CopyOf needs no body.
type window struct {
	ctx   context.Context // for reading; ends when the window is closed
	end   context.CancelFunc
	a     *account
	op    string
	fetch sync.Mutex // held while a body is asked for

	mu     sync.Mutex // guards what follows; held only for what is quick
	open   *content
	body   *body // of open
	closed bool
	other  *content // the bytes of which have changed
}

func (a *account) newWindow(ctx context.Context, op string) *window {
	w := &window{a: a, op: op}
	w.ctx, w.end = context.WithCancel(context.WithoutCancel(ctx))
	return w
}

// windowAt is one message of a window.
type windowAt struct {
	*window
	content *content
}

func (w windowAt) ReadAt(p []byte, off int64) (int, error) {
	b, err := w.get(w.content)
	if err != nil {
		return 0, err
	}
	defer b.drop()
	return b.ReadAt(p, off)
}

// get returns the body of c, with a reference for the caller.
func (w *window) get(c *content) (*body, error) {
	if b, err := w.have(c); b != nil || err != nil {
		return b, err
	}
	w.fetch.Lock()
	defer w.fetch.Unlock()
	if b, err := w.have(c); b != nil || err != nil {
		return b, err
	}
	b, err := w.a.bodyWithin(w.ctx, w.op, c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if errors.Is(err, mailaccess.KindContentGone) {
			w.other = c
		}
		return nil, err
	}
	if w.closed {
		b.drop()
		return nil, w.errClosed()
	}
	w.drop()
	w.body, w.open = b, c
	return b.hold(), nil
}

// have is get for a body that is open.
func (w *window) have(c *content) (*body, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, w.errClosed()
	case w.body != nil && w.open == c:
		return w.body.hold(), nil
	}
	return nil, nil
}

func (w *window) errClosed() error {
	return fail(w.op, mailaccess.KindUnavailable, "", errors.New("the copy has ended"))
}

func (w *window) drop() {
	if w.body != nil {
		w.body.drop()
		w.body = nil
	}
}

// changed returns a content of which the bytes turned out to have changed, or nil.
func (w *window) changed() *content {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.other
}

// close waits for nobody: a function that was abandoned may be reading still.
func (w *window) close() {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.drop()
}

// Move moves messages, some in a transaction.
func (h *handle) Move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	const op = "move"
	// RFC 6851, section 4.1: what COPY, STORE and EXPUNGE need.
	const need = mailaccess.RightRead | mailaccess.RightInsert | mailaccess.RightDeleted | mailaccess.RightExpunge
	m := moving{handle: h, op: op, src: src, dst: dst, uids: uids}
	for next := mailaccess.UID(1); next != 0; {
		if err := h.begin(ctx, op, need); err != nil {
			return m.copied(), err
		}
		if src == dst {
			return m.copied(), fail(op, mailaccess.KindInvalid, string(src), errors.New("source and destination are the same"))
		}
		var err error
		if next, err = m.transaction(ctx, next, need); err != nil {
			return m.copied(), err
		}
	}
	return m.copied(), nil
}

// moving is a call of Move.
type moving struct {
	*handle
	op       string
	src, dst mailaccess.MailboxID
	uids     mailaccess.UIDSet

	validity     uint32
	source, dest mailaccess.UIDSetBuilder
}

func (m *moving) copied() mailaccess.Copied {
	return mailaccess.Copied{UIDValidity: m.validity, Source: m.source.Set(), Dest: m.dest.Set()}
}

// transaction moves messages at or above from and returns where the next one
// begins, or 0.
func (m *moving) transaction(ctx context.Context, from mailaccess.UID, need mailaccess.Rights) (next mailaccess.UID, err error) {
	w, src, dst, err := m.ends(ctx, m.op, m.src, m.dst, need)
	if err != nil {
		return 0, err
	}
	defer w.done()
	if err := m.begun(m.op, src); err != nil {
		return 0, err
	}
	var todo []*entry
	src.walk(m.uids, from, func(e *entry) bool {
		if len(todo) == chunk {
			next = e.uid
			return false
		}
		todo = append(todo, e)
		return true
	})
	name, to := src.appName, dst.appName
	err = dst.room(m.op, len(todo))
	gone := dst.deleted
	m.mu.Unlock()
	if gone {
		return 0, notFound(m.op, m.dst)
	}
	if err != nil {
		return 0, err
	}
	m.validity = dst.UIDValidity

	var moved []*entry
	var keys []string
	taken := make(map[string]bool)
	for _, e := range todo {
		if x := ctx.Err(); x != nil {
			err = fail(m.op, mailaccess.KindUnavailable, string(m.src), x)
			break
		}
		key, x := m.tellMove(ctx, src, dst, Ref{Mailbox: name, Key: e.key}, to)
		if errors.Is(x, mailaccess.KindNotFound) {
			m.doubt(src, dst)
			continue
		}
		if x == nil && taken[key] {
			m.doubt(src, dst)
			x = fail(m.op, mailaccess.KindUncertain, string(m.dst), errors.New("the application gave a key twice"))
		}
		if x != nil {
			err = x
			break
		}
		taken[key] = true
		moved, keys = append(moved, e), append(keys, key)
	}
	if len(moved) == 0 {
		return next, err
	}
	if x := m.settle(w, src, dst, moved, keys); x != nil {
		return next, x
	}
	return next, err
}

func (m *moving) tellMove(ctx context.Context, src, dst *mailbox, ref Ref, to string) (string, error) {
	var key string
	err := m.tell(ctx, m.op, func(ctx context.Context) (err error) {
		key, err = m.store.app.MoveMailItem(ctx, m.name, ref, to)
		return appError(m.op, ref.Mailbox, err)
	}, src, dst)
	if err != nil {
		return "", err
	}
	if err := checkKeys([]string{key}, 1); err != nil {
		m.doubt(src, dst)
		return "", fail(m.op, mailaccess.KindUncertain, string(dst.ID), err)
	}
	return key, nil
}

// settle records what was moved.
func (m *moving) settle(w *work, src, dst *mailbox, moved []*entry, keys []string) error {
	entries := make([]*entry, len(moved))
	_, err := m.record(m.op, w, []*mailbox{src, dst}, func(t *txn) error {
		for _, b := range []*mailbox{src, dst} {
			if b.deleted {
				return notFound(m.op, b.ID)
			}
		}
		out, in := t.box(src), t.box(dst)
		for i, e := range moved {
			n := &entry{content: e.content, key: keys[i], revision: e.revision, claimed: e.claimed, flags: e.flags, received: e.received}
			n.flags.Keywords, _ = dst.spell(n.flags.Keywords, m.store.opts.MaxKeywords)
			t.remove(out, e)
			t.add(in, n)
			entries[i] = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, e := range entries {
		m.source.AddUID(moved[i].uid)
		m.dest.AddUID(e.uid)
	}
	return nil
}
