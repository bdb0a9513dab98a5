package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

func ExampleOpenUsersFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "users")
	if err := auth.SetUser(path, "ann", "open sesame", nil); err != nil {
		log.Fatal(err)
	}
	users, err := auth.OpenUsersFile(path, nil) // read again when it has changed
	if err != nil {
		log.Fatal(err)
	}
	who, err := users.Authenticate(context.Background(), mailaccess.Login{Username: "Ann", Password: "open sesame"})
	fmt.Println(who.User, err)
	// Output: ann <nil>
}

// What faces a network stands behind a guard, and in front of a cache.
func ExampleGuard() {
	users := auth.Static(map[string]string{"ann": "secret"})
	guarded := auth.Guard(auth.Cache(users, nil), &auth.GuardOptions{Free: 3, BanAfter: 3, BanFor: time.Hour})
	for _, password := range []string{"a", "b", "c", "secret"} {
		_, err := guarded.Authenticate(context.Background(), mailaccess.Login{Username: "ann", Password: password, Remote: "192.0.2.1:49152"})
		fmt.Println(mailaccess.KindOf(err))
	}
	for _, b := range guarded.Bans() {
		fmt.Println("banned:", b.Prefix)
	}
	// Output:
	// authentication failed
	// authentication failed
	// authentication failed
	// unavailable
	// banned: 192.0.2.1/32
}

// Another server decides: anything that answers a POST.
func ExampleNewCallout() {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var l struct{ Username, Password, Protocol string }
		if err := json.NewDecoder(r.Body).Decode(&l); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		} else if l.Password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
		} else {
			fmt.Fprintf(w, `{"user": %q, "account": "%[1]s@example.org"}`, l.Username)
		}
	}))
	defer server.Close()
	users, err := auth.NewCallout(server.URL, &auth.CalloutOptions{Client: server.Client()})
	if err != nil {
		log.Fatal(err)
	}
	who, err := users.Authenticate(context.Background(), mailaccess.Login{Username: "ann", Password: "secret", Protocol: "imap"})
	fmt.Println(who.User, who.Account, err)
	_, err = users.Authenticate(context.Background(), mailaccess.Login{Username: "ann", Password: "guess", Protocol: "imap"})
	fmt.Println(mailaccess.KindOf(err))
	// Output:
	// ann ann@example.org <nil>
	// authentication failed
}

// Passwords are checked by a file, or a list, and tokens by the keys of who made them.
func ExampleCombine() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tokens, _, err := issuer(dir)
	if err != nil {
		log.Fatal(err)
	}
	users := auth.Combine(auth.Static(map[string]string{"ann": "secret"}), tokens)
	fmt.Println(auth.Mechanisms(users, mailaccess.Login{Private: true}, nil))
	// Output: [OAUTHBEARER XOAUTH2 PLAIN LOGIN]
}

// A client that has a token logs in with OAUTHBEARER.
func ExampleJWT() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	tokens, token, err := issuer(dir)
	if err != nil {
		log.Fatal(err)
	}
	server, err := auth.NewServer(context.Background(), "OAUTHBEARER", tokens, mailaccess.Login{Protocol: "imap", Private: true}, nil)
	if err != nil {
		log.Fatal(err)
	}
	// What the client sends (RFC 7628, section 3.1), decoded from base64.
	_, done, err := server.Next([]byte("n,,\x01auth=Bearer " + token + "\x01\x01"))
	who, _ := server.Identity()
	fmt.Println(done, err, who.User)
	// Output: true <nil> ann@example.org
}

// issuer is who makes tokens: it returns an authenticator that believes it, and a token for ann.
func issuer(dir string) (*auth.Tokens, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		return nil, "", err
	}
	path := filepath.Join(dir, "keys.json")
	if err := os.WriteFile(path, keys, 0o600); err != nil {
		return nil, "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "1"))
	if err != nil {
		return nil, "", err
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{"iss": "https://login.example.org", "aud": "mail",
		"exp": time.Now().Add(time.Hour).Unix(), "email": "ann@example.org"}).Serialize()
	if err != nil {
		return nil, "", err
	}
	tokens, err := auth.JWT(auth.JWTOptions{Keys: path, TokenClaims: auth.TokenClaims{Issuer: "https://login.example.org", Audience: "mail"}})
	return tokens, token, err
}

// Support may read everybody's mail, with a password of its own.
func ExampleMasters() {
	users := auth.Masters(auth.Static(map[string]string{"support": "secret"}), func(_ context.Context, user, account string) (bool, error) {
		return user == "support", nil
	}, nil)
	who, err := users.Authenticate(context.Background(), mailaccess.Login{Username: "support", Password: "secret", Authzid: "ann"})
	fmt.Println(who.User, "opens", who.Account, err)
	// Output: support opens ann <nil>
}

// An authenticator of one's own is asked for names as they are written everywhere else.
func ExampleNormalized() {
	own := auth.Normalized(mailaccess.AuthenticatorFunc(func(_ context.Context, name, _ string) (string, error) {
		return name, nil
	}))
	who, err := own.Authenticate(context.Background(), mailaccess.Login{Username: "Ann@Example.ORG", Password: "x"})
	fmt.Println(who.Account, err)
	// Output: ann@example.org <nil>
}
