package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// task is work on files that follows a commit. It may be done again: where the result is
// there already, it is done. Tasks of an account are done in the order of the commits,
// under the lead.
type task struct {
	kind taskKind
	box  *mailbox
	uid  mailaccess.UID
	// base and suffix are the name of the message's file: the one that it gets
	// (placeFile), or the one that it has (keepFile).
	base, suffix string
	place        index.Place // keepFile: where it is
	from         source      // placeFile
	kept         string      // keepFile: the suffix that it gets
	time         int64       // keepFile: Unix seconds
	email        uint32      // the number of the content
	run          func() error
}

type taskKind uint8

const (
	placeFile taskKind = iota // into cur
	keepFile                  // to the expunged messages
	runTask                   // whatever run does
)

// work does tasks. One that fails is kept and tried again before the next change; until
// then its message is read from where its file still is.
func (a *account) work(tasks []task) {
	for i := range tasks {
		t := &tasks[i]
		err := errPending
		if !a.blocked(t) {
			err = a.doTask(t)
		}
		if err != nil {
			a.mu.Lock()
			a.pending = append(a.pending, *t)
			n := len(a.pending)
			a.mu.Unlock()
			if n == 1 {
				a.store.log.Warn("a message file is not where it belongs yet", zap.String("account", a.key), zap.String("file", t.base), zap.Error(err))
			}
		}
	}
}

// blocked reports whether an earlier task has yet to be done that is of the same message, or
// that needs the file which t takes away.
func (a *account) blocked(t *task) bool {
	if t.kind == runTask {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.pending {
		p := &a.pending[i]
		switch {
		case p.kind == runTask:
		case p.box == t.box && p.uid == t.uid,
			p.from.Base != "" && t.kind == keepFile && p.from.Box == t.box.ID && p.from.Base == t.base,
			p.from.Base != "" && t.from.Move && p.from.Box == t.from.Box && p.from.Base == t.from.Base:
			return true
		}
	}
	return false
}

// redoPending tries again what failed. The lead is held.
func (a *account) redoPending() {
	a.mu.Lock()
	tasks := a.pending
	a.pending = nil
	a.mu.Unlock()
	if len(tasks) > 0 {
		a.work(tasks)
	}
}

func (a *account) doTask(t *task) error {
	switch t.kind {
	case placeFile:
		return a.place(t)
	case keepFile:
		return a.keep(t)
	default:
		return t.run()
	}
}

// place puts the file of a message into cur.
func (a *account) place(t *task) error {
	if err := a.openDirs(t.box); err != nil {
		if !errors.Is(err, fs.ErrNotExist) || a.patient {
			return err
		}
		// Another program removed it all, or a loss of power did.
		a.store.log.Error("the directory of a mailbox is gone", zap.String("account", a.key), zap.String("directory", t.box.dirName), zap.String("file", t.base))
		return nil
	}
	if a.inventory != nil {
		a.replaced = append(a.replaced, messagePlace{t.box, t.uid, t.base})
	}
	a.noteCopied(t)
	name := t.base + t.suffix
	again, err := a.placedBefore(t)
	switch {
	case err != nil || again:
	case t.from.Spool != "":
		err = a.link(a.store.spool, t.from.Spool, t.box, name)
	default:
		err = a.placeFrom(t, name)
	}
	if errors.Is(err, fs.ErrNotExist) && !a.patient {
		err = a.salvage(t, name)
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.box.deleted {
		a.dirtied(t.box, t.box.cur)
		return nil
	}
	t.box.ix.SetFileName(t.uid, index.FileName{Base: t.base, Suffix: t.suffix, Place: index.PlaceCur})
	if t.from.Spool != "" {
		a.spent = append(a.spent, t.from.Spool)
	}
	a.dirtied(t.box, t.box.cur)
	return nil
}

// placeFrom links or renames a message's file from another place.
func (a *account) placeFrom(t *task, name string) error {
	src := a.sourceBox(t.from.Box)
	if src == nil {
		return fs.ErrNotExist // deleted long since
	}
	if err := a.openDirs(src); err != nil {
		return err
	}
	dir, have := src.at(t.from.Place), t.from.Base+t.from.Suffix
	err := a.carry(t, src, dir, have, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// Somebody else changed its name meanwhile.
	if dir, have, err = a.find(src, t.from.Base); err != nil {
		return err
	}
	return a.carry(t, src, dir, have, name)
}

// sourceBox returns the mailbox of a file; one that was deleted has it until the next
// checkpoint.
func (a *account) sourceBox(id mailaccess.MailboxID) *mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.boxes[id]; b != nil {
		return b
	}
	return a.buried[id]
}

// carry links or renames a file into cur.
func (a *account) carry(t *task, src *mailbox, dir fsys.Dir, have, name string) error {
	if !t.from.Move {
		return a.link(dir, have, t.box, name)
	}
	err := a.naming(func() error { return dir.Rename(have, t.box.cur, name) },
		naming{box: src, place: src.placeOf(dir), name: have}, naming{box: t.box, place: index.PlaceCur, name: name, came: true})
	if err != nil {
		return err
	}
	a.inventory.left(src, have)
	a.inventory.came(t.box, name)
	a.mu.Lock()
	a.dirtied(src, dir)
	a.mu.Unlock()
	return nil
}

// link gives a file a name in cur, or copies it where links cannot be made.
func (a *account) link(from fsys.Dir, old string, b *mailbox, name string) error {
	err := a.naming(func() error { return from.Link(old, b.cur, name) }, naming{box: b, place: index.PlaceCur, name: name, came: true})
	switch {
	case err == nil, errors.Is(err, fs.ErrExist):
		a.inventory.came(b, name)
		return nil
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return a.copyFile(from, old, b, name)
	}
	return err
}

// copyFile copies a file into cur by way of tmp.
func (a *account) copyFile(from fsys.Dir, old string, b *mailbox, name string) (err error) {
	tmp, err := subdir(b.dir, "tmp")
	if err != nil {
		return err
	}
	defer tmp.Close()
	src, err := from.Open(old)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Info()
	if err != nil {
		return err
	}
	temporary := a.store.unique.Next()
	dst, err := tmp.Create(temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tmp.Remove(temporary))
		}
	}()
	_, err = io.Copy(dst, io.NewSectionReader(src, 0, info.Size))
	if err == nil {
		err = dst.SetModTime(info.ModTime)
	}
	if err == nil {
		err = dst.Sync()
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		return err
	}
	return a.naming(func() error { return tmp.Rename(temporary, b.cur, name) }, naming{box: b, place: index.PlaceCur, name: name, came: true})
}

// find looks for a message's file by its base, in cur and new. The directories are open.
func (a *account) find(b *mailbox, base string) (fsys.Dir, string, error) {
	if a.inventory != nil {
		return a.inventory.find(b, base)
	}
	for _, dir := range []fsys.Dir{b.cur, b.new} {
		for e, err := range dir.Names(0) {
			if err != nil {
				return nil, "", err
			}
			if baseOf(e.Name) == base {
				return dir, e.Name, nil
			}
		}
	}
	return nil, "", fmt.Errorf("%s: %w", base, fs.ErrNotExist)
}

// at returns the directory of a place. The directories are open.
func (b *mailbox) at(p index.Place) fsys.Dir {
	if p == index.PlaceNew {
		return b.new
	}
	return b.cur
}

// placeOf is the inverse of at.
func (b *mailbox) placeOf(d fsys.Dir) index.Place {
	if d == b.new {
		return index.PlaceNew
	}
	return index.PlaceCur
}

// openDirs opens the directories of a mailbox, if they are not open.
func (a *account) openDirs(b *mailbox) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.openDirsLocked(b)
}

func (a *account) openDirsLocked(b *mailbox) error {
	b.opened = a.store.now()
	if b.cur != nil && !b.rested {
		return nil
	}
	dir, err := a.openFolder(b)
	if errors.Is(err, fs.ErrNotExist) && (b.deleted || a.inventory != nil) {
		dir, err = a.openAstray(b)
	}
	if err != nil {
		return err
	}
	a.warnOfLists(b, dir)
	cur, err := subdir(dir, "cur")
	if err != nil {
		return errors.Join(err, a.closeFolder(dir))
	}
	fresh, err := subdir(dir, "new")
	if err != nil {
		return errors.Join(err, cur.Close(), a.closeFolder(dir))
	}
	c, err := cur.Stat()
	n, errNew := fresh.Stat()
	if err = errors.Join(err, errNew); err != nil {
		return errors.Join(err, cur.Close(), fresh.Close(), a.closeFolder(dir))
	}
	b.scan.curInode, b.scan.newInode = c.Inode, n.Inode
	b.dir, b.new, b.cur, b.rested = dir, fresh, cur, false
	b.open = true
	a.store.openBoxes.Add(1)
	return nil
}

// rest closes the directories of a mailbox that nobody uses: one session may look at ten
// thousand mailboxes. What the next checkpoint would have synced is synced before.
func (a *account) rest(b *mailbox, now time.Time) error {
	return a.do(&change{op: "close directories", boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		if err := a.settleFolder(b); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if b.cur == nil || b.rested || b.deleted || !b.idle(now) {
			return nil
		}
		// What still has one of them finds it closed, and opens it again.
		a.closeBox(b)
		b.kept, b.rested = nil, true
		return nil
	}})
}

// restAfter is how long directories stay open that nobody needs.
const restAfter = time.Minute

// idle reports whether nobody has needed the directories for a while. a.mu is held.
func (b *mailbox) idle(now time.Time) bool {
	return b.holds == 0 && !b.scan.watched && now.Sub(b.opened) >= restAfter
}

// dirtied notes that a directory has to be synced before the next checkpoint. a.mu is held.
func (a *account) dirtied(b *mailbox, d fsys.Dir) {
	a.unsynced[d] = struct{}{}
	b.scan.ours++
}
