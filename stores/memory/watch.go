package memory

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

// watcher is a listener. A ring holds mu for reading, stop takes it for writing
// and so waits for the rings that are under way.
type watcher struct {
	mu      sync.RWMutex
	stopped bool
	ring    func(mailaccess.Ring)
}

// add registers ring. It is in force when add returns.
func (ws *watchers) add(ring func(mailaccess.Ring)) (stop func()) {
	w := &watcher{ring: ring}
	ws.replace(func(list []*watcher) []*watcher { return append(list, w) })
	return func() {
		ws.replace(func(list []*watcher) []*watcher {
			return slices.DeleteFunc(list, func(have *watcher) bool { return have == w })
		})
		w.mu.Lock()
		w.stopped = true
		w.mu.Unlock()
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
		w.mu.RLock()
		if !w.stopped {
			w.ring(r)
		}
		w.mu.RUnlock()
	}
}
