package protocols

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// A Conn is one client's connection: a stream of bytes over the present channel,
// plain or TLS, with the time limits of the server.
//
// Read and StartTLS belong to one goroutine at a time, and so does Write, but
// the two may be different ones; nothing may be written while StartTLS runs. All
// other methods may be called from any goroutine.
type Conn struct {
	server   *Server
	id       uint64
	opened   time.Time
	implicit bool   // TLS from the first byte
	proxied  bool   // it begins with a PROXY header
	origin   origin // where the Limiter counts it
	refused  error  // why the client is turned away, if it is
	raw      net.Conn
	wire     wire // over raw
	ctx      context.Context
	cancel   context.CancelCauseFunc
	pace     pace    // of its commands
	holds    holding // of memory
	waiting          // for the client, without Serve

	given    *tls.Conn                // raw, when a listener handed out TLS connections
	upgraded atomic.Pointer[tls.Conn] // TLS over wire, from the handshake on
	secure   atomic.Bool              // the handshake succeeded; what follows was set before
	own      *tls.Certificate         // the server's, if known
	foreign  bool                     // TLSConfig had a configuration of its own for this client
	told     atomic.Pointer[ends]     // what the PROXY header told
	logger   atomic.Pointer[zap.Logger]

	// mu guards the rest and SetReadDeadline: whoever sets a read deadline has
	// looked at draining first, so that the drain's cannot be undone.
	mu           sync.Mutex
	idle         time.Duration
	readStart    time.Time               // when the present Read, or the last one, began
	within       time.Duration           // how long it waits before ErrQuiet; 0: for ever
	receiving    bool                    // what is read is the rest of a command
	patience     patience                // with that
	armed        time.Time               // the read deadline that raw has now
	authDeadline time.Time               // zero: authenticated, or no limit
	user         string                  // counted by the Limiter unless empty
	interrupt    context.CancelCauseFunc // ends the handshake under way
	cause        error                   // why the connection was closed hard; nil while it is open
	busy         bool
	draining     bool
	closing      bool // Serve has returned
	eof          bool // the client will send nothing more
}

// past is a deadline that has passed on every clock.
var past = time.Unix(1, 0)

// Read reads what the client sent. It waits no longer than the idle timeout
// (ErrIdle) and the time left to authenticate (ErrAuthTimeout); while the connection
// is busy, than the time left for the command (ErrCommandTimeout); and while it is
// not, not at all once the server drains (ErrShutdown). io.EOF is
// the client's orderly end. After Close the error is net.ErrClosed, after a cut
// by the server ErrServerClosed, after a failed write that write's error.
func (c *Conn) Read(p []byte) (int, error) { return c.ReadWithin(p, 0) }

// ReadWithin is Read that waits no longer than d, unless that is 0, and then returns
// ErrQuiet: nothing ended, and whoever reads has the occasion to give up what it
// would hold while it waits. The idle timeout begins anew with the next Read.
func (c *Conn) ReadWithin(p []byte, d time.Duration) (int, error) {
	receiving, err := c.beginRead(d)
	if err == nil {
		err = c.awaitFailed()
	}
	if err != nil {
		return 0, err
	}
	for {
		n, err := c.channel().Read(p)
		if n > 0 || err == nil {
			if receiving {
				c.received(n)
				_ = c.Step() // what is made of it may take long; the error comes again
			}
			return n, nil // an error beside bytes comes again
		}
		if err = c.readFailed(err); err != nil {
			return 0, err
		}
	}
}

func (c *Conn) beginRead(within time.Duration) (receiving bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.beginReadLocked(within)
}

func (c *Conn) beginReadLocked(within time.Duration) (receiving bool, err error) {
	if c.cause != nil {
		return false, c.cause
	}
	if c.draining && !c.busy {
		return false, ErrShutdown
	}
	c.readStart, c.within, c.quiet = time.Now(), within, false
	c.wire.beside.Store(c.busy && !c.receiving)
	c.armLocked(c.readStart)
	return c.receiving, nil
}

// received notes that n octets of a command have come.
func (c *Conn) received(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.patience.spend(time.Since(c.readStart), n, c.server.limits.LiteralTimeout)
}

// readFailed turns the error of a read into the one that the protocol gets, or
// into nil when reading must go on: the deadline was that of an earlier Read.
func (c *Conn) readFailed(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return c.cause
	case err == io.EOF:
		c.eof = true
		return err
	case !isTimeout(err):
		return err
	case c.draining && !c.busy:
		return ErrShutdown
	}
	now := time.Now()
	if want := c.wantLocked(); want.IsZero() || now.Before(want) {
		c.armLocked(now)
		return nil
	}
	switch {
	case !c.authDeadline.IsZero() && !now.Before(c.authDeadline):
		return ErrAuthTimeout
	case c.receiving && now.Sub(c.readStart) >= c.patience.left(c.server.limits.CommandTimeout):
		return ErrCommandTimeout
	case c.within != 0 && c.within < c.idle:
		c.patience.spend(now.Sub(c.readStart), 0, 0)
		c.quiet = true
		return ErrQuiet
	}
	return ErrIdle
}

// wantLocked returns when the present Read must end; zero means never.
func (c *Conn) wantLocked() time.Time {
	wait := c.idle
	if c.within != 0 {
		wait = min(wait, c.within)
	}
	if c.receiving {
		wait = min(wait, c.patience.left(c.server.limits.CommandTimeout))
	}
	want := after(c.readStart, wait)
	if !c.authDeadline.IsZero() && (want.IsZero() || c.authDeadline.Before(want)) {
		want = c.authDeadline
	}
	return want
}

// armLocked sees to it that the present Read ends when it must. A deadline that
// is still ahead of now and not after the one wanted stays (see readFailed): a
// connection that reads a thousand commands sets one deadline.
func (c *Conn) armLocked(now time.Time) {
	if want := c.wantLocked(); want.IsZero() || !c.armed.After(now) || c.armed.After(want) {
		c.armAtLocked(want)
	}
}

// armAtLocked lets the present Read end at want, unless a shutdown lets it end.
func (c *Conn) armAtLocked(want time.Time) {
	if c.closing || c.interrupt != nil || c.draining && !c.busy || want.Equal(c.armed) {
		return
	}
	c.deadlineLocked(want)
}

func (c *Conn) deadlineLocked(t time.Time) {
	c.armed = t
	c.raw.SetReadDeadline(t) //nolint:errcheck // it fails on a closed connection, where reads fail too
}

// Write writes p to the client, within Limits.WriteTimeout. When it fails, the
// connection is closed.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.channel().Write(p)
	if err != nil {
		err = c.abort(err)
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom. What an *io.LimitedReader has of an *os.File goes out
// without being copied, where the channel is plain TCP and the system can do that.
func (c *Conn) ReadFrom(src io.Reader) (int64, error) {
	part, to := c.sendable(src)
	if to == nil {
		buf := copyPool.Get().(*[32 << 10]byte)
		defer copyPool.Put(buf)
		return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{src}, buf[:])
	}
	n, err := c.wire.sendFile(to, part)
	if err != nil {
		err = c.abort(err)
	}
	return n, err
}

// copyPool is a cache; what is in it cannot be observed.
var copyPool = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// sendable returns src if it is a part of a file, and what can take one; else nil.
func (c *Conn) sendable(src io.Reader) (*io.LimitedReader, io.ReaderFrom) {
	part, _ := src.(*io.LimitedReader)
	if part == nil || c.upgraded.Load() != nil || c.given != nil {
		return nil, nil
	}
	if _, file := part.R.(*os.File); !file {
		return nil, nil
	}
	to, _ := c.wire.Conn.(io.ReaderFrom)
	return part, to
}

// channel returns what the protocol talks over at present.
func (c *Conn) channel() io.ReadWriter {
	if t := c.upgraded.Load(); t != nil {
		return t
	}
	return &c.wire
}

// SetIdleTimeout sets how long a Read waits, the one under way included. Zero
// restores Limits.IdleTimeout, a negative duration waits forever.
func (c *Conn) SetIdleTimeout(d time.Duration) {
	resolve(&d, c.server.limits.IdleTimeout, forever)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = d
	c.armLocked(time.Now())
}

// SetBusy says whether a command is being received or executed. A shutdown does
// not interrupt the reads of a busy connection: a literal that is on its way
// arrives, within the shutdown's own deadline. The next Read after
// SetBusy(false) returns ErrShutdown. With SetBusy(true) the time for a command
// begins that reading it may take.
func (c *Conn) SetBusy(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == busy && (busy || !c.receiving) {
		return
	}
	c.busy, c.receiving, c.patience = busy, busy, patience{}
	if !c.draining || c.closing {
		return
	}
	if busy {
		c.armed = past
		c.armLocked(time.Now())
	} else {
		c.deadlineLocked(past)
	}
}

// CommandBegins says that a command is being received for which a shutdown does not wait,
// as of a client that is not logged in: the time begins that reading it may take. It ends
// with SetBusy.
func (c *Conn) CommandBegins() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving, c.patience = true, patience{}
}

// CommandReceived says that the command has come whole, although the connection stays
// busy with it: who reads then waits for what comes next, as long as for anything.
func (c *Conn) CommandReceived() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receiving = false
	c.armLocked(time.Now())
}

// SetUser says that the client has authenticated as user, which ends the time to
// do so; what it had reserved or kept before is given up. The error wraps ErrTooManyConnections when the user has Limits.PerUser
// connections already: the protocol must refuse the login; whatever user was set
// before remains. The empty user takes the login back (RFC 8437), and the time to
// authenticate begins anew.
func (c *Conn) SetUser(user string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if user == c.user {
		return nil
	}
	var share *memory
	if user != "" {
		var err error
		if share, err = c.server.limiter.login(user); err != nil {
			return err
		}
	}
	c.holds.leave(&c.server.limiter.memory)
	c.holds.share = share
	if c.user != "" {
		c.server.limiter.logout(c.user)
	}
	c.user = user
	now := time.Now()
	c.authDeadline = time.Time{}
	if user == "" {
		c.authDeadline = after(now, c.server.limits.AuthTimeout)
	}
	c.armLocked(now)
	return nil
}

// Close closes the connection at once, without a word to the client. A Read or
// Write under way fails, and the context of Serve is cancelled. A protocol that
// ends in order returns from Serve instead.
func (c *Conn) Close() error {
	c.abort(net.ErrClosed)
	return nil
}

// abort closes the connection hard and returns the cause: this one, unless it
// was closed before.
func (c *Conn) abort(cause error) error {
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	cause = c.cause
	c.mu.Unlock()
	c.cancel(cause)
	c.hardClose()
	return cause
}

// hardClose closes the transport. A tls.Conn would write to it first.
func (c *Conn) hardClose() {
	nc := c.raw
	if c.given != nil {
		nc = c.given.NetConn()
	}
	nc.Close() //nolint:errcheck // there is nothing left to lose
}

// Guard runs f, for a goroutine that a protocol has started, where a panic would end
// the process: it is logged, and ends this connection alone. It reports whether f
// returned.
func (c *Conn) Guard(f func()) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			c.logPanic(v, debug.Stack())
			_ = c.Close() // what is broken off has nothing to tell
		}
	}()
	f()
	return true
}

// Limits returns the limits in force: defaults filled in, and "no limit" as the
// largest value of the field's type.
func (c *Conn) Limits() Limits { return c.server.limits }

// Logger returns the server's logger with the connection's number, protocol and
// remote address.
func (c *Conn) Logger() *zap.Logger {
	if l := c.logger.Load(); l != nil {
		return l
	}
	fields := []zap.Field{
		zap.Uint64("conn", c.id),
		zap.String("protocol", c.server.Protocol.Name()),
		zap.String("remote", addrString(c.RemoteAddr())),
	}
	if c.told.Load() != nil {
		fields = append(fields, zap.String("proxy", addrString(c.raw.RemoteAddr())))
	}
	l := c.server.log.WithLazy(fields...)
	if !c.logger.CompareAndSwap(nil, l) {
		l = c.logger.Load()
	}
	return l
}

// ID returns the connection's number, which is unique within the server.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr returns the client's address, behind a proxy as that told it: see
// [ProxyListener].
func (c *Conn) RemoteAddr() net.Addr {
	if t := c.told.Load(); t != nil {
		return t.remote
	}
	return c.raw.RemoteAddr()
}

// LocalAddr returns the address at which the client was accepted, behind a proxy by
// that.
func (c *Conn) LocalAddr() net.Addr {
	if t := c.told.Load(); t != nil {
		return t.local
	}
	return c.raw.LocalAddr()
}

// Private reports whether nobody on the way can listen: the channel is TLS, or
// the transport is an in-memory pipe or a Unix socket. What a proxy tells is no
// reason: how the client came to it is not seen here.
func (c *Conn) Private() bool { return c.secure.Load() || !c.proxied && local(c.RemoteAddr()) }

// Loopback reports whether the client is on this machine: its address is a
// loopback address, or the transport is an in-memory pipe or a Unix socket. Behind a
// proxy nobody is, not even who has told the proxy such an address.
func (c *Conn) Loopback() bool {
	a := c.RemoteAddr()
	return !c.proxied && (local(a) || address(a).IsLoopback())
}

// Underlying returns the transport of a plain connection, for what cannot be
// done through an io.Writer (sendfile); nil when the channel is TLS. Whoever
// writes to it sets the write deadlines, and clears them when done; the bytes are
// not counted. Its read deadlines and its closing belong to the Conn.
func (c *Conn) Underlying() net.Conn {
	if c.upgraded.Load() != nil || c.given != nil {
		return nil
	}
	return c.raw
}

// isTimeout reports whether err is that of a deadline that has passed.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func addrString(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
