package auth

import (
	"context"
	"crypto"
	"crypto/x509"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A mechanism is one row of the table of mechanisms.
type mechanism struct {
	name string

	// plaintext mechanisms show a password or a token to whoever can read the
	// channel.
	plaintext bool

	// maxResponse bounds one response of the client, in octets after decoding.
	maxResponse int

	// can reports whether the authenticator can verify what the mechanism sends,
	// over this channel.
	can func(*exchange) bool

	// start begins an exchange. What it returns is done without an error only
	// after the exchange has an identity.
	start func(*exchange) sasl.Server
}

// maxLoginName is the longest name in octets that is handed to an authenticator,
// whose own rules may be others than [NormalizeUser]'s.
const maxLoginName = 1024

// Bounds of responses. RFC 5034, section 4: a line of an exchange has up to
// 12,288 octets, which are base64.
const (
	maxToken       = 8192
	maxBearer      = maxToken + maxLoginName - 1
	maxScram       = 4096
	maxCramDigest  = 2 * 16
	maxCramMessage = maxLoginName + 1 + maxCramDigest
)

// mechanisms returns the table, best first: clients that know several take the
// first of them.
func mechanisms() []mechanism {
	passwords := func(x *exchange) bool { return !x.able.NoPasswords }
	bearer := func(x *exchange) bool { return x.able.Bearer != nil }
	return []mechanism{
		{
			name: sasl.External, maxResponse: maxLoginName,
			can:   func(x *exchange) bool { return x.able.Certificate != nil && len(x.chain()) > 0 },
			start: func(x *exchange) sasl.Server { return sasl.NewExternalServer(x.external) },
		},
		scramMechanism("SCRAM-SHA-256-PLUS", crypto.SHA256, true),
		scramMechanism("SCRAM-SHA-256", crypto.SHA256, false),
		scramMechanism("SCRAM-SHA-1-PLUS", crypto.SHA1, true),
		scramMechanism("SCRAM-SHA-1", crypto.SHA1, false),
		{
			name: sasl.OAuthBearer, plaintext: true, maxResponse: maxBearer, can: bearer,
			start: func(x *exchange) sasl.Server { return &bearerServer{x: x, parse: parseOAuthBearer} },
		},
		{
			name: "XOAUTH2", plaintext: true, maxResponse: maxBearer, can: bearer,
			start: func(x *exchange) sasl.Server { return &bearerServer{x: x, parse: parseXOAuth2} },
		},
		{
			name: "CRAM-MD5", maxResponse: maxCramMessage,
			can:   func(x *exchange) bool { return x.able.Digest != nil },
			start: func(x *exchange) sasl.Server { return &cramServer{x: x} },
		},
		{
			name: sasl.Plain, plaintext: true,
			// RFC 4616, section 2: two names, a password and two NULs, the names
			// as they are before normalisation.
			maxResponse: 2*maxLoginName + MaxPassword + 2,
			can:         passwords,
			start:       func(x *exchange) sasl.Server { return sasl.NewPlainServer(x.password) },
		},
		{
			name: sasl.Login, plaintext: true, maxResponse: MaxPassword, can: passwords,
			start: func(x *exchange) sasl.Server { return &loginServer{x: x} },
		},
	}
}

func scramMechanism(name string, hash crypto.Hash, plus bool) mechanism {
	return mechanism{
		name: name, maxResponse: maxScram,
		can: func(x *exchange) bool {
			return x.able.Scram != nil && slices.Contains(x.able.ScramHashes, hash) && (!plus || len(x.bindings) > 0)
		},
		start: func(x *exchange) sasl.Server { return &scramServer{x: x, hash: hash, plus: plus} },
	}
}

// An exchange is what a mechanism needs of its surroundings, and where it leaves
// what was decided.
type exchange struct {
	ctx      context.Context
	inner    mailaccess.Authenticator
	able     Abilities
	base     mailaccess.Login
	opts     ServerOptions
	bindings []scram.ChannelBinding
	nonce    func() string // the server's part; nil: a random one

	decided  bool
	identity mailaccess.Identity
	refusal  error
}

// decide ends an exchange with what an authenticator says.
func (x *exchange) decide(id mailaccess.Identity, err error) error {
	if err != nil {
		x.refusal = err
		return err
	}
	x.identity, x.decided = id, true
	return nil
}

// refuse ends an exchange without asking an authenticator.
func (x *exchange) refuse(err error) error { return x.decide(mailaccess.Identity{}, err) }

// named returns the login of a user without a password. An authorization identity
// that is the user's own is none.
func (x *exchange) named(authzid, username string) (mailaccess.Login, error) {
	l := x.base
	if username == "" || !validName(username) || !validName(authzid) {
		return l, ErrMalformed
	}
	if canonicalUser(authzid) == canonicalUser(username) {
		authzid = ""
	}
	l.Username, l.Authzid = username, authzid
	return l, nil
}

func validName(s string) bool {
	return len(s) <= maxLoginName && utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// password decides on a name and a password (RFC 4616, section 2).
func (x *exchange) password(authzid, username, password string) error {
	l, err := x.named(authzid, username)
	// RFC 4616, section 2: the password is UTF-8 like the names.
	if err != nil || !utf8.ValidString(password) {
		return x.refuse(ErrMalformed)
	}
	// An empty password is wrong everywhere: some directories take it for a
	// login that does not want to be verified (RFC 4513, section 5.1.2).
	if !usablePassword(password) {
		return x.refuse(refused(x.ctx, x.inner, l, "password"))
	}
	l.Password = password
	return x.decide(x.inner.Authenticate(x.ctx, l))
}

// chain returns the certificates that the client has proved to hold, nil when
// there are none or nobody checked them.
func (x *exchange) chain() []*x509.Certificate {
	if x.opts.TLS == nil || len(x.opts.TLS.VerifiedChains) == 0 {
		return nil
	}
	return x.opts.TLS.VerifiedChains[0]
}

// external is RFC 4422, appendix A: the client may name whom it wants to act as.
func (x *exchange) external(authzid string) error {
	if !validName(authzid) {
		return x.refuse(ErrMalformed)
	}
	l := x.base
	l.Authzid = authzid
	return x.decide(x.able.Certificate(x.ctx, l, x.chain()))
}

// A loginServer is the server's side of LOGIN, which never got further than a
// draft (draft-murchison-sasl-login): it asks for a name and for a password. Some
// clients know nothing else.
type loginServer struct {
	x        *exchange
	username *string
}

func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil && s.username == nil:
		return []byte("Username:"), false, nil
	case s.username == nil:
		name := string(response)
		s.username = &name
		return []byte("Password:"), false, nil
	}
	return nil, true, s.x.password("", *s.username, string(response))
}
