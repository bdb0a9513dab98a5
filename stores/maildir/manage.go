package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// CreateMailbox makes a mailbox. Its directory is there, complete, before the log says so:
// a disk that refuses it fails the call, and nothing is left.
func (h *handle) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	const op = "create mailbox"
	if err := h.begin(ctx, op, mailaccess.RightCreate); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if use >= mailaccess.UseImportant<<1 {
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindUnsupported, name, errors.New("unknown special use"))
	}
	if err := h.lookAround(op); err != nil {
		return mailaccess.Mailbox{}, err
	}
	c := creation{a: h.account, op: op, box: createdBox{Name: name, Use: use, UIDNext: 1}}
	change := &change{op: op, before: c.before, undo: c.undo, plan: c.plan}
	if err := h.do(change); err != nil {
		return mailaccess.Mailbox{}, err
	}
	n := change.record.ModSeq
	return mailaccess.Mailbox{
		ID: c.box.Box, Name: name, UIDValidity: c.box.UIDValidity, Use: use, Rights: h.rights, Created: n, Changed: n,
	}, nil
}

// creation is a call of CreateMailbox.
type creation struct {
	a   *account
	op  string
	box createdBox
}

// before makes the directory. The lead is held.
func (c *creation) before() (err error) {
	a := c.a
	a.mu.Lock()
	taken, n := a.names[c.box.Name] != nil, len(a.boxes)
	a.mu.Unlock()
	switch {
	case taken:
		return fail(c.op, mailaccess.KindExists, c.box.Name, nil)
	case n >= a.store.opts.MaxMailboxes:
		return fail(c.op, mailaccess.KindLimit, c.box.Name, fmt.Errorf("an account has at most %d mailboxes", a.store.opts.MaxMailboxes))
	case a.meta.nextValidity == 0:
		return errNoValidity(c.op)
	}
	if c.box.Dir, err = a.meta.encoding.Encode(c.box.Name); err != nil {
		return err
	}
	c.box.Box, c.box.UIDValidity = a.newBoxID(), a.meta.nextValidity
	meta := a.meta
	meta.nextValidity = above(meta.nextValidity, c.box.UIDValidity)
	if err := a.writeMeta(meta); err != nil {
		return failDisk(c.op, c.box.Name, err)
	}
	return failFolder(c.op, c.box.Name, a.makeFolder(&c.box))
}

func (c *creation) plan(p *planner) (*record, error) {
	return &record{ModSeq: p.number(), Created: []createdBox{c.box}}, nil
}

func (c *creation) undo() {
	c.a.quietly("remove the directory of a mailbox that could not be made", c.a.withdrawFolder(&c.box))
}

// failFolder is failDisk for what a directory's name may meet.
func failFolder(op, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		// Another spelling of it, on a disk that tells no upper case from lower case, or
		// something that is no mailbox.
		return fail(op, mailaccess.KindExists, name, err)
	}
	return failDisk(op, name, err)
}

// applyCreated adds a mailbox. One that is there has been added before, and where another
// has the name this one is gone since. a.mu is held.
func (a *account) applyCreated(n mailaccess.ModSeq, c *createdBox) []task {
	if a.boxes[c.Box] != nil || a.names[c.Name] != nil {
		return nil
	}
	ix := index.New(a.indexDir, string(c.Box), a.indexOptions())
	ix.SetCreated(n)
	if c.UIDNext > 1 {
		ix.RaiseUIDNext(c.UIDNext)
		ix.RaiseFloor(n)
	}
	a.addBox(boxState{Box: c.Box, Name: c.Name, Dir: c.Dir, UIDValidity: c.UIDValidity, Use: c.Use, Reserved: c.UIDNext}, ix)
	return []task{{kind: runTask, base: c.Dir, run: func() error {
		// It is there, but when the log is gone through again.
		_, err := a.dir.Lstat(c.Dir)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if elsewhere, err := a.hasFolder(c.Box); elsewhere || err != nil {
			return err
		}
		return a.makeFolder(c)
	}}}
}

// RenameMailbox renames a mailbox and those below it.
func (h *handle) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	const op = "rename mailbox"
	if err := h.begin(ctx, op, mailaccess.RightRemove|mailaccess.RightCreate); err != nil {
		return err
	}
	if err := mailaccess.CheckMailboxName(name); err != nil {
		return err
	}
	if err := h.lookAround(op); err != nil {
		return err
	}
	r := boxRenaming{a: h.account, op: op, box: box, name: name}
	return h.do(&change{op: op, before: r.before, plan: r.plan})
}

// boxRenaming is a call of RenameMailbox.
type boxRenaming struct {
	a     *account
	op    string
	box   mailaccess.MailboxID
	name  string
	moves []renamedBox
}

// before finds out whether it can be done, on the disk too: the directories are renamed when
// the log says so, since there may be many. The lead is held.
func (r *boxRenaming) before() error {
	a := r.a
	a.mu.Lock()
	dirs, err := r.collect()
	a.mu.Unlock()
	if err != nil {
		return err
	}
	ours := make(map[uint64]bool, len(dirs))
	for _, dir := range dirs {
		info, err := a.dir.Lstat(dir)
		if err != nil {
			return failDisk(r.op, r.name, err)
		}
		ours[info.Inode] = true
	}
	for _, m := range r.moves {
		info, err := a.dir.Lstat(m.Dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return failDisk(r.op, m.Name, err)
		case !ours[info.Inode]:
			return failFolder(r.op, m.Name, fmt.Errorf("directory %s: %w", m.Dir, fs.ErrExist))
		}
	}
	return nil
}

// collect fills in the moves, and returns the directories that they are of. a.mu is held.
func (r *boxRenaming) collect() (dirs []string, err error) {
	a := r.a
	b, err := a.box(r.op, r.box)
	if err != nil {
		return nil, err
	}
	old := b.Name
	switch {
	case old == mailaccess.Inbox:
		return nil, fail(r.op, mailaccess.KindForbidden, old, nil)
	case r.name == old:
		return nil, fail(r.op, mailaccess.KindExists, old, nil)
	case strings.HasPrefix(r.name, old+"/"):
		return nil, fail(r.op, mailaccess.KindInvalid, old, errors.New("the new name is below the old one"))
	}
	for have, m := range a.names {
		rest, below := strings.CutPrefix(have, old+"/")
		if !below && m != b {
			continue
		}
		to := r.name
		if below {
			to += "/" + rest
		}
		dir, err := a.meta.encoding.Encode(to)
		if err != nil {
			return nil, err
		}
		// A name that is left by a mailbox that moves too is free.
		if other := a.names[to]; other != nil && other != b && !strings.HasPrefix(other.Name, old+"/") {
			return nil, fail(r.op, mailaccess.KindExists, to, nil)
		}
		r.moves = append(r.moves, renamedBox{Box: m.ID, Name: to, Dir: dir})
		dirs = append(dirs, m.dirName)
	}
	return dirs, nil
}

func (r *boxRenaming) plan(p *planner) (*record, error) {
	return &record{ModSeq: p.number(), Renamed: r.moves}, nil
}

// applyRenamed gives mailboxes other names, all at once. a.mu is held.
func (a *account) applyRenamed(n mailaccess.ModSeq, moves []renamedBox) []task {
	moving := make(map[*mailbox]renamedBox, len(moves))
	for _, m := range moves {
		if b := a.boxes[m.Box]; b != nil {
			moving[b] = m
		}
	}
	var boxes []*mailbox
	for b, m := range moving {
		if other := a.names[m.Name]; other != nil {
			if _, leaves := moving[other]; !leaves {
				continue // only when going through the log again: it has gone on since
			}
		}
		boxes = append(boxes, b)
	}
	for _, b := range boxes {
		if a.names[b.Name] == b {
			delete(a.names, b.Name)
		}
	}
	for _, b := range boxes {
		m := moving[b]
		b.Name, b.Changed, b.moveTo = m.Name, max(b.Changed, n), m.Dir
		b.ix.SetChanged(n)
		a.names[b.Name] = b
	}
	a.sorted = nil
	// A directory may take the name that another one leaves (a/b becomes a, and a/b/b
	// becomes a/b): then that one has the shorter name.
	slices.SortFunc(boxes, func(x, y *mailbox) int { return len(x.Name) - len(y.Name) })
	return []task{{kind: runTask, base: moves[0].Dir, run: func() error {
		var errs []error
		for _, b := range boxes {
			errs = append(errs, a.moveFolder(b))
		}
		return errors.Join(errs...)
	}}}
}

// DeleteMailbox removes a mailbox. Its directory goes, whole, to where expunged messages are
// kept.
func (h *handle) DeleteMailbox(ctx context.Context, box mailaccess.MailboxID) error {
	const op = "delete mailbox"
	if err := h.begin(ctx, op, mailaccess.RightRemove); err != nil {
		return err
	}
	return h.do(&change{op: op, plan: func(p *planner) (*record, error) {
		b, err := h.box(op, box)
		if err != nil {
			return nil, err
		}
		if b.Name == mailaccess.Inbox {
			return nil, fail(op, mailaccess.KindForbidden, b.Name, nil)
		}
		h.loadToBury(b)
		return &record{ModSeq: p.number(), Deleted: []deletedBox{{Box: box, Time: h.store.now().Unix()}}}, nil
	}})
}

// loadToBury loads the rows of a mailbox that is to be deleted, if they will be remembered.
// a.mu is held.
func (a *account) loadToBury(b *mailbox) {
	if !b.ix.Loaded() && b.ix.UIDs().Len() <= a.store.opts.HistoryLimit {
		a.quietly("load the index of a mailbox that goes", b.ix.Load())
	}
}

// applyDeleted takes a mailbox out. a.mu is held.
func (a *account) applyDeleted(n mailaccess.ModSeq, d *deletedBox) []task {
	b := a.boxes[d.Box]
	if b == nil {
		return nil
	}
	a.loadToBury(b)
	delete(a.boxes, b.ID)
	if a.names[b.Name] == b {
		delete(a.names, b.Name)
	}
	a.sorted = nil
	b.deleted = true
	a.forget = append(a.forget, b.ID)
	a.Tombstones = append(a.Tombstones, a.bury(b, n))
	if limit := a.store.opts.HistoryLimit; len(a.Tombstones) > limit {
		drop := (len(a.Tombstones) + 1) / 2
		a.Floor = max(a.Floor, a.Tombstones[drop-1].ModSeq)
		a.Tombstones = slices.Clone(a.Tombstones[drop:])
	}
	return []task{{kind: runTask, base: b.dirName, run: func() error { return a.buryFolder(b, d) }}}
}

// bury makes the tombstone of b, which goes with the number n. What was in b is remembered
// unless that is more than HistoryLimit, for all deleted mailboxes together. a.mu is held.
func (a *account) bury(b *mailbox, n mailaccess.ModSeq) tombstone {
	t := tombstone{Box: b.ID, Name: b.Name, ModSeq: n, Created: b.Created, Emptied: b.ix.Floor()}
	limit := a.store.opts.HistoryLimit
	if !b.ix.Loaded() || b.ix.UIDs().Len() > limit {
		t.Emptied = n
		return t
	}
	t.Gone = slices.Clone(b.ix.Vanished(b.ix.Floor()))
	var buf [batchLen]index.Row
	from := mailaccess.UID(1)
	for k := b.ix.Next(from, b.ix.UIDs(), 0, buf[:]); k > 0; k = b.ix.Next(from, b.ix.UIDs(), 0, buf[:]) {
		for i := range buf[:k] {
			t.Gone = append(t.Gone, index.Gone{UID: buf[i].UID, Created: buf[i].Created, ModSeq: n, Email: buf[i].Email, Thread: buf[i].Thread})
		}
		from = buf[k-1].UID + 1
	}
	total := len(t.Gone)
	for i := range a.Tombstones {
		total += len(a.Tombstones[i].Gone)
	}
	for i := 0; total > limit && i < len(a.Tombstones); i++ {
		old := &a.Tombstones[i]
		total -= len(old.Gone)
		old.Gone, old.Emptied = nil, old.ModSeq
	}
	if total > limit {
		t.Gone, t.Emptied = nil, n
	}
	return t
}

// tombstone returns that of a mailbox that was deleted, or nil. a.mu is held.
func (a *account) tombstone(id mailaccess.MailboxID) *tombstone {
	for i := range a.Tombstones {
		if a.Tombstones[i].Box == id {
			return &a.Tombstones[i]
		}
	}
	return nil
}
