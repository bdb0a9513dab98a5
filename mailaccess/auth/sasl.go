package auth

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

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

	// ErrPrivacyRequired says that the mechanism would show a password to
	// whoever listens, and that the channel is not private (RFC 5530, section 3,
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
	// AllowPlaintext permits passwords to cross a channel that is not private.
	AllowPlaintext bool
}

// permits reports whether a mechanism may be used on the channel of base.
func (o *ServerOptions) permits(m mechanism, base mailaccess.Login) bool {
	return !m.plaintext || base.Private || o != nil && o.AllowPlaintext
}

// A mechanism is one row of the table of mechanisms.
type mechanism struct {
	name string

	// plaintext mechanisms show the password to whoever can read the channel.
	plaintext bool

	// maxResponse bounds one response of the client, in octets after decoding.
	maxResponse int

	// can reports whether an authenticator can verify what the mechanism sends.
	can func(mailaccess.Authenticator) bool

	// start begins an exchange in which verify decides on the credentials.
	start func(verify verifyFunc) sasl.Server
}

// verifyFunc decides on what a mechanism got from the client.
type verifyFunc func(authzid, username, password string) error

// mechanisms returns the table, best first: clients that know several take the
// first of them.
func mechanisms() []mechanism {
	return []mechanism{
		{
			name: sasl.Plain, plaintext: true,
			// RFC 4616, section 2: two names, a password and two NULs, the names
			// as they are before normalisation.
			maxResponse: 2*maxLoginName + MaxPassword + 2,
			can:         verifiesPasswords,
			start:       func(verify verifyFunc) sasl.Server { return sasl.NewPlainServer(sasl.PlainAuthenticator(verify)) },
		},
	}
}

// maxLoginName is the longest name in octets that is handed to an authenticator,
// whose own rules may be others than [NormalizeUser]'s.
const maxLoginName = 1024

// verifiesPasswords holds for every authenticator: it is what the contract asks.
func verifiesPasswords(mailaccess.Authenticator) bool { return true }

// Mechanisms returns the names of the mechanisms that can be offered to a
// client: those whose credentials a can verify, and where base is not Private
// none that shows a password. The best is first.
func Mechanisms(a mailaccess.Authenticator, base mailaccess.Login, opts *ServerOptions) []string {
	var names []string
	for _, m := range mechanisms() {
		if m.can(a) && opts.permits(m, base) {
			names = append(names, m.name)
		}
	}
	return names
}

// A Server is the server's side of one exchange (RFC 4422, section 3). It does
// what a [sasl.Server] does and tells afterwards who was authenticated. It is
// not safe for concurrent use, and good for one exchange only.
type Server struct {
	mechanism mechanism
	exchange  sasl.Server
	over      bool

	// What the authenticator decided.
	verified bool
	identity mailaccess.Identity
	refusal  error
}

var _ sasl.Server = (*Server)(nil)

// NewServer begins an exchange of the mechanism called mech, in any case, with
// credentials that a verifies. What it verifies is base with the name, the
// password and the authorization identity that the client sends; base brings
// protocol, peer and whether the channel is private. The context is that of the
// exchange.
//
// The error is [ErrMechanism] or [ErrPrivacyRequired].
func NewServer(ctx context.Context, mech string, a mailaccess.Authenticator, base mailaccess.Login, opts *ServerOptions) (*Server, error) {
	for _, m := range mechanisms() {
		if !strings.EqualFold(m.name, mech) || !m.can(a) {
			continue
		}
		if !opts.permits(m, base) {
			return nil, ErrPrivacyRequired
		}
		s := &Server{mechanism: m}
		s.exchange = m.start(func(authzid, username, password string) error {
			l, err := credentials(base, authzid, username, password)
			if err != nil {
				s.refusal = err
				return err
			}
			id, err := a.Authenticate(ctx, l)
			if err != nil {
				s.refusal = err
				return err
			}
			s.identity, s.verified = id, true
			return nil
		})
		return s, nil
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
	challenge, done, err = s.exchange.Next(response)
	if err != nil {
		s.over = true
		// Without a refusal it is the library that stumbled over the response.
		if s.refusal == nil {
			s.refusal = ErrMalformed
		}
		return nil, true, s.refusal
	}
	s.over = done
	return challenge, done, nil
}

// Identity returns who was authenticated, and false as long as nobody was.
func (s *Server) Identity() (mailaccess.Identity, bool) {
	return s.identity, s.verified
}

// credentials completes a login with what the client sent, for every mechanism
// that sends a password.
func credentials(base mailaccess.Login, authzid, username, password string) (mailaccess.Login, error) {
	// RFC 4616, section 2: both names and the password are UTF-8, and there is
	// a user name.
	if username == "" || len(username) > maxLoginName || len(authzid) > maxLoginName ||
		!utf8.ValidString(authzid) || !utf8.ValidString(username) || !utf8.ValidString(password) {
		return base, ErrMalformed
	}
	// An empty password is wrong everywhere: some directories take it for a
	// login that does not want to be verified (RFC 4513, section 5.1.2).
	if !usablePassword(password) {
		return base, errAuthFailed()
	}
	// Who asks to act as themselves asks for nothing.
	if canonicalUser(authzid) == canonicalUser(username) {
		authzid = ""
	}
	base.Username, base.Password, base.Authzid = username, password, authzid
	return base, nil
}
