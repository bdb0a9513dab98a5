package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hashmail/mailaccess/mailaccess"
)

// An issuer makes tokens.
type issuer struct {
	t   testing.TB
	key *ecdsa.PrivateKey
	id  string
}

func newIssuer(t testing.TB, id string) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{t, key, id}
}

func (i issuer) keys() []byte {
	i.t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: []byte("a shared secret, which is no public key"), KeyID: i.id, Algorithm: "HS256"},
		{Key: i.key, KeyID: i.id, Algorithm: "ES256", Use: "sig"}, // which should not be there
		{Key: &i.key.PublicKey, KeyID: i.id, Algorithm: "ES256", Use: "sig"},
	}})
	if err != nil {
		i.t.Fatal(err)
	}
	return b
}

func (i issuer) token(change map[string]any) string {
	i.t.Helper()
	claims := map[string]any{
		"iss": "https://issuer.example", "aud": []string{"mail"}, "exp": time.Now().Add(time.Hour).Unix(),
		"email": "Alice@example.org", "sub": "4711", "scope": "openid imap",
	}
	maps.Copy(claims, change)
	for k, v := range claims {
		if v == nil {
			delete(claims, k)
		}
	}
	return i.sign(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, claims)
}

func (i issuer) sign(key jose.SigningKey, claims map[string]any) string {
	i.t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithHeader("kid", i.id))
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

func jwtOf(t testing.TB, o JWTOptions) *Tokens {
	t.Helper()
	o.Issuer, o.Audience = "https://issuer.example", "mail"
	a, err := JWT(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func keyFile(t testing.TB, i issuer) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	writeFile(t, path, string(i.keys()))
	return path
}

func TestJWT(t *testing.T) {
	i, other := newIssuer(t, "k1"), newIssuer(t, "k1")
	a := jwtOf(t, JWTOptions{Keys: keyFile(t, i), TokenClaims: TokenClaims{Scope: "imap"}})
	expired := time.Now().Add(-time.Hour).Unix()
	all := map[string]any{
		"iss": "https://issuer.example", "aud": "mail", "exp": time.Now().Add(time.Hour).Unix(), "email": "alice@example.org", "scope": "imap",
	}
	for what, tt := range map[string]struct {
		token   string
		authzid string
		want    error
	}{
		"right":                {i.token(nil), "", nil},
		"one audience":         {i.token(map[string]any{"aud": "mail"}), "", nil},
		"self":                 {i.token(nil), "ALICE@example.org", nil},
		"verified":             {i.token(map[string]any{"email_verified": true}), "", nil},
		"just expired":         {i.token(map[string]any{"exp": time.Now().Add(-30 * time.Second).Unix()}), "", nil},
		"somebody else":        {i.token(nil), "bob", mailaccess.KindForbidden},
		"expired":              {i.token(map[string]any{"exp": expired}), "", mailaccess.KindAuthExpired},
		"not yet":              {i.token(map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), "", mailaccess.KindAuthFailed},
		"without end":          {i.token(map[string]any{"exp": nil}), "", mailaccess.KindAuthFailed},
		"another issuer":       {i.token(map[string]any{"iss": "https://other.example"}), "", mailaccess.KindAuthFailed},
		"no issuer":            {i.token(map[string]any{"iss": nil}), "", mailaccess.KindAuthFailed},
		"for others":           {i.token(map[string]any{"aud": "web"}), "", mailaccess.KindAuthFailed},
		"for nobody":           {i.token(map[string]any{"aud": nil}), "", mailaccess.KindAuthFailed},
		"another scope":        {i.token(map[string]any{"scope": "openid"}), "", mailaccess.KindAuthFailed},
		"no user":              {i.token(map[string]any{"email": nil}), "", mailaccess.KindAuthFailed},
		"a user of numbers":    {i.token(map[string]any{"email": 1}), "", mailaccess.KindAuthFailed},
		"a path":               {i.token(map[string]any{"email": "../x"}), "", mailaccess.KindAuthFailed},
		"not verified":         {i.token(map[string]any{"email_verified": false}), "", mailaccess.KindAuthFailed},
		"another key":          {other.token(nil), "", mailaccess.KindAuthFailed},
		"a shared secret":      {i.sign(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("a shared secret, which is no public key")}, all), "", mailaccess.KindAuthFailed},
		"the key as a secret":  {i.sign(jose.SigningKey{Algorithm: jose.HS256, Key: i.keys()}, all), "", mailaccess.KindAuthFailed},
		"without signature":    {"eyJhbGciOiJub25lIn0.eyJlbWFpbCI6ImFsaWNlQGV4YW1wbGUub3JnIn0.", "", mailaccess.KindAuthFailed},
		"a token of two parts": {"a.b", "", mailaccess.KindAuthFailed},
	} {
		l := private
		l.Authzid = tt.authzid
		id, err := a.Abilities().Bearer(t.Context(), l, tt.token)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (id.User == "alice@example.org" && id.Account == id.User) {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
		// The same as a password.
		l.Username, l.Password = "Alice@example.org", tt.token
		if id, err := a.Authenticate(t.Context(), l); !errors.Is(err, tt.want) || tt.want != nil && id.User != "" {
			t.Errorf("%s, as a password: %+v, %v", what, id, err)
		}
	}
	l := private
	l.Username, l.Password = "bob", i.token(nil)
	if _, err := a.Authenticate(t.Context(), l); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
		t.Errorf("another's token as a password: %v", err)
	}
	for _, o := range []JWTOptions{
		{}, {Keys: "x", TokenClaims: TokenClaims{Issuer: "x"}}, {Keys: "http://example.org/", TokenClaims: TokenClaims{Issuer: "x", Audience: "y"}},
		{Keys: "x", TokenClaims: TokenClaims{Issuer: "x", Audience: "y"}, Algorithms: []string{"HS256"}},
		{Keys: "x", TokenClaims: TokenClaims{Issuer: "x", Audience: "y"}, Algorithms: []string{"none"}},
	} {
		if _, err := JWT(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
	rsa := jwtOf(t, JWTOptions{Keys: keyFile(t, i), Algorithms: []string{"RS256"}})
	if _, err := rsa.Abilities().Bearer(t.Context(), private, i.token(nil)); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
		t.Errorf("an algorithm that is not taken: %v", err)
	}
}

// TestJWTKeys: keys are fetched when they are needed, and seldom.
func TestJWTKeys(t *testing.T) {
	one, two := newIssuer(t, "k1"), newIssuer(t, "k2")
	synctest.Test(t, func(t *testing.T) {
		var served atomic.Pointer[issuer]
		asked := 0
		a := jwtOf(t, JWTOptions{Keys: "https://issuer.example/keys", Client: &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
			asked++
			w := httptest.NewRecorder()
			if i := served.Load(); i != nil {
				w.Write(i.keys())
			} else {
				w.WriteHeader(http.StatusBadGateway)
			}
			return w.Result()
		})}})
		try := func(when string, i issuer, want error, times int) {
			t.Helper()
			before := asked
			if _, err := a.Abilities().Bearer(t.Context(), private, i.token(nil)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", when, err, want)
			}
			if asked-before != times {
				t.Errorf("%s: the issuer was asked %d times, not %d", when, asked-before, times)
			}
		}
		try("the issuer is down", one, mailaccess.KindUnavailable, 1)
		try("at once again", one, mailaccess.KindUnavailable, 0)
		served.Store(&one)
		time.Sleep(keysInterval)
		try("it is up", one, nil, 1)
		try("its key is known", one, nil, 0)
		try("an unknown key, at once", two, mailaccess.KindAuthFailed, 0)
		time.Sleep(keysInterval)
		try("an unknown key", two, mailaccess.KindAuthFailed, 1)
		served.Store(&two)
		time.Sleep(keysInterval)
		try("a new key", two, nil, 1)
		time.Sleep(keysInterval)
		try("the old one", one, mailaccess.KindAuthFailed, 1)
		time.Sleep(keysFresh)
		try("after an hour", two, nil, 1)
		served.Store(nil)
		time.Sleep(keysFresh)
		try("down again", two, nil, 1)
		time.Sleep(keysStale)
		try("down for a day", two, mailaccess.KindUnavailable, 1)
	})
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestJWTKeyFile(t *testing.T) {
	i := newIssuer(t, "k1")
	set, err := newKeySet(keyFile(t, i), asker{})
	if err != nil {
		t.Fatal(err)
	}
	// Only one is public.
	for _, id := range []string{"", "k1"} {
		if keys, err := set.find(t.Context(), id); err != nil || len(keys) != 1 || keys[0].Algorithm != "ES256" {
			t.Errorf("%q: %d keys, %v", id, len(keys), err)
		}
	}
	// What is no key set at the start is an error there, not at each login.
	path := filepath.Join(t.TempDir(), "keys")
	refused := func(want string) {
		t.Helper()
		if _, err := JWT(JWTOptions{Keys: path, TokenClaims: TokenClaims{Issuer: "x", Audience: "y"}}); err == nil || !strings.Contains(err.Error(), "the keys in "+path+": "+want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	refused("no such file")
	for contents, want := range map[string]string{"x": "not a JWK set", "{}": "none to verify signatures with", strings.Repeat("x", maxAnswer+1): "more than"} {
		writeFile(t, path, contents)
		refused(want)
	}
	// Afterwards the keys that are known are used on.
	path = keyFile(t, i)
	a := jwtOf(t, JWTOptions{Keys: path})
	writeFile(t, path, "x")
	if id, err := a.Abilities().Bearer(t.Context(), private, i.token(nil)); err != nil || id.User == "" {
		t.Errorf("%+v, %v", id, err)
	}
}

func TestIntrospection(t *testing.T) {
	for answer, want := range map[string]error{
		`{"active":true,"username":"Alice"}`: nil,
		`{"active":true,"username":"alice","aud":["x","mail"],"iss":"i","exp":99999999999,"scope":"a b"}`: nil,
		`{"active":false,"username":"alice"}`:        mailaccess.KindAuthFailed,
		`{"username":"alice"}`:                       mailaccess.KindAuthFailed,
		`{"active":"true","username":"alice"}`:       mailaccess.KindAuthFailed,
		`{"active":true}`:                            mailaccess.KindAuthFailed,
		`{"active":true,"username":"alice","exp":1}`: mailaccess.KindAuthExpired,
		`[]`: mailaccess.KindUnavailable,
		``:   mailaccess.KindUnavailable,
	} {
		srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, secret, _ := r.BasicAuth()
			if r.Method != "POST" || id != "us" || secret != "a%3Ab" || r.PostFormValue("token") != "to.ken" || r.PostFormValue("token_type_hint") != "access_token" {
				t.Errorf("request %s %v %v", r.Method, r.Header, r.PostForm)
			}
			w.Write([]byte(answer))
		}))
		a, err := Introspection(srv.URL, IntrospectionOptions{ClientID: "us", ClientSecret: "a:b", Client: srv.Client()})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := a.Abilities().Bearer(t.Context(), private, "to.ken"); !errors.Is(err, want) || want == nil && id.User != "alice" {
			t.Errorf("%s: %+v, %v", answer, id, err)
		}
		for what, o := range map[string]IntrospectionOptions{
			"issuer": {TokenClaims: TokenClaims{Issuer: "other"}}, "audience": {TokenClaims: TokenClaims{Audience: "other"}}, "scope": {TokenClaims: TokenClaims{Scope: "other"}},
		} {
			if want != nil {
				continue
			}
			o.ClientID, o.ClientSecret, o.Client = "us", "a:b", srv.Client()
			a, err := Introspection(srv.URL, o)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Abilities().Bearer(t.Context(), private, "to.ken"); mailaccess.KindOf(err) != mailaccess.KindAuthFailed {
				t.Errorf("%s, another %s: %v", answer, what, err)
			}
		}
		srv.Close()
	}
	// What is wrong between us and the issuer is not the token's fault.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	defer srv.Close()
	a, err := Introspection(srv.URL, IntrospectionOptions{Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Abilities().Bearer(t.Context(), private, "to.ken"); mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Error(err)
	}
	if _, err := Introspection("http://example.org/", IntrospectionOptions{}); err == nil {
		t.Error("tokens are sent without TLS")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Abilities().Bearer(ctx, private, "to.ken"); mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Error(err)
	}
}

// FuzzJWT: no token that is not signed gets in.
func FuzzJWT(f *testing.F) {
	i := newIssuer(f, "k1")
	a := jwtOf(f, JWTOptions{Keys: keyFile(f, i)})
	right := i.token(nil)
	for _, s := range []string{right, right[:len(right)-4], "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := a.Abilities().Bearer(t.Context(), private, token); err == nil && token != right {
			// ECDSA has more than one signature, base64 here has one spelling.
			t.Fatalf("%q got in as %v", token, id)
		}
	})
}
