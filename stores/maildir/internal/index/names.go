package index

import (
	"fmt"
	"io/fs"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
)

// FileName returns the name of a message's file: from memory if it changed since the
// checkpoint, else with two short reads, or three when the suffix is not known yet; of the
// messages that follow it most take none.
// fs.ErrNotExist when there is no such message. It needs the rows, and no other method may run
// at the same time.
func (m *Mailbox) FileName(uid mailaccess.UID) (FileName, error) {
	_, x := m.rows().get(uid)
	if x == nil {
		return FileName{}, fmt.Errorf("file name of message %d in index of mailbox %s: %w", uid, m.id, fs.ErrNotExist)
	}
	name, err := m.fileName(x)
	if err != nil {
		return FileName{}, fmt.Errorf("file name of message %d in index of mailbox %s: %w", uid, m.id, err)
	}
	return name, nil
}

// HoldFileName takes the name of a message's file into memory, from where FileName reads it without an
// error until the next checkpoint is captured, whether or not the one before is done. It is as
// FileName in all else.
func (m *Mailbox) HoldFileName(uid mailaccess.UID) error {
	// Not if it is in memory: those that a checkpoint has captured go when that is done.
	if _, x := m.rows().get(uid); x != nil && x.state&cellNamed != 0 {
		return nil
	}
	name, err := m.FileName(uid)
	if err == nil {
		m.SetFileName(uid, name)
	}
	return err
}

func (m *Mailbox) fileName(x *cell) (FileName, error) {
	if name, ok := m.names[x.uid]; ok {
		return name, nil
	}
	if err := m.openKept(); err != nil {
		return FileName{}, err
	}
	if m.suffixes == nil {
		m.suffixes = make(map[uint32]string)
	}
	return m.nearby().fileName(x.slot, x.uid, m.suffixes)
}

// nearby is a source that goes on from where the last name was read: whoever reads one
// message mostly reads the next.
func (m *Mailbox) nearby() *source {
	if m.near == nil || m.near.files != m.files {
		m.near = newSource(m.files, m.disk, nearAhead)
	}
	m.near.reach(m.disk)
	return m.near
}

// nearAhead is how much of each of the two files is in memory for it.
const nearAhead = 4 << 10

// openKept opens the files that are kept, unless they are open.
func (m *Mailbox) openKept() error {
	if m.files != nil {
		return nil
	}
	f, err := openFiles(m.id, m.disk.gen, m.dir.Open)
	m.files = f
	return err
}

// fileName reads the name of a message. suffixes are those that were read already.
func (s *source) fileName(slot uint32, uid mailaccess.UID, suffixes map[uint32]string) (FileName, error) {
	rec, err := s.record(slot, uid)
	if err != nil {
		return FileName{}, err
	}
	base, err := s.base(&rec)
	if err != nil {
		return FileName{}, err
	}
	name := FileName{Base: string(base), Place: Place(rec.place)}
	if rec.suffix == 0 {
		return name, nil
	}
	if suffix, ok := suffixes[rec.suffix]; ok {
		name.Suffix = suffix
		return name, nil
	}
	suffix, err := s.text(rec.suffix)
	if err != nil {
		return FileName{}, err
	}
	name.Suffix = string(suffix)
	if len(suffixes) >= maxCached {
		clear(suffixes)
	}
	suffixes[rec.suffix] = name.Suffix
	return name, nil
}

// Release closes the descriptors that are kept for FileName. They are opened again when
// needed.
func (m *Mailbox) Release() {
	if m.files != nil {
		m.files.close() // of files that were only read
		m.files, m.near = nil, nil
	}
}

// FileNames are the names of a mailbox's files at one instant.
type FileNames struct {
	id    string
	files *files // nil: no name is on disk
	disk  extent
	uids  mailaccess.UIDSet
	slots []uint32 // of each message, ascending by UID
	names map[mailaccess.UID]FileName
}

// FileNames captures the names of all messages, which takes 4 octets for each and a copy
// of those that changed since the checkpoint. Reading happens afterwards, without the
// caller's lock. It needs the rows, and no other method may run at the same time.
func (m *Mailbox) FileNames() (*FileNames, error) {
	t := m.rows()
	f := &FileNames{id: m.id, disk: m.disk, uids: m.uids, slots: t.slots(m.uids.Len())}
	if m.disk.slots > 0 {
		if err := m.openKept(); err != nil {
			return nil, fmt.Errorf("file names in index of mailbox %s: %w", m.id, err)
		}
		f.files = m.files.use()
	}
	f.names = make(map[mailaccess.UID]FileName, len(m.names))
	for uid, name := range m.names {
		f.names[uid] = name
	}
	return f, nil
}

// slots returns the slots of all rows, n of them, ascending by UID.
func (t *table) slots(n int) []uint32 {
	slots := make([]uint32, 0, n)
	for i := range t.chunks {
		for j := range t.chunks[i].cells {
			slots = append(slots, t.chunks[i].cells[j].slot)
		}
	}
	return slots
}

// All yields them ascending by UID, reading mostly in sequence. After an error it ends. It
// may run several times, at the same time too.
func (f *FileNames) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var src *source
		if f.files != nil {
			src = newSource(f.files, f.disk, sequential)
		}
		suffixes := make(map[uint32]string)
		i := 0
		for uid := range f.uids.All() {
			e := Entry{UID: uid}
			var ok bool
			if e.FileName, ok = f.names[uid]; !ok {
				var err error
				if e.FileName, err = src.fileName(f.slots[i], uid, suffixes); err != nil {
					yield(Entry{}, fmt.Errorf("file names in index of mailbox %s: %w", f.id, err))
					return
				}
			}
			if !yield(e, nil) {
				return
			}
			i++
		}
	}
}

// Close releases the descriptors. All must not be running.
func (f *FileNames) Close() error {
	if f.files == nil {
		return nil
	}
	err := f.files.close()
	f.files = nil
	return err
}
