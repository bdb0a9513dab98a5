package hooks_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestStranger builds the program of testdata/stranger, which is in a module of its own
// and can use exported names only, and drives it with clients that others wrote.
func TestStranger(t *testing.T) {
	t.Parallel()
	s := startStranger(t)

	// POP3 shows INBOX, and removes from it.
	p := s.pop3(t)
	p.want(t, "STAT", "+OK 2 ")
	p.want(t, "RETR 2", "+OK")
	text, err := p.ReadDotBytes()
	if err != nil || string(text) != "Subject: second\n\n.Dots.\n" {
		t.Errorf("RETR 2: %q, %v", text, err)
	}
	p.want(t, "DELE 1", "+OK")
	p.want(t, "QUIT", "+OK")

	// IMAP shows all mailboxes, and that one is gone.
	exists := make(chan uint32, 8)
	c := s.imap(t, &imapclient.UnilateralDataHandler{Mailbox: func(d *imapclient.UnilateralDataMailbox) {
		if d.NumMessages != nil {
			exists <- *d.NumMessages
		}
	}})
	list, err := c.List("", "*", nil).Collect()
	must(t, "list", err)
	var names []string
	for _, box := range list {
		names = append(names, box.Mailbox)
		if box.Mailbox == "Sent" && !slices.Contains(box.Attrs, imap.MailboxAttrSent) {
			t.Errorf("Sent has the attributes %q", box.Attrs)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"INBOX", "Letters", "Letters/2026", "Sent"}) {
		t.Errorf("mailboxes %q", names)
	}
	selected, err := c.Select("INBOX", nil).Wait()
	must(t, "select", err)
	if selected.NumMessages != 1 {
		t.Fatalf("INBOX has %d messages, want 1", selected.NumMessages)
	}
	wantFlags(t, c, imap.FlagFlagged, "urgent")

	// Flags are changed, a message is stored and found again by another session.
	must(t, "store", c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagAnswered}}, nil).Close())
	must(t, "store", c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsDel, Flags: []imap.Flag{"urgent"}}, nil).Close())
	const draft = "Subject: sent\r\n\r\nFarewell.\r\n"
	add := c.Append("Sent", int64(len(draft)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen}})
	_, err = io.WriteString(add, draft)
	must(t, "append", err)
	must(t, "append", add.Close())
	_, err = add.Wait()
	must(t, "append", err)
	other := s.imap(t, nil)
	_, err = other.Select("INBOX", nil).Wait()
	must(t, "select", err)
	wantFlags(t, other, imap.FlagAnswered, imap.FlagFlagged)
	_, err = other.Select("Sent", nil).Wait()
	must(t, "select", err)
	wantFlags(t, other, imap.FlagSeen)
	if got := wholeMessage(t, other); got != draft {
		t.Errorf("Sent holds %q, want %q", got, draft)
	}

	// What comes in is pushed to whoever waits.
	idle, err := c.Idle()
	must(t, "idle", err)
	s.deliver(t, "news")
	select {
	case n := <-exists:
		if n != 2 {
			t.Errorf("INBOX has %d messages, want 2", n)
		}
	case <-t.Context().Done():
		t.Fatal("nothing was pushed")
	}
	must(t, "done", idle.Close())
	must(t, "done", idle.Wait())

	// EXPUNGE removes.
	must(t, "store", c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close())
	gone, err := c.Expunge().Collect()
	must(t, "expunge", err)
	if !slices.Equal(gone, []uint32{1}) {
		t.Errorf("expunged %v, want 1", gone)
	}
	p = s.pop3(t)
	p.want(t, "STAT", "+OK 1 ")
	p.want(t, "RETR 1", "+OK")
	if text, err = p.ReadDotBytes(); err != nil || string(text) != "Subject: news\n\nIt came.\n" {
		t.Errorf("RETR 1: %q, %v", text, err)
	}
	p.want(t, "QUIT", "+OK")
}

// stranger is the program, running.
type stranger struct {
	imaps, pop3s string
	stdin        io.WriteCloser
}

func startStranger(t *testing.T) *stranger {
	t.Helper()
	dir := t.TempDir()
	// What this module needs changes with time: the program's own go.mod is
	// completed on a copy. Nothing is fetched.
	for from, to := range map[string]string{"testdata/stranger/go.mod": "go.mod", "../../go.sum": "go.sum"} {
		data, err := os.ReadFile(from)
		must(t, "read", err)
		must(t, "write", os.WriteFile(filepath.Join(dir, to), data, 0o600))
	}
	binary := filepath.Join(dir, "stranger")
	build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-modfile", filepath.Join(dir, "go.mod"), "-o", binary, ".")
	build.Dir = "testdata/stranger"
	build.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s := new(stranger)
	cmd := exec.Command(binary)
	cmd.Stderr = t.Output()
	var err error
	s.stdin, err = cmd.StdinPipe()
	must(t, "pipe", err)
	stdout, err := cmd.StdoutPipe()
	must(t, "pipe", err)
	must(t, "start", cmd.Start())
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		defer late.Stop()
		_ = s.stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with %v", err)
		}
	})
	for lines := bufio.NewScanner(stdout); s.imaps == "" || s.pop3s == ""; {
		if !lines.Scan() {
			t.Fatalf("the program did not say its addresses: %v", lines.Err())
		}
		switch name, addr, _ := strings.Cut(lines.Text(), " "); name {
		case "imaps":
			s.imaps = addr
		case "pop3s":
			s.pop3s = addr
		}
	}
	return s
}

func (s *stranger) deliver(t *testing.T, subject string) {
	t.Helper()
	_, err := fmt.Fprintln(s.stdin, subject)
	must(t, "deliver", err)
}

// The certificate of the program is one that nobody knows.
var anyCertificate = &tls.Config{InsecureSkipVerify: true}

func (s *stranger) imap(t *testing.T, h *imapclient.UnilateralDataHandler) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(s.imaps, &imapclient.Options{TLSConfig: anyCertificate, UnilateralDataHandler: h})
	must(t, "dial", err)
	t.Cleanup(func() { c.Close() })
	must(t, "login", c.Login("kim", "sesame").Wait())
	return c
}

type pop3Client struct{ *textproto.Conn }

func (s *stranger) pop3(t *testing.T) pop3Client {
	t.Helper()
	nc, err := tls.Dial("tcp", s.pop3s, anyCertificate)
	must(t, "dial", err)
	must(t, "set a deadline", nc.SetDeadline(time.Now().Add(time.Minute)))
	c := pop3Client{textproto.NewConn(nc)}
	t.Cleanup(func() { c.Close() })
	_, err = c.ReadLine()
	must(t, "greeting", err)
	c.want(t, "USER kim", "+OK")
	c.want(t, "PASS sesame", "+OK")
	return c
}

func (c pop3Client) want(t *testing.T, command, prefix string) {
	t.Helper()
	must(t, command, c.PrintfLine("%s", command))
	line, err := c.ReadLine()
	if must(t, command, err); !strings.HasPrefix(line, prefix) {
		t.Fatalf("%s: %q, want %q", command, line, prefix)
	}
}

// wantFlags demands that the first message of the selected mailbox has these flags.
func wantFlags(t *testing.T, c *imapclient.Client, want ...imap.Flag) {
	t.Helper()
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{Flags: true}).Collect()
	must(t, "fetch", err)
	got := slices.DeleteFunc(msgs[0].Flags, func(f imap.Flag) bool { return f == `\Recent` })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("flags %q, want %q", got, want)
	}
}

func wholeMessage(t *testing.T, c *imapclient.Client) string {
	t.Helper()
	whole := &imap.FetchItemBodySection{Peek: true}
	msgs, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	must(t, "fetch", err)
	return string(msgs[0].FindBodySection(whole))
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
