package memfs

import (
	"cmp"
	"slices"
	"time"
)

// change is one operation on directories. It reaches the disk whole or not at all:
// that is what makes a rename atomic.
type change struct {
	seq   int
	when  time.Time
	sets  []set
	moved *node // what a rename moves
	made  *node // the directory that it makes
	gone  *node // the empty directory that it removes or replaces
}

// movesDir: such changes reach the disk in order, or two directories could end up
// inside each other.
func (c *change) movesDir() bool { return c.moved != nil && c.moved.mode.IsDir() }

// set makes an entry of a directory another one, or none.
type set struct {
	dir *node
	key string
	to  entry
}

// apply does a change, which is not durable until a directory of it is synced.
func (f *FS) apply(c change) {
	f.seq++
	c.seq, c.when = f.seq, f.opts.Now()
	var old []*node
	for _, s := range c.sets {
		if was := s.dir.entries[s.key].node; was != nil {
			old = append(old, was)
		}
		if s.to.node != nil {
			s.to.node.links++
			s.dir.entries[s.key] = s.to
		} else {
			delete(s.dir.entries, s.key)
		}
		s.dir.mtime = c.when
		s.dir.changes[s.key] = append(s.dir.changes[s.key], &c)
	}
	for _, n := range old {
		n.links--
		f.free(n)
	}
	f.unsynced[&c] = true
}

// syncDir makes the changes of d durable, and those that they rest on: earlier ones of
// the same names, and what happened in a directory before it was removed.
func (f *FS) syncDir(d *node) {
	due := make(map[*change]bool)
	var add func(c *change)
	of := func(list []*change, before int) {
		for _, c := range list {
			if c.seq < before {
				add(c)
			}
		}
	}
	add = func(c *change) {
		if due[c] {
			return
		}
		due[c] = true
		for _, s := range c.sets {
			of(s.dir.changes[s.key], c.seq)
		}
		if c.gone != nil {
			for _, list := range c.gone.changes {
				of(list, c.seq)
			}
		}
		if c.movesDir() {
			for e := range f.unsynced {
				if e.movesDir() && e.seq < c.seq {
					add(e)
				}
			}
		}
	}
	for _, list := range d.changes {
		of(list, f.seq+1)
	}
	order := make([]*change, 0, len(due))
	for c := range due {
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b *change) int { return cmp.Compare(a.seq, b.seq) })
	for _, c := range order {
		for _, s := range c.sets {
			put(s.dir.durable, s)
			s.dir.synced = c.when
			rest := slices.DeleteFunc(s.dir.changes[s.key], func(x *change) bool { return x == c })
			if s.dir.changes[s.key] = rest; len(rest) == 0 {
				delete(s.dir.changes, s.key)
			}
		}
		delete(f.unsynced, c)
	}
	d.synced = d.mtime
}

func put(entries map[string]entry, s set) {
	if s.to.node != nil {
		entries[s.key] = s.to
	} else {
		delete(entries, s.key)
	}
}
