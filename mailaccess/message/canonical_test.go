package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

var canonicalTests = []struct{ name, in, want string }{
	{"empty", "", ""},
	{"canonical", "a\r\nb\r\n", "a\r\nb\r\n"},
	{"LF", "a\nb\n", "a\r\nb\r\n"},
	{"mixed", "a\r\nb\nc\r\n\n", "a\r\nb\r\nc\r\n\r\n"},
	{"unterminated last line", "a\nb", "a\r\nb"},
	{"bare CR", "a\rb\r", "a\rb\r"},
	{"CR before CRLF", "a\r\r\n", "a\r\r\n"},
	{"LF CR", "a\n\rb", "a\r\n\rb"},
	{"only LF", "\n\n", "\r\n\r\n"},
	{"NUL", "\x00\n\x00", "\x00\r\n\x00"},
	{"8-bit", "\xff\n\xfe", "\xff\r\n\xfe"},
}

// canonical is the definition: the slow and obvious way.
func canonical(b []byte) []byte {
	var out []byte
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

func TestCanonical(t *testing.T) {
	for _, tt := range canonicalTests {
		t.Run(tt.name, func(t *testing.T) {
			for cut := 0; cut <= len(tt.in); cut++ {
				var b bytes.Buffer
				w := NewCanonicalWriter(&b)
				for _, s := range []string{tt.in[:cut], tt.in[cut:]} {
					if n, err := io.WriteString(w, s); n != len(s) || err != nil {
						t.Fatalf("Write(%q) = %d, %v", s, n, err)
					}
				}
				if b.String() != tt.want || w.Size() != int64(len(tt.want)) {
					t.Errorf("cut at %d: wrote %q, size %d, want %q", cut, b.String(), w.Size(), tt.want)
				}
				r := io.MultiReader(strings.NewReader(tt.in[:cut]), strings.NewReader(tt.in[cut:]))
				if got, err := io.ReadAll(NewCanonicalReader(r)); err != nil || string(got) != tt.want {
					t.Errorf("cut at %d: read %q, %v, want %q", cut, got, err, tt.want)
				}
			}
			if err := iotest.TestReader(NewCanonicalReader(strings.NewReader(tt.in)), []byte(tt.want)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCanonicalLarge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"\n", "x\n", "\r\n", "\r", strings.Repeat("y", 40000) + "\n"})
		in := []byte(strings.Join(rapid.SliceOfN(line, 0, 40).Draw(t, "lines"), ""))
		in = append(in, bytes.Repeat([]byte("ab\n"), rapid.IntRange(0, 30000).Draw(t, "more"))...)
		want := canonical(in)
		var b bytes.Buffer
		w := NewCanonicalWriter(&b)
		for rest := in; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "write")
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(b.Bytes(), want) || w.Size() != int64(len(want)) {
			t.Fatalf("writer differs from the definition")
		}
		if got, err := io.ReadAll(NewCanonicalReader(bytes.NewReader(in))); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("reader differs from the definition: %v", err)
		}
	})
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestCanonicalErrors(t *testing.T) {
	bad := errors.New("disk full")
	for _, in := range []string{"a\r\n", "a\n", strings.Repeat("a\n", canonicalBuffer)} {
		if n, err := NewCanonicalWriter(failingWriter{bad}).Write([]byte(in)); n != 0 || err != bad {
			t.Errorf("Write of %d bytes: %d, %v, want 0, %v", len(in), n, err, bad)
		}
	}
	r := io.MultiReader(strings.NewReader("a\n"), iotest.ErrReader(bad))
	if b, err := io.ReadAll(NewCanonicalReader(r)); string(b) != "a\r\n" || err != bad {
		t.Errorf("Read: %q, %v, want what came before, and %v", b, err, bad)
	}
}

// A conversion goes on where it stopped, whatever pieces the input comes in and
// whatever room there is for the output.
func TestCanonicalState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(rapid.StringOf(rapid.SampledFrom([]rune("ab\r\n\x00"))).Draw(t, "in"))
		want := canonical(in)
		if n := CountBareLF(in, false); n != len(want)-len(in) {
			t.Fatalf("CountBareLF = %d, want %d", n, len(want)-len(in))
		}
		cut := rapid.IntRange(0, len(in)).Draw(t, "cut")
		cr := cut > 0 && in[cut-1] == '\r'
		if n := CountBareLF(in[:cut], false) + CountBareLF(in[cut:], cr); n != len(want)-len(in) {
			t.Fatalf("CountBareLF of two pieces = %d, want %d", n, len(want)-len(in))
		}
		var got []byte
		var s CanonicalState
		for rest := in; len(got) < len(want); {
			piece := rest[:rapid.IntRange(min(1, len(rest)), len(rest)).Draw(t, "piece")]
			room := make([]byte, rapid.IntRange(1, 5).Draw(t, "room"))
			written, read := s.Convert(room, piece)
			if written < len(room) && (read < len(piece) || s.LF) {
				t.Fatalf("Convert left %d of %d, and room for %d", len(piece)-read, len(piece), len(room)-written)
			}
			got, rest = append(got, room[:written]...), rest[read:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("converted to %q, want %q", got, want)
		}
	})
}
