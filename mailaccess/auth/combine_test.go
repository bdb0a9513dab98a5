package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestCombine(t *testing.T) {
	i := newIssuer(t, "k1")
	tokens := jwtOf(t, JWTOptions{Keys: keyFile(t, i)})
	users := openUsersFile(t, usersFile(t, "alice:{PLAIN}secret"), &UsersFileOptions{Digests: true})
	server, _, _, theirs := tlsChannel(t, tls.VersionTLS13)
	a := Combine(tokens, users, Certificates(nil), Static(map[string]string{"alice": "other"}))
	if got, want := Mechanisms(a, private, &ServerOptions{TLS: server}), []string{
		"EXTERNAL", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "PLAIN", "LOGIN",
	}; !slices.Equal(got, want) {
		t.Errorf("offered %v", got)
	}
	for password, want := range map[string]mailaccess.Kind{"secret": gotIn, "other": mailaccess.KindAuthFailed} {
		if got := kindOfLogin(t, a, "alice", password); got != want {
			t.Errorf("%s: %v", password, got)
		}
	}
	before := a.(Versioned).Version()
	if err := SetUser(users.path, "bob", "x", &SetUserOptions{Argon2id: cheap}); err != nil {
		t.Fatal(err)
	}
	if after := a.(Versioned).Version(); after <= before {
		t.Errorf("the version goes from %d to %d", before, after)
	}
	if got := Mechanisms(Combine(tokens), private, nil); !slices.Equal(got, []string{"OAUTHBEARER", "XOAUTH2"}) {
		t.Errorf("tokens alone: offered %v", got)
	}

	for authzid, want := range map[string]error{"": nil, "Alice@example.org": nil, "bob": mailaccess.KindForbidden} {
		s, err := NewServer(t.Context(), "EXTERNAL", a, private, &ServerOptions{TLS: server})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Next([]byte(authzid))
		if id, _ := s.Identity(); !errors.Is(err, want) || want == nil && id.Account != "alice@example.org" {
			t.Errorf("certificate, %q: %+v, %v", authzid, id, err)
		}
	}
	for what, c := range map[string]mailaccess.Authenticator{
		"nobody's":   Certificates(func(*x509.Certificate) (string, error) { return "", errors.New("nobody's") }),
		"a bad name": Certificates(func(*x509.Certificate) (string, error) { return "a/b", nil }),
	} {
		if _, err := AbilitiesOf(c).Certificate(t.Context(), private, []*x509.Certificate{theirs}); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("%s: %v", what, err)
		}
	}
	two := *theirs
	two.EmailAddresses = []string{"a@example.org", "b@example.org"}
	for what, chain := range map[string][]*x509.Certificate{"none": nil, "two addresses": {&two}} {
		if _, err := AbilitiesOf(Certificates(nil)).Certificate(t.Context(), private, chain); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := kindOfLogin(t, Certificates(nil), "alice", "secret"); got != mailaccess.KindAuthFailed {
		t.Errorf("a password without an authenticator of passwords: %v", got)
	}
}
