package protocols

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// writeChunk is the piece of a long write that a client must accept within
// Limits.WriteTimeout: the limit is one on progress, not on the length of what
// is written.
const writeChunk = 64 << 10

// A wire is the transport under a connection. It counts bytes and gives each
// write its deadline. TLS is put on top of it, so that what TLS writes of its
// own accord (alerts, key updates) has a deadline too.
type wire struct {
	net.Conn
	in, out atomic.Int64

	// eager is set where a write may not be continued after its deadline, as is
	// so with a tls.Conn; then deadlines cannot be renewed lazily.
	eager bool

	mu      sync.Mutex // guards the following and SetWriteDeadline
	timeout time.Duration
	armed   time.Time // the write deadline that Conn has now
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.in.Add(int64(n))
	return n, err
}

// Write writes p, and returns ErrWriteTimeout when the peer did not take a
// chunk of it in time.
func (w *wire) Write(p []byte) (int, error) {
	n := 0
	for {
		piece := p[n:]
		if w.eager {
			piece = piece[:min(writeChunk, len(piece))]
		}
		m, err := w.writeOnce(piece)
		n += m
		if err != nil || n == len(p) {
			return n, err
		}
	}
}

// writeOnce writes p at once, where it may be interrupted and continued: the kernel
// copes better with one long write than with many.
func (w *wire) writeOnce(p []byte) (n int, err error) {
	start := time.Now()
	begun := 0 // where the chunk begins that must be taken in time
	for now := start; ; now = time.Now() {
		if !w.arm(start, now) {
			return n, ErrWriteTimeout
		}
		m, err := w.Conn.Write(p[n:])
		n += m
		w.out.Add(int64(m))
		if err == nil || !isTimeout(err) {
			return n, err
		}
		if w.eager {
			return n, ErrWriteTimeout
		}
		// The deadline of an earlier write, perhaps: arm knows. When a chunk was
		// taken is not known, only that it was: who stops then is found out at the
		// next deadline.
		if n-begun >= writeChunk {
			start, begun = time.Now(), n
		}
	}
}

// arm sees to it that a write begun at start meets its deadline, and reports
// false when that is past. A deadline still ahead of now and not after the one
// wanted stays: waking up early costs less than moving a timer for each write.
func (w *wire) arm(start, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := after(start, w.timeout)
	switch {
	case want.IsZero():
		if !w.armed.IsZero() {
			w.armed = want
			w.Conn.SetWriteDeadline(want) //nolint:errcheck // the write that follows fails too
		}
		return true
	case !now.Before(want):
		return false
	case !w.eager && w.armed.After(now): // and not after want, since timeouts only shrink, in hurry
		return true
	}
	w.armed = want
	w.Conn.SetWriteDeadline(want) //nolint:errcheck // the write that follows fails too
	return true
}

// SetWriteDeadline keeps crypto/tls from setting a deadline of its own, as it does
// when it closes, which would be at odds with what is known to be armed.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// hurry gives all writes from now on the timeout d, the one under way included.
func (w *wire) hurry(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timeout = d
	w.armed = time.Now().Add(d)
	w.Conn.SetWriteDeadline(w.armed) //nolint:errcheck // closing: the write that follows fails too
}
