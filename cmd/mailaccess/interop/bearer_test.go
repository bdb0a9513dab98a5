//go:build interop

package interop

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Clients log in with OAuth tokens, by OAUTHBEARER (RFC 7628) and XOAUTH2, to a server that
// knows their issuer by its keys, or asks it. Debian's fetchmail 6.4 and neomutt 20220429 have
// neither, its getmail 6.18 only XOAUTH2 with IMAP; curl and imapflow take OAUTHBEARER where
// both are offered.
func TestBearer(t *testing.T) {
	bin := build(t, "..")
	mails := letters("bearer", 4)
	serve := func(t *testing.T, args ...string) *demo {
		t.Helper()
		d := newFiles(t, bin).serve(t, args...)
		d.put(t, "INBOX", mails)
		return d
	}
	const oauth, x = "OAUTHBEARER", "XOAUTH2"
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t)
		d := serve(t, "--auth-oauth2-keys", i.url+"/keys", "--auth-oauth2-issuer", i.url, "--auth-oauth2-audience", "mail", "--auth-cache", "0")
		for n, c := range []loginTest{
			{"curl", "imap", oauth, curlBearer("imap", "--no-sasl-ir"), ""},
			{"curl at once", "imap", oauth, curlBearer("imap", "--sasl-ir"), ""},
			{"curl", "pop3", oauth, curlBearer("pop3", "--no-sasl-ir"), ""},
			{"curl at once", "pop3", oauth, curlBearer("pop3", "--sasl-ir"), ""},
			{"mpop", "pop3", oauth, mpopLogin, ""},
			{"mpop", "pop3", x, mpopLogin, ""},
			{"getmail", "imap", x, getmailBearer, ""},
			{"imapflow", "imap", oauth, imapflowBearer(t, d), ""},
			{"Python", "imap", oauth, pythonLogin("login.py", "imap", "none"), ""},
			{"Python", "imap", x, pythonLogin("login.py", "imap", "none"), ""},
			{"Python", "pop3", oauth, pythonLogin("login.py", "pop3", "none"), ""},
			{"Python", "pop3", x, pythonLogin("login.py", "pop3", "none"), ""},
		} {
			algorithm := []string{"RS256", "ES256", "EdDSA"}[n%3]
			t.Run(c.client+" "+c.protocol+" "+c.mechanism, func(t *testing.T) {
				c.check(t, d, mails, "bearer", i.token(t, algorithm, nil), i.token(t, algorithm, map[string]any{"aud": "web"}))
			})
		}
		t.Run("bad tokens", func(t *testing.T) { badTokens(t, d, i) })
	})
	t.Run("introspection", func(t *testing.T) {
		t.Parallel()
		i := newIssuer(t)
		secret := filepath.Join(t.TempDir(), "secret")
		must(t, "write", os.WriteFile(secret, []byte("of-the-server\n"), 0o600))
		d := serve(t, "--auth-oauth2-introspection", i.url+"/introspect", "--auth-oauth2-audience", "mail", "--auth-oauth2-scope", "mail",
			"--auth-oauth2-client-id", "mail", "--auth-oauth2-client-secret-file", secret)
		for _, c := range []loginTest{
			{"curl", "imap", oauth, curlBearer("imap", "--sasl-ir"), ""},
			{"mpop", "pop3", x, mpopLogin, ""},
			{"Python", "pop3", oauth, pythonLogin("login.py", "pop3", "none"), ""},
		} {
			for _, wrong := range []string{"for-something-else", "unknown"} {
				t.Run(c.client+" "+c.protocol+" "+wrong, func(t *testing.T) { c.check(t, d, mails, "bearer", "opaque-token", wrong) })
			}
		}
	})
}

// badTokens are all refused, and the client is told so as RFC 7628 wants it: the script looks.
func badTokens(t *testing.T, d *demo, i *issuer) {
	good := i.token(t, "EdDSA", nil)
	payload, err := json.Marshal(map[string]any{"iss": i.url, "aud": "mail", "email": "demo", "exp": time.Now().Add(time.Hour).Unix()})
	must(t, "claims", err)
	cut := strings.LastIndexByte(good, '.') + 1
	broken := []byte(good)
	broken[cut+9] ^= 1 // another letter of base64, mostly
	for what, token := range map[string]string{
		"expired":              i.token(t, "RS256", map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"not yet":              i.token(t, "ES256", map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"for ever":             i.token(t, "ES256", map[string]any{"exp": nil}),
		"for others":           i.token(t, "ES256", map[string]any{"aud": []string{"web", "calendar"}}),
		"another issuer":       i.token(t, "EdDSA", map[string]any{"iss": "https://issuer.example.org"}),
		"another user":         i.token(t, "EdDSA", map[string]any{"email": "ann"}),
		"address not verified": i.token(t, "EdDSA", map[string]any{"email_verified": false}),
		"no signature":         i.sign(t, "none", "none", payload),
		"public key as secret": i.sign(t, "HS256", "HS256", payload),
		"a retired key":        i.sign(t, "EdDSA", "2019", payload),
		"another's key":        i.sign(t, "RS256", "EdDSA", payload),
		"broken signature":     string(broken),
		"without signature":    good[:cut],
		"no JWT":               "opaque-token",
	} {
		for _, c := range []struct{ protocol, addr, mechanism string }{{"imap", d.imap, "OAUTHBEARER"}, {"pop3", d.pop3, "XOAUTH2"}} {
			l := login{d: d, addr: c.addr, mechanism: c.mechanism, secret: token}
			want := "authentication failed"
			switch what {
			case "another user": // who may not act as demo
				want = "not permitted"
				if err := curlBearer(c.protocol, "--sasl-ir")(t, l); err == nil {
					t.Errorf("ann read demo's mail over %s", c.protocol)
				}
			default:
				if what == "expired" {
					want = "credentials expired"
				}
				if err := pythonLogin("login.py", c.protocol, "none")(t, l); !errors.Is(err, errRefused) {
					t.Errorf("%s, by %s: %v", what, c.mechanism, err)
				}
			}
			d.refused(t, c.protocol+" bearer: "+want)
		}
	}
}

// curlBearer fetches all.
func curlBearer(protocol string, more ...string) loginClient {
	return func(t *testing.T, l login) error {
		c := l.d.tool(t, "curl")
		url := "imap://" + l.addr + "/INBOX;MAILINDEX=[1-4]"
		if protocol == "pop3" {
			url = "pop3://" + l.addr + "/[1-4]"
		}
		out, err := c.try(append([]string{"--disable", "--silent", "--show-error", "--max-time", "20", "--fail-early", "--user", "demo",
			"--oauth2-bearer", l.secret, "--output", "got-#1", url}, more...)...)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var got [][]byte
		for n := range l.mails {
			got = append(got, readFile(t, fmt.Sprintf("%s/got-%d", c.dir, n+1)))
		}
		sameMailInOrder(t, "curl", got, l.mails)
		return nil
	}
}

// getmailBearer retrieves all, and leaves it where it is.
func getmailBearer(t *testing.T, l login) error {
	g := newGetmail(t, l.d)
	token := g.write(t, "token", []byte(l.secret))
	g.config(t, "SimpleIMAPRetriever", l.addr, fmt.Sprintf("use_xoauth2 = true\npassword_command = (\"cat\", %q)\n", token))
	config := readFile(t, filepath.Join(g.dir, "getmailrc"))
	g.write(t, "getmailrc", []byte(strings.Replace(strings.Replace(string(config), "password = demo\n", "", 1), "delete = true", "delete = false", 1)))
	// It says only in words what went wrong.
	if out, err := g.try("--getmaildir", g.dir, "--rcfile", "getmailrc"); err != nil || len(g.files(t)) == 0 {
		return fmt.Errorf("%w: %v, %s", errRefused, err, out)
	}
	equal(t, "messages that getmail retrieved", len(g.files(t)), len(l.mails))
	return nil
}

// imapflowBearer reads all with imapflow's access tokens.
func imapflowBearer(t *testing.T, d *demo) loginClient {
	node, script := d.node(t, "imapflow", "token.js")
	return func(t *testing.T, l login) error {
		args := []string{script, port(l.addr), l.secret}
		for i, m := range l.mails {
			args = append(args, node.write(t, fmt.Sprintf("mail-%03d", i), m))
		}
		if out, err := node.try(args...); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
}
