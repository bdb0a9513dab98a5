package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// batch are messages of one directory on their way into one mailbox.
type batch struct {
	u       *undeleting
	from    fsys.Dir
	path    string // of from, below the account's
	to      maildirname.Folder
	mailbox string   // where they were
	letters bool     // the letters of keywords mean the same there
	fresh   bool     // the folder is not there
	old     fsys.Dir // what the folder was, when it is fresh
	moved   []moving
}

// moving is a file that gets another place.
type moving struct {
	from, to string
	what     Undeleted
}

// directory adds the messages in a subdirectory.
func (b *batch) directory(name string, at time.Time) error {
	in, folder := b.from, b.path
	sub, err := in.Sub(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	b.old, b.from, b.path = in, sub, folder+"/"+name
	defer func() { b.from, b.path = in, folder }()
	for e, err := range sub.Names(0) {
		if err != nil {
			return err
		}
		if e.Type != 0 {
			continue
		}
		if err := b.add(e.Name, e.Name, at); err != nil {
			return err
		}
	}
	return b.flush()
}

// add takes a file along that was called name as a message.
func (b *batch) add(file, name string, at time.Time) error {
	m, ok := maildirname.ParseMessage(name)
	if !ok {
		return nil
	}
	info, err := b.from.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else had it first
	}
	if err != nil {
		return err
	}
	if !info.Mode.IsRegular() {
		return nil
	}
	flags := m.Flags
	flags.System &^= mailaccess.FlagDeleted
	if !b.letters {
		flags.Keywords = 0
	}
	// Messages in new have no information, unless there is something to tell.
	suffix := m.WithFlags(flags)[len(m.Base):]
	to := b.u.unique.Next()
	if m.Size == info.Size {
		to = maildirname.WithSizes(to, m.Size, m.Wire)
	}
	if suffix == ":2," || len(to)+len(suffix) > maildirname.MaxDir {
		suffix = ""
	}
	b.moved = append(b.moved, moving{file, to + suffix, Undeleted{
		Mailbox: b.mailbox, To: b.to.Name, Expunged: at, Received: info.ModTime, Size: info.Size, File: b.path + "/" + file,
	}})
	if len(b.moved) < undeleteBatch {
		return nil
	}
	return b.flush()
}

// flush brings what was added to its place, and reports it.
func (b *batch) flush() error {
	moved := b.moved
	b.moved = nil
	if err := b.u.ctx.Err(); err != nil || len(moved) == 0 {
		return err
	}
	if b.fresh {
		if err := b.u.makeAgain(b.to, b.old); err != nil {
			return err
		}
		b.fresh = false
	}
	var err error
	if !b.u.opts.List {
		moved, err = b.move(moved)
	}
	for _, m := range moved {
		b.u.report(m.what)
	}
	return err
}

// move renames files into new, and returns those that were there and are on disk in their
// new place, also after an error. One rename is the whole of it for each: a file is never in
// both places, so that nothing comes back twice, nor in none.
func (b *batch) move(files []moving) (moved []moving, err error) {
	folder, err := b.u.open(b.to)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.u.close(folder)) }()
	var into fsys.Dir
	for _, sub := range []string{"tmp", "cur", "new"} { // others expect all three
		d, err := subdir(folder, sub)
		if err != nil {
			return nil, err
		}
		if sub == "new" {
			into = d
			break
		}
		if err := d.Close(); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, into.Close()) }()
	var failed error
	for _, m := range files {
		err := b.from.Rename(m.from, into, m.to)
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept, or somebody else had it first
		}
		if failed = err; err != nil {
			break
		}
		moved = append(moved, m)
	}
	if err := errors.Join(into.Sync(), b.from.Sync()); err != nil {
		return nil, errors.Join(failed, err)
	}
	return moved, failed
}

// makeAgain makes the folder of a mailbox that was deleted, as other programs make one: it
// becomes a new mailbox. Its keywords are those of the old one.
func (u *undeleting) makeAgain(f maildirname.Folder, old fsys.Dir) error {
	u.byName[f.Name] = f
	if u.opts.List {
		return nil
	}
	if err := u.dir.Mkdir(f.Dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := u.dir.Sub(f.Dir)
	if err != nil {
		return fmt.Errorf("folder %s: %w", f.Dir, err)
	}
	defer d.Close()
	// It is a mailbox for others as soon as it has one of the directories.
	if err := copyKeywords(old, d); err != nil {
		return err
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := d.Mkdir(sub); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	mark, err := d.Create(folderMark)
	if err == nil {
		err = mark.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(d.Sync(), u.dir.Sync())
}

// copyKeywords copies what the letters mean into a folder that is not finished.
func copyKeywords(from, to fsys.Dir) error {
	text, err := readSmall(from, keywordsFile)
	if err != nil {
		return nil //nolint:nilerr // letters that cannot be told are ignored by all programs
	}
	if err := to.Remove(keywordsFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := to.Create(keywordsFile)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
