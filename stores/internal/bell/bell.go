// Package bell is how a store rings its listeners (mailaccess.Store.Watch).
package bell

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Bell rings the listeners of a store. The zero value has none. Ringing reads an immutable
// list.
type Bell struct {
	mu   sync.Mutex // held while list is replaced
	list atomic.Pointer[[]*watcher]
}

// watcher is a listener. mu is not held while it is rung.
type watcher struct {
	ring func(mailaccess.Ring)

	mu      sync.Mutex
	idle    sync.Cond // of mu: running became 0
	running int       // rings under way
	stopped bool
}

// Add registers ring. It is in force when Add returns; ring is not called any more when
// stop returned.
func (b *Bell) Add(ring func(mailaccess.Ring)) (stop func()) {
	w := &watcher{ring: ring}
	w.idle.L = &w.mu
	b.replace(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		b.replace(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(have *watcher) bool { return have == w })
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		for w.stopped = true; w.running > 0; {
			w.idle.Wait()
		}
	}
}

func (b *Bell) replace(change func([]*watcher) []*watcher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*watcher
	if old := b.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	b.list.Store(&list)
}

// Ring tells every listener. The caller holds no lock.
func (b *Bell) Ring(r mailaccess.Ring) {
	list := b.list.Load()
	if list == nil {
		return
	}
	for _, w := range *list {
		if w.begin() {
			w.ring(r)
			w.end()
		}
	}
}

func (w *watcher) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.running++
	return true
}

func (w *watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running--; w.running == 0 {
		w.idle.Broadcast()
	}
}
