//go:build interop

package interop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Clients log in with SCRAM (RFC 5802, RFC 7677), by two libraries that others wrote, Cyrus
// SASL (mbsync) and GNU SASL (gsasl, mpop, neomutt), and by a script. Passwords themselves are
// not taken here: there is no TLS, nor a flag that permits them without.
//
// neomutt 20220429 sends the password as it is first, whatever is offered. Debian's curl 7.88
// is built without GNU SASL and has no SCRAM, its mpop no -PLUS; fetchmail, getmail,
// offlineimap, imapflow and the POP3 clients of npm have none at all.
func TestScram(t *testing.T) {
	bin := build(t, "..")
	mails := letters("scram", 4)
	serve := func(t *testing.T, f *files) *demo {
		d := f.serve(t, "--allow-plaintext-auth=false")
		d.put(t, "INBOX", mails)
		return d
	}
	const sha256, sha1 = "SCRAM-SHA-256", "SCRAM-SHA-1"
	t.Run("our keys", func(t *testing.T) {
		t.Parallel()
		f := newFiles(t, bin)
		f.run(t, "demo\n", "user", "add", "demo", "--replace", "--scheme", sha256, "--users", f.users, "--password-stdin")
		d := serve(t, f)
		for _, c := range []loginTest{
			{"mbsync", "imap", sha256, mbsyncLogin, ""},
			{"neomutt", "imap", sha256, neomuttLogin("set imap_pass = %s"), "PLAIN"},
			{"mpop", "pop3", sha256, mpopLogin, ""},
			{"gsasl", "imap", sha256, gsaslLogin, ""},
			{"Python", "imap", sha256, pythonLogin("login.py", "imap", "none"), ""},
			{"Python", "pop3", sha256, pythonLogin("login.py", "pop3", "none"), ""},
		} {
			t.Run(c.client+" "+c.protocol, func(t *testing.T) { c.check(t, d, mails, "scram", "demo", "wrong") })
		}
	})
	// What Dovecot and GNU SASL store of a password serves as it is.
	t.Run("others' keys", func(t *testing.T) {
		t.Parallel()
		f := newFiles(t, bin)
		dovecot, gsasl := &client{d: &demo{ctx: t.Context()}, file: "doveadm"}, &client{d: &demo{ctx: t.Context()}, file: "gsasl"}
		must(t, "write", os.WriteFile(f.users, []byte("demo:"+dovecot.run(t, "pw", "-s", sha256, "-p", "demo")+
			"demo:"+strings.TrimSpace(gsasl.run(t, "--mkpasswd", "-m", sha1, "-p", "demo"))+":app=old\n"), 0o600))
		d := serve(t, f)
		for _, c := range []loginTest{
			{"mbsync", "imap", sha256, mbsyncLogin, ""},
			{"mbsync", "imap", sha1, mbsyncLogin, ""},
			{"mpop", "pop3", sha1, mpopLogin, ""},
			{"gsasl", "imap", sha1, gsaslLogin, ""},
			{"Python", "pop3", sha1, pythonLogin("login.py", "pop3", "none"), ""},
		} {
			t.Run(c.client+" "+c.protocol+" "+c.mechanism, func(t *testing.T) { c.check(t, d, mails, "scram", "demo", "wrong") })
		}
	})
	t.Run("channel binding", func(t *testing.T) {
		t.Parallel()
		f := newFiles(t, bin)
		f.run(t, "demo\n", "user", "add", "demo", "--replace", "--scheme", sha256, "--users", f.users, "--password-stdin")
		d := serve(t, f)
		t.Run("gsasl", func(t *testing.T) { gsaslBinds(t, d) })
		t.Run("gsasl through a man in the middle", func(t *testing.T) {
			cert, err := tls.LoadX509KeyPair(f.cert, f.key)
			must(t, "certificate", err)
			gsaslIsWatched(t, d, cert)
		})
		for _, how := range []string{"tls-unique", "tls-server-end-point"} {
			for _, protocol := range []string{"imap", "pop3"} {
				t.Run("Python "+protocol+" "+how, func(t *testing.T) {
					addr := d.imaps
					if protocol == "pop3" {
						addr = d.pop3s
					}
					for _, secret := range []string{"demo", "wrong"} {
						l := login{d, addr, sha256 + "-PLUS", secret, secret == "demo", mails}
						if err := pythonLogin("login.py", protocol, how, d.cert)(t, l); errors.Is(err, errRefused) == l.right {
							t.Errorf("%s: %v", secret, err)
						}
					}
					d.refused(t, protocol+" scram: authentication failed")
					// Who takes away -PLUS from what the server offers is found out (RFC 5802, section 6).
					if err := pythonLogin("login.py", protocol, "kept from it", d.cert)(t, login{d, addr, sha256, "demo", false, mails}); !errors.Is(err, errRefused) {
						t.Errorf("a client that was told that there is no -PLUS: %v", err)
					}
					d.refused(t, protocol+" scram: authentication failed")
				})
			}
		}
	})
}

// gsasl logs in, over TLS if tls is set, and does nothing more. It says whether the server
// has proved to know the password's keys.
func gsasl(t *testing.T, l login, args ...string) (out string, err error) {
	t.Helper()
	c := l.d.tool(t, "gsasl")
	out, err = c.try(append([]string{"--imap", "--connect", "localhost:" + port(l.addr), "-m", l.mechanism, "-a", "demo", "-p", l.secret}, args...)...)
	if err == nil && !strings.Contains(out, "Client authentication finished (server trusted)") {
		t.Errorf("gsasl does not trust the server: %s", out)
	}
	return out, err
}

func gsaslLogin(t *testing.T, l login) error {
	out, err := gsasl(t, l, "--no-starttls")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// gsaslBinds uses tls-exporter (RFC 9266), after STARTTLS.
func gsaslBinds(t *testing.T, d *demo) {
	for _, secret := range []string{"demo", "wrong"} {
		out, err := gsasl(t, login{d: d, addr: d.imap, mechanism: "SCRAM-SHA-256-PLUS", secret: secret}, "--x509-ca-file="+d.cert)
		if (err == nil) != (secret == "demo") {
			t.Errorf("%s: %v\n%s", secret, err, out)
		}
		// What begins with "p=tls-exporter,," in base64.
		if !regexp.MustCompile(`AUTHENTICATE SCRAM-SHA-256-PLUS\s+\+ \s+cD10bHMtZXhwb3J0ZXIsL`).MatchString(out) {
			t.Errorf("%s: it did not bind:\n%s", secret, out)
		}
	}
	d.refused(t, "imap scram: authentication failed")
}

// gsaslIsWatched: with the right password, and a certificate that it trusts, the client is
// kept out when somebody sits in between, since its TLS is not that of the server.
func gsaslIsWatched(t *testing.T, d *demo, cert tls.Certificate) {
	addr := manInTheMiddle(t, d, cert)
	l := login{d: d, addr: addr, mechanism: "SCRAM-SHA-256-PLUS", secret: "demo"}
	if out, err := gsasl(t, l, "--x509-ca-file="+d.cert); err == nil {
		t.Errorf("nobody notices the man in the middle:\n%s", out)
	}
	d.refused(t, "imap scram: authentication failed")
	// It is the binding that tells.
	l.mechanism = "SCRAM-SHA-256"
	if out, err := gsasl(t, l, "--x509-ca-file="+d.cert, "--no-cb"); err != nil {
		t.Errorf("the man in the middle cannot be passed: %v\n%s", err, out)
	}
}
