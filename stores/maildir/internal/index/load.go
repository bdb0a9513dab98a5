package index

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Load reads the rows, if they are not there. On an error nothing has changed; ErrCorrupt
// when they do not agree with the head.
func (m *Mailbox) Load() error {
	if m.loaded {
		return nil
	}
	// A mailbox that is not loaded has nothing of what follows.
	fresh := Mailbox{dir: m.dir, id: m.id, limits: m.limits, head: *m.sets(), disk: m.disk}
	fresh.forgetRows()
	err := m.setsErr()
	if err == nil {
		err = fresh.load()
	}
	if err != nil {
		return fmt.Errorf("load index of mailbox %s: %w", m.id, err)
	}
	m.table, m.kw, m.zones, m.large, m.history = fresh.table, fresh.kw, fresh.zones, fresh.large, fresh.history
	m.loaded = true
	return nil
}

// loadBuffer is how much of the rows file is read at once.
const loadBuffer = (256 << 10) / recordSize * recordSize

func (m *Mailbox) load() error {
	m.kw.all = m.keywords
	m.history.forget(m.modseq)
	if m.disk.gen == 0 {
		return m.agree()
	}
	src, err := openSource(m.dir, m.id, m.disk)
	if err != nil {
		return err
	}
	defer src.close()
	// Memory is taken for what there is, not for what the head says.
	if size, err := src.files.rows.Size(); err != nil {
		return err
	} else if size < src.rows.end {
		return fmt.Errorf("%w: %d records are missing", ErrCorrupt, (src.rows.end-size+recordSize-1)/recordSize)
	}

	// Rows stand where their UID has its place among all, whatever the order of the records.
	places := placesOf(m.uids)
	size := m.table.size
	chunks := make([]chunk, 0, (m.uids.Len()+size-1)/size)
	for left := m.uids.Len(); left > 0; left -= size {
		chunks = append(chunks, chunk{cells: make([]cell, min(left, size))})
	}
	words := make(map[uint32]mailaccess.Keywords)
	var gone []Gone
	buf := make([]byte, min(loadBuffer, int64(m.disk.slots)*recordSize))
	var rec record
	for slot := uint32(0); slot < m.disk.slots; {
		b := buf[:min(int64(len(buf)), int64(m.disk.slots-slot)*recordSize)]
		if err := readFull(src.files.rows, b, int64(slot)*recordSize); err != nil {
			return err
		}
		for ; len(b) > 0; b, slot = b[recordSize:], slot+1 {
			if !rec.decode(b, slot) {
				return damaged("record", int64(slot))
			}
			i, ok := places.find(rec.uid)
			switch {
			case rec.gone():
				if !ok && rec.modseq > m.floor {
					gone = append(gone, Gone{UID: rec.uid, Created: rec.created, ModSeq: rec.modseq, Email: rec.email, Thread: rec.thread})
				}
			case ok:
				k, err := src.keywords(words, rec.keywords)
				if err != nil {
					return err
				}
				m.place(&chunks[i/size].cells[i%size], &rec, k)
			}
		}
	}
	m.table.chunks = chunks
	// Of several for one UID the last one holds, as it does for rows.
	slices.Reverse(gone)
	slices.SortStableFunc(gone, func(a, b Gone) int { return cmp.Compare(a.UID, b.UID) })
	gone = slices.CompactFunc(gone, func(a, b Gone) bool { return a.UID == b.UID })
	slices.SortFunc(gone, compareGone)
	m.history.gone, m.history.saved = gone, uint64(len(gone))
	return m.agree()
}

// place puts a record into its cell, over an earlier one.
func (m *Mailbox) place(x *cell, rec *record, k mailaccess.Keywords) {
	if x.uid != 0 {
		m.kw.drop(x.uid, x.keywords)
		if x.size == sizeElsewhere {
			delete(m.large, x.uid)
		}
	}
	*x = rec.cell
	x.state = 0
	m.setSize(x, rec.bytes)
	m.zones.add(x.received)
	x.keywords = m.kw.hold(x.uid, k)
}

// agree reports whether the rows are those that the head tells of.
func (m *Mailbox) agree() error {
	rows, unseen, trashed := 0, 0, 0
	said := m.head
	m.size, m.unknown = 0, 0
	for i := range m.table.chunks {
		c := &m.table.chunks[i]
		for j := range c.cells {
			x := &c.cells[j]
			if x.uid == 0 {
				return fmt.Errorf("%w: a message has no record", ErrCorrupt)
			}
			if x.modseq > m.modseq {
				return fmt.Errorf("%w: message %d has a number above the highest one", ErrCorrupt, x.uid)
			}
			rows++
			if !x.system.Has(mailaccess.FlagSeen) {
				unseen++
			}
			if x.system.Has(mailaccess.FlagDeleted) {
				trashed++
			}
			m.count(x, 1)
		}
		c.measure()
	}
	if rows != said.uids.Len() || unseen != said.unseen.Len() || trashed != said.trashed.Len() ||
		m.size != said.size || m.unknown != said.unknown ||
		len(m.history.gone) != said.gone || m.kw.all != said.keywords || !m.kw.complete() {
		return fmt.Errorf("%w: the records are not those that the head counts", ErrCorrupt)
	}
	return nil
}

// Unload lets go of the rows and of descriptors. It reports false, and does nothing, when
// the mailbox is dirty or a checkpoint is under way.
func (m *Mailbox) Unload() bool {
	if m.Dirty() || m.pending != nil {
		return false
	}
	m.Release()
	m.counts = m.Counts()
	m.forgetRows()
	m.names, m.nameBytes, m.suffixes, m.strings = nil, 0, nil, nil
	m.loaded = false
	return true
}

// places finds the rank of UIDs that come mostly in ascending order.
type places struct {
	runs []placedRun
	at   int // the run that was used last
}

type placedRun struct {
	first, last mailaccess.UID
	before      int // members below first
}

func placesOf(uids mailaccess.UIDSet) places {
	var p places
	n := 0
	for r := range uids.Ranges() {
		p.runs = append(p.runs, placedRun{r.First, r.Last, n})
		n += int(r.Last-r.First) + 1
	}
	return p
}

// find returns how many members are below u, and whether it is one.
func (p *places) find(u mailaccess.UID) (int, bool) {
	for i := p.at; i < len(p.runs) && i < p.at+2; i++ {
		if r := &p.runs[i]; r.first <= u && u <= r.last {
			p.at = i
			return r.before + int(u-r.first), true
		}
	}
	i := sort.Search(len(p.runs), func(i int) bool { return p.runs[i].last >= u })
	if i == len(p.runs) || p.runs[i].first > u {
		return 0, false
	}
	p.at = i
	return p.runs[i].before + int(u-p.runs[i].first), true
}

func damaged(what string, at int64) error {
	return fmt.Errorf("%w: %s %d is damaged", ErrCorrupt, what, at)
}
