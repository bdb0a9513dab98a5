package maildir

import (
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// roundEvery is how often all accounts are swept, opened or not.
const roundEvery = 24 * time.Hour

// startRounds sweeps, once a day, what accounts keep that nobody opens.
func (s *Store) startRounds() {
	s.work.Go(func() {
		t := time.NewTicker(roundEvery)
		defer t.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-t.C:
				s.round()
			}
		}
	})
}

// round sweeps every account that keeps something. Others are not opened.
func (s *Store) round() {
	for name, err := range s.accountNames(s.root, s.path.below, nil) {
		if err == nil {
			err = s.sweepAccount(name)
		}
		if s.closed.Load() {
			return
		}
		if err != nil {
			s.log.Warn("an account cannot be swept", zap.String("account", name), zap.Error(err))
		}
	}
}

func (s *Store) sweepAccount(name string) error {
	kept, err := s.keepsSomething(name)
	if err != nil || !kept {
		return err
	}
	a, err := s.acquire("sweep", name, false)
	if err != nil {
		if errors.Is(err, mailaccess.KindNotFound) {
			return nil // removed meanwhile
		}
		return err
	}
	for more := true; more && !s.closed.Load(); {
		more = a.sweep(s.now())
	}
	s.letGo(a)
	// Unless somebody came meanwhile: a round must not fill the memory.
	s.putAway(a)
	return nil
}

// keepsSomething reports whether an account has a directory of expunged messages.
func (s *Store) keepsSomething(name string) (bool, error) {
	parts, err := s.path.account(name)
	if err != nil {
		return false, err
	}
	dir := s.root
	for _, part := range append(parts, expungedDir) {
		var sub fsys.Dir
		sub, err = dir.Sub(part)
		if dir != s.root {
			err = errors.Join(err, dir.Close())
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return false, err
		}
		dir = sub
	}
	return true, dir.Close()
}
