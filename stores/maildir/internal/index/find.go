package index

import (
	"fmt"

	"github.com/hashmail/mailaccess/mailaccess"
)

// baseFilter tells of most base names that no row of a chunk has them, from two octets for each
// row (a Bloom filter): a handful of names is looked for in a mailbox of a million messages
// with a look at a thousandth of them. It may know names that rows had.
type baseFilter [chunkLen * 16 / 64]uint64

// spots are the bits of a hash.
func (*baseFilter) spots(hash uint32) [4]uint32 {
	const top = chunkLen*16 - 1
	h := uint64(hash) * 0x9e3779b97f4a7c15 // the golden ratio
	return [4]uint32{uint32(h>>50) & top, uint32(h>>36) & top, uint32(h>>22) & top, uint32(h>>8) & top}
}

func (f *baseFilter) add(hash uint32) {
	for _, i := range f.spots(hash) {
		f[i/64] |= 1 << (i % 64)
	}
}

func (f *baseFilter) has(hash uint32) bool {
	for _, i := range f.spots(hash) {
		if f[i/64]&(1<<(i%64)) == 0 {
			return false
		}
	}
	return true
}

// filter makes the filter of the chunk's rows, if there is none.
func (c *chunk) filter() *baseFilter {
	if c.bases == nil {
		c.bases = new(baseFilter)
		for i := range c.cells {
			c.bases.add(c.cells[i].hash)
		}
	}
	return c.bases
}

const (
	// filterNames is for how many names filters are asked: for more of them it takes less to look at
	// all rows once.
	filterNames = 64
	// filterChunks is from how many chunks on that is worth the room.
	filterChunks = 4
)

// FindBases sets each value of bases for which there is a message with that base name to
// its UID, the lowest if there are several, and leaves the others alone. It reads the names of
// candidates. It needs the rows, and no other method may run at the same time.
func (m *Mailbox) FindBases(bases map[string]mailaccess.UID) error {
	t := m.rows()
	f := finding{m: m, bases: bases, wanted: make(map[uint32][]string, len(bases))}
	for base := range bases {
		h := hashOf(base)
		f.wanted[h] = append(f.wanted[h], base)
		f.hashes = append(f.hashes, h)
		f.bits[h>>6&(1<<12-1)] |= 1 << (h & 63)
	}
	few := len(bases) <= filterNames && len(t.chunks) >= filterChunks
	for i := range t.chunks {
		if len(f.wanted) == 0 {
			break
		}
		c := &t.chunks[i]
		if few && !f.maybe(c.filter()) {
			continue
		}
		if err := f.look(c); err != nil {
			return err
		}
	}
	return nil
}

// finding is a call of FindBases.
type finding struct {
	m      *Mailbox
	bases  map[string]mailaccess.UID
	wanted map[uint32][]string // that were not found yet, by their hashes
	hashes []uint32            // of all
	bits   [1 << 12]uint64     // most rows are told apart by a bit, without a look into the map
}

func (f *finding) maybe(b *baseFilter) bool {
	for _, h := range f.hashes {
		if b.has(h) {
			return true
		}
	}
	return false
}

// look looks at the rows of a chunk.
func (f *finding) look(c *chunk) error {
	m := f.m
	m.looked += len(c.cells)
	for j := range c.cells {
		x := &c.cells[j]
		if f.bits[x.hash>>6&(1<<12-1)]&(1<<(x.hash&63)) == 0 || len(f.wanted[x.hash]) == 0 {
			continue
		}
		name, err := m.fileName(x)
		if err != nil {
			return fmt.Errorf("find names in index of mailbox %s: message %d: %w", m.id, x.uid, err)
		}
		same := f.wanted[x.hash]
		for k, base := range same {
			if base != name.Base {
				continue
			}
			f.bases[base] = x.uid
			if len(same) == 1 {
				delete(f.wanted, x.hash)
			} else {
				f.wanted[x.hash] = append(same[:k], same[k+1:]...)
			}
			break
		}
	}
	return nil
}
