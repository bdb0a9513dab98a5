package protocols

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A wire is the transport under a connection. It counts bytes and gives each
// write its deadline. TLS is put on top of it, so that what TLS writes of its
// own accord (alerts, key updates) has a deadline too.
type wire struct {
	net.Conn
	in, out atomic.Int64
	turn    turn
	beside  atomic.Bool // what is read is listened for while the connection works
	ahead   ahead       // what was read while the connection waited

	// eager is set where a write may not be continued after its deadline, as is
	// so with a tls.Conn; then deadlines cannot be renewed lazily.
	eager bool

	mu       sync.Mutex // guards the following and SetWriteDeadline
	timeout  time.Duration
	patience patience
	armed    time.Time // the write deadline that Conn has now
}

func (w *wire) Read(p []byte) (int, error) {
	if n := w.ahead.take(p); n > 0 {
		return n, nil
	}
	rested := !w.beside.Load() && w.turn.rest()
	n, err := w.Conn.Read(p)
	if rested {
		w.turn.work()
	}
	w.in.Add(int64(n))
	return n, err
}

// Write writes p, and returns ErrWriteTimeout when the peer lets it wait for too long.
func (w *wire) Write(p []byte) (int, error) {
	if w.turn.rest() {
		defer w.turn.work()
	}
	n := 0
	for {
		piece := p[n:]
		if w.eager {
			piece = piece[:min(chunk, len(piece))]
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
	for {
		start := time.Now()
		if !w.arm(start, w.eager) {
			return n, ErrWriteTimeout
		}
		m, err := w.Conn.Write(p[n:])
		n += m
		w.out.Add(int64(m))
		w.spend(time.Since(start), m)
		if err == nil || !isTimeout(err) {
			return n, err
		}
		if w.eager {
			return n, ErrWriteTimeout
		}
		// The deadline of an earlier write, perhaps, or octets were taken meanwhile: arm
		// knows.
	}
}

// sendFile writes what src has left of a file, which a TCP connection has the kernel do. A
// write that was interrupted could not be continued, since who knows how far the file was read.
func (w *wire) sendFile(to io.ReaderFrom, src *io.LimitedReader) (n int64, err error) {
	if w.turn.rest() {
		defer w.turn.work()
	}
	for piece := (io.LimitedReader{R: src.R}); src.N > 0; {
		start := time.Now()
		if !w.arm(start, true) {
			return n, ErrWriteTimeout
		}
		piece.N = min(src.N, chunk)
		want := piece.N
		m, err := to.ReadFrom(&piece)
		n += m
		src.N -= m
		w.out.Add(m)
		w.spend(time.Since(start), int(m))
		switch {
		case err != nil && isTimeout(err):
			return n, ErrWriteTimeout
		case err != nil || m < want: // the file ends
			return n, err
		}
	}
	return n, nil
}

func (w *wire) spend(wait time.Duration, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.patience.spend(wait, n, w.timeout)
}

// arm sees to it that a write that begins now ends when patience does, and reports
// false when that is at an end. A deadline still ahead and not after the one
// wanted stays, unless eager: waking up early costs less than moving a timer for each write.
func (w *wire) arm(now time.Time, eager bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := w.patience.left(w.timeout)
	want := after(now, left)
	switch {
	case left == 0:
		return false
	case want.Equal(w.armed),
		!eager && !want.IsZero() && w.armed.After(now) && !w.armed.After(want):
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
	w.timeout, w.patience = d, patience{}
	w.armed = time.Now().Add(d)
	w.Conn.SetWriteDeadline(w.armed) //nolint:errcheck // closing: the write that follows fails too
}
