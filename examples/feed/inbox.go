package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
)

// maxEntries is how many entries are kept. The oldest go first.
const maxEntries = 1000

// inbox is the entries that a feed has had, and what their reader has made of them. They
// stay when the feed does not name them any more.
type inbox struct {
	path string

	mu   sync.Mutex
	kept kept
}

// kept is what the file holds. What is in the slice is never changed once it is there.
type kept struct {
	Version uint64 // goes up with each change
	Entries []item
}

type item struct {
	entry
	Flags   []string
	Removed bool // by the reader: it does not come back
}

// openInbox reads the file at path, if there is one.
func openInbox(path string) (*inbox, error) {
	b := &inbox{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &b.kept)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// change makes a change, unless f or the disk refuses.
func (b *inbox) change(f func(*kept) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := kept{b.kept.Version + 1, slices.Clone(b.kept.Entries)}
	if err := f(&next); err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := replaceFile(b.path, text); err != nil {
		return err
	}
	b.kept = next
	return nil
}

// replaceFile puts text in the place of a file, whole or not at all.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (b *inbox) now() kept {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept
}

// errNothing ends a change that is none.
var errNothing = errors.New("nothing to change")

// add adds those of news that have not been there yet.
func (b *inbox) add(news []entry) error {
	news = news[max(len(news)-maxEntries, 0):] // what would go at once does not come
	err := b.change(func(k *kept) error {
		known := make(map[string]bool)
		for _, i := range k.Entries {
			known[i.Key] = true
		}
		before := len(k.Entries)
		for _, e := range news {
			if !known[e.Key] {
				known[e.Key] = true
				k.Entries = append(k.Entries, item{entry: e})
			}
		}
		if len(k.Entries) == before {
			return errNothing
		}
		k.Entries = k.Entries[max(len(k.Entries)-maxEntries, 0):]
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// handlers are the entries as mail.
func (b *inbox) handlers() hooks.Handlers {
	return hooks.Handlers{
		MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) {
			return []hooks.Box{{Name: mailaccess.Inbox, Version: strconv.FormatUint(b.now().Version, 10)}}, nil
		},
		MailItems: func(_ context.Context, _ string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return b.list(q)
		},
		UpdateMailItem: func(_ context.Context, _ string, c hooks.Change) error {
			return b.update(c.Key, func(i *item) {
				flags := slices.DeleteFunc(slices.Clone(i.Flags), func(f string) bool { return slices.Contains(c.Remove, f) })
				i.Flags, i.Removed = append(flags, c.Add...), c.Expunge
			})
		},
	}
}

// list yields what is asked for. Messages are written when they are read.
func (b *inbox) list(q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
	return func(yield func(hooks.Item, error) bool) {
		for _, i := range b.now().Entries {
			if i.Removed || len(q.Keys) > 0 && !slices.Contains(q.Keys, i.Key) {
				continue
			}
			m := hooks.Item{Key: i.Key, Flags: i.Flags, Received: i.Date}
			var err error
			if q.Fields.Has(hooks.FieldBody) {
				m.Body, err = i.message()
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func (b *inbox) update(key string, f func(*item)) error {
	return b.change(func(k *kept) error {
		i := slices.IndexFunc(k.Entries, func(i item) bool { return i.Key == key && !i.Removed })
		if i < 0 {
			return mailaccess.KindNotFound
		}
		f(&k.Entries[i])
		return nil
	})
}
