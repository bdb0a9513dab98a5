package maildir

import (
	"context"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
)

// Derived yields what is kept of ids.
func (h *handle) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return func(yield func(mailaccess.Derived, error) bool) {
		if err := h.begin(ctx, "derived", mailaccess.RightRead); err != nil {
			yield(mailaccess.Derived{}, err)
			return
		}
		emails := make([]uint32, 0, len(ids))
		places := make([]int, 0, len(ids))
		for i, id := range ids {
			if n := h.emailNumber(id); n != 0 {
				emails, places = append(emails, n), append(places, i)
			}
		}
		err := h.derived.Get(ctx, kind, emails, func(i int, value []byte) bool {
			return yield(mailaccess.Derived{ID: ids[places[i]], Bytes: value}, nil)
		})
		if err != nil {
			yield(mailaccess.Derived{}, err)
		}
	}
}

// PutDerived keeps items.
func (h *handle) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	if err := h.begin(ctx, "put derived", mailaccess.RightRead); err != nil {
		return err
	}
	put := make([]derived.Item, 0, len(items))
	for _, item := range items {
		if n := h.emailNumber(item.ID); n != 0 {
			put = append(put, derived.Item{Email: n, Value: item.Bytes})
		}
	}
	return h.derived.Put(kind, put)
}
