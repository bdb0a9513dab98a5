package memory

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// derivedBlockLen is for how many messages a block has items.
const derivedBlockLen = 64

// derivedBlock has the items of one kind for messages whose numbers follow each other. A
// reader takes its items as they are and reads them after letting go of the cache's lock:
// data is only ever appended to, or replaced.
type derivedBlock struct {
	kind    *derivedKind
	number  uint64 // those of its messages, divided by derivedBlockLen
	at      int    // in kind.all
	counted int64  // of the cache's size
	asked   bool   // since it was last looked at to make room

	small uint64   // a bit for each message that has an item in data
	from  []uint32 // where in data these items begin
	data  []byte   // each with its length before it
	dead  int      // octets of data that are no item any more

	large []derivedItem // never changed, only replaced
}

// derivedItem is the item of message i of a block.
type derivedItem struct {
	i uint64
	b []byte
}

const (
	// derivedLarge is how long an item is at least that stands alone, so that it need not
	// be moved when others come.
	derivedLarge = 4 << 10
	// derivedBlockSize is what an empty block takes, in the cache's map and list too, and
	// derivedLargeSize an item that stands alone beyond its octets.
	derivedBlockSize = 192
	derivedLargeSize = 32
)

// size is how many octets b takes.
func (b *derivedBlock) size() int64 {
	n := derivedBlockSize + 4*cap(b.from) + cap(b.data) + derivedLargeSize*cap(b.large)
	for _, item := range b.large {
		n += cap(item.b)
	}
	return int64(n)
}

// growth is how many octets more b, which may be nil, takes at most with items, of which it
// has none yet.
func (b *derivedBlock) growth(items []derivedItem) int64 {
	// What is allocated is rounded up, by less than half.
	small, large := octets(items)
	n := large + large/2
	if b == nil {
		b = &derivedBlock{}
		n += derivedBlockSize
	}
	n += 4 * (derivedBlockLen - cap(b.from))
	if len(b.data)+small > cap(b.data) {
		small += len(b.data) - b.dead
		n += small + small/2 - cap(b.data)
	}
	return int64(n)
}

// octets is how much items take in data, and by themselves.
func octets(items []derivedItem) (small, large int) {
	for _, item := range items {
		if len(item.b) >= derivedLarge {
			large += derivedLargeSize + len(item.b)
		} else {
			small += itemSize(item.b)
		}
	}
	return small, large
}

// itemSize is how many octets an item takes in data.
func itemSize(b []byte) int { return (bits.Len(uint(len(b))|1)+6)/7 + len(b) }

// add adds items, of which it has none yet.
func (b *derivedBlock) add(items []derivedItem) {
	if small, _ := octets(items); len(b.data)+small > cap(b.data) {
		if bits.OnesCount64(b.small)+len(items) < derivedBlockLen/2 {
			small += small / 8 // others will come
		}
		b.move(small)
	}
	if n := len(b.from) + len(items); n > cap(b.from) {
		b.from = append(make([]uint32, 0, min(derivedBlockLen, max(n, 2*cap(b.from)))), b.from...)
	}
	for _, item := range items {
		if len(item.b) >= derivedLarge {
			b.large = slices.Concat(b.large, []derivedItem{{item.i, slices.Clone(item.b)}})
			continue
		}
		b.from = slices.Insert(b.from, b.rank(item.i), uint32(len(b.data)))
		b.small |= 1 << item.i
		b.data = append(binary.AppendUvarint(b.data, uint64(len(item.b))), item.b...)
	}
}

// rank is how many items there are in data of messages before i.
func (b *derivedBlock) rank(i uint64) int { return bits.OnesCount64(b.small & (1<<i - 1)) }

// move takes the items to other memory, with room for more octets.
func (b *derivedBlock) move(more int) {
	data := slices.Grow([]byte(nil), len(b.data)-b.dead+more)
	for i, from := range b.from {
		item := itemAt(b.data, from)
		b.from[i] = uint32(len(data))
		data = append(binary.AppendUvarint(data, uint64(len(item))), item...)
	}
	b.data, b.dead = data, 0
}

// remove takes out the item of message i, if there is one.
func (b *derivedBlock) remove(i uint64) {
	if b.small>>i&1 == 1 {
		at := b.rank(i)
		b.dead += itemSize(itemAt(b.data, b.from[at]))
		b.from = slices.Delete(b.from, at, at+1)
		b.small &^= 1 << i
		return
	}
	if k := slices.IndexFunc(b.large, func(item derivedItem) bool { return item.i == i }); k >= 0 {
		b.large = slices.Concat(b.large[:k], b.large[k+1:])
	}
}

// trim gives back the memory of what was taken out, when it is half of all.
func (b *derivedBlock) trim() {
	if b.dead > len(b.data)/2 {
		b.move(0)
	}
}

// empty reports whether b has no item.
func (b *derivedBlock) empty() bool { return b.small == 0 && len(b.large) == 0 }

// share makes items those of b.
func (b *derivedBlock) share(items *derivedItems) {
	items.small, items.data, items.large = b.small, b.data, b.large
	copy(items.from[:], b.from)
}

// derivedItems are the items of a block as somebody found it.
type derivedItems struct {
	block uint64
	small uint64
	from  [derivedBlockLen]uint32
	data  []byte
	large []derivedItem
}

// item returns the item of message i.
func (s *derivedItems) item(i uint64) ([]byte, bool) {
	if s.small>>i&1 == 1 {
		return itemAt(s.data, s.from[bits.OnesCount64(s.small&(1<<i-1))]), true
	}
	for _, item := range s.large {
		if item.i == i {
			return item.b, true
		}
	}
	return nil, false
}

// itemAt returns the item of data that begins at from.
func itemAt(data []byte, from uint32) []byte {
	n, k := binary.Uvarint(data[from:])
	b := data[int(from)+k:]
	return b[:n:n]
}
