package engine

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// structureKind is under which a message's MIME tree is kept.
const structureKind mailaccess.DerivedKind = "mime/1"

// Structure returns the MIME tree of a message whose content is open: the one that
// the store keeps, or a new one, which the store is offered.
func (s *Session) Structure(ctx context.Context, id mailaccess.EmailID, c mailaccess.Content) (*message.Part, error) {
	for d, err := range s.Derived(ctx, structureKind, []mailaccess.EmailID{id}) {
		if err != nil {
			break // a cache that fails is no cache
		}
		// One that does not fit the content is of no use.
		if p, err := message.Decode(d.Bytes); err == nil && p.Size() == c.Size() {
			return p, nil
		}
	}
	p, err := message.Parse(c, c.Size(), nil)
	if err != nil {
		return nil, err
	}
	if b, err := p.AppendBinary(nil); err == nil && len(b) <= mailaccess.MaxDerived {
		// Losing a cache entry is no failure.
		_ = s.PutDerived(ctx, structureKind, []mailaccess.Derived{{ID: id, Bytes: b}})
	}
	return p, nil
}
