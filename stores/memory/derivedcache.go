package memory

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// derivedCache keeps items, up to a number of octets. What it keeps of one kind for
// messages that arrived one after the other stands in one block, so that an item costs
// some octets beyond its own, and the garbage collector has nothing to look at in it.
//
// When there is no room for more, room is made of the kind that was not asked for for the
// longest time, if it is not in use. If all are, as in a pass over more than fits, what
// comes new is mostly not kept: only by chance is one block looked at, and goes if nobody
// has asked for it since the last look. So whoever goes through all again and again
// finds about as much of it as fits, where a cache that keeps what came last would have
// lost each item just before it is asked for.
type derivedCache struct {
	limit int64

	mu      sync.Mutex
	kinds   []*derivedKind
	size    int64
	offered int64 // octets in all
}

const (
	// derivedChance is how often a block is looked at to make room: once in so many times.
	derivedChance = 8
	// derivedIdle says when a kind is not in use: when this part of the limit was offered
	// since it was asked for.
	derivedIdle = 64
)

// derivedKind is what is kept of one kind.
type derivedKind struct {
	name   mailaccess.DerivedKind
	used   int64 // what was offered in all when it was asked for last
	blocks map[uint64]*derivedBlock
	all    []*derivedBlock // the same
}

// kind returns what is kept of a kind; nil when there is nothing.
func (d *derivedCache) kind(name mailaccess.DerivedKind) *derivedKind {
	for _, k := range d.kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}

// look sets items to what is kept for the messages of a block.
func (d *derivedCache) look(kind mailaccess.DerivedKind, block uint64, items *derivedItems) {
	items.block, items.small, items.large = block, 0, nil
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.kind(kind)
	if k == nil {
		return
	}
	k.used = d.offered
	if b := k.blocks[block]; b != nil {
		b.asked = true
		b.share(items)
	}
}

// put keeps items of a block, one of a message, in place of those that there were, if there
// is room. It may change the list of items.
func (d *derivedCache) put(kind mailaccess.DerivedKind, block uint64, items []derivedItem) {
	if len(items) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.kind(kind)
	if k == nil {
		k = &derivedKind{name: kind, blocks: make(map[uint64]*derivedBlock)}
		d.kinds = append(d.kinds, k)
	}
	b := k.blocks[block]
	if b != nil {
		for _, item := range items {
			b.remove(item.i)
		}
		if d.recount(b); b.empty() {
			b = nil
		}
	}
	items = slices.DeleteFunc(items, func(item derivedItem) bool { return len(item.b) > mailaccess.MaxDerived })
	for _, item := range items {
		d.offered += int64(len(item.b))
	}
	k.used = d.offered
	if len(items) == 0 || !d.room(b.growth(items), b) {
		return
	}
	if b == nil {
		b = &derivedBlock{kind: k, number: block, at: len(k.all)}
		k.blocks[block] = b
		k.all = append(k.all, b)
	}
	b.asked = true
	b.add(items)
	d.recount(b)
}

// room makes room for n octets more, of other blocks than keep, or reports that there is
// to be none.
func (d *derivedCache) room(n int64, keep *derivedBlock) bool {
	if n > d.limit {
		return false
	}
	for looked := false; d.size+n > d.limit; {
		b := d.idle()
		if b == nil {
			if !looked && rand.IntN(derivedChance) != 0 {
				return false
			}
			looked = true
			if b = d.any(); b == nil || b == keep {
				return false
			}
			if b.asked {
				b.asked = false
				return false
			}
		}
		d.drop(b)
	}
	return true
}

// idle returns a block of the kind that was not asked for for the longest time; nil when
// all are in use.
func (d *derivedCache) idle() *derivedBlock {
	var oldest *derivedKind
	for _, k := range d.kinds {
		if len(k.all) > 0 && d.offered-k.used > d.limit/derivedIdle && (oldest == nil || k.used < oldest.used) {
			oldest = k
		}
	}
	if oldest == nil {
		return nil
	}
	return oldest.all[rand.IntN(len(oldest.all))]
}

// any returns some block, each as likely as any other; nil when there is none.
func (d *derivedCache) any() *derivedBlock {
	n := 0
	for _, k := range d.kinds {
		n += len(k.all)
	}
	if n == 0 {
		return nil
	}
	n = rand.IntN(n)
	for _, k := range d.kinds {
		if n < len(k.all) {
			return k.all[n]
		}
		n -= len(k.all)
	}
	return nil
}

// forget lets go of what is kept for messages that are gone.
func (d *derivedCache) forget(numbers []uint64) {
	if len(numbers) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range d.kinds {
		for i := 0; i < len(numbers); {
			block := numbers[i] / derivedBlockLen
			b := k.blocks[block]
			for ; i < len(numbers) && numbers[i]/derivedBlockLen == block; i++ {
				if b != nil {
					b.remove(numbers[i] % derivedBlockLen)
				}
			}
			if b != nil {
				b.trim()
				d.recount(b)
			}
		}
	}
}

// recount counts anew what a block takes, which has changed, and drops it when it is empty.
func (d *derivedCache) recount(b *derivedBlock) {
	d.size -= b.counted
	b.counted = b.size()
	d.size += b.counted
	if b.empty() {
		d.drop(b)
	}
}

func (d *derivedCache) drop(b *derivedBlock) {
	d.size -= b.counted
	k := b.kind
	last := len(k.all) - 1
	k.all[b.at] = k.all[last]
	k.all[b.at].at = b.at
	k.all[last] = nil
	k.all = k.all[:last]
	delete(k.blocks, b.number)
}
