package imap

import (
	"context"
	"math"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// Options configure a [Server]. Engine is needed.
type Options struct {
	Engine *engine.Engine
	// AllowPlaintext permits passwords over a channel that others can listen
	// to. Without it LOGIN and PLAIN need TLS (RFC 3501, section 6.2.3:
	// LOGINDISABLED).
	AllowPlaintext bool
	// PlaintextOnLoopback permits passwords without TLS to clients on this
	// machine.
	PlaintextOnLoopback bool
	// LiteralMinus holds clients to 4096 octets that they send without being asked
	// to (RFC 7888, section 5: LITERAL- in place of LITERAL+), so that a message
	// that is too big is refused before it is sent.
	LiteralMinus bool
	// Unauthenticate permits a client to log in as another user on the same
	// connection. RFC 8437, section 8 wants it to be off where it is not needed: a
	// proxy that looks at the login alone would let a client pass as somebody else.
	Unauthenticate bool
	// MessageLimit is how many messages one command processes at most, of those that the
	// client names, searches or appends (RFC 9738: MESSAGELIMIT); 0: any number. Less than
	// 1000 is more than RFC 9738, section 3 wants clients to bear.
	MessageLimit int
	// Namespace is how clients see the names of mailboxes. It must pass its Check.
	Namespace Namespace
	// NamespaceOf, if not nil, says instead how those of one account are seen: of some that
	// another server kept before, whose names the clients know. It is asked at login.
	NamespaceOf func(ctx context.Context, account string) (Namespace, error)
	// Adjustments are made for clients that err.
	Adjustments []Adjustment
	// Version goes into the answer to ID (RFC 2971); empty: none.
	Version string
	// Logger gets what no client can be told; nil: silence.
	Logger *zap.Logger
}

// Server serves IMAP; it is a [protocols.Protocol].
type Server struct {
	opts  Options
	names namespace
	log   *zap.Logger
}

var _ protocols.Protocol = (*Server)(nil)

// New makes a server.
func New(o Options) *Server {
	s := &Server{opts: o, names: o.Namespace.compiled(), log: o.Logger}
	s.opts.MessageLimit = int(min(int64(o.MessageLimit), math.MaxUint32)) // as clients count
	if s.log == nil {
		s.log = zap.NewNop()
	}
	return s
}

// namesOf returns how the names of an account's mailboxes are seen.
func (s *Server) namesOf(ctx context.Context, account string) (*namespace, error) {
	if s.opts.NamespaceOf == nil {
		return &s.names, nil
	}
	n, err := s.opts.NamespaceOf(ctx, account)
	if err == nil {
		err = n.Check()
	}
	if err != nil {
		return &s.names, err
	}
	names := n.compiled()
	return &names, nil
}

// Name returns "imap".
func (s *Server) Name() string { return "imap" }

// ALPN implements [protocols.ALPN] with the registered identifier.
func (s *Server) ALPN() []string { return []string{"imap"} }

// Refuse turns a client away (RFC 3501, section 7.1.5).
func (s *Server) Refuse(reason string) []byte {
	return append(imapwire.AppendText([]byte("* BYE [UNAVAILABLE] "), reason, false), "\r\n"...)
}

// Serve converses with one client.
func (s *Server) Serve(ctx context.Context, nc *protocols.Conn) error {
	return newConn(s, nc).begin(ctx)
}
