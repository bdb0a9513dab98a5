package authtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
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
