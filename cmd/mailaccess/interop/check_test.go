//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// What the server holds is prepared and checked with go-imap's client and, over
// POP3, with curl.

// session logs in over TLS with go-imap's client. It is cut off when the time of
// d is over.
func (d *demo) session(t *testing.T, handler *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(d.imaps, &imapclient.Options{TLSConfig: d.tls, UnilateralDataHandler: handler})
	if err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(d.ctx, func() { c.Close() })
	t.Cleanup(func() {
		stop()
		c.Close()
	})
	must(t, "login", c.Login("demo", "demo").Wait())
	return c
}

func logout(t *testing.T, c *imapclient.Client) {
	t.Helper()
	must(t, "logout", c.Logout().Wait())
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// appendMail appends a message and returns its place.
func appendMail(t *testing.T, c *imapclient.Client, mailbox string, mail []byte, options *imap.AppendOptions) *imap.AppendData {
	t.Helper()
	cmd := c.Append(mailbox, int64(len(mail)), options)
	_, err := cmd.Write(mail)
	must(t, "append: literal", err)
	must(t, "append: end", cmd.Close())
	data, err := cmd.Wait()
	must(t, "append to "+mailbox, err)
	return data
}

// put appends messages, in a session of its own.
func (d *demo) put(t *testing.T, mailbox string, mails [][]byte) {
	t.Helper()
	c := d.session(t, nil)
	for _, m := range mails {
		appendMail(t, c, mailbox, m, nil)
	}
	logout(t, c)
}

// expunge removes what is marked as deleted in a mailbox, which clients that close it
// would do.
func (d *demo) expunge(t *testing.T, mailbox string) {
	t.Helper()
	c := d.session(t, nil)
	_, err := c.Select(mailbox, nil).Wait()
	must(t, "select "+mailbox, err)
	must(t, "expunge", c.Expunge().Close())
	logout(t, c)
}

// A stored message is what IMAP tells of one.
type stored struct {
	raw   []byte
	flags []imap.Flag // sorted
}

// overIMAP fetches what is in a mailbox, in order, and leaves the flags alone.
func (d *demo) overIMAP(t *testing.T, mailbox string) []stored {
	t.Helper()
	c := d.session(t, nil)
	selected, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
	must(t, "examine "+mailbox, err)
	var mails []stored
	if selected.NumMessages > 0 {
		whole := &imap.FetchItemBodySection{Peek: true}
		fetched, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}},
			&imap.FetchOptions{Flags: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
		must(t, "fetch from "+mailbox, err)
		for _, m := range fetched {
			raw := m.FindBodySection(whole)
			if m.RFC822Size != int64(len(raw)) {
				t.Errorf("%s: RFC822.SIZE %d of a message of %d octets", mailbox, m.RFC822Size, len(raw))
			}
			slices.Sort(m.Flags)
			mails = append(mails, stored{raw: raw, flags: m.Flags})
		}
	}
	if len(mails) != int(selected.NumMessages) {
		t.Errorf("%s: %d messages fetched of %d", mailbox, len(mails), selected.NumMessages)
	}
	logout(t, c)
	return mails
}

func raws(mails []stored) [][]byte {
	var b [][]byte
	for _, m := range mails {
		b = append(b, m.raw)
	}
	return b
}

// mailboxes returns the names of all mailboxes, sorted.
func (d *demo) mailboxes(t *testing.T) []string {
	t.Helper()
	c := d.session(t, nil)
	list, err := c.List("", "*", nil).Collect()
	must(t, "list", err)
	logout(t, c)
	var names []string
	for _, m := range list {
		names = append(names, m.Mailbox)
	}
	slices.Sort(names)
	return names
}

// overPOP3 fetches the n messages of the maildrop, in order, in one session.
func (d *demo) overPOP3(t *testing.T, n int) [][]byte {
	t.Helper()
	c := d.tool(t, "curl")
	return c.fetchAll(t, n, c.base(implicitTLS, "pop3")+"/[1-%d]")
}

// sameOverBoth demands that INBOX holds these messages, in that order, whether
// it is read over IMAP or over POP3.
func (d *demo) sameOverBoth(t *testing.T, want [][]byte) {
	t.Helper()
	sameMailInOrder(t, "INBOX over IMAP", raws(d.overIMAP(t, "INBOX")), want)
	sameMailInOrder(t, "INBOX over POP3", d.overPOP3(t, len(want)), want)
}

// readMaildir returns the messages of a Maildir in canonical form, by file name.
func readMaildir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	mails := make(map[string][]byte)
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			mails[filepath.Join(sub, e.Name())] = canonical(readFile(t, filepath.Join(dir, sub, e.Name())))
		}
	}
	return mails
}

// makeMaildir makes an empty Maildir.
func makeMaildir(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// equal compares what can be printed.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s: %s, want %s", what, g, w)
	}
}
