package index

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Checkpoint is a state of a mailbox on its way to the disk.
type Checkpoint struct {
	dir  fsys.Dir
	id   string
	head head   // with the extents that it will have
	base extent // what of the files counts without it

	rows  []captured // that changed, ascending by UID
	gone  []Gone     // that the disk does not have, or, for a new generation, all
	slots []uint32   // for a new generation: of all rows, ascending by UID

	places places // for a new generation: where each row will be

	strings map[string]uint32 // see Mailbox.strings
	old     []uint64          // see Mailbox.old

	version   uint64
	goneUpTo  uint64
	runs      int
	newborn   bool  // see Mailbox.newborn
	err       error // why there is nothing to write
	confirmed bool  // written, or it is not known whether
}

// captured is a row that changed.
type captured struct {
	cell
	bytes    int64 // the size
	keywords mailaccess.Keywords
	name     FileName
	named    bool // the name is name; otherwise it is that of the record on disk
}

// minDead is how many records are superseded, or of messages that are gone, before a new
// generation is written: below it there is little to gain.
const minDead = 2048

var errGivenUp = errors.New("given up")

// Capture begins a checkpoint of the mailbox as it is, which holds up to logPos. It copies
// what changed since the last one. It may be called on a mailbox that is not dirty, so that
// the head takes the new position, and on one that is not loaded. A checkpoint that is not
// done is given up; it must not be writing any more.
func (m *Mailbox) Capture(logPos uint64) *Checkpoint {
	if m.pending != nil {
		m.Done(m.pending, errGivenUp)
	}
	c := &Checkpoint{
		dir: m.dir, id: m.id, head: *m.sets(), base: m.disk,
		strings: m.strings, old: m.old, version: m.version, newborn: m.newborn, err: m.setsErr(),
	}
	m.strings = nil // it belongs to the checkpoint until Done
	c.head.logPos, c.head.disk = logPos, m.disk
	m.pending = c
	if !m.loaded {
		return c
	}
	c.rows = m.captureRows()
	c.gone, c.goneUpTo = m.history.unsaved()
	c.head.gone = len(m.history.gone)

	live := int64(m.uids.Len() + len(m.history.gone))
	slots := int64(m.disk.slots) + int64(len(c.rows)+len(c.gone))
	dead := slots - live
	first := m.disk.gen == 0 && slots > 0
	if first || dead > max(int64(m.limits.minDead), live) || slots >= noSlot {
		c.gone = m.history.gone[:len(m.history.gone):len(m.history.gone)]
		c.slots = m.table.slots(m.uids.Len())
		m.gens++
		c.head.disk = extent{gen: m.gens}
		c.strings = nil
	}
	return c
}

func (m *Mailbox) captureRows() []captured {
	var rows []captured
	for i := range m.table.chunks {
		c := &m.table.chunks[i]
		if !c.dirty {
			continue
		}
		c.dirty = false
		for j := range c.cells {
			x := &c.cells[j]
			if x.state&cellDirty == 0 {
				continue
			}
			x.state = cellFlying
			r := captured{cell: *x, bytes: m.sizeOf(x), keywords: m.kw.at(x.uid, x.keywords)}
			r.name, r.named = m.names[x.uid]
			rows = append(rows, r)
		}
	}
	return rows
}

// Done ends a checkpoint with the outcome of Write. After nil, what was captured is clean
// unless it changed since; otherwise it is dirty as before and the next checkpoint has it again.
func (m *Mailbox) Done(c *Checkpoint, err error) {
	if m.pending != c {
		return
	}
	m.pending = nil
	fresh := c.slots != nil
	if err != nil {
		m.giveUp(c, fresh)
		return
	}
	if fresh {
		m.Release()
		m.suffixes = nil
		m.placeAll(c)
	}
	// A row that went and is there again gets the slot of what it was, which does no harm:
	// it is dirty, and its name is in memory.
	for i := range c.rows {
		_, x := m.table.get(c.rows[i].uid)
		if x == nil {
			continue
		}
		if !fresh {
			x.slot = c.base.slots + uint32(i)
		}
		if x.state &^= cellFlying; x.state&cellNamed == 0 {
			m.forgetName(x.uid)
		}
	}
	m.disk, m.logPos, m.gone = c.head.disk, c.head.logPos, c.head.gone
	m.strings, m.old = c.strings, c.old
	m.saved, m.runs, m.newborn = c.version, c.runs, false
	if m.loaded {
		m.history.saved = max(m.history.saved, c.goneUpTo)
	}
}

func (m *Mailbox) giveUp(c *Checkpoint, fresh bool) {
	// What a head that may be there counts must stay as it is: the next records go
	// behind it, or into another generation.
	if fresh {
		m.old = append(slices.Clone(m.old), c.head.disk.gen)
	} else if c.confirmed {
		m.disk = c.head.disk
	}
	for i := range c.rows {
		if ch, x := m.table.get(c.rows[i].uid); x != nil && x.state&cellFlying != 0 {
			x.state = x.state&^cellFlying | cellDirty
			ch.dirty = true
		}
	}
}

// placeAll gives the rows their slots in a new generation: the rank that they had when it
// was captured.
func (m *Mailbox) placeAll(c *Checkpoint) {
	m.table.walk(c.head.uids, func(_ *chunk, x *cell) {
		rank, _ := c.places.find(x.uid)
		x.slot = uint32(rank)
	})
}

// Write writes the checkpoint, without the caller's lock. When it returns nil the
// checkpoint is durable. Otherwise the one before still holds, or, if only the last sync
// failed, either of them.
func (c *Checkpoint) Write() error {
	if err := c.write(); err != nil {
		return fmt.Errorf("checkpoint of mailbox %s in the index: %w", c.id, err)
	}
	return nil
}

func (c *Checkpoint) write() error {
	if c.err != nil {
		return c.err
	}
	if len(c.head.meta) > maxMeta {
		return fmt.Errorf("%d octets of the caller's, at most %d", len(c.head.meta), maxMeta)
	}
	var err error
	if c.slots != nil {
		err = c.writeGeneration()
	} else if len(c.rows)+len(c.gone) > 0 {
		err = c.appendRows()
	}
	if err != nil {
		return err
	}
	b, runs := appendHead(nil, c.id, &c.head)
	c.runs = runs
	replaces := false
	if c.newborn {
		_, err := c.dir.Lstat(headName(c.id))
		replaces = err == nil
	}
	if err := c.writeHead(b); err != nil {
		return err
	}
	if replaces {
		// Nothing depends on whether it works.
		removeFilesBut(c.dir, c.id, rowsName(c.id, c.head.disk.gen), namesName(c.id, c.head.disk.gen))
	}
	// From here on the head names the new generation only. What cannot be removed now is
	// with the next checkpoint.
	if c.slots != nil && c.base.gen > 0 {
		c.old = append(slices.Clone(c.old), c.base.gen)
	}
	c.old = slices.DeleteFunc(slices.Clone(c.old), func(gen uint64) bool {
		return gen == c.head.disk.gen ||
			removeFile(c.dir, rowsName(c.id, gen)) == nil && removeFile(c.dir, namesName(c.id, gen)) == nil
	})
	return nil
}

func (c *Checkpoint) writeHead(b []byte) error {
	f, err := create(c.dir, tempName(c.id))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	c.confirmed = true
	if err := c.dir.Rename(tempName(c.id), c.dir, headName(c.id)); err != nil {
		return err
	}
	return c.dir.Sync()
}

// create makes a file in the place of what was left behind.
func create(dir fsys.Dir, name string) (fsys.File, error) {
	f, err := dir.Create(name)
	if errors.Is(err, fs.ErrExist) {
		if err = removeFile(dir, name); err == nil {
			f, err = dir.Create(name)
		}
	}
	return f, err
}

// appendRows writes the records of what changed behind those that count.
func (c *Checkpoint) appendRows() error {
	f, err := openFiles(c.id, c.base.gen, c.dir.OpenRW)
	if err != nil {
		return err
	}
	w := newRowWriter(f, c.base, c.strings)
	src := newSource(f, c.base, sequential)
	for i := range c.rows {
		if err = c.writeChanged(w, src, &c.rows[i], false); err != nil {
			break
		}
	}
	err = c.finish(w, err)
	return errors.Join(err, f.close())
}

// writeGeneration writes the records of all rows, ascending by UID, into new files.
func (c *Checkpoint) writeGeneration() error {
	var src *source
	if c.base.slots > 0 {
		var err error
		if src, err = openSource(c.dir, c.id, c.base); err != nil {
			return err
		}
		defer src.close()
	}
	f, err := openFiles(c.id, c.head.disk.gen, func(name string) (fsys.File, error) { return create(c.dir, name) })
	if err != nil {
		return err
	}
	c.places = placesOf(c.head.uids)
	w := newRowWriter(f, extent{gen: c.head.disk.gen, names: namesStart}, nil)
	w.names.buf = append(w.names.buf, namesMagic...)
	w.names.off = 0
	i, rows := 0, c.rows
	for uid := range c.head.uids.All() {
		if len(rows) > 0 && rows[0].uid == uid {
			err = c.writeChanged(w, src, &rows[0], true)
			rows = rows[1:]
		} else {
			err = c.writeKept(w, src, c.slots[i], uid)
		}
		if err != nil {
			break
		}
		i++
	}
	err = c.finish(w, err)
	if err = errors.Join(err, f.close()); err == nil {
		// The head must not come to the disk before the files that it names.
		err = c.dir.Sync()
	}
	return err
}

// finish writes what is gone and makes all durable.
func (c *Checkpoint) finish(w *rowWriter, err error) error {
	for i := 0; i < len(c.gone) && err == nil; i++ {
		err = w.gone(&c.gone[i])
	}
	if err == nil {
		err = w.sync()
	}
	c.head.disk, c.strings = w.extent, w.strings
	return err
}

// writeChanged writes a captured row. In a new generation nothing of the old one stays
// where it was.
func (c *Checkpoint) writeChanged(w *rowWriter, src *source, r *captured, moved bool) error {
	rec := record{cell: r.cell, bytes: r.bytes, place: uint8(r.name.Place)}
	var before record
	if r.slot != noSlot && (!moved || !r.named) {
		var err error
		if before, err = src.record(r.slot, r.uid); err != nil {
			return err
		}
	}
	var err error
	if !r.named {
		rec.place = before.place
		if rec.base, rec.suffix, err = w.move(src, &before, moved); err != nil {
			return err
		}
	} else {
		if n := len(r.name.Base) + len(r.name.Suffix); n > MaxName {
			return fmt.Errorf("name of message %d: %d octets, at most %d", r.uid, n, MaxName)
		}
		// Mostly it is the suffix that is another.
		if before.uid != 0 && before.hash == r.hash {
			base, err := src.base(&before)
			if err != nil {
				return err
			}
			if string(base) == r.name.Base {
				rec.base = before.base
			}
		}
		if rec.base == 0 {
			if rec.base, err = w.add(r.name.Base); err != nil {
				return err
			}
		}
		if rec.suffix, err = w.shared(r.name.Suffix); err != nil {
			return err
		}
	}
	if rec.keywords, err = w.shared(r.keywords.String()); err != nil {
		return err
	}
	return w.write(&rec)
}

// writeKept writes the record of a row that did not change into a new generation.
func (c *Checkpoint) writeKept(w *rowWriter, src *source, slot uint32, uid mailaccess.UID) error {
	rec, err := src.record(slot, uid)
	if err != nil {
		return err
	}
	if rec.base, rec.suffix, err = w.move(src, &rec, true); err != nil {
		return err
	}
	if rec.keywords, err = w.moveShared(src, rec.keywords); err != nil {
		return err
	}
	return w.write(&rec)
}
