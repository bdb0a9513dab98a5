package protocols

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"
)

// CanStartTLS reports whether StartTLS is possible: the server has a TLSConfig
// and the channel is plain.
func (c *Conn) CanStartTLS() bool {
	return c.server.TLSConfig != nil && c.given == nil && c.upgraded.Load() == nil
}

// StartTLS makes the channel TLS, this side being the server (RFC 3501, section
// 6.2.1; RFC 2595, section 4). It is called after the go-ahead was written, by
// the goroutine that reads. The caller guarantees that it holds no bytes that
// were read before: plaintext sent ahead of the handshake must not be taken for
// the client's (RFC 9051, section 6.2.1).
//
// The handshake must end within Limits.HandshakeTimeout and the time left to
// authenticate. A shutdown interrupts it, unless the connection is busy, with
// ErrShutdown. After an error nothing can be said to the client any more: Serve
// returns.
func (c *Conn) StartTLS(ctx context.Context) error {
	if !c.CanStartTLS() {
		return fmt.Errorf("protocols: StartTLS: %w", ErrNoTLS)
	}
	return c.handshake(ctx)
}

// handshake performs the TLS handshake of an upgrade or of implicit TLS. From
// here on nothing goes over the channel in plain, even when it fails.
func (c *Conn) handshake(ctx context.Context) error {
	t := c.given
	if t == nil {
		t = c.server.tls.server(c)
		c.upgraded.Store(t)
	}
	ctx, cancel, err := c.beginHandshake(ctx)
	if err != nil {
		return fmt.Errorf("protocols: TLS handshake: %w", err)
	}
	defer cancel()
	err = t.HandshakeContext(withConn(ctx, c))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupt = nil
	if err == nil {
		if c.foreign && t.ConnectionState().DidResume {
			c.own = nil // chosen for this handshake, but not of this session
		}
		c.secure.Store(true)
		return nil
	}
	if c.cause == nil && ctx.Err() != nil {
		c.cause = context.Cause(ctx) // for which crypto/tls closed the transport
	}
	if c.cause != nil {
		err = c.cause
	}
	return fmt.Errorf("protocols: TLS handshake: %w", err)
}

// beginHandshake prepares the connection for a handshake, and returns the
// context that ends it. Deadlines on reading would break TLS for good where they
// only end a Read later on: the context closes the transport instead.
func (c *Conn) beginHandshake(ctx context.Context) (context.Context, context.CancelFunc, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return nil, nil, c.cause
	}
	if c.draining && !c.busy {
		return nil, nil, ErrShutdown
	}
	limit := after(time.Now(), c.server.limits.HandshakeTimeout)
	cause := ErrHandshakeTimeout
	if !c.authDeadline.IsZero() && (limit.IsZero() || c.authDeadline.Before(limit)) {
		limit, cause = c.authDeadline, ErrAuthTimeout
	}
	stop := context.CancelFunc(func() {})
	if !limit.IsZero() {
		ctx, stop = context.WithDeadlineCause(ctx, limit, cause)
	}
	ctx, c.interrupt = context.WithCancelCause(ctx)
	interrupt := c.interrupt
	c.deadlineLocked(time.Time{})
	return ctx, func() { interrupt(nil); stop() }, nil
}

// TLS returns the state of the TLS channel, nil when the channel is plain.
func (c *Conn) TLS() *tls.ConnectionState {
	if !c.secure.Load() {
		return nil
	}
	t := c.given
	if t == nil {
		t = c.upgraded.Load()
	}
	state := t.ConnectionState()
	return &state
}
