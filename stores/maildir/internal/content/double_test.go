package content_test

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// Whichever call of the file system fails, too few octets come with an error, and
// never wrong ones.
func TestFaults(t *testing.T) {
	for _, name := range []string{"LF", "CRLF", "large LF", "large CRLF"} {
		want := canonical(t, bodies[name])
		f := memfs.New(nil)
		dir := f.Root()
		file, err := dir.Create("message")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(bodies[name]); err != nil {
			t.Fatal(err)
		}
		for k := 1; ; k++ {
			// A read of no size asks for the file as such, which there may not be.
			f.Fail(k, syscall.EIO, &fsys.FaultOptions{Reads: true, Match: func(o fsys.Op) bool {
				return o.Kind != fsys.OpOpen && (o.Kind != fsys.OpRead || o.Size > 0)
			}})
			file, err := dir.Open("message")
			if err != nil {
				t.Fatal(err)
			}
			c, err := content.Open(t.Context(), file, nil)
			if err != nil {
				if f.Failed() != 1 || !errors.Is(err, syscall.EIO) {
					t.Fatalf("%s, fault %d: Open: %v", name, k, err)
				}
				continue
			}
			var got bytes.Buffer
			n, err := c.WriteRange(&got, 0, c.Size())
			if f.Failed() == 1 && (!errors.Is(err, syscall.EIO) || !errors.Is(err, mailaccess.KindUnavailable) || n >= c.Size()) {
				t.Errorf("%s, fault %d: WriteRange: %d of %d, %v", name, k, n, c.Size(), err)
			}
			if n != int64(got.Len()) || !bytes.HasPrefix(want, got.Bytes()) {
				t.Errorf("%s, fault %d: wrong octets", name, k)
			}
			f.Clear()
			checkRange(t, c, want, 0, len(want))
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if f.Failed() == 0 {
				break
			}
		}
	}
}

// A synced upload is there after loss of power; on a full disk it says so, and gives the
// room back.
func TestStagedOnDouble(t *testing.T) {
	body := letter(100<<10, "\r\n")
	f := memfs.New(nil)
	stage := func() *content.Staged {
		dir := f.Root()
		file, err := dir.Create("spool")
		if err != nil {
			t.Fatal(err)
		}
		return content.NewStaged(file, &content.StagedOptions{Discard: func() error {
			return errors.Join(dir.Remove("spool"), dir.Close())
		}})
	}
	f.SetCapacity(50_000)
	s := stage()
	_, err := s.Write(body)
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(s.Sync(), syscall.ENOSPC) {
		t.Errorf("Write on a full disk: %v", err)
	}
	if err := s.Close(); err != nil || f.Used() != 0 {
		t.Errorf("Close: %v; %d octets are left", err, f.Used())
	}
	f.SetCapacity(0)
	s = stage()
	if _, err := s.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Sync(), f.Root().Sync()); err != nil {
		t.Fatal(err)
	}
	f = f.Crash(nil, memfs.Nothing)
	file, err := f.Root().Open("spool")
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, file, nil)
	if got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); err != nil || !bytes.Equal(got, body) {
		t.Errorf("after the crash %d octets of %d, %v", len(got), len(body), err)
	}
}
