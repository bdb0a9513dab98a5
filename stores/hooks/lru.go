package hooks

import (
	"container/list"
	"sync"
)

// lru keeps what was used last, up to a number of octets.
type lru[K comparable, V any] struct {
	limit   int64
	dropped func(V) // called with the lock held; may be nil

	mu      sync.Mutex
	entries map[K]*list.Element
	order   list.List // of lruEntry, the last used in front
	size    int64
}

type lruEntry[K comparable, V any] struct {
	key  K
	v    V
	size int64
}

// get returns what use makes of the value under key; use is called with the lock
// held.
func (c *lru[K, V]) get(key K, use func(V)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	elem := c.entries[key]
	if elem == nil {
		return false
	}
	c.order.MoveToFront(elem)
	use(elem.Value.(lruEntry[K, V]).v)
	return true
}

// put keeps v under key, and reports whether it does.
func (c *lru[K, V]) put(key K, v V, size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.entries[key]; old != nil {
		c.out(old)
	}
	if size > c.limit {
		return false
	}
	if c.entries == nil {
		c.entries = make(map[K]*list.Element)
	}
	c.entries[key] = c.order.PushFront(lruEntry[K, V]{key, v, size})
	for c.size += size; c.size > c.limit; {
		c.out(c.order.Back())
	}
	return true
}

func (c *lru[K, V]) drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if elem := c.entries[key]; elem != nil {
		c.out(elem)
	}
}

func (c *lru[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.out(c.order.Back())
	}
}

func (c *lru[K, V]) out(elem *list.Element) {
	e := c.order.Remove(elem).(lruEntry[K, V])
	delete(c.entries, e.key)
	c.size -= e.size
	if c.dropped != nil {
		c.dropped(e.v)
	}
}
