package auth_test

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/auth/authtest"
)

// TestSuiteOverHTTP runs the suite over authenticators that ask others, and over
// those of tokens, whose passwords are tokens.
func TestSuiteOverHTTP(t *testing.T) {
	const name = "alice@example.org"
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{"iss": "i", "aud": "a", "email": name, "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	// A site, as simple as they come: it knows nothing of authorization identities.
	site := auth.Static(map[string]string{name: "Correct-Horse 9"})
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Username, Password, Token string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if q.Token == token {
			w.Write([]byte(`{"user":"` + name + `","attributes":{"a":"b"}}`))
			return
		}
		id, err := site.Authenticate(r.Context(), mailaccess.Login{Username: q.Username, Password: q.Password})
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"account": id.Account, "attributes": map[string]string{"a": "b"}})
	})
	mux.HandleFunc("/introspect", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"active": r.PostFormValue("token") == token, "username": name})
	})
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	callout, err := auth.NewCallout(srv.URL+"/login", &auth.CalloutOptions{Tokens: true, Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := auth.JWT(auth.JWTOptions{TokenClaims: auth.TokenClaims{Issuer: "i", Audience: "a"}, Keys: path})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := auth.Introspection(srv.URL+"/introspect", auth.IntrospectionOptions{Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	byPassword := authtest.User{Name: name, Password: "Correct-Horse 9", Account: name, Token: token}
	byToken := authtest.User{Name: name, Password: token, Account: name, Token: token}
	for what, tt := range map[string]struct {
		a mailaccess.Authenticator
		u authtest.User
	}{
		"Callout":             {callout, byPassword},
		"CachedCallout":       {auth.Cache(callout, nil), byPassword},
		"JWT":                 {tokens, byToken},
		"CachedJWT":           {auth.Cache(tokens, nil), byToken},
		"Introspection":       {asked, byToken},
		"CachedIntrospection": {auth.Cache(asked, nil), byToken},
		"Combine":             {auth.Combine(site, tokens, auth.Certificates(nil)), byPassword},
	} {
		t.Run(what, func(t *testing.T) { authtest.Run(t, tt.a, tt.u) })
	}
}

// TestCachedTokens: a token is asked about once, however many connections.
func TestCachedTokens(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		json.NewEncoder(w).Encode(map[string]any{"active": r.PostFormValue("token") == "one", "username": "alice"})
	}))
	defer srv.Close()
	inner, err := auth.Introspection(srv.URL, auth.IntrospectionOptions{Client: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	able := auth.AbilitiesOf(auth.Cache(inner, nil))
	for _, tt := range []struct {
		token, authzid string
		kind           mailaccess.Kind
		asked          int
	}{
		{"one", "", 0, 1}, {"one", "", 0, 1}, {"two", "", mailaccess.KindAuthFailed, 2}, {"two", "", mailaccess.KindAuthFailed, 3},
		{"one", "bob", mailaccess.KindForbidden, 4}, {"one", "", 0, 4},
	} {
		id, err := able.Bearer(t.Context(), mailaccess.Login{Authzid: tt.authzid}, tt.token)
		if (err == nil) != (tt.kind == 0) || err != nil && mailaccess.KindOf(err) != tt.kind || err == nil && id.User != "alice" || asked != tt.asked {
			t.Errorf("%+v: %+v, %v, asked %d times", tt, id, err, asked)
		}
	}
}
