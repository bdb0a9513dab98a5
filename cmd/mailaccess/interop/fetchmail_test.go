//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// fetchmailPOP3 retrieves what is new, leaving it on the server, as it does by
// unique-ids, and then all of it, deleting it.
func fetchmailPOP3(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		f := newFetcher(t, d, "sh")
		d.tool(t, "fetchmail") // or it is missing
		deliver := f.write(t, "deliver", fmt.Appendf(nil, "cat >\"$(mktemp '%s/XXXXXX')\"\n", f.inbox()))
		fetch := func(more string, n int) {
			t.Helper()
			addr, how := d.pop3, "sslproto TLS1.2+"
			if s == implicitTLS {
				addr, how = d.pop3s, "ssl"
			}
			f.write(t, "rc", fmt.Appendf(nil, `set invisible
poll localhost service %s protocol POP3 uidl timeout 20 no dns bad-header accept
	user demo password demo %s sslcertfile %q no rewrite no stripcr %s
	mda "sh %s"
`, port(addr), how, d.cert, more, deliver))
			// It says with 1 that there was nothing new.
			f.retrieves(t, n, "-c", "fetchmail --fetchmailrc rc --nosyslog --nodetach || test $? = 1")
		}
		// Not the eighth, whose long line it breaks.
		f.put(t, 7)
		fetch("keep", len(f.mails))
		fetch("keep", 0)
		f.put(t, 3)
		fetch("keep", 3)
		fetch("fetchall nokeep", len(f.mails))
		equal(t, "messages left in INBOX", len(d.overIMAP(t, "INBOX")), 0)
	}
}

// mpop does the same. It deletes what it has fetched before without fetching it
// again.
func mpop(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		f := newFetcher(t, d, "mpop")
		fetch := func(keep string, n int) {
			t.Helper()
			addr, starttls := d.pop3, "on"
			if s == implicitTLS {
				addr, starttls = d.pop3s, "off"
			}
			f.write(t, "rc", fmt.Appendf(nil, `account demo
host localhost
port %s
user demo
password demo
timeout 20
tls on
tls_starttls %s
tls_trust_file %s
received_header off
keep %s
uidls_file %s
delivery maildir %s
`, port(addr), starttls, d.cert, keep, filepath.Join(f.dir, "uidls"), f.dir))
			f.retrieves(t, n, "--file=rc", "demo")
		}
		f.put(t, 12)
		fetch("on", len(f.mails))
		fetch("on", 0)
		f.put(t, 3)
		fetch("on", 3)
		fetch("off", 0)
		equal(t, "messages left in INBOX", len(d.overIMAP(t, "INBOX")), 0)
	}
}

// A fetcher makes a file of each message that it retrieves.
type fetcher struct {
	*client
	mails [][]byte // what is in INBOX
}

// newFetcher makes room for what program retrieves.
func newFetcher(t *testing.T, d *demo, program string) *fetcher {
	t.Helper()
	f := emptyFetcher(t, d, program)
	f.mails = raws(d.overIMAP(t, "INBOX"))
	return f
}

// emptyFetcher does so for mail that is not looked at.
func emptyFetcher(t *testing.T, d *demo, program string) *fetcher {
	t.Helper()
	f := &fetcher{client: d.tool(t, program)}
	for _, name := range []string{"cur", "tmp", "new"} {
		must(t, "make a directory", os.Mkdir(filepath.Join(f.dir, name), 0o700))
	}
	return f
}

func (f *fetcher) inbox() string { return filepath.Join(f.dir, "new") }

// put puts n messages into INBOX.
func (f *fetcher) put(t *testing.T, n int) {
	t.Helper()
	mails := letters(fmt.Sprintf("fetched after %d", len(f.mails)), n)
	f.d.put(t, "INBOX", mails)
	f.mails = append(f.mails, mails...)
}

// retrieves runs the client, which retrieves the last n messages.
func (f *fetcher) retrieves(t *testing.T, n int, args ...string) {
	t.Helper()
	before, err := filepath.Glob(f.inbox() + "/*")
	must(t, "list what was retrieved", err)
	for _, file := range before {
		must(t, "remove", os.Remove(file))
	}
	f.run(t, args...)
	sameMail(t, "retrieved", f.got(t), f.mails[len(f.mails)-n:])
}

// got returns what was retrieved.
func (f *fetcher) got(t *testing.T) (mails [][]byte) {
	t.Helper()
	files, err := filepath.Glob(f.inbox() + "/*")
	must(t, "list what was retrieved", err)
	for _, file := range files {
		mails = append(mails, canonical(readFile(t, file)))
	}
	return mails
}
