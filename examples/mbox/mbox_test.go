package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The archive keeps the contract, as far as one that nobody can change comes to do so.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		dir := t.TempDir()
		a, err := openArchive(dir, "ann")
		if err != nil {
			t.Fatal(err)
		}
		return storetest.Harness{
			Store:   a,
			Account: "ann",
			// The format has no other way to end a message than a line.
			WholeLines: true,
			Deliver: func(ctx context.Context, _ mailaccess.MailboxID, raw []byte, _ mailaccess.Flags, received time.Time) (mailaccess.UID, error) {
				if received.IsZero() {
					received = time.Now()
				}
				n := len(a.boxes[0].messages)
				add(t, filepath.Join(dir, "inbox.mbox"), raw, received)
				err := a.Refresh()
				return mailaccess.UID(n + 1), err
			},
		}
	})
}

// add puts a message at the end of a file.
func add(t testing.TB, path string, raw []byte, received time.Time) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("From suite@example.org " + received.UTC().Format(time.ANSIC) + "\n")
	for line := range bytes.Lines(raw) {
		if bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			b.WriteByte('>')
		}
		b.Write(line)
	}
	b.WriteByte('\n')
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// A client reads the archive, cannot change it, and is told of what is added.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	old := time.Date(2013, 5, 6, 7, 8, 9, 0, time.UTC)
	add(t, filepath.Join(dir, "list.mbox"), []byte("Subject: first\n\nFrom here to there\n"), old)
	add(t, filepath.Join(dir, "list.mbox"), []byte("Subject: second\n\n"), old.Add(time.Hour))
	validity := serve(t, dir, func(c *imapclient.Client, told <-chan uint32) uint32 {
		box, err := c.Select("list", nil).Wait()
		if err != nil || box.NumMessages != 2 {
			t.Fatalf("%+v, %v", box, err)
		}
		section := &imap.FetchItemBodySection{Peek: true}
		found, err := c.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil || len(found) != 1 || !found[0].InternalDate.Equal(old) {
			t.Fatalf("%+v, %v", found, err)
		}
		if got, want := string(found[0].FindBodySection(section)), "Subject: first\r\n\r\nFrom here to there\r\n"; got != want {
			t.Errorf("the first message is %q, want %q", got, want)
		}
		err = c.Store(imap.SeqSetNum(1), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagSeen}}, nil).Close()
		if refusal := (*imap.Error)(nil); !errors.As(err, &refusal) || refusal.Type != imap.StatusResponseTypeNo {
			t.Errorf("STORE: %v", err)
		}
		idle, err := c.Idle()
		if err != nil {
			t.Fatal(err)
		}
		add(t, filepath.Join(dir, "list.mbox"), []byte("Subject: third\n\n"), old.Add(2*time.Hour))
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(syscall.SIGHUP)
		}
		if err != nil {
			t.Fatal(err)
		}
		for n := uint32(0); n != 3; {
			select {
			case n = <-told:
			case <-time.After(time.Minute):
				t.Fatalf("told of %d messages, want 3", n)
			}
		}
		if err := errors.Join(idle.Close(), idle.Wait()); err != nil {
			t.Error(err)
		}
		return box.UIDValidity
	})
	// The mailbox is the same when it is served again, for as long as the file is.
	serve(t, dir, func(c *imapclient.Client, _ <-chan uint32) uint32 {
		box, err := c.Select("list", nil).Wait()
		if err != nil || box.NumMessages != 3 || box.UIDValidity != validity {
			t.Errorf("%+v, %v; want 3 messages and UIDVALIDITY %d", box, err, validity)
		}
		return 0
	})
	if err := os.Remove(filepath.Join(dir, "list.mbox")); err != nil {
		t.Fatal(err)
	}
	add(t, filepath.Join(dir, "list.mbox"), []byte("Subject: other\n\n"), old.Add(time.Second))
	serve(t, dir, func(c *imapclient.Client, _ <-chan uint32) uint32 {
		box, err := c.Select("list", nil).Wait()
		if err != nil || box.NumMessages != 1 || box.UIDValidity <= validity {
			t.Errorf("%+v, %v; want a message and another UIDVALIDITY than %d", box, err, validity)
		}
		return 0
	})
}

// serve runs the program while a client uses it.
func serve(t *testing.T, dir string, use func(*imapclient.Client, <-chan uint32) uint32) uint32 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--dir", dir, "--user", "ann", "--password", "secret"}, in)
		in.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSpace(line), "IMAP on "))
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan uint32, 16) // how many messages there are
	c := imapclient.New(nc, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				told <- *data.NumMessages
			}
		},
	}})
	defer c.Close()
	if err := c.Login("ann", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	v := use(c, told)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return v
}

// What is no archive is not served, and what is not one any more not read.
func TestErrors(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"it does not begin with a line of From":   {"a.mbox": "Subject: no\n"},
		"INBOX.mbox is the mailbox INBOX already": {"INBOX.mbox": "", "inbox.mbox": ""},
		"invalid: control character":              {"a\tb.mbox": ""},
	} {
		dir := t.TempDir()
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := openArchive(dir, "ann"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	file := filepath.Join(t.TempDir(), "a.mbox")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("From x\n\n1\n\n")
	a, err := openArchive(filepath.Dir(file), "ann")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ann, err := a.Open(t.Context(), "ann", mailaccess.Identity{User: "ann", Account: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	box, err := ann.Lookup(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(text string) {
		t.Helper()
		write(text)
		if err := a.Refresh(); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	content := func(want error) {
		t.Helper()
		for m, err := range ann.Messages(t.Context(), box.ID, mailaccess.UIDSetOf(1)) {
			if err != nil {
				t.Fatal(err)
			}
			c, err := ann.Content(t.Context(), m.EmailID)
			if err == nil {
				err = c.Close()
			}
			if !errors.Is(err, want) {
				t.Errorf("the content: %v, want %v", err, want)
			}
		}
	}
	refused("From x\n\n1\n\n2\n") // this is no message
	content(nil)
	refused("From x\n\n")
	content(mailaccess.KindCorrupt)
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	refused("From x\n\n1\n\nFrom y\n\n2\n\n") // not the same file
	content(mailaccess.KindCorrupt)
}

// Where a message is read from makes no difference, however long its lines are.
func TestRandomAccess(t *testing.T) {
	raw := strings.Repeat(strings.Repeat("x", 70)+"\n>From a\n>>From b\n\n", 4000) + strings.Repeat("y", 200_000) + "\n"
	want := strings.ReplaceAll(strings.NewReplacer(">From", "From", ">>From", ">From").Replace(raw), "\n", "\r\n")
	file := strings.NewReader("From x\n" + raw + "\n")
	found, whole, err := scan(file, 0, true)
	if err != nil || !whole || len(found) != 1 || found[0].size != int64(len(want)) || len(found[0].marks) < 5 {
		t.Fatalf("%d messages, %v, %v", len(found), whole, err)
	}
	for at := 0; at <= len(want); at += 9973 {
		r, err := found[0].open(file, int64(at))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want[at:] {
			t.Fatalf("from %d: %d octets, %v; want %d", at, len(got), err, len(want)-at)
		}
	}
}
