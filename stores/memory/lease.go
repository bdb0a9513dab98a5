package memory

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// leases are the leases of an account by name.
type leases struct {
	mu   sync.Mutex
	held map[string]*lease
}

// lease is the holder's right. It has run out when it is not among those held,
// or when its time is over.
type lease struct {
	leases *leases
	name   string
	ttl    time.Duration
	until  time.Time // guarded by leases.mu
}

func (l *lease) over(now time.Time) bool { return !now.Before(l.until) }

// Lease takes a lease.
func (h *handle) Lease(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
	const op = "lease"
	if err := h.begin(ctx, op, 0); err != nil {
		return nil, err
	}
	if ttl <= 0 {
		return nil, fail(op, mailaccess.KindInvalid, "", errors.New("the time is not positive"))
	}
	ls := &h.leases
	ls.mu.Lock()
	defer ls.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(ls.held, func(_ string, l *lease) bool { return l.over(now) })
	if ls.held[name] != nil {
		return nil, fail(op, mailaccess.KindInUse, "", nil)
	}
	if ls.held == nil {
		ls.held = make(map[string]*lease)
	}
	l := &lease{leases: ls, name: name, ttl: ttl, until: now.Add(ttl)}
	ls.held[name] = l
	return l, nil
}

func (l *lease) Refresh(ctx context.Context) error {
	const op = "refresh lease"
	if err := ctx.Err(); err != nil {
		return fail(op, mailaccess.KindUnavailable, "", err)
	}
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	now := time.Now()
	if l.leases.held[l.name] != l || l.over(now) {
		return fail(op, mailaccess.KindNotFound, "", errors.New("it ran out or was released"))
	}
	l.until = now.Add(l.ttl)
	return nil
}

func (l *lease) Release() error {
	l.leases.mu.Lock()
	defer l.leases.mu.Unlock()
	if l.leases.held[l.name] == l {
		delete(l.leases.held, l.name)
	}
	return nil
}
