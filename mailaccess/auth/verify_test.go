package auth

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestVerify(t *testing.T) {
	for _, tt := range []struct {
		name, user, password string
		asked                bool
	}{
		{"usual", "alice", "secret", true},
		{"a password that is not UTF-8", "alice", "\xff", true},
		{"the longest", strings.Repeat("a", maxLoginName), strings.Repeat("p", MaxPassword), true},
		{"no password", "alice", "", false},
		{"no name", "", "secret", false},
		{"a name that is not UTF-8", "\xff", "secret", false},
		{"a long name", strings.Repeat("a", maxLoginName+1), "secret", false},
		{"a long password", "alice", strings.Repeat("p", MaxPassword+1), false},
		{"NUL", "alice", "sec\x00ret", false},
	} {
		r := &recorder{}
		l := private
		l.Username, l.Password = tt.user, tt.password
		id, err := Verify(t.Context(), r, l)
		if !tt.asked {
			if len(r.logins) > 0 || !errors.Is(err, mailaccess.KindAuthFailed) || id.User != "" {
				t.Errorf("%s: asked %d times, answer %v, %v", tt.name, len(r.logins), id, err)
			}
			continue
		}
		if diff := cmp.Diff([]mailaccess.Login{l}, r.logins); diff != "" || err != nil || id.User != tt.user {
			t.Errorf("%s: %v, %v, asked (-want +got):\n%s", tt.name, id, err, diff)
		}
	}
}

// unasked is an authenticator that must not be asked anything.
type unasked struct{ t *testing.T }

func (u unasked) Authenticate(context.Context, mailaccess.Login) (none mailaccess.Identity, err error) {
	u.t.Error("the authenticator was asked")
	return none, errAuthFailed()
}

func (u unasked) Abilities() Abilities {
	return Abilities{
		Bearer: func(ctx context.Context, l mailaccess.Login, _ string) (mailaccess.Identity, error) {
			return u.Authenticate(ctx, l)
		},
		Digest: func(ctx context.Context, l mailaccess.Login, _ func(string) bool) (mailaccess.Identity, error) {
			return u.Authenticate(ctx, l)
		},
	}
}

// TestImpossibleCredentialsCount: what cannot be right anywhere, and is asked nobody, is a
// failed login all the same to those who count and log them.
func TestImpossibleCredentialsCount(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	inner := unasked{t}
	guard := Guard(inner, &GuardOptions{BanAfter: 5, Free: 10})
	a := Logged(guard, zap.New(core))
	l := private
	l.Remote, l.Username = "192.0.2.1:1", "alice"
	exchange := func(mech, response string) error {
		base := l
		base.Username = ""
		s, err := NewServer(t.Context(), mech, a, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Next([]byte(response))
		return err
	}
	for i, attempt := range []func() error{
		func() error { _, err := Verify(t.Context(), a, l); return err },
		func() error { return exchange("PLAIN", "\x00alice\x00"+strings.Repeat("x", MaxPassword+1)) },
		func() error { return exchange("PLAIN", "\x00alice\x00") },
		func() error {
			s, err := NewServer(t.Context(), "OAUTHBEARER", a, l, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Next([]byte("n,,\x01auth=Bearer hun ter2\x01\x01"))
			_, _, err = s.Next([]byte("\x01"))
			return err
		},
		func() error { _, err := VerifyAPOP(t.Context(), a, l, Timestamp(), "hunter2"); return err },
	} {
		if err := attempt(); !errors.Is(err, mailaccess.KindAuthFailed) {
			t.Errorf("attempt %d: %v", i, err)
		}
		if logs.Len() != i+1 || logs.All()[i].Message != "login refused" {
			t.Errorf("attempt %d: %d lines of the log", i, logs.Len())
		}
	}
	if len(guard.Bans()) != 1 {
		t.Error("nobody is banned")
	}
	if _, err := Verify(t.Context(), a, l); !errors.Is(err, ErrBanned) {
		t.Errorf("from a banned address: %v", err)
	}
}
