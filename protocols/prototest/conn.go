package prototest

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxUnread bounds what a connection holds that the script has not read, and so
// the length of a line and of a literal.
const maxUnread = 32 << 20

// errTimeout is the end of an expectation's time.
var errTimeout = errors.New("nothing came in time")

// conn is one connection of a script.
type conn struct {
	number int
	raw    net.Conn // as dialled
	out    net.Conn // raw, or TLS over it
	in     *inbox   // what came on out

	over     bool  // closed by either side, as the script says
	writeErr error // the first failure to send
	done     chan struct{}
	pumps    sync.WaitGroup
}

// newConn begins to read c, all the time, so that a server that writes to a
// connection without a buffer is not held up by a script that writes to it.
func newConn(number int, c net.Conn) *conn {
	nc := &conn{number: number, raw: c, out: c, done: make(chan struct{})}
	nc.in = nc.pump(c)
	return nc
}

func (c *conn) pump(r io.Reader) *inbox {
	in := &inbox{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	c.pumps.Go(func() { in.fill(r, c.done) })
	return in
}

// close closes the connection and waits until nothing reads it any more.
func (c *conn) close() {
	if c.done == nil {
		return
	}
	c.over = true
	// An error would say that the server was first; TLS gets no farewell, because
	// writing it could block.
	_ = c.raw.Close()
	close(c.done)
	c.pumps.Wait()
	c.done = nil
}

// write sends data. A server that has closed the connection is not an error here:
// what it said before is still to be read.
func (c *conn) write(data []byte, timeout time.Duration) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(timeout)); err != nil && !isEnd(err) {
		return fmt.Errorf("set a deadline: %w", err)
	}
	_, err := c.out.Write(data)
	if err == nil || c.writeErr != nil {
		return nil
	}
	if !isEnd(err) {
		return fmt.Errorf("send: %w", err)
	}
	c.writeErr = err
	return nil
}

// startTLS makes the rest of the connection TLS.
func (c *conn) startTLS(timeout time.Duration) error {
	if rest := c.in.unread(); len(rest) > 0 {
		return fmt.Errorf("the server said more before TLS: %s", show(rest))
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	client := tls.Client(&inboxConn{Conn: c.out, in: c.in}, &tls.Config{
		InsecureSkipVerify: true, // the server of a test signs its own certificate
		MinVersion:         tls.VersionTLS12,
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.out = client
	c.in = c.pump(client)
	return nil
}

// deflate makes the rest of the connection a raw DEFLATE stream each way.
func (c *conn) deflate() error {
	if rest := c.in.unread(); len(rest) > 0 {
		return fmt.Errorf("the server said more before compression: %s", show(rest))
	}
	d := &deflated{Conn: c.out}
	var err error
	if d.w, err = flate.NewWriter(&d.buf, flate.DefaultCompression); err != nil {
		return err
	}
	in := flate.NewReader(&inboxConn{Conn: c.out, in: c.in})
	c.out = d
	c.in = c.pump(in)
	return nil
}

// deflated is a connection that compresses what is written, and sends it whole.
type deflated struct {
	net.Conn
	w   *flate.Writer
	buf bytes.Buffer
}

func (d *deflated) Write(p []byte) (int, error) {
	defer d.buf.Reset()
	_, err := d.w.Write(p)
	if err = errors.Join(err, d.w.Flush()); err != nil {
		return 0, err
	}
	_, err = d.Conn.Write(d.buf.Bytes())
	return len(p), err
}

// inboxConn is a connection that is read through its inbox.
type inboxConn struct {
	net.Conn
	in *inbox
}

func (s *inboxConn) Read(b []byte) (int, error) {
	data, err := s.in.take(nil, func(data []byte) int {
		if len(data) == 0 {
			return -1
		}
		return min(len(data), len(b))
	})
	return copy(b, data), err
}

// inbox holds what a connection received and nobody has taken yet. One goroutine
// fills it, another takes.
type inbox struct {
	more chan struct{} // rings when something came, or the end
	room chan struct{} // rings when something was taken

	mu   sync.Mutex
	data []byte
	err  error // why nothing more will come
}

// fill reads r to its end, or until done is closed.
func (b *inbox) fill(r io.Reader, done <-chan struct{}) {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		b.mu.Lock()
		b.data = append(b.data, buf[:n]...)
		b.err = err
		full := len(b.data) >= maxUnread
		b.mu.Unlock()
		ring(b.more)
		if err != nil {
			return
		}
		for full {
			select {
			case <-done:
				return
			case <-b.room:
			}
			b.mu.Lock()
			full = len(b.data) >= maxUnread
			b.mu.Unlock()
		}
	}
}

// take waits until find, given what is unread, tells how many bytes to take (-1:
// not yet), and takes them. It ends with the error of the connection, or with
// errTimeout once the deadline fires.
func (b *inbox) take(deadline <-chan time.Time, find func(data []byte) int) ([]byte, error) {
	for {
		b.mu.Lock()
		n, err, full := find(b.data), b.err, len(b.data) >= maxUnread
		if n >= 0 {
			taken := bytes.Clone(b.data[:n])
			b.data = b.data[n:]
			b.mu.Unlock()
			ring(b.room)
			return taken, nil
		}
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if full {
			return nil, fmt.Errorf("%d bytes without an end", maxUnread)
		}
		select {
		case <-b.more:
		case <-deadline:
			return nil, errTimeout
		}
	}
}

// line takes a line and returns it without its CRLF.
func (b *inbox) line(deadline <-chan time.Time) ([]byte, error) {
	searched := 0
	line, err := b.take(deadline, func(data []byte) int {
		if i := bytes.IndexByte(data[searched:], '\n'); i >= 0 {
			return searched + i + 1
		}
		searched = len(data)
		return -1
	})
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok {
		return nil, fmt.Errorf("the line %s ends in a bare LF", show(line[:len(line)-1]))
	}
	return text, nil
}

// bytes takes n bytes.
func (b *inbox) bytes(n int, deadline <-chan time.Time) ([]byte, error) {
	if n > maxUnread {
		return nil, fmt.Errorf("%d bytes are more than the %d that the runner takes", n, maxUnread)
	}
	return b.take(deadline, func(data []byte) int {
		if len(data) < n {
			return -1
		}
		return n
	})
}

// unread returns a copy of what was not taken.
func (b *inbox) unread() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.data)
}

// ring leaves one token in a channel of capacity one.
func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// isEnd tells whether err means that the other side has closed the connection.
func isEnd(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}
