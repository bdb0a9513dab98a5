package imap_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir"
)

// TestGigabyteInAFile: a message of a gigabyte goes into a Maildir and comes out of it in
// constant memory, counted as all that is allocated meanwhile; one that another program
// delivered too, whose lines end in LF and whose size its name does not tell.
func TestGigabyteInAFile(t *testing.T) {
	size := int64(1 << 30)
	if raceEnabled {
		size = 1 << 26 // nothing but time
	}
	dir := t.TempDir()
	fx := fuzzFixture()
	fx.Messages = nil
	fx.Options["max-literal"], fx.Options["max-upload"] = fmt.Sprint(size), fmt.Sprint(size)
	s := startServer(t, fx, filedIn(t, dir, &maildir.Options{Sync: maildir.SyncOff}))
	client, nc := net.Pipe() // not by Dial, which keeps what is said
	s.wg.Go(func() { s.srv.ServeConn(nc) })
	t.Cleanup(func() {
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := client.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	r := selectInbox(t, client)

	// constant runs f, which may allocate next to nothing.
	constant := func(what string, f func()) {
		t.Helper()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2<<20 {
			t.Errorf("%s: %d octets were allocated", what, n)
		}
	}
	// fetch compares a message with what yields it.
	fetch := func(n int, size int64, want io.Reader) {
		t.Helper()
		converseUntil(t, client, r, fmt.Sprintf("f FETCH %d (RFC822.SIZE BODY.PEEK[])\r\n", n),
			fmt.Sprintf("* %d FETCH (RFC822.SIZE %d BODY[] {%d}\r\n", n, size, size))
		got, expected := make([]byte, 64<<10), make([]byte, 64<<10)
		for left := size; left > 0; {
			k := min(left, int64(len(got)))
			if _, err := io.ReadFull(r, got[:k]); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(want, expected[:k]); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[:k], expected[:k]) {
				t.Fatalf("message %d differs within %d octets from octet %d on: %.60q, want %.60q", n, k, size-left, got[:k], expected[:k])
			}
			left -= k
		}
		converseUntil(t, client, r, "", ")\r\n")
		converseUntil(t, client, r, "", "f OK ")
	}

	constant("APPEND", func() {
		if _, err := fmt.Fprintf(client, "a APPEND INBOX {%d+}\r\n", size); err != nil {
			t.Fatal(err)
		}
		if _, err := writeLines(client, size); err != nil {
			t.Fatal(err)
		}
		converseUntil(t, client, r, "\r\n", "a OK ")
	})
	constant("FETCH", func() { fetch(1, size, io.NewSectionReader(endlessContent(size), 0, size)) })

	// Nearly all of it is a hole, which reads as NULs and takes no room on the disk. A literal
	// may not hold them (RFC 3501, section 4.3.1).
	size /= 4
	const head, tail = "Subject: a hole\n\n", "\nthe end\n"
	name := filepath.Join(dir, "demo", "tmp", "1700000000.M1P7.example")
	f, err := os.Create(name)
	if err == nil {
		_, err = f.WriteString(head)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(tail), size)
	}
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name, filepath.Join(dir, "demo", "new", filepath.Base(name))); err != nil {
		t.Fatal(err)
	}
	converseUntil(t, client, r, "b IDLE\r\n", "* 2 EXISTS")
	converseUntil(t, client, r, "DONE\r\n", "b OK ")
	wire := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	constant("FETCH with LF", func() {
		nuls := size - int64(len(head))
		fetch(2, int64(len(wire(head)))+nuls+int64(len(wire(tail))),
			io.MultiReader(strings.NewReader(wire(head)), io.LimitReader(instead{}, nuls), strings.NewReader(wire(tail))))
	})
}

// instead yields what stands for NULs in a literal.
type instead struct{}

func (instead) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 0x80
	}
	return len(p), nil
}
