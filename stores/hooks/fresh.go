package hooks

import (
	"context"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// freshness says how far something is known to agree with the application. Hints
// that it may not (an opening, a Push, the clock) are numbered by the account.
type freshness struct {
	hinted uint64 // the last hint
	must   uint64 // the last hint that readers wait for
	done   uint64 // everything up to this hint was looked into
}

// turn is the right to do something that takes long, held by one at a time.
// Waiting for it ends with the context; nothing is locked meanwhile.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context, closed <-chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return errStoreClosed
	}
}

func (t turn) give() { <-t }

// work is what is done with turns taken. What it changes rings when they have been
// given back: whoever hears it may want them.
type work struct {
	a     *account
	turns []turn
	rings []mailaccess.Ring
}

// work takes the turns of mailboxes, in the order in which everybody does.
func (a *account) work(ctx context.Context, op string, boxes ...*mailbox) (*work, error) {
	w := &work{a: a}
	return w, w.also(ctx, op, boxes...)
}

// workOnList takes the turn of the list of mailboxes.
func (a *account) workOnList(ctx context.Context, op string) (*work, error) {
	w := &work{a: a}
	return w, w.take(ctx, op, a.turn)
}

// also takes the turns of mailboxes too. Nothing is left taken when it fails.
func (w *work) also(ctx context.Context, op string, boxes ...*mailbox) error {
	slices.SortFunc(boxes, func(x, y *mailbox) int { return strings.Compare(string(x.ID), string(y.ID)) })
	for _, b := range slices.Compact(boxes) {
		if err := w.take(ctx, op, b.turn); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) take(ctx context.Context, op string, t turn) error {
	if err := t.take(ctx, w.a.store.closing); err != nil {
		w.done()
		return fail(op, mailaccess.KindUnavailable, "", err)
	}
	w.turns = append(w.turns, t)
	return nil
}

// done gives back the turns, and rings. Doing so once more does nothing.
func (w *work) done() {
	for _, t := range w.turns {
		t.give()
	}
	w.turns = nil
	for _, r := range w.rings {
		w.a.store.bell.Ring(r)
	}
	w.rings = nil
}
