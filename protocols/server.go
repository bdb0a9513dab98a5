package protocols

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Protocol serves connections of one wire protocol. Its methods are called
// concurrently.
type Protocol interface {
	// Name is the protocol's short name in lower case, such as "imap" or "pop3".
	Name() string

	// Serve converses with one client, from the greeting on, until the
	// conversation ends; nil means in order. It need not close the connection:
	// when it returns, what it wrote is delivered and the connection is closed.
	// It must not leave goroutines behind that use c, unless it returns what
	// [Conn.Await] does: then the conversation goes on elsewhere.
	//
	// ctx is cancelled when the connection is closed hard: by Close, by a failed
	// write, by the end of a shutdown's patience; its cause says which. The error
	// is logged as the reason of the end, hence must not carry credentials or
	// mail content.
	Serve(ctx context.Context, c *Conn) error

	// Refuse returns what is said to a client that is turned away before Serve,
	// such as "* BYE too many connections\r\n"; nothing when that is empty. The
	// reason is printable ASCII of one line.
	Refuse(reason string) []byte
}

// A Server serves one protocol on any number of listeners and connections. Its
// fields must not change once it serves.
type Server struct {
	Protocol  Protocol
	TLSConfig *tls.Config // for ServeTLS and for the upgrade in the connection, see [NewTLSConfig]; nil: neither
	Limits    *Limits     // nil: the defaults
	Limiter   *Limiter    // counts connections, perhaps together with other servers; nil: one of its own, from Limits
	Logger    *zap.Logger // nil: silence

	once    sync.Once // makes the following out of the fields above
	limits  Limits
	limiter *Limiter
	log     *zap.Logger
	tls     *secured      // nil: no TLSConfig
	stop    chan struct{} // closed when the server begins to shut down
	gone    chan struct{} // closed when thereafter nothing runs any more

	mu        sync.Mutex
	stopped   bool // stop is closed
	left      bool // gone is closed
	running   int  // accept loops and connections
	refusing  int  // connections that are being told why not
	lastID    uint64
	listeners map[*listener]struct{}
	conns     map[*Conn]struct{}
}

// maxRefusing bounds how many clients at once are told why they are turned away;
// further ones find the connection closed.
const maxRefusing = 64

func (s *Server) setup() {
	s.once.Do(func() {
		s.limits = s.Limits.withDefaults()
		s.limiter = s.Limiter
		if s.limiter == nil {
			s.limiter = NewLimiter(s.Limits)
		}
		s.limits.shared(&s.limiter.limits)
		s.log = s.Logger
		if s.log == nil {
			s.log = zap.NewNop()
		}
		if s.TLSConfig != nil {
			s.tls = secure(s.TLSConfig, s.Protocol)
		}
		s.stop = make(chan struct{})
		s.gone = make(chan struct{})
		s.listeners = make(map[*listener]struct{})
		s.conns = make(map[*Conn]struct{})
	})
}

// Serve accepts connections on l and serves each in its own goroutine, plain at
// first; the protocol may upgrade them when TLSConfig is set. Connections that
// l returns as *tls.Conn are served as TLS. Serve closes l when it returns. It
// returns ErrServerClosed after Shutdown or Close, otherwise the error of l.
func (s *Server) Serve(l net.Listener) error { return s.serve(l, false) }

// ServeTLS is Serve with TLS from the first byte. The handshake happens in the
// connection's goroutine, within Limits.HandshakeTimeout.
func (s *Server) ServeTLS(l net.Listener) error {
	if s.TLSConfig == nil {
		l.Close() //nolint:errcheck // the other error is the one to report
		return fmt.Errorf("protocols: serve %s on %s: %w", s.Protocol.Name(), addrString(l.Addr()), ErrNoTLS)
	}
	return s.serve(l, true)
}

// ServeConn serves one connection that was accepted elsewhere, such as one end of
// a net.Pipe, and returns when it has ended and is closed. It counts against the
// limits like any other.
func (s *Server) ServeConn(nc net.Conn) {
	s.setup()
	if c, ok := s.open(nc, false); ok {
		s.run(c)
	}
}

// ServeConnTLS is ServeConn with TLS from the first byte. The error is ErrNoTLS
// when there is no TLSConfig.
func (s *Server) ServeConnTLS(nc net.Conn) error {
	if s.TLSConfig == nil {
		nc.Close() //nolint:errcheck // the other error is the one to report
		return fmt.Errorf("protocols: serve %s: %w", s.Protocol.Name(), ErrNoTLS)
	}
	s.setup()
	if c, ok := s.open(nc, true); ok {
		s.run(c)
	}
	return nil
}

func (s *Server) serve(nl net.Listener, implicit bool) error {
	s.setup()
	l := &listener{Listener: nl}
	defer l.Close() //nolint:errcheck // nothing is accepted from it any more
	if !s.addListener(l) {
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			if c, ok := s.open(nc, implicit); ok {
				go s.runAnew(c)
			}
		case s.stopping():
			return ErrServerClosed
		case !isTemporary(err):
			return fmt.Errorf("protocols: serve %s on %s: %w", s.Protocol.Name(), addrString(l.Addr()), err)
		default: // such as: out of descriptors
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("accept failed, trying again", zap.String("protocol", s.Protocol.Name()),
				zap.String("listener", addrString(l.Addr())), zap.Duration("pause", pause), zap.Error(err))
			if !s.wait(pause) {
				return ErrServerClosed
			}
		}
	}
}

// wait pauses for d, and reports false when the server shuts down meanwhile.
func (s *Server) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// open admits a connection, or marks it as one to refuse; it reports false when
// it closed the connection at once.
func (s *Server) open(nc net.Conn, implicit bool) (*Conn, bool) {
	now := time.Now()
	p, viaProxy := nc.(*proxied)
	if viaProxy {
		nc = p.Conn
	}
	c := &Conn{server: s, opened: now, readStart: now, implicit: implicit, proxied: viaProxy, raw: nc, idle: s.limits.IdleTimeout}
	c.wire.Conn = nc
	c.wire.timeout = s.limits.WriteTimeout
	c.wire.turn.begin(s.limiter.turns)
	if t, ok := nc.(*tls.Conn); ok {
		c.given, c.implicit, c.wire.eager = t, true, true
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.authDeadline = after(now, s.limits.AuthTimeout)
	switch {
	case !viaProxy:
		c.origin, c.refused = s.limiter.open(nc.RemoteAddr())
	case p.trusted: // the client's address is not known yet
		c.origin, c.refused = s.limiter.open(nil)
	default:
		c.refused = errNotProxy
	}
	if !s.add(c) {
		c.logEnd(c.refused)
		c.Close() //nolint:errcheck // always nil
		return nil, false
	}
	return c, true
}

// add registers c. It reports false when c is refused and is to be closed
// without a word: nothing can be said ahead of a TLS handshake, which would cost
// what the limit is there to save, nor to everyone at once.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	c.id = s.lastID
	if s.stopped && c.refused == nil {
		s.limiter.close(c.origin)
		c.refused = ErrShutdown
	}
	if c.refused != nil {
		if c.implicit || c.refused == errNotProxy || s.refusing >= maxRefusing {
			return false
		}
		s.refusing++
	}
	s.running++
	s.conns[c] = struct{}{}
	return true
}

// remove takes back what open and add did.
func (s *Server) remove(c *Conn) {
	c.SetUser("") //nolint:errcheck // only a user can be refused
	c.holds.leave(&s.limiter.memory)
	if c.refused == nil {
		s.limiter.close(c.origin)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.refused != nil {
		s.refusing--
	}
	s.leaveLocked()
}

// run serves an open connection to its end.
func (s *Server) run(c *Conn) {
	for s.goOn(c) {
		c.await()
	}
}

// runAnew is run in a goroutine that may end: where the connection waits, another takes its
// place, whose stack is as small as that of a new one.
func (s *Server) runAnew(c *Conn) {
	if s.goOn(c) {
		go s.awaitAnew(c)
	}
}

func (s *Server) awaitAnew(c *Conn) {
	c.await()
	s.runAnew(c)
}

// goOn serves an open connection until it ends, or waits, which it reports.
func (s *Server) goOn(c *Conn) (waits bool) {
	err := errGoexit
	defer func() {
		if waits = err == errAwaits && c.resume != nil; waits {
			return
		}
		c.wire.turn.leave() // it may have a place
		c.end()
		c.logEnd(err)
		s.remove(c)
	}()
	err = s.converse(c)
	return waits
}

func (s *Server) converse(c *Conn) (err error) {
	defer func() {
		if v := recover(); v != nil {
			c.logPanic(v, debug.Stack())
			err = errPanicked
		}
	}()
	if resume := c.resume; resume != nil {
		c.resume = nil
		return resume(c.ctx)
	}
	if !c.proxied {
		c.logOpen()
	}
	if c.refused != nil {
		return c.refuse()
	}
	if c.proxied {
		if err := c.introduce(); err != nil {
			return err
		}
	}
	if c.implicit {
		if err := c.handshake(c.ctx); err != nil {
			return err
		}
	}
	return s.Protocol.Serve(c.ctx, c)
}

// refuse tells the client why it is turned away, and returns the reason.
func (c *Conn) refuse() error {
	c.wire.hurry(linger)
	reason := c.refused.Error()
	if errors.Is(c.refused, ErrShutdown) {
		reason = "server is shutting down"
	}
	if b := c.server.Protocol.Refuse(reason); len(b) > 0 {
		c.Write(b) //nolint:errcheck // the client is being turned away all the same
	}
	return c.refused
}

// logOpen, logEnd and logPanic are kept out of run and converse, whose stack
// frames stay for as long as the connection does.

//go:noinline
func (c *Conn) logOpen() {
	if c.server.log.Core().Enabled(zap.DebugLevel) {
		c.Logger().Debug("connection open", zap.String("local", addrString(c.LocalAddr())), zap.Bool("tls", c.implicit))
	}
}

//go:noinline
func (c *Conn) logEnd(err error) {
	if !c.server.log.Core().Enabled(zap.InfoLevel) {
		return
	}
	c.mu.Lock()
	user, cause := c.user, c.cause
	c.mu.Unlock()
	reason := "done"
	if err != nil {
		if cause != nil {
			err = cause // which err follows from
		}
		reason = err.Error()
	}
	fields := []zap.Field{
		zap.Duration("duration", time.Since(c.opened)),
		zap.Int64("in", c.wire.in.Load()), zap.Int64("out", c.wire.out.Load()),
		zap.String("user", user), zap.String("reason", reason),
	}
	if state := c.TLS(); state != nil { // RFC 8314, section 4
		fields = append(fields, zap.String("tls", tls.VersionName(state.Version)), zap.String("cipher", tls.CipherSuiteName(state.CipherSuite)))
	}
	c.Logger().Info("connection end", fields...)
}

// logPanic logs where a protocol panicked. The value of the panic may hold
// anything that the client sent, and is logged only when the runtime made it.
//
//go:noinline
func (c *Conn) logPanic(v any, stack []byte) {
	value := fmt.Sprintf("%T", v)
	if e, ok := v.(runtime.Error); ok {
		value = e.Error()
	}
	c.Logger().Error("panic", zap.String("value", value), zap.ByteString("stack", stack))
}

// isTemporary reports whether accepting may succeed later. The method that tells
// is deprecated in net.Error for being vague, but it is what Accept offers.
func isTemporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}
