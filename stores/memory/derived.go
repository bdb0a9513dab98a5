package memory

import (
	"container/list"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// derivedCache keeps what was used last, up to a number of octets.
type derivedCache struct {
	limit int64

	mu      sync.Mutex
	entries map[derivedKey]*list.Element
	order   list.List // of derivedEntry, the last used in front
	size    int64
}

type derivedKey struct {
	kind mailaccess.DerivedKind
	id   mailaccess.EmailID
}

type derivedEntry struct {
	key   derivedKey
	bytes []byte // never changed
}

// derivedOverhead is about what an entry costs beyond its bytes and its id.
const derivedOverhead = 200

func (e *derivedEntry) size() int64 {
	return int64(len(e.bytes)+len(e.key.id)) + derivedOverhead
}

func (d *derivedCache) get(key derivedKey) ([]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	elem := d.entries[key]
	if elem == nil {
		return nil, false
	}
	d.order.MoveToFront(elem)
	return elem.Value.(*derivedEntry).bytes, true
}

func (d *derivedCache) put(key derivedKey, b []byte) {
	e := &derivedEntry{key, b}
	keep := len(b) <= mailaccess.MaxDerived && e.size() <= d.limit
	if keep {
		e.bytes = slices.Clone(b)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.entries[key]; old != nil {
		d.drop(old)
	}
	if !keep {
		return
	}
	if d.entries == nil {
		d.entries = make(map[derivedKey]*list.Element)
	}
	d.entries[key] = d.order.PushFront(e)
	for d.size += e.size(); d.size > d.limit; {
		d.drop(d.order.Back())
	}
}

func (d *derivedCache) drop(elem *list.Element) {
	e := d.order.Remove(elem).(*derivedEntry)
	delete(d.entries, e.key)
	d.size -= e.size()
}

// Derived yields what is kept.
func (h *handle) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return func(yield func(mailaccess.Derived, error) bool) {
		if err := h.derive(ctx, "derived", kind); err != nil {
			yield(mailaccess.Derived{}, err)
			return
		}
		for i, id := range ids {
			if i%chunkLen == chunkLen-1 {
				if err := h.derive(ctx, "derived", kind); err != nil {
					yield(mailaccess.Derived{}, err)
					return
				}
			}
			if b, ok := h.derived.get(derivedKey{kind, id}); ok && !yield(mailaccess.Derived{ID: id, Bytes: b}, nil) {
				return
			}
		}
	}
}

// PutDerived keeps items.
func (h *handle) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	if err := h.derive(ctx, "put derived", kind); err != nil {
		return err
	}
	for _, d := range items {
		h.derived.put(derivedKey{kind, d.ID}, d.Bytes)
	}
	return nil
}

func (h *handle) derive(ctx context.Context, op string, kind mailaccess.DerivedKind) error {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return err
	}
	if !kind.Valid() {
		return fail(op, mailaccess.KindInvalid, "", errors.New("a kind has 1 to 32 octets of A-Z a-z 0-9 / _ -"))
	}
	return nil
}
