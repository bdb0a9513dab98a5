package maildir

import (
	"slices"
	"sync/atomic"

	"github.com/hashmail/mailaccess/stores/maildir/internal/dirwatch"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// What we do to names in a directory that is watched is told like everything else. It is known
// before, and in which order: whatever changes the names in the directories of an account holds its
// lead. So what is told next is compared with what is expected next, and nobody looks for it in
// the index or on the disk. What is told of another program differs, and if it does not, then as
// much is told of ours that was not expected; or ours fails, and then its names are looked at.

// naming is a name that comes or goes by our doing.
type naming struct {
	box   *mailbox
	place index.Place
	name  string
	came  bool
}

// ownEvents are the names of which it will be told that they came or went by our doing, in order.
type ownEvents struct {
	names []ownEvent
	first int         // of the names, that was not told yet
	doing atomic.Bool // the last one is being done, or may yet be
}

type ownEvent struct {
	name string
	kind dirwatch.Kind
}

// ownMost is how many are expected before they are drained by who does more: the system's
// queue has some room for those of others then.
const ownMost = 4096

// naming does something by which names come and go, all of them or, when it fails, none. The lead
// is held.
func (a *account) naming(do func() error, all ...naming) error {
	n := a.store.notify
	if n == nil {
		return do()
	}
	var at [2]*watched
	n.mu.Lock()
	for i := range all {
		at[i] = n.expect(&all[i])
	}
	n.mu.Unlock()
	err := do()
	if err != nil {
		n.mu.Lock()
		for i, d := range slices.Backward(at[:]) {
			if d != nil && !d.own.withdraw(all[i].name) {
				// It was told meanwhile, of another program.
				n.happened(d).note(d, all[i].name)
				n.ready()
			}
		}
		n.mu.Unlock()
	}
	for _, d := range at {
		if d != nil {
			d.own.doing.Store(false)
		}
	}
	return err
}

// expect notes a name, if its directory is watched. n.mu is held.
func (n *notifier) expect(x *naming) *watched {
	i := slices.IndexFunc(n.of[x.box], func(d *watched) bool { return d.place == x.place })
	if i < 0 {
		return nil
	}
	d := n.of[x.box][i]
	if len(d.own.names)-d.own.first >= ownMost {
		if err := n.drain(); err != nil {
			return nil // whoever listens tells it
		}
	}
	kind := dirwatch.Went
	if x.came {
		kind = dirwatch.Came
	}
	d.own.add(ownEvent{x.name, kind})
	n.expecting[d] = struct{}{}
	return d
}

// add expects one more, which is being done.
func (o *ownEvents) add(e ownEvent) {
	o.doing.Store(true)
	if o.first > len(o.names)/2 {
		rest := copy(o.names, o.names[o.first:])
		clear(o.names[rest:])
		o.names, o.first = o.names[:rest], 0
	}
	o.names = append(o.names, e)
}

// take reports whether an event is the next one that is expected.
func (o *ownEvents) take(e dirwatch.Event) bool {
	if o.first == len(o.names) || o.names[o.first].kind != e.Kind || o.names[o.first].name != string(e.Name) {
		return false
	}
	if o.first++; o.first == len(o.names) {
		o.forget()
	}
	return true
}

// withdraw takes back the last name, and reports whether it was still expected.
func (o *ownEvents) withdraw(name string) bool {
	last := len(o.names) - 1
	if last < o.first || o.names[last].name != name {
		return false
	}
	o.names = o.names[:last]
	return true
}

// forget expects nothing any more.
func (o *ownEvents) forget() {
	clear(o.names)
	o.names, o.first = o.names[:0], 0
}
