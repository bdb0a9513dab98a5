//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// getmailPOP3 retrieves and deletes what is in the maildrop.
func getmailPOP3(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		g := newGetmail(t, d)
		before := g.put(t, "INBOX", 24)
		if s == implicitTLS {
			g.config(t, "SimplePOP3SSLRetriever", d.pop3s, "ca_certs = "+d.cert)
		} else {
			g.config(t, "SimplePOP3Retriever", d.pop3, "")
		}
		g.retrieve(t, before)
		equal(t, "messages left in INBOX", len(d.overIMAP(t, "INBOX")), 0)
		g.retrieve(t, 0)
	}
}

// getmailIMAP retrieves and deletes what is in two mailboxes.
func getmailIMAP(s security) func(*testing.T, *demo) {
	return func(t *testing.T, d *demo) {
		g := newGetmail(t, d)
		before := g.put(t, "INBOX", 24) + g.put(t, "Archive", 12)
		const more = "mailboxes = (\"INBOX\", \"Archive\")\nrecord_mailbox = false\n"
		if s == implicitTLS {
			g.config(t, "SimpleIMAPSSLRetriever", d.imaps, more+"ca_certs = "+d.cert)
		} else {
			g.config(t, "SimpleIMAPRetriever", d.imap, more)
		}
		g.retrieve(t, before)
		for _, name := range []string{"INBOX", "Archive"} {
			equal(t, "messages left in "+name, len(d.overIMAP(t, name)), 0)
		}
		g.retrieve(t, 0)
	}
}

// getmail retrieves, and hands each message to a program that makes a file of it:
// into a Maildir it would not deliver for root. It misses the end of a program that
// ends before it waits for that, so the program first sees it asleep.
type getmail struct {
	*client
	mails [][]byte // what was put
}

func newGetmail(t *testing.T, d *demo) *getmail {
	t.Helper()
	g := &getmail{client: d.tool(t, "getmail")}
	must(t, "make a directory", os.Mkdir(g.inbox(), 0o700))
	return g
}

func (g *getmail) inbox() string { return filepath.Join(g.dir, "inbox") }

// files returns the names of what was retrieved so far.
func (g *getmail) files(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(g.inbox() + "/*")
	must(t, "list what was retrieved", err)
	return files
}

// put puts n messages into a mailbox and returns how many it holds then.
func (g *getmail) put(t *testing.T, mailbox string, n int) int {
	t.Helper()
	mails := letters(mailbox, n)
	g.d.put(t, mailbox, mails)
	g.mails = append(g.mails, mails...)
	return len(g.d.overIMAP(t, mailbox))
}

func (g *getmail) config(t *testing.T, kind, addr, more string) {
	t.Helper()
	g.write(t, "getmailrc", fmt.Appendf(nil, `[retriever]
type = %s
server = 127.0.0.1
port = %s
username = demo
password = demo
timeout = 20
%s

[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", 'cat >"$(mktemp "$0/XXXXXX")"; until grep -q "^State:.S" /proc/$PPID/status; do :; done', %q)
allow_root_commands = true

[options]
delete = true
delivered_to = false
received = false
`, kind, port(addr), more, g.inbox()))
}

// retrieve runs getmail. Afterwards there is all that was put, among what has
// been retrieved, which is n messages more than before.
func (g *getmail) retrieve(t *testing.T, n int) {
	t.Helper()
	before := len(g.files(t))
	g.run(t, "--getmaildir", g.dir, "--rcfile", "getmailrc")
	files := g.files(t)
	equal(t, "messages retrieved", len(files)-before, n)
	got := make(map[string]bool)
	for _, f := range files {
		mail := canonical(readFile(t, f))
		// getmail puts a field of its own first.
		if field, rest, _ := bytes.Cut(mail, []byte("\n")); bytes.HasPrefix(field, []byte("Return-Path: ")) {
			mail = rest
		}
		got[string(mail)] = true
	}
	for _, mail := range g.mails {
		if !got[string(mail)] {
			t.Errorf("getmail did not retrieve %s", brief(mail))
		}
	}
}
