//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A login is one try of a client to read what is in INBOX.
type login struct {
	d         *demo
	addr      string // without TLS
	mechanism string
	secret    string // a password, or a token
	right     bool   // whether it is the right one
	mails     [][]byte
}

// errRefused is what a client came to that says more than that it has failed.
var errRefused = errors.New("refused")

// A loginClient logs in and, once it is in, reads the mail and holds it against what
// there should be. The error is the client's, with what it printed.
type loginClient func(t *testing.T, l login) error

// loginTest is a client with a mechanism that the server must take from it, or not.
type loginTest struct {
	client    string
	protocol  string
	mechanism string
	try       loginClient
	before    string // a mechanism that it tries first, whatever is offered
}

// check logs in with the right secret and with a wrong one, through a wiretap, by which it
// sees that the client used the mechanism and nothing else.
func (c *loginTest) check(t *testing.T, d *demo, mails [][]byte, credentials, right, wrong string) {
	t.Helper()
	addr := d.imap
	if c.protocol == "pop3" {
		addr = d.pop3
	}
	for _, secret := range []string{right, wrong} {
		wire := tap(t, addr)
		err := c.try(t, login{d, wire.addr, c.mechanism, secret, secret == right, mails})
		if (err == nil) != (secret == right) {
			t.Errorf("%q: %v", secret, err)
		}
		equal(t, "mechanisms that the client used", strings.Join(slices.Compact(wire.mechanisms()), " "), strings.TrimSpace(c.before+" "+c.mechanism))
		if secret == wrong {
			d.refused(t, c.protocol+" "+credentials+": authentication failed")
		} else if refused := d.log.refusals(); len(refused) > 0 {
			t.Errorf("on its way in it was refused: %q", refused)
		}
	}
}

// refused demands that the server's log tells of refused logins, all of them of this sort.
func (d *demo) refused(t *testing.T, want string) {
	t.Helper()
	var told []string
	d.until(t, func() bool { told = append(told, d.log.refusals()...); return len(told) > 0 })
	if told = slices.Compact(told); !slices.Equal(told, []string{want}) {
		t.Errorf("the log tells of %q, want %q", told, want)
	}
}

// mbsyncLogin syncs into a Maildir.
func mbsyncLogin(t *testing.T, l login) error {
	c := l.d.tool(t, "mbsync")
	m := &mirror{d: l.d, c: c, near: filepath.Join(c.dir, "mail")}
	must(t, "mkdir", os.Mkdir(m.near, 0o700))
	out, err := c.try("--config", m.config(t, fmt.Sprintf("Host localhost\nPort %s\nUser demo\nPass %s\nSSLType None\nAuthMechs %s\n",
		port(l.addr), l.secret, l.mechanism)), "--all")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	want := make(box)
	for _, mail := range l.mails {
		want[normal(mail)] = ""
	}
	sameBox(t, "mbsync", m.nearBox(t, "INBOX"), want)
	return nil
}

// neomuttLogin copies all into a Maildir. How it is to log in is a line of its configuration
// with %s for the secret.
func neomuttLogin(how string) loginClient {
	return func(t *testing.T, l login) error {
		m := &mutt{d: l.d, c: l.d.tool(t, "script")}
		l.d.tool(t, "neomutt")
		must(t, "mkdir", os.Mkdir(filepath.Join(m.c.dir, "bodies"), 0o700))
		keys := "<quit>" // all that it knows without a mailbox
		if l.right {
			keys = "<tag-pattern>~A<enter><tag-prefix><copy-message>" + filepath.Join(m.c.dir, "copies") + "<enter><quit>"
		}
		log := m.runWith(t, "login", fmt.Sprintf(`set folder = "imap://demo@localhost:%s/"
set ssl_starttls = no
set ssl_force_tls = no
`, port(l.addr))+fmt.Sprintf(how, l.secret)+"\n", keys)
		if strings.Contains(log, "No authenticators available or wrong credentials") {
			return errRefused
		}
		sameMail(t, "neomutt", m.maildir(t, "copies"), l.mails)
		return nil
	}
}

// mpopLogin retrieves all, and leaves it where it is.
func mpopLogin(t *testing.T, l login) error {
	f := emptyFetcher(t, l.d, "mpop")
	f.write(t, "rc", fmt.Appendf(nil, `account demo
host localhost
port %s
user demo
password %s
auth %s
timeout 20
tls off
received_header off
keep on
uidls_file %s
delivery maildir %s
`, port(l.addr), l.secret, strings.ToLower(l.mechanism), filepath.Join(f.dir, "uidls"), f.dir))
	if out, err := f.try("--file=rc", "demo"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	sameMail(t, "mpop", f.got(t), l.mails)
	return nil
}

// pythonLogin reads all with a script of testdata, to which more is told.
func pythonLogin(script, protocol string, more ...string) loginClient {
	return func(t *testing.T, l login) error {
		c := l.d.tool(t, "/usr/bin/python3")
		script, err := filepath.Abs(filepath.Join("testdata", script))
		must(t, "find the script", err)
		args := append([]string{"-I", "-B", "-W", "error", script, protocol, port(l.addr), l.mechanism, c.write(t, "secret", []byte(l.secret))}, more...)
		for i, m := range l.mails {
			args = append(args, c.write(t, fmt.Sprintf("mail-%03d", i), m))
		}
		out, err := c.try(args...)
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == 3:
			return fmt.Errorf("%w: %s", errRefused, out)
		case err != nil || !strings.HasSuffix(out, "round complete\n"):
			t.Errorf("the round was not completed: %v\n%s", err, out)
		}
		return nil
	}
}
