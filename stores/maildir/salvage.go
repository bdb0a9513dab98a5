package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Work on files is done in the order of the commits, but a loss of power may keep a later
// part of it and lose an earlier one; and when the log is gone through again, what is done
// first may find that everything was done, and more. What follows is for both.

// inventory is what is in the directories of mailboxes while the log is gone through again,
// by the part of the name that does not change. Nil at other times.
type inventory map[*mailbox]map[string]found

func (v inventory) find(b *mailbox, base string) (fsys.Dir, string, error) {
	all := v[b]
	if all == nil {
		all = make(map[string]found)
		for _, at := range []index.Place{index.PlaceNew, index.PlaceCur} {
			for e, err := range b.at(at).Names(0) {
				if err != nil {
					return nil, "", err
				}
				all[baseOf(e.Name)] = found{e.Name, at}
			}
		}
		v[b] = all
	}
	f, ok := all[base]
	if !ok {
		return nil, "", fmt.Errorf("%s: %w", base, fs.ErrNotExist)
	}
	return b.at(f.place), f.name, nil
}

// came notes a name in cur.
func (v inventory) came(b *mailbox, name string) {
	if all := v[b]; all != nil {
		all[baseOf(name)] = found{name, index.PlaceCur}
	}
}

func (v inventory) left(b *mailbox, name string) {
	delete(v[b], baseOf(name))
}

// placedBefore reports whether a file was placed before the log was gone through again,
// whatever flags its name has got since.
func (a *account) placedBefore(t *task) (bool, error) {
	if a.inventory == nil {
		return false, nil
	}
	dir, have, err := a.find(t.box, t.base)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !t.from.Move {
		return err == nil, err
	}
	// Its first name may have come back with the work before this.
	src := a.sourceBox(t.from.Box)
	if src == nil || a.openDirs(src) != nil {
		return true, nil
	}
	from, old, err := a.find(src, t.from.Base)
	if err != nil {
		return true, nil
	}
	if same, err := sameFile(from, old, dir, have); err != nil || !same {
		return true, err
	}
	a.inventory.left(src, old)
	return true, from.Remove(old)
}

// sameFile reports whether two names are links of one file.
func sameFile(d fsys.Dir, name string, other fsys.Dir, otherName string) (bool, error) {
	x, err := d.Lstat(name)
	if err != nil {
		return false, err
	}
	y, err := other.Lstat(otherName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && x.Inode == y.Inode, err
}

// salvage gives a message whose file is not where it should come from one of those with
// the same content: of another message, or one that is kept. When there is none the message
// is gone: the next scan says so.
func (a *account) salvage(t *task, name string) error {
	a.mu.Lock()
	wanted := !t.box.deleted && t.box.ix.UIDs().Contains(t.uid)
	a.mu.Unlock()
	if !wanted {
		return nil // it went on since
	}
	places, err := a.placesOf(t)
	if err != nil {
		return err
	}
	for _, p := range places {
		if err := a.openDirs(p.box); err != nil {
			continue
		}
		dir, have, err := a.find(p.box, p.base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = a.link(dir, have, t.box, name)
		}
		return err
	}
	err = a.salvageKept(t, name)
	if errors.Is(err, fs.ErrNotExist) {
		a.store.log.Error("the file of a message is gone", zap.String("account", a.key), zap.String("mailbox", t.box.Name), zap.String("file", name))
		a.mu.Lock()
		t.box.scan.forced = true
		a.mu.Unlock()
		return nil
	}
	return err
}

// messagePlace is a message's file.
type messagePlace struct {
	box  *mailbox
	uid  mailaccess.UID
	base string
}

// dropGhosts removes files that came back while the log was gone through again and whose
// messages went on since, where the work that took them away was not to be done again. They
// are links of files that are elsewhere.
func (a *account) dropGhosts() error {
	for _, p := range a.replaced {
		a.mu.Lock()
		wanted := p.box.deleted || p.box.ix.UIDs().Contains(p.uid)
		a.mu.Unlock()
		if wanted {
			continue
		}
		dir, name, err := a.find(p.box, p.base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := dir.Lstat(name)
		if err != nil {
			return err
		}
		if info.Links < 2 {
			continue // it would be the last of its content
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
		a.inventory.left(p.box, name)
	}
	a.replaced = nil
	return nil
}

// placesOf returns where else the content of a task's message may be.
func (a *account) placesOf(t *task) (places []messagePlace, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.boxes {
		if _, err := a.loaded("find", b.ID); err != nil {
			return nil, err
		}
		for uid := range b.ix.FindEmail(t.email) {
			if b == t.box && uid == t.uid {
				continue
			}
			name, err := b.ix.FileName(uid)
			if err != nil {
				return nil, err
			}
			places = append(places, messagePlace{b, uid, name.Base})
		}
	}
	return places, nil
}

// salvageKept looks among the messages that were expunged.
func (a *account) salvageKept(t *task, name string) error {
	all, err := a.dir.Sub(expungedDir)
	if err != nil {
		return err
	}
	defer all.Close()
	for box, err := range all.Names(0) {
		if err != nil {
			return err
		}
		if !isID(box.Name) {
			continue
		}
		d, err := all.Sub(box.Name)
		if err != nil {
			continue // no directory of ours
		}
		err = a.linkKept(d, t, name)
		d.Close() // it was only read
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fs.ErrNotExist
}

func (a *account) linkKept(d fsys.Dir, t *task, name string) error {
	for e, err := range d.Names(0) {
		if err != nil {
			return err
		}
		if k, ok := parseKept(e.Name); ok && k.email == t.email {
			return a.link(d, e.Name, t.box, name)
		}
	}
	return fs.ErrNotExist
}

// grave returns the name under which the directory of a mailbox that was deleted is kept;
// empty when it is not.
func (a *account) grave(id mailaccess.MailboxID) (string, error) {
	all, err := a.dir.Sub(expungedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer all.Close()
	for e, err := range all.Names(0) {
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(e.Name, "."+string(id)) {
			return e.Name, nil
		}
	}
	return "", nil
}

// openAstray opens the directory of a mailbox that is not where it should be: one that was
// deleted is kept, and a new name may have come to the disk and the log of it not.
func (a *account) openAstray(b *mailbox) (fsys.Dir, error) {
	l, err := a.listFolders()
	if err != nil {
		return nil, err
	}
	for _, dir := range l.dirs {
		if id, err := a.folderID(dir); err == nil && id == b.ID {
			return a.dir.Sub(dir)
		}
	}
	name, err := a.grave(b.ID)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, fmt.Errorf("directory of mailbox %s: %w", b.ID, fs.ErrNotExist)
	}
	all, err := a.dir.Sub(expungedDir)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	return all.Sub(name)
}
