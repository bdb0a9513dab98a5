package hookstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
)

// Handlers returns every function that there is. A caller takes away what its
// test shall do without.
func (a *App) Handlers() hooks.Handlers {
	return hooks.Handlers{
		Authenticate:   a.authenticate,
		MailBoxes:      a.mailBoxes,
		MailItems:      a.mailItems,
		AddMailItem:    a.addMailItem,
		UpdateMailItem: a.updateMailItem,
		AddMailItems:   a.addMailItems,
		RemoveMailItem: a.removeMailItem,
		MoveMailItem:   a.moveMailItem,
		OpenMailItem:   a.openMailItem,
		CreateMailBox: func(_ context.Context, email string, b hooks.Box) error {
			return a.Create(email, b.Name, b.Use)
		},
		RenameMailBox: func(_ context.Context, email, from, to string) error { return a.Rename(email, from, to) },
		DeleteMailBox: func(_ context.Context, email, name string) error { return a.Delete(email, name) },
	}
}

func (a *App) authenticate(_ context.Context, username, password string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.users[username]; u != nil && u.password == password {
		return username, nil
	}
	return "", nil
}

func (a *App) mailBoxes(_ context.Context, email string, _ hooks.BoxQuery) ([]hooks.Box, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.users[email]
	if u == nil {
		return nil, fmt.Errorf("account %s: %w", email, mailaccess.KindNotFound)
	}
	var all []hooks.Box
	for name, b := range u.boxes {
		x := hooks.Box{Name: name, Use: b.use}
		if a.style.BoxKeys {
			x.Key = b.key
		}
		if a.style.Versions {
			x.Version = strconv.FormatUint(b.version, 10)
		}
		all = append(all, x)
	}
	return all, nil
}

func (a *App) mailItems(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
	return func(yield func(hooks.Item, error) bool) {
		answer, err := a.answer(email, q)
		if err != nil {
			yield(hooks.Item{}, err)
			return
		}
		for _, it := range answer {
			if !yield(it, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

// answer is what MailItems yields.
func (a *App) answer(email string, q hooks.ItemQuery) (answer []hooks.Item, err error) {
	if a.style.Whole {
		q.Keys, q.Since = nil, ""
		q.Fields = hooks.FieldFlags | hooks.FieldReceived | hooks.FieldRevision | hooks.FieldBody
	}
	err = a.do(email, q.Mailbox, func(b *box) error {
		var since uint64
		if a.style.Changes && q.Since != "" {
			var err error
			if since, err = strconv.ParseUint(q.Since, 10, 64); err != nil {
				return err
			}
			if since < b.born {
				since = 0 // of another mailbox that had the name
			}
		}
		if since > 0 {
			answer = append(answer, hooks.ChangesOnly())
			for key, when := range b.gone {
				if when > since {
					answer = append(answer, hooks.Item{Key: key, Gone: true})
				}
			}
		}
		for _, it := range b.items {
			if it.changed > since && (len(q.Keys) == 0 || slices.Contains(q.Keys, it.Key)) {
				answer = append(answer, a.shown(it, q.Fields))
			}
		}
		return nil
	})
	return answer, err
}

// shown is a message with the fields that were asked for.
func (a *App) shown(it *item, want hooks.Fields) hooks.Item {
	x := hooks.Item{Key: it.Key}
	if want.Has(hooks.FieldFlags) {
		x.Flags = it.Flags
	}
	if want.Has(hooks.FieldReceived) {
		x.Received = it.Received
		if a.style.Sizes {
			x.Size = int64(len(it.Body) + bytes.Count(it.Body, []byte("\n")) - bytes.Count(it.Body, []byte("\r\n")))
		}
	}
	if a.style.Revisions && want.Has(hooks.FieldRevision) {
		x.Revision = strconv.FormatUint(it.revision, 10)
	}
	if want.Has(hooks.FieldBody) {
		x.Body = it.Body
	}
	return x
}

func (a *App) openMailItem(_ context.Context, email string, ref hooks.Ref) (r io.ReadCloser, err error) {
	err = a.do(email, ref.Mailbox, func(b *box) error {
		i, err := b.find(ref.Key)
		if err == nil {
			r = io.NopCloser(bytes.NewReader(b.items[i].Body))
		}
		return err
	})
	return r, err
}

func (a *App) addMailItem(ctx context.Context, email string, n hooks.NewItem) (string, error) {
	keys, err := a.addMailItems(ctx, email, []hooks.NewItem{n})
	if err != nil {
		return "", err
	}
	return keys[0], nil
}

func (a *App) addMailItems(_ context.Context, email string, items []hooks.NewItem) (keys []string, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	var all []Message
	for _, n := range items {
		body, err := io.ReadAll(n.Body)
		if err != nil {
			return nil, err
		}
		all = append(all, Message{Flags: n.Flags, Received: n.Received, Body: body})
	}
	err = a.do(email, items[0].Mailbox, func(b *box) error {
		for _, m := range all {
			keys = append(keys, a.put(b, m))
		}
		return nil
	})
	return keys, err
}

func (a *App) updateMailItem(_ context.Context, email string, c hooks.Change) error {
	return a.do(email, c.Mailbox, func(b *box) error {
		i, err := b.find(c.Key)
		switch {
		case err != nil:
			return err
		case c.Expunge:
			a.remove(b, i)
			return nil
		}
		a.alter(b, i, func(it *item) {
			kept := slices.DeleteFunc(slices.Clone(it.Flags), func(f string) bool { return slices.Contains(c.Remove, f) })
			it.Flags = sorted(append(kept, c.Add...))
		})
		return nil
	})
}

func (a *App) removeMailItem(_ context.Context, email string, ref hooks.Ref) error {
	return a.do(email, ref.Mailbox, func(b *box) error {
		if i, err := b.find(ref.Key); err == nil {
			a.remove(b, i)
		}
		return nil
	})
}

func (a *App) moveMailItem(_ context.Context, email string, ref hooks.Ref, to string) (key string, err error) {
	err = a.do(email, ref.Mailbox, func(b *box) error {
		_, dst, err := a.box(email, to)
		if err != nil {
			return err
		}
		i, err := b.find(ref.Key)
		if err != nil {
			return err
		}
		key = a.put(dst, a.remove(b, i).Message)
		return nil
	})
	return key, err
}
