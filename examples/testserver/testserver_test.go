package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A client in another process has all it needs: addresses, an authority to trust, mail,
// failures, and what was said.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mail", "one.eml"), "Subject: one\n\n")
	write(t, filepath.Join(dir, "mail", "Work", "two.eml"), "Subject: two\n\n")
	said := filepath.Join(dir, "said.txt")
	serve(t, []string{"--mail", filepath.Join(dir, "mail"), "--transcript", said, "--refuse", "EXPUNGE NO [UNAVAILABLE] Not now"}, func(c *imapclient.Client) {
		for _, name := range []string{"INBOX", "Work"} {
			if box, err := c.Select(name, nil).Wait(); err != nil || box.NumMessages != 1 {
				t.Fatalf("%s: %+v, %v", name, box, err)
			}
		}
		err := c.Expunge().Close()
		if refusal := (*imap.Error)(nil); !errors.As(err, &refusal) || refusal.Code != imap.ResponseCodeUnavailable {
			t.Errorf("EXPUNGE: %v", err)
		}
	})
	if text, err := os.ReadFile(said); err != nil || !strings.Contains(string(text), "NO [UNAVAILABLE] Not now") {
		t.Errorf("the transcript is %q, %v", text, err)
	}
}

// Mail comes from any of the three kinds of places.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "maildir", "cur", "1.x:2,S"), "Subject: one\n\n")
	write(t, filepath.Join(dir, "mail.mbox"), "From a Mon Jan  1 00:00:00 2024\nSubject: one\n\n\nFrom b Mon Jan  1 00:00:00 2024\nSubject: two\n\n\n")
	for name, want := range map[string]uint32{"maildir": 1, "mail.mbox": 2} {
		serve(t, []string{"--mail", filepath.Join(dir, name)}, func(c *imapclient.Client) {
			if box, err := c.Select("INBOX", nil).Wait(); err != nil || box.NumMessages != want {
				t.Errorf("%s: %+v, %v; want %d messages", name, box, err, want)
			}
		})
	}
	write(t, filepath.Join(dir, "no.mbox"), "Subject: one\n\n")
	for name, args := range map[string][]string{
		"no.mbox: mbox: it does not begin": {"--mail", filepath.Join(dir, "no.mbox")},
		"no such file":                     {"--mail", filepath.Join(dir, "nothing")},
		"no answer is given":               {"--refuse", "FETCH"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %q", args, err, name)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve runs the program while a client uses it, which knows only what it prints.
func serve(t *testing.T, args []string, use func(*imapclient.Client)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, args, in)
		in.CloseWithError(err)
		ended <- err
	}()
	lines, printed := bufio.NewScanner(out), make(map[string]string)
	for printed["ca"] == "" && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		printed[name] = value
	}
	pem, err := os.ReadFile(printed["ca"])
	if err != nil {
		t.Fatalf("%v; printed %v, %v", err, printed, lines.Err())
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(pem)
	c, err := imapclient.DialTLS(printed["imaps"], &imapclient.Options{TLSConfig: &tls.Config{RootCAs: trusted}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ann", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	use(c)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
