package maildir

import "sync"

// sharedSync is one sync for everybody who waits for it at the same time.
type sharedSync struct {
	sync func() error

	mu   sync.Mutex
	wake sync.Cond
	busy bool
	next *syncRound // for those who come while it is busy, or before it begins
}

type syncRound struct {
	members int
	done    bool
	err     error
}

func newSharedSync(sync func() error) *sharedSync {
	s := &sharedSync{sync: sync}
	s.wake.L = &s.mu
	return s
}

// wait returns when a sync that began after the call has ended.
func (s *sharedSync) wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = new(syncRound)
	}
	r := s.next
	r.members++
	for !r.done {
		if s.busy {
			s.wake.Wait()
			continue
		}
		s.busy, s.next = true, nil
		s.mu.Unlock()
		err := s.sync()
		s.mu.Lock()
		s.busy, r.done, r.err = false, true, err
		s.wake.Broadcast()
	}
	return r.err
}
