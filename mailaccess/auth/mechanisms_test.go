package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
)

// RFC 1939, section 7, and RFC 2195, section 2: the examples.
const (
	apopTimestamp = "<1896.697170952@dbc.mtview.ca.us>"
	apopDigest    = "c4c9334bac560ecc979e58001b3e22fb"
	cramChallenge = "<1896.697170952@postoffice.reston.mci.net>"
	cramResponse  = "tim b913a602c7eda7a495b4e6e7334d3890"
)

// ablest lets in whoever comes with what is right, and keeps the logins.
type ablest struct {
	recorder
	chain []*x509.Certificate
}

func (a *ablest) decide(l mailaccess.Login, user string, right bool) (mailaccess.Identity, error) {
	a.logins = append(a.logins, l)
	switch {
	case a.err != nil:
		return mailaccess.Identity{}, a.err
	case !right:
		return mailaccess.Identity{}, errAuthFailed()
	}
	return mailaccess.Identity{User: user, Account: user}, nil
}

func (a *ablest) Abilities() Abilities {
	return Abilities{
		NoPasswords: true,
		Bearer: func(_ context.Context, l mailaccess.Login, token string) (mailaccess.Identity, error) {
			return a.decide(l, "bearer", token == "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
		},
		Certificate: func(_ context.Context, l mailaccess.Login, chain []*x509.Certificate) (mailaccess.Identity, error) {
			a.chain = chain
			return a.decide(l, "certificate", true)
		},
		Digest: func(_ context.Context, l mailaccess.Login, match func(string) bool) (mailaccess.Identity, error) {
			return a.decide(l, l.Username, !match("wrong") && (match("tanstaaftanstaaf") || match("tanstaaf")))
		},
	}
}

// TestMechanismsFollowAbilities: what is offered is what can be verified, and what
// the channel permits.
func TestMechanismsFollowAbilities(t *testing.T) {
	server, _, _, _ := tlsChannel(t, tls.VersionTLS13)
	a := &ablest{}
	for what, tt := range map[string]struct {
		a       mailaccess.Authenticator
		private bool
		opts    *ServerOptions
		want    []string
	}{
		"all":              {a, true, &ServerOptions{TLS: server}, []string{"EXTERNAL", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5"}},
		"no certificate":   {a, true, nil, []string{"OAUTHBEARER", "XOAUTH2", "CRAM-MD5"}},
		"not private":      {a, false, nil, []string{"CRAM-MD5"}},
		"explicitly plain": {a, false, &ServerOptions{AllowPlaintext: true}, []string{"OAUTHBEARER", "XOAUTH2", "CRAM-MD5"}},
		"logged":           {Logged(a, nil), true, nil, []string{"OAUTHBEARER", "XOAUTH2", "CRAM-MD5"}},
		"cached":           {Cache(a, nil), true, &ServerOptions{TLS: server}, []string{"EXTERNAL", "OAUTHBEARER", "XOAUTH2", "CRAM-MD5"}},
		// A wrapper that says nothing of what is inside offers nothing of it.
		"wrapper": {struct{ mailaccess.Authenticator }{a}, true, &ServerOptions{TLS: server}, []string{"PLAIN", "LOGIN"}},
	} {
		got := Mechanisms(tt.a, mailaccess.Login{Private: tt.private}, tt.opts)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestLogin(t *testing.T) {
	for _, initial := range []bool{true, false} {
		a := &recorder{}
		s := newServer(t, "LOGIN", a)
		if !initial {
			if challenge, done, err := s.Next(nil); string(challenge) != "Username:" || done || err != nil {
				t.Fatalf("%q, %v, %v", challenge, done, err)
			}
		}
		if challenge, done, err := s.Next([]byte("tim")); string(challenge) != "Password:" || done || err != nil {
			t.Fatalf("%q, %v, %v", challenge, done, err)
		}
		if _, done, err := s.Next([]byte("tanstaaf")); !done || err != nil {
			t.Fatalf("%v, %v", done, err)
		}
		if id, ok := s.Identity(); !ok || id.User != "tim" || a.logins[0].Password != "tanstaaf" || a.logins[0].Authzid != "" {
			t.Errorf("%v, %v, %+v", id, ok, a.logins)
		}
	}
	for _, tt := range []struct {
		user, password string
		want           error
	}{
		{"", "x", ErrMalformed}, {"\xff", "x", ErrMalformed}, {"tim", "\xff", ErrMalformed}, {"tim", "", mailaccess.KindAuthFailed},
		{strings.Repeat("a", maxLoginName+1), "x", ErrMalformed},
	} {
		a := &recorder{}
		s := newServer(t, "LOGIN", a)
		s.Next([]byte(tt.user))
		if _, done, err := s.Next([]byte(tt.password)); !done || !errors.Is(err, tt.want) || len(a.logins) > 0 {
			t.Errorf("%q, %q: %v, %v, %d logins", tt.user, tt.password, done, err, len(a.logins))
		}
	}
}

// RFC 7628, section 4.1, and what Google shows of XOAUTH2.
func TestBearer(t *testing.T) {
	const token = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="
	for _, tt := range []struct {
		mech, response string
		authzid        string
		want           error
	}{
		{"OAUTHBEARER", "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer " + token + "\x01\x01", "user@example.com", nil},
		{"OAUTHBEARER", "y,,\x01auth=bearer " + token + "\x01x=y\x01\x01", "", nil},
		{"OAUTHBEARER", "n,a=a=2Cb=3Dc,\x01auth=Bearer " + token + "\x01\x01", "a,b=c", nil},
		{"OAUTHBEARER", "n,a=user@example.com,\x01auth=Bearer other\x01\x01", "user@example.com", mailaccess.KindAuthFailed},
		{"OAUTHBEARER", "n,,\x01auth=Bearer \x01\x01", "-", mailaccess.KindAuthFailed},
		{"OAUTHBEARER", "n,,\x01auth=Bearer to ken\x01\x01", "-", mailaccess.KindAuthFailed},
		{"OAUTHBEARER", "n,,\x01auth=Basic " + token + "\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "p=tls-exporter,,\x01auth=Bearer " + token + "\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,a=x=,\x01auth=Bearer " + token + "\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,\x01auth=Bearer " + token + "\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,,\x01auth=Bearer " + token + "\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,a=\xff,\x01auth=Bearer " + token + "\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "n,,\x01\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "\x01", "-", ErrMalformed},
		{"OAUTHBEARER", "", "-", ErrMalformed},
		{"XOAUTH2", "user=someuser@example.com\x01auth=Bearer " + token + "\x01\x01", "someuser@example.com", nil},
		{"XOAUTH2", "user=someuser@example.com\x01auth=Bearer other\x01\x01", "someuser@example.com", mailaccess.KindAuthFailed},
		{"XOAUTH2", "someuser\x01auth=Bearer " + token + "\x01\x01", "-", ErrMalformed},
	} {
		a := &ablest{}
		s := newServer(t, tt.mech, a)
		challenge, done, err := s.Next([]byte(tt.response))
		if tt.want == mailaccess.KindAuthFailed {
			if !strings.Contains(string(challenge), `"status":"invalid_token"`) || done || err != nil {
				t.Errorf("%q: %s, %v, %v", tt.response, challenge, done, err)
			}
			_, done, err = s.Next([]byte("\x01"))
		}
		_, ok := s.Identity()
		if !done || !errors.Is(err, tt.want) || ok != (tt.want == nil) {
			t.Errorf("%q: %v, %v, identity %v", tt.response, done, err, ok)
		}
		switch {
		case tt.authzid == "-" && len(a.logins) > 0, tt.authzid != "-" && (len(a.logins) != 1 || a.logins[0].Authzid != tt.authzid || a.logins[0].Username != ""):
			t.Errorf("%q: logins %+v", tt.response, a.logins)
		}
		if _, _, err := s.Next([]byte("\x01")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: goes on after the end with %v", tt.response, err)
		}
	}
	// What is not the token's fault ends the exchange at once.
	for _, kind := range []mailaccess.Kind{mailaccess.KindUnavailable, mailaccess.KindForbidden} {
		a := &ablest{recorder: recorder{err: kind}}
		if _, done, err := newServer(t, "XOAUTH2", a).Next([]byte("user=a\x01auth=Bearer x\x01\x01")); !done || err != error(kind) {
			t.Errorf("%v: %v, %v", kind, done, err)
		}
	}
	// The library's client.
	mech, initial, err := sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: "u", Token: token, Host: "h", Port: 993}).Start()
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := newServer(t, mech, &ablest{}).Next(initial); !done || err != nil {
		t.Errorf("the library's client: %v, %v", done, err)
	}
}

func TestCramMD5(t *testing.T) {
	for response, want := range map[string]error{
		cramResponse:                            nil,
		"tim b913a602c7eda7a495b4e6e7334d3891":  mailaccess.KindAuthFailed,
		"tim B913A602C7EDA7A495B4E6E7334D3890":  nil,
		"tim b913a602c7eda7a495b4e6e7334d38":    ErrMalformed,
		" b913a602c7eda7a495b4e6e7334d3890":     ErrMalformed,
		"timb913a602c7eda7a495b4e6e7334d3890":   ErrMalformed,
		"\xff b913a602c7eda7a495b4e6e7334d3890": ErrMalformed,
		"":                                      ErrMalformed,
	} {
		a := &ablest{}
		s := newServer(t, "CRAM-MD5", a)
		s.x.nonce = func() string { return cramChallenge }
		if challenge, done, err := s.Next(nil); string(challenge) != cramChallenge || done || err != nil {
			t.Fatalf("%s, %v, %v", challenge, done, err)
		}
		_, done, err := s.Next([]byte(response))
		if id, ok := s.Identity(); !done || !errors.Is(err, want) || ok != (want == nil) || ok && id.User != "tim" {
			t.Errorf("%q: %v, %v, %v", response, done, err, id)
		}
	}
	if _, done, err := newServer(t, "CRAM-MD5", &ablest{}).Next([]byte("x")); !done || !errors.Is(err, ErrMalformed) {
		t.Errorf("the client speaks first: %v, %v", done, err)
	}
	one, _, _ := newServer(t, "CRAM-MD5", &ablest{}).Next(nil)
	two, _, _ := newServer(t, "CRAM-MD5", &ablest{}).Next(nil)
	if string(one) == string(two) {
		t.Errorf("two exchanges have the challenge %s", one)
	}
}

func TestVerifyAPOP(t *testing.T) {
	l := private
	l.Username = "mrose"
	a := &ablest{}
	if id, err := VerifyAPOP(t.Context(), a, l, apopTimestamp, apopDigest); err != nil || id.User != "mrose" {
		t.Errorf("%v, %v", id, err)
	}
	for _, tt := range [][3]string{
		{"mrose", apopTimestamp, apopDigest[1:] + "0"}, {"mrose", apopTimestamp + "x", apopDigest}, {"mrose", "", apopDigest},
		{"mrose", apopTimestamp, ""}, {"", apopTimestamp, apopDigest}, {"\xff", apopTimestamp, apopDigest},
	} {
		l.Username = tt[0]
		if _, err := VerifyAPOP(t.Context(), a, l, tt[1], tt[2]); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
			t.Errorf("%q: %v", tt, err)
		}
	}
	if _, err := VerifyAPOP(t.Context(), &recorder{}, l, apopTimestamp, apopDigest); !errors.Is(err, ErrMechanism) || CanAPOP(&recorder{}) || !CanAPOP(a) {
		t.Errorf("without recoverable secrets: %v", err)
	}
}

// RFC 4422, appendix A.
func TestExternal(t *testing.T) {
	server, _, _, theirs := tlsChannel(t, tls.VersionTLS13)
	for authzid, want := range map[string]error{"": nil, "bob": nil, "\xff": ErrMalformed, "a\x00b": ErrMalformed} {
		a := &ablest{}
		s, err := NewServer(t.Context(), "external", a, private, &ServerOptions{TLS: server})
		if err != nil {
			t.Fatal(err)
		}
		if challenge, done, err := s.Next(nil); len(challenge) > 0 || done || err != nil {
			t.Fatalf("%q, %v, %v", challenge, done, err)
		}
		_, done, err := s.Next([]byte(authzid))
		if _, ok := s.Identity(); !done || !errors.Is(err, want) || ok != (want == nil) {
			t.Errorf("%q: %v, %v", authzid, done, err)
		}
		if want == nil && (len(a.chain) != 1 || !slices.ContainsFunc(a.chain, theirs.Equal) || a.logins[0].Authzid != authzid) {
			t.Errorf("%q: %+v, chain of %d", authzid, a.logins, len(a.chain))
		}
	}
	// A certificate that nobody checked is none.
	unchecked := *server
	unchecked.VerifiedChains = nil
	if _, err := NewServer(t.Context(), "EXTERNAL", &ablest{}, private, &ServerOptions{TLS: &unchecked}); !errors.Is(err, ErrMechanism) {
		t.Errorf("unchecked: %v", err)
	}
}
