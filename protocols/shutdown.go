package protocols

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// linger is how long the end of a connection may take: for the client to accept
// the last bytes and to close its side, so that what was written last is not
// lost; for a refused client to accept the reason; for a connection that was cut
// to unwind.
const linger = time.Second

// lingerBytes bounds what is read and thrown away meanwhile.
const lingerBytes = 256 << 10

// Shutdown ends the server in order: listeners close, a connection that waits
// for its client gets ErrShutdown from Read, a command that runs may finish. It
// returns when everything has ended, with the error of closing a listener if
// there was one. When ctx ends first, what is left is
// closed hard and its context cancelled; Shutdown then waits a second at most for
// it to unwind, and returns the error of ctx. A server cannot be used again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.setup()
	err := s.halt()
	for _, c := range s.registered() {
		c.drain()
	}
	select {
	case <-s.gone:
		return err
	case <-ctx.Done():
	}
	select {
	case <-s.gone: // both were so, and this is the better news
		return err
	default:
	}
	s.cut()
	return ctx.Err()
}

// Close ends the server at once: listeners and connections close, and the
// contexts of the latter are cancelled. It waits a second at most for them to
// unwind.
func (s *Server) Close() error {
	s.setup()
	err := s.halt()
	s.cut()
	return err
}

// halt closes the listeners and lets nothing new begin.
func (s *Server) halt() error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
		s.checkGoneLocked()
	}
	listeners := make([]*listener, 0, len(s.listeners))
	for l := range s.listeners {
		listeners = append(listeners, l)
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// cut closes every connection hard and waits for them to unwind, but not for a
// protocol that ignores both its connection and its context.
func (s *Server) cut() {
	for _, c := range s.registered() {
		c.abort(ErrServerClosed)
	}
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-s.gone:
	case <-t.C:
	}
}

func (s *Server) registered() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// A listener is closed once only, by Serve or by a shutdown.
type listener struct {
	net.Listener
	once sync.Once
	err  error
}

func (l *listener) Close() error {
	l.once.Do(func() { l.err = l.Listener.Close() })
	return l.err
}

func (s *Server) addListener(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.listeners[l] = struct{}{}
	s.running++
	return true
}

func (s *Server) removeListener(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
	s.leaveLocked()
}

// leaveLocked counts one accept loop or connection less. The loops count too, so
// that a connection accepted in the last moment is waited for.
func (s *Server) leaveLocked() {
	s.running--
	s.checkGoneLocked()
}

func (s *Server) checkGoneLocked() {
	if s.stopped && s.running == 0 && !s.left {
		s.left = true
		close(s.gone)
	}
}

// drain interrupts the connection if it waits for its client, and lets it end
// with what it is doing otherwise.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return
	}
	c.draining = true
	switch {
	case c.busy || c.closing:
	case c.interrupt != nil:
		c.interrupt(ErrShutdown)
	default:
		c.deadlineLocked(past)
	}
}

// end closes the connection after Serve has returned: in order, unless it was
// closed hard.
func (c *Conn) end() {
	c.mu.Lock()
	c.closing = true
	cut, eof := c.cause != nil, c.eof
	if !cut {
		c.deadlineLocked(time.Now().Add(linger))
	}
	c.mu.Unlock()
	c.cancel(nil) // for whoever still works for the connection
	if !cut {
		c.closeInOrder(eof)
	}
	c.hardClose()
}

// closeInOrder sees to it that the last bytes arrive. A TCP connection that is
// closed while bytes from the client are unread is reset, which may take with it
// what was written: so this side is closed first, and the rest is read.
func (c *Conn) closeInOrder(eof bool) {
	c.wire.hurry(linger)
	if t := c.upgraded.Load(); t != nil {
		t.CloseWrite() //nolint:errcheck // the close_notify alert is a courtesy
	}
	half, ok := c.raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || eof {
		return
	}
	io.CopyN(io.Discard, struct{ io.Reader }{&c.wire}, lingerBytes) //nolint:errcheck // what is read does not matter
}
