package hooks

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// derivedBytes is how much of what front-ends derived is kept, for all accounts
// together, in octets.
const derivedBytes = 64 << 20

// bodyKey names a body: not the content itself, which would keep an account that
// nobody uses any more in memory.
type bodyKey struct {
	account string
	id      mailaccess.EmailID
}

type derivedKey struct {
	account string
	kind    mailaccess.DerivedKind
	id      mailaccess.EmailID
}

// derivedOverhead is about what an entry costs beyond its bytes and its id.
const derivedOverhead = 250

// Derived yields what is kept.
func (h *handle) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return func(yield func(mailaccess.Derived, error) bool) {
		if err := h.derive(ctx, "derived", kind); err != nil {
			yield(mailaccess.Derived{}, err)
			return
		}
		for i, id := range ids {
			if i%batch == batch-1 {
				if err := h.derive(ctx, "derived", kind); err != nil {
					yield(mailaccess.Derived{}, err)
					return
				}
			}
			var b []byte
			if h.store.derived.get(derivedKey{h.name, kind, id}, func(have []byte) { b = have }) && !yield(mailaccess.Derived{ID: id, Bytes: b}, nil) {
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
		key := derivedKey{h.name, kind, d.ID}
		if len(d.Bytes) > mailaccess.MaxDerived {
			h.store.derived.drop(key)
			continue
		}
		h.store.derived.put(key, slices.Clone(d.Bytes), int64(len(d.Bytes)+len(d.ID))+derivedOverhead)
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
