package imap

import (
	"context"
	"encoding/binary"
	"hash/crc32"

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
	// waiting is how many octets are in fresh.
	waiting int
}

// A batch keeps at most this many octets that the store had, and offers what it
// made as soon as it is as much: a structure may be long, and a batch has many.
const maxRendered = 4 << 20

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
			b, ok := unsealed(d.Bytes)
			if !ok || len(arena)+len(b) > maxRendered {
				continue // it is made anew
			}
			from := len(arena)
			arena = append(arena, b...)
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
		if kept := sealed(b); len(kept) <= mailaccess.MaxDerived {
			r.fresh[kind] = append(r.fresh[kind], mailaccess.Derived{ID: id, Bytes: kept})
			r.waiting += len(kept)
		}
	}
	return nil
}

// done lets go of what was rendered for a message that was answered.
func (r *renderings) done(ctx context.Context, id mailaccess.EmailID) {
	for _, kind := range r.kinds {
		delete(r.have, renderedKey{id, kind})
	}
	if r.waiting >= maxRendered {
		r.save(ctx)
	}
}

// sealed is what the store keeps of a rendering: it goes to the client as it comes
// back, and a store need not sync its cache, so that a checksum stands before it.
func sealed(b []byte) []byte {
	kept := make([]byte, 0, 4+len(b))
	kept = binary.BigEndian.AppendUint32(kept, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return append(kept, b...)
}

// unsealed is the rendering that was kept, unless it was damaged.
func unsealed(kept []byte) (b []byte, ok bool) {
	if len(kept) < 4 {
		return nil, false
	}
	b = kept[4:]
	return b, binary.BigEndian.Uint32(kept) == crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
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
	return append(b, r.have[renderedKey{id, kind}]...)
}

// save offers the store what was made.
func (r *renderings) save(ctx context.Context) {
	for kind, items := range r.fresh {
		if err := r.c.sess.PutDerived(ctx, renderedAs[kind], items); err != nil {
			r.c.log().Debug("keeping derived bytes", zap.Error(err))
		}
	}
	clear(r.fresh)
	r.waiting = 0
}
