package imapwire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// A waitingClient sends its pieces one by one: each but the first only once a
// continuation was asked for. Reading more than was sent is an error.
type waitingClient struct {
	pieces []string
	asked  int
	read   int
}

var errNotAsked = errors.New("read before the client was asked to send")

func (c *waitingClient) Read(p []byte) (int, error) {
	for i := range c.pieces {
		if c.pieces[i] == "" {
			continue
		}
		if i > c.asked {
			return 0, errNotAsked
		}
		n := copy(p, c.pieces[i])
		c.pieces[i] = c.pieces[i][n:]
		c.read += n
		return n, nil
	}
	return 0, io.EOF
}

func (c *waitingClient) ask() error { c.asked++; return nil }

func newWaiting(limits Limits, pieces ...string) (*Reader, *waitingClient) {
	c := &waitingClient{pieces: pieces}
	return NewReader(c, &ReaderOptions{Limits: limits, Continue: c.ask}), c
}

func start(t *testing.T, r *Reader) {
	t.Helper()
	if _, _, err := r.Command(); err != nil {
		t.Fatal(err)
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
}

// RFC 3501, section 4.3: also an empty literal waits for the continuation.
func TestSynchronizingLiteralAsksOnce(t *testing.T) {
	r, c := newWaiting(Limits{}, "a LOGIN {5}\r\n", "alice {0}\r\n", "\r\nt NOOP\r\n")
	start(t, r)
	user, err := r.ReadAString()
	if user != "alice" || err != nil {
		t.Fatal(user, err)
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
	if pass, err := r.ReadAString(); pass != "" || err != nil {
		t.Fatal(pass, err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if c.asked != 2 {
		t.Errorf("asked %d times", c.asked)
	}
	expectNoop(t, r)
}

func TestContinueError(t *testing.T) {
	gone := errors.New("gone")
	r := NewReader(strings.NewReader("a LOGIN {5}\r\nalice x\r\n"), &ReaderOptions{Continue: func() error { return gone }})
	start(t, r)
	if _, err := r.ReadAString(); err != gone {
		t.Errorf("got %v", err)
	}
}

// A literal over the limit is not asked for, and the command ends with its
// header; a non-synchronizing one is read and thrown away.
func TestLiteralOverLimit(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits Limits
		kind   LimitKind
		pieces []string
	}{
		{"synchronizing", Limits{Literal: 4}, LimitLiteral, []string{"a LOGIN {5}\r\n" + "t NOOP\r\n"}},
		{"non-synchronizing", Limits{Literal: 4}, LimitLiteral, []string{"a LOGIN {5+}\r\n{9+}\r rest\r\nt NOOP\r\n"}},
		{"more follow", Limits{Literal: 4}, LimitLiteral, []string{"a LOGIN {5+}\r\n12345 {3+}\r\n\r\n\n \"x {2+}\n\r\n x\nt NOOP\r\n"}},
		{"then synchronizing", Limits{Literal: 4}, LimitLiteral, []string{"a LOGIN {5+}\r\n12345 {3}\r\nt NOOP\r\n"}},
		{"command", Limits{Command: 19}, LimitCommand, []string{"a LOGIN {8}\r\nt NOOP\r\n"}},
		{"LITERAL-", Limits{NonSync: 4}, LimitNonSync, []string{"a LOGIN {5+}\r\n12345 x\r\nt NOOP\r\n"}},
		{"larger than the buffer", Limits{Literal: 4}, LimitLiteral, []string{"a LOGIN {100000+}\r\n" + strings.Repeat("t NOOP\r\n", 12500) + "\r\nt NOOP\r\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, c := newWaiting(tt.limits, tt.pieces...)
			start(t, r)
			s, err := r.ReadAString()
			var le *LimitError
			if !errors.As(err, &le) || le.Kind != tt.kind || !InStep(err) {
				t.Fatalf("read %q, %v", s, err)
			}
			if c.asked != 0 {
				t.Error("asked for the literal")
			}
			expectNoop(t, r)
		})
	}
}

// The literals of a command are counted together, with its lines.
func TestLiteralsAddUp(t *testing.T) {
	r, c := newWaiting(Limits{Command: 40}, "a LOGIN {12}\r\n", "twelveoctets {15}\r\nt NOOP\r\n")
	start(t, r)
	if _, err := r.ReadAString(); err != nil {
		t.Fatal(err)
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
	_, err := r.ReadAString()
	var le *LimitError
	if !errors.As(err, &le) || le.Kind != LimitCommand || c.asked != 1 {
		t.Fatal(err)
	}
	expectNoop(t, r)
}

func TestLiteralAtLimit(t *testing.T) {
	// "a LOGIN {5+}" are 12 octets, the literal 5 more.
	r := NewReader(strings.NewReader("a LOGIN {5+}\r\n12345\r\n"),
		&ReaderOptions{Limits: Limits{Literal: 5, NonSync: 5, Command: 12 + 1 + 5}})
	start(t, r)
	if s, err := r.ReadAString(); s != "12345" || err != nil {
		t.Fatal(s, err)
	}
}

// A client that announces more than we would throw away is not read at all.
func TestLiteralTooBigToDrain(t *testing.T) {
	for _, header := range []string{"{101+}", "{9223372036854775807+}", "{99999999999999999999999+}", "{18446744073709551621+}"} {
		r, c := newWaiting(Limits{Literal: 4, Drain: 100}, "a LOGIN "+header+"\r\n", "never")
		start(t, r)
		if _, err := r.ReadAString(); !InStep(err) {
			t.Fatal(err)
		}
		err := r.Skip()
		var le *LimitError
		if !errors.As(err, &le) || !le.MustClose() || InStep(err) || c.asked != 0 {
			t.Errorf("%s: Skip: %v", header, err)
		}
	}
	// Neither is an endless line.
	r := NewReader(strings.NewReader("a "+strings.Repeat("x", 5000)), &ReaderOptions{Limits: Limits{Line: 10, Drain: 100}})
	if _, _, err := r.Command(); !InStep(err) {
		t.Fatal(err)
	}
	if err := r.Skip(); InStep(err) || err == io.ErrUnexpectedEOF {
		t.Errorf("Skip: %v", err)
	}
}

func TestStreamedLiteral(t *testing.T) {
	message := strings.Repeat("Subject: x\r\n\r\n{5+}\r\n", 5000)
	const size = "100000"
	r, c := newWaiting(Limits{Line: 30, Literal: 10, Command: 40},
		"a APPEND {3+}\r\nbox {"+size+"}\r\n", message+" {"+size+"+}\r\n"+message+"\r\nt NOOP\r\n")
	start(t, r)
	if _, err := r.ReadMailbox(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := r.SP(); err != nil {
			t.Fatal(err)
		}
		l, err := r.ReadLiteral()
		if err != nil || l.Size != 100000 || l.Left() != l.Size || l.NonSync != (i == 1) || l.Binary {
			t.Fatal(l, err)
		}
		if c.asked != i {
			t.Errorf("asked %d times before the literal was read", c.asked)
		}
		var got bytes.Buffer
		if n, err := io.Copy(&got, l); n != 100000 || err != nil || got.String() != message {
			t.Fatalf("copied %d: %v", n, err)
		}
		if n, err := l.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d %v", n, err)
		}
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	expectNoop(t, r)
}

// MULTIAPPEND may have any number of messages (RFC 3502).
func TestStreamedLiteralsDoNotAddUp(t *testing.T) {
	const count = 1000
	in := "a APPEND" + strings.Repeat(" {3+}\r\nbox {5+}\r\nhello", count) + "\r\n"
	r := NewReader(strings.NewReader(in), &ReaderOptions{Limits: Limits{Line: 20, Command: 40}})
	if _, _, err := r.Command(); err != nil {
		t.Fatal(err)
	}
	for range count {
		if err := r.SP(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ReadMailbox(); err != nil {
			t.Fatal(err)
		}
		if err := r.SP(); err != nil {
			t.Fatal(err)
		}
		l, err := r.ReadLiteral()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(l); string(b) != "hello" || err != nil {
			t.Fatal(b, err)
		}
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
}

// iotest.TestReader reads in all kinds of pieces.
func TestLiteralIsAReader(t *testing.T) {
	r := NewReader(iotest.DataErrReader(strings.NewReader("a APPEND {11+}\r\nhello world")), nil)
	start(t, r)
	l, err := r.ReadLiteral()
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(l, []byte("hello world")); err != nil {
		t.Error(err)
	}
	if err := r.CRLF(); err != io.ErrUnexpectedEOF {
		t.Errorf("stream ends: %v", err)
	}
}

func TestLiteralBreaksOff(t *testing.T) {
	r := NewReader(strings.NewReader("a APPEND {12+}\r\nhello world"), nil)
	start(t, r)
	l, err := r.ReadLiteral()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(l); string(b) != "hello world" || err != io.ErrUnexpectedEOF {
		t.Errorf("got %q %v", b, err)
	}
}

func TestLiteralRefused(t *testing.T) {
	t.Run("synchronizing", func(t *testing.T) {
		r, c := newWaiting(Limits{}, "a APPEND ~{12}\r\nt NOOP\r\n")
		start(t, r)
		if l, err := r.ReadLiteral(); err != nil || !l.Binary {
			t.Fatal(err)
		}
		if err := r.CRLF(); !InStep(err) {
			t.Errorf("CRLF: %v", err)
		}
		expectNoop(t, r)
		if c.asked != 0 {
			t.Error("asked for a literal that was refused")
		}
	})
	t.Run("non-synchronizing", func(t *testing.T) {
		r, _ := newWaiting(Limits{}, "a APPEND {12+}\r\nhello world\n\r\nt NOOP\r\n")
		start(t, r)
		if _, err := r.ReadLiteral(); err != nil {
			t.Fatal(err)
		}
		expectNoop(t, r)
	})
	t.Run("in the middle", func(t *testing.T) {
		r, _ := newWaiting(Limits{}, "a APPEND {12}\r\n", "hello world\n {3+}\r\n\r\n\r x\r\nt NOOP\r\n")
		start(t, r)
		l, err := r.ReadLiteral()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(l, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		expectNoop(t, r)
	})
	t.Run("left unread", func(t *testing.T) {
		r, _ := newWaiting(Limits{}, "a APPEND {12}\r\n", "hello world\n\r\nt NOOP\r\n")
		start(t, r)
		l, err := r.ReadLiteral()
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		if err := r.CRLF(); err != nil {
			t.Errorf("CRLF: %v", err)
		}
		expectNoop(t, r)
	})
}

type failingWriter struct{ n int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n -= len(p); w.n < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// A disk that is full does not take the connection out of step.
func TestLiteralDestinationFails(t *testing.T) {
	r := NewReader(strings.NewReader("a APPEND {100000+}\r\n"+strings.Repeat("x", 100000)+"\r\nt NOOP\r\n"), nil)
	start(t, r)
	l, err := r.ReadLiteral()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteTo(&failingWriter{50000}); err != io.ErrClosedPipe {
		t.Errorf("got %v", err)
	}
	expectNoop(t, r)
}
