package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/memory"
)

// endless is a store whose messages are as large as one likes and which keeps none.
type endless struct {
	mailaccess.Store
	size int64 // of every message that is there
	// taken are the sizes of those that were appended.
	taken chan int64
}

func (s endless) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return endlessAccount{a, s}, err
}

type endlessAccount struct {
	mailaccess.Account
	s endless
}

func (a endlessAccount) Capabilities() mailaccess.Capabilities {
	return mailaccess.Capabilities{Append: a, AppendMany: true}
}

func (a endlessAccount) Content(context.Context, mailaccess.EmailID) (mailaccess.Content, error) {
	return endlessContent(a.s.size), nil
}

func (a endlessAccount) Stage(context.Context, int64) (mailaccess.Staged, error) {
	return new(nothingStaged), nil
}

func (a endlessAccount) Append(_ context.Context, _ mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	n := int64(0)
	for _, m := range msgs {
		n += m.Staged.Size()
	}
	a.s.taken <- n
	return mailaccess.Appended{UIDValidity: 1, Messages: make([]mailaccess.Message, 0)}, nil
}

type nothingStaged int64

func (n *nothingStaged) Write(p []byte) (int, error) {
	*n += nothingStaged(len(p))
	return len(p), nil
}

func (n *nothingStaged) Size() int64                          { return int64(*n) }
func (n *nothingStaged) Content() (mailaccess.Content, error) { return nil, mailaccess.KindUnsupported }
func (n *nothingStaged) Close() error                         { return nil }

// endlessContent is so many octets.
type endlessContent int64

var line = strings.Repeat("x", 998) + "\r\n"

func (c endlessContent) Size() int64  { return int64(c) }
func (c endlessContent) Close() error { return nil }

func (c endlessContent) ReadAt(p []byte, off int64) (n int, err error) {
	if left := int64(c) - off; int64(len(p)) > left {
		p, err = p[:left], io.EOF
	}
	for n < len(p) {
		n += copy(p[n:], line[(off+int64(n))%int64(len(line)):])
	}
	return n, err
}

func (c endlessContent) WriteRange(w io.Writer, _, n int64) (int64, error) {
	return writeLines(w, n)
}

// writeLines writes n octets, in large pieces.
func writeLines(w io.Writer, n int64) (int64, error) {
	piece := bytes.Repeat([]byte(line), 32)
	for left := n; left > 0; {
		m, err := w.Write(piece[:min(left, int64(len(piece)))])
		left -= int64(m)
		if err != nil {
			return n - left, err
		}
	}
	return n, nil
}

// startEndless is a connection, logged in, to a server over an endless store.
func startEndless(t *testing.T, size int64, limits map[string]string) (net.Conn, *bufio.Reader, <-chan int64) {
	t.Helper()
	fx, store := fuzzFixture(), inMemory(memory.New(nil))
	fx.Options = limits
	taken := make(chan int64, 2)
	store.served = endless{store.base, size, taken}
	s := startServer(t, fx, store)
	// Not by Dial, which keeps what is said.
	client, nc := net.Pipe()
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
	r := bufio.NewReader(client)
	converseUntil(t, client, r, "", "* OK ")
	converseUntil(t, client, r, "a LOGIN demo demo\r\n", "a OK ")
	return client, r, taken
}

// There is a limit to the octets that one command brings in, whatever they are made of:
// a URL is short.
func TestAppendOctets(t *testing.T) {
	const third = 1 << 30 / 3
	client, r, taken := startEndless(t, third, map[string]string{"max-upload": fmt.Sprint(int64(third))})
	converseUntil(t, client, r, "b APPEND INBOX"+strings.Repeat(" CATENATE (URL /INBOX/;UID=1)", 4)+"\r\n", "b NO [LIMIT] ")
	converseUntil(t, client, r, "c APPEND INBOX"+strings.Repeat(" CATENATE (URL /INBOX/;UID=1)", 3)+" {10}\r\n", "c NO [LIMIT] ")
	converseUntil(t, client, r, "d APPEND INBOX"+strings.Repeat(" CATENATE (URL /INBOX/;UID=1)", 3)+"\r\n", "d OK ")
	if got := <-taken; got != 3*third {
		t.Errorf("%d octets were appended, want %d", got, 3*third)
	}
}

// TestGigabyte: a message of a gigabyte is appended, catenated and decoded in constant
// memory, counted as all that is allocated meanwhile.
func TestGigabyte(t *testing.T) {
	const gigabyte = 1 << 30
	limit := fmt.Sprint(int64(2 * gigabyte))
	client, r, taken := startEndless(t, gigabyte, map[string]string{"max-literal": limit, "max-upload": limit})
	for _, test := range []struct {
		name string
		send func() error
		tag  string
		want int64 // octets appended, if any are
	}{
		{"APPEND", func() error {
			if _, err := fmt.Fprintf(client, "b APPEND INBOX {%d+}\r\n", int64(gigabyte)); err != nil {
				return err
			}
			if _, err := writeLines(client, gigabyte); err != nil {
				return err
			}
			_, err := io.WriteString(client, "\r\n")
			return err
		}, "b OK ", gigabyte},
		{"CATENATE", func() error {
			_, err := io.WriteString(client, "c APPEND INBOX CATENATE (TEXT {5+}\r\nhello URL /INBOX/;UID=1)\r\n")
			return err
		}, "c OK ", gigabyte + 5},
		{"BINARY", func() error {
			_, err := io.WriteString(client, "d EXAMINE INBOX\r\ne FETCH 1 BINARY.PEEK[]\r\n")
			if err == nil {
				converseUntil(t, client, r, "", "d OK ")
				converseUntil(t, client, r, "", fmt.Sprintf("* 1 FETCH (BINARY[] {%d}\r\n", int64(gigabyte)))
				_, err = r.Discard(gigabyte)
			}
			if err == nil {
				converseUntil(t, client, r, "", ")\r\n")
			}
			return err
		}, "e OK ", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			converseUntil(t, client, r, "", test.tag)
			runtime.ReadMemStats(&after)
			if test.want > 0 {
				if got := <-taken; got != test.want {
					t.Errorf("%d octets were appended, want %d", got, test.want)
				}
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d octets were allocated", n)
			}
		})
	}
}

// converseUntil says something and waits for a line that begins so.
func converseUntil(t *testing.T, client net.Conn, r *bufio.Reader, say, hear string) string {
	t.Helper()
	if say != "" {
		if _, err := io.WriteString(client, say); err != nil {
			t.Fatal(err)
		}
	}
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q: %v; want %q", say, err, hear)
		}
		if strings.HasPrefix(l, hear) {
			return l
		}
		if hear == "" || l[0] == hear[0] && l[0] != '*' {
			t.Fatalf("%q: heard %q, want %q", say, l, hear)
		}
	}
}

// sayAll says a script, with the rights that are left, and returns what was heard.
func sayAll(t *testing.T, store mailaccess.Store, without mailaccess.Rights, script string) string {
	t.Helper()
	e, err := engine.New(engine.Options{Store: store, Authenticator: limited{without}})
	if err != nil {
		t.Fatal(err)
	}
	ps := &protocols.Server{Protocol: imap.New(imap.Options{Engine: e})}
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		ps.ServeConn(server)
	}()
	go func() { _, _ = io.WriteString(client, script) }()
	all, err := io.ReadAll(client)
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := errors.Join(ps.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	return string(all)
}

// A URL of what may not be read names nothing (RFC 4469, section 7).
func TestCatenateNeedsTheRightToRead(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	const script = "l LOGIN demo demo\r\na APPEND INBOX {1+}\r\nx\r\nb APPEND INBOX CATENATE (URL /INBOX/;UID=1)\r\nc LOGOUT\r\n"
	for without, want := range map[mailaccess.Rights]string{0: "\nb OK ", mailaccess.RightRead: "\nb NO [BADURL /INBOX/;UID=1] "} {
		if got := sayAll(t, store, without, script); !strings.Contains(got, want) {
			t.Errorf("without %b: no %q in %q", without, want, got)
		}
	}
}

// REPLACE needs the rights to append, to mark as deleted and to expunge (RFC 8508, section
// 4.1), and says so before the message is sent.
func TestReplaceRights(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	sayAll(t, store, 0, "l LOGIN demo demo\r\na APPEND INBOX {1+}\r\nx\r\nb LOGOUT\r\n")
	for _, without := range []mailaccess.Rights{mailaccess.RightInsert, mailaccess.RightDeleted, mailaccess.RightExpunge} {
		got := sayAll(t, store, without, "l LOGIN demo demo\r\na SELECT INBOX\r\nb REPLACE 1 INBOX {1}\r\nc LOGOUT\r\n")
		if !strings.Contains(got, "\nb NO [NOPERM] ") {
			t.Errorf("without %b: %q", without, got)
		}
	}
}

// What is replaced makes room for what replaces it (RFC 8508, section 3.4).
func TestReplaceWithinQuota(t *testing.T) {
	store := memory.New(&memory.Options{Quota: 100})
	defer store.Close()
	big, bigger := strings.Repeat("x", 90), strings.Repeat("y", 101)
	got := sayAll(t, store, 0, "l LOGIN demo demo\r\na APPEND INBOX {90+}\r\n"+big+"\r\nb SELECT INBOX\r\n"+
		"c APPEND INBOX {90}\r\nd REPLACE 1 INBOX {90+}\r\n"+big+"\r\ne REPLACE 1 INBOX {101+}\r\n"+bigger+"\r\nf LOGOUT\r\n")
	for _, want := range []string{"\nc NO [OVERQUOTA] ", "\nd OK ", "\ne NO [OVERQUOTA] "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
}
