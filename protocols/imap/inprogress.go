package imap

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// progressEvery is how often a client is told how far its command is. RFC 9585
// recommends 10 to 15 seconds.
const progressEvery = 10 * time.Second

// progress is how far a command is, in messages. What does the work sets it, what
// reports reads it.
type progress struct{ done, total atomic.Int64 }

func (p *progress) set(done, total int) {
	p.total.Store(int64(total))
	p.done.Store(int64(done))
}

// advance is how far work is that may take long.
func (c *conn) advance(done, total int) error {
	c.progress.set(done, total)
	return c.nc.Step()
}

// further is how to tell of work that comes after what was told of so far. The goal grows,
// but the client sees no step back.
func (c *conn) further() engine.Progress {
	before := int(c.progress.total.Load())
	return func(done, total int) error { return c.advance(before+done, before+total) }
}

// reportProgress tells the client every now and then that the present command is still
// at work, until stop is called. Meanwhile nothing else may write to the client. A
// write that fails ends the context of the connection, and with it the work: so it is
// noticed that the client is gone, whatever it had sent before. A command that is done
// soon costs a timer.
func (c *conn) reportProgress() (stop func()) {
	c.progress.set(0, 0)
	r := &reporter{c: c}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = time.AfterFunc(progressEvery, r.report)
	return r.stop
}

type reporter struct {
	c *conn

	// mu makes reports and the end of the work follow one another. It is this
	// command's own, like that of a pusher.
	mu    sync.Mutex
	ended bool
	timer *time.Timer
}

func (r *reporter) report() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.c.nc.Guard(func() {
		if r.c.w.End(r.c.appendInProgress(r.c.w.Begin())) == nil && r.c.w.Flush() == nil {
			r.timer.Reset(progressEvery)
		}
	})
}

func (r *reporter) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.timer.Stop()
}

// appendInProgress appends the response of RFC 9585, section 5. A goal is not reached
// as long as there is something to report.
func (c *conn) appendInProgress(b []byte) []byte {
	b = append(b, "* OK [INPROGRESS ("...)
	if tag := c.r.Tag(); bytes.IndexByte(tag, ']') >= 0 {
		b = append(b, "NIL"...)
	} else {
		b = append(append(append(b, '"'), tag...), '"')
	}
	done, total := uint64(c.progress.done.Load()), uint64(c.progress.total.Load())
	if total == 0 {
		b = append(b, " NIL NIL"...)
	} else {
		b = imapwire.AppendNumber(append(b, ' '), min(done, total-1))
		b = imapwire.AppendNumber(append(b, ' '), total)
	}
	return append(b, ")] still working\r\n"...)
}
