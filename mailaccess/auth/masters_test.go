package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestMasters(t *testing.T) {
	users := openUsersFile(t, usersFile(t, "root:{PLAIN}root", "alice:{PLAIN}alice"), nil)
	down := errors.New("down")
	a := Masters(users, func(_ context.Context, user, account string) (bool, error) {
		if account == "down" {
			return false, down
		}
		return user == "root" && account == "bob", nil
	}, &MastersOptions{Separator: "*"})
	for _, tt := range []struct {
		user, password, authzid string
		account                 string
		want                    error
	}{
		{"root", "root", "", "root", nil},
		{"root", "root", "ROOT", "root", nil},
		{"root", "root", "Bob", "bob", nil},
		{"Bob*Root", "root", "", "bob", nil},
		{"root", "root", "alice", "", mailaccess.KindForbidden},
		{"root", "root", "a/b", "", mailaccess.KindForbidden},
		{"root", "root", "down", "", down},
		{"root", "bad", "bob", "", mailaccess.KindAuthFailed},
		{"root", "bad", "down", "", mailaccess.KindAuthFailed},
		{"alice", "alice", "bob", "", mailaccess.KindForbidden},
		{"bob*alice", "alice", "", "", mailaccess.KindForbidden},
		{"*root", "root", "", "", mailaccess.KindAuthFailed},
		{"bob*", "root", "", "", mailaccess.KindAuthFailed},
	} {
		check := func(what string, id mailaccess.Identity, err error) {
			t.Helper()
			if !errors.Is(err, tt.want) || id.Account != tt.account || err == nil && id.User != "root" {
				t.Errorf("%s, %+v: %+v, %v", what, tt, id, err)
			}
		}
		id, err := a.Authenticate(t.Context(), mailaccess.Login{Username: tt.user, Password: tt.password, Authzid: tt.authzid})
		check("password", id, err)
		s, err := NewServer(t.Context(), "SCRAM-SHA-256", a, private, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = converse(clientOf(t, scram.SHA256, tt.user, tt.password, tt.authzid).NewConversation(), s)
		id, _ = s.Identity()
		check("scram", id, err)
	}
	if got := AbilitiesOf(Masters(&ablest{}, nil, nil)); got.Bearer == nil || got.Certificate == nil || got.Digest == nil || got.Scram != nil || !got.NoPasswords {
		t.Errorf("abilities %+v", got)
	}
	// Tokens and certificates name the master, too.
	all := Masters(&ablest{}, func(_ context.Context, user, account string) (bool, error) {
		return user != "" && account == "bob", nil
	}, nil)
	l := private
	l.Authzid = "bob"
	if id, err := AbilitiesOf(all).Bearer(t.Context(), l, "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="); err != nil || id.Account != "bob" || id.User != "bearer" {
		t.Errorf("%+v, %v", id, err)
	}
	if id, err := AbilitiesOf(all).Certificate(t.Context(), l, nil); err != nil || id.Account != "bob" || id.User != "certificate" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := AbilitiesOf(all).Digest(t.Context(), l, func(string) bool { return false }); !errors.Is(err, mailaccess.KindAuthFailed) {
		t.Errorf("%v", err)
	}
}

func TestNormalized(t *testing.T) {
	a := Normalized(mailaccess.AuthenticatorFunc(func(_ context.Context, username, password string) (string, error) {
		if username != "jörg" || password != "Secret" {
			return "", errAuthFailed()
		}
		return "Account", nil
	}))
	for authzid, want := range map[string]error{"": nil, "JÖRG": nil, "bob": mailaccess.KindForbidden} {
		id, err := a.Authenticate(t.Context(), mailaccess.Login{Username: "JO\u0308RG", Password: "Secret", Authzid: authzid})
		if !errors.Is(err, want) || want == nil && (id.User != "jörg" || id.Account != "account") {
			t.Errorf("%q: %+v, %v", authzid, id, err)
		}
	}
	u := scramUser(t, "user", "pencil", "W22ZaJ0SNY7soEsUEjb6gQ==")
	s := newServer(t, "SCRAM-SHA-256", Normalized(u))
	if err := converse(clientOf(t, scram.SHA256, "USER", "pencil", "").NewConversation(), s); err != nil || u.logins[0].Username != "user" {
		t.Errorf("%v, %+v", err, u.logins)
	}
}
