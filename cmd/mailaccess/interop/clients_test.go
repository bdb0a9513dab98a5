//go:build interop

package interop

import (
	"path/filepath"
	"testing"
)

// Each client has a server of its own.
func TestClients(t *testing.T) {
	program := build(t, "..", "demo")
	for _, c := range []struct {
		name string
		test func(*testing.T, *demo)
	}{
		{"curl imap with STARTTLS", curlIMAP(starttls)},
		{"curl imaps", curlIMAP(implicitTLS)},
		{"curl pop3 with STLS", curlPOP3(starttls)},
		{"curl pop3s", curlPOP3(implicitTLS)},
		{"mbsync", mbsync},
		{"fetchmail with STLS", fetchmailPOP3(starttls)},
		{"fetchmail over TLS", fetchmailPOP3(implicitTLS)},
		{"mpop with STLS", mpop(starttls)},
		{"mpop over TLS", mpop(implicitTLS)},
		{"getmail POP3", getmailPOP3(plain)},
		{"getmail POP3 over TLS", getmailPOP3(implicitTLS)},
		{"getmail IMAP", getmailIMAP(plain)},
		{"getmail IMAP over TLS", getmailIMAP(implicitTLS)},
		{"imaplib with STARTTLS", imaplib(starttls)},
		{"imaplib over TLS", imaplib(implicitTLS)},
		{"poplib with STLS", poplib(starttls)},
		{"poplib over TLS", poplib(implicitTLS)},
		{"imapclient with STARTTLS", imapClient(starttls)},
		{"imapclient over TLS", imapClient(implicitTLS)},
		{"offlineimap", offlineimap},
		{"neomutt", neomutt},
		{"imapflow with STARTTLS", imapflow(starttls)},
		{"imapflow over TLS", imapflow(implicitTLS)},
		{"node-pop3", nodePOP3("nodepop3", plain)},
		{"node-pop3 over TLS", nodePOP3("nodepop3", implicitTLS)},
		{"yapople", nodePOP3("yapople", plain)},
		{"yapople over TLS", nodePOP3("yapople", implicitTLS)},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t, program)) })
	}
}

// Clients that change much, before an application that has functions and no store.
func TestClientsOverHooks(t *testing.T) {
	program := build(t, "./hooksserver")
	for _, c := range []struct {
		name string
		test func(*testing.T, *demo)
	}{
		{"mbsync", mbsync},
		{"getmail POP3", getmailPOP3(plain)},
		{"getmail POP3 over TLS", getmailPOP3(implicitTLS)},
		{"getmail IMAP", getmailIMAP(plain)},
		{"getmail IMAP over TLS", getmailIMAP(implicitTLS)},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t, program)) })
	}
	t.Run("mbsync, with state in a file", func(t *testing.T) {
		program.args = []string{"--state", filepath.Join(t.TempDir(), "state")}
		mbsync(t, start(t, program))
	})
}

// A security is how the channel of a client is protected.
type security int

const (
	plain security = iota
	starttls
	implicitTLS
)
