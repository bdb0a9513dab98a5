package index

import (
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
)

// chunkLen is how many rows a chunk holds at most: 56 KiB of them.
const chunkLen = 1024

// table holds the rows in UID order, in chunks, none of which is empty.
type table struct {
	size   int // how many rows a chunk holds at most: chunkLen
	chunks []chunk
}

// chunk knows bounds of what its rows have, which may be wider than need be: those
// of a row that changed or went may be left over.
type chunk struct {
	max                mailaccess.ModSeq // no row has a higher number
	minEmail, maxEmail uint32            // of those that are not 0
	dirty              bool              // a row may have cellDirty
	bases              *baseFilter       // of the rows' names; nil: not needed yet
	cells              []cell
}

func (c *chunk) first() mailaccess.UID { return c.cells[0].uid }
func (c *chunk) last() mailaccess.UID  { return c.cells[len(c.cells)-1].uid }

// cover widens the bounds to hold x.
func (c *chunk) cover(x *cell) {
	c.max = max(c.max, x.modseq)
	c.dirty = c.dirty || x.state&cellDirty != 0
	if x.email != 0 {
		if c.maxEmail == 0 {
			c.minEmail = x.email
		}
		c.minEmail, c.maxEmail = min(c.minEmail, x.email), max(c.maxEmail, x.email)
	}
}

// measure makes the bounds exact.
func (c *chunk) measure() {
	c.max, c.minEmail, c.maxEmail, c.dirty, c.bases = 0, 0, 0, false, nil
	for i := range c.cells {
		c.cover(&c.cells[i])
	}
}

// search returns the index of the first cell at or above u. It gallops, since what is
// looked for is mostly near.
func search(cells []cell, u mailaccess.UID) int {
	lo, hi := 0, 1
	for hi <= len(cells) && cells[hi-1].uid < u {
		lo, hi = hi, 2*hi
	}
	hi = min(hi, len(cells))
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); cells[m].uid < u {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// find returns the first chunk, from number i on, that has a cell at or above u, or
// the number of chunks.
func (t *table) find(i int, u mailaccess.UID) int {
	if i >= len(t.chunks) || t.chunks[i].last() >= u {
		return i
	}
	rest := t.chunks[i:]
	return i + sort.Search(len(rest), func(k int) bool { return rest[k].last() >= u })
}

// get returns the cell of u and its chunk, or nil.
func (t *table) get(u mailaccess.UID) (*chunk, *cell) {
	i := t.find(0, u)
	if i == len(t.chunks) {
		return nil, nil
	}
	c := &t.chunks[i]
	j := sort.Search(len(c.cells), func(j int) bool { return c.cells[j].uid >= u })
	if c.cells[j].uid != u {
		return nil, nil
	}
	return c, &c.cells[j]
}

// walk calls visit with each cell in uids, ascending.
func (t *table) walk(uids mailaccess.UIDSet, visit func(c *chunk, x *cell)) {
	i, j := 0, 0
	for r := range uids.Ranges() {
		if k := t.find(i, r.First); k != i {
			i, j = k, 0
		}
		for ; i < len(t.chunks) && t.chunks[i].first() <= r.Last; i, j = i+1, 0 {
			c := &t.chunks[i]
			for j += search(c.cells[j:], r.First); j < len(c.cells) && c.cells[j].uid <= r.Last; j++ {
				visit(c, &c.cells[j])
			}
			if j < len(c.cells) {
				break
			}
		}
		if i == len(t.chunks) {
			return
		}
	}
}

// insert makes room for the cell of u, which is not there, and returns it with nothing
// but its UID.
func (t *table) insert(u mailaccess.UID) (*chunk, *cell) {
	n := len(t.chunks)
	if i := t.find(0, u); i < n {
		return t.insertAt(i, u)
	}
	if n == 0 || len(t.chunks[n-1].cells) >= t.size {
		room := t.size
		if n == 0 {
			room = min(room, 4) // most mailboxes are small
		}
		t.chunks = append(t.chunks, chunk{cells: make([]cell, 0, room)})
		n++
	}
	c := &t.chunks[n-1]
	c.grow(t.size)
	c.cells = append(c.cells, cell{uid: u, slot: noSlot})
	return c, &c.cells[len(c.cells)-1]
}

// grow makes room for one more in a chunk that is not full.
func (c *chunk) grow(size int) {
	if len(c.cells) == cap(c.cells) {
		c.cells = append(make([]cell, 0, min(size, max(4, 2*cap(c.cells)))), c.cells...)
	}
}

// insertAt is insert into chunk i or the one before it.
func (t *table) insertAt(i int, u mailaccess.UID) (*chunk, *cell) {
	if c := &t.chunks[i]; len(c.cells) >= t.size {
		upper := append(make([]cell, 0, t.size), c.cells[t.size/2:]...)
		c.cells = c.cells[:t.size/2]
		t.chunks = append(t.chunks, chunk{})
		copy(t.chunks[i+2:], t.chunks[i+1:])
		t.chunks[i+1] = chunk{cells: upper}
		t.chunks[i].measure()
		t.chunks[i+1].measure()
		i = t.find(i, u)
	}
	c := &t.chunks[i]
	c.grow(t.size)
	j := search(c.cells, u)
	c.cells = append(c.cells, cell{})
	copy(c.cells[j+1:], c.cells[j:])
	c.cells[j] = cell{uid: u, slot: noSlot}
	return c, &c.cells[j]
}

// remove takes out the cells in uids.
func (t *table) remove(uids mailaccess.UIDSet) {
	if uids.IsEmpty() {
		return
	}
	out := t.find(0, uids.Min())
	i := out
	for ; i < len(t.chunks) && t.chunks[i].first() <= uids.Max(); i++ {
		c := t.chunks[i]
		keep := c.cells[:0]
		for j := range c.cells {
			if !uids.Contains(c.cells[j].uid) {
				keep = append(keep, c.cells[j])
			}
		}
		if c.cells = keep; len(keep) > 0 {
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
		if n := len(prev.cells); n+len(c.cells) <= t.size*3/4 {
			prev.cells = append(append(make([]cell, 0, t.size), prev.cells...), c.cells...)
			prev.measure()
			return out
		}
	}
	t.chunks[out] = c
	return out + 1
}
