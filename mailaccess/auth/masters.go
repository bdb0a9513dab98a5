package auth

import (
	"context"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// MastersOptions are the options of [Masters]. Nil means the defaults.
type MastersOptions struct {
	// Separator lets a master be named together with the account, for clients and
	// mechanisms that know no authorization identity: with "*", the user name
	// "alice*root" is root acting as alice. Empty: it does not.
	Separator string
}

// Masters returns an authenticator that asks a who somebody is, and may whether
// they may act as the authorization identity that they ask for (RFC 4422, section
// 3.4.1): both names come as [NormalizeUser] spells them, the user's as a returned
// it. It is not asked about whoever acts as themselves. The identity has the
// master as User and the other's name as Account.
//
// What a itself thinks of authorization identities does not count: it sees none.
// Whether there is such an account is for may to say, or for the store.
func Masters(a mailaccess.Authenticator, may func(ctx context.Context, user, account string) (bool, error), opts *MastersOptions) mailaccess.Authenticator {
	m := &masters{inner: a, may: may}
	if opts != nil {
		m.separator = opts.Separator
	}
	return m
}

type masters struct {
	inner     mailaccess.Authenticator
	may       func(ctx context.Context, user, account string) (bool, error)
	separator string
}

// split takes from a login as whom it wants to act.
func (m *masters) split(l mailaccess.Login) (own mailaccess.Login, account string) {
	account, l.Authzid = l.Authzid, ""
	if m.separator != "" && account == "" {
		if name, user, ok := strings.Cut(l.Username, m.separator); ok && name != "" && user != "" {
			account, l.Username = name, user
		}
	}
	return l, account
}

// as turns who somebody is into whom they act as.
func (m *masters) as(ctx context.Context, id mailaccess.Identity, err error, account string) (mailaccess.Identity, error) {
	if err != nil || account == "" || canonicalUser(account) == canonicalUser(id.User) {
		return id, err
	}
	name, err := NormalizeUser(account)
	if err != nil {
		return mailaccess.Identity{}, errForbidden()
	}
	ok, err := m.may(ctx, id.User, name)
	switch {
	case err != nil:
		return mailaccess.Identity{}, errUnavailable(err)
	case !ok:
		return mailaccess.Identity{}, errForbidden()
	}
	id.Account = name
	return id, nil
}

func (m *masters) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	l, account := m.split(l)
	id, err := m.inner.Authenticate(ctx, l)
	return m.as(ctx, id, err, account)
}

// Abilities implements [Able]: all that the inner authenticator can.
func (m *masters) Abilities() Abilities { return AbilitiesOf(m.inner).through(m.split, m.as) }
