package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// read returns the lines and their numbers.
func read(r *Reader) (lines []string, numbers []int) {
	for line, ok := r.Next(); ok; line, ok = r.Next() {
		lines, numbers = append(lines, string(line)), append(numbers, r.Number())
	}
	return lines, numbers
}

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 33)
	for _, tt := range []struct {
		text    string
		want    []string
		numbers []int
		long    int
		partial bool
	}{
		{"", nil, nil, 0, false},
		{"\n", []string{""}, []int{1}, 0, false},
		{"a\n\nb", []string{"a", "", "b"}, []int{1, 2, 3}, 0, true},
		{"a\r\n", []string{"a\r"}, []int{1}, 0, false},
		{long[1:] + "\n" + long[1:], []string{long[1:], long[1:]}, []int{1, 2}, 0, true},
		{"a\n" + long + "\nb\n", []string{"a", "b"}, []int{1, 3}, 1, false},
		{strings.Repeat(long, 9) + "\nb\n" + strings.Repeat(long, 9), []string{"b"}, []int{2}, 2, true},
	} {
		for name, in := range map[string]io.Reader{
			"whole":    strings.NewReader(tt.text),
			"piece":    iotest.OneByteReader(strings.NewReader(tt.text)),
			"buffered": bufio.NewReaderSize(strings.NewReader(tt.text), 1000), // larger than a line may be
		} {
			r := NewReader(in, 32)
			lines, numbers := read(r)
			if !slices.Equal(lines, tt.want) || !slices.Equal(numbers, tt.numbers) || r.Long() != tt.long || r.Partial() != tt.partial || r.Err() != nil {
				t.Errorf("%q, %s: %q at %d, %d too long, partial: %v, %v", tt.text, name, lines, numbers, r.Long(), r.Partial(), r.Err())
			}
		}
	}
}

func TestReaderFails(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 32)
	// What came of b may be half of it.
	if lines, _ := read(r); !slices.Equal(lines, []string{"a"}) || !errors.Is(r.Err(), broken) {
		t.Errorf("%q, %v", lines, r.Err())
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nlonger than eight\nc"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var want []string
		long := 0
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 16 {
				long++
			} else {
				want = append(want, string(line))
			}
		}
		r := NewReader(bytes.NewReader(text), 16)
		if got, _ := read(r); !slices.Equal(got, want) || r.Long() != long {
			t.Fatalf("%q: %q and %d too long, want %q and %d", text, got, r.Long(), want, long)
		}
	})
}
