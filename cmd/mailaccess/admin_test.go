package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/stores/maildir"
)

// runIn runs the program to its end, and returns its exit code and what it printed.
func runIn(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// serveMaildir serves a Maildir store at path to alice, and returns where IMAP is.
func serveMaildir(t *testing.T, path string, more ...string) (*program, string) {
	t.Helper()
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	p := start(t, true, append([]string{"serve", "--users", users, "--store", "maildir:" + path, "--imap", "127.0.0.1:0",
		"--imaps", "", "--pop3", "", "--pop3s", "", "--allow-plaintext-auth"}, more...)...)
	return p, p.served("imap")
}

// A message that is delivered while a server runs is pushed; expunged, it is brought back.
func TestDeliverAndUndeleteBesideServer(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	_, addr := serveMaildir(t, mail)
	c := dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b create Work", `b OK`)
	c.do("c select Work", `c OK`)
	c.do("d idle", `\+ `)
	if code, _, stderr := runIn(t, "Subject: hello\n\n", "deliver", "alice", "--mailbox", "Work", "--store", "maildir:"+mail); code != 0 {
		t.Fatalf("deliver: %d, %s", code, stderr)
	}
	c.expect(`\* 1 EXISTS`)
	c.do("done", `d OK`)
	c.do(`e store 1 +flags.silent (\Deleted \Flagged)`, `e OK`)
	c.do("f expunge", `f OK`)
	code, stdout, stderr := runIn(t, "", "undelete", "alice", "--mailbox", "Work", "--since", "1h", "--store", "maildir:"+mail)
	if code != 0 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, "\tWork\t") {
		t.Fatalf("undelete: %d, %q, %s", code, stdout, stderr)
	}
	c.do("g idle", `\* 1 EXISTS`)
	c.do("done", `g OK`)
	c.do("h fetch 1 (uid flags)", `\* 1 FETCH \(UID 2 FLAGS \(\\Flagged( \\Recent)?\)\)`)
}

// With --keep-expunged 0 there is nothing to bring back once the server has ended.
func TestServeKeepsNothing(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	p, addr := serveMaildir(t, mail, "--keep-expunged", "0", "--store-memory", "16MiB")
	if code, _, stderr := runIn(t, "Subject: hello\n\n", "deliver", "alice", "--store", "maildir:"+mail); code != 0 {
		t.Fatal(stderr)
	}
	c := dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b select INBOX", `b OK`)
	c.do(`c store 1 +flags.silent \Deleted`, `c OK`)
	c.do("d expunge", `d OK`)
	c.do("e logout", `\* BYE`)
	p.cancel()
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if code, stdout, stderr := runIn(t, "", "undelete", "alice", "--list", "--store", "maildir:"+mail); code != 0 || stdout != "" {
		t.Errorf("%d, %q, %s; want nothing", code, stdout, stderr)
	}
}

// Clients see names as another server had them.
func TestServeNames(t *testing.T) {
	_, addr := serveMaildir(t, filepath.Join(t.TempDir(), "mail"), "--name-separator", ".", "--name-prefix", "INBOX.")
	c := dial(t, addr, nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b create INBOX.Work.Old", `b OK`)
	c.do(`c list "" INBOX.Work.*`, `\* LIST .* "\." "?INBOX\.Work\.Old"?`)
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	for _, flags := range [][]string{{"--name-separator", ""}, {"--name-separator", ".."}, {"--name-separator", "a"}, {"--name-prefix", "INBOX"}} {
		code, _, stderr := runIn(t, "", append([]string{"serve", "--users", users, "--imaps", "", "--pop3s", "", "--store", "memory:"}, flags...)...)
		if code != 1 || !strings.Contains(stderr, "--name-separator") {
			t.Errorf("%q: %d, %s", flags, code, stderr)
		}
	}
}

// Clients of an account that another server kept see the names that they know, and those of
// others none of it; flags say otherwise for all.
func TestServeNamesOfOrigin(t *testing.T) {
	for _, test := range []struct {
		flags []string
		want  string // of Work/Old
	}{
		{nil, `\* LIST .* "\." "?INBOX\.Work\.Old"?`},
		{[]string{"--name-separator", "/"}, `\* LIST .* "/" "?Work/Old"?`},
	} {
		mail := filepath.Join(t.TempDir(), "mail")
		for _, dir := range []string{"cur", "new", "tmp", ".Work.Old/cur", ".Work.Old/new", ".Work.Old/tmp"} {
			if err := os.MkdirAll(filepath.Join(mail, "alice", dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(mail, "alice", "courierimapuiddb"), []byte("1 1234567890 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, addr := serveMaildir(t, mail, test.flags...)
		c := dial(t, addr, nil)
		c.expect(`\* OK`)
		c.do("a login alice sesame", `a OK`)
		c.do(`b list "" *Old`, test.want)
	}
}

// "check" asks the server that has the store open; its socket is its owner's alone, and goes
// with the server. It works however long the path is.
func TestCheckAsksServer(t *testing.T) {
	for _, dir := range []string{"mail", strings.Repeat("long-", 20) + "/mail"} {
		t.Run(dir[:4], func(t *testing.T) {
			mail := filepath.Join(t.TempDir(), dir)
			own, err := maildir.OwnDir(mail)
			if err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(own, adminSocket)
			// One was left behind.
			if err := errors.Join(os.MkdirAll(own, 0o700), os.WriteFile(socket, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			p, addr := serveMaildir(t, mail)
			c := dial(t, addr, nil)
			c.expect(`\* OK`)
			c.do("a login alice sesame", `a OK`)
			c.do("b select INBOX", `b OK`)
			info, err := os.Stat(socket)
			if err != nil || info.Mode() != fs.ModeSocket|0o600 {
				t.Errorf("the socket: %v, %v", info.Mode(), err)
			}
			if code, stdout, stderr := runIn(t, "", "check", "--store", "maildir:"+mail); code != 0 || stdout != "" {
				t.Errorf("check: %d, %q, %s", code, stdout, stderr)
			}
			lost := filepath.Join(mail, "alice", "tmp", "1.lost.host")
			if err := os.WriteFile(lost, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(lost, time.Time{}, time.Now().Add(-48*time.Hour)); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := runIn(t, "", "check", "Alice", "--repair", "--store", "maildir:"+mail)
			if want := "alice: INBOX: a delivery was left in tmp for more than 36h0m0s: \"1.lost.host\" (repaired)\n"; code != 1 || stdout != want || stderr != "" {
				t.Errorf("check --repair: %d, %q, %q; want %q", code, stdout, stderr, want)
			}
			if code, stdout, stderr := runIn(t, "", "check", "nobody", "--store", "maildir:"+mail); code != 2 || stdout != "" || !strings.Contains(stderr, "not found") {
				t.Errorf("check of nobody: %d, %q, %s", code, stdout, stderr)
			}
			p.cancel()
			if code := p.wait(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

// Another process has the store open, and no socket.
func TestCheckWithoutServerToAsk(t *testing.T) {
	mail := filepath.Join(t.TempDir(), "mail")
	s, err := maildir.New(mail, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if code, _, stderr := runIn(t, "", "check", "--store", "maildir:"+mail); code != 2 || !strings.Contains(stderr, "a server has the store open: nobody answers at ") {
		t.Errorf("%d, %s", code, stderr)
	}
}

// A check that does not come to its end is no clean one.
func TestCheckOfServerThatEnds(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"cut":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"finding":{"what":"x"}}`+"\n") },
		"failed": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"error":"disk"}`+"\n") },
		"other":  http.NotFound,
	} {
		dir := t.TempDir()
		l, err := net.Listen("unix", filepath.Join(dir, adminSocket))
		if err != nil {
			t.Fatal(err)
		}
		s := http.Server{Handler: handler}
		go s.Serve(l) //nolint:errcheck // it ends with the test
		if err := askCheck(t.Context(), filepath.Join(dir, adminSocket), checkRequest{}, func(maildir.Finding) {}); err == nil {
			t.Errorf("%s: no error", name)
		}
		s.Close()
	}
}

// What is no request is refused.
func TestAdminRefuses(t *testing.T) {
	mail := t.TempDir()
	s, err := maildir.New(mail, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir, err := maildir.OwnDir(mail)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openAdmin(filepath.Join(dir, adminSocket), s, auth.Guard(auth.Static(nil), nil), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir, adminSocket))
	}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	big, err := json.Marshal(checkRequest{Accounts: []string{strings.Repeat("x", maxRequest)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "{", string(big)} {
		answer, err := client.Post("http://x/check", "", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: %s", body, answer.Status)
		}
	}
	answer, err := client.Get("http://x/check")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", answer.Status)
	}
}
