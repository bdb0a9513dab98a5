package content_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// changes are what may happen to a file that is being read. Each leaves a file that must
// not be taken for the one that was opened.
var changes = map[string]func(path string, b []byte) error{
	"shrank": func(path string, b []byte) error { return os.Truncate(path, int64(len(b)/2)) },
	"lost its last octet": func(path string, b []byte) error {
		return os.Truncate(path, int64(len(b)-1))
	},
	"is empty": func(path string, _ []byte) error { return os.Truncate(path, 0) },
	"grew": func(path string, _ []byte) error {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteString("more\r\n")
		return err
	},
	"has other octets": func(path string, b []byte) error { return rewrite(path, bytes.Repeat([]byte("?"), len(b))) },
	"has other line ends": func(path string, b []byte) error {
		b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n"), []byte("!")), []byte("\r!"), []byte("!\n"))
		return rewrite(path, b)
	},
}

// rewrite writes into the file that is there. Its time is another one afterwards,
// however coarse the clock of the file system is.
func rewrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
}

// A file that changes between any two reads gives fewer octets than were asked for,
// and those are right.
func TestChangedWhileRead(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		b := letter(200<<10, end)
		want := canonical(t, b)
		known := content.Measured{FileSize: int64(len(b)), Size: int64(len(want))}
		for what, change := range changes {
			for at := int64(1); ; at++ {
				f := newFolder(t, b)
				done := false
				file := &spied{File: f.file(t), hook: func(read int64) {
					if read == at {
						done = true
						if err := change(f.path, b); err != nil {
							t.Error(err)
						}
					}
				}}
				c := open(t, file, &content.Options{Known: known})
				var got bytes.Buffer
				n, err := c.WriteRange(plainWriter{&got}, 0, c.Size())
				if !done {
					if err != nil || !bytes.Equal(got.Bytes(), want) {
						t.Errorf("nothing changed: %d, %v", n, err)
					}
					break
				}
				if n >= c.Size() || n != int64(got.Len()) || !errors.Is(err, mailaccess.KindCorrupt) {
					t.Errorf("%q lines, %s before read %d: wrote %d of %d, %v", end, what, at, n, c.Size(), err)
				}
				if _, err := c.ReadAt(make([]byte, 10), 0); !errors.Is(err, mailaccess.KindCorrupt) {
					t.Errorf("%q lines, %s: ReadAt: %v", end, what, err)
				}
			}
		}
	}
}

// The same while the writer reads the file itself.
func TestChangedWhileSent(t *testing.T) {
	b := letter(200<<10, "\r\n")
	for what, change := range changes {
		f := newFolder(t, b)
		c := f.open(t, nil)
		w := &fastWriter{after: 50_000, hook: func() error { return change(f.path, b) }}
		n, err := c.WriteRange(w, 0, c.Size())
		if n >= c.Size() || n != int64(w.got.Len()) || !errors.Is(err, mailaccess.KindCorrupt) {
			t.Errorf("%s: wrote %d of %d, %v", what, n, c.Size(), err)
		}
		if !w.fast {
			t.Errorf("%s: the writer was not given the file", what)
		}
	}
}

// fastWriter reads files itself.
type fastWriter struct {
	after int64 // octets after which hook is called
	hook  func() error
	got   bytes.Buffer
	fast  bool
}

func (w *fastWriter) Write(p []byte) (int, error) { return w.got.Write(p) }

func (w *fastWriter) ReadFrom(r io.Reader) (int64, error) {
	l, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(plainWriter{w}, r) // what is looked after
	}
	_, w.fast = l.R.(*os.File) // what net.TCPConn knows
	n, err := io.CopyN(plainWriter{w}, r, w.after)
	if err != nil {
		return n, err
	}
	if err := w.hook(); err != nil {
		return n, err
	}
	m, err := io.Copy(plainWriter{w}, r)
	return n + m, err
}

// Large ranges of a canonical file go to a socket by the kernel, also when several want
// them at once: the file's offset is shared.
func TestSend(t *testing.T) {
	b := letter(3<<20, "\r\n")
	file := &spied{File: newFolder(t, b).file(t)}
	c := open(t, file, &content.Options{Known: content.Measured{FileSize: int64(len(b)), Size: int64(len(b))}})
	var wg sync.WaitGroup
	for i := range 4 {
		off := i * 100_000
		client, server := socketPair(t)
		wg.Go(func() {
			defer server.Close()
			if n, err := c.WriteRange(server, int64(off), int64(len(b)-off)); n != int64(len(b)-off) || err != nil {
				t.Errorf("WriteRange: %d, %v", n, err)
			}
		})
		wg.Go(func() {
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, b[off:]) {
				t.Errorf("received %d octets of %d, %v", len(got), len(b)-off, err)
			}
		})
	}
	wg.Wait()
	file.octets.Store(0)
	w := &fastWriter{hook: func() error { return nil }}
	if _, err := c.WriteRange(w, 5, 1<<20); err != nil || !bytes.Equal(w.got.Bytes(), b[5:5+1<<20]) || !w.fast {
		t.Errorf("WriteRange: %v, by the file %v", err, w.fast)
	}
	if n := file.octets.Load(); n > 64<<10 {
		t.Errorf("%d octets were read besides", n)
	}
}

func socketPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return client, server
}

// A file that is written while it is measured is not taken for one of no octet more or
// less.
func TestChangedWhileMeasured(t *testing.T) {
	b := letter(200<<10, "\n")
	for what, change := range changes {
		f := newFolder(t, b)
		file := &spied{File: f.file(t), hook: func(read int64) {
			if read == 3 {
				if err := change(f.path, b); err != nil {
					t.Error(err)
				}
			}
		}}
		c := open(t, file, nil)
		now, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		want := canonical(t, now)
		if c.Size() != int64(len(want)) {
			t.Errorf("%s: size %d, want %d", what, c.Size(), len(want))
		}
		checkRange(t, c, want, 0, len(want))
	}
	f := newFolder(t, b)
	file := &spied{File: f.file(t), hook: func(int64) {
		if err := changes["grew"](f.path, b); err != nil {
			t.Error(err)
		}
	}}
	file.hook(0)
	stop := file.hook
	n := 0
	file.hook = func(r int64) {
		if n++; n%8 == 1 {
			stop(r)
		}
	}
	if _, err := content.Open(t.Context(), file, nil); !errors.Is(err, mailaccess.KindUnavailable) {
		t.Errorf("Open of a file that keeps growing: %v", err)
	}
}

// What is known may be of a file that was changed without a trace: same size, same time.
// Reading all of it, or reading past where the table says something else, finds out.
func TestKnownWrongly(t *testing.T) {
	b := letter(200<<10, "\n")
	want := canonical(t, b)
	f := newFolder(t, b)
	whole := func(what string, opts *content.Options, want []byte) {
		t.Helper()
		c := f.open(t, opts)
		var got bytes.Buffer
		n, err := c.WriteRange(plainWriter{&got}, 0, c.Size())
		if n >= c.Size() || !errors.Is(err, mailaccess.KindCorrupt) || !bytes.HasPrefix(want, got.Bytes()) {
			t.Errorf("%s: wrote %d of %d, %v", what, n, c.Size(), err)
		}
		p := make([]byte, c.Size())
		if n, err := c.ReadAt(p, 0); n != 0 || !errors.Is(err, mailaccess.KindCorrupt) {
			t.Errorf("%s: ReadAt: %d, %v", what, n, err)
		}
	}
	m := f.open(t, nil).Measured()
	for _, d := range []int64{-1000, -1, +1, +1000} {
		wrong := content.Measured{FileSize: m.FileSize, Size: m.Size + d}
		whole("another size", &content.Options{Known: wrong}, want)
	}
	// As many lines, but others: the short ones come first now.
	lines := bytes.SplitAfter(b, []byte("\n"))
	slices.SortFunc(lines, func(a, b []byte) int { return len(a) - len(b) })
	other := bytes.Join(lines, nil)
	f.put(t, other)
	if err := os.Chtimes(f.path, time.Time{}, time.Unix(m.ModTime, 0)); err != nil {
		t.Fatal(err)
	}
	f2 := newFolder(t, b)
	if err := os.Chtimes(f2.path, time.Time{}, time.Unix(m.ModTime, 0)); err != nil {
		t.Fatal(err)
	}
	before := f2.open(t, nil)
	whole("other lines", &content.Options{Known: before.Measured(), Table: before.Table()}, canonical(t, other))
}

// A table of any entries leads to right octets or to an error.
func FuzzTable(f *testing.F) {
	b := letter(200<<10, "\n")
	want := canonical(f, b)
	file := newFolder(f, b)
	c := file.open(f, nil)
	known, table := c.Measured(), c.Table()
	n := 1 // the version, and what says whose table it is
	for range 3 {
		_, k := binary.Varint(table[n:])
		n += k
	}
	head := table[:n]
	f.Add(table[len(head):len(table)-4], 1000)
	f.Add([]byte{2, 3, 4}, 150_000)
	f.Add(bytes.Repeat([]byte{0xff}, 20), 0)
	f.Fuzz(func(t *testing.T, entries []byte, off int) {
		bad := append(bytes.Clone(head), entries...)
		bad = binary.LittleEndian.AppendUint32(bad, crc32.Checksum(bad, crc32.MakeTable(crc32.Castagnoli)))
		c := file.open(t, &content.Options{Known: known, Table: bad})
		c.ReadAt(make([]byte, 1000), int64(min(max(off, 0), len(want)))) // where it may be led astray
		got := make([]byte, len(want))
		if _, err := c.ReadAt(got, 0); err == nil && !bytes.Equal(got, want) {
			t.Error("wrong octets")
		} else if err != nil && !errors.Is(err, mailaccess.KindCorrupt) {
			t.Error(err)
		}
	})
}

// brokenFile fails with err.
type brokenFile struct {
	fsys.File
	read, info error
	closed     bool
}

func (f *brokenFile) ReadAt(p []byte, off int64) (int, error) {
	if f.read != nil {
		return 0, f.read
	}
	return f.File.ReadAt(p, off)
}

func (f *brokenFile) Info() (fsys.Info, error) {
	if f.info != nil {
		return fsys.Info{}, f.info
	}
	return f.File.Info()
}

func (f *brokenFile) Close() error {
	f.closed = true
	return f.File.Close()
}

func TestDiskFails(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		f := newFolder(t, letter(100<<10, end))
		for _, broken := range []brokenFile{{read: syscall.EIO}, {info: syscall.EIO}} {
			file := broken
			file.File = f.file(t)
			if _, err := content.Open(t.Context(), &file, nil); !errors.Is(err, syscall.EIO) || !errors.Is(err, mailaccess.KindUnavailable) || !file.closed {
				t.Errorf("Open: %v; closed %v", err, file.closed)
			}
			file = brokenFile{File: f.file(t)}
			c := open(t, &file, nil)
			file.read, file.info = broken.read, broken.info
			if n, err := c.ReadAt(make([]byte, 10), 0); n != 0 || !errors.Is(err, syscall.EIO) || !errors.Is(err, mailaccess.KindUnavailable) {
				t.Errorf("ReadAt: %d, %v", n, err)
			}
			if n, err := c.WriteRange(io.Discard, 0, c.Size()); n >= c.Size() || !errors.Is(err, syscall.EIO) {
				t.Errorf("WriteRange: %d, %v", n, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := content.Measure(ctx, newFolder(t, bodies["LF"]).file(t)); !errors.Is(err, mailaccess.KindUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Measure: %v", err)
	}
}
