// Package pop3 serves the mail of an account over POP3: RFC 1939 with TOP and
// UIDL, the extension mechanism (RFC 2449), STLS (RFC 2595), SASL (RFC 5034),
// UTF8 and LANG (RFC 6856), and the response codes of RFC 2449 and RFC 3206. APOP is offered where the
// authenticator can verify it ([auth.CanAPOP]): it needs passwords that are stored as they are.
//
// # The maildrop
//
// A login takes the lease "pop3" on the account, so that a second session is
// refused with [IN-USE], and notes which messages INBOX holds and how large they
// are (RFC 1939, section 4). That is the maildrop until the session ends,
// whatever others do meanwhile: numbers, sizes and unique-ids stay. A message
// that somebody else removed keeps its number; RETR and TOP answer -ERR
// [SYS/TEMP]. Reading changes no flags.
//
// Messages are removed only by QUIT. However else a session ends, nothing is
// removed and the lease is free at once.
//
// All of this is the default; a [Policy] names other mailboxes, another form of
// unique-ids, and what else may become of messages.
//
// # What it costs
//
// Answers to pipelined commands go out together. A connection that waits for its
// client holds no buffers but a small one for the start of the next line; an
// open maildrop costs 8 octets for each message.
package pop3

import (
	"bufio"
	"context"
	"io"
	"sync"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
)

// Options configure a [Server]. Engine is needed; Policy is one that passes its Check.
type Options struct {
	Engine *engine.Engine
	// AllowPlaintext permits passwords over a channel that others can listen
	// to. Without it USER, PASS and PLAIN need TLS (RFC 5034, section 4).
	AllowPlaintext bool
	// PlaintextOnLoopback permits passwords without TLS to clients on this
	// machine.
	PlaintextOnLoopback bool
	// Policy says what the maildrop is.
	Policy Policy
	// Version goes into the IMPLEMENTATION capability (RFC 2449, section
	// 6.9); empty: none.
	Version string
	// Logger gets what no client can be told; nil: silence.
	Logger *zap.Logger
}

// Server serves POP3; it is a [protocols.Protocol].
type Server struct {
	opts    Options
	log     *zap.Logger
	delays  loginDelays
	lines   sync.Pool // of *[maxLine]byte
	writers sync.Pool // of *bufio.Writer
}

var _ protocols.Protocol = (*Server)(nil)

// New makes a server.
func New(o Options) *Server {
	s := &Server{opts: o, log: o.Logger}
	s.opts.Policy.UIDL = o.Policy.UIDL.orDefault()
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.lines.New = func() any { return new([maxLine]byte) }
	s.writers.New = func() any { return bufio.NewWriterSize(io.Discard, outputBuffer) }
	return s
}

// Name returns "pop3".
func (s *Server) Name() string { return "pop3" }

// ALPN implements [protocols.ALPN] with the registered identifier.
func (s *Server) ALPN() []string { return []string{"pop3"} }

// Refuse turns a client away (RFC 3206, section 4).
func (s *Server) Refuse(reason string) []byte {
	return []byte("-ERR [SYS/TEMP] " + reason + "\r\n")
}

// Serve converses with one client.
func (s *Server) Serve(ctx context.Context, nc *protocols.Conn) error {
	c := newConn(s, nc)
	defer c.close()
	return c.serve(ctx)
}
