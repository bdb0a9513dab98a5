package maildir

import (
	"errors"
	"io"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// headRead is how much of a file that arrives is read at once, in octets: most headers, and
// all of a short message.
const headRead = 32 << 10

// arriving is a file that becomes a message.
type arriving struct {
	row  index.Row
	name index.FileName
	keys []uint64
	old  mailaccess.UID // the message whose file it was; 0: of none
}

// arrive makes files messages, in one transaction.
func (d *difference) arrive(files []arrival) error {
	all := make([]arriving, 0, len(files))
	buf := make([]byte, headRead)
	for _, f := range files {
		row, keys, err := d.read(f, buf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			d.leaveOut(f, err)
			continue
		}
		base := baseOf(f.name)
		all = append(all, arriving{row, index.FileName{Base: base, Suffix: f.name[len(base):], Place: f.place}, keys, f.old})
	}
	if len(all) == 0 {
		return nil
	}
	c := &change{op: d.op, boxes: []mailaccess.MailboxID{d.b.ID}, adds: true, plan: func(p *planner) (*record, error) {
		return d.planArrive(p, all)
	}}
	d.a.together([]*change{c})
	return c.err
}

// leaveOut notes a file that cannot be read: it is tried again now and then.
func (d *difference) leaveOut(f arrival, err error) {
	d.a.mu.Lock()
	defer d.a.mu.Unlock()
	s := &d.b.scan
	if s.unread[f.name] {
		return
	}
	if s.unread == nil {
		s.unread = make(map[string]bool)
	}
	s.unread[f.name] = true
	d.a.store.log.Warn("a message file cannot be read: it is left out", zap.String("account", d.a.key), zap.String("mailbox", d.b.Name), zap.String("file", f.name), zap.Error(err))
}

func (d *difference) planArrive(p *planner, all []arriving) (*record, error) {
	a, b := d.a, d.b
	if err := a.loadThreads(); err != nil {
		return nil, failDisk(d.op, string(b.ID), err)
	}
	uid, err := p.uids(d.op, b, len(all))
	if err != nil {
		return nil, err
	}
	n := p.number()
	part := boxRecord{Box: b.ID}
	began := make(map[uint64]uint32) // threads that begin in this transaction
	var gone mailaccess.UIDSetBuilder
	for i := range all {
		row, keys := &all[i].row, all[i].keys
		row.UID, row.ModSeq, row.Created = uid+mailaccess.UID(i), n, n
		row.Flags.Keywords = b.ix.Spelled(row.Flags.Keywords)
		if row.Email, err = p.email(d.op); err != nil {
			return nil, err
		}
		row.Thread = a.threads.of(keys)
		for _, k := range keys {
			if row.Thread == 0 {
				row.Thread = began[k]
			}
		}
		if row.Thread == 0 {
			p.lastThread++
			row.Thread = p.lastThread
		}
		for _, k := range keys {
			if began[k] == 0 {
				began[k] = row.Thread
			}
		}
		part.Rows = index.AppendRow(part.Rows, *row, all[i].name)
		part.Threads = append(part.Threads, threadKeys{Thread: row.Thread, Keys: keys})
		if all[i].old != 0 {
			gone.AddUID(all[i].old)
		}
	}
	if !gone.Set().IsEmpty() {
		part.Removed = []removal{{UIDs: rangesOf(gone.Set().Intersect(b.ix.UIDs()))}}
	}
	return &record{ModSeq: n, Boxes: []boxRecord{part}}, nil
}

// read looks into a file: what the index keeps of it. Its size in canonical form is known
// when its name tells, or when it was read whole.
func (d *difference) read(f arrival, buf []byte) (row index.Row, keys []uint64, err error) {
	file, err := d.b.at(f.place).Open(f.name)
	if err != nil {
		return row, nil, err
	}
	defer file.Close()
	n, err := file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return row, nil, err
	}
	head := buf[:n]
	m, _ := maildirname.ParseMessage(f.name)
	row = index.Row{
		Size:     mailaccess.SizeUnknown,
		Received: time.Unix(f.info.ModTime.Unix(), 0).UTC(),
		Saved:    time.Unix(d.a.store.now().Unix(), 0).UTC(),
	}
	if row.Flags = f.flags; f.old == 0 {
		row.Flags, _ = d.keywords.Flags(m.Flags)
	}
	if int64(n) == f.info.Size && n < len(buf) {
		row.Size = canonicalSize(head)
	} else if f.old == 0 && m.Size == f.info.Size && plausible(m.Size, m.Wire, head) {
		row.Size = m.Wire
	}
	if n < len(buf) {
		keys, err = threadKeysOf(bytesAt(head), int64(len(head)))
	} else {
		keys, err = threadKeysOf(file, f.info.Size)
	}
	return row, keys, err
}

// plausible reports whether a file with this head and size may have the canonical length that
// its name tells.
func plausible(size, wire int64, head []byte) bool {
	least := int64(message.CountBareLF(head, false))
	return wire >= size+least && wire-size <= least+size-int64(len(head))
}

// canonicalSize is the length of a message in canonical form.
func canonicalSize(b []byte) int64 {
	w := message.NewCanonicalWriter(io.Discard)
	w.Write(b) //nolint:errcheck // nothing is written anywhere
	return w.Size()
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
