package engine

import (
	"context"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// structureKind is under which a message's MIME tree is kept.
const structureKind mailaccess.DerivedKind = "mime/1"

// Structure returns the MIME tree of a message whose content is open: the one that
// the store keeps, or a new one, which the store is offered.
func (s *Session) Structure(ctx context.Context, id mailaccess.EmailID, c mailaccess.Content) (*message.Part, error) {
	one := s.Structures([]mailaccess.EmailID{id}, nil)
	defer one.Close(ctx)
	return one.Of(ctx, id, c)
}

// Structures are the MIME trees of a batch of messages. What the store keeps is
// asked for in one call, when the first is needed; what is new is offered in one
// call by Close. They belong to one goroutine at a time.
type Structures struct {
	s     *Session
	ids   []mailaccess.EmailID
	asked bool
	kept  map[mailaccess.EmailID][]byte
	// partly: kept is full, so that the store may have more.
	partly bool
	made   []mailaccess.Derived
	size   int // of what is in made, in octets
	room   Room
}

// Room says whether there may be so many octets of what is made of a batch of messages, or
// has been kept of it, header fields or trees; nil says so always. There are never more than
// BatchMemory in all.
type Room func(octets int) bool

// BatchMemory is how many octets the headers and the structures of a batch take together at
// most: headers, trees that the store had, and trees that were made.
const BatchMemory = 3 * batchPart

const batchPart = 1 << 20

func (r Room) has(octets int) bool { return octets <= batchPart && (r == nil || r(octets)) }

// Structures returns the trees of ids, and holds no more of them than room permits.
func (s *Session) Structures(ids []mailaccess.EmailID, room Room) *Structures {
	return &Structures{s: s, ids: ids, room: room}
}

// Of returns the tree of a message of the batch whose content is open.
func (t *Structures) Of(ctx context.Context, id mailaccess.EmailID, c mailaccess.Content) (*message.Part, error) {
	if !t.asked {
		t.ask(ctx)
	}
	b, ok := t.kept[id]
	// One that does not fit the content is of no use.
	if p, err := message.Decode(b); ok && err == nil && p.Size() == c.Size() {
		return p, nil
	}
	if !ok && t.partly {
		return t.s.Structure(ctx, id, c)
	}
	p, err := message.Parse(t.s.stepped(c), c.Size(), nil)
	if err != nil {
		return nil, err
	}
	if b, err := p.AppendBinary(nil); err == nil && len(b) <= mailaccess.MaxDerived {
		t.made = append(t.made, mailaccess.Derived{ID: id, Bytes: b})
		if t.size += len(b); !t.room.has(t.size) {
			t.Close(ctx)
		}
	}
	return p, nil
}

// ask brings what the store keeps.
func (t *Structures) ask(ctx context.Context) {
	t.asked = true
	t.kept = make(map[mailaccess.EmailID][]byte, len(t.ids))
	size := 0
	var chunk []byte // of several trees
	for d, err := range t.s.Derived(ctx, structureKind, t.ids) {
		if err != nil {
			return // a cache that fails is no cache
		}
		if size += len(d.Bytes); !t.room.has(size) {
			t.partly = true
			return
		}
		n := len(d.Bytes)
		if n > cap(chunk)-len(chunk) {
			chunk = make([]byte, 0, max(n, min(n*len(t.ids), treeChunk)))
		}
		chunk = append(chunk, d.Bytes...)
		t.kept[d.ID] = slices.Clip(chunk[len(chunk)-n:])
	}
}

// treeChunk is how much is allocated at once for trees that are kept.
const treeChunk = 8 << 10

// Close offers what is new to the store.
func (t *Structures) Close(ctx context.Context) {
	if len(t.made) > 0 {
		// Losing a cache entry is no failure.
		_ = t.s.PutDerived(ctx, structureKind, t.made)
	}
	t.made, t.size = nil, 0
}
