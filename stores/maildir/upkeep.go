package maildir

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

const (
	upkeepEvery = time.Second
	// idleFor is how long an account stays loaded that nobody has open.
	idleFor = 5 * time.Minute
	// sweepEvery is how often expunged messages are looked at whose time is over.
	sweepEvery = time.Hour
	// shortenAgain is how long the commit log is left alone that could not be shortened.
	shortenAgain = time.Minute
)

// startUpkeep begins the work in the background: names of files, checkpoints, putting
// away what nobody uses, sweeping.
func (s *Store) startUpkeep() {
	s.work.Go(func() {
		t := time.NewTicker(upkeepEvery)
		defer t.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-t.C:
				s.upkeep(s.now())
			}
		}
	})
}

// stir says that something happened which upkeep may have to see to: an account in which
// nothing does costs it nothing until the next time that something is due.
func (a *account) stir() { a.calm.Store(false) }

// upkeep does what is due.
func (s *Store) upkeep(now time.Time) {
	s.upkeeping.Lock()
	defer s.upkeeping.Unlock()
	renaming := time.Now().Add(followFor)
	for _, a := range s.loadedAccounts() {
		a.upkeep(now, renaming)
	}
	s.putAwayIdle(now)
	long := func() bool { return s.commits.Size() > s.opts.LogBytes/2 }
	if lost := s.discarded.Swap(false); lost || long() && !now.Before(s.shortenDue) {
		if !s.shortenLog(lost) && lost {
			s.discarded.Store(true)
		}
		if long() {
			// Some account cannot be written now: trying each second would not help it.
			s.shortenDue = now.Add(shortenAgain)
		}
	}
}

// loadedAccounts returns the accounts that are loaded, those that were idle longest first.
func (s *Store) loadedAccounts() []*account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*account
	for _, a := range s.accounts {
		select {
		case <-a.loading:
			if a.loadErr == nil && a.leaving == nil {
				all = append(all, a)
			}
		default:
		}
	}
	slices.SortFunc(all, func(x, y *account) int { return x.idleSince.Compare(y.idleSince) })
	return all
}

// shortenLog checkpoints accounts, those first that keep the log long, until it is short;
// or all of them. It reports whether it could.
func (s *Store) shortenLog(whole bool) bool {
	done := true
	all := s.loadedAccounts()
	firsts := make(map[*account]commitlog.Pos, len(all))
	for _, a := range all {
		firsts[a] = a.needs()
	}
	slices.SortFunc(all, func(x, y *account) int {
		switch {
		case firsts[x] < firsts[y]:
			return -1
		case firsts[x] > firsts[y]:
			return 1
		}
		return 0
	})
	for _, a := range all {
		if firsts[a] == 0 {
			continue
		}
		if err := a.checkpoint(); err != nil {
			done = false
			s.log.Error("the index of an account cannot be written", zap.String("account", a.key), zap.Error(err))
		}
		if err := s.trim(); err != nil {
			s.log.Error("the commit log cannot be shortened", zap.Error(err))
			return false
		}
		if !whole && s.commits.Size() < s.opts.LogBytes/4 {
			break
		}
	}
	return done
}

// needs returns from where on the account needs the log; 0: not at all.
func (a *account) needs() commitlog.Pos {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing != 0 && (a.first == 0 || a.writing < a.first) {
		return a.writing
	}
	return a.first
}

// trim drops what no account needs of the log.
func (s *Store) trim() error {
	if s.isBehind() {
		return nil
	}
	pos := s.commits.End()
	s.mu.Lock()
	all := make([]*account, 0, len(s.accounts))
	for _, a := range s.accounts {
		all = append(all, a)
	}
	s.mu.Unlock()
	for _, a := range all {
		if first := a.needs(); first != 0 && first < pos {
			pos = first
		}
	}
	return s.commits.Trim(pos)
}

// putAwayIdle puts away accounts that nobody has open: all that were idle for long, and as
// many more as it takes to stay within the budget of memory.
func (s *Store) putAwayIdle(now time.Time) {
	total, idle := s.occupied(now)
	if total <= s.opts.Memory && !idle {
		return
	}
	for _, a := range s.loadedAccounts() {
		if total <= s.opts.Memory && now.Sub(a.idleSince) < idleFor {
			continue
		}
		if s.putAway(a) {
			total -= a.size.Load()
		} else if total > s.opts.Memory {
			total -= a.unloadUnused(now)
		}
	}
}

// occupied returns about how many octets all accounts take, and whether there is one that was
// idle for long.
func (s *Store) occupied(now time.Time) (total int64, idle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.accounts {
		total += a.size.Load()
		idle = idle || a.users == 0 && now.Sub(a.idleSince) >= idleFor
	}
	return total, idle
}

// putAway writes an account's index and lets go of it, unless somebody has it open. On an
// error it stays loaded.
func (s *Store) putAway(a *account) bool {
	s.mu.Lock()
	if a.users > 0 || a.leaving != nil {
		s.mu.Unlock()
		return false
	}
	leaving := make(chan struct{})
	a.leaving = leaving
	s.mu.Unlock()
	err := a.close()
	s.mu.Lock()
	a.leaving = nil
	if err == nil {
		delete(s.accounts, a.key)
	}
	s.mu.Unlock()
	close(leaving)
	if err != nil {
		s.log.Error("the index of an account cannot be written", zap.String("account", a.key), zap.Error(err))
	}
	return err == nil
}

// close brings names of files and the index in line and closes what is open.
func (a *account) close() error {
	if err := a.finishNames(); err != nil {
		// What the index says holds all the same.
		a.store.log.Warn("names of files lag behind the flags", zap.String("account", a.key), zap.Error(err))
	}
	a.takeDirTimes()
	err := a.checkpointAs(true)
	for tries := len(a.boxes); tries >= 0 && (errors.Is(err, index.ErrCorrupt) || errors.Is(err, fs.ErrNotExist)); tries-- {
		// What is damaged was begun anew.
		err = a.checkpointAs(true)
	}
	if err != nil {
		return err
	}
	a.unwatchAll()
	a.closeDirs()
	return nil
}

// dirty reports whether there is anything that the account's index does not have. a.mu is
// held.
func (a *account) dirty() bool {
	if a.first != 0 || a.fresh {
		return true
	}
	for _, b := range a.boxes {
		if b.ix.Dirty() {
			return true
		}
	}
	return false
}

// resident is about how many octets the account takes in memory.
func (a *account) resident() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := int64(4096) + int64(len(a.threads.known))*threadKeySize
	for _, b := range a.boxes {
		n += b.ix.Resident() + 512
	}
	return n
}

// unloadUnused lets go of the rows of mailboxes that nobody uses, and returns how many octets
// that was.
func (a *account) unloadUnused(now time.Time) (freed int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lead.isTaken() {
		return 0 // a change may be on its way to rows that it found loaded
	}
	if len(a.threads.fresh) == 0 {
		// They are read again when a message arrives.
		freed += int64(len(a.threads.known)) * threadKeySize
		a.threads.known = nil
	}
	for _, b := range a.boxes {
		if b.holds > 0 || !b.ix.Loaded() || now.Sub(b.used) < time.Minute {
			continue
		}
		before := b.ix.Resident()
		if b.ix.Unload() {
			freed += before - b.ix.Resident()
		}
	}
	a.size.Add(-freed)
	return freed
}

// putAwayAll is for Close: everybody who still has an account open finds it closed.
func (s *Store) putAwayAll() error {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.accounts))
	s.mu.Unlock()
	var errs []error
	for _, a := range all {
		// Whoever began to load one before the store was closed goes on.
		<-a.loading
		if a.loadErr != nil {
			continue
		}
		if err := a.close(); err != nil {
			errs = append(errs, err)
			a.lead.close(true)
			a.unwatchAll()
			a.closeDirs()
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.mu.Lock()
	clear(s.accounts)
	s.mu.Unlock()
	if err := s.trim(); err != nil {
		return err
	}
	if s.isBehind() {
		return nil // the next start has to go through the log
	}
	return s.unmarkRunning()
}
