package imapwire

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// A scripted connection returns one piece, or one error, per Read.
type scripted struct {
	steps []any // string or error
	sizes []int // of the buffers that Read was given
}

func (s *scripted) Read(p []byte) (int, error) {
	s.sizes = append(s.sizes, len(p))
	if len(s.steps) == 0 {
		return 0, io.EOF
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	if err, ok := step.(error); ok {
		return 0, err
	}
	n := copy(p, step.(string))
	if n < len(step.(string)) {
		s.steps = append([]any{step.(string)[n:]}, s.steps...)
	}
	return n, nil
}

func TestParkedReaderHoldsNoBuffer(t *testing.T) {
	long := strings.Repeat("x", 3000)
	src := &scripted{steps: []any{"a LOGIN " + long, " y\r\nb NO", "OP\r\n", "c NOOP\r\n"}}
	r := NewReader(src, nil)
	start(t, r)
	if s, err := r.ReadAString(); s != long || err != nil {
		t.Fatal(err)
	}
	if r.pooled == nil && len(r.buf) <= smallSize {
		t.Error("a long command was read into the small buffer")
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAString(); err != nil {
		t.Fatal(err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if r.Buffered() != 4 {
		t.Fatalf("%d octets are pipelined", r.Buffered())
	}
	if _, name, err := r.Command(); string(name) != "NOOP" || err != nil {
		t.Fatal(name, err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if r.pooled != nil || r.buf != nil || r.Buffered() != 0 {
		t.Error("a buffer is held after the command")
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := src.sizes[len(src.sizes)-1]; n != smallSize || r.pooled != nil {
		t.Errorf("waited with a buffer of %d octets", n)
	}
	if _, name, err := r.Command(); string(name) != "NOOP" || err != nil {
		t.Fatal(name, err)
	}
	if r.pooled != nil {
		t.Error("a short command took a pooled buffer")
	}
}

// A large token's buffer does not stay behind with what is pipelined after it.
func TestLargeBufferIsGivenUp(t *testing.T) {
	r := NewReader(strings.NewReader("a X {60000+}\r\n"+strings.Repeat("x", 60000)+"\r\n"+strings.Repeat("b NOOP\r\n", 20000)), nil)
	start(t, r)
	if _, err := r.ReadAString(); err != nil {
		t.Fatal(err)
	}
	if len(r.buf) < 60000 {
		t.Fatal("test needs a large buffer")
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	for range 20000 {
		if _, name, err := r.Command(); string(name) != "NOOP" || err != nil {
			t.Fatal(name, err)
		}
		if err := r.CRLF(); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.buf) > pooledSize {
		t.Errorf("buffer of %d octets", len(r.buf))
	}
}

// A deadline wakes a parked reader, which can wait again (IDLE, shutdown).
func TestWaitAndLineAfterDeadline(t *testing.T) {
	src := &scripted{steps: []any{os.ErrDeadlineExceeded, "DO", os.ErrDeadlineExceeded, "NE\r", os.ErrDeadlineExceeded, "\nt NOOP\r\n"}}
	r := NewReader(src, nil)
	if err := r.Wait(); err != os.ErrDeadlineExceeded {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.ReadDone(); err != os.ErrDeadlineExceeded {
			t.Fatal(err)
		}
	}
	if err := r.ReadDone(); err != nil {
		t.Fatal(err)
	}
	expectNoop(t, r)
}

func TestWaitOnConnection(t *testing.T) {
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	r := NewReader(server, nil)
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, "t NOOP\r\n")
		wrote <- errors.Join(err, client.Close())
	}()
	expectNoop(t, r)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

func TestEndOfStream(t *testing.T) {
	for in, want := range map[string]error{
		"":                io.EOF,
		"a":               io.ErrUnexpectedEOF,
		"a NOOP":          io.ErrUnexpectedEOF,
		"a NOOP\r":        io.ErrUnexpectedEOF,
		"a NOOP\r\n":      io.EOF,
		"a NOOP x\r\n":    io.EOF,
		"a NOOP x":        io.ErrUnexpectedEOF,
		"a NOOP {1}\r\n":  io.EOF, // refused
		"a NOOP {1+}\r\n": io.ErrUnexpectedEOF,
	} {
		for name, src := range map[string]io.Reader{
			"separately": strings.NewReader(in), "with data": iotest.DataErrReader(strings.NewReader(in)),
		} {
			r := NewReader(src, nil)
			var err error
			for range 3 {
				if _, _, err = r.Command(); err == nil {
					err = r.CRLF()
				}
				if err != nil && !InStep(err) {
					break
				}
			}
			if err != want {
				t.Errorf("%q, end %s: got %v, want %v", in, name, err, want)
			}
		}
	}
}

// RFC 3501, section 6.2.1: what is pipelined after STARTTLS must not be taken
// as if it had come protected.
func TestStartTLSDiscardsPipelined(t *testing.T) {
	r := NewReader(iotest.DataErrReader(strings.NewReader("a STARTTLS\r\nb LOGIN eve x\r\n")), nil)
	if _, name, err := r.Command(); string(name) != "STARTTLS" || err != nil {
		t.Fatal(err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if r.Buffered() != len("b LOGIN eve x\r\n") {
		t.Errorf("Buffered: %d", r.Buffered())
	}
	r.Reset(strings.NewReader("t NOOP\r\n"))
	if r.Buffered() != 0 {
		t.Error("Reset kept something")
	}
	expectNoop(t, r)
}

func TestDiscardBuffered(t *testing.T) {
	src := &scripted{steps: []any{"a STARTTLS\r\nb LOGIN", "t NOOP\r\n"}}
	r := NewReader(src, nil)
	if _, _, err := r.Command(); err != nil {
		t.Fatal(err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if n := r.DiscardBuffered(); n != 7 || r.buf != nil {
		t.Errorf("discarded %d", n)
	}
	expectNoop(t, r)
}

// Reset forgets the command that was being read, and its literal.
func TestResetInTheMiddle(t *testing.T) {
	r := NewReader(strings.NewReader("a X ((({5}\r\n"), &ReaderOptions{Limits: Limits{Depth: 3}})
	start(t, r)
	if _, err := readWords(r); err == nil {
		t.Fatal("read a bad list")
	}
	if _, err := r.ReadLiteral(); err != nil {
		t.Fatal(err)
	}
	r.Reset(strings.NewReader("t NOOP\r\n"))
	expectNoop(t, r)
}

// An error that comes with octets is due after them, and only once.
func TestErrorWithOctets(t *testing.T) {
	gone := errors.New("gone")
	src := &withError{data: "a NOOP\r\n", err: gone}
	r := NewReader(src, nil)
	if _, name, err := r.Command(); string(name) != "NOOP" || err != nil {
		t.Fatal(name, err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != gone {
		t.Errorf("got %v", err)
	}
	if err := r.Wait(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

type withError struct {
	data string
	err  error
}

func (w *withError) Read(p []byte) (int, error) {
	if w.data == "" {
		return 0, io.EOF
	}
	n := copy(p, w.data)
	w.data = w.data[n:]
	return n, w.err
}

func TestNoProgress(t *testing.T) {
	if err := NewReader(stuck{}, nil).Wait(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestLineBuffered(t *testing.T) {
	r := NewReader(strings.NewReader("a NOOP\r\nb NOOP\r\nc NO"), nil)
	for i, want := range []bool{true, false} {
		if r.LineBuffered() && i == 0 {
			t.Error("a line is buffered before anything was read")
		}
		if _, _, err := r.Command(); err != nil {
			t.Fatal(err)
		}
		if err := r.CRLF(); err != nil {
			t.Fatal(err)
		}
		if got := r.LineBuffered(); got != want {
			t.Errorf("after command %d: %v", i+1, got)
		}
	}
}
