package imap

import (
	"context"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// renderedAs is under which name a rendered item is kept by the store.
var renderedAs = map[fetchKind]mailaccess.DerivedKind{
	fetchEnvelope:      "imap-envelope/1",
	fetchBody:          "imap-body/1",
	fetchBodyStructure: "imap-bodystructure/1",
}

// renderings are the envelopes and body structures of a batch of messages, as they
// are sent. Those that the store does not keep are made and offered to it.
type renderings struct {
	c     *conn
	kinds []fetchKind
	have  map[renderedKey][]byte
	fresh map[fetchKind][]mailaccess.Derived
}

type renderedKey struct {
	id   mailaccess.EmailID
	kind fetchKind
}

func (c *conn) renderings(plan *fetchPlan) *renderings {
	r := &renderings{c: c}
	for i := range plan.items {
		if kind := plan.items[i].kind; renderedAs[kind] != "" {
			r.kinds = append(r.kinds, kind)
		}
	}
	return r
}

// load asks the store for all that it keeps.
func (r *renderings) load(ctx context.Context, batch []engine.Numbered) error {
	if len(r.kinds) == 0 || len(batch) == 0 {
		return nil
	}
	r.have = make(map[renderedKey][]byte, len(batch)*len(r.kinds))
	r.fresh = make(map[fetchKind][]mailaccess.Derived)
	ids := make([]mailaccess.EmailID, len(batch))
	for i := range batch {
		ids[i] = batch[i].EmailID
	}
	var arena []byte // one piece of memory for the batch
	for _, kind := range r.kinds {
		for d, err := range r.c.sess.Derived(ctx, renderedAs[kind], ids) {
			if err != nil {
				break // a cache that fails is no cache
			}
			from := len(arena)
			arena = append(arena, d.Bytes...)
			r.have[renderedKey{d.ID, kind}] = arena[from:len(arena):len(arena)]
		}
	}
	return nil
}

// render makes what is missing for a message.
func (r *renderings) render(ctx context.Context, id mailaccess.EmailID, open *opened) error {
	for _, kind := range r.kinds {
		key := renderedKey{id, kind}
		if _, ok := r.have[key]; ok {
			continue
		}
		b, err := renderItem(ctx, kind, open)
		if err != nil {
			return err
		}
		r.have[key] = b
		if len(b) <= mailaccess.MaxDerived {
			r.fresh[kind] = append(r.fresh[kind], mailaccess.Derived{ID: id, Bytes: b})
		}
	}
	return nil
}

func renderItem(ctx context.Context, kind fetchKind, open *opened) ([]byte, error) {
	content, err := open.open(ctx)
	if err != nil {
		return nil, err
	}
	if kind == fetchEnvelope && open.tree == nil {
		h, err := readHeader(content)
		if err != nil {
			return nil, err
		}
		return appendEnvelope([]byte("ENVELOPE "), h.Envelope()), nil
	}
	tree, err := open.structure(ctx)
	if err != nil {
		return nil, err
	}
	switch kind {
	case fetchEnvelope:
		h, err := tree.ReadHeader(content)
		return appendEnvelope([]byte("ENVELOPE "), h.Envelope()), err
	case fetchBody:
		return appendBodyStructure([]byte("BODY "), tree, content, false)
	default:
		return appendBodyStructure([]byte("BODYSTRUCTURE "), tree, content, true)
	}
}

func (r *renderings) append(b []byte, kind fetchKind, id mailaccess.EmailID) []byte {
	if b[len(b)-1] != '(' {
		b = append(b, ' ')
	}
	return append(b, r.have[renderedKey{id, kind}]...)
}

// save offers the store what was made.
func (r *renderings) save(ctx context.Context) {
	for kind, items := range r.fresh {
		if err := r.c.sess.PutDerived(ctx, renderedAs[kind], items); err != nil {
			r.c.log().Debug("keeping derived bytes", zap.Error(err))
		}
	}
}
