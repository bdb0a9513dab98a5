package imap_test

import (
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// scripted is a connection whose client says one line many times and drops what it
// is answered. Nothing of its own allocates.
type scripted struct {
	net.Conn // for its addresses
	said     int
	opening  []string // said first, one at a time
	line     []byte
	warm     int // how often line is said before counting begins
	times    int // how often after
	before   runtime.MemStats
	after    runtime.MemStats
	done     atomic.Bool
}

func (s *scripted) Read(p []byte) (int, error) {
	k := s.said - len(s.opening)
	s.said++
	switch {
	case k < 0:
		return copy(p, s.opening[len(s.opening)+k]), nil
	case k == s.warm:
		runtime.ReadMemStats(&s.before)
	case k == s.warm+s.times:
		runtime.ReadMemStats(&s.after)
		s.done.Store(true)
		return 0, io.EOF
	}
	return copy(p, s.line), nil
}

func (s *scripted) Write(p []byte) (int, error)      { return len(p), nil }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// mallocs is how often the server allocates to answer line once, the mailbox being
// selected.
func (s *benchServer) mallocs(tb testing.TB, line string) float64 {
	tb.Helper()
	client, server := net.Pipe()
	defer client.Close()
	c := &scripted{
		Conn: server, opening: []string{"a LOGIN demo demo\r\n", "b SELECT INBOX\r\n"},
		line: []byte("t " + line + "\r\n"), warm: 50, times: 200,
	}
	s.server.ServeConn(c)
	if !c.done.Load() {
		tb.Fatal("the conversation ended before its time")
	}
	return float64(c.after.Mallocs-c.before.Mallocs) / float64(c.times)
}

// TestAllocations: what is asked most costs no memory, or none for each of the
// 1,000 messages.
func TestAllocations(t *testing.T) {
	s := newBenchServer(t, 1000)
	for _, test := range []struct {
		line string
		most float64
	}{
		{"NOOP", 0},
		{"CHECK", 0},
		{"CAPABILITY", 0},
		{"SELECT INBOX", 25},
		{"UID FETCH 1:* (FLAGS)", 50},
		{"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)", 50},
		{"SEARCH UNSEEN", 50},
		{"UID SEARCH ALL", 50},
		{"FETCH 1:* (EMAILID THREADID SAVEDATE)", 50},
		// What is kept costs a little for a batch of messages; a content that is
		// opened, one allocation.
		{"UID FETCH 1:* ENVELOPE", 150},
		{"UID FETCH 1:* (ENVELOPE BODYSTRUCTURE)", 250},
		{"UID FETCH 1:* (PREVIEW (LAZY))", 150},
		{"UID FETCH 1:* (BODY.PEEK[])", 1100},
		{"UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT)])", 1100},
	} {
		if got := s.mallocs(t, test.line); got >= test.most+1 {
			t.Errorf("%s: %.1f allocations, want at most %.0f", test.line, got, test.most)
		}
	}
}
