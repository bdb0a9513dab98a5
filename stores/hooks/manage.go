package hooks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

func unsupported(op, name string) error {
	return fail(op, mailaccess.KindUnsupported, name, nil)
}

// CreateMailbox has the application make a mailbox.
func (h *handle) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (m mailaccess.Mailbox, err error) {
	const op = "create mailbox"
	app := &h.store.app
	if app.CreateMailBox == nil {
		return m, unsupported(op, name)
	}
	if err := h.begin(ctx, op, mailaccess.RightCreate); err != nil {
		return m, err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return m, err
	}
	if use >= mailaccess.UseImportant<<1 {
		return m, fail(op, mailaccess.KindUnsupported, name, errors.New("unknown special use"))
	}
	w, err := h.workOnList(ctx, op)
	if err != nil {
		return m, err
	}
	defer w.done()
	h.mu.Lock()
	taken, n := h.names[name] != nil, len(h.boxes)
	h.mu.Unlock()
	switch limit := h.store.opts.MaxMailboxes; {
	case taken:
		return m, fail(op, mailaccess.KindExists, name, nil)
	case n >= limit:
		return m, fail(op, mailaccess.KindLimit, name, fmt.Errorf("an account has at most %d mailboxes", limit))
	}
	err = h.tell(ctx, op, func(ctx context.Context) error {
		return appError(op, name, app.CreateMailBox(ctx, h.name, Box{Name: name, Use: use}))
	})
	if err != nil {
		return m, err
	}
	_, err = h.record(op, w, nil, func(t *txn) error {
		x, err := t.create(op, name, use)
		if err == nil {
			m = x.head.Mailbox
		}
		return err
	})
	m.Rights = h.rights
	return m, err
}

// RenameMailbox has the application rename a mailbox and those below it.
func (h *handle) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	const op = "rename mailbox"
	app := &h.store.app
	if app.RenameMailBox == nil {
		return unsupported(op, name)
	}
	if err := h.begin(ctx, op, mailaccess.RightRemove|mailaccess.RightCreate); err != nil {
		return err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return err
	}
	w, err := h.workOnList(ctx, op)
	if err != nil {
		return err
	}
	defer w.done()
	moved, from, err := h.renaming(op, box, name)
	if err != nil {
		return err
	}
	if err := w.also(ctx, op, slices.Collect(maps.Keys(moved))...); err != nil {
		return err
	}
	err = h.tell(ctx, op, func(ctx context.Context) error {
		return appError(op, from, app.RenameMailBox(ctx, h.name, from, name))
	})
	if err != nil {
		return err
	}
	_, err = h.record(op, w, nil, func(t *txn) error {
		for b, to := range moved {
			t.rename(t.box(b), to, to)
		}
		return nil
	})
	return err
}

// renaming returns the new names, and the old one of box as the application spells
// it.
func (a *account) renaming(op string, box mailaccess.MailboxID, name string) (moved map[*mailbox]string, from string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b, err := a.box(op, box)
	if err != nil {
		return nil, "", err
	}
	old := b.Name
	switch {
	case old == mailaccess.Inbox:
		return nil, "", fail(op, mailaccess.KindForbidden, old, nil)
	case name == old:
		return nil, "", fail(op, mailaccess.KindExists, old, nil)
	case strings.HasPrefix(name, old+"/"):
		return nil, "", fail(op, mailaccess.KindInvalid, old, errors.New("the new name is below the old one"))
	}
	moved = map[*mailbox]string{b: name}
	for have, below := range a.names {
		if rest, ok := strings.CutPrefix(have, old+"/"); ok {
			to := name + "/" + rest
			if err := mailaccess.CheckMailboxName(to); err != nil {
				return nil, "", err
			}
			moved[below] = to
		}
	}
	for _, to := range moved {
		// A name that is left by a mailbox that moves too is free.
		if have := a.names[to]; have != nil && moved[have] == "" {
			return nil, "", fail(op, mailaccess.KindExists, to, nil)
		}
	}
	return moved, b.appName, nil
}

// DeleteMailbox has the application remove a mailbox.
func (h *handle) DeleteMailbox(ctx context.Context, box mailaccess.MailboxID) error {
	const op = "delete mailbox"
	app := &h.store.app
	if app.DeleteMailBox == nil {
		return unsupported(op, string(box))
	}
	if err := h.begin(ctx, op, mailaccess.RightRemove); err != nil {
		return err
	}
	w, err := h.workOnList(ctx, op)
	if err != nil {
		return err
	}
	defer w.done()
	h.mu.Lock()
	b, err := h.box(op, box)
	var name, appName string
	if err == nil {
		name, appName = b.Name, b.appName // they stay, as the list's turn is taken
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	if name == mailaccess.Inbox {
		return fail(op, mailaccess.KindForbidden, name, nil)
	}
	if err := w.also(ctx, op, b); err != nil {
		return err
	}
	err = h.tell(ctx, op, func(ctx context.Context) error {
		return appError(op, name, app.DeleteMailBox(ctx, h.name, appName))
	})
	if err != nil && !errors.Is(err, mailaccess.KindNotFound) {
		return err
	}
	_, err = h.record(op, w, nil, func(t *txn) error {
		t.delete(t.box(b))
		return nil
	})
	return err
}

// Subscriptions lists the names as they are when the loop begins.
func (h *handle) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	const op = "list subscriptions"
	return func(yield func(string, error) bool) {
		if err := h.begin(ctx, op, 0); err != nil {
			yield("", err)
			return
		}
		h.mu.Lock()
		names := slices.Sorted(maps.Keys(h.subscribed))
		h.mu.Unlock()
		for _, name := range names {
			if err := h.begin(ctx, op, 0); err != nil {
				yield("", err)
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Subscribe adds a name or takes it out. An identity that may change nothing in
// any mailbox may not change this either; an application that cannot is no reason.
func (h *handle) Subscribe(ctx context.Context, name string, on bool) error {
	const op = "subscribe"
	if err := h.begin(ctx, op, 0); err != nil {
		return err
	}
	if (mailaccess.RightsAll&^h.without)&^mailaccess.RightsReadOnly == 0 {
		return fail(op, mailaccess.KindForbidden, name, nil)
	}
	if on {
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return err
		}
	}
	_, err := h.commit(op, nil, func(t *txn) error {
		_, have := h.subscribed[name]
		if have == on {
			return nil
		}
		if limit := h.store.opts.MaxMailboxes; on && len(h.subscribed) >= limit {
			return fail(op, mailaccess.KindLimit, name, fmt.Errorf("an account has at most %d subscriptions", limit))
		}
		t.subscribe(name, on)
		return nil
	})
	return err
}
