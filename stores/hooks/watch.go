package hooks

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

// watchers are the listeners of a store. Ringing reads an immutable list.
type watchers struct {
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

// add registers ring. It is in force when add returns.
func (ws *watchers) add(ring func(mailaccess.Ring)) (stop func()) {
	w := &watcher{ring: ring}
	w.idle.L = &w.mu
	ws.replace(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		ws.replace(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(have *watcher) bool { return have == w })
		})
		w.mu.Lock()
		defer w.mu.Unlock()
		for w.stopped = true; w.running > 0; {
			w.idle.Wait()
		}
	}
}

func (ws *watchers) replace(change func([]*watcher) []*watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var list []*watcher
	if old := ws.list.Load(); old != nil {
		list = slices.Clone(*old)
	}
	list = change(list)
	ws.list.Store(&list)
}

// rings tells every listener. No lock of the store is held.
func (ws *watchers) rings(r mailaccess.Ring) {
	list := ws.list.Load()
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
