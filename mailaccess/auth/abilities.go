package auth

import (
	"context"
	"crypto"
	"crypto/x509"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Abilities is what an authenticator can verify. The zero value is what every
// authenticator can: a user name and a password.
//
// Each function reports as [mailaccess.Authenticator] does, with the same kinds
// of errors: nothing tells an unknown user from wrong credentials, and who may not
// act as the login's Authzid gets [mailaccess.KindForbidden] once the credentials
// were found right. The functions are safe for concurrent use. A login that they
// get has neither a password nor, where the credentials name the user, a user
// name.
type Abilities struct {
	// NoPasswords says that Authenticate lets nobody in by a password of their
	// own, so that mechanisms that send one are not to be offered.
	NoPasswords bool

	// Scram returns what SCRAM needs to know of the user whom the login names
	// (RFC 5802, section 5.1), for the hashes for which ScramHashes holds. A user
	// who is not known, or has no keys for this hash, gets keys that look like
	// other users' and are always the same: [FakeScramUser].
	Scram func(ctx context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error)

	// ScramHashes are the hash functions that Scram serves.
	ScramHashes []crypto.Hash

	// Bearer verifies a bearer token (RFC 6750, section 1.2), which names the
	// user.
	Bearer func(ctx context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error)

	// Certificate takes a chain of certificates, the client's first, whose key
	// the client has proved to hold and which leads to an authority that the TLS
	// configuration trusts, for a user.
	Certificate func(ctx context.Context, l mailaccess.Login, chain []*x509.Certificate) (mailaccess.Identity, error)

	// Digest calls match with each recoverable secret of the user whom the login
	// names until it reports true, and for a user who has none with one that is
	// nobody's. It serves mechanisms that are weak and need passwords stored as
	// they are: an authenticator has it only where it was told to.
	Digest func(ctx context.Context, l mailaccess.Login, match func(secret string) bool) (mailaccess.Identity, error)
}

// Able is an authenticator that can verify more, or less, than passwords.
// Abilities is called whenever mechanisms are listed and when an exchange begins,
// and takes no time worth mentioning.
//
// An authenticator that wraps another has its own Abilities, made of the inner
// one's, [AbilitiesOf]; what it does not name is not offered.
type Able interface {
	Abilities() Abilities
}

// AbilitiesOf returns what a can verify.
func AbilitiesOf(a mailaccess.Authenticator) Abilities {
	if able, ok := a.(Able); ok {
		return able.Abilities()
	}
	return Abilities{}
}

// TakesPasswords reports whether a lets anybody in by a user name and a password of
// their own, so that what sends them can be offered: IMAP's LOGIN, POP3's USER.
func TakesPasswords(a mailaccess.Authenticator) bool { return !AbilitiesOf(a).NoPasswords }

// A ScramUser is what the server's side of SCRAM knows of a user.
type ScramUser struct {
	ScramKeys

	// Decide is called at most once, when the client has sent its proof, with
	// whether that shows knowledge of the password. What it returns is the
	// outcome; without a proof that is always an error.
	Decide func(ctx context.Context, proved bool) (mailaccess.Identity, error)
}

// A decision is what an authenticator does with credentials of any sort.
type decision func(ctx context.Context) (mailaccess.Identity, error)

// around returns abilities that pass each decision to f, with the login that it is
// about and the sort of credentials, and return what f makes of it. Looking up a
// user for SCRAM is a decision only where it fails.
func (able Abilities) around(f func(ctx context.Context, l mailaccess.Login, credentials string, decide decision) (mailaccess.Identity, error)) Abilities {
	inner := able
	if inner.Scram != nil {
		able.Scram = func(ctx context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error) {
			user, err := inner.Scram(ctx, l, hash)
			if err != nil {
				_, err = f(ctx, l, "scram", func(context.Context) (mailaccess.Identity, error) { return mailaccess.Identity{}, err })
				return nil, err
			}
			return &ScramUser{user.ScramKeys, func(ctx context.Context, proved bool) (mailaccess.Identity, error) {
				return f(ctx, l, "scram", func(ctx context.Context) (mailaccess.Identity, error) { return user.Decide(ctx, proved) })
			}}, nil
		}
	}
	if inner.Bearer != nil {
		able.Bearer = func(ctx context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			return f(ctx, l, "bearer", func(ctx context.Context) (mailaccess.Identity, error) { return inner.Bearer(ctx, l, token) })
		}
	}
	if inner.Certificate != nil {
		able.Certificate = func(ctx context.Context, l mailaccess.Login, chain []*x509.Certificate) (mailaccess.Identity, error) {
			return f(ctx, l, "certificate", func(ctx context.Context) (mailaccess.Identity, error) { return inner.Certificate(ctx, l, chain) })
		}
	}
	if inner.Digest != nil {
		able.Digest = func(ctx context.Context, l mailaccess.Login, match func(string) bool) (mailaccess.Identity, error) {
			return f(ctx, l, "digest", func(ctx context.Context) (mailaccess.Identity, error) { return inner.Digest(ctx, l, match) })
		}
	}
	return able
}

// through returns abilities whose logins go through before, and whose outcomes go
// through after, together with what before has kept of the login.
func (able Abilities) through(
	before func(mailaccess.Login) (l mailaccess.Login, kept string),
	after func(ctx context.Context, id mailaccess.Identity, err error, kept string) (mailaccess.Identity, error),
) Abilities {
	inner := able
	if inner.Scram != nil {
		able.Scram = func(ctx context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error) {
			l, kept := before(l)
			u, err := inner.Scram(ctx, l, hash)
			if err != nil {
				return nil, err
			}
			return &ScramUser{u.ScramKeys, func(ctx context.Context, proved bool) (mailaccess.Identity, error) {
				id, err := u.Decide(ctx, proved)
				return after(ctx, id, err, kept)
			}}, nil
		}
	}
	if inner.Bearer != nil {
		able.Bearer = func(ctx context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			l, kept := before(l)
			id, err := inner.Bearer(ctx, l, token)
			return after(ctx, id, err, kept)
		}
	}
	if inner.Certificate != nil {
		able.Certificate = func(ctx context.Context, l mailaccess.Login, chain []*x509.Certificate) (mailaccess.Identity, error) {
			l, kept := before(l)
			id, err := inner.Certificate(ctx, l, chain)
			return after(ctx, id, err, kept)
		}
	}
	if inner.Digest != nil {
		able.Digest = func(ctx context.Context, l mailaccess.Login, match func(string) bool) (mailaccess.Identity, error) {
			l, kept := before(l)
			id, err := inner.Digest(ctx, l, match)
			return after(ctx, id, err, kept)
		}
	}
	return able
}
