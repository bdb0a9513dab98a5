package memfs

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Mode is what of the changes that were not synced a crash leaves.
type Mode int

const (
	// Nothing of them: power was lost before the disk saw any.
	Nothing Mode = iota
	// All of them: only the process died.
	All
	// Some of them: each change of a directory and each write is on the disk or not, and
	// of a write perhaps only the beginning, with or without the size it would have led
	// to, the rest being zeros.
	Some
)

// Crash returns what is found after the crash of f, whose handles fail from now on.
// The draws of Some come from rng. It may be called again, for another draw.
//
// In Some, changes are independent but for these: those of one name survive only with
// the earlier ones of that name; a directory that is lost keeps nothing from being
// where it was before; a directory is removed only after its content. So a rename
// leaves the old name or the new one.
func (f *FS) Crash(rng *rand.Rand, mode Mode) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
	c := &crash{rng: rng, mode: mode, dirs: make(map[*node]*image), files: make(map[*node]*node)}
	c.into = &FS{Counters: new(fsys.Counters), opts: f.opts, inode: f.inode, unsynced: make(map[*change]bool)}
	if mode == Some {
		c.draw(slices.SortedFunc(maps.Keys(f.unsynced), func(a, b *change) int { return cmp.Compare(a.seq, b.seq) }))
	}
	c.into.root = c.copy(f.root)
	c.into.root.links = 1
	return c.into
}

type crash struct {
	rng   *rand.Rand
	mode  Mode
	dirs  map[*node]*image
	files map[*node]*node // copies, so that links stay links
	into  *FS
}

// image is a directory as it is found.
type image struct {
	entries map[string]entry
	mtime   time.Time
}

func (c *crash) image(d *node) *image {
	i := c.dirs[d]
	switch {
	case i != nil:
	case c.mode == All:
		i = &image{d.entries, d.mtime}
	default:
		i = &image{maps.Clone(d.durable), d.synced}
	}
	c.dirs[d] = i
	return i
}

// draw does to the images the changes that survive.
func (c *crash) draw(changes []*change) {
	type place struct {
		dir *node
		key string
	}
	lost := make(map[place]bool)
	lostIn, lostDir := make(map[*node]bool), make(map[*node]bool)
	lostMove := false
	for _, ch := range changes {
		keep := c.rng.IntN(2) == 0 && !(ch.movesDir() && lostMove) && !(ch.gone != nil && lostIn[ch.gone])
		for _, s := range ch.sets {
			keep = keep && !lost[place{s.dir, s.key}] && !lostDir[s.dir]
		}
		for _, s := range ch.sets {
			if keep {
				i := c.image(s.dir)
				put(i.entries, s)
				i.mtime = ch.when
			} else {
				lost[place{s.dir, s.key}], lostIn[s.dir] = true, true
			}
		}
		if !keep {
			lostDir[ch.made] = true
			lostMove = lostMove || ch.movesDir()
		}
	}
}

// copy makes a durable copy of what is found of n.
func (c *crash) copy(n *node) *node {
	if made := c.files[n]; made != nil {
		return made
	}
	m := &node{inode: n.inode, mode: n.mode}
	c.files[n] = m
	if !n.mode.IsDir() {
		m.data, m.mtime = c.content(n)
		m.disk, m.synced = slices.Clone(m.data), m.mtime
		c.into.used += int64(len(m.data))
		return m
	}
	i := c.image(n)
	m.entries, m.changes = make(map[string]entry), make(map[string][]*change)
	m.mtime, m.synced = i.mtime, i.mtime
	for _, key := range slices.Sorted(maps.Keys(i.entries)) { // so that equal seeds draw equally
		e := i.entries[key]
		child := c.copy(e.node)
		child.links++
		m.entries[key] = entry{e.name, child}
	}
	m.durable = maps.Clone(m.entries)
	return m
}

func (c *crash) content(n *node) ([]byte, time.Time) {
	switch c.mode {
	case All:
		return slices.Clone(n.data), n.mtime
	case Nothing:
		return slices.Clone(n.disk), n.synced
	}
	b, mtime := slices.Clone(n.disk), n.synced
	for _, w := range n.writes {
		switch c.rng.IntN(3) {
		case 0: // whole
			b = w.to(b)
			if w.isTime() {
				mtime = w.time
			}
		case 1: // a part
			if w.data == nil {
				continue
			}
			part := w
			part.data = w.data[:c.rng.IntN(len(w.data))]
			b = part.to(b)
			if end := w.off + int64(len(w.data)); end > int64(len(b)) && c.rng.IntN(2) == 0 {
				b = resize(b, end)
			}
		}
	}
	return b, mtime
}
