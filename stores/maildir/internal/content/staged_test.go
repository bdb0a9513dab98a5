package content_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

func stage(t testing.TB, opts *content.StagedOptions) (s *content.Staged, dir fsys.Dir, path string) {
	t.Helper()
	f := newFolder(t, nil)
	file, err := f.dir.Create("spool")
	if err != nil {
		t.Fatal(err)
	}
	s = content.NewStaged(file, opts)
	t.Cleanup(func() { s.Close() })
	return s, f.dir, f.path[:len(f.path)-len("message")] + "spool"
}

// What is written, in whatever pieces, is what is read and what the file holds.
func TestStaged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, _, path := stage(t, nil)
		defer os.Remove(path)
		defer s.Close()
		var want []byte
		for range rapid.IntRange(0, 8).Draw(rt, "writes") {
			n := rapid.SampledFrom([]int{0, 1, 100, 32<<10 - 1, 32 << 10, 32<<10 + 1, 100_000}).Draw(rt, "n")
			p := letter(n, "\r\n")[:n]
			if k, err := s.Write(p); k != n || err != nil {
				rt.Fatalf("Write: %d of %d, %v", k, n, err)
			}
			want = append(want, p...)
			clear(p)
			if s.Size() != int64(len(want)) {
				rt.Fatalf("Size %d, want %d", s.Size(), len(want))
			}
			if rapid.IntRange(0, 3).Draw(rt, "sync") == 0 {
				if err := s.Sync(); err != nil {
					rt.Fatal(err)
				}
				if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
					rt.Fatalf("the file has %d octets of %d, %v", len(got), len(want), err)
				}
			}
		}
		c, err := s.Content()
		if err != nil || c.Size() != int64(len(want)) {
			rt.Fatalf("Content: %v", err)
		}
		got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("read %d octets of %d, %v", len(got), len(want), err)
		}
		if err := c.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// Readers of an upload outlive it and do not disturb each other, and it is written no more.
func TestStagedContent(t *testing.T) {
	s, dir, _ := stage(t, nil)
	body := letter(200<<10, "\r\n")
	if _, err := s.Write(body); err != nil {
		t.Fatal(err)
	}
	var opened []mailaccess.Content
	for range 2 {
		c, err := s.Content()
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, c)
	}
	if n, err := s.Write([]byte("more")); n != 0 || !errors.Is(err, mailaccess.KindInvalid) {
		t.Errorf("Write after Content: %d, %v", n, err)
	}
	// Its date is set before it becomes a message.
	if err := dir.SetModTime("spool", someDay); err != nil {
		t.Fatal(err)
	}
	for _, c := range opened {
		var got bytes.Buffer
		if n, err := c.WriteRange(&got, 0, c.Size()); err != nil || !bytes.Equal(got.Bytes(), body) {
			t.Errorf("WriteRange: %d, %v", n, err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Staged.Close: %v", err)
			}
		}
		if err := iotest.TestReader(io.NewSectionReader(c, 0, 100), body[:100]); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Errorf("Content.Close: %v", err)
			}
		}
	}
	if _, err := s.Content(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Content after Close: %v", err)
	}
	if _, err := s.File().Info(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
}

func TestStagedOptions(t *testing.T) {
	discarded := 0
	var gone error
	s, _, _ := stage(t, &content.StagedOptions{Limit: 10, Discard: func() error { discarded++; return nil }, Usable: func() error { return gone }})
	if n, err := s.Write(make([]byte, 10)); n != 10 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	gone = errors.New("the store is closed")
	if _, err := s.Write([]byte("x")); err != gone {
		t.Errorf("Write: %v, want %v", err, gone)
	}
	gone = nil
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, mailaccess.KindTooBig) {
		t.Errorf("Write over the limit: %d, %v", n, err)
	}
	if err := s.Sync(); !errors.Is(err, mailaccess.KindTooBig) {
		t.Errorf("Sync of what is not whole: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil || discarded != 1 {
			t.Errorf("Close: %v, discarded %d times", err, discarded)
		}
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
}

// fullFile takes no more than there is room, and fails to sync.
type fullFile struct {
	fsys.File
	room int
	sync error
}

func (f *fullFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p[:min(len(p), f.room)])
	f.room -= n
	if err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (f *fullFile) Sync() error {
	if err := f.sync; err != nil {
		f.sync = nil
		return err
	}
	return f.File.Sync()
}

// Once the disk was full, or could not sync, nothing of the upload is taken for whole.
func TestStagedFails(t *testing.T) {
	for _, room := range []int{0, 100, 32 << 10, 40_000, 99_999} {
		for _, piece := range []int{1000, 50_000, 100_000} {
			dir := newFolder(t, nil).dir
			file, err := dir.Create("spool")
			if err != nil {
				t.Fatal(err)
			}
			s := content.NewStaged(&fullFile{File: file, room: room}, nil)
			for rest := make([]byte, 100_000); len(rest) > 0 && err == nil; rest = rest[piece:] {
				_, err = s.Write(rest[:piece])
			}
			for range 2 {
				if err == nil {
					err = s.Sync()
				}
				if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, mailaccess.KindOverQuota) {
					t.Errorf("room %d, pieces of %d: %v", room, piece, err)
				}
				err = nil
			}
			if _, err := s.Content(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Content: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	file, err := newFolder(t, nil).dir.Create("spool")
	if err != nil {
		t.Fatal(err)
	}
	s := content.NewStaged(&fullFile{File: file, room: 10, sync: syscall.EIO}, nil)
	defer s.Close()
	for range 2 {
		if err := s.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("Sync: %v", err)
		}
	}
}
