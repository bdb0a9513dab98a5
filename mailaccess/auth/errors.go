package auth

import (
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

const opAuthenticate = "authenticate"

var (
	errCredentials = errors.New("wrong user name or password")
	errDowngrade   = errors.New("the client could bind to the channel and was kept from it")
	errBindingType = errors.New("the client binds to the channel in a way that is not offered")
	errAuthzid     = errors.New("not permitted to act as the authorization identity")
)

// errAuthFailed is the one answer to credentials that are wrong, whatever is
// wrong with them.
func errAuthFailed() error {
	return &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: opAuthenticate, Err: errCredentials}
}

func errForbidden() error {
	return &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: opAuthenticate, Err: errAuthzid}
}

func errUnavailable(err error) error {
	return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: opAuthenticate, Err: err}
}

// actsAsSelf reports whether a login asks for no authorization identity other
// than the user's own. RFC 4422, section 3.4.1: an empty one means the one that
// follows from the credentials.
func actsAsSelf(l mailaccess.Login) bool {
	return l.Authzid == "" || canonicalUser(l.Authzid) == canonicalUser(l.Username)
}
