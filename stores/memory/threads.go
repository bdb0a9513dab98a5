package memory

import (
	"bytes"
	"hash/maphash"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// threads says to which thread a message belongs that answers others: that of the last
// one that is known, of those that it names. It is decided when the message arrives
// and stays (RFC 8474, section 5.2), whatever else arrives later.
//
// What is known are the ids of the messages there are and those that they name, so that
// messages find together in whatever order they arrive. They are kept as hashes, each with
// how many contents have it.
type threads struct {
	seed  maphash.Seed
	known map[uint64]thread
	last  uint64
}

type thread struct {
	id    mailaccess.ThreadID
	users int
}

// maxThreadKeys is how many ids of a message count: its own and the last ones that it
// names.
const maxThreadKeys = 32

// keys returns the ids that a message has and names, in the order in which they decide.
// No lock is needed.
func (t *threads) keys(data []byte) []uint64 {
	header := data[:min(len(data), message.MaxHeader)]
	if i := bytes.Index(header, []byte("\r\n\r\n")); i >= 0 {
		header = header[:i+2]
	}
	a := query.ReadAncestry(header)
	parents := a.Parents()
	parents = parents[max(0, len(parents)-maxThreadKeys+1):]
	keys := make([]uint64, 0, len(parents)+1)
	for i := len(parents) - 1; i >= 0; i-- {
		keys = append(keys, maphash.String(t.seed, parents[i]))
	}
	if a.ID != "" {
		keys = append(keys, maphash.String(t.seed, a.ID))
	}
	return keys
}

// enter makes the ids of c known, and gives it a thread unless it has one. a.mu is held.
func (a *account) enter(c *content) {
	t := &a.threads
	for _, k := range c.keys {
		if c.thread == "" {
			c.thread = t.known[k].id
		}
	}
	if c.thread == "" {
		t.last++
		// No EmailID begins so.
		c.thread = mailaccess.ThreadID("T" + a.newID(t.last))
	}
	for _, k := range c.keys {
		known := t.known[k]
		if known.users == 0 {
			known.id = c.thread
		}
		known.users++
		t.known[k] = known
	}
}

// letGo lets go of a content that has no place. a.mu is held.
func (a *account) letGo(c *content) {
	delete(a.contents, c.id)
	if n, ok := a.emailNumber(c.id); ok {
		a.derived.forget([]uint64{n})
	}
	for _, k := range c.keys {
		known := a.threads.known[k]
		if known.users--; known.users == 0 {
			delete(a.threads.known, k)
		} else {
			a.threads.known[k] = known
		}
	}
}
