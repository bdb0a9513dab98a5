package content_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// canonical is what clients are to get of b.
func canonical(t testing.TB, b []byte) []byte {
	t.Helper()
	want, err := io.ReadAll(message.NewCanonicalReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// folder is a directory with a message file in it.
type folder struct {
	dir  fsys.Dir
	path string
}

func newFolder(t testing.TB, b []byte) *folder {
	t.Helper()
	path := t.TempDir()
	dir, err := fsys.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	f := &folder{dir, filepath.Join(path, "message")}
	f.put(t, b)
	return f
}

func (f *folder) put(t testing.TB, b []byte) {
	t.Helper()
	if err := os.WriteFile(f.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *folder) file(t testing.TB) fsys.File {
	t.Helper()
	file, err := f.dir.Open("message")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func (f *folder) open(t testing.TB, opts *content.Options) *content.Content {
	t.Helper()
	return open(t, f.file(t), opts)
}

// inMemory is a file of the double.
func inMemory(t testing.TB, b []byte) fsys.File {
	t.Helper()
	dir := memfs.New(nil).Root()
	f, err := dir.Create("message")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = dir.Open("message"); err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t testing.TB, f fsys.File, opts *content.Options) *content.Content {
	t.Helper()
	c, err := content.Open(t.Context(), f, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// spied is a file of which it is known how much was read, and during the reads of which
// something happens.
type spied struct {
	fsys.File
	octets atomic.Int64
	reads  atomic.Int64
	hook   func(read int64) // before read number read, counted from 1
	noStd  bool
}

func (s *spied) ReadAt(p []byte, off int64) (int, error) {
	if n := s.reads.Add(1); s.hook != nil {
		s.hook(n)
	}
	n, err := s.File.ReadAt(p, off)
	s.octets.Add(int64(n))
	return n, err
}

func (s *spied) Std() *os.File {
	if s.noStd {
		return nil
	}
	return s.File.Std()
}

// plainWriter hides every method but Write.
type plainWriter struct{ io.Writer }

// letter returns a message of some n octets, of lines that end in end.
func letter(n int, end string) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+100)
	for len(b) < n {
		for range r.IntN(78) {
			b = append(b, byte(' '+r.IntN(90)))
		}
		b = append(b, end...)
	}
	return b
}
