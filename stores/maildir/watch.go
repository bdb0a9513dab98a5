package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/dirwatch"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
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
//
// One goroutine takes what is told and another one looks at it, so that nothing waits in the
// system's queue for long. What is told of our own doing is not looked at; see own.go.
type notifier struct {
	store *Store
	w     *dirwatch.Watcher
	add   func(path string) (id int, err error) // w's; tests let it fail
	done  sync.WaitGroup

	due   chan struct{} // something happened
	ended chan struct{} // closed at the end

	mu        sync.Mutex              // taken before an account's
	dirs      map[int]*watched        // by the watcher's number
	of        map[*mailbox][]*watched // of each mailbox that is watched
	expecting map[*watched]struct{}   // those of which more of our own doing will be told
	fresh     map[*mailbox]*happened  // what happened since it was looked at last
	looking   map[*mailbox]bool       // what happened there is being looked at
	lost      bool                    // events were, since it was looked at last
	full      bool                    // the system has no more watches
}

// watched is a directory that is watched.
type watched struct {
	id      int
	account *account
	box     *mailbox
	place   index.Place
	own     ownEvents
}

// happened are the names about which something was told.
type happened struct {
	account *account
	names   map[found]struct{}
	all     bool // too many
	gone    bool // the directory itself
}

// startWatching begins to listen, if the system can tell.
func (s *Store) startWatching() {
	w, err := dirwatch.New()
	if err != nil {
		s.log.Warn("directories cannot be watched: mailboxes in use are looked at every second", zap.Error(err))
		return
	}
	n := &notifier{
		store: s, w: w, add: w.Add, due: make(chan struct{}, 1), ended: make(chan struct{}),
		dirs: make(map[int]*watched), of: make(map[*mailbox][]*watched), expecting: make(map[*watched]struct{}),
		fresh: make(map[*mailbox]*happened), looking: make(map[*mailbox]bool),
	}
	s.notify = n
	n.done.Go(n.listen)
	n.done.Go(func() {
		for {
			select {
			case <-n.ended:
				return
			case <-n.due:
				n.handle()
			}
		}
	})
}

// close ends it.
func (n *notifier) close() {
	if err := n.w.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		n.store.log.Info("close the watch", zap.Error(err))
	}
	n.done.Wait()
}

// listen gathers events and has them looked at. While they are gathered they stay with the
// system: who renames many files does not wake anybody for each.
func (n *notifier) listen() {
	defer close(n.ended)
	for {
		err := n.w.Wait()
		if err == nil {
			time.Sleep(gather)
			n.mu.Lock()
			err = n.drain()
			n.mu.Unlock()
		}
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				n.store.log.Error("nothing is told of directories any more: mailboxes in use are looked at every half minute", zap.Error(err))
			}
			return
		}
	}
}

// drain takes all that was told. n.mu is held.
func (n *notifier) drain() error {
	var done []*watched
	for d := range n.expecting {
		if !d.own.doing.Load() {
			done = append(done, d)
		}
	}
	err := n.w.Drain(n.take)
	for _, d := range done {
		// All that was done there is told by now.
		d.own.forget()
		delete(n.expecting, d)
	}
	n.ready()
	return err
}

// ready has what happened looked at. n.mu is held.
func (n *notifier) ready() {
	if n.lost || len(n.fresh) > 0 {
		select {
		case n.due <- struct{}{}:
		default: // it will be looked at too
		}
	}
}

// take notes an event. n.mu is held.
func (n *notifier) take(e dirwatch.Event) {
	if e.Kind == dirwatch.Lost {
		n.overflow()
		return
	}
	d := n.dirs[e.ID]
	if d == nil || d.own.take(e) {
		return
	}
	if h := n.happened(d); e.Kind == dirwatch.Gone {
		h.gone, h.all = true, true
	} else {
		h.note(d, string(e.Name))
	}
}

// happened returns what happened in a directory's mailbox. n.mu is held.
func (n *notifier) happened(d *watched) *happened {
	h := n.fresh[d.box]
	if h == nil {
		h = &happened{account: d.account, names: make(map[found]struct{})}
		n.fresh[d.box] = h
	}
	return h
}

// note notes that something was told about a name.
func (h *happened) note(d *watched, name string) {
	if h.all = h.all || len(h.names) >= gatherMax; !h.all {
		h.names[found{name, d.place}] = struct{}{}
	}
}

// overflow: events were lost. n.mu is held.
func (n *notifier) overflow() {
	n.lost = true
	for _, d := range n.dirs {
		d.own.forget()
		gone := n.fresh[d.box] != nil && n.fresh[d.box].gone
		n.fresh[d.box] = &happened{account: d.account, all: true, gone: gone}
	}
	clear(n.expecting)
}

// handle looks at what happened.
func (n *notifier) handle() {
	n.mu.Lock()
	fresh, lost := n.fresh, n.lost
	n.fresh, n.lost = make(map[*mailbox]*happened), false
	for b := range fresh {
		n.looking[b] = true
	}
	n.mu.Unlock()
	if lost {
		n.store.bell.Ring(mailaccess.Ring{})
	}
	for b, h := range fresh {
		if err := h.account.told(b, h); err != nil && !errors.Is(err, mailaccess.KindNotFound) {
			h.account.quietly("look at what others changed", err)
		}
		n.mu.Lock()
		delete(n.looking, b)
		n.mu.Unlock()
	}
}

// told brings a mailbox in line with what was told of its directories. Most of it is what we
// did ourselves: the index knows those names. What cannot be looked at now is left to whoever
// uses the mailbox next.
func (a *account) told(b *mailbox, h *happened) (err error) {
	const op = "look"
	defer func() {
		if err != nil {
			a.mu.Lock()
			b.scan.force()
			a.mu.Unlock()
		}
	}()
	if !a.stay() {
		return errPutAway(op)
	}
	defer a.store.letGo(a)
	defer a.stir()
	if h.gone {
		a.unwatch(b)
	}
	if h.all {
		a.mu.Lock()
		b.scan.force()
		a.mu.Unlock()
		return a.rescan(op, b)
	}
	err = a.do(&change{op: op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
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
		return nil, missing, a.damaged(op, b, err)
	}
	for f := range h.names {
		uid := bases[baseOf(f.name)]
		if uid == 0 {
			odd = append(odd, f)
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, missing, a.damaged(op, b, err)
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
	n.mu.Lock()
	defer n.mu.Unlock()
	a.mu.Lock()
	on, dirName := b.scan.watched || b.deleted, b.dirName
	// Not that of the open directories: a mailbox may have been renamed since.
	folder := filepath.Join(a.dir.Path(), dirName)
	a.mu.Unlock()
	if on {
		return
	}
	for at, name := range map[index.Place]string{index.PlaceNew: "new", index.PlaceCur: "cur"} {
		id, err := n.add(filepath.Join(folder, name))
		if err != nil {
			if !n.full && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, os.ErrClosed) {
				n.full = true
				a.store.log.Warn("a mailbox cannot be watched: such ones are looked at every second while they are in use", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.Error(err))
			}
			n.drop(b)
			return
		}
		if was := n.dirs[id]; was != nil {
			delete(n.expecting, was)
		}
		d := &watched{id: id, account: a, box: b, place: at}
		n.dirs[id] = d
		n.of[b] = append(n.of[b], d)
	}
	a.mu.Lock()
	stays := b.dirName == dirName && !b.deleted
	b.scan.watched, b.scan.unseen = stays, stays
	a.stir()
	a.mu.Unlock()
	if !stays {
		n.drop(b)
	}
}

// drop ends the watch of a mailbox. n.mu is held.
func (n *notifier) drop(b *mailbox) {
	for _, d := range n.of[b] {
		delete(n.expecting, d)
		if n.dirs[d.id] == d {
			delete(n.dirs, d.id)
			if err := n.w.Remove(d.id); err != nil && !errors.Is(err, os.ErrClosed) {
				n.store.log.Debug("end a watch", zap.Error(err))
			}
		}
	}
	delete(n.of, b)
	delete(n.fresh, b)
}

// unwatch ends the watch of a mailbox. Until it is looked at again nothing is trusted.
func (a *account) unwatch(b *mailbox) {
	n := a.store.notify
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a.mu.Lock()
	on := b.scan.watched
	b.scan.watched = false
	a.mu.Unlock()
	if on {
		n.drop(b)
		n.full = false
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
	a.mu.Lock()
	dirs := []fsys.Dir{b.cur, b.new}
	demands := b.scan.demands
	a.mu.Unlock()
	var times [2]time.Time
	now := a.store.now()
	for i, d := range dirs {
		if d == nil {
			return
		}
		info, err := d.Stat()
		if err != nil || now.Sub(info.ModTime) < settled {
			return
		}
		times[i] = info.ModTime
	}
	n := a.store.notify
	n.mu.Lock()
	err := n.drain()
	quiet := err == nil && n.fresh[b] == nil && !n.looking[b]
	n.mu.Unlock()
	if !quiet {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := &b.scan; s.watched && !s.unseen && !s.forced && s.demands == demands && len(s.unread) == 0 && b.lazy.IsEmpty() {
		s.cur, s.new = times[0], times[1]
		b.ix.SetDirTimes(times[0].UnixNano(), times[1].UnixNano())
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
	a.stir()
	var once sync.Once
	release = func() {
		once.Do(func() {
			a.mu.Lock()
			b.holds--
			b.used = a.store.now()
			a.mu.Unlock()
			a.stir()
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
