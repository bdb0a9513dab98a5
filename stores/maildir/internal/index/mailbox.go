package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Mailbox is one mailbox of the index. It is not safe for concurrent use; methods that
// only read may run at the same time, except FileName and FileNames. What is captured, and
// what a method returns, does not change and may be used without the caller's lock.
//
// Unless said otherwise a method works on a mailbox that is not loaded too. Those that
// need the rows panic when they are not there: that is a defect of the caller, who has to
// Load before committing to a change.
type Mailbox struct {
	dir    fsys.Dir
	id     string
	limits Options

	head             // as it is now, but for logPos, head.disk and head.gone, which are those of the checkpoint on disk
	counts Counts    // while the mailbox is not loaded
	lazy   *lazySets // nil: head has its sets
	runs   int       // of the sets in head, about
	disk   extent    // what of the files counts, or may count for a head that was not confirmed
	gens   uint64    // the highest generation that there may be files of
	old    []uint64  // generations that there may be files of and that no head needs

	loaded  bool
	table   table
	kw      keywordTable
	zones   zones
	large   map[mailaccess.UID]int64 // sizes that do not fit into a cell
	history history

	names     map[mailaccess.UID]FileName // that differ from those on disk, or may
	nameBytes int                         // what they take up
	files     *files                      // kept for FileName; may be nil
	near      *source                     // reads file names from files; nil: not yet
	suffixes  map[uint32]string           // by their place in the names file
	strings   map[string]uint32           // where the names file has suffixes and keywords
	looked    int                         // how many rows FindBases has looked at, for tests

	newborn        bool   // from New, and without a checkpoint
	version, saved uint64 // how many changes there were, and how many of them the disk has
	pending        *Checkpoint
}

func newMailbox(dir fsys.Dir, id string, opts *Options) *Mailbox {
	m := &Mailbox{dir: dir, id: id, limits: opts.limits()}
	m.forgetRows()
	return m
}

// New returns an empty mailbox, loaded, with no number and UIDNext 1. Nothing is on disk
// before its first checkpoint, which replaces what was there under this id.
func New(dir fsys.Dir, id string, opts *Options) *Mailbox {
	m := newMailbox(dir, id, opts)
	m.uidNext, m.recent = 1, 1
	m.loaded, m.newborn = true, true
	m.version = 1
	return m
}

// Open reads the head of a mailbox. fs.ErrNotExist when there is none, ErrCorrupt when
// it is not what was written.
func Open(dir fsys.Dir, id string, opts *Options) (*Mailbox, error) {
	m := newMailbox(dir, id, opts)
	b, err := readAll(dir, headName(id))
	if err != nil {
		return nil, fmt.Errorf("open index of mailbox %s: %w", id, err)
	}
	m.lazy = new(lazySets)
	m.head, m.counts, m.lazy.raw, err = decodeHead(b, id)
	if err != nil {
		return nil, fmt.Errorf("open index of mailbox %s: %w: %w", id, ErrCorrupt, err)
	}
	m.disk = m.head.disk
	m.gens = m.disk.gen
	// What a checkpoint that was broken off left behind: the generation that it was to
	// replace, or the one that it was writing.
	if m.old = []uint64{m.gens + 1}; m.gens > 1 {
		m.old = append(m.old, m.gens-1)
	}
	return m, nil
}

func readAll(dir fsys.Dir, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxHead {
		return nil, fmt.Errorf("%w: it has %d octets", ErrCorrupt, size)
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}

// maxHead is the longest head that is read, in octets: one whose sets have every other
// UID there is takes 24 GiB, which nobody has; this is that of 70 million such messages.
const maxHead = 1 << 29

// Remove deletes the files of a mailbox. It is no error if there are none. It does not
// sync the directory.
func Remove(dir fsys.Dir, id string) error {
	// Without its head the rest is nothing.
	err := removeFile(dir, headName(id))
	if err == nil {
		err = removeFilesBut(dir, id)
	}
	if err != nil {
		return fmt.Errorf("remove index of mailbox %s: %w", id, err)
	}
	return nil
}

// removeFilesBut removes the files of a mailbox but for its head and those that are kept.
func removeFilesBut(dir fsys.Dir, id string, keep ...string) error {
	var names []string
	for e, err := range dir.Names(0) {
		if err != nil {
			return err
		}
		rest, ok := strings.CutPrefix(e.Name, id+".")
		if ok && (e.Name == tempName(id) || strings.HasPrefix(rest, "rows.") || strings.HasPrefix(rest, "names.")) &&
			!slices.Contains(keep, e.Name) {
			names = append(names, e.Name)
		}
	}
	for _, name := range names {
		if err := removeFile(dir, name); err != nil {
			return err
		}
	}
	return nil
}

// removeFile is no error if there is none.
func removeFile(dir fsys.Dir, name string) error {
	if err := dir.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ID is the id that the mailbox was opened with.
func (m *Mailbox) ID() string { return m.id }

// ModSeq is the mailbox's highest change number.
func (m *Mailbox) ModSeq() mailaccess.ModSeq { return m.modseq }

// UIDNext is above every UID that was ever used.
func (m *Mailbox) UIDNext() mailaccess.UID { return m.uidNext }

// Recent is the watermark of mailaccess.RecentKeeper, at first 1.
func (m *Mailbox) Recent() mailaccess.UID { return m.recent }

// Counts are the sizes of the sets that follow, which need not be in memory for it.
func (m *Mailbox) Counts() Counts {
	if m.loaded {
		return m.head.counts()
	}
	return m.counts
}

// UIDs are those of all messages.
func (m *Mailbox) UIDs() mailaccess.UIDSet { return m.sets().uids }

// Unseen are the UIDs of the messages without \Seen.
func (m *Mailbox) Unseen() mailaccess.UIDSet { return m.sets().unseen }

// Trashed are the UIDs of the messages with \Deleted.
func (m *Mailbox) Trashed() mailaccess.UIDSet { return m.sets().trashed }

// lazySets are the sets of a head as the file has them, until somebody asks for them:
// opening a mailbox takes no longer for many messages than for few.
type lazySets struct {
	once sync.Once
	raw  []byte
	err  error
}

// sets returns the head with its sets. That they could not be read is told by Load and Write.
func (m *Mailbox) sets() *head {
	if l := m.lazy; l != nil {
		l.once.Do(func() {
			m.runs, l.err = m.head.decodeSets(l.raw, m.counts)
			l.raw = nil
		})
	}
	return &m.head
}

// setsErr is why the sets could not be read, if they could not.
func (m *Mailbox) setsErr() error {
	if m.sets(); m.lazy != nil && m.lazy.err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, m.lazy.err)
	}
	return nil
}

// Size is the sum of the sizes that are known, in octets, and how many are not.
func (m *Mailbox) Size() (known int64, unknown int) { return m.size, m.unknown }

// Keywords are those in use, in the spelling that came first.
func (m *Mailbox) Keywords() mailaccess.Keywords { return m.keywords }

// Spelled returns k with each keyword that is in use spelled as it is there.
func (m *Mailbox) Spelled(k mailaccess.Keywords) mailaccess.Keywords {
	if k.IsEmpty() || m.kw.index[k] != 0 {
		return k
	}
	return m.keywords.Union(k).Minus(m.keywords.Minus(k))
}

// Floor: every removal after this number is remembered.
func (m *Mailbox) Floor() mailaccess.ModSeq { return m.floor }

// LogPos is the position of the commit log up to which the checkpoint on disk holds; 0
// when there is none.
func (m *Mailbox) LogPos() uint64 { return m.logPos }

// DirTimes are the times of the directories cur and new, in Unix nanoseconds, at which
// the index agreed with them; 0: not trusted.
func (m *Mailbox) DirTimes() (curTime, newTime int64) { return m.curTime, m.newTime }

// Created is the number of the mailbox's creation.
func (m *Mailbox) Created() mailaccess.ModSeq { return m.created }

// Changed is the number of the last change to the mailbox itself.
func (m *Mailbox) Changed() mailaccess.ModSeq { return m.changed }

// Meta is the caller's. It must not be changed.
func (m *Mailbox) Meta() []byte { return m.meta }

// Dirty reports whether there is anything that the checkpoint on disk does not have.
func (m *Mailbox) Dirty() bool { return m.version != m.saved }

// Loaded reports whether the rows are in memory.
func (m *Mailbox) Loaded() bool { return m.loaded }

// Resident is about how many octets the mailbox holds in memory.
func (m *Mailbox) Resident() int64 {
	n := int64(unsafe.Sizeof(*m)) + int64(m.runs)*8 + int64(cap(m.meta)+len(m.keywords.String()))
	n += int64(cap(m.table.chunks)) * int64(unsafe.Sizeof(chunk{}))
	for i := range m.table.chunks {
		n += int64(cap(m.table.chunks[i].cells)) * int64(unsafe.Sizeof(cell{}))
		if m.table.chunks[i].bases != nil {
			n += int64(unsafe.Sizeof(baseFilter{}))
		}
	}
	n += int64(cap(m.history.gone)) * int64(unsafe.Sizeof(Gone{}))
	n += int64(cap(m.history.log))*int64(unsafe.Sizeof(change{})) + int64(m.history.runs)*8
	// What a map takes for each entry, about.
	n += int64(len(m.large)) * 32
	n += int64(len(m.names))*(32+int64(unsafe.Sizeof(FileName{}))) + int64(m.nameBytes)
	n += int64(len(m.suffixes)+len(m.strings)) * 96
	return n + int64(cap(m.kw.sets))*64 + int64(len(m.kw.late))*32 + int64(len(m.kw.words))*64
}

// forgetRows sets what there is of a mailbox without rows.
func (m *Mailbox) forgetRows() {
	m.table = table{size: m.limits.chunkLen}
	m.kw = keywordTable{limit: m.limits.keywordSets}
	m.zones, m.large, m.history = nil, nil, history{}
}

// rows is called by what needs them.
func (m *Mailbox) rows() *table {
	if !m.loaded {
		panic("index: mailbox " + m.id + " is not loaded")
	}
	return &m.table
}
