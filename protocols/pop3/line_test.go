package pop3

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
)

func newLineReader(src io.Reader, limit int) *lineReader {
	return &lineReader{
		src:        src,
		pool:       &sync.Pool{New: func() any { return new([maxLine]byte) }},
		limit:      limit,
		beforeWait: func() error { return nil },
	}
}

// Whatever the pieces in which lines arrive, they come out as they were, and
// those that are too long are passed over whole.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{20, smallLine, 1000, maxLine}).Draw(t, "limit")
		type line struct {
			text string
			long bool
		}
		var (
			input strings.Builder
			want  []line
		)
		for range rapid.IntRange(0, 12).Draw(t, "lines") {
			near := rapid.SampledFrom([]int{0, 3, 20, smallLine, 1000, maxLine, 3 * maxLine}).Draw(t, "near")
			text := strings.Repeat("x", max(0, near+rapid.IntRange(-3, 3).Draw(t, "by")))
			end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
			input.WriteString(text + end)
			want = append(want, line{text, len(text)+len(end) > limit})
		}
		src := io.Reader(strings.NewReader(input.String()))
		src = rapid.SampledFrom([]func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }}).Draw(t, "reader")(src)
		r := newLineReader(src, limit)
		for i, w := range want {
			got, err := r.next()
			if w.long && !errors.Is(err, errLongLine) || !w.long && (err != nil || string(got) != w.text) {
				t.Fatalf("line %d: %d octets, %v; want %d, too long: %t", i, len(got), err, len(w.text), w.long)
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Fatalf("after the last line: %v", err)
		}
		if r.large != nil {
			t.Fatal("a large buffer is kept while waiting")
		}
	})
}

func TestEndlessLine(t *testing.T) {
	endless := readerFunc(func(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil })
	if _, err := newLineReader(endless, maxLine).next(); !errors.Is(err, errEndlessLine) {
		t.Errorf("next: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// RFC 5034, section 4: the largest response of each mechanism is read.
func TestLinesHoldEveryResponse(t *testing.T) {
	who := auth.Static(map[string]string{"demo": "demo"})
	base := mailaccess.Login{Protocol: "pop3"}
	base.Private = true
	for _, name := range auth.Mechanisms(who, base, nil) {
		s, err := auth.NewServer(t.Context(), name, who, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := (s.MaxResponse()+2)/3*4 + 2; n > maxLine {
			t.Errorf("%s: a response may have %d octets, a line %d", name, n, maxLine)
		}
	}
}

func TestParseNumber(t *testing.T) {
	tests := []struct {
		in string
		n  int64
		ok bool
	}{
		{"0", 0, true}, {"1", 1, true}, {"007", 7, true}, {"4294967296", 1 << 32, true},
		{"9223372036854775807", 1<<63 - 1, true}, {"9223372036854775808", 1<<63 - 1, true},
		{"99999999999999999999999", 1<<63 - 1, true},
		{"", 0, false}, {"+1", 0, false}, {"-1", 0, false}, {" 1", 0, false}, {"1 ", 0, false},
		{"1.0", 0, false}, {"0x1", 0, false}, {"１", 0, false}, {"9999999999999999999999x", 0, false},
	}
	for _, tt := range tests {
		n, ok := parseNumber([]byte(tt.in))
		if ok != tt.ok || ok && n != tt.n {
			t.Errorf("parseNumber(%q) = %d, %t; want %d, %t", tt.in, n, ok, tt.n, tt.ok)
		}
	}
}
