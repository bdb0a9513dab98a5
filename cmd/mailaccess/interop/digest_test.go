//go:build interop

package interop

import (
	"fmt"
	"os"
	"testing"
)

// Clients log in with APOP (RFC 1939, section 7) and CRAM-MD5 (RFC 2195), which are offered
// only where the password is stored as it is and --auth-digests is given. Passwords
// themselves are not taken here, as there is no TLS.
func TestDigests(t *testing.T) {
	f := newFiles(t, build(t, ".."))
	must(t, "write", os.WriteFile(f.users, []byte("demo:{PLAIN}demo\n"), 0o600))
	d := f.serve(t, "--allow-plaintext-auth=false", "--auth-digests")
	mails := letters("digest", 4)
	d.put(t, "INBOX", mails)
	for _, c := range []loginTest{
		{"mbsync", "imap", "CRAM-MD5", mbsyncLogin, ""}, // before others have read what it marks
		{"mpop", "pop3", "APOP", mpopLogin, ""},
		{"fetchmail", "pop3", "APOP", fetchmailAPOP, ""},
		{"curl", "pop3", "APOP", curlLogin("pop3", "+APOP"), ""},
		{"mpop", "pop3", "CRAM-MD5", mpopLogin, ""},
		{"curl", "imap", "CRAM-MD5", curlLogin("imap", "CRAM-MD5"), ""},
	} {
		t.Run(c.client+" "+c.protocol+" "+c.mechanism, func(t *testing.T) { c.check(t, d, mails, "digest", "demo", "wrong") })
	}
}

// fetchmailAPOP retrieves all, and leaves it where it is.
func fetchmailAPOP(t *testing.T, l login) error {
	f := newFetcher(t, l.d, "sh")
	l.d.tool(t, "fetchmail") // or it is missing
	deliver := f.write(t, "deliver", fmt.Appendf(nil, "cat >\"$(mktemp '%s/XXXXXX')\"\n", f.inbox()))
	f.write(t, "rc", fmt.Appendf(nil, `set invisible
poll 127.0.0.1 service %s protocol APOP timeout 20 no dns bad-header accept
	user demo password %s sslproto "" fetchall keep no rewrite no stripcr mda "sh %s"
`, port(l.addr), l.secret, deliver))
	if out, err := f.try("-c", "fetchmail --fetchmailrc rc --nosyslog --nodetach"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	sameMail(t, "fetchmail", f.got(t), l.mails)
	return nil
}

// curlLogin retrieves all with the mechanism that curl calls by a name of its own.
func curlLogin(protocol, mechanism string) loginClient {
	return func(t *testing.T, l login) error {
		c := l.d.tool(t, "curl")
		url := fmt.Sprintf("%s://127.0.0.1:%s/%%d", protocol, port(l.addr))
		if protocol == "imap" {
			url = fmt.Sprintf("imap://127.0.0.1:%s/INBOX;MAILINDEX=%%d", port(l.addr))
		}
		var got [][]byte
		for i := range l.mails {
			out, err := c.try("--disable", "--silent", "--show-error", "--max-time", "20", "--login-options", "AUTH="+mechanism,
				"--user", "demo:"+l.secret, fmt.Sprintf(url, i+1))
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			got = append(got, []byte(out))
		}
		sameMail(t, "curl", got, l.mails)
		return nil
	}
}
