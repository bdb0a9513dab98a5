package transfer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/imapplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/maildirplace"
	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer/tarplace"
	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
)

// run carries from a source into an empty store.
func run(ctx context.Context, t *testing.T, src transfer.Source, opts *transfer.Options) *transfer.Report {
	t.Helper()
	j, err := transfer.OpenJournal(filepath.Join(t.TempDir(), "state"), "a", "b")
	must(t, "open the journal", err)
	dst := openAccount(t, newStore(t))
	r := transfer.Run(ctx, src, dst, j, opts)
	must(t, "close the journal", j.Close())
	must(t, "close the source", src.Close())
	must(t, "close the destination", dst.Close())
	return r
}

// What lies in a Maildir and is no message of a mailbox is told, and the run was not all of it.
func TestUnreadableMaildir(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cur/1.a:2,S":         "Subject: 1\n\n",
		"new/2.b":             "Subject: 2\n\n",
		".Copied/cur/3.c:2,":  "Subject: 3\n\n", // without new, which was empty
		".INBOX/cur/4.d:2,":   "Subject: 4\n\n",
		"cur/5.e:2,":          "Subject: 5\n\n",
		"cur/5.e:2,S":         "Subject: 6\n\n",
		"cur/.nfs000001":      "",
		"cur/6.dir:2,/inside": "",
	} {
		must(t, "make a directory", os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		must(t, "write", os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	must(t, "link", os.Symlink("/etc/hosts", filepath.Join(dir, "cur", "7.link:2,")))
	src, err := maildirplace.Open(dir, false)
	must(t, "open", err)
	r := run(t.Context(), t, src, nil)
	want := []string{
		`"cur/5.e:2,S" has the name of "5.e:2," up to the flags`,
		`"cur/6.dir:2," is no regular file`,
		`"cur/7.link:2," is no regular file`,
		`directory ".INBOX" is no mailbox: INBOX is the root`,
	}
	if r.OK() || r.Total.Moved != 4 || !slices.Equal(r.Unreadable, want) {
		t.Errorf("carried %d, ok %v, unreadable:\n%s", r.Total.Moved, r.OK(), strings.Join(r.Unreadable, "\n"))
	}
}

// archive is one of two messages as another program writes it.
func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a.eml", "b.eml"} {
		must(t, "write", w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 600}))
		_, err := w.Write(bytes.Repeat([]byte("A: b\r\n"), 100))
		must(t, "write", err)
	}
	must(t, "close", w.Close())
	return b.Bytes()
}

// Of an archive that was cut comes what is there, and that it was cut is told.
func TestUnreadableArchive(t *testing.T) {
	whole := archive(t)
	const entry = 512 + 1024
	for cut, moved := range map[int]int{
		len(whole): 2, 2*entry + 512: 2, 2 * entry: 2, 2*entry - 1: 2, entry + 1100: 1, entry + 100: 1, entry: 1,
	} {
		file := filepath.Join(t.TempDir(), "a.tar")
		must(t, "write", os.WriteFile(file, whole[:cut], 0o600))
		src, err := tarplace.Open(file, false)
		if err != nil {
			t.Errorf("cut at %d: %v", cut, err)
			continue
		}
		r := run(t.Context(), t, src, nil)
		if r.Error != "" || r.Total.Moved != moved || r.OK() != (cut == len(whole)) {
			t.Errorf("cut at %d: %d carried, ok %v, %+v", cut, r.Total.Moved, r.OK(), r)
		}
	}
}

// Who mistypes the name of a mailbox is told.
func TestIdleSelection(t *testing.T) {
	dir := t.TempDir()
	must(t, "make a directory", os.MkdirAll(filepath.Join(dir, ".Work.Old", "cur"), 0o700))
	must(t, "make a directory", os.MkdirAll(filepath.Join(dir, "cur"), 0o700))
	src, err := maildirplace.Open(dir, false)
	must(t, "open", err)
	r := run(t.Context(), t, src, &transfer.Options{Selection: transfer.Selection{
		Include: []string{"Work/*", "Wrok"}, Exclude: []string{"INBOX", "Jnuk"}, Rename: map[string]string{"Work": "Play", "Wokr": "x"},
	}})
	want := []string{"no mailbox is called like Wrok", "no mailbox is called like Jnuk", "no mailbox is called like Wokr"}
	if !r.OK() || !slices.Equal(r.Notes, want) {
		t.Errorf("ok %v, notes %q", r.OK(), r.Notes)
	}
}

// Whoever ends a run is told that, and not what it did to what was under way.
func TestInterrupted(t *testing.T) {
	store := newStore(t)
	fill(t, store, "INBOX", 0, letter{raw: "Subject: 1\r\n\r\n"})
	ctx, cancel := context.WithCancel(t.Context())
	r := run(ctx, t, openAccount(t, store), &transfer.Options{Progress: func(transfer.Progress) { cancel() }})
	if r.Error != "interrupted" || len(r.Mailboxes) != 1 || r.Mailboxes[0].Error != "interrupted" {
		t.Errorf("%+v", r)
	}
}

// A certificate that nobody vouches for is not told as a password that is wrong.
func TestUntrusted(t *testing.T) {
	srv := mailaccesstest.New(t, nil)
	for _, c := range []*imapplace.Config{
		{Address: srv.IMAPS, Security: imapplace.ImplicitTLS}, {Address: srv.IMAP, Security: imapplace.StartTLS},
	} {
		c.User, c.Password = user, func(context.Context) (string, error) { return "secret", nil }
		c.TLS = &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool()}
		r := run(t.Context(), t, imapplace.New(c), nil)
		if !strings.Contains(r.Error, "connect to "+c.Address+": tls: failed to verify certificate") {
			t.Errorf("%v: %s", c.Security, r.Error)
		}
	}
	if said := srv.Commands(mailaccesstest.Login); len(said) > 0 {
		t.Errorf("the password was given away: %v", said)
	}
}
