package content_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
)

var bodies = map[string][]byte{
	"empty":              nil,
	"CRLF":               []byte("a\r\nb\r\n"),
	"LF":                 []byte("a\nb\n\n"),
	"mixed":              []byte("a\r\nb\n\r\nc\r\r\n\r\n\n"),
	"no last line end":   []byte("a\nb"),
	"bare CR and NUL":    []byte("a\rb\x00\r"),
	"one octet":          []byte("\n"),
	"large LF":           letter(300<<10, "\n"),
	"large CRLF":         letter(300<<10, "\r\n"),
	"only LF":            bytes.Repeat([]byte("\n"), 200<<10),
	"CR LF across":       append(bytes.Repeat([]byte("x"), 64<<10-1), "\r\n\ny"...),
	"LF after the block": append(bytes.Repeat([]byte("x"), 64<<10), "\n\ny"...),
	"block of LF":        append(bytes.Repeat([]byte("\n"), 64<<10), "\r\n\ny"...),
	"LF and CRLF":        append(letter(150<<10, "\n"), letter(150<<10, "\r\n")...),
}

// Whatever the line ends, what is read is canonical.
func TestContent(t *testing.T) {
	for name, b := range bodies {
		t.Run(name, func(t *testing.T) {
			f, want := newFolder(t, b), canonical(t, b)
			m, err := content.Measure(t.Context(), f.file(t))
			if err != nil || m.FileSize != int64(len(b)) || m.Size != int64(len(want)) || m.BareLF() != int64(len(want)-len(b)) {
				t.Fatalf("Measure: %+v, %v; want %d and %d", m, err, len(b), len(want))
			}
			for _, opts := range []*content.Options{nil, {Known: m}} {
				c := f.open(t, opts)
				if c.Size() != int64(len(want)) || c.Measured() != m {
					t.Fatalf("Size %d, measured %+v; want %d, %+v", c.Size(), c.Measured(), len(want), m)
				}
				r := io.NewSectionReader(c, 0, c.Size())
				if len(want) < 1000 {
					if err := iotest.TestReader(r, want); err != nil {
						t.Error(err)
					}
				} else if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("read %d octets, %v; want %d", len(got), err, len(want))
				}
				var got bytes.Buffer
				for _, w := range []io.Writer{&got, plainWriter{&got}} {
					got.Reset()
					if n, err := c.WriteRange(w, 0, c.Size()); n != c.Size() || err != nil || !bytes.Equal(got.Bytes(), want) {
						t.Errorf("WriteRange: %d, %v, of %d", n, err, c.Size())
					}
				}
			}
		})
	}
}

// pieces draws a message of pieces that meet the edges of blocks and buffers.
func pieces(t *rapid.T) []byte {
	var b []byte
	for range rapid.IntRange(0, 12).Draw(t, "pieces") {
		piece := rapid.SampledFrom([]string{"\n", "\r", "\r\n", "a", "\x00", "line\n", "line\r\n"}).Draw(t, "piece")
		many := rapid.SampledFrom([]int{1, 1, 2, 1000, 16<<10 - 1, 16 << 10, 32<<10 - 1, 64<<10 - 1, 64 << 10}).Draw(t, "many")
		b = append(b, strings.Repeat(piece, many)...)
	}
	return b
}

// Any ranges in any order, with or without what was known before.
func TestAnyRange(t *testing.T) {
	f := newFolder(t, nil)
	rapid.Check(t, func(rt *rapid.T) {
		b := pieces(rt)
		want := canonical(t, b)
		f.put(t, b)
		opts := &content.Options{}
		for range rapid.IntRange(1, 3).Draw(rt, "opens") {
			c, err := content.Open(context.Background(), f.file(t), opts)
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 6).Draw(rt, "ranges") {
				checkRange(rt, c, want,
					rapid.IntRange(0, len(want)).Draw(rt, "off"), rapid.IntRange(0, len(want)).Draw(rt, "n"))
			}
			opts = &content.Options{}
			if rapid.Bool().Draw(rt, "known") {
				opts.Known, opts.Table = c.Measured(), c.Table()
			}
			if err := c.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func checkRange(t interface{ Fatalf(string, ...any) }, c *content.Content, want []byte, off, n int) {
	p := make([]byte, n)
	got, err := c.ReadAt(p, int64(off))
	end := min(off+n, len(want))
	if got != end-off || !bytes.Equal(p[:got], want[off:end]) {
		t.Fatalf("ReadAt(%d, %d) = %d of %d, %v", n, off, got, len(want), err)
	}
	if (err == io.EOF) != (off+n > len(want)) && n > 0 || err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d, %d) of %d: %v", n, off, len(want), err)
	}
	for _, hide := range []bool{false, true} {
		var buf bytes.Buffer
		var w io.Writer = &buf
		if hide {
			w = plainWriter{w}
		}
		wrote, err := c.WriteRange(w, int64(off), int64(end-off))
		if wrote != int64(end-off) || err != nil || !bytes.Equal(buf.Bytes(), want[off:end]) {
			t.Fatalf("WriteRange(%d, %d) of %d = %d, %v", off, end-off, len(want), wrote, err)
		}
	}
}

func FuzzContent(f *testing.F) {
	for _, b := range bodies {
		if len(b) < 1000 {
			f.Add(b, 1, 3)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, off, n int) {
		want := canonical(t, b)
		c := open(t, inMemory(t, b), nil)
		off = min(max(off, 0), len(want))
		n = min(max(n, 0), len(want)-off)
		checkRange(t, c, want, off, n)
		checkRange(t, c, want, 0, len(want))
	})
}

func TestOutside(t *testing.T) {
	for _, name := range []string{"LF", "CRLF"} {
		c := newFolder(t, bodies[name]).open(t, nil)
		size := c.Size()
		for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, size + 1}, {size, 1}, {size + 1, 0}, {math.MaxInt64, 1}, {1, math.MaxInt64}} {
			var buf bytes.Buffer
			if n, err := c.WriteRange(&buf, r[0], r[1]); n != 0 || !errors.Is(err, mailaccess.KindInvalid) || buf.Len() > 0 {
				t.Errorf("WriteRange(%d, %d) = %d, %v", r[0], r[1], n, err)
			}
		}
		p := make([]byte, 7)
		if n, err := c.ReadAt(p, -1); n != 0 || !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("ReadAt(-1) = %d, %v", n, err)
		}
		for _, off := range []int64{size, size + 1, math.MaxInt64} {
			if n, err := c.ReadAt(p, off); n != 0 || err != io.EOF {
				t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
			}
		}
	}
}

func TestClosed(t *testing.T) {
	f := newFolder(t, bodies["LF"])
	c := f.open(t, nil)
	// A file that has no name any more stays readable.
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	checkRange(t, c, canonical(t, bodies["LF"]), 0, int(c.Size()))
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := c.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) || !errors.Is(err, mailaccess.KindInvalid) {
		t.Errorf("ReadAt after Close: %v", err)
	}
	if _, err := c.WriteRange(io.Discard, 0, 1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("WriteRange after Close: %v", err)
	}
}

func TestUsable(t *testing.T) {
	gone := errors.New("the store is closed")
	var err error
	c := newFolder(t, bodies["LF"]).open(t, &content.Options{Usable: func() error { return err }})
	if _, err := c.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("ReadAt: %v", err)
	}
	err = gone
	if _, err := c.ReadAt(make([]byte, 1), 0); err != gone {
		t.Errorf("ReadAt: %v, want %v", err, gone)
	}
	if _, err := c.WriteRange(io.Discard, 0, 1); err != gone {
		t.Errorf("WriteRange: %v, want %v", err, gone)
	}
}

// What was measured before counts only while it fits.
func TestKnown(t *testing.T) {
	b := bodies["large LF"]
	f := newFolder(t, b)
	file := &spied{File: f.file(t)}
	m := open(t, file, nil).Measured()
	if got := file.octets.Load(); got != int64(len(b)) {
		t.Errorf("measuring read %d octets of %d", got, len(b))
	}
	file = &spied{File: f.file(t)}
	if open(t, file, &content.Options{Known: m}); file.octets.Load() != 0 {
		t.Errorf("opening what was known read %d octets", file.octets.Load())
	}
	for name, known := range map[string]content.Measured{
		"shorter":        {FileSize: m.FileSize - 1, Size: m.Size},
		"grew":           {FileSize: m.FileSize + 1, Size: m.Size + 1},
		"smaller":        {FileSize: m.FileSize, Size: m.FileSize - 1},
		"more than LFs":  {FileSize: m.FileSize, Size: 2*m.FileSize + 1},
		"another time":   {FileSize: m.FileSize, Size: m.FileSize, ModTime: m.ModTime - 1},
		"nothing at all": {},
	} {
		if got := f.open(t, &content.Options{Known: known}).Measured(); got != m {
			t.Errorf("%s: measured %+v, want %+v", name, got, m)
		}
	}
}

// Reading a large file with bare LFs in pieces reads it about once, also when each piece
// is read by another who has the table.
func TestPieces(t *testing.T) {
	const size, piece = 16 << 20, 2 << 10
	b := letter(size, "\n")
	want := canonical(t, b)
	f := newFolder(t, b)
	known := content.Measured{FileSize: int64(len(b)), Size: int64(len(want))}

	t.Run("sequential", func(t *testing.T) {
		file := &spied{File: f.file(t)}
		c := open(t, file, &content.Options{Known: known})
		p := make([]byte, piece)
		for off := 0; off < len(want); off += piece {
			n, err := c.ReadAt(p, int64(off))
			if err != nil && err != io.EOF || !bytes.Equal(p[:n], want[off:min(off+piece, len(want))]) {
				t.Fatalf("ReadAt at %d: %d, %v", off, n, err)
			}
		}
		if got, most := file.octets.Load(), int64(size+size/16); got > most {
			t.Errorf("read %d octets, want at most %d", got, most)
		}
	})
	const large = 64 << 10
	orders := map[string][]int{"ascending": nil, "shuffled": nil}
	for off := 0; off < len(want); off += large {
		orders["ascending"] = append(orders["ascending"], off)
	}
	orders["shuffled"] = append([]int{len(want) - 1}, orders["ascending"]...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(orders["ascending"]), func(i, j int) {
		o := orders["shuffled"][1:]
		o[i], o[j] = o[j], o[i]
	})
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			var table []byte
			var octets int64
			for _, off := range order {
				file := &spied{File: f.file(t)}
				c := open(t, file, &content.Options{Known: known, Table: table})
				var got bytes.Buffer
				end := min(off+large, len(want))
				if n, err := c.WriteRange(&got, int64(off), int64(end-off)); err != nil || !bytes.Equal(got.Bytes(), want[off:end]) {
					t.Fatalf("WriteRange at %d: %d, %v", off, n, err)
				}
				if b := c.Table(); b != nil {
					table = b
				}
				octets += file.octets.Load()
			}
			// The file once to get to the last place, then each piece and on the
			// average half a block before it.
			if most := int64(3 * size); octets > most {
				t.Errorf("read %d octets, want at most %d", octets, most)
			}
			if len(table) > size/tableRatio {
				t.Errorf("a table of %d octets", len(table))
			}
		})
	}
}

const tableRatio = 10_000

// A table that is damaged, or is another's, does no harm.
func TestTable(t *testing.T) {
	b := letter(200<<10, "\n")
	want := canonical(t, b)
	f := newFolder(t, b)
	c := f.open(t, nil)
	m, table := c.Measured(), c.Table()
	if table == nil {
		t.Fatal("measuring made no table")
	}
	if c := f.open(t, &content.Options{Known: m, Table: table}); c.Table() != nil {
		t.Error("nothing was learned, and there is a table")
	}
	bad := [][]byte{{}, {1}, table[:len(table)-1], append(bytes.Clone(table), 0)}
	for i := range table {
		for bit := range 8 {
			d := bytes.Clone(table)
			d[i] ^= 1 << bit
			bad = append(bad, d)
		}
	}
	for i, d := range bad {
		file := &spied{File: f.file(t)}
		c := open(t, file, &content.Options{Known: m, Table: d})
		checkRange(t, c, want, len(want)-100, 100)
		if file.octets.Load() < int64(len(b)-200) {
			t.Fatalf("damaged table %d was used", i)
		}
	}
	other := letter(300<<10, "\n")
	f.put(t, other)
	c = f.open(t, &content.Options{Table: table})
	checkRange(t, c, canonical(t, other), 200<<10, 1000)
	f.put(t, bodies["large CRLF"])
	if f.open(t, nil).Table() != nil {
		t.Error("a canonical file has a table")
	}
}

// Several may read at once.
func TestAtOnce(t *testing.T) {
	for _, name := range []string{"large LF", "large CRLF"} {
		want := canonical(t, bodies[name])
		c := newFolder(t, bodies[name]).open(t, nil)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(1, uint64(i)))
				for range 20 {
					off := r.IntN(len(want))
					checkRange(&panicker{}, c, want, off, r.IntN(len(want)-off+1))
				}
			})
		}
		wg.Wait()
	}
}

type panicker struct{}

func (*panicker) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// An error of the writer comes back as it is, with what was written before.
func TestWriterFails(t *testing.T) {
	for _, name := range []string{"large LF", "large CRLF"} {
		want := canonical(t, bodies[name])
		c := newFolder(t, bodies[name]).open(t, nil)
		for _, room := range []int{0, 1, 1000, 200_000} {
			for _, fast := range []bool{false, true} {
				w := &fullWriter{room: room, err: errors.New("the line is cut")}
				var out io.Writer = plainWriter{w}
				if fast {
					out = w
				}
				n, err := c.WriteRange(out, 0, c.Size())
				if err != w.err || n != int64(w.got.Len()) || !bytes.Equal(w.got.Bytes(), want[:n]) {
					t.Errorf("%s, room %d: %d, %v; it took %d", name, room, n, err, w.got.Len())
				}
			}
		}
	}
}

// fullWriter takes no more than there is room.
type fullWriter struct {
	room int
	err  error
	got  bytes.Buffer
}

func (w *fullWriter) Write(p []byte) (int, error) {
	n, _ := w.got.Write(p[:min(len(p), w.room-w.got.Len())])
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

func (w *fullWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(plainWriter{w}, r) }
