package protocols

import (
	"context"
	"math"
	"time"
)

// A pace is how many commands a client may still give before anybody looks at the clock,
// which costs as much as some of them.
type pace struct {
	left   int
	looked time.Time // when that was last done
}

// paceStep is the part of a second for which a client that is too fast is let go on, and
// then waits.
const paceStep = 100

// Pace counts a command that is about to be done. When the client has given more than
// Limits.CommandsPerSecond it calls flush, so that the client has the answers so far, and
// waits: who reads no further slows the client down. It belongs to the goroutine that
// reads. The error is that of flush, or why the connection was closed meanwhile.
func (c *Conn) Pace(flush func() error) error {
	if c.pace.left > 0 {
		c.pace.left--
		return nil
	}
	return c.keepPace(time.Now(), flush)
}

// keepPace is Pace when it is time to look at the clock.
func (c *Conn) keepPace(now time.Time, flush func() error) error {
	rate := c.server.limits.CommandsPerSecond
	p := &c.pace
	if rate == math.MaxInt {
		p.left = math.MaxInt
		return nil
	}
	earned := rate * BurstSeconds
	if !p.looked.IsZero() {
		passed := min(now.Sub(p.looked).Seconds(), BurstSeconds)
		earned = int(passed * float64(rate))
	}
	if step := max(1, rate/paceStep); earned < step {
		if err := flush(); err != nil {
			return err
		}
		// From when it was looked last, so that nothing of what passed is lost.
		until := p.looked.Add(time.Duration(float64(step) / float64(rate) * float64(time.Second)))
		if c.wire.turn.rest() {
			defer c.wire.turn.work()
		}
		t := time.NewTimer(until.Sub(now))
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
		now, earned = until, step
	}
	p.looked, p.left = now, earned-1
	return nil
}
