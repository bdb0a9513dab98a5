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

// A memory is the budget of Limits.Memory, or a user's share of it. A quarter of the budget
// is for Input, the rest for Work: a command that holds one may wait for the other, and so
// they cannot wait for each other in a circle. What is held between commands is of Work,
// half of it at most, so that commands can always go on.
type memory struct {
	parts [uses]*semaphore.Weighted
	sizes [uses]int64
	kept  *semaphore.Weighted
}

// inputOf is how much of a budget is for Input.
func inputOf(budget int64) int64 { return budget / 4 }

func newMemory(budget int64) memory {
	return memoryOf([uses]int64{Input: inputOf(budget), Work: budget - inputOf(budget)})
}

func memoryOf(sizes [uses]int64) memory {
	m := memory{sizes: sizes, kept: semaphore.NewWeighted(sizes[Work] / 2)}
	for use, size := range sizes {
		m.parts[use] = semaphore.NewWeighted(size)
	}
	return m
}

// share is what one user may have with all connections: a quarter, so that nobody takes
// what is there for all, but for Work not less than one connection may have. A command has
// room in a quarter of Input: see Limits.mostCommand.
func (m *memory) share(perConnection int64) memory {
	work := m.sizes[Work]
	return memoryOf([uses]int64{Input: m.sizes[Input] / 4, Work: max(work/4, min(perConnection, work))})
}

// tryKeep takes n octets more between commands, or reports that there are none.
func (m *memory) tryKeep(n int64) bool {
	if !m.kept.TryAcquire(n) {
		return false
	}
	if !m.parts[Work].TryAcquire(n) {
		m.kept.Release(n)
		return false
	}
	return true
}

func (m *memory) releaseKept(n int64) {
	m.parts[Work].Release(n)
	m.kept.Release(n)
}

// A holding is what a connection has of the budget. It belongs to the goroutine that
// reads from the connection.
type holding struct {
	share    *memory // the user's, of which it is too; nil before the login
	reserved [uses]int64
	kept     int64
}

func (h *holding) total() int64 { return h.reserved[Input] + h.reserved[Work] + h.kept }

// release gives back n octets that were reserved.
func (h *holding) release(m *memory, use Use, n int64) {
	m.parts[use].Release(n)
	if h.share != nil {
		h.share.parts[use].Release(n)
	}
	h.reserved[use] -= n
}

// try reserves n octets more.
func (h *holding) try(m *memory, use Use, n int64) bool {
	if h.share != nil && !h.share.parts[use].TryAcquire(n) {
		return false
	}
	if !m.parts[use].TryAcquire(n) {
		if h.share != nil {
			h.share.parts[use].Release(n)
		}
		return false
	}
	h.reserved[use] += n
	return true
}

// wait reserves n octets more, as soon as they are there: first the user's, so that who
// waits for the user's own commands is in nobody else's way.
func (h *holding) wait(ctx context.Context, m *memory, use Use, n int64) error {
	if h.share != nil {
		if err := h.share.parts[use].Acquire(ctx, n); err != nil {
			return err
		}
	}
	if err := m.parts[use].Acquire(ctx, n); err != nil {
		if h.share != nil {
			h.share.parts[use].Release(n)
		}
		return err
	}
	h.reserved[use] += n
	return nil
}

// keep makes n octets of those that are kept.
func (h *holding) keep(m *memory, n int64) bool {
	more := n - h.kept
	switch {
	case more < 0:
		m.releaseKept(-more)
		if h.share != nil {
			h.share.releaseKept(-more)
		}
	case more > 0:
		if h.share != nil && !h.share.tryKeep(more) {
			return false
		}
		if !m.tryKeep(more) {
			if h.share != nil {
				h.share.releaseKept(more)
			}
			return false
		}
	}
	h.kept = n
	return true
}

// leave gives everything back.
func (h *holding) leave(m *memory) {
	for use, n := range h.reserved {
		h.release(m, Use(use), n)
	}
	h.keep(m, 0)
}

var (
	// ErrMemory: there was no room in Limits.Memory, or in the user's share of it, within
	// Limits.CommandTimeout.
	ErrMemory = errors.New("protocols: no memory free")

	// ErrMemoryOfConnection: it would be more than Limits.PerConnection.
	ErrMemoryOfConnection = errors.New("protocols: more memory than one connection may take")
)

// Reserve sets n octets aside for the present command before it buffers them, in place
// of what it had for the same use. When there is no room for them within Limits.Memory, or
// within what the user may have of it, it waits until others have released theirs, first
// come first served, no longer than Limits.CommandTimeout. The error
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
	c.holds.release(m, use, c.holds.reserved[use])
	if n > limits.PerConnection-c.holds.total() || n > m.sizes[use] || c.holds.share != nil && n > c.holds.share.sizes[use] {
		return fmt.Errorf("%w: %d octets", ErrMemoryOfConnection, n)
	}
	ctx := c.ctx
	if limits.CommandTimeout != forever {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limits.CommandTimeout, ErrMemory)
		defer cancel()
	}
	if c.wire.turn.rest() { // who waits for memory must have nothing that others wait for
		defer c.wire.turn.work()
	}
	if err := c.holds.wait(ctx, m, use, n); err != nil {
		return fmt.Errorf("%w: %d octets", context.Cause(ctx), n)
	}
	return nil
}

// TryReserve is Reserve that does not wait, for what can be done without. When it
// reports false nothing has changed.
func (c *Conn) TryReserve(use Use, n int64) bool {
	m, more := &c.server.limiter.memory, n-c.holds.reserved[use]
	if more <= 0 {
		c.holds.release(m, use, -more)
		return true
	}
	return more <= c.server.limits.PerConnection-c.holds.total() && c.holds.try(m, use, more)
}

// Release gives back what the command has reserved.
func (c *Conn) Release() {
	for use, n := range c.holds.reserved {
		if n > 0 {
			c.holds.release(&c.server.limiter.memory, Use(use), n)
		}
	}
}

// Keep says that the connection holds n octets from one command to the next, in place
// of those that it said before. It reports false, and nothing changes, when that is too
// much for one connection, its user or all: whoever keeps does not wait.
func (c *Conn) Keep(n int64) bool {
	if n-c.holds.kept > c.server.limits.PerConnection-c.holds.total() {
		return false
	}
	return c.holds.keep(&c.server.limiter.memory, n)
}
