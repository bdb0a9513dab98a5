//go:build interop

package interop

import (
	"path/filepath"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
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
		t.Run(c.name, func(t *testing.T) { c.test(t, overHooks(t, "")) })
	}
	t.Run("mbsync, with state in a file", func(t *testing.T) {
		mbsync(t, overHooks(t, filepath.Join(t.TempDir(), "state")))
	})
}

// overHooks serves an application's mail in this process. The store keeps its state in
// that file, if any.
func overHooks(t *testing.T, state string) *demo {
	t.Helper()
	app := hookstest.New(hookstest.Style{Versions: true, Changes: true, Revisions: true})
	app.AddUser("demo", "demo")
	must(t, "create", app.Create("demo", "Archive", 0))
	store, err := hooks.New(app.Handlers(), &hooks.Options{SyncState: state})
	must(t, "open the store", err)
	t.Cleanup(func() { must(t, "close the store", store.Close()) }) // after the server
	return inProcess(t, &mailaccesstest.Options{Store: store, Authenticator: store})
}

// inProcess starts a server in this process, which is gone when the test ends.
func inProcess(t *testing.T, o *mailaccesstest.Options) *demo {
	t.Helper()
	srv := mailaccesstest.New(t, o)
	d, _ := newDemo(t)
	d.imap, d.imaps, d.pop3, d.pop3s = srv.IMAP, srv.IMAPS, srv.POP3, srv.POP3S
	d.cert, d.tls = srv.CAFile(), srv.ClientTLS()
	d.stop = func() { must(t, "close the server", srv.Close()) }
	return d
}

// A security is how the channel of a client is protected.
type security int

const (
	plain security = iota
	starttls
	implicitTLS
)
