//go:build interop

package interop

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/protocols"
)

// Clients before a store of Maildirs, which holds the mail of the demonstration. What they
// leave is checked.
func TestClientsOverMaildir(t *testing.T) {
	bin := build(t, "..")
	example := copyMail(t, start(t, program{bin.file, []string{"demo"}}))
	for _, c := range []struct {
		name string
		test func(*testing.T, *demo)
	}{
		{"curl pop3s", curlPOP3(implicitTLS)},
		{"mbsync", mbsync},
		{"fetchmail over TLS", fetchmailPOP3(implicitTLS)},
		{"mpop with STLS", mpop(starttls)},
		{"getmail POP3", getmailPOP3(plain)},
		{"imaplib over TLS", imaplib(implicitTLS)},
		{"poplib with STLS", poplib(starttls)},
		{"imapclient over TLS", imapClient(implicitTLS)},
		{"offlineimap", offlineimap},
		{"neomutt", neomutt},
		{"imapflow with STARTTLS", imapflow(starttls)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t, bin)
			d := f.serve(t)
			d.fill(t, example)
			c.test(t, d)
			d.stop()
			f.check(t)
		})
	}
}

// files is a store of Maildirs that our program serves.
type files struct {
	bin   string
	root  string
	users string
	cert  string
	key   string
}

// newFiles makes an empty store whose user is demo.
func newFiles(t *testing.T, bin program) *files {
	t.Helper()
	dir := t.TempDir()
	f := &files{
		bin: bin.file, root: filepath.Join(dir, "mail"), users: filepath.Join(dir, "users"),
		cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
	}
	f.run(t, "demo\n", "user", "add", "demo", "--users", f.users, "--password-stdin")
	cert, err := protocols.SelfSigned()
	must(t, "certificate", err)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	must(t, "private key", err)
	for file, block := range map[string]*pem.Block{
		f.cert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		f.key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		must(t, "write", os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
	return f
}

// maildir is a mailbox's directory.
func (f *files) maildir(name string) string {
	if name == "INBOX" {
		return filepath.Join(f.root, "demo")
	}
	return filepath.Join(f.root, "demo", "."+strings.ReplaceAll(name, "/", "."))
}

// run runs our program, which must not fail and is given something to read.
func (f *files) run(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), f.bin, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mailaccess %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// check demands that nothing is wrong with the store. No server has it open.
func (f *files) check(t *testing.T) {
	t.Helper()
	if out := f.run(t, "", "check", "--store", "maildir:"+f.root); out != "" {
		t.Errorf("check: %s", out)
	}
}

// serve serves the store on free ports until the test ends or stop is called. The server may
// not complain.
func (f *files) serve(t *testing.T, args ...string) *demo {
	t.Helper()
	d, end := newDemo(t)
	d.cert = f.cert
	ctx, kill := context.WithDeadline(context.Background(), end)
	cmd := exec.CommandContext(ctx, f.bin, append([]string{"serve", "--store", "maildir:" + f.root, "--users", f.users,
		"--tls-cert", f.cert, "--tls-key", f.key, "--allow-plaintext-auth",
		"--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0"}, args...)...)
	d.log = &serveLog{addrs: d.addresses(), ready: make(chan struct{})}
	cmd.Stderr = d.log
	d.run(t, cmd, kill, func() { d.log.report(t) })
	select {
	case <-d.log.ready:
	case <-d.ctx.Done():
		t.Fatal("the server did not say all its addresses")
	}
	d.trust(t)
	return d
}

// serveLog reads the log of "serve": where it listens, which logins it refused, and what is
// more than information.
type serveLog struct {
	ready chan struct{}

	mu      sync.Mutex
	addrs   map[string]*string // those that were not told yet
	rest    []byte
	refused []string // sorts of credentials, and why
	odd     []string
}

func (l *serveLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.line(line)
		l.rest = rest
	}
}

func (l *serveLog) line(line []byte) {
	var e struct{ Level, Msg, Protocol, Address, Credentials, Kind string }
	if err := json.Unmarshal(line, &e); err != nil || e.Level != "info" && e.Level != "debug" {
		l.odd = append(l.odd, string(line))
		return
	}
	if addr := l.addrs[e.Protocol]; e.Msg == "serving" && addr != nil {
		*addr = e.Address
		if delete(l.addrs, e.Protocol); len(l.addrs) == 0 {
			close(l.ready)
		}
	}
	if e.Msg == "login refused" {
		l.refused = append(l.refused, e.Protocol+" "+e.Credentials+": "+e.Kind)
	}
}

// refusals returns which logins were refused since the last call.
func (l *serveLog) refusals() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	refused := l.refused
	l.refused = nil
	return refused
}

// report is called when the server has ended.
func (l *serveLog) report(t *testing.T) {
	for _, line := range append(l.odd, string(l.rest)) {
		if line != "" {
			t.Errorf("the server complained: %s", line)
		}
	}
}

// copied is a mailbox with what is in it.
type copied struct {
	name  string
	use   []imap.MailboxAttr
	mails []*imapclient.FetchMessageBuffer
}

var whole = &imap.FetchItemBodySection{Peek: true}

// copyMail reads all that a server has, and stops it.
func copyMail(t *testing.T, d *demo) []copied {
	t.Helper()
	c := d.session(t, nil)
	list, err := c.List("", "*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	must(t, "list", err)
	var all []copied
	for _, m := range list {
		_, err := c.Select(m.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		must(t, "examine "+m.Mailbox, err)
		box := copied{name: m.Mailbox, use: slices.DeleteFunc(m.Attrs, func(a imap.MailboxAttr) bool { return a == imap.MailboxAttrHasNoChildren })}
		box.mails, err = c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}},
			&imap.FetchOptions{Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		must(t, "fetch from "+m.Mailbox, err)
		all = append(all, box)
	}
	logout(t, c)
	d.stop()
	return all
}

// fill makes the mailboxes, and what was in them.
func (d *demo) fill(t *testing.T, all []copied) {
	t.Helper()
	c := d.session(t, nil)
	for _, box := range all {
		if box.name != "INBOX" {
			must(t, "create "+box.name, c.Create(box.name, &imap.CreateOptions{SpecialUse: box.use}).Wait())
		}
		for _, m := range box.mails {
			flags := slices.DeleteFunc(slices.Clone(m.Flags), func(f imap.Flag) bool { return f == `\Recent` })
			appendMail(t, c, box.name, m.FindBodySection(whole), &imap.AppendOptions{Flags: flags, Time: m.InternalDate})
		}
	}
	logout(t, c)
}
