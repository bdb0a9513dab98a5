package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

const (
	stateFile   = "state"
	runningFile = "running" // there while a process has the store open
)

// storeState is the file that counts what went wrong.
type storeState struct {
	// generation rises with each start after a stop that was not clean.
	generation uint64
	// lost is the generation in which the commit log was found damaged; accounts whose
	// checkpoint is older may lack something that was acknowledged.
	lost uint64
}

// logged is an entry of the log that no checkpoint may hold.
type loggedEntry struct {
	pos     commitlog.Pos
	records []record
}

// recover opens the commit log and does again what is in it.
func (s *Store) recover() error {
	const op = "open store"
	if err := s.readState(); err != nil {
		return failDisk(op, "", err)
	}
	unclean, err := s.markRunning()
	if err = s.unlessFull(err); err != nil {
		return failDisk(op, "", err)
	}
	dir, err := subdir(s.own, "log")
	if err != nil {
		return failDisk(op, "", err)
	}
	entries := make(map[string][]loggedEntry)
	var order []string
	damaged := false
	s.commits, err = commitlog.Open(dir, commitlog.Options{
		Mode:       s.opts.Sync.mode(),
		BeforeSync: s.spool.Sync,
		OnDiscard: func(commitlog.Pos) {
			// Notes of names are among it, which nobody waited for.
			s.discarded.Store(true)
			s.log.Error("the disk did not keep what was written to the commit log")
		},
		OnDamage: func(d *commitlog.Damage) {
			damaged = true
			s.log.Error("the commit log is damaged", zap.Error(d))
		},
	}, func(pos commitlog.Pos, payload []byte) error {
		var e entry
		if err := s.codec.dec.Unmarshal(payload, &e); err != nil {
			damaged = true
			s.log.Error("a record of the commit log cannot be read", zap.Stringer("position", pos), zap.Error(err))
			return nil
		}
		if entries[e.Account] == nil {
			order = append(order, e.Account)
		}
		entries[e.Account] = append(entries[e.Account], loggedEntry{pos, e.Records})
		return nil
	})
	if err != nil {
		return failDisk(op, "", err)
	}
	if unclean || damaged {
		s.state.generation++
		if damaged {
			s.state.lost = s.state.generation
		}
		if err := s.unlessFull(s.writeState()); err != nil {
			return failDisk(op, "", err)
		}
	}
	if len(order) > 0 {
		s.log.Info("the last stop was not clean", zap.Int("accounts", len(order)))
	}
	s.behind = make(map[string][]loggedEntry)
	for _, key := range order {
		if err := s.recoverAccount(key, entries[key]); err != nil {
			s.behind[key] = entries[key]
			s.log.Error("an account cannot be brought forward: the log is kept for it", zap.String("account", key), zap.Error(err))
		}
	}
	if len(s.behind) > 0 {
		return nil
	}
	if err := s.commits.Trim(s.commits.End()); err != nil && !fsys.IsFull(err) {
		return failDisk(op, "", err)
	}
	return s.emptySpool()
}

// unlessFull passes an error, but for one of a full disk: mail can be read all the same, and
// what could not be written now is written before the first change.
func (s *Store) unlessFull(err error) error {
	if err == nil || !fsys.IsFull(err) {
		return err
	}
	s.log.Error("the disk is full: mail can be read, and nothing be changed", zap.Error(err))
	s.unwritten.Store(true)
	return nil
}

// writeLate writes what could not be written when the store was opened.
func (s *Store) writeLate() error {
	if !s.unwritten.Load() {
		return nil
	}
	s.late.Lock()
	defer s.late.Unlock()
	if !s.unwritten.Load() {
		return nil
	}
	if _, err := s.markRunning(); err != nil {
		return err
	}
	if err := s.writeState(); err != nil {
		return err
	}
	s.unwritten.Store(false)
	return nil
}

// recoverAccount does again what the log says of an account, and checkpoints it.
func (s *Store) recoverAccount(key string, entries []loggedEntry) error {
	a := &account{store: s, key: key, loading: make(chan struct{})}
	close(a.loading)
	defer a.closeDirs()
	if err := a.load("recover", strings.Split(key, "/"), false); err != nil {
		if errors.Is(err, mailaccess.KindNotFound) {
			return nil // the operator removed it
		}
		return err
	}
	a.first = entries[0].pos
	a.inventory, a.patient = make(inventory), true
	renamed := make(map[*mailbox]ourNames)
	for _, e := range entries {
		for i := range e.records {
			if err := a.redo(e.pos, &e.records[i], renamed); err != nil {
				return err
			}
		}
	}
	a.patient = false
	a.redoPending()
	if err := a.dropGhosts(); err != nil {
		return err
	}
	a.inventory = nil
	for b, names := range renamed {
		if err := a.adopt(b, names); err != nil {
			return err
		}
	}
	for _, b := range a.boxes {
		b.reserved = a.reservedUIDs(b)
		if a.renewed {
			// The log has numbers of the epoch before.
			if err := a.renumber(b); err != nil {
				return err
			}
		}
		b.ix.SetDirTimes(0, 0)
	}
	// Nobody knows later which names lag behind.
	a.quietly("rename files", a.finishNames())
	return a.checkpoint()
}

// catchUp brings an account forward that could not be when the store was opened. Nobody else
// has it.
func (s *Store) catchUp(op, key string) error {
	s.mu.Lock()
	entries := s.behind[key]
	s.mu.Unlock()
	if entries == nil {
		return nil
	}
	if err := s.recoverAccount(key, entries); err != nil {
		return failDisk(op, "", err)
	}
	s.mu.Lock()
	delete(s.behind, key)
	s.mu.Unlock()
	return nil
}

// isBehind reports whether there are accounts that could not be brought forward.
func (s *Store) isBehind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.behind) > 0
}

// redo applies a record that may have been applied before, and does its work on files.
func (a *account) redo(pos commitlog.Pos, r *record, renamed map[*mailbox]ourNames) error {
	a.mu.Lock()
	have := r.Boxes[:0:0]
	for _, part := range r.Boxes {
		b := a.boxes[part.Box]
		if b == nil && !created(r, part.Box) {
			continue
		}
		if b != nil {
			if uint64(pos) < b.ix.LogPos() {
				continue
			}
			if err := b.ix.Load(); err != nil {
				a.mu.Unlock()
				return err
			}
			if renamed[b] == nil {
				renamed[b] = make(ourNames)
			}
			if err := renamed[b].note(b, part.Names); err != nil {
				a.mu.Unlock()
				return err
			}
			if err := holdRemoved(b, &part); err != nil {
				a.mu.Unlock()
				return err
			}
		}
		if _, _, err := part.rows(); err != nil {
			a.mu.Unlock()
			return err
		}
		have = append(have, part)
	}
	again := *r
	again.Boxes = have
	if uint64(pos) < a.LogPos {
		again.Created, again.Renamed, again.Deleted, again.Subscribe = nil, nil, nil, nil
	}
	tasks := a.apply(&again)
	a.mu.Unlock()
	a.work(tasks)
	return nil
}

// holdRemoved is holdNames for what a record removes.
func holdRemoved(b *mailbox, part *boxRecord) error {
	for _, m := range part.Removed {
		if uids, err := m.UIDs.set(); err != nil {
			return err
		} else if err := holdNames(b, uids.Intersect(b.ix.UIDs())); err != nil {
			return err
		}
	}
	return nil
}

func created(r *record, box mailaccess.MailboxID) bool {
	for _, c := range r.Created {
		if c.Box == box {
			return true
		}
	}
	return false
}

// emptySpool removes uploads that nobody committed, and what was linked elsewhere.
func (s *Store) emptySpool() error {
	for e, err := range s.spool.Names(0) {
		if err != nil {
			return failDisk("open store", "", err)
		}
		if err := s.spool.Remove(e.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an old upload cannot be removed", zap.Error(err))
		}
	}
	return nil
}

// markRunning leaves a mark until the store is closed, and reports whether there was one.
func (s *Store) markRunning() (unclean bool, err error) {
	f, err := s.own.Create(runningFile)
	if errors.Is(err, fs.ErrExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, errors.Join(f.Close(), s.own.Sync())
}

// unmarkRunning says that the stop is clean.
func (s *Store) unmarkRunning() error {
	if err := s.own.Remove(runningFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.own.Sync()
}

func (s *Store) readState() error {
	b, err := readSmall(s.own, stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return parseMeta(b, "mailaccess state 1", func(key, value string) (err error) {
		switch key {
		case "generation":
			s.state.generation, err = strconv.ParseUint(value, 10, 64)
		case "lost":
			s.state.lost, err = strconv.ParseUint(value, 10, 64)
		}
		return err
	})
}

func (s *Store) writeState() error {
	return s.writeSmall(s.own, stateFile, fmt.Appendf(nil, "mailaccess state 1\ngeneration %d\nlost %d\n", s.state.generation, s.state.lost))
}
