package imap

import (
	"context"
	"sync"
	"time"
)

// idle is RFC 2177. While the client waits, its connection is one goroutine that
// reads; what is to be told is written by a goroutine that lives for one ring.
func idle(ctx context.Context, c *conn) error {
	if _, err := c.w.WriteString("+ idling\r\n"); err != nil {
		return err
	}
	p := &pusher{ctx: ctx, c: c}
	p.push()
	// A shutdown may interrupt the wait: nothing is under way in it.
	c.nc.SetBusy(false)
	err := c.r.Wait()
	c.nc.SetBusy(true)
	if pushErr := p.stop(); pushErr != nil {
		return pushErr
	}
	if err != nil {
		return err
	}
	return c.r.ReadDone()
}

// pusher tells an idling client what changed.
type pusher struct {
	ctx context.Context
	c   *conn

	// mu makes pushes and the end of IDLE follow one another. It is this
	// connection's own: a client that does not read holds up nobody else.
	mu     sync.Mutex
	ended  bool
	disarm func() bool
	err    error
}

// push tells what changed and waits for the next ring. When the store could not say
// what changed, the view is rung again after a while.
func (p *pusher) push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.err != nil {
		return
	}
	if p.err = p.c.update(p.ctx, false); p.err == nil {
		p.err = p.c.w.Flush()
	}
	if p.err != nil {
		// The reader wakes up and finds the reason.
		p.c.nc.SetIdleTimeout(time.Nanosecond)
		return
	}
	if p.c.view != nil {
		p.disarm = p.c.view.AfterRing(p.push)
	}
}

// stop ends the pushing and returns what went wrong with it.
func (p *pusher) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.disarm != nil {
		p.disarm()
	}
	return p.err
}
