package hooks

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// idleMessages is how many messages of accounts that nobody has open are kept
// loaded, when a file has them too.
const idleMessages = 200_000

// acquire returns an account, loaded and kept, until release.
func (s *Store) acquire(ctx context.Context, op, name string) (*account, error) {
	if name == "" || len(name) > maxText {
		return nil, fail(op, mailaccess.KindNotFound, "", nil)
	}
	for {
		s.mu.Lock()
		if s.ended {
			s.mu.Unlock()
			return nil, errClosed(op)
		}
		a := s.accounts[name]
		if a != nil {
			s.use(a)
			s.mu.Unlock()
			return a, nil
		}
		wait := s.loading[name]
		if wait == nil {
			wait = make(chan struct{})
			s.loading[name] = wait
			s.mu.Unlock()
			a, err := s.load(name)
			s.mu.Lock()
			delete(s.loading, name)
			close(wait)
			switch {
			case err != nil:
				err = fail(op, mailaccess.KindOf(err), "", err)
			case s.ended:
				err = errClosed(op)
			default:
				s.accounts[name] = a
				s.use(a)
			}
			s.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return a, nil
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fail(op, mailaccess.KindUnavailable, "", ctx.Err())
		}
	}
}

// use counts one more user of a and starts its keeper. s.mu is held.
func (s *Store) use(a *account) {
	if a.refs++; a.refs > 1 {
		return
	}
	s.idle = slices.DeleteFunc(s.idle, func(have *account) bool { return have == a })
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	s.keepers.Go(func() { a.keep(ctx) })
}

// release counts one user less. An account that the file has may be forgotten
// then; one that the application turned out not to know is forgotten at once.
func (s *Store) release(a *account) {
	s.mu.Lock()
	a.refs--
	last := a.refs == 0
	if last {
		a.stop()
	}
	if last && !a.known() {
		delete(s.accounts, a.name)
		last = false
	}
	last = last && s.file != nil && !s.ended
	s.mu.Unlock()
	if !last {
		return
	}
	if err := a.flush(); err != nil {
		s.log.Warn("hooks: what is recent and how long messages are was not written", zap.Error(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.refs == 0 && !s.ended && !slices.Contains(s.idle, a) {
		s.idle = append(s.idle, a)
		s.forget()
	}
}

// forget forgets accounts that nobody has open, those first that were left first,
// when they are too many. s.mu is held.
func (s *Store) forget() {
	total := 0
	for i, a := range slices.Backward(s.idle) {
		if total += a.messages() + 1000; total > idleMessages && i < len(s.idle)-1 {
			for _, old := range s.idle[:i+1] {
				delete(s.accounts, old.name)
			}
			s.idle = slices.Clone(s.idle[i+1:])
			return
		}
	}
}

// known reports whether the application ever listed the account's mailboxes.
func (a *account) known() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.names[mailaccess.Inbox] != nil
}

func (a *account) messages() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.contents)
}

// flush writes what no change has written yet.
func (a *account) flush() error {
	_, err := a.commit("flush", nil, func(t *txn) error {
		t.quiet = len(a.sized) > 0
		for _, b := range a.boxes {
			if b.recentDirty {
				t.box(b)
				t.quiet = true
			}
		}
		return nil
	})
	return err
}

// load returns an account as the file has it, or a new one.
func (s *Store) load(name string) (*account, error) {
	if s.file != nil {
		a, err := s.file.load(s, name)
		if a != nil || err != nil {
			return a, err
		}
	}
	return newAccount(s, name, newHead(time.Now())), nil
}
