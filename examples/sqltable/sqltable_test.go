package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"database/sql"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A letter is read, marked, filed and removed by a client, and the table says so.
func TestLetters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "letters.db")
	if err := run(t.Context(), []string{"--db", path, "--add", "ann@example.org", "--password", "secret"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	validity := serve(t, path, func(c *imapclient.Client) uint32 {
		if err := c.Login("ann@example.org", "wrong").Wait(); err == nil {
			t.Error("a wrong password logs in")
		}
		if err := c.Login("ann@example.org", "secret").Wait(); err != nil {
			t.Fatal(err)
		}
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil || box.NumMessages != 1 {
			t.Fatalf("%+v, %v", box, err)
		}
		one := imap.SeqSetNum(1)
		got, err := c.Fetch(one, &imap.FetchOptions{Envelope: true}).Collect()
		if err != nil || got[0].Envelope.Subject != "Welcome" {
			t.Fatalf("%+v, %v", got, err)
		}
		seen := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen, "$Important"}}
		if err := c.Store(one, seen, nil).Close(); err != nil {
			t.Fatal(err)
		}
		a := c.Append("Archive", 17, nil)
		if _, err := io.WriteString(a, "Subject: New\r\n\r\n."); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Move(one, "Archive").Wait(); err != nil {
			t.Fatal(err)
		}
		return box.UIDValidity
	})
	if got, want := table(t, path), `Archive "" Subject: New|Archive "\Seen $Important" Subject: Welcome`; got != want {
		t.Errorf("the table has\n%s\nnot\n%s", got, want)
	}
	// Whoever comes back after a restart finds mailboxes as they were.
	again := serve(t, path, func(c *imapclient.Client) uint32 {
		if err := c.Login("ann@example.org", "secret").Wait(); err != nil {
			t.Fatal(err)
		}
		box, err := c.Select("INBOX", nil).Wait()
		if err != nil || box.NumMessages != 0 || box.UIDNext != 2 {
			t.Fatalf("%+v, %v", box, err)
		}
		return box.UIDValidity
	})
	if again != validity {
		t.Errorf("UIDVALIDITY was %d and is %d", validity, again)
	}
}

// serve runs the program while a client uses it.
func serve(t *testing.T, path string, use func(*imapclient.Client) uint32) uint32 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--db", path, "--imaps", "127.0.0.1:0", "--pop3s", "127.0.0.1:0"}, in)
		in.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewReader(out)
	var addresses []string
	for range 2 {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)
		addresses = append(addresses, words[len(words)-1])
	}
	// The program signs its certificate itself.
	c, err := imapclient.DialTLS(addresses[0], &imapclient.Options{TLSConfig: &tls.Config{InsecureSkipVerify: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v := use(c)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return v
}

// table is what the table holds, a letter after the other.
func table(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all sql.NullString
	err = db.QueryRow(`SELECT group_concat(l, '|') FROM (SELECT folder || ' "' || flags || '" ' ||
		rtrim(substr(body, 1, instr(body, char(10)) - 1), char(13)) AS l FROM letter ORDER BY l)`).Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all.String
}
