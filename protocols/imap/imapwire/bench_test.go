package imapwire

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// A loop is a connection on which the same command comes over and over.
type loop struct {
	command string
	pos     int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.command[l.pos:])
	l.pos = (l.pos + n) % len(l.command)
	return n, nil
}

func readNoop(r *Reader, _ *NumSet) error {
	if err := r.Wait(); err != nil {
		return err
	}
	if _, _, err := r.Command(); err != nil {
		return err
	}
	return r.CRLF()
}

func readFetch(r *Reader, set *NumSet) error {
	if err := r.Wait(); err != nil {
		return err
	}
	if _, _, err := r.Command(); err != nil {
		return err
	}
	if err := r.SP(); err != nil {
		return err
	}
	if _, err := r.ReadKeyword(); err != nil {
		return err
	}
	if err := r.SP(); err != nil {
		return err
	}
	if err := r.ReadNumSet(set); err != nil {
		return err
	}
	set.Resolve(1000)
	if err := r.SP(); err != nil {
		return err
	}
	err := r.ReadList(func() error {
		_, err := r.ReadItemName()
		return err
	})
	if err != nil {
		return err
	}
	return r.CRLF()
}

func readLogin(r *Reader, _ *NumSet) error {
	if _, _, err := r.Command(); err != nil {
		return err
	}
	for range 2 {
		if err := r.SP(); err != nil {
			return err
		}
		if _, err := r.ReadAStringBytes(); err != nil {
			return err
		}
	}
	return r.CRLF()
}

var benchmarks = []struct {
	name, command string
	read          func(*Reader, *NumSet) error
}{
	{"NOOP", "a1 NOOP\r\n", readNoop},
	{"UID FETCH", "a1 UID FETCH 1:* (FLAGS)\r\n", readFetch},
	{"long UID FETCH", "a1 UID FETCH " + strings.Repeat("1234567,", 4000) + "9 (FLAGS)\r\n", readFetch},
	{"LOGIN literals", "a1 LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n", readLogin},
}

func BenchmarkReader(b *testing.B) {
	for _, bm := range benchmarks {
		b.Run(bm.name, func(b *testing.B) {
			r := NewReader(&loop{command: bm.command}, nil)
			var set NumSet
			b.SetBytes(int64(len(bm.command)))
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.read(r, &set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Reading a command does not allocate.
func TestReaderAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops buffers at random under the race detector")
	}
	for _, bm := range benchmarks {
		r := NewReader(&loop{command: bm.command}, nil)
		var set NumSet
		n := testing.AllocsPerRun(200, func() {
			if err := bm.read(r, &set); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", bm.name, n)
		}
	}
}

// Writing a response does not allocate.
func TestWriterAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops buffers at random under the race detector")
	}
	w := NewWriter(io.Discard)
	n := testing.AllocsPerRun(200, func() {
		if err := writeFetch(w, 4711); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var benchTime = time.Date(1996, 7, 17, 2, 44, 25, 0, time.UTC)

func writeFetch(w *Writer, n uint32) error {
	b := append(w.Begin(), "* "...)
	b = AppendNumber(b, n)
	b = append(b, " FETCH (UID "...)
	b = AppendNumber(b, n+1000)
	b = append(b, " FLAGS "...)
	b = AppendFlags(b, slices.Values([]string{`\Seen`, "$Junk"}))
	b = append(b, " INTERNALDATE "...)
	b = AppendDateTime(b, benchTime)
	b = append(b, " X "...)
	b = AppendString(b, "Entwürfe", true)
	b = AppendMailbox(append(b, ' '), "Entwürfe", false)
	return w.End(append(b, ")\r\n"...))
}

func BenchmarkWriteFetch(b *testing.B) {
	w := NewWriter(io.Discard)
	b.ReportAllocs()
	for b.Loop() {
		if err := writeFetch(w, 4711); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendNumber(b *testing.B) {
	buf := make([]byte, 0, 32)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendNumber(buf[:0], uint32(4294967295))
	}
}

func BenchmarkAppendString(b *testing.B) {
	buf := make([]byte, 0, 256)
	s := strings.Repeat("Re: the subject ", 5)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendString(buf[:0], s, false)
	}
}

func BenchmarkLiteral(b *testing.B) {
	const size = 1 << 20
	r := NewReader(&loop{command: "a APPEND {1048576+}\r\n" + strings.Repeat("x", size) + "\r\n"}, nil)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Command(); err != nil {
			b.Fatal(err)
		}
		if err := r.SP(); err != nil {
			b.Fatal(err)
		}
		l, err := r.ReadLiteral()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		if err := r.CRLF(); err != nil {
			b.Fatal(err)
		}
	}
}
