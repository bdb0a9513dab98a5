package protocols

import (
	"errors"
	"fmt"
	"os"
)

// The errors by which a connection's Read asks for a last word to the client.
// The timeouts are also os.ErrDeadlineExceeded.
var (
	// ErrShutdown: the server drains. It is returned again by each further Read.
	ErrShutdown = errors.New("protocols: the server is shutting down")

	// ErrIdle: nothing arrived within the idle timeout.
	ErrIdle = fmt.Errorf("protocols: client idle for too long: %w", os.ErrDeadlineExceeded)

	// ErrCommandTimeout: the client did not send the rest of its command within
	// Limits.CommandTimeout, nor octets enough to win it back.
	ErrCommandTimeout = fmt.Errorf("protocols: client did not finish its command in time: %w", os.ErrDeadlineExceeded)

	// ErrAuthTimeout: no user was set within Limits.AuthTimeout. It is returned
	// again by each further Read.
	ErrAuthTimeout = fmt.Errorf("protocols: client not authenticated in time: %w", os.ErrDeadlineExceeded)
)

// ErrQuiet is returned by ReadWithin when nothing came for that long. It asks for no
// last word: nothing has ended.
var ErrQuiet = fmt.Errorf("protocols: client quiet: %w", os.ErrDeadlineExceeded)

// ErrServerClosed is returned by Serve and ServeTLS after Shutdown or Close. It
// is also the cause of the context of a connection that was cut off by them.
var ErrServerClosed = errors.New("protocols: server closed")

// ErrWriteTimeout is returned by Write, and by every Read and Write after it,
// when the client did not take what was written within Limits.WriteTimeout. The
// connection is closed: a stream that broke off within a response cannot be
// taken up again.
var ErrWriteTimeout = fmt.Errorf("protocols: client does not read: %w", os.ErrDeadlineExceeded)

// ErrHandshakeTimeout is the reason of a TLS handshake that did not end in time.
var ErrHandshakeTimeout = fmt.Errorf("protocols: TLS handshake not done in time: %w", os.ErrDeadlineExceeded)

// ErrNoTLS is returned by ServeTLS, ServeConnTLS and StartTLS when TLS cannot
// begin: the server has no TLSConfig, or the connection is encrypted already.
var ErrNoTLS = errors.New("protocols: TLS not available")

// ErrTooManyConnections is what every refusal for the sake of a limit on
// connections wraps: in total, from one address, of one user.
var ErrTooManyConnections = errors.New("too many connections")

// errPanicked and errGoexit are the ends of a conversation whose protocol did
// not return.
var (
	errPanicked = errors.New("protocols: panic in the protocol")
	errGoexit   = errors.New("protocols: the protocol ended its goroutine")
)
