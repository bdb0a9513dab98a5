package imap

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

// attendAfter is how long a command may take before it is noticed that its client is
// gone. Shorter ones pay nothing for it.
const attendAfter = 200 * time.Millisecond

// attended does work that may take long, changes nothing, reads nothing from the client
// and writes nothing to it: it is told how far the work is. When the client
// closes the connection, be it only its own half of it, the context ends: nobody waits
// for the outcome any more, as Dovecot sees it. Of a client that has sent more
// commands already that is noticed later, by writing.
func (c *conn) attended(ctx context.Context, work func(context.Context) error) (err error) {
	defer c.reportProgress()()
	if c.r.Buffered() > 0 {
		return work(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan error, 1)
	listen := time.AfterFunc(attendAfter, func() {
		err := io.ErrUnexpectedEOF // unless Wait returns
		c.nc.CommandReceived()
		c.nc.Guard(func() { err = c.r.Wait() })
		if err != nil && !errors.Is(err, protocols.ErrIdle) {
			cancel()
		}
		gone <- err
	})
	// Also when the work panics: nobody else reads then.
	defer func() {
		if listen.Stop() {
			return
		}
		// The reader wakes up: from here on it is needed for what comes next.
		c.nc.SetIdleTimeout(time.Nanosecond)
		heard := <-gone
		c.nc.SetIdleTimeout(idleTimeout)
		switch {
		case heard == nil:
		case errors.Is(heard, protocols.ErrIdle):
			c.broken = nil
		default:
			err = heard
		}
	}()
	return work(ctx)
}
