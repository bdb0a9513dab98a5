package auth

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Normalized returns an authenticator that asks a about names as [NormalizeUser]
// spells them, and returns identities with names so spelled, as
// [mailaccess.Identity] wants them: for one that knows nothing of spellings, such
// as a [mailaccess.AuthenticatorFunc]. The authenticators of this package do it by
// themselves. Names that NormalizeUser refuses stay as they are.
func Normalized(a mailaccess.Authenticator) mailaccess.Authenticator { return &normalized{a} }

type normalized struct{ inner mailaccess.Authenticator }

func (n *normalized) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	l, _ = n.before(l)
	id, err := n.inner.Authenticate(ctx, l)
	return n.after(ctx, id, err, "")
}

// Abilities implements [Able]: all that the inner authenticator can.
func (n *normalized) Abilities() Abilities { return AbilitiesOf(n.inner).through(n.before, n.after) }

func (n *normalized) before(l mailaccess.Login) (mailaccess.Login, string) {
	l.Username, l.Authzid = canonicalUser(l.Username), canonicalUser(l.Authzid)
	return l, ""
}

func (n *normalized) after(_ context.Context, id mailaccess.Identity, err error, _ string) (mailaccess.Identity, error) {
	id.User, id.Account = canonicalUser(id.User), canonicalUser(id.Account)
	return id, err
}
