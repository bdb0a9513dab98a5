package pop3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"pgregory.net/rapid"
)

// canonical draws a message in canonical form: LF only after CR.
func canonical(t *rapid.T) []byte {
	piece := rapid.SampledFrom([]string{"\r\n", "\r\n", "\r\n.", "\r\n\r\n", ".", "..", "\r", "a", "A: b", "\x00", "\xff", "a longer piece of text"})
	var b []byte
	for _, p := range rapid.SliceOfN(piece, 0, 40).Draw(t, "message") {
		b = append(b, p...)
	}
	return b
}

// inPieces writes b in pieces of any size.
func inPieces(t *rapid.T, w io.Writer, b []byte) error {
	for len(b) > 0 {
		n := rapid.IntRange(1, len(b)).Draw(t, "piece")
		m, err := w.Write(b[:n])
		if err != nil {
			return err
		}
		if m != n {
			t.Fatalf("%d of %d octets taken without an error", m, n)
		}
		b = b[n:]
	}
	return nil
}

// undo is what a client does with a multi-line answer (RFC 1939, section 3). It
// fails unless the answer ends exactly where b does.
func undo(b []byte) ([]byte, error) {
	var message []byte
	for {
		i := bytes.Index(b, []byte("\r\n"))
		if i < 0 {
			return nil, fmt.Errorf("no end: %q is left", b)
		}
		line, rest := b[:i+2], b[i+2:]
		switch {
		case string(line) == ".\r\n" && len(rest) == 0:
			return message, nil
		case string(line) == ".\r\n":
			return nil, fmt.Errorf("%q after the end", rest)
		case line[0] == '.':
			line = line[1:]
		}
		message = append(message, line...)
		b = rest
	}
}

// whole is a message as a client sees it: with an end of its last line.
func whole(b []byte) []byte {
	if len(b) > 0 && !bytes.HasSuffix(b, crlf) {
		return append(bytes.Clone(b), crlf...)
	}
	return b
}

// firstLines is what TOP must show of a message.
func firstLines(b []byte, lines int) []byte {
	var out []byte
	body := false
	for _, line := range bytes.SplitAfter(whole(b), []byte("\n")) {
		if body {
			if lines == 0 {
				break
			}
			lines--
		}
		out = append(out, line...)
		body = body || string(line) == "\r\n"
	}
	return out
}

func TestStuffingCanBeUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := canonical(t)
		var out bytes.Buffer
		w := dotWriter{w: &out}
		if err := inPieces(t, &w, message); err != nil {
			t.Fatal(err)
		}
		if w.n != int64(len(message)) {
			t.Fatalf("%d octets counted, want %d", w.n, len(message))
		}
		if err := w.finish(); err != nil {
			t.Fatal(err)
		}
		got, err := undo(out.Bytes())
		if err != nil || !bytes.Equal(got, whole(message)) {
			t.Fatalf("%q became %q, and that %q (%v)", message, out.Bytes(), got, err)
		}
	})
}

func TestTopIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		message := canonical(t)
		lines := rapid.IntRange(0, 12).Draw(t, "lines")
		var out bytes.Buffer
		dots := dotWriter{w: &out}
		w := topWriter{w: &dots, lines: int64(lines)}
		if err := inPieces(t, &w, message); err != nil && (!w.done || w.err != nil) {
			t.Fatal(err)
		}
		if err := dots.finish(); err != nil {
			t.Fatal(err)
		}
		got, err := undo(out.Bytes())
		if want := firstLines(message, lines); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d lines of %q: %q (%v), want %q", lines, message, got, err, want)
		}
	})
}

func TestTopStopsReading(t *testing.T) {
	w := topWriter{w: io.Discard, lines: 2}
	n, err := w.Write([]byte("A: b\r\n\r\none\r\ntwo\r\nthree\r\n"))
	if n != 18 || !errors.Is(err, errTopDone) {
		t.Errorf("took %d octets, %v; want 18 and errTopDone", n, err)
	}
	if n, err := w.Write([]byte("four\r\n")); n != 0 || !errors.Is(err, errTopDone) {
		t.Errorf("took %d octets more, %v", n, err)
	}
}

func TestStuffingReportsErrors(t *testing.T) {
	message := []byte(".A\r\n.B\r\n..\r\nC")
	var out bytes.Buffer
	w := dotWriter{w: &out}
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	for limit := range out.Len() {
		short := &shortWriter{left: limit}
		w := dotWriter{w: short}
		n, err := w.Write(message)
		if err == nil {
			err = w.finish()
		}
		if !errors.Is(err, errShort) {
			t.Errorf("after %d octets: %v", limit, err)
		}
		if int64(n) != w.n || n > limit {
			t.Errorf("after %d octets: %d taken, %d counted", limit, n, w.n)
		}
	}
}

var errShort = errors.New("no more room")

// shortWriter takes so many octets and fails.
type shortWriter struct{ left int }

func (w *shortWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	if n < len(p) {
		return n, errShort
	}
	return n, nil
}
