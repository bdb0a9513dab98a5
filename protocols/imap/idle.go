package imap

import (
	"context"
	"errors"
	"sync"
	"time"
)

// idle is RFC 2177. While the client waits, its connection is one goroutine that
// reads; what is to be told is written by a goroutine that lives for one ring.
func idle(_ context.Context, c *conn) error {
	if _, err := c.w.WriteString("+ idling\r\n"); err != nil {
		return err
	}
	c.idling = true
	return nil
}

// endIdle is the end of IDLE, when the client has said something.
func (c *conn) endIdle(ctx context.Context) error {
	defer c.forget()
	c.idling = false
	err := c.r.ReadDone()
	if uerr := c.tellAfter(ctx, false, err); uerr != nil {
		return uerr
	}
	return c.conclude(err)
}

// changeTeller tells of the selected mailbox, and of what NOTIFY asked for.
type changeTeller struct {
	c         *conn
	noExpunge bool // removals wait for a command (RFC 5465, section 6.1.2)
}

func (t changeTeller) tell(ctx context.Context) error {
	if err := t.c.update(ctx, t.noExpunge); err != nil {
		return err
	}
	return t.c.notify.sweep(ctx, t.c)
}

func (t changeTeller) afterRing(f func()) (disarm func() bool) {
	var view, account func() bool
	if t.c.view != nil {
		view = t.c.view.AfterRing(f)
	}
	if n := t.c.notify; n != nil && n.listener != nil {
		account = n.listener.AfterRing(f)
	}
	switch {
	case account == nil:
		return view
	case view == nil:
		return account
	}
	return func() bool {
		inTime := view()
		return account() && inTime
	}
}

// A teller knows what to tell a client that waits.
type teller interface {
	// tell writes what changed since it was called last. When the store cannot
	// say, it sees to it that there is a ring after a while.
	tell(ctx context.Context) error
	// afterRing calls f once, in a goroutine of its own, when there is something
	// to tell, which may be at once. It returns how to call that off; nil when
	// there is never anything to tell.
	afterRing(f func()) (disarm func() bool)
}

// startPushing tells the client of changes from now on. Only one goroutine at a time writes to it:
// this one does not before stopPushing returns.
func (c *conn) startPushing(ctx context.Context, t teller) {
	c.pusher = &pusher{ctx: ctx, c: c, teller: t}
	c.pusher.push()
}

// stopPushing ends that, and returns what went wrong with it.
func (c *conn) stopPushing() error {
	if c.pusher == nil {
		return nil
	}
	err := c.pusher.stop()
	c.pusher = nil
	return err
}

// pusher tells a client that waits what changed. While there is no ring, no
// goroutine is its own.
type pusher struct {
	ctx    context.Context
	c      *conn
	teller teller

	// mu makes pushes and the end of the wait follow one another. It is this
	// connection's own: a client that does not read holds up nobody else.
	mu     sync.Mutex
	ended  bool
	disarm func() bool
	err    error
}

// push tells what changed and waits for the next ring.
func (p *pusher) push() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.err != nil {
		return
	}
	p.err = errPushBroken
	p.c.nc.Guard(func() { p.err = p.tell() })
	if p.err != nil {
		// The reader wakes up and finds the reason.
		p.c.nc.SetIdleTimeout(time.Nanosecond)
		return
	}
	p.disarm = p.teller.afterRing(p.push)
}

func (p *pusher) tell() error {
	defer p.c.nc.Release()
	if err := p.teller.tell(p.ctx); err != nil {
		return err
	}
	if p.c.outOfSync() {
		// The tagged answer may be long in coming.
		if err := p.c.sendHighestModSeq(); err != nil {
			return err
		}
	}
	return p.c.w.Flush()
}

// errPushBroken ends a connection whose push panicked.
var errPushBroken = errors.New("imap: telling of changes was broken off")

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
