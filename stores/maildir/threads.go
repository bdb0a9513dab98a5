package maildir

import (
	"hash/fnv"
	"io"

	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// threads says to which thread a message belongs that answers others: that of the last
// one that is known, of those that it names. It is decided when the message arrives and
// stays (RFC 8474, section 5.2), whatever else arrives later.
//
// What is known are the ids of the messages there are and those that they name, so that
// messages find together in whatever order they arrive. They are kept as hashes.
type threads struct {
	known map[uint64]uint32
	fresh []threadKeys // what no checkpoint holds
}

// maxThreadKeys is how many ids of a message count: its own and the last ones that it
// names.
const maxThreadKeys = 32

// threadKeySize is about how many octets a known key takes in memory.
const threadKeySize = 24

// of returns the thread of a message with these keys, 0 if it begins one.
func (t *threads) of(keys []uint64) uint32 {
	for _, k := range keys {
		if n := t.known[k]; n != 0 {
			return n
		}
	}
	return 0
}

// enter makes keys known that are not.
func (t *threads) enter(thread uint32, keys []uint64) {
	if t.known == nil {
		// Not read yet; see loadThreads.
		t.fresh = append(t.fresh, threadKeys{Thread: thread, Keys: keys})
		return
	}
	var fresh []uint64
	for _, k := range keys {
		if t.known[k] == 0 {
			t.known[k] = thread
			fresh = append(fresh, k)
		}
	}
	if len(fresh) > 0 {
		t.fresh = append(t.fresh, threadKeys{Thread: thread, Keys: fresh})
	}
}

// threadKeys returns the ids that a message has and names, hashed, in the order in which they
// decide. r reads its content.
func threadKeysOf(r io.ReaderAt, size int64) ([]uint64, error) {
	header, err := message.ReadHeader(r, size, nil)
	if err != nil {
		return nil, err
	}
	a := query.ReadAncestry(header)
	parents := a.Parents()
	parents = parents[max(0, len(parents)-maxThreadKeys+1):]
	keys := make([]uint64, 0, len(parents)+1)
	for i := len(parents) - 1; i >= 0; i-- {
		keys = append(keys, hashID(parents[i]))
	}
	if a.ID != "" {
		keys = append(keys, hashID(a.ID))
	}
	return keys, nil
}

func hashID(id string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, id) //nolint:errcheck // a hash takes everything
	return h.Sum64()
}

// threadKeys reads the keys of an upload.
func (s *staged) threadKeys() ([]uint64, error) {
	c, err := s.Content()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return threadKeysOf(c, c.Size())
}
