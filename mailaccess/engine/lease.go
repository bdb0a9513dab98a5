package engine

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// leaseTTL is how long a store's lease lasts unless refreshed: a crashed server
// frees its leases after this time.
const leaseTTL = 2 * time.Minute

// leaseTable keeps leases within the process.
type leaseTable struct {
	mu    sync.Mutex
	taken map[leaseKey]struct{}
}

type leaseKey struct{ account, name string }

// Lease is an exclusive right that lasts until released, or lost.
type Lease struct {
	release func() error
	lost    chan struct{}
}

// Lost is closed when the lease could not be kept: another process may hold it.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Release gives the lease up. It may be called more than once.
func (l *Lease) Release() error { return l.release() }

// Lease takes the lease called name on the session's account, or fails with
// KindInUse. It is refreshed until released. Sessions of one process exclude each
// other whatever the store can do.
func (s *Session) Lease(ctx context.Context, name string) (*Lease, error) {
	key := leaseKey{s.id.Account, name}
	t := &s.e.leases
	if !t.take(key) {
		return nil, &mailaccess.Error{Kind: mailaccess.KindInUse, Op: "lease " + name}
	}
	l := &Lease{lost: make(chan struct{})}
	if s.caps.Lease == nil {
		l.release = sync.OnceValue(func() error { t.drop(key); return nil })
		return l, nil
	}
	until := time.Now().Add(leaseTTL)
	held, err := s.caps.Lease.Lease(ctx, name, leaseTTL)
	if err != nil {
		t.drop(key)
		return nil, err
	}
	// The lease outlives the call, and what ctx carries with it.
	keep, cancel := context.WithCancel(context.WithoutCancel(ctx))
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.e.keepLease(keep, held, until, l.lost)
	}()
	l.release = sync.OnceValue(func() error {
		cancel()
		<-finished
		err := held.Release()
		t.drop(key)
		return err
	})
	return l, nil
}

// keepLease refreshes a lease at a third of its time, so that one refresh may
// fail, until ctx ends. It gives the lease up for lost when its time has passed,
// also when the store does not answer.
func (e *Engine) keepLease(ctx context.Context, held mailaccess.Lease, until time.Time, lost chan<- struct{}) {
	tick := time.NewTicker(leaseTTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		try, cancel := context.WithDeadline(ctx, until)
		err := held.Refresh(try)
		cancel()
		switch {
		case err == nil:
			until = asked.Add(leaseTTL)
		case ctx.Err() != nil:
			return
		case mailaccess.KindOf(err) == mailaccess.KindNotFound || !time.Now().Before(until):
			e.log.Warn("lease lost", zap.Error(err))
			close(lost)
			return
		}
	}
}

func (t *leaseTable) take(k leaseKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, taken := t.taken[k]; taken {
		return false
	}
	if t.taken == nil {
		t.taken = make(map[leaseKey]struct{})
	}
	t.taken[k] = struct{}{}
	return true
}

func (t *leaseTable) drop(k leaseKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, k)
}
