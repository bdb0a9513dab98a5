package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Static returns an authenticator that knows the users of a map from user name
// to password. It is for tests and demonstrations: nothing slows down whoever
// tries passwords.
//
// Names are compared as [NormalizeUser] spells them; one that it does not
// permit stands for itself. Where two names are the same user, the one that
// sorts last counts. The map is not used after the call. A user may act only as
// themselves.
func Static(users map[string]string) mailaccess.Authenticator {
	s := &static{keys: make(map[string][]byte, len(users))}
	rand.Read(s.secret[:]) // never fails
	for _, name := range slices.Sorted(maps.Keys(users)) {
		s.keys[canonicalUser(name)] = s.digest(users[name])
	}
	return s
}

type static struct {
	secret [32]byte
	keys   map[string][]byte // of passwords, by user
}

func (s *static) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	if err := ctx.Err(); err != nil {
		return mailaccess.Identity{}, errUnavailable(err)
	}
	if !usablePassword(l.Password) {
		return mailaccess.Identity{}, errAuthFailed()
	}
	// An unknown user is compared as well, with what no digest equals.
	name := canonicalUser(l.Username)
	key, known := s.keys[name]
	if !known {
		key = make([]byte, sha256.Size)
	}
	if matches := hmac.Equal(key, s.digest(l.Password)); !matches || !known {
		return mailaccess.Identity{}, errAuthFailed()
	}
	if !actsAsSelf(l) {
		return mailaccess.Identity{}, errForbidden()
	}
	return mailaccess.Identity{User: name, Account: name}, nil
}

// digest makes passwords comparable in a time that tells nothing of them, not
// even their length.
func (s *static) digest(password string) []byte {
	m := hmac.New(sha256.New, s.secret[:])
	m.Write(preparePassword(password))
	return m.Sum(nil)
}
