package auth

import (
	"context"
	"crypto"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

var (
	errNotThisWay = errors.New("not permitted to log in this way")
	errNoLogin    = errors.New("the user may not log in")
)

// Authenticate implements [mailaccess.Authenticator].
func (f *UsersFile) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	state := f.current()
	u, known := state.users.find(canonicalUser(l.Username), f.secretOf(state))
	if !usablePassword(l.Password) {
		return mailaccess.Identity{}, errAuthFailed()
	}
	var right []*userLine
	err := f.pool.Do(ctx, func() {
		for _, line := range u.hashed() {
			// All are tried until one will do, whether the user is known or not.
			if line.hash.matches(l.Password) && known {
				right = append(right, line)
				if line.permits(l) == nil {
					break
				}
			}
		}
	})
	if err != nil {
		return mailaccess.Identity{}, errUnavailable(err)
	}
	return state.users.decide(u, right, l)
}

// decide says who a login is whose credentials fit some lines of a user.
func (t *userTable) decide(u *userEntry, right []*userLine, l mailaccess.Login) (none mailaccess.Identity, err error) {
	if len(right) == 0 {
		return none, errAuthFailed()
	}
	// The last is the one that will do, if any does.
	line := right[len(right)-1]
	if err := line.permits(l); err != nil {
		return none, &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: opAuthenticate, Err: err}
	}
	id := mailaccess.Identity{User: u.name, Account: u.account}
	if line.extra.readOnly {
		id.Without = mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	}
	if authzid := canonicalUser(l.Authzid); l.Authzid != "" && authzid != u.name {
		// An app password is for one program of one person.
		other := t.byName[authzid]
		if line.app != "" || other == nil || !mayActFor(u.actsFor, other.name) {
			return none, errForbidden()
		}
		id.Account = other.account
	}
	return id, nil
}

// hashed returns the lines of a user, who may be nil, that have something to
// verify with. Where there are none, it is something that takes as long as
// what a new user would have.
func (u *userEntry) hashed() []*userLine {
	var lines []*userLine
	if u != nil {
		for _, l := range u.lines {
			if l.hash != nil {
				lines = append(lines, l)
			}
		}
	}
	if len(lines) == 0 {
		nobody := argon2Hash{Argon2id: Argon2id{}.withDefaults(), variant: argon2idPrefix, salt: make([]byte, saltLength), key: randomOctets(keyLength)}
		lines = []*userLine{{hash: nobody}}
	}
	return lines
}

// permits says why a login may not use the password of a line.
func (l *userLine) permits(login mailaccess.Login) error {
	switch x := l.extra; {
	case x.noLogin:
		return errNoLogin
	case len(x.protocols) > 0 && !slices.ContainsFunc(x.protocols, func(p string) bool { return strings.EqualFold(p, login.Protocol) }):
		return errNotThisWay
	case x.nets != nil && !x.nets.contain(login.Remote):
		return errNotThisWay
	}
	return nil
}

func (n *networks) contain(remote string) bool {
	a, err := netip.ParseAddr(hostOf(remote))
	if err != nil {
		return n.local
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(n.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// mayActFor reports whether rules, each "*", "@domain" or a name, hold for a name.
func mayActFor(rules []string, name string) bool {
	for _, r := range rules {
		if r == "*" || r == name || strings.HasPrefix(r, "@") && strings.HasSuffix(name, r) {
			return true
		}
	}
	return false
}

// Abilities implements [Able]: SCRAM for each hash for which every user has what it
// takes, and where the options say so what needs recoverable passwords.
func (f *UsersFile) Abilities() Abilities {
	users := f.current().users
	offers := func(n int) bool { return n > 0 && (f.offerForSome || n == users.active) }
	var able Abilities
	for _, hash := range [...]crypto.Hash{crypto.SHA256, crypto.SHA1} {
		if offers(users.scram[hash]) {
			able.ScramHashes = append(able.ScramHashes, hash)
			able.Scram = f.scram
		}
	}
	if f.digests && offers(users.plain) {
		able.Digest = f.digest
	}
	return able
}

// scramOf reports whether a stored password serves SCRAM with a hash, as keys or
// as what keys can be derived from.
func scramOf(h passwordHash, hash crypto.Hash) bool {
	switch h := h.(type) {
	case scramHash:
		return h.hash == hash
	case plainHash:
		return true
	}
	return false
}

// scram looks a user up for SCRAM. SCRAM names one salt, so that of a user's
// passwords it can be only one: the first that serves and may be used.
func (f *UsersFile) scram(ctx context.Context, l mailaccess.Login, hash crypto.Hash) (*ScramUser, error) {
	state := f.current()
	secret := f.secretOf(state)
	u, known := state.users.find(canonicalUser(l.Username), secret)
	var line *userLine
	for _, candidate := range u.hashed() {
		if scramOf(candidate.hash, hash) && (line == nil || line.permits(l) != nil) {
			line = candidate
		}
	}
	if line == nil {
		// The others' iterations are no secret: any user of SCRAM sees them.
		return FakeScramUser(secret, hash, l.Username, state.users.iterations[hash], 0), nil
	}
	keys := ScramKeys{Iterations: minScramIterations}
	switch h := line.hash.(type) {
	case scramHash:
		keys = h.ScramKeys
	case plainHash:
		// The salt must be the same each time.
		salt := FakeScramUser(secret, hash, l.Username, 0, 0).Salt
		var err error
		doErr := f.pool.Do(ctx, func() { keys, err = NewScramKeys(hash, string(h), salt, minScramIterations) })
		if err := errors.Join(doErr, err); err != nil {
			return nil, errUnavailable(err)
		}
	}
	if !known {
		return FakeScramUser(secret, hash, l.Username, keys.Iterations, len(keys.Salt)), nil
	}
	return &ScramUser{keys, func(_ context.Context, proved bool) (mailaccess.Identity, error) {
		if !proved {
			return state.users.decide(u, nil, l)
		}
		return state.users.decide(u, []*userLine{line}, l)
	}}, nil
}

// digest tries the passwords of a user that are stored as they are.
func (f *UsersFile) digest(_ context.Context, l mailaccess.Login, match func(string) bool) (mailaccess.Identity, error) {
	state := f.current()
	u, known := state.users.find(canonicalUser(l.Username), f.secretOf(state))
	var right []*userLine
	for _, line := range u.hashed() {
		secret, ok := line.hash.(plainHash)
		if !ok {
			secret = "nobody's"
		}
		if match(string(secret)) && ok && known {
			right = append(right, line)
			if line.permits(l) == nil {
				break
			}
		}
	}
	return state.users.decide(u, right, l)
}

// secretOf returns from what fake salts are made.
func (f *UsersFile) secretOf(s *usersState) []byte {
	if len(f.secret) > 0 {
		return f.secret
	}
	return s.users.secret[:]
}
