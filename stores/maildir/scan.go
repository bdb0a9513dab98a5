package maildir

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// scanState is what is known of a mailbox's directories.
type scanState struct {
	forced  bool      // they have to be listed, whatever their times are
	demands int       // counts what demanded that
	watched bool      // whatever happens in them is told
	unseen  bool      // they were not compared since the watch began
	looked  time.Time // when they were compared last
	// cur and new are the times of the directories with which the index agrees; zero: not
	// trusted.
	cur, new time.Time
	ours     int // counts what we did in them

	curInode, newInode uint64 // of the directories that are open

	// Of the last listing: when it was, the times that the directories had, whether that of
	// new had settled, and what ours was.
	listed               time.Time
	listedCur, listedNew time.Time
	newSettled           bool
	listedOurs           int
	unread               map[string]bool // files that could not be read
}

// force demands that the directories are listed.
func (s *scanState) force() {
	s.forced = true
	s.demands++
}

// retry reports whether files that could not be read are due to be tried again: no time of a
// directory tells that they can be read by now.
func (s *scanState) retry(now time.Time) bool {
	return len(s.unread) > 0 && now.Sub(s.listed) >= lookWatched
}

// settled is how old a directory's time has to be before it is trusted: what happens within
// the resolution of the clock does not change it.
const settled = 2 * time.Second

// refresh looks whether other programs changed a mailbox, unless that is told anyway.
func (a *account) refresh(op string, box mailaccess.MailboxID) error {
	a.mu.Lock()
	b, err := a.box(op, box)
	known := err == nil && b.scan.watched && !b.scan.unseen && !b.scan.forced && !b.scan.retry(a.store.now())
	a.mu.Unlock()
	if err != nil || known {
		return err
	}
	return a.look(op, b)
}

// look compares the times of a mailbox's directories, and scans them when they differ.
func (a *account) look(op string, b *mailbox) error {
	cur, fresh, err := a.times(op, b)
	if err != nil {
		return a.lost(op, b, err)
	}
	now := a.store.now()
	a.mu.Lock()
	b.scan.looked = now
	same := !b.scan.forced && b.agrees(now, cur, fresh)
	if same {
		b.scan.unseen = false
	}
	a.mu.Unlock()
	if same {
		return nil
	}
	return a.rescan(op, b)
}

// agrees reports whether the directories, with these times, need not be listed. a.mu is held.
func (b *mailbox) agrees(now, cur, fresh time.Time) bool {
	s := &b.scan
	since := now.Sub(s.listed)
	if s.retry(now) {
		return false
	}
	if !s.cur.IsZero() {
		if s.cur.Equal(cur) && s.new.Equal(fresh) {
			return true
		}
	} else if c, n := b.ix.DirTimes(); c != 0 && n != 0 && c == cur.UnixNano() && n == fresh.UnixNano() {
		// Cold: the index says with which times it agrees.
		s.cur, s.new = cur, fresh
		return true
	}
	// Our own work on files changes the time of cur too. Where nothing tells what others do
	// there, it is not listed for that more than once a second.
	return !s.watched && 0 <= since && since < lookUnwatched && s.newSettled && s.listedNew.Equal(fresh) &&
		(s.listedOurs != s.ours || s.listedCur.Equal(cur))
}

// lost turns an error of a mailbox's directories into one of the call: a mailbox whose
// directory is gone is gone.
func (a *account) lost(op string, b *mailbox, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		a.mu.Lock()
		a.listed = time.Time{}
		a.mu.Unlock()
		if err := a.lookForFolders(op); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if b.deleted {
			return fail(op, mailaccess.KindNotFound, string(b.ID), nil)
		}
	}
	return failDisk(op, string(b.ID), err)
}

// times returns those of the directories, which are open afterwards. When others are in their
// place, those are opened.
func (a *account) times(op string, b *mailbox) (cur, fresh time.Time, err error) {
	if cur, fresh, ok := a.glance(b); ok {
		return cur, fresh, nil
	}
	for range 2 {
		if err := a.openDirs(b); err != nil {
			return cur, fresh, err
		}
		a.mu.Lock()
		dir, curInode, newInode := b.dir, b.scan.curInode, b.scan.newInode
		a.mu.Unlock()
		var c, n fsys.Info
		if c, err = dir.Lstat("cur"); err == nil {
			n, err = dir.Lstat("new")
		}
		if err == nil && c.Inode == curInode && n.Inode == newInode {
			return c.ModTime, n.ModTime, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return cur, fresh, err
		}
		if err := a.reopenDirs(op, b); err != nil {
			return cur, fresh, err
		}
	}
	if err == nil {
		err = errMoving
	}
	return cur, fresh, err
}

// glance is times of a mailbox whose directories are not open and stay so: a client may ask
// for the status of more mailboxes than the process has descriptors. ok is false unless there
// are many that are open.
func (a *account) glance(b *mailbox) (cur, fresh time.Time, ok bool) {
	if a.store.openBoxes.Load() < a.store.openLimit {
		return cur, fresh, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.open || b.holds > 0 || b.deleted {
		return cur, fresh, false
	}
	dir, err := a.openFolder(b)
	if err != nil {
		return cur, fresh, false
	}
	c, err := dir.Lstat("cur")
	n, errNew := dir.Lstat("new")
	if errors.Join(err, errNew, a.closeFolder(dir)) != nil || !c.Mode.IsDir() || !n.Mode.IsDir() {
		return cur, fresh, false
	}
	return c.ModTime, n.ModTime, true
}

// uncount notes that the directories of a mailbox are not open any more.
func (a *account) uncount(b *mailbox) {
	if b.open {
		b.open = false
		a.store.openBoxes.Add(-1)
	}
}

var errMoving = errors.New("its directories are being replaced")

// reopenDirs opens those directories of a mailbox that are there now: somebody removed the
// ones that are open, or put others in their place.
func (a *account) reopenDirs(op string, b *mailbox) error {
	a.unwatch(b)
	return a.do(&change{op: op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if b.deleted || b.cur == nil || b.rested {
			return nil
		}
		a.store.log.Warn("the directories of a mailbox were removed or replaced", zap.String("account", a.key), zap.String("mailbox", b.Name))
		old := []fsys.Dir{b.cur, b.new}
		if b.dir != a.dir {
			old = append(old, b.dir)
		}
		b.dir, b.cur, b.new = nil, nil, nil
		a.uncount(b)
		for _, d := range old {
			delete(a.unsynced, d)
			a.quietly("close", d.Close())
		}
		b.scan.force()
		return a.openDirsLocked(b)
	}})
}

// found is a file that the index does not know under that name.
type found struct {
	name  string
	place index.Place
}

// rescan lists a mailbox's directories and brings the index in line with them. Listing
// happens while others go on.
func (a *account) rescan(op string, b *mailbox) error {
	a.watch(b)
	l, err := a.listing(op, b)
	if err != nil {
		return err
	}
	odd, missing, err := l.compare(b)
	if err != nil {
		return a.lost(op, b, err)
	}
	portions := l.portions(odd)
	for i, portion := range portions {
		var gone mailaccess.UIDSet
		if i == len(portions)-1 {
			// Most of what is missing has another name, and was found by it.
			gone = missing
		}
		err = a.do(&change{op: op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
			return a.reconcile(op, b, portion, gone)
		}})
		if err != nil {
			return a.lost(op, b, err)
		}
	}
	there := make(map[string]bool)
	for _, f := range odd {
		there[f.name] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &b.scan
	maps.DeleteFunc(s.unread, func(name string, _ bool) bool { return !there[name] })
	if s.demands == l.demands {
		s.forced = false
	}
	s.unseen = false
	s.cur, s.new = time.Time{}, time.Time{}
	s.listed, s.listedCur, s.listedNew, s.listedOurs = l.begun, l.cur, l.new, l.ours
	s.newSettled = l.begun.Sub(l.new) >= settled
	if !s.forced && s.ours == l.ours && s.newSettled && l.begun.Sub(l.cur) >= settled {
		s.cur, s.new = l.cur, l.new
		if len(s.unread) == 0 {
			b.ix.SetDirTimes(l.cur.UnixNano(), l.new.UnixNano())
		}
	}
	return nil
}

// portions cuts what a scan found into pieces, in the order of arrival: each is looked at
// under the lead, and others get in between. There is at least one.
func (l *listing) portions(odd []found) [][]found {
	if len(odd) <= txnMax {
		return [][]found{odd}
	}
	times := make(map[found]int64, len(odd))
	for _, f := range odd {
		if info, err := l.dirs[f.place].Lstat(f.name); err == nil {
			times[f] = info.ModTime.Unix()
		}
	}
	slices.SortFunc(odd, func(x, y found) int {
		return cmp.Or(cmp.Compare(times[x], times[y]), cmp.Compare(x.name, y.name))
	})
	return slices.Collect(slices.Chunk(odd, txnMax))
}

// damaged turns an error of a mailbox's index into one of the call. With an index that is
// damaged the mailbox begins anew. a.mu is held.
func (a *account) damaged(op string, b *mailbox, err error) error {
	if errors.Is(err, index.ErrCorrupt) {
		a.distrust(b)
		return fail(op, mailaccess.KindCorrupt, string(b.ID), err)
	}
	return failDisk(op, string(b.ID), err)
}

// listing is a mailbox before its directories are listed.
type listing struct {
	begun    time.Time
	cur, new time.Time
	ours     int
	demands  int
	dirs     map[index.Place]fsys.Dir
	seed     maphash.Seed
	known    []knownName // ascending by hash
}

type knownName struct {
	hash uint64
	uid  mailaccess.UID
}

func (a *account) listing(op string, b *mailbox) (*listing, error) {
	l := &listing{begun: a.store.now(), seed: maphash.MakeSeed()}
	var err error
	if l.cur, l.new, err = a.times(op, b); err != nil {
		return nil, a.lost(op, b, err)
	}
	a.mu.Lock()
	l.ours, l.demands = b.scan.ours, b.scan.demands
	l.dirs = map[index.Place]fsys.Dir{index.PlaceNew: b.new, index.PlaceCur: b.cur}
	if b.deleted {
		a.mu.Unlock()
		return nil, fail(op, mailaccess.KindNotFound, string(b.ID), nil)
	}
	_, err = a.loaded(op, b.ID)
	var names *index.FileNames
	if err == nil {
		names, err = b.ix.FileNames()
	}
	if err != nil {
		defer a.mu.Unlock()
		return nil, a.damaged(op, b, err)
	}
	a.mu.Unlock()
	defer names.Close()
	for e, err := range names.All() {
		if err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			return nil, a.damaged(op, b, err)
		}
		if e.Place != index.PlaceSpool {
			l.known = append(l.known, knownName{l.hash(e.Place, e.Base, e.Suffix), e.UID})
		}
	}
	slices.SortFunc(l.known, func(x, y knownName) int { return cmp.Compare(x.hash, y.hash) })
	return l, nil
}

func (l *listing) hash(p index.Place, parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	h.WriteByte(byte(p)) //nolint:errcheck // a hash takes everything
	for _, s := range parts {
		h.WriteString(s) //nolint:errcheck // likewise
	}
	return h.Sum64()
}

// compare lists the directories: what is in them that was not known, and which messages were
// not seen.
func (l *listing) compare(b *mailbox) (odd []found, missing mailaccess.UIDSet, err error) {
	seen := make([]bool, len(l.known))
	// new before cur: what is moved meanwhile is seen at least once.
	for _, at := range []index.Place{index.PlaceNew, index.PlaceCur} {
		for e, err := range l.dirs[at].Names(0) {
			if err != nil {
				return nil, missing, err
			}
			if !e.Type.IsRegular() { // whatever its name is
				odd = append(odd, found{e.Name, at})
				continue
			}
			h := l.hash(at, e.Name)
			i, ok := slices.BinarySearchFunc(l.known, h, func(k knownName, h uint64) int { return cmp.Compare(k.hash, h) })
			if ok {
				seen[i] = true
				continue
			}
			odd = append(odd, found{e.Name, at})
		}
	}
	var gone []mailaccess.UID
	for i, k := range l.known {
		if !seen[i] {
			gone = append(gone, k.uid)
		}
	}
	slices.Sort(gone)
	var set mailaccess.UIDSetBuilder
	for _, uid := range gone {
		set.AddUID(uid)
	}
	return odd, set.Set(), nil
}
