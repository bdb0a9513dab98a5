package memory

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Derived yields what is kept.
func (h *handle) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	return func(yield func(mailaccess.Derived, error) bool) {
		if err := h.derive(ctx, "derived", kind); err != nil {
			yield(mailaccess.Derived{}, err)
			return
		}
		seen := derivedItems{block: math.MaxUint64}
		for i, id := range ids {
			if i%chunkLen == chunkLen-1 {
				if err := h.derive(ctx, "derived", kind); err != nil {
					yield(mailaccess.Derived{}, err)
					return
				}
			}
			n, ok := h.emailNumber(id)
			if !ok {
				continue
			}
			// Messages that arrived together are asked for together.
			if block := n / derivedBlockLen; block != seen.block {
				h.derived.look(kind, block, &seen)
			}
			if b, ok := seen.item(n % derivedBlockLen); ok && !yield(mailaccess.Derived{ID: id, Bytes: b}, nil) {
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
	var together []derivedItem // those of one block, one of each message
	var block, taken uint64
	for i := range items {
		n, ok := h.emailNumber(items[i].ID)
		if !ok {
			continue
		}
		bit := uint64(1) << (n % derivedBlockLen)
		if n/derivedBlockLen != block || taken&bit != 0 {
			h.derived.put(kind, block, together)
			block, taken, together = n/derivedBlockLen, 0, together[:0]
		}
		taken |= bit
		together = append(together, derivedItem{n % derivedBlockLen, items[i].Bytes})
	}
	h.derived.put(kind, block, together)
	// Whatever goes from now on takes its items along.
	h.derived.forget(h.gone(items))
	return nil
}

// gone returns the numbers of messages that are not there any more.
func (a *account) gone(items []mailaccess.Derived) (numbers []uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range items {
		if a.contents[items[i].ID] != nil {
			continue
		}
		if n, ok := a.emailNumber(items[i].ID); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
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
