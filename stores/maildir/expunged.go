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
	var room [255]byte // NAME_MAX
	b := append(strconv.AppendInt(room[:0], k.time.Unix(), 10), '.')
	b = append(strconv.AppendUint(b, uint64(k.email), 36), '.')
	return string(append(b, k.name...))
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
	if a.store.opts.KeepExpunged < 0 && a.inventory == nil && !a.isCopied(t.base) {
		return a.takeAway(t, func(dir fsys.Dir, have string) error { return dir.Remove(have) })
	}
	kept, err := a.keptDir(t.box)
	if err != nil {
		return err
	}
	to := keptName{time.Unix(t.time, 0), t.email, t.base + t.kept}.String()
	if len(to) > 255 { // NAME_MAX
		to = keptName{time.Unix(t.time, 0), t.email, a.store.unique.Next() + t.kept}.String()
	}
	err = a.takeAway(t, func(dir fsys.Dir, have string) error {
		if a.inventory != nil {
			// The file may have come back with the work before this, under its first name, and
			// then a rename does nothing.
			same, err := sameFile(dir, have, kept, to)
			if err != nil {
				return err
			}
			if same {
				return dir.Remove(have)
			}
		}
		return dir.Rename(have, kept, to)
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dirtied(t.box, kept)
	return nil
}

// takeAway does something by which the file of an expunged message goes, wherever that is. It is
// no error that it is not there: somebody else removed it, or it was done before.
func (a *account) takeAway(t *task, do func(dir fsys.Dir, have string) error) error {
	dir, have := t.box.at(t.place), t.base+t.suffix
	err := fs.ErrNotExist // what may have come back under another name is looked for
	if a.inventory == nil {
		err = a.takeFrom(t.box, dir, have, do)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if dir, have, err = a.find(t.box, t.base); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = a.takeFrom(t.box, dir, have, do)
		}
	}
	if err != nil {
		return err
	}
	a.inventory.left(t.box, have)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dirtied(t.box, dir)
	return nil
}

func (a *account) takeFrom(b *mailbox, dir fsys.Dir, have string, do func(fsys.Dir, string) error) error {
	return a.naming(func() error { return do(dir, have) }, naming{box: b, place: b.placeOf(dir), name: have})
}

// copies are the bases of messages that were copied since the last checkpoint, where nothing is
// kept, and how many checkpoints there were before: a loss of power may take the copies, and then
// they are made again from these.
type copies map[string]int

// isCopied reports whether a message's file has to outlive it until the next checkpoint.
func (a *account) isCopied(base string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.copied[base]
	return ok
}

// noteCopied notes of whose file another message's is made, or which of them has got another name.
func (a *account) noteCopied(t *task) {
	if a.store.opts.KeepExpunged >= 0 || t.from.Spool != "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	base := t.from.Base
	if t.from.Move {
		if _, ok := a.copied[base]; !ok {
			return
		}
		base = t.base
	}
	if a.copied == nil {
		a.copied = make(copies)
	}
	a.copied[base] = a.captures
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

// keptSuffixes is keptSuffix for many messages, of which most have the flags of the one before.
type keptSuffixes struct {
	suffix string
	flags  mailaccess.Flags
	kept   string // "": none was asked for
}

func (k *keptSuffixes) of(b *mailbox, name index.FileName, flags mailaccess.Flags) string {
	if k.kept == "" || k.suffix != name.Suffix || k.flags != flags {
		*k = keptSuffixes{name.Suffix, flags, b.keptSuffix(name, flags)}
	}
	return k.kept
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
