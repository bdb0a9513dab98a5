package auth

import (
	"context"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Verify asks a about a user name and a password that came without SASL, as with
// IMAP's LOGIN (RFC 3501, section 6.2.3) or POP3's USER and PASS (RFC 1939,
// section 7). What cannot be right anywhere is refused with
// [mailaccess.KindAuthFailed] and never reaches a: an empty password, which some
// directories take for a login that does not want to be verified (RFC 4513,
// section 5.1.2); a name that is empty or not UTF-8, which databases do not
// bear; what is longer than any name or password. [Guard] counts it as a failure all the
// same, and [Logged] logs it, where they are outermost.
//
// A password need not be UTF-8: the octets of old ones may not be.
func Verify(ctx context.Context, a mailaccess.Authenticator, l mailaccess.Login) (mailaccess.Identity, error) {
	if l.Username == "" || len(l.Username) > maxLoginName || !utf8.ValidString(l.Username) || !usablePassword(l.Password) {
		return mailaccess.Identity{}, refused(ctx, a, l, "password")
	}
	return a.Authenticate(ctx, l)
}

// A decider is an authenticator that looks on as logins are decided.
type decider interface {
	decide(ctx context.Context, l mailaccess.Login, credentials string, decide decision) (mailaccess.Identity, error)

	// around returns the authenticator at whose decisions it looks.
	around() mailaccess.Authenticator
}

var _, _ decider = (*logged)(nil), (*Guarded)(nil)

// refused is the failure of a login that cannot be right anywhere: only those hear of it
// who look on, the outermost first.
func refused(ctx context.Context, a mailaccess.Authenticator, l mailaccess.Login, credentials string) error {
	d, ok := a.(decider)
	if !ok {
		return errAuthFailed()
	}
	l.Password = ""
	_, err := d.decide(ctx, l, credentials, func(ctx context.Context) (mailaccess.Identity, error) {
		return mailaccess.Identity{}, refused(ctx, d.around(), l, credentials)
	})
	return err
}
