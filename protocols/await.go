package protocols

import (
	"context"
	"errors"
)

// waiting is what a connection is while it waits for its client without Serve.
type waiting struct {
	resume func(context.Context) error // in place of Serve; nil: it does not wait
	failed error                       // how the wait ended, for the next Read
	quiet  bool                        // the last Read returned ErrQuiet; under Conn.mu
}

// errAwaits is returned by Await, and by a Serve that waits.
var errAwaits = errors.New("protocols: the connection waits")

// Await lets the connection wait for its client in a goroutine whose stack is new and small:
// that of Serve has grown with what it did, and does not shrink while it waits. Serve
// returns what Await returns. When the client says something, or Read would return an error,
// resume is called in place of Serve, as many times as the conversation waits in this way; what
// it reads first is what has come. Meanwhile the methods of the Conn may be called that any
// goroutine may call, Write by one of them.
//
// It costs a microsecond or two, and is for waits that last. All that the client has sent must have
// been read: see CanAwait.
func (c *Conn) Await(resume func(context.Context) error) error {
	c.resume = resume
	if c.failed == nil {
		c.failed = c.beginAwait()
	}
	c.wire.turn.rest()
	return errAwaits
}

// beginAwait sets the very deadline: to move one that comes early is more than fits on a small
// stack.
func (c *Conn) beginAwait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.beginReadLocked(0)
	if err == nil {
		c.armAtLocked(c.wantLocked())
	}
	return err
}

// CanAwait reports whether a Read would find nothing that has come already: what a wait
// before has read or ended with, and over TLS, unless the last Read has returned ErrQuiet, what came
// together with something else.
func (c *Conn) CanAwait() bool {
	if c.failed != nil || !c.wire.ahead.empty() {
		return false
	}
	if c.upgraded.Load() == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quiet
}

// await waits until there is something to resume for. What it calls in the ordinary case has small
// frames, so that the stack remains as small as it is at first.
func (c *Conn) await() {
	for c.failed == nil && c.wire.ahead.empty() {
		n, err := c.raw.Read(c.wire.ahead.octets[:])
		if n > 0 {
			c.wire.ahead.to = uint8(n)
			c.wire.in.Add(int64(n))
		} else if err != nil {
			c.failed = c.readFailed(err)
		}
	}
	c.wire.turn.work()
}

// awaitFailed returns, once, the error with which a wait has ended.
func (c *Conn) awaitFailed() error {
	err := c.failed
	c.failed = nil
	return err
}

// ahead is what was read before anybody asked for it: of most commands all, so that what was sent at
// once is answered at once.
type ahead struct {
	octets   [64]byte
	from, to uint8
}

func (a *ahead) empty() bool { return a.from == a.to }

func (a *ahead) take(p []byte) int {
	n := copy(p, a.octets[a.from:a.to])
	if a.from += uint8(n); a.empty() {
		a.from, a.to = 0, 0
	}
	return n
}
