package auth

import (
	"container/list"
	"iter"
)

// recent is a map of bounded size that forgets what was not asked for longest. The
// zero value with a size is empty.
type recent[K comparable, V any] struct {
	size    int
	entries map[K]*list.Element
	order   list.List // of recentEntry[K, V], the quietest first
}

type recentEntry[K comparable, V any] struct {
	key   K
	value V
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	e := r.entries[k]
	if e == nil {
		return v, false
	}
	r.order.MoveToBack(e)
	return e.Value.(*recentEntry[K, V]).value, true
}

func (r *recent[K, V]) set(k K, v V) {
	if e := r.entries[k]; e != nil {
		r.order.MoveToBack(e)
		e.Value.(*recentEntry[K, V]).value = v
		return
	}
	if r.entries == nil {
		r.entries = make(map[K]*list.Element)
	}
	for r.order.Len() >= r.size && r.order.Len() > 0 {
		r.remove(r.order.Front().Value.(*recentEntry[K, V]).key)
	}
	r.entries[k] = r.order.PushBack(&recentEntry[K, V]{k, v})
}

// all yields the entries, the quietest first.
func (r *recent[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for e := r.order.Front(); e != nil; e = e.Next() {
			if entry := e.Value.(*recentEntry[K, V]); !yield(entry.key, entry.value) {
				return
			}
		}
	}
}

func (r *recent[K, V]) remove(k K) {
	if e := r.entries[k]; e != nil {
		r.order.Remove(e)
		delete(r.entries, k)
	}
}
