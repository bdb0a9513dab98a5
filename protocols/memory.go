package protocols

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// A Use is what memory is reserved for.
type Use int

const (
	// Input is a command that is being received, and what is made of it.
	Input Use = iota
	// Work is what a command needs while it runs: results, and what they are made of.
	Work
	uses
)

// A memory is the budget of Limits.Memory. A quarter is for Input, the rest for Work:
// a command that holds one may wait for the other, and so they cannot wait for each
// other in a circle. What is held between commands is of Work, half of it at most, so
// that commands can always go on.
type memory struct {
	parts [uses]*semaphore.Weighted
	sizes [uses]int64
	kept  *semaphore.Weighted
}

func newMemory(budget int64) memory {
	m := memory{sizes: [uses]int64{Input: budget / 4, Work: budget - budget/4}}
	for use, size := range m.sizes {
		m.parts[use] = semaphore.NewWeighted(size)
	}
	m.kept = semaphore.NewWeighted(m.sizes[Work] / 2)
	return m
}

// A holding is what a connection has of the budget. It belongs to the goroutine that
// reads from the connection.
type holding struct {
	reserved [uses]int64
	kept     int64
}

func (h *holding) total() int64 { return h.reserved[Input] + h.reserved[Work] + h.kept }

var (
	// ErrMemory: there was no room in Limits.Memory within Limits.CommandTimeout.
	ErrMemory = errors.New("protocols: no memory free")

	// ErrMemoryOfConnection: it would be more than Limits.PerConnection.
	ErrMemoryOfConnection = errors.New("protocols: more memory than one connection may take")
)

// Reserve sets n octets aside for the present command before it buffers them, in place
// of what it had for the same use. When there is no room for them within Limits.Memory it waits until others have released
// theirs, first come first served, no longer than Limits.CommandTimeout. The error
// wraps ErrMemory or ErrMemoryOfConnection, and nothing was reserved; or it says why
// the connection was closed meanwhile.
//
// A command reserves for Input before it does for Work. What a connection takes in any
// case is not reserved: its goroutine, the buffers that it parks, and what commands of
// usual size need. Like Keep and Release, it belongs to the goroutine that reads.
func (c *Conn) Reserve(use Use, n int64) error {
	if c.TryReserve(use, n) {
		return nil
	}
	m, limits := &c.server.limiter.memory, &c.server.limits
	m.parts[use].Release(c.holds.reserved[use])
	c.holds.reserved[use] = 0
	if n > limits.PerConnection-c.holds.total() || n > m.sizes[use] {
		return fmt.Errorf("%w: %d octets", ErrMemoryOfConnection, n)
	}
	ctx := c.ctx
	if limits.CommandTimeout != forever {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limits.CommandTimeout, ErrMemory)
		defer cancel()
	}
	if err := m.parts[use].Acquire(ctx, n); err != nil {
		return fmt.Errorf("%w: %d octets", context.Cause(ctx), n)
	}
	c.holds.reserved[use] = n
	return nil
}

// TryReserve is Reserve that does not wait, for what can be done without. When it
// reports false nothing has changed.
func (c *Conn) TryReserve(use Use, n int64) bool {
	part, more := c.server.limiter.memory.parts[use], n-c.holds.reserved[use]
	switch {
	case more <= 0:
		part.Release(-more)
	case more > c.server.limits.PerConnection-c.holds.total() || !part.TryAcquire(more):
		return false
	}
	c.holds.reserved[use] = n
	return true
}

// Release gives back what the command has reserved.
func (c *Conn) Release() {
	for use, n := range c.holds.reserved {
		if n > 0 {
			c.server.limiter.memory.parts[use].Release(n)
			c.holds.reserved[use] = 0
		}
	}
}

// Keep says that the connection holds n octets from one command to the next, in place
// of those that it said before. It reports false, and nothing changes, when that is too
// much for one connection or all of them: whoever keeps does not wait.
func (c *Conn) Keep(n int64) bool {
	m, more := &c.server.limiter.memory, n-c.holds.kept
	switch {
	case more > c.server.limits.PerConnection-c.holds.total():
		return false
	case more < 0:
		m.parts[Work].Release(-more)
		m.kept.Release(-more)
	case more > 0 && !m.kept.TryAcquire(more):
		return false
	case more > 0 && !m.parts[Work].TryAcquire(more):
		m.kept.Release(more)
		return false
	}
	c.holds.kept = n
	return true
}
