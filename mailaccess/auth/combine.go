package auth

import (
	"context"
	"crypto/x509"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Combine returns an authenticator that leaves each sort of credentials to the
// first of several that can verify it: passwords to a users file, for one, and
// tokens to [JWT]. Nothing is tried with two of them.
func Combine(first mailaccess.Authenticator, more ...mailaccess.Authenticator) mailaccess.Authenticator {
	return &combined{append([]mailaccess.Authenticator{first}, more...)}
}

type combined struct{ all []mailaccess.Authenticator }

var _ Versioned = (*combined)(nil)

func (c *combined) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	for _, a := range c.all {
		if !AbilitiesOf(a).NoPasswords {
			return a.Authenticate(ctx, l)
		}
	}
	return c.all[0].Authenticate(ctx, l)
}

// Abilities implements [Able].
func (c *combined) Abilities() Abilities {
	able := Abilities{NoPasswords: true}
	for _, a := range c.all {
		inner := AbilitiesOf(a)
		able.NoPasswords = able.NoPasswords && inner.NoPasswords
		if able.Scram == nil {
			able.Scram, able.ScramHashes = inner.Scram, inner.ScramHashes
		}
		if able.Bearer == nil {
			able.Bearer = inner.Bearer
		}
		if able.Certificate == nil {
			able.Certificate = inner.Certificate
		}
		if able.Digest == nil {
			able.Digest = inner.Digest
		}
	}
	return able
}

// Version implements [Versioned]: it grows when that of one of them does.
func (c *combined) Version() (sum uint64) {
	for _, a := range c.all {
		if v, ok := a.(Versioned); ok {
			sum += v.Version()
		}
	}
	return sum
}

// Certificates returns an authenticator that takes clients by their certificates
// (EXTERNAL, RFC 4422, appendix A), and nothing else: see [Combine]. The TLS
// configuration says which authorities are trusted, and has to ask for the
// certificates; what they certify is whatever it lets through.
//
// The user whom a certificate names is what user returns of it, normalised as by
// [NormalizeUser]; nil: the mail address among its alternative names, where it has
// just one (RFC 5280, section 4.2.1.6). An error of user's means that it is
// nobody's. Acting as somebody else is refused; see [Masters].
func Certificates(user func(*x509.Certificate) (string, error)) mailaccess.Authenticator {
	if user == nil {
		user = func(c *x509.Certificate) (string, error) {
			if len(c.EmailAddresses) != 1 {
				return "", errors.New("not one mail address")
			}
			return c.EmailAddresses[0], nil
		}
	}
	return certificates(user)
}

type certificates func(*x509.Certificate) (string, error)

// Authenticate implements [mailaccess.Authenticator]: no password is right.
func (f certificates) Authenticate(context.Context, mailaccess.Login) (mailaccess.Identity, error) {
	return mailaccess.Identity{}, errAuthFailed()
}

// Abilities implements [Able].
func (f certificates) Abilities() Abilities {
	return Abilities{NoPasswords: true, Certificate: f.certificate}
}

func (f certificates) certificate(ctx context.Context, l mailaccess.Login, chain []*x509.Certificate) (none mailaccess.Identity, err error) {
	if err := ctx.Err(); err != nil {
		return none, errUnavailable(err)
	}
	if len(chain) == 0 {
		return none, errAuthFailed()
	}
	name, err := f(chain[0])
	if err != nil {
		return none, errAuthFailed()
	}
	if name, err = NormalizeUser(name); err != nil {
		return none, errAuthFailed()
	}
	if l.Authzid != "" && canonicalUser(l.Authzid) != name {
		return none, errForbidden()
	}
	return mailaccess.Identity{User: name, Account: name}, nil
}
