package memory

import (
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
)

// chunkLen is how many messages a chunk holds at most: 8 KiB of them.
const chunkLen = 64

// table holds the messages of a mailbox in UID order, in chunks. A reader takes a
// chunk as it is and reads it after letting go of the account's lock; from then
// on the chunk is shared, and whoever wants to change a message in it copies the
// chunk first. Appending does not: it writes behind what readers have seen.
//
// So listing copies nothing, a change of one message costs 8 KiB at most, and a
// removal moves one chunk and, now and then, the index.
type table struct {
	chunks []chunk // none is empty
}

type chunk struct {
	first  mailaccess.UID    // msgs[0].UID
	shared bool              // a reader may still look at msgs
	max    mailaccess.ModSeq // no message has a higher number
	msgs   []mailaccess.Message
}

func (c *chunk) last() mailaccess.UID { return c.msgs[len(c.msgs)-1].UID }

// search returns the index of the first message at or above u.
func search(msgs []mailaccess.Message, u mailaccess.UID) int {
	lo, hi := 0, len(msgs)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); msgs[m].UID < u {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// find returns the first chunk that has a message at or above u, or the number
// of chunks.
func (t *table) find(u mailaccess.UID) int {
	i := sort.Search(len(t.chunks), func(i int) bool { return t.chunks[i].first > u })
	if i > 0 && t.chunks[i-1].last() >= u {
		i--
	}
	return i
}

// from returns the messages, at least one, of the first chunk that has one at or
// above u and may have one with a number above since. They are never changed.
func (t *table) from(u mailaccess.UID, since mailaccess.ModSeq) []mailaccess.Message {
	for i := t.find(u); i < len(t.chunks); i++ {
		if c := &t.chunks[i]; c.max > since {
			c.shared = true
			return c.msgs
		}
	}
	return nil
}

// walk calls visit with the place of each message in uids at or above from,
// ascending, until it returns false. visit may change messages in place.
func (t *table) walk(uids mailaccess.UIDSet, from mailaccess.UID, visit func(c *chunk, j int) bool) {
	for r := range uids.RangesFrom(from) {
		i := t.find(r.First)
		if i == len(t.chunks) {
			return
		}
		for ; i < len(t.chunks) && t.chunks[i].first <= r.Last; i++ {
			c := &t.chunks[i]
			for j := search(c.msgs, r.First); j < len(c.msgs) && c.msgs[j].UID <= r.Last; j++ {
				if !visit(c, j) {
					return
				}
			}
		}
	}
}

// writable makes the messages of c fit to be changed.
func (c *chunk) writable() {
	if c.shared {
		msgs := make([]mailaccess.Message, len(c.msgs), cap(c.msgs))
		copy(msgs, c.msgs)
		c.msgs, c.shared = msgs, false
	}
}

// append adds a message, whose UID and number are above all others.
func (t *table) append(m *mailaccess.Message) {
	n := len(t.chunks)
	if n == 0 || len(t.chunks[n-1].msgs) >= chunkLen {
		room := chunkLen
		if n == 0 {
			room = 4 // most mailboxes are small
		}
		t.chunks = append(t.chunks, chunk{first: m.UID, msgs: make([]mailaccess.Message, 0, room)})
		n++
	}
	c := &t.chunks[n-1]
	if len(c.msgs) == cap(c.msgs) {
		msgs := make([]mailaccess.Message, len(c.msgs), min(chunkLen, 4*cap(c.msgs)))
		copy(msgs, c.msgs)
		c.msgs, c.shared = msgs, false
	}
	c.msgs = append(c.msgs, *m)
	c.max = max(c.max, m.ModSeq)
}

// remove takes out the messages in uids.
func (t *table) remove(uids mailaccess.UIDSet) {
	if uids.IsEmpty() {
		return
	}
	out := t.find(uids.Min())
	i := out
	for ; i < len(t.chunks) && t.chunks[i].first <= uids.Max(); i++ {
		if c := t.chunks[i]; c.remove(uids) {
			out = t.put(out, c)
		}
	}
	if i < len(t.chunks) {
		// What is left may be small enough to join what follows.
		out = t.put(out, t.chunks[i])
		i++
	}
	n := out + copy(t.chunks[out:], t.chunks[i:])
	clear(t.chunks[n:])
	t.chunks = t.chunks[:n]
}

// put makes c chunk number out, or part of the one before if both are small, and
// returns the number of chunks up to it.
func (t *table) put(out int, c chunk) int {
	if out > 0 {
		prev := &t.chunks[out-1]
		if n := len(prev.msgs); n+len(c.msgs) <= chunkLen*3/4 {
			msgs := make([]mailaccess.Message, 0, chunkLen)
			msgs = append(append(msgs, prev.msgs...), c.msgs...)
			prev.msgs, prev.shared, prev.max = msgs, false, max(prev.max, c.max)
			return out
		}
	}
	t.chunks[out] = c
	return out + 1
}

// remove takes out the messages in uids and reports whether any is left.
func (c *chunk) remove(uids mailaccess.UIDSet) bool {
	keep := c.msgs[:0]
	if c.shared {
		keep = make([]mailaccess.Message, 0, cap(c.msgs))
	}
	for j := range c.msgs {
		if !uids.Contains(c.msgs[j].UID) {
			keep = append(keep, c.msgs[j])
		}
	}
	if len(keep) == 0 {
		return false
	}
	if !c.shared {
		clear(c.msgs[len(keep):])
	}
	c.first, c.msgs, c.shared = keep[0].UID, keep, false
	return true
}
