// Package protocols is the runtime that a wire protocol lives in: it accepts
// connections, speaks TLS, counts and limits, confines panics and shuts down
// gracefully, so that a protocol is left with reading commands and writing
// answers.
//
// A protocol implements [Protocol]; a [Server] serves it on any number of
// listeners, plain and TLS at once:
//
//	s := &protocols.Server{Protocol: p, TLSConfig: config, Logger: log}
//	go s.Serve(plain)     // STARTTLS and the like are possible, config being set
//	go s.ServeTLS(secure) // implicit TLS
//	...
//	s.Shutdown(ctx)
//
// The configuration of TLS may be any; [LoadCertificates] makes one whose certificates
// are replaced while it serves. A [ProxyListener] takes connections from proxies that
// tell of their clients.
//
// # What a protocol does
//
// Serve reads from its [Conn] until the conversation ends. Four of the errors
// that Read returns ask for a last word to the client before Serve returns:
// [ErrShutdown] (the server drains), [ErrIdle] (the client was silent for too
// long), [ErrAuthTimeout] (it did not log in in time) and [ErrCommandTimeout] (it
// did not finish its command). Writing still works after each of them. Every other
// error ends the conversation; there is nobody left to talk to.
//
// After a successful authentication Serve calls [Conn.SetUser], and refuses the
// login when that returns an error. Around a command that reads more than its
// first line (a literal, a continuation), it calls [Conn.SetBusy], so that a
// shutdown lets the command finish, and the client cannot take forever for it.
//
// # What it costs
//
// A connection costs one goroutine, and no buffer. There is no goroutine beside
// the one that runs Serve: time limits are deadlines on the connection, renewed
// lazily (a Read that finds a deadline still ahead leaves it, and the early
// wake-up, should it come, is turned into a renewal), so that reading a command
// does not move a timer.
//
// What is buffered beyond that has a budget, over all connections that share a
// [Limiter]: a protocol calls [Conn.Reserve] before it buffers more than usual, which
// waits while there is no room, and [Conn.Keep] for what stays between commands, which
// does not. docs/security.md says what counts.
//
// # Locks
//
// Server.mu, Conn.mu, Limiter.mu and the write deadline's lock are all held for
// a few instructions, never across a read, a write or a call of a protocol. The
// only order among them is Conn.mu before Limiter.mu.
package protocols
