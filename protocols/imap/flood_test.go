package imap_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/stores/memory"
)

// metered counts what a server takes from a connection, and how much it writes at once.
type metered struct {
	net.Conn
	read, largest *atomic.Int64
}

func (m metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.read.Add(int64(n))
	return n, err
}

func (m metered) Write(p []byte) (int, error) {
	m.largest.Store(max(m.largest.Load(), int64(len(p))))
	return m.Conn.Write(p)
}

// TestThousandsOfCommands: of commands that come all at once, from a client that reads
// nothing, the server takes in no more than a buffer, and holds no more answers than
// one; when the client reads, each is answered, in order.
func TestThousandsOfCommands(t *testing.T) {
	const n = 10_000
	// Memory is counted, so that nothing is let go of while it is.
	for _, test := range []struct{ command, compress string }{
		{"NOOP", ""},
		{"STATUS Box (MESSAGES UIDNEXT)", ""},
		{"UID FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)", ""},
		{"SEARCH RETURN (COUNT) ALL", ""},
		{"CAPABILITY", ""},
		{"NOOP", "COMPRESS DEFLATE"},
	} {
		t.Run(test.command+test.compress, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
				read, largest := new(atomic.Int64), new(atomic.Int64)
				client, server := net.Pipe()
				s.wg.Go(func() { s.srv.ServeConn(metered{server, read, largest}) })
				opening := []string{"", "LOGIN demo demo", "SELECT INBOX"}
				if test.compress != "" {
					opening = append(opening, test.compress)
				}
				conn := converses(t, client, opening...)
				var all strings.Builder
				for i := range n {
					fmt.Fprintf(&all, "t%d %s\r\n", i, test.command)
				}
				synctest.Wait()
				read.Store(0)
				before := heap()
				said := make(chan error, 1)
				go func() {
					_, err := io.WriteString(conn, all.String())
					said <- err
				}()
				r := bufio.NewReader(conn)
				hear := func(from, to int) {
					for i := from; i < to; i++ {
						for want := fmt.Sprintf("t%d OK ", i); ; {
							line, err := r.ReadString('\n')
							if err != nil {
								t.Fatal(err)
							}
							if strings.HasPrefix(line, want) {
								break
							}
							if strings.HasPrefix(line, "t") {
								t.Fatalf("heard %q, want %s", line, want)
							}
						}
					}
				}
				// What the server takes in at first is little: it is not to be stopped then.
				const heard = 500
				hear(0, heard)
				synctest.Wait() // nobody can go on: nothing is read
				answered := int64(strings.Index(all.String(), fmt.Sprintf("t%d ", heard)))
				if test.compress == "" && read.Load()-answered > 8<<10 {
					t.Errorf("%d octets were taken beyond those that are answered", read.Load()-answered)
				}
				if most := largest.Load(); most > 72<<10 { // some that wait, and a piece of 64 KiB
					t.Errorf("%d octets were written at once", most)
				}
				if grown := heap() - before; grown > 1<<20 {
					t.Errorf("%d octets more are held", grown)
				}
				hear(heard, n)
				if err := <-said; err != nil {
					t.Error(err)
				}
				client.Close()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				runtime.KeepAlive(&all)
			})
		})
	}
}

// TestHalfSentCommands: whoever stops in the middle of a command is waited for two minutes,
// even if an octet comes now and then; nothing is left of it.
func TestHalfSentCommands(t *testing.T) {
	const login = "a LOGIN demo demo\r\n"
	for _, test := range []struct {
		says  string
		drips bool // an octet a minute from then on
	}{
		{"a LO", false},
		{"a LO", true},
		{"a LOGIN {4}\r\nde", false},
		{"a LOGIN {4+}\r\nde", false},
		{"a LOGIN {4000+}\r\nde", true},
		{"a APPEND INBOX {10+}\r\nabc", false},
		{"a APPEND INBOX {4000+}\r\nabc", true},
		{login + "b NOOP", false},
		{login + "b LOGIN ", true},
		{login + "b SELECT INBOX\r\nc UID FETCH 1:", true},
		{login + "b APPEND INBOX {10}\r\nabc", false},
		{login + "b APPEND INBOX {10+}\r\nabc", false},
		{login + "b APPEND INBOX {4000+}\r\nabc", true},
		{login + "b APPEND INBOX ~{10+}\r\nabc", false},
		{login + "b APPEND INBOX {1+}\r\na {10}\r\nabc", false},
		{login + "b APPEND INBOX CATENATE (TEXT {1+}\r\na TEXT {10+}\r\nabc", false},
		{login + "b APPEND Nowhere {10+}\r\nabc", false},
		{login + "b APPEND {10+}\r\nabc", false},
		{login + "b NONSENSE {10+}\r\nabc", false},
		{login + "b NONSENSE ", true},
		{login + "b IDLE\r\nDO", true},
	} {
		t.Run(test.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := inMemory(memory.New(nil))
				counts := counted{store.base, new(opens), new(opens), new(opens)}
				store.served = counts
				s := startServer(t, fuzzFixture(), store)
				client, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var says sync.WaitGroup
				says.Go(func() {
					_, err := io.WriteString(client, test.says)
					for test.drips && err == nil {
						time.Sleep(time.Minute - time.Second)
						_, err = io.WriteString(client, "x")
					}
				})
				all, err := io.ReadAll(client)
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSuffix(string(all), "\r\n"), "\r\n")
				if last := lines[len(lines)-1]; last != "* BYE command not finished in time" {
					t.Errorf("the last line is %q", last)
				}
				if lasted := time.Since(start).Truncate(time.Second); lasted != 2*time.Minute {
					t.Errorf("ended after %v, want 2m", lasted)
				}
				client.Close()
				says.Wait()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if n := counts.staged.left.Load(); n != 0 {
					t.Errorf("%d messages on their way in are left", n)
				}
				if login := strings.HasPrefix(test.says, login); login != (counts.accounts.all.Load() > 0) || counts.accounts.left.Load() != 0 {
					t.Errorf("%d accounts were opened, %d are left", counts.accounts.all.Load(), counts.accounts.left.Load())
				}
			})
		})
	}
}
