package maildir

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

const (
	// gather is how long events are gathered before they are looked at.
	gather = 20 * time.Millisecond
	// gatherMax is how many names are gathered for a mailbox; more are one scan.
	gatherMax = 4096
	// lookWatched and lookUnwatched are how often the directories of a mailbox in use are
	// compared with what is known: when what happens there is told, as a safety net, and
	// when it is not.
	lookWatched   = 30 * time.Second
	lookUnwatched = time.Second
	// watchFor is how long a mailbox that nobody holds is watched after its last use.
	watchFor = time.Minute
)

// notifier hears of what happens in directories. Without it, or where the system has no
// more watches, mailboxes in use are looked at every second.
type notifier struct {
	store *Store
	w     *fsnotify.Watcher
	done  sync.WaitGroup

	mu    sync.Mutex
	dirs  map[string]watched     // by path
	paths map[*mailbox][]string  // of each mailbox that is watched
	fresh map[*mailbox]*happened // what happened since it was looked at last
	full  bool                   // the system has no more watches
}

type watched struct {
	account *account
	box     *mailbox
	place   index.Place
}

// happened are the names about which something was told.
type happened struct {
	account *account
	names   map[found]struct{}
	all     bool // too many
}

// startWatching begins to listen, if the system can tell.
func (s *Store) startWatching() {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("directories cannot be watched: mailboxes in use are looked at every second", zap.Error(err))
		return
	}
	n := &notifier{store: s, w: w, dirs: make(map[string]watched), paths: make(map[*mailbox][]string), fresh: make(map[*mailbox]*happened)}
	s.notify = n
	n.done.Go(n.listen)
}

func (n *notifier) close() {
	if err := n.w.Close(); err != nil {
		n.store.log.Info("close the watch", zap.Error(err))
	}
	n.done.Wait()
}

// listen gathers events and has them looked at.
func (n *notifier) listen() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	due := false
	for {
		select {
		case e, ok := <-n.w.Events:
			if !ok {
				return
			}
			if n.add(e) && !due {
				due = true
				timer.Reset(gather)
			}
		case err, ok := <-n.w.Errors:
			if !ok {
				return
			}
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				n.overflow()
				if !due {
					due = true
					timer.Reset(gather)
				}
			} else {
				n.store.log.Info("watch", zap.Error(err))
			}
		case <-timer.C:
			due = false
			n.handle()
		}
	}
}

// add notes an event, and reports whether it is about a mailbox.
func (n *notifier) add(e fsnotify.Event) bool {
	if !e.Has(fsnotify.Create) && !e.Has(fsnotify.Rename) && !e.Has(fsnotify.Remove) {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.dirs[filepath.Dir(e.Name)]
	if !ok {
		return false
	}
	h := n.fresh[at.box]
	if h == nil {
		h = &happened{account: at.account, names: make(map[found]struct{})}
		n.fresh[at.box] = h
	}
	if len(h.names) >= gatherMax {
		h.all = true
	} else {
		h.names[found{filepath.Base(e.Name), at.place}] = struct{}{}
	}
	return true
}

// overflow: events were lost.
func (n *notifier) overflow() {
	n.mu.Lock()
	for _, at := range n.dirs {
		n.fresh[at.box] = &happened{account: at.account, all: true}
	}
	n.mu.Unlock()
	n.store.bell.Ring(mailaccess.Ring{})
}

// handle looks at what happened.
func (n *notifier) handle() {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = make(map[*mailbox]*happened)
	n.mu.Unlock()
	for b, h := range fresh {
		if err := h.account.told(b, h); err != nil && !errors.Is(err, mailaccess.KindNotFound) {
			h.account.quietly("look at what others changed", err)
		}
	}
}

// told brings a mailbox in line with what was told of its directories. Most of it is what we
// did ourselves: the index knows those names.
func (a *account) told(b *mailbox, h *happened) error {
	const op = "look"
	if !a.stay() {
		return nil
	}
	defer a.store.letGo(a)
	if h.all {
		a.mu.Lock()
		b.scan.forced = true
		a.mu.Unlock()
		return a.rescan(op, b)
	}
	err := a.do(&change{op: op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		odd, missing, err := a.concerning(op, b, h)
		if err != nil {
			return err
		}
		return a.reconcile(op, b, odd, missing)
	}})
	if err != nil {
		return a.lost(op, b, err)
	}
	return nil
}

// concerning returns which of the names are unknown to the index, and which messages may
// have lost theirs.
func (a *account) concerning(op string, b *mailbox, h *happened) (odd []found, missing mailaccess.UIDSet, err error) {
	bases := make(map[string]mailaccess.UID, len(h.names))
	for f := range h.names {
		if base := baseOf(f.name); base != "" {
			bases[base] = 0
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.deleted {
		return nil, missing, fail(op, mailaccess.KindNotFound, string(b.ID), nil)
	}
	if err := a.openDirsLocked(b); err != nil {
		return nil, missing, failDisk(op, string(b.ID), err)
	}
	if _, err := a.loaded(op, b.ID); err != nil {
		return nil, missing, err
	}
	if err := b.ix.FindBases(bases); err != nil {
		return nil, missing, failDisk(op, string(b.ID), err)
	}
	for f := range h.names {
		uid := bases[baseOf(f.name)]
		if uid == 0 {
			odd = append(odd, f)
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, missing, failDisk(op, string(b.ID), err)
		}
		if have.Base+have.Suffix != f.name || have.Place != f.place {
			odd = append(odd, f)
		} else if have.Place != index.PlaceSpool && !exists(b, have) {
			missing = missing.WithRange(uid, uid)
		}
	}
	return odd, missing, nil
}

// stay counts a user of the account unless it is being put away.
func (a *account) stay() bool {
	a.store.mu.Lock()
	defer a.store.mu.Unlock()
	if a.leaving != nil || a.store.accounts[a.key] != a || a.store.closed.Load() {
		return false
	}
	a.users++
	return true
}

// watch begins to watch a mailbox, unless it is watched or the system has no more watches.
// Whoever watches has to scan afterwards.
func (a *account) watch(b *mailbox) {
	n := a.store.notify
	if n == nil {
		return
	}
	if err := a.openDirs(b); err != nil {
		return // whoever scans finds out
	}
	a.mu.Lock()
	on := b.scan.watched || b.deleted
	// Not that of the open directories: a mailbox may have been renamed since.
	folder := filepath.Join(a.dir.Path(), b.dirName)
	a.mu.Unlock()
	if on {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for at, name := range map[index.Place]string{index.PlaceNew: "new", index.PlaceCur: "cur"} {
		path := filepath.Join(folder, name)
		if err := n.w.Add(path); err != nil {
			if !n.full && !errors.Is(err, fs.ErrNotExist) {
				n.full = true
				a.store.log.Warn("no more directories can be watched: others are looked at every second while they are in use", zap.Error(err))
			}
			n.drop(b)
			return
		}
		n.dirs[path] = watched{a, b, at}
		n.paths[b] = append(n.paths[b], path)
	}
	a.mu.Lock()
	b.scan.watched, b.scan.unseen = true, true
	a.mu.Unlock()
}

// drop ends the watch of a mailbox. n.mu is held.
func (n *notifier) drop(b *mailbox) {
	for _, path := range n.paths[b] {
		if n.dirs[path].box == b {
			delete(n.dirs, path)
			if err := n.w.Remove(path); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
				n.store.log.Debug("end a watch", zap.Error(err))
			}
			n.full = false
		}
	}
	delete(n.paths, b)
	delete(n.fresh, b)
}

// unwatch ends the watch of a mailbox. Until it is looked at again nothing is trusted.
func (a *account) unwatch(b *mailbox) {
	n := a.store.notify
	if n == nil {
		return
	}
	a.mu.Lock()
	on := b.scan.watched
	b.scan.watched = false
	a.mu.Unlock()
	if on {
		n.mu.Lock()
		n.drop(b)
		n.mu.Unlock()
	}
}

// unwatchUnused ends watches of mailboxes that nobody has used for a while.
func (a *account) unwatchUnused(now time.Time) {
	for _, b := range a.watchedBoxes() {
		a.mu.Lock()
		unused := b.holds == 0 && now.Sub(b.used) > watchFor
		a.mu.Unlock()
		if unused {
			a.takeTimes(b)
			a.unwatch(b)
		}
	}
}

func (a *account) unwatchAll() {
	for _, b := range a.watchedBoxes() {
		a.unwatch(b)
	}
}

func (a *account) watchedBoxes() (boxes []*mailbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.boxes {
		if b.scan.watched {
			boxes = append(boxes, b)
		}
	}
	return boxes
}

// takeDirTimes notes the times of all directories that are watched, so that the next open
// need not scan them.
func (a *account) takeDirTimes() {
	for _, b := range a.watchedBoxes() {
		a.takeTimes(b)
	}
}

// takeTimes takes a directory's times for those with which the index agrees, if all that
// happened was looked at and they have settled.
func (a *account) takeTimes(b *mailbox) {
	cur, fresh, err := b.times()
	if err != nil {
		return
	}
	now := a.store.now()
	if now.Sub(cur) < settled || now.Sub(fresh) < settled {
		return
	}
	n := a.store.notify
	n.mu.Lock()
	quiet := n.fresh[b] == nil && len(n.w.Events) == 0
	n.mu.Unlock()
	if !quiet {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !b.scan.forced && b.lazy.IsEmpty() {
		b.scan.cur, b.scan.new = cur, fresh
		b.ix.SetDirTimes(cur.UnixNano(), fresh.UnixNano())
	}
}

// lookEvery is how often a mailbox in use is looked at.
func (a *account) lookEvery(b *mailbox) time.Duration {
	if b.scan.watched {
		return lookWatched
	}
	return lookUnwatched
}

// Hold says that a mailbox is in use: it is watched, or looked at every second.
func (h *handle) Hold(ctx context.Context, box mailaccess.MailboxID) (release func(), err error) {
	const op = "hold"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	h.mu.Lock()
	b, err := h.box(op, box)
	if err == nil {
		b.holds++
		b.used = h.store.now()
	}
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	a := h.account
	a.store.keep(a)
	var once sync.Once
	release = func() {
		once.Do(func() {
			a.mu.Lock()
			b.holds--
			b.used = a.store.now()
			a.mu.Unlock()
			a.store.letGo(a)
		})
	}
	a.watch(b)
	if err := a.refresh(op, box); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// keep counts one more user of an account that has one.
func (s *Store) keep(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.users++
}
