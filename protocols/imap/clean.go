package imap

import (
	"context"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// cleanAs is under which name the store keeps that there is no NUL in a message.
const cleanAs mailaccess.DerivedKind = "imap-clean/1"

// cleanFrom is the size from which on it is worth keeping: looking through a message
// takes a quarter of the time that sending it does, and keeps the kernel from doing it
// alone.
const cleanFrom = 64 << 10

// cleans knows which large messages of a batch have no NUL in them, so that nobody has
// to look for any (RFC 3501, section 4.3: a literal has none). It is found out when such a
// message is sent for the first time.
type cleans struct {
	known map[mailaccess.EmailID]bool
	fresh []mailaccess.Derived
}

// load asks the store what it keeps.
func (k *cleans) load(ctx context.Context, c *conn, batch []engine.Numbered) {
	clear(k.known)
	var ids []mailaccess.EmailID
	for i := range batch {
		if batch[i].Size >= cleanFrom {
			ids = append(ids, batch[i].EmailID)
		}
	}
	if len(ids) == 0 {
		return
	}
	if k.known == nil {
		k.known = make(map[mailaccess.EmailID]bool)
	}
	for d, err := range c.sess.Derived(ctx, cleanAs, ids) {
		if err != nil {
			return // a cache that fails is no cache
		}
		// What is damaged says nothing.
		if b, ok := engine.Unsealed(d.Bytes); ok && string(b) == "clean" {
			k.known[d.ID] = true
		}
	}
}

// found notes that all of a message was sent and there was no NUL in it.
func (k *cleans) found(id mailaccess.EmailID) {
	k.fresh = append(k.fresh, mailaccess.Derived{ID: id, Bytes: engine.Sealed([]byte("clean"))})
}

// save offers the store what was found out.
func (k *cleans) save(ctx context.Context, c *conn) {
	if len(k.fresh) == 0 {
		return
	}
	if err := c.sess.PutDerived(ctx, cleanAs, k.fresh); err != nil {
		c.log().Debug("keeping derived bytes", zap.Error(err))
	}
	k.fresh = k.fresh[:0]
}
