package mailaccess

import "context"

// Login is what a client offered to prove who it is.
type Login struct {
	Username, Password string
	// Authzid is whom the client wants to act as; empty: as itself
	// (RFC 4616, section 2).
	Authzid string
	// Protocol is the protocol's name, as "imap"; Remote the peer's address;
	// Private whether nobody between can listen.
	Protocol string
	Remote   string
	Private  bool
}

// Identity is who somebody turned out to be.
type Identity struct {
	// User is the name for logs and limits, normalised.
	User string
	// Account is the account to open, normalised: the same account has the
	// same name here, in [Store.Open] and in [Ring].
	Account string
	// Without is what the identity may not do in any mailbox of the account,
	// whatever its owner may; zero takes nothing away. A login that only reads is
	// without RightsAll &^ RightsReadOnly.
	Without Rights
	// Attributes are for the store; the engine passes them on unread.
	Attributes map[string]string
}

// Authenticator finds out who somebody is. It is safe for concurrent use.
type Authenticator interface {
	// Authenticate checks l. Errors: KindAuthFailed for an unknown user and
	// a wrong password alike (nothing tells them apart, not even time),
	// KindForbidden when the user may not log in this way or act as Authzid,
	// KindUnavailable when it cannot be found out now. Errors never hold the
	// password.
	Authenticate(ctx context.Context, l Login) (Identity, error)
}

// AuthenticatorFunc is the smallest authenticator: it turns a user name and a
// password into the name of an account. Acting as somebody else is refused.
type AuthenticatorFunc func(ctx context.Context, username, password string) (account string, err error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, l Login) (Identity, error) {
	if l.Authzid != "" && l.Authzid != l.Username {
		return Identity{}, &Error{Kind: KindForbidden, Op: "authenticate"}
	}
	account, err := f(ctx, l.Username, l.Password)
	if err != nil {
		return Identity{}, err
	}
	return Identity{User: l.Username, Account: account}, nil
}
