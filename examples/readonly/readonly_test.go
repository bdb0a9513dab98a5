package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is named passes, and nothing else does.
func TestWrapper(t *testing.T) {
	newInner := func(testing.TB) storetest.Harness {
		return storetest.Harness{Store: memory.New(nil), Account: "ann"}
	}
	storetest.Wrapper(t, newInner, func(s mailaccess.Store) mailaccess.Store { return readOnly{s} },
		"SavedDates", "Threads", "Search", "Derived", "Lease", "Locate", "UniqueIDs", "Hold")
}

// A client reads a Maildir and cannot change it.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	deliver(t, dir)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--store", "maildir:" + dir, "--user", "ann", "--password", "secret"}, in)
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
	c := imapclient.New(nc, nil)
	defer c.Close()
	if err := c.Login("ann", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil || box.NumMessages != 1 {
		t.Fatalf("%+v, %v", box, err)
	}
	set := imap.SeqSetNum(1)
	found, err := c.Fetch(set, &imap.FetchOptions{Envelope: true}).Collect()
	if err != nil || len(found) != 1 || found[0].Envelope.Subject != "kept" {
		t.Fatalf("%+v, %v", found, err)
	}
	flags := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}}
	for what, err := range map[string]error{
		"STORE":  c.Store(set, flags, nil).Close(),
		"CREATE": c.Create("New", nil).Wait(),
		"COPY":   second(c.Copy(set, "INBOX").Wait()),
	} {
		if refusal := (*imap.Error)(nil); !errors.As(err, &refusal) || refusal.Type != imap.StatusResponseTypeNo {
			t.Errorf("%s: %v", what, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// deliver puts a message into ann's Maildir, as any program may.
func deliver(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "ann", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ann", "new", "1.example"), []byte("Subject: kept\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
