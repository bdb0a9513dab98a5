package imap_test

import (
	"bufio"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/memory"
)

// TestAnswersDoNotWait: a command is answered although another one has begun to
// come.
func TestAnswersDoNotWait(t *testing.T) {
	for _, test := range []struct{ says, answer, rest string }{
		{"b NOOP\r\nc NO", "b OK ", "OP\r\n"},
		{"b NOOP\r\nc", "b OK ", " NOOP\r\n"},
		{"b NOOP\r\nc APPEND INBOX {5+}\r\nhe", "b OK ", "llo\r\n"},
		{"b NOOP\r\nc APPEND INBOX {5+}\r\n", "b OK ", "hello\r\n"},
		{"b NOOP\r\nc APPEND INBOX {5}\r\n", "+ ", "hello\r\n"},
		{"b NOOP\r\nc IDLE\r\n", "+ ", "DONE\r\n"},
	} {
		s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(client)
		for _, step := range []struct{ says, answer string }{
			{"", "* OK "}, {"a LOGIN demo demo\r\n", "a OK "}, {test.says, test.answer}, {test.rest, "c OK "},
		} {
			// An empty write to a pipe waits for a reader.
			if step.says != "" {
				if _, err := io.WriteString(client, step.says); err != nil {
					t.Fatal(err)
				}
			}
			for line := ""; !strings.HasPrefix(line, step.answer); {
				if line, err = r.ReadString('\n'); err != nil {
					t.Fatalf("%q, waiting for %q: %v", test.says, step.answer, err)
				}
			}
		}
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestParked: what a command needed is given up when it is answered.
func TestParked(t *testing.T) {
	const n = 50
	set := strings.Repeat("1,3,", 8000)
	s := newBenchServer(t, 10)
	clients := make([]*benchClient, n)
	for i := range clients {
		clients[i] = s.dial(t, "SELECT INBOX")
	}
	before := heap()
	for _, c := range clients {
		c.command(t, "UID STORE "+set+"1 +FLAGS.SILENT (\\Seen)")
	}
	if grown := (heap() - before) / n; grown > 16<<10 {
		t.Errorf("a connection that waits holds %d octets more", grown)
	}
	runtime.KeepAlive(clients)
}

// heap is how many octets are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
