package maildir

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Messages that were expunged are kept for some time, in a directory that no client and no
// other server looks into:
//
//	mailaccess-expunged/
//	    MAILBOX-ID/              messages of that mailbox
//	        name                 the mailbox's name when something was expunged last
//	        TIME.EMAIL.BASE:2,FLAGS
//	    TIME.MAILBOX-ID/         a mailbox that was deleted, whole
//	        mailaccess-messages  which file is which content; see buried.go
//
// TIME is when, in seconds since 1970; EMAIL is the number of the content, in base 36.

const (
	expungedDir  = "mailaccess-expunged"
	expungedName = "name"
)

// keptName takes the name of a kept file apart.
type keptName struct {
	time  time.Time
	email uint32
	name  string // of the file before
}

func (k keptName) String() string {
	return strconv.FormatInt(k.time.Unix(), 10) + "." + strconv.FormatUint(uint64(k.email), 36) + "." + k.name
}

func parseKept(name string) (k keptName, ok bool) {
	seconds, rest, ok := strings.Cut(name, ".")
	if !ok {
		return k, false
	}
	email, rest, ok := strings.Cut(rest, ".")
	if !ok || rest == "" {
		return k, false
	}
	t, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return k, false
	}
	n, err := strconv.ParseUint(email, 36, 32)
	if err != nil {
		return k, false
	}
	return keptName{time.Unix(t, 0), uint32(n), rest}, true
}

// keep moves the file of an expunged message to where it is kept. The lead is held.
func (a *account) keep(t *task) error {
	if err := a.openDirs(t.box); err != nil {
		return err
	}
	kept, err := a.keptDir(t.box)
	if err != nil {
		return err
	}
	to := keptName{time.Unix(t.time, 0), t.email, t.base + t.kept}.String()
	if len(to) > 255 { // NAME_MAX
		to = keptName{time.Unix(t.time, 0), t.email, a.store.unique.Next() + t.kept}.String()
	}
	dir, have := t.box.at(t.place), t.base+t.suffix
	if a.inventory != nil {
		// The file may have come back with the work before this, under its first name, and
		// then a rename does nothing.
		at, name, err := a.find(t.box, t.base)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		dir, have = at, name
		same, err := sameFile(dir, have, kept, to)
		if err != nil {
			return err
		}
		if same {
			a.inventory.left(t.box, have)
			return dir.Remove(have)
		}
	}
	move := func() error { return dir.Rename(have, kept, to) }
	err = a.naming(move, naming{box: t.box, place: t.box.placeOf(dir), name: have})
	if errors.Is(err, fs.ErrNotExist) {
		var other error
		if dir, have, other = a.find(t.box, t.base); other != nil {
			if errors.Is(other, fs.ErrNotExist) {
				return nil // somebody else removed it, or it was done before
			}
			return other
		}
		err = a.naming(move, naming{box: t.box, place: t.box.placeOf(dir), name: have})
	}
	if err != nil {
		return err
	}
	a.inventory.left(t.box, have)
	a.mu.Lock()
	a.dirtied(t.box, dir)
	a.dirtied(t.box, kept)
	a.mu.Unlock()
	return nil
}

// keptSuffix returns what follows the base in the name under which an expunged message is
// kept: its flags, which the name that it had may not tell yet.
func (b *mailbox) keptSuffix(name index.FileName, flags mailaccess.Flags) string {
	m, ok := maildirname.ParseMessage(name.Base + name.Suffix)
	if !ok {
		return name.Suffix
	}
	letters := m.Flags
	if b.keywords != nil {
		_, unknown := b.keywords.Flags(m.Flags)
		letters, _ = b.keywords.Letters(flags)
		letters.Keywords |= unknown
	}
	letters.System = flags.System
	return m.WithFlags(letters)[len(name.Base):]
}

// keptDir returns the directory of what was expunged from a mailbox. The lead is held.
func (a *account) keptDir(b *mailbox) (fsys.Dir, error) {
	if b.kept != nil {
		return b.kept, nil
	}
	all, err := subdir(a.dir, expungedDir)
	if err != nil {
		return nil, err
	}
	defer all.Close()
	d, err := subdir(all, string(b.ID))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	name := b.Name
	a.mu.Unlock()
	if was, err := readSmall(d, expungedName); err != nil || string(was) != name {
		if err := a.store.writeSmall(d, expungedName, []byte(name)); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	b.kept = d
	return d, nil
}

// openKept opens the file of a content that no mailbox holds any more, for who had the
// account open when it was expunged.
func (h *handle) openKept(op string, email uint32) (fsys.File, error) {
	gone := fail(op, mailaccess.KindContentGone, "", nil)
	if h.store.opts.KeepExpunged < 0 {
		return nil, gone
	}
	all, err := h.dir.Sub(expungedDir)
	if err != nil {
		return nil, gone
	}
	defer all.Close()
	h.mu.Lock()
	tag := h.Tag
	h.mu.Unlock()
	for box, err := range all.Names(0) {
		if err != nil {
			return nil, failDisk(op, "", err)
		}
		var f fsys.File
		if isID(box.Name) {
			f, err = h.openKeptIn(all, box.Name, email)
		} else if _, _, ok := parseDeleted(box.Name); ok {
			f, err = h.openBuried(all, box.Name, tag, email)
		}
		if err != nil {
			return nil, failDisk(op, "", err)
		}
		if f != nil {
			return f, nil
		}
	}
	return nil, gone
}

func (h *handle) openKeptIn(all fsys.Dir, box string, email uint32) (fsys.File, error) {
	d, err := all.Sub(box)
	if err != nil {
		return nil, nil // no directory of ours
	}
	defer d.Close()
	for e, err := range d.Names(0) {
		if err != nil {
			return nil, failDisk("content", box, err)
		}
		if k, ok := parseKept(e.Name); ok && k.email == email {
			f, err := d.Open(e.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return f, err
		}
	}
	return nil, nil
}

// highestKept returns the highest number of a content that is kept: no other content may get it.
func (a *account) highestKept() (highest uint32, err error) {
	all, err := a.dir.Sub(expungedDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer all.Close()
	for box, err := range all.Names(0) {
		if err != nil {
			return 0, err
		}
		if !isID(box.Name) || !box.Type.IsDir() {
			continue
		}
		d, err := all.Sub(box.Name)
		if err != nil {
			return 0, err
		}
		for e, listErr := range d.Names(0) {
			if err = listErr; err != nil {
				break
			}
			if k, ok := parseKept(e.Name); ok {
				highest = max(highest, k.email)
			}
		}
		if err = errors.Join(err, d.Close()); err != nil {
			return 0, err
		}
	}
	return highest, nil
}
