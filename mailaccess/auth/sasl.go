package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Errors of [NewServer] and [Server.Next] that are not an authenticator's.
var (
	// ErrMechanism says that there is no such mechanism for this authenticator.
	// Its kind is [mailaccess.KindUnsupported].
	ErrMechanism error = &mailaccess.Error{
		Kind: mailaccess.KindUnsupported, Op: opSASL, Err: errors.New("no such mechanism"),
	}

	// ErrPrivacyRequired says that the mechanism would show a password or
	// a token to whoever listens, and that the channel is not private (RFC 5530, section 3,
	// PRIVACYREQUIRED). Its kind is [mailaccess.KindForbidden].
	ErrPrivacyRequired error = &mailaccess.Error{
		Kind: mailaccess.KindForbidden, Op: opSASL, Err: errors.New("the mechanism needs a private channel"),
	}

	// ErrMalformed says that a response breaks the mechanism's grammar, is too
	// long, or comes after the end. Its kind is [mailaccess.KindInvalid].
	ErrMalformed error = &mailaccess.Error{
		Kind: mailaccess.KindInvalid, Op: opSASL, Err: errors.New("malformed response"),
	}
)

const opSASL = "sasl"

// ServerOptions are the options of [Mechanisms] and [NewServer]. Nil means the
// defaults.
type ServerOptions struct {
	// AllowPlaintext permits passwords and tokens to cross a channel that is not
	// private.
	AllowPlaintext bool

	// TLS is the state of the channel where it is TLS: to it SCRAM is bound, and
	// its client certificates are those that EXTERNAL takes. Nil: neither.
	TLS *tls.ConnectionState

	// Certificate is the one with which the server has identified itself on the
	// channel, for clients that can bind to nothing else (tls-server-end-point,
	// RFC 5929, section 4). Nil: not known.
	Certificate *x509.Certificate
}

// permits reports whether a mechanism may be used on the channel of base.
func (o *ServerOptions) permits(m mechanism, base mailaccess.Login) bool {
	return !m.plaintext || base.Private || o.AllowPlaintext
}

// Mechanisms returns the names of the mechanisms that can be offered to a
// client: those whose credentials a can verify over the channel, and where base is
// not Private none that shows a password or a token. The best is first.
func Mechanisms(a mailaccess.Authenticator, base mailaccess.Login, opts *ServerOptions) []string {
	x := newExchange(context.Background(), a, base, opts)
	var names []string
	for _, m := range mechanisms() {
		if m.can(x) && x.opts.permits(m, base) {
			names = append(names, m.name)
		}
	}
	return names
}

func newExchange(ctx context.Context, a mailaccess.Authenticator, base mailaccess.Login, opts *ServerOptions) *exchange {
	x := &exchange{ctx: ctx, inner: a, able: AbilitiesOf(a), base: base}
	if opts != nil {
		x.opts = *opts
	}
	x.bindings = channelBindings(&x.opts)
	return x
}

// A Server is the server's side of one exchange (RFC 4422, section 3). It does
// what a [sasl.Server] does and tells afterwards who was authenticated. It is
// not safe for concurrent use, and good for one exchange only.
type Server struct {
	mechanism mechanism
	x         *exchange
	inner     sasl.Server
	over      bool
	verified  bool
}

var _ sasl.Server = (*Server)(nil)

// NewServer begins an exchange of the mechanism called mech, in any case, with
// credentials that a verifies. What it verifies is base with what the client
// sends; base brings protocol, peer and whether the channel is private. The
// context is that of the exchange.
//
// The error is [ErrMechanism] or [ErrPrivacyRequired].
func NewServer(ctx context.Context, mech string, a mailaccess.Authenticator, base mailaccess.Login, opts *ServerOptions) (*Server, error) {
	x := newExchange(ctx, a, base, opts)
	for _, m := range mechanisms() {
		if !strings.EqualFold(m.name, mech) || !m.can(x) {
			continue
		}
		if !x.opts.permits(m, base) {
			return nil, ErrPrivacyRequired
		}
		return &Server{mechanism: m, x: x, inner: m.start(x)}, nil
	}
	return nil, ErrMechanism
}

// Name returns the mechanism's name.
func (s *Server) Name() string { return s.mechanism.name }

// MaxResponse returns how long one response may be, in octets after decoding. A
// front-end need not read more than their encoding (in base64 four octets for
// each three).
func (s *Server) MaxResponse() int { return s.mechanism.maxResponse }

// Next takes the client's response and returns the challenge to send. For the
// first call response is the initial response, or nil when there was none; an
// initial response that is there but empty is not nil. (RFC 4422, section 3.3.)
//
// With done or an error the exchange is over. The error is [ErrMalformed], or
// what the authenticator returned; it holds nothing of the response. That the
// client cancels is for the protocol to see: it drops the Server then.
func (s *Server) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.over || len(response) > s.mechanism.maxResponse {
		s.over = true
		return nil, true, ErrMalformed
	}
	challenge, done, err = s.inner.Next(response)
	if err != nil {
		s.over = true
		// Without a refusal it is the mechanism that stumbled over the response.
		if s.x.refusal == nil {
			return nil, true, ErrMalformed
		}
		return nil, true, s.x.refusal
	}
	s.over, s.verified = done, done && s.x.decided
	return challenge, done, nil
}

// Identity returns who was authenticated, and false as long as nobody was.
func (s *Server) Identity() (mailaccess.Identity, bool) {
	if !s.verified {
		return mailaccess.Identity{}, false
	}
	return s.x.identity, true
}
