package authtest

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

type authenticate func(context.Context, mailaccess.Login) (mailaccess.Identity, error)

func (f authenticate) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return f(ctx, l)
}

var user = User{Name: "alice", Password: "Secret-1", Account: "alice"}

func failed(format string, args ...any) error {
	return &mailaccess.Error{Kind: mailaccess.KindAuthFailed, Op: "authenticate", Err: fmt.Errorf(format, args...)}
}

// good keeps every rule.
func good(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	switch {
	case ctx.Err() != nil:
		return mailaccess.Identity{}, ctx.Err()
	case l.Username != user.Name || l.Password != user.Password:
		return mailaccess.Identity{}, failed("wrong user name or password")
	case l.Authzid != "" && l.Authzid != l.Username:
		return mailaccess.Identity{}, &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "authenticate"}
	}
	return mailaccess.Identity{User: "alice", Account: "alice", Attributes: map[string]string{"a": "b"}}, nil
}

func TestGood(t *testing.T) {
	Run(t, authenticate(good), user)
	if err := Check(t.Context(), authenticate(good), user); err != nil {
		t.Error(err)
	}
}

// TestBad: each rule is found broken by the authenticator that breaks it.
func TestBad(t *testing.T) {
	shared := map[string]string{}
	for what, tt := range map[string]struct {
		rule string
		bad  authenticate
	}{
		"refuses all": {"RightPassword", func(context.Context, mailaccess.Login) (mailaccess.Identity, error) {
			return mailaccess.Identity{}, failed("no")
		}},
		"no account": {"RightPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			id.Account = ""
			return id, err
		}},
		"no user": {"RightPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			id.User = ""
			return id, err
		}},
		"another account": {"RightPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			if err == nil {
				id.Account = "bob"
			}
			return id, err
		}},
		"lets all in": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			l.Password = user.Password
			return good(ctx, l)
		}},
		"takes an empty password": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			if l.Password == "" {
				l.Password = user.Password
			}
			return good(ctx, l)
		}},
		"cuts the password": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			l.Password = l.Password[:min(len(l.Password), len(user.Password))]
			return good(ctx, l)
		}},
		"ignores case": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			if strings.EqualFold(l.Password, user.Password) {
				l.Password = user.Password
			}
			return good(ctx, l)
		}},
		"tells the password": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			if err != nil {
				err = failed("%s", l.Password)
			}
			return id, err
		}},
		"another kind": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			if err != nil {
				err = errors.New("no")
			}
			return id, err
		}},
		"an identity beside an error": {"WrongPassword", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			_, err := good(ctx, l)
			return mailaccess.Identity{User: "alice", Account: "alice"}, err
		}},
		"tells users": {"UnknownUser", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			if l.Username != user.Name {
				return mailaccess.Identity{}, failed("no such user")
			}
			return good(ctx, l)
		}},
		"cuts names at NUL": {"HostileInput", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			l.Username, _, _ = strings.Cut(l.Username, "\x00")
			return good(ctx, l)
		}},
		"trims names": {"HostileInput", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			l.Username = strings.TrimSpace(l.Username)
			return good(ctx, l)
		}},
		"ignores authzid": {"Authzid", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			l.Authzid = ""
			return good(ctx, l)
		}},
		"refuses authzid": {"Authzid", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			if l.Authzid != "" {
				return mailaccess.Identity{}, failed("no")
			}
			return good(ctx, l)
		}},
		"takes the end for a wrong password": {"CancelledContext", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			if ctx.Err() != nil {
				return mailaccess.Identity{}, failed("no")
			}
			return good(ctx, l)
		}},
		"shares attributes": {"OwnAttributes", func(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
			id, err := good(ctx, l)
			if err == nil {
				id.Attributes = shared
			}
			return id, err
		}},
	} {
		err := Check(t.Context(), tt.bad, user)
		if err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.rule+": ") {
			t.Errorf("%s: %s does not find it: %v", what, tt.rule, err)
		}
	}
}

// able is good, and can more.
type able struct {
	authenticate
	abilities auth.Abilities
}

func (a able) Abilities() auth.Abilities { return a.abilities }

// TestBadAbilities: each rule is found broken by the authenticator that breaks it.
func TestBadAbilities(t *testing.T) {
	hashes := []crypto.Hash{crypto.SHA256}
	in := mailaccess.Identity{User: "alice", Account: "alice"}
	scramWith := func(change func(l mailaccess.Login, u *auth.ScramUser)) auth.Abilities {
		return auth.Abilities{ScramHashes: hashes, Scram: func(_ context.Context, l mailaccess.Login, hash crypto.Hash) (*auth.ScramUser, error) {
			u := auth.FakeScramUser([]byte("s"), hash, l.Username, 4096, 16)
			if l.Username == user.Name {
				var err error
				if u.ScramKeys, err = auth.NewScramKeys(hash, user.Password, []byte("0123456789abcdef"), 4096); err != nil {
					return nil, err
				}
				u.Decide = func(ctx context.Context, proved bool) (mailaccess.Identity, error) {
					l := l
					l.Password = map[bool]string{true: user.Password}[proved]
					return good(ctx, l)
				}
			}
			change(l, u)
			return u, nil
		}}
	}
	tokens := func(f func(l mailaccess.Login, token string) (mailaccess.Identity, error)) auth.Abilities {
		return auth.Abilities{Bearer: func(_ context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			return f(l, token)
		}}
	}
	withToken := user
	withToken.Token = "a.tok-en"
	n := 0
	for what, tt := range map[string]struct {
		rule string // empty: all is well
		able auth.Abilities
		user User
	}{
		"well":        {"", scramWith(func(mailaccess.Login, *auth.ScramUser) {}), user},
		"hashes only": {"Scram", auth.Abilities{ScramHashes: hashes}, user},
		"no hashes":   {"Scram", auth.Abilities{Scram: scramWith(nil).Scram}, user},
		"no proof": {"Scram", scramWith(func(_ mailaccess.Login, u *auth.ScramUser) {
			u.Decide = func(context.Context, bool) (mailaccess.Identity, error) { return in, failed("no") }
		}), user},
		"salt changes": {"Scram", scramWith(func(l mailaccess.Login, u *auth.ScramUser) {
			if n++; l.Username != user.Name {
				u.Salt = fmt.Appendf(nil, "%016d", n)
			}
		}), user},
		"few iterations": {"Scram", scramWith(func(l mailaccess.Login, u *auth.ScramUser) {
			if l.Username != user.Name {
				u.Iterations = 5000
			}
		}), user},
		"authzid": {"Scram", scramWith(func(l mailaccess.Login, u *auth.ScramUser) {
			if inner := u.Decide; l.Username == user.Name {
				u.Decide = func(ctx context.Context, proved bool) (mailaccess.Identity, error) {
					if proved {
						return in, nil
					}
					return inner(ctx, proved)
				}
			}
		}), user},
		"token well": {"", tokens(func(l mailaccess.Login, token string) (mailaccess.Identity, error) {
			if token != withToken.Token {
				return mailaccess.Identity{}, failed("no")
			}
			l.Username, l.Password = user.Name, user.Password
			return good(context.Background(), l)
		}), withToken},
		"any token": {"Bearer", tokens(func(mailaccess.Login, string) (mailaccess.Identity, error) { return in, nil }), withToken},
		"no token":  {"Bearer", auth.Abilities{}, withToken},
		"digest": {"Digest", auth.Abilities{Digest: func(context.Context, mailaccess.Login, func(string) bool) (mailaccess.Identity, error) {
			return in, nil
		}}, user},
	} {
		err := Check(t.Context(), able{good, tt.able}, tt.user)
		if tt.rule == "" && err != nil || tt.rule != "" && (err == nil || !strings.Contains("\n"+err.Error(), "\n"+tt.rule+": ")) {
			t.Errorf("%s: %s: %v", what, tt.rule, err)
		}
	}
}
