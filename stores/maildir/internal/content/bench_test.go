package content_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
)

var someDay = time.Unix(1_000_000_000, 0)

func BenchmarkWriteRange(b *testing.B) {
	for _, size := range []int{50 << 10, 10 << 20} {
		for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
			b.Run(fmt.Sprintf("%s/%dK", name, size>>10), func(b *testing.B) {
				c := newFolder(b, letter(size, end)).open(b, nil)
				var w io.Writer = plainWriter{io.Discard}
				b.SetBytes(c.Size())
				b.ReportAllocs()
				for b.Loop() {
					if _, err := c.WriteRange(w, 0, c.Size()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// Opening, reading and closing, as for a message of a FETCH.
func BenchmarkOpen(b *testing.B) {
	for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		b.Run(name, func(b *testing.B) {
			f := newFolder(b, letter(5<<10, end))
			opts := &content.Options{Known: f.open(b, nil).Measured()}
			p := make([]byte, 2000)
			b.ReportAllocs()
			for b.Loop() {
				c, err := content.Open(b.Context(), f.file(b), opts)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.ReadAt(p, 0); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

func BenchmarkMeasure(b *testing.B) {
	for name, end := range map[string]string{"LF": "\n", "CRLF": "\r\n"} {
		b.Run(name, func(b *testing.B) {
			body := letter(10<<20, end)
			f := newFolder(b, body).file(b)
			defer f.Close()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if _, err := content.Measure(b.Context(), f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStaged(b *testing.B) {
	body := letter(50<<10, "\r\n")
	dir := newFolder(b, nil).dir
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := dir.Create("spool")
		if err != nil {
			b.Fatal(err)
		}
		s := content.NewStaged(f, &content.StagedOptions{Discard: func() error { return dir.Remove("spool") }})
		for rest := body; len(rest) > 0; rest = rest[min(len(rest), 4096):] {
			if _, err := s.Write(rest[:min(len(rest), 4096)]); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Content(); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// Reading allocates nothing.
func TestAllocations(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		c := newFolder(t, letter(50<<10, end)).open(t, nil)
		p := make([]byte, 1000)
		buf := new(bytes.Buffer)
		var w io.Writer = plainWriter{buf}
		for name, read := range map[string]func(){
			"ReadAt":     func() { c.ReadAt(p, 20_000) },
			"WriteRange": func() { buf.Reset(); c.WriteRange(w, 0, c.Size()) },
			"a part":     func() { c.WriteRange(io.Discard, 20_000, 1000) }, // which reads for itself
		} {
			if n := testing.AllocsPerRun(100, read); n >= 1 {
				t.Errorf("%q lines: %s allocates %v times", end, name, n)
			}
		}
	}
}
