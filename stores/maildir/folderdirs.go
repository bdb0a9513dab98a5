package maildir

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

const (
	// halfFolder begins the name of a folder that is being made, with the mailbox's id.
	halfFolder = "mailaccess-new-"
	// folderMark is the file by which Maildir++ tells a folder.
	folderMark = "maildirfolder"
)

// makeFolder makes the directory of a mailbox, whole or not at all, and durable. fs.ErrExist
// when there is something of that name. The lead is held.
func (a *account) makeFolder(c *createdBox) error {
	if _, err := a.dir.Lstat(c.Dir); err == nil {
		return fmt.Errorf("directory %s: %w", c.Dir, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	half := halfFolder + string(c.Box)
	if err := a.removeFolder(half); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := a.dir.Mkdir(half)
	if err != nil {
		return err
	}
	if err = a.fillFolder(half, c); err == nil {
		err = a.dir.Rename(half, a.dir, c.Dir)
	}
	if err != nil {
		return errors.Join(err, a.removeFolder(half))
	}
	if err := a.dir.Sync(); err != nil {
		return errors.Join(err, a.withdrawFolder(c))
	}
	return nil
}

func (a *account) fillFolder(name string, c *createdBox) error {
	d, err := a.dir.Sub(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := d.Mkdir(sub); err != nil {
			return err
		}
	}
	f, err := d.Create(folderMark)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	meta := mailboxMeta{id: c.Box, validity: c.UIDValidity, reserved: c.UIDNext, use: c.Use}
	return a.store.writeSmall(d, mailboxFile, meta.text()) // which syncs d
}

// withdrawFolder takes makeFolder back. A folder into which something was delivered stays,
// and becomes a mailbox of its own.
func (a *account) withdrawFolder(c *createdBox) error {
	half := halfFolder + string(c.Box)
	if err := a.dir.Rename(c.Dir, a.dir, half); err != nil {
		return err
	}
	if err := a.removeFolder(half); err != nil {
		return errors.Join(err, a.dir.Rename(half, a.dir, c.Dir))
	}
	return a.dir.Sync()
}

// removeFolder removes a folder without messages.
func (a *account) removeFolder(name string) error {
	d, err := a.dir.Sub(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := d.RemoveDir(sub); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, file := range []string{folderMark, mailboxFile, mailboxFile + ".new"} {
		if err := d.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return a.dir.RemoveDir(name)
}

// holds reports whether the directory is that of the mailbox: there may be another one of
// that name when the log is gone through again.
func (a *account) holds(dir string, b *mailbox) (bool, error) {
	id, err := a.folderID(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return id == b.ID || id == "", err
}

// moveFolder brings the directory of a mailbox to where it belongs. It may be done again. The
// lead is held.
func (a *account) moveFolder(b *mailbox) error {
	a.mu.Lock()
	from, to := b.dirName, b.moveTo
	a.mu.Unlock()
	if to == "" || b.deleted {
		return nil
	}
	here, err := a.holds(from, b)
	if err != nil {
		return err
	}
	if from != to {
		a.unwatch(b)
	}
	if here && from != to {
		if err := a.dir.Rename(from, a.dir, to); err != nil {
			return err
		}
		if err := a.dir.Sync(); err != nil {
			return err
		}
	}
	a.mu.Lock()
	b.dirName, b.moveTo = to, ""
	a.mu.Unlock()
	return nil
}

// buryFolder moves the directory of a mailbox that was deleted to the expunged messages,
// with a file that tells its name. It may be done again. The lead is held.
func (a *account) buryFolder(b *mailbox, d *deletedBox) error {
	a.unwatch(b)
	if err := a.settleFolder(b); err != nil {
		return err
	}
	here, err := a.holds(b.dirName, b)
	if err != nil {
		return err
	}
	if d.Gone && here {
		// Unless it was made again, when the log is gone through.
		id, err := a.folderID(b.dirName)
		if err != nil {
			return err
		}
		here = id == b.ID
	}
	if here {
		if err := a.moveToExpunged(b, fmt.Sprintf("%d.%s", d.Time, b.ID)); err != nil {
			return err
		}
	}
	// What is open stays so until the next checkpoint, for work on files that failed.
	a.mu.Lock()
	defer a.mu.Unlock()
	b.ix.Release()
	return nil
}

// hasFolder reports whether the directory of a mailbox is anywhere, with the expunged
// messages too.
func (a *account) hasFolder(id mailaccess.MailboxID) (bool, error) {
	l, err := a.listFolders()
	if err != nil {
		return false, err
	}
	for _, dir := range l.dirs {
		if have, err := a.folderID(dir); err == nil && have == id {
			return true, nil
		}
	}
	name, err := a.grave(id)
	return name != "", err
}

// settleFolder syncs what the next checkpoint would have.
func (a *account) settleFolder(b *mailbox) error {
	var dirs []fsys.Dir
	a.mu.Lock()
	for _, d := range []fsys.Dir{b.cur, b.new, b.kept} {
		if _, due := a.unsynced[d]; due && d != nil {
			dirs = append(dirs, d)
		}
	}
	a.mu.Unlock()
	for _, d := range dirs {
		if err := d.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) moveToExpunged(b *mailbox, name string) error {
	all, err := subdir(a.dir, expungedDir)
	if err != nil {
		return err
	}
	defer all.Close()
	folder, err := a.dir.Sub(b.dirName)
	if err != nil {
		return err
	}
	if err = a.listBuried(b, folder); err == nil {
		err = a.store.writeSmall(folder, expungedName, []byte(b.Name))
	}
	if err = errors.Join(err, folder.Close()); err != nil {
		return err
	}
	if err := a.dir.Rename(b.dirName, all, name); err != nil {
		return err
	}
	return errors.Join(all.Sync(), a.dir.Sync())
}
