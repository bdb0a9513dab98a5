package maildir

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// errPending: the files of some messages are not where they belong, so that the log is
// still needed.
var errPending = errors.New("work on files is left to be done")

// logged notes that the account needs the log from pos on.
func (a *account) logged(pos commitlog.Pos) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == 0 {
		a.first = pos
	}
}

// checkpoint writes the account's index, so that the log before it is not needed any more.
// All that is slow happens while others go on.
func (a *account) checkpoint() error { return a.checkpointAs(false) }

// checkpointAs is checkpoint; the last one is followed by no change, unless it fails.
func (a *account) checkpointAs(last bool) error {
	a.onDisk.Lock()
	defer a.onDisk.Unlock()
	c := capture{last: last}
	err := a.do(&change{op: "checkpoint", alone: func() error { return c.take(a) }})
	if err != nil {
		return err
	}
	if c.clean {
		a.emptySpent(c.spent)
		return nil
	}
	err = c.write(a)
	a.mu.Lock()
	for i, b := range c.boxes {
		b.ix.Done(c.heads[i], err)
	}
	a.writing = 0
	if err != nil {
		// What the capture took over is due again.
		for _, d := range c.dirs {
			a.unsynced[d] = struct{}{}
		}
		a.spent = append(c.spent, a.spent...)
		a.threads.fresh = append(c.threads, a.threads.fresh...)
		if c.first != 0 {
			a.first = c.first
		}
		if last {
			a.lead.close(false)
		}
	} else {
		a.fresh, a.renewed = false, false
		maps.DeleteFunc(a.copied, func(_ string, number int) bool { return number <= c.number })
		for _, b := range c.buried {
			delete(a.buried, b.ID)
			a.closeBox(b)
		}
	}
	if err != nil && c.failed != nil && errors.Is(err, index.ErrCorrupt) {
		a.distrust(c.failed)
	}
	a.mu.Unlock()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.Join(err, a.reopenIndex())
		}
		return err
	}
	a.emptySpent(c.spent)
	if a.store.opts.KeepExpunged < 0 {
		a.sweep(a.store.now())
	}
	return nil
}

// reopenIndex makes the directory of the index again when somebody removed it. What was in it
// is made anew from the files.
func (a *account) reopenIndex() error {
	return a.do(&change{op: "checkpoint", alone: func() error {
		here, err := a.indexDir.Stat()
		if err != nil {
			return err
		}
		if there, err := a.dir.Lstat(indexDir); err == nil && there.Inode == here.Inode || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d, err := subdir(a.dir, indexDir)
		if err != nil {
			return err
		}
		a.store.log.Error("the directory of the index was removed: it is made anew", zap.String("account", a.key))
		a.mu.Lock()
		defer a.mu.Unlock()
		a.quietly("close", a.indexDir.Close())
		a.indexDir = d
		for _, b := range a.boxes {
			a.distrust(b)
		}
		return nil
	}})
}

// emptySpent removes what is durably linked elsewhere from the spool, except uploads that are
// open: they may be appended again.
func (a *account) emptySpent(names []string) {
	for _, name := range names {
		a.mu.Lock()
		_, open := a.uploads[name]
		if open {
			a.spent = append(a.spent, name)
		}
		a.mu.Unlock()
		if open {
			continue
		}
		if err := a.store.spool.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.quietly("remove from spool", err)
		}
	}
}

// capture is the state of an account on its way to the disk.
type capture struct {
	state   []byte
	boxes   []*mailbox
	heads   []*index.Checkpoint
	dirs    []fsys.Dir
	spent   []string
	threads []threadKeys
	number  int // of checkpoints that were begun before
	tag     string
	first   commitlog.Pos
	forget  []mailaccess.MailboxID // mailboxes that are no more
	buried  []*mailbox

	failed *mailbox // whose index could not be written

	last  bool // nothing is changed afterwards
	clean bool // there was nothing to do
}

// take captures the account. The lead is held.
func (c *capture) take(a *account) error {
	a.redoPending()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.pending) > 0 {
		return errPending
	}
	if c.last {
		a.lead.close(true)
		if c.clean = !a.dirty(); c.clean {
			c.spent, a.spent = a.spent, nil
			return nil
		}
	}
	a.Generation = a.store.state.generation
	end := uint64(a.store.commits.End())
	state := checkpointState{Version: 1, State: a.accountState}
	state.State.LogPos = end
	for _, b := range a.boxes {
		state.Boxes = append(state.Boxes, boxState{Box: b.ID, Name: b.Name, Dir: b.dirName, UIDValidity: b.UIDValidity, Use: b.Use, Reserved: b.reserved})
		// One that is not dirty holds whatever the log says.
		if b.ix.Dirty() || b.ix.LogPos() == 0 {
			c.boxes = append(c.boxes, b)
			c.heads = append(c.heads, b.ix.Capture(end))
		}
	}
	slices.SortFunc(state.Boxes, func(x, y boxState) int { return bytes.Compare([]byte(x.Box), []byte(y.Box)) })
	for name := range a.subscribed {
		state.Subscribed = append(state.Subscribed, name)
	}
	slices.Sort(state.Subscribed)
	var err error
	if c.state, err = a.store.encodeCheckpoint(&state); err != nil {
		for i, b := range c.boxes {
			b.ix.Done(c.heads[i], err)
		}
		if c.last {
			a.lead.close(false)
		}
		return err
	}
	for d := range a.unsynced {
		c.dirs = append(c.dirs, d)
	}
	clear(a.unsynced)
	c.spent, a.spent = a.spent, nil
	c.number = a.captures
	a.captures++
	c.threads, a.threads.fresh = a.threads.fresh, nil
	c.tag = a.Tag
	c.first, a.first, a.writing = a.first, 0, a.first
	c.forget = slices.Clone(a.forget)
	for _, b := range a.buried {
		c.buried = append(c.buried, b)
	}
	return nil
}

// write writes what was captured: first the files that the index speaks of, the index of
// each mailbox, and last the account's.
func (c *capture) write(a *account) error {
	for _, d := range c.dirs {
		if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrClosed) {
			return err
		}
	}
	for i, head := range c.heads {
		if err := head.Write(); err != nil {
			c.failed = c.boxes[i]
			return err
		}
	}
	if err := appendThreads(a.indexDir, c.tag, c.threads); err != nil {
		a.quietly("write threads", err) // only later messages miss them
	}
	if err := a.store.writeSmall(a.indexDir, checkpointFile, c.state); err != nil {
		return err
	}
	for _, id := range c.forget {
		err := index.Remove(a.indexDir, string(id))
		if err == nil {
			err = a.indexDir.Remove(uniqueIDFile(id))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	a.mu.Lock()
	a.forget = slices.DeleteFunc(a.forget, func(id mailaccess.MailboxID) bool { return slices.Contains(c.forget, id) })
	a.mu.Unlock()
	return nil
}

func (s *Store) encodeCheckpoint(state *checkpointState) ([]byte, error) {
	inner, err := s.codec.enc.Marshal(state)
	if err != nil {
		return nil, err
	}
	return s.codec.enc.Marshal(&accountCheckpoint{Sum: checksum(inner), State: inner})
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// readAll reads a file of the index.
func readAll(d fsys.Dir, name string) ([]byte, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Size()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, 0, n))
}

// The keys of threads are kept in a file to which each checkpoint adds: its octets, their
// checksum, and for each key the key and the thread. It may lose what was added last.

func threadsFile(tag string) string { return "threads-" + tag }

func appendThreads(d fsys.Dir, tag string, threads []threadKeys) error {
	if len(threads) == 0 {
		return nil
	}
	var body []byte
	for _, t := range threads {
		for _, k := range t.Keys {
			body = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(body, k), t.Thread)
		}
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, checksum(body))
	b = append(b, body...)
	f, err := d.OpenRW(threadsFile(tag))
	if errors.Is(err, fs.ErrNotExist) {
		f, err = d.Create(threadsFile(tag))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// loadThreads reads the keys, if they were not read. a.mu is held.
func (a *account) loadThreads() error {
	t := &a.threads
	if t.known != nil {
		return nil
	}
	known := make(map[uint64]uint32)
	enter := func(k uint64, thread uint32) {
		if known[k] == 0 {
			known[k] = thread
		}
	}
	b, err := readAll(a.indexDir, threadsFile(a.Tag))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for len(b) >= 8 {
		n, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		b = b[8:]
		if uint64(n) > uint64(len(b)) || checksum(b[:n]) != sum {
			a.store.log.Info("the end of the threads' file is damaged", zap.String("account", a.key))
			break
		}
		for body := b[:n]; len(body) >= 12; body = body[12:] {
			enter(binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint32(body[8:]))
		}
		b = b[n:]
	}
	for _, f := range t.fresh {
		for _, k := range f.Keys {
			enter(k, f.Thread)
		}
	}
	t.known = known
	return nil
}
