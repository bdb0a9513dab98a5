package maildir

import (
	"errors"
	"io/fs"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

const (
	// sweepMax is how many files a sweep removes. What is left is for the next one, which
	// comes with the next upkeep.
	sweepMax = 4096
	// orphanAge is how old a file in tmp is that nobody will finish any more: what the
	// specification of Maildir says (https://cr.yp.to/proto/maildir.html).
	orphanAge = 36 * time.Hour
)

// sweep removes expunged messages and deleted mailboxes whose time is over, and what
// deliveries that never ended left in tmp.
//
// It takes neither the lead nor a lock while it works, and [Undelete] in another process
// takes none at all: either of them has a message by one rename or one remove, and the other
// finds that it is gone.
//
// It reports whether there is more than it removes at a time.
func (a *account) sweep(now time.Time) (more bool) {
	s := sweeping{a: a, now: now, left: sweepMax, keep: a.store.opts.KeepExpunged, known: make(map[string]bool)}
	a.mu.Lock()
	for h := range a.opened {
		if s.reader.IsZero() || h.since.Before(s.reader) {
			s.reader = h.since
		}
	}
	for id, b := range a.boxes {
		s.known[string(id)] = true
		s.folders = append(s.folders, b.dirName)
	}
	for _, t := range a.pending {
		if t.box != nil {
			s.known[string(t.box.ID)] = true
		}
	}
	a.mu.Unlock()
	s.expunged()
	for _, dir := range s.folders {
		if s.left > 0 {
			a.quietly("look for orphans", s.orphans(dir))
		}
	}
	if more = s.left <= 0; more {
		a.mu.Lock()
		a.swept = time.Time{}
		a.mu.Unlock()
	}
	return more
}

// sweeping is one sweep.
type sweeping struct {
	a       *account
	now     time.Time
	keep    time.Duration   // negative: nothing
	reader  time.Time       // since when somebody has the account open; zero: nobody has
	known   map[string]bool // ids of mailboxes that something may be kept of
	folders []string
	left    int
}

// over reports whether what was expunged at t goes. Whoever has had the account open since
// before may still show it, unless nothing is kept at all.
func (s *sweeping) over(t time.Time) bool {
	if s.keep < 0 {
		return true
	}
	return s.now.Sub(t) > s.keep && (s.reader.IsZero() || t.Unix() < s.reader.Unix())
}

func (s *sweeping) expunged() {
	all, err := s.a.dir.Sub(expungedDir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.a.quietly("sweep", err)
		}
		return
	}
	defer all.Close()
	for e, err := range all.Names(0) {
		if err == nil && e.Type.IsDir() {
			if t, _, ok := parseDeleted(e.Name); ok && s.over(t) {
				err = s.mailbox(all, e.Name)
			} else if isID(e.Name) {
				err = s.messages(all, e.Name)
			}
		}
		s.a.quietly("sweep", err)
		if s.left <= 0 {
			return
		}
	}
}

// messages removes messages that were expunged from one mailbox, and the directory too when
// nothing can come into it any more.
func (s *sweeping) messages(all fsys.Dir, box string) error {
	d, err := all.Sub(box)
	if err != nil {
		return err
	}
	defer d.Close()
	kept := 0
	for e, err := range d.Names(0) {
		if err != nil {
			return err
		}
		if e.Name == expungedName {
			continue
		}
		k, ok := parseKept(e.Name)
		if !ok || !s.over(k.time) {
			kept++
			continue
		}
		if err := s.remove(d, e.Name); err != nil {
			return err
		}
		if s.left <= 0 {
			return nil
		}
	}
	if kept > 0 || s.known[box] {
		return nil
	}
	if err := s.remove(d, expungedName); err != nil {
		return err
	}
	return all.RemoveDir(box)
}

// mailbox removes a mailbox that was deleted. Its name goes last, so that one of which only
// a part is removed can still be brought back.
func (s *sweeping) mailbox(all fsys.Dir, name string) error {
	d, err := all.Sub(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for e, err := range d.Names(0) {
		switch {
		case err != nil:
			return err
		case e.Type.IsDir():
			err = s.directory(d, e.Name)
		case e.Name != expungedName:
			err = s.remove(d, e.Name)
		}
		if err != nil || s.left <= 0 {
			return err
		}
	}
	if err := s.remove(d, expungedName); err != nil {
		return err
	}
	return all.RemoveDir(name)
}

// directory removes a directory of files.
func (s *sweeping) directory(in fsys.Dir, name string) error {
	d, err := in.Sub(name)
	if err != nil {
		return err
	}
	defer d.Close()
	for e, err := range d.Names(0) {
		if err == nil {
			err = s.remove(d, e.Name)
		}
		if err != nil || s.left <= 0 {
			return err
		}
	}
	return in.RemoveDir(name)
}

func (s *sweeping) remove(d fsys.Dir, name string) error {
	s.left--
	if err := d.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// orphans removes what is left over in the tmp of a folder.
func (s *sweeping) orphans(dir string) error {
	tmp, err := openTmp(s.a.dir, dir)
	if err != nil || tmp == nil {
		return err
	}
	defer tmp.Close()
	for name, err := range orphansIn(tmp, s.now) {
		if err == nil {
			err = s.remove(tmp, name)
		}
		if err != nil || s.left <= 0 {
			return err
		}
	}
	return nil
}

// openTmp opens the tmp of a folder; nil when there is none.
func openTmp(account fsys.Dir, folder string) (fsys.Dir, error) {
	d := account
	if folder != "" {
		var err error
		if d, err = account.Sub(folder); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return nil, err
		}
		defer d.Close()
	}
	tmp, err := d.Sub("tmp")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return tmp, err
}

// orphansIn yields the files in a tmp that are too old to become messages. Their time may
// be that of a message that is just being copied; then the name, which begins with a time
// too, is younger.
func orphansIn(tmp fsys.Dir, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range tmp.Names(0) {
			if err != nil {
				yield("", err)
				return
			}
			if e.Type != 0 {
				continue
			}
			info, err := tmp.Lstat(e.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil && (now.Sub(info.ModTime) <= orphanAge || now.Sub(nameTime(e.Name)) <= orphanAge) {
				continue
			}
			if !yield(e.Name, err) || err != nil {
				return
			}
		}
	}
}

// nameTime returns the time with which the name of a message begins; 1970 if it begins with
// none.
func nameTime(name string) time.Time {
	digits, _, _ := strings.Cut(name, ".")
	n, err := strconv.ParseInt(digits, 10, 40)
	if err != nil {
		n = 0
	}
	return time.Unix(n, 0)
}

// parseDeleted takes the name of a deleted mailbox's directory apart.
func parseDeleted(name string) (t time.Time, box mailaccess.MailboxID, ok bool) {
	seconds, id, ok := strings.Cut(name, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	if !ok || err != nil || !isID(id) {
		return t, "", false
	}
	return time.Unix(n, 0), mailaccess.MailboxID(id), true
}
