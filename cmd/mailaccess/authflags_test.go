package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spf13/pflag"

	"github.com/hashmail/mailaccess/mailaccess/auth"
)

// written returns the name of a file that holds text.
func written(t *testing.T, name, text string) string {
	t.Helper()
	path := tempFile(t, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serveWith serves both protocols in plain to whom the flags let in, and returns where.
func serveWith(t *testing.T, flags ...string) (p *program, imap, pop3 string) {
	t.Helper()
	p = start(t, true, append([]string{"serve", "--store", "memory:", "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "127.0.0.1:0", "--pop3s", "",
		"--allow-plaintext-auth"}, flags...)...)
	return p, p.served("imap"), p.served("pop3")
}

// Another server says who gets in, and knows this one by a header.
func TestServeAuthHTTP(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Username, Password, Token, Protocol string }
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Header.Get("Authorization") != "Bearer between-us" || r.Header.Get("X-Site") != "1" || json.Unmarshal(body, &q) != nil:
			w.WriteHeader(http.StatusInternalServerError)
		case q.Username == "ann" && q.Password == "secret":
			io.WriteString(w, `{"account": "ann@example.org"}`)
		case q.Token == "t0ken":
			io.WriteString(w, `{"user": "ann"}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer site.Close()
	_, imap, pop3 := serveWith(t, "--auth-http", site.URL, "--auth-http-tokens",
		"--auth-http-header-file", written(t, "header", "Authorization: Bearer between-us\nX-Site: 1\n"))
	c := dial(t, imap, nil)
	c.expect(`\* OK .*AUTH=OAUTHBEARER`)
	c.do("a login ann wrong", `a NO`)
	c.do("b login ann secret", `b OK`)
	c = dial(t, imap, nil)
	c.expect(`\* OK`)
	c.do("a authenticate oauthbearer "+bearer("t0ken"), `a OK`)
	pop := dial(t, pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER ann", `\+OK`)
	pop.do("PASS secret", `\+OK`)
}

// bearer is the client's message of OAUTHBEARER (RFC 7628, section 3.1).
func bearer(token string) string { return bearerFor("", token) }

func bearerFor(authzid, token string) string {
	if authzid != "" {
		authzid = "a=" + authzid
	}
	return base64.StdEncoding.EncodeToString([]byte("n," + authzid + ",\x01auth=Bearer " + token + "\x01\x01"))
}

// An issuer's tokens are verified by its keys, beside the passwords of a users file, and a
// master acts as somebody else with one.
func TestServeAuthKeys(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(name, audience string) string {
		s, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": "https://issuer.example", "aud": audience, "exp": time.Now().Add(time.Hour).Unix(), "login": name, "scope": "mail",
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	_, imap, _ := serveWith(t, "--users", users, "--auth-oauth2-keys", written(t, "keys.json", string(keys)), "--auth-oauth2-issuer", "https://issuer.example",
		"--auth-oauth2-audience", "mail.example", "--auth-oauth2-user-claim", "login", "--auth-oauth2-scope", "mail", "--auth-masters", "Root")
	for _, test := range []struct{ say, hear string }{
		{"a authenticate oauthbearer " + bearer(token("ann", "mail.example")), `a OK`},
		{"a authenticate oauthbearer " + bearerFor("bob", token("root", "mail.example")), `a OK`},
		{"a authenticate oauthbearer " + bearerFor("bob", token("ann", "mail.example")), `a NO`},
		{"a authenticate oauthbearer " + bearer(token("ann", "other.example")), `\+ `},
		{"a login alice sesame", `a OK`},
		{"a login ann " + token("ann", "mail.example"), `a NO`},
	} {
		c := dial(t, imap, nil)
		c.expect(`\* OK .*AUTH=OAUTHBEARER`)
		c.do(test.say, test.hear)
	}
}

// An issuer is asked about tokens; where there is nothing else no password is asked for.
func TestServeAuthIntrospection(t *testing.T) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, secret, _ := r.BasicAuth(); id != "mail" || secret != "between-us" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"active": r.FormValue("token") == "t0ken", "username": "ann", "scope": "mail other"})
	}))
	defer issuer.Close()
	_, imap, pop3 := serveWith(t, "--auth-oauth2-introspection", issuer.URL, "--auth-oauth2-scope", "mail",
		"--auth-oauth2-client-id", "mail", "--auth-oauth2-client-secret-file", written(t, "secret", "between-us\n"))
	c := dial(t, imap, nil)
	c.expect(`\* OK .*LOGINDISABLED.*AUTH=OAUTHBEARER`)
	c.do("a authenticate oauthbearer "+bearer("t0ken"), `a OK`)
	c = dial(t, imap, nil)
	c.expect(`\* OK`)
	c.do("a authenticate oauthbearer "+bearer("wrong"), `\+ `)
	pop := dial(t, pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER ann", `-ERR`)
}

// CRAM-MD5 is offered only where it was asked for.
func TestServeAuthDigests(t *testing.T) {
	users := written(t, "users", "ann:{PLAIN}secret\n")
	_, imap, _ := serveWith(t, "--users", users, "--auth-digests")
	c := dial(t, imap, nil)
	c.expect(`\* OK .*AUTH=CRAM-MD5`)
	// Or not for all.
	some := written(t, "users", "ann:{PLAIN}secret\n")
	addUser(t, some, "bob", "secret")
	p := start(t, true, "serve", "--store", "memory:", "--users", some, "--auth-digests", "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "", "--pop3s", "")
	p.line(`CRAM-MD5 and APOP are not offered: not every user`)
	_, imap, _ = serveWith(t, "--users", users)
	c = dial(t, imap, nil)
	if line := c.expect(`\* OK .*AUTH=SCRAM.*`)[0]; strings.Contains(line, "CRAM-MD5") {
		t.Errorf("offered: %s", line)
	}
}

// Flags that make no sense, alone or together, are refused before anything is opened.
func TestServeAuthErrors(t *testing.T) {
	users := written(t, "users", "ann:{PLAIN}secret\n")
	for _, test := range []struct{ args, want string }{
		{"", "nobody could log in: give --users"},
		{"--users U --auth-http https://auth.example/", "only one can be asked"},
		{"--auth-http http://auth.example/", "--auth-http: callout: not HTTPS, and not on this machine"},
		{"--users U --auth-http-tokens", "--auth-http-tokens needs --auth-http"},
		{"--users U --auth-http-header-file U", "--auth-http-header-file needs --auth-http"},
		{"--auth-http https://auth.example/ --auth-http-header-file missing", "--auth-http-header-file: open missing"},
		{"--auth-http https://auth.example/ --auth-http-header-file W", "not lines as NAME: VALUE"},
		{"--auth-http https://auth.example/ --auth-digests", "--auth-digests needs --users"},
		{"--auth-http https://auth.example/ --auth-http-tokens --auth-oauth2-keys keys --auth-oauth2-issuer i --auth-oauth2-audience a", "only one can be asked about a token"},
		{"--auth-oauth2-keys keys --auth-oauth2-issuer i", "--auth-oauth2-keys needs --auth-oauth2-issuer and --auth-oauth2-audience"},
		{"--auth-oauth2-keys http://issuer.example/ --auth-oauth2-issuer i --auth-oauth2-audience a", "--auth-oauth2-keys: jwt: the URL of the keys: not HTTPS"},
		{"--auth-oauth2-introspection https://issuer.example/", "needs --auth-oauth2-audience or --auth-oauth2-scope"},
		{"--auth-oauth2-introspection https://issuer.example/ --auth-oauth2-scope s --auth-oauth2-client-secret-file U", "needs --auth-oauth2-client-id"},
		{"--auth-oauth2-introspection https://issuer.example/ --auth-oauth2-scope s --auth-oauth2-client-id c --auth-oauth2-client-secret-file missing", "--auth-oauth2-client-secret-file: open missing"},
		{"--users U --auth-oauth2-user-claim sub", "--auth-oauth2-user-claim needs"},
		{"--users U --auth-certificate-user dn", `--auth-certificate-user "dn": not email or cn`},
		{"--users U --auth-masters root", "--auth-masters needs"},
		{"--users U --auth-certificate-user cn --auth-masters ro/ot", `--auth-masters "ro/ot": the name has`},
		{"--users U --auth-request-timeout 0s", "--auth-request-timeout 0s"},
		{"--users U --auth-cache -1s", "--auth-cache -1s"},
		{"--users U --auth-failures-free 0", "--auth-failures-free 0"},
		{"--users U --auth-failure-delay 1m", "--auth-failure-delay 1m0s, --auth-failure-max-delay 30s"},
		{"--users U --auth-ban-after -1", "--auth-ban-after -1"},
		{"--users U --auth-ban-network-after -1", "--auth-ban-network-after -1"},
		{"--users U --auth-ban-for 0", "--auth-ban-for 0s"},
	} {
		store := filepath.Join(t.TempDir(), "mail")
		args := append([]string{"serve", "--imaps", "", "--pop3s", "", "--store", "maildir:" + store}, strings.Fields(
			strings.NewReplacer(" U", " "+users, " W", " "+written(t, "wrong", "nothing\n")).Replace(test.args))...)
		code, _, stderr := runIn(t, "", args...)
		if code != 1 || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d, %s", test.args, code, stderr)
		}
		if _, err := os.Stat(store); err == nil {
			t.Errorf("%s: the store was opened", test.args)
		}
	}
}

// What the flags of the guard say gets there, with zero for never.
func TestServeGuardFlags(t *testing.T) {
	o := newGuarding()
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	o.register(f)
	if err := f.Parse(strings.Fields("--auth-failures-free 3 --auth-ban-after 0 --auth-ban-for 1d")); err != nil {
		t.Fatal(err)
	}
	g, err := o.options()
	if err != nil {
		t.Fatal(err)
	}
	if g.Free != 3 || g.BanAfter != -1 || g.BanNetworkAfter != 300 || g.BanFor != 24*time.Hour || g.Delay != time.Second {
		t.Errorf("%+v", g)
	}
}

// The salt with which SCRAM answers for a name that is not known stays when the server
// starts anew, whatever became of the users meanwhile.
func TestServeKeepsSaltsOfUnknownNames(t *testing.T) {
	users, mail := tempFile(t, "users"), filepath.Join(t.TempDir(), "mail")
	salt := func() string {
		p := start(t, true, "serve", "--users", users, "--store", "maildir:"+mail, "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "", "--pop3s", "")
		defer func() {
			p.cancel()
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		}()
		c := dial(t, p.served("imap"), nil)
		c.expect(`\* OK .*AUTH=SCRAM-SHA-256`)
		challenge := c.do("a authenticate scram-sha-256 "+base64.StdEncoding.EncodeToString([]byte("n,,n=nobody,r=fyko")), `\+ (\S+)`)[1]
		first, err := base64.StdEncoding.DecodeString(challenge)
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`,s=[^,]+,`).FindString(string(first))
	}
	var salts []string
	for _, user := range []string{"ann", "bob"} {
		if err := errors.Join(os.WriteFile(users, nil, 0o600), auth.SetUser(users, user, "secret", &auth.SetUserOptions{Scheme: auth.SchemeScramSHA256})); err != nil {
			t.Fatal(err)
		}
		salts = append(salts, salt())
	}
	if salts[0] == "" || salts[1] != salts[0] {
		t.Errorf("the salt was %s and is %s", salts[0], salts[1])
	}
	info, err := os.Stat(filepath.Join(mail, ".mailaccess", scramSecretFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
