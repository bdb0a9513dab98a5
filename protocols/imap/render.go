package imap

import (
	"bytes"
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
)

// renderedAs is under which name a rendered item is kept by the store.
var renderedAs = map[fetchKind]mailaccess.DerivedKind{
	fetchEnvelope:      "imap-envelope/1",
	fetchBody:          "imap-body/1",
	fetchBodyStructure: "imap-bodystructure/1",
	fetchPreview:       "imap-preview/1",
}

// renderings are the envelopes, body structures and previews of a batch of messages, as
// they are sent. Those that the store does not keep are made and offered to it.
type renderings struct {
	c     *conn
	kinds []fetchKind
	// lazy: a preview that the store does not keep is not made (RFC 8970, section
	// 4.1: it would be undue delay).
	lazy bool

	ids   []mailaccess.EmailID   // of the batch
	have  [][]byte               // of each message, one for each kind; nil: not there
	arena []byte                 // one piece of memory for what the store had
	fresh [][]mailaccess.Derived // what was made, by kind
	// waiting is how many octets are in fresh.
	waiting int
	// most is how many octets there may be in arena, and in fresh.
	most int
}

// A batch keeps at most so many octets that the store had, and offers what it made as
// soon as it is as much: a structure may be long, and a batch has many. More than
// unreserved are reserved, with those of listed header fields, if there is memory free:
// nothing waits for it.
const maxRendered = 4 << 20

// room reports whether there may be n octets in arena, in fresh, or of header fields.
func (r *renderings) room(n int) bool {
	if n > r.most && r.most < maxRendered && r.c.nc.TryReserve(protocols.Work, 2*maxRendered+engine.BatchMemory) {
		r.most = maxRendered
	}
	return n <= r.most
}

func (c *conn) renderings(plan *fetchPlan) *renderings {
	r := &renderings{c: c, most: unreserved}
	for i := range plan.items {
		item := &plan.items[i]
		if renderedAs[item.kind] != "" {
			r.kinds = append(r.kinds, item.kind)
			r.lazy = r.lazy || item.lazy
		}
	}
	r.fresh = make([][]mailaccess.Derived, len(r.kinds))
	return r
}

// load begins a batch and asks the store for all that it keeps.
func (r *renderings) load(ctx context.Context, batch []engine.Numbered) {
	if len(r.kinds) == 0 || len(batch) == 0 {
		return
	}
	r.ids = r.ids[:0]
	for i := range batch {
		r.ids = append(r.ids, batch[i].EmailID)
	}
	r.have = append(r.have[:0], make([][]byte, len(batch)*len(r.kinds))...)
	r.arena = r.arena[:0]
	for k, kind := range r.kinds {
		next := 0 // mostly they come in order
		for d, err := range r.c.sess.Derived(ctx, renderedAs[kind], r.ids) {
			if err != nil {
				break // a cache that fails is no cache
			}
			if next == len(r.ids) || r.ids[next] != d.ID {
				if next = slices.Index(r.ids, d.ID); next < 0 {
					next = 0
					continue
				}
			}
			at := next*len(r.kinds) + k
			next++
			b, ok := engine.Unsealed(d.Bytes)
			if !ok || r.own(b) || !r.room(len(r.arena)+len(b)) {
				continue // it is made anew
			}
			from := len(r.arena)
			r.arena = append(r.arena, b...)
			r.have[at] = r.arena[from:len(r.arena):len(r.arena)]
		}
	}
}

// own reports whether a rendering is otherwise in IMAP4rev2: few are, so that what the
// store keeps is that of IMAP4rev1, and these are made each time.
func (r *renderings) own(b []byte) bool {
	return r.c.rev2() && bytes.Contains(b, []byte(`"message" "global"`))
}

// of is what there is of message i of the batch, by kind.
func (r *renderings) of(i int) [][]byte { return r.have[i*len(r.kinds) : (i+1)*len(r.kinds)] }

// render makes what is missing for message i of the batch.
func (r *renderings) render(ctx context.Context, i int, open *opened) error {
	if len(r.kinds) == 0 {
		return nil
	}
	have := r.of(i)
	for k, kind := range r.kinds {
		if have[k] != nil || r.lazy && kind == fetchPreview {
			continue
		}
		b, err := renderItem(ctx, kind, open)
		if err != nil {
			return err
		}
		have[k] = b
		if r.own(b) {
			continue
		}
		if kept := engine.Sealed(b); len(kept) <= mailaccess.MaxDerived {
			r.fresh[k] = append(r.fresh[k], mailaccess.Derived{ID: r.ids[i], Bytes: kept})
			r.waiting += len(kept)
		}
	}
	return nil
}

// append appends an item of message i of the batch.
func (r *renderings) append(b []byte, kind fetchKind, i int) []byte {
	item := r.of(i)[slices.Index(r.kinds, kind)]
	if item == nil {
		return append(b, "PREVIEW NIL"...)
	}
	return append(b, item...)
}

// done lets go of what was rendered for a message that was answered.
func (r *renderings) done(ctx context.Context, i int) {
	if len(r.kinds) > 0 {
		clear(r.of(i))
	}
	if !r.room(r.waiting) {
		r.save(ctx)
	}
}

func renderItem(ctx context.Context, kind fetchKind, open *opened) ([]byte, error) {
	switch kind {
	case fetchEnvelope:
		h, err := open.header(ctx)
		if err != nil {
			return nil, err
		}
		return appendEnvelope([]byte("ENVELOPE "), h.Envelope()), nil
	case fetchPreview:
		return renderPreview(ctx, open)
	}
	tree, err := open.structure(ctx)
	if err != nil {
		return nil, err
	}
	if kind == fetchBody {
		return appendBodyStructure([]byte("BODY "), tree, open.content, newStructureForm(false, open.c.rev2()))
	}
	return appendBodyStructure([]byte("BODYSTRUCTURE "), tree, open.content, newStructureForm(true, open.c.rev2()))
}

// save offers the store what was made.
func (r *renderings) save(ctx context.Context) {
	for k, items := range r.fresh {
		if len(items) == 0 {
			continue
		}
		if err := r.c.sess.PutDerived(ctx, renderedAs[r.kinds[k]], items); err != nil {
			r.c.log().Debug("keeping derived bytes", zap.Error(err))
		}
		clear(items)
		r.fresh[k] = items[:0]
	}
	r.waiting = 0
}
