package memfs_test

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

func TestCaseInsensitive(t *testing.T) {
	f := memfs.New(&memfs.Options{CaseInsensitive: true})
	root := f.Root()
	must(t, create(t, root, "Name", "text").Sync(), root.Sync())
	if got := read(t, root, "nAME"); got != "text" {
		t.Errorf("content %q", got)
	}
	_, err := root.Create("NAME")
	for _, err := range []error{err, root.Mkdir("name"), root.Link("Name", root, "nAmE")} {
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("a name of another case: %v", err)
		}
	}
	create(t, root, "ÄÖ", "")
	create(t, root, "äö", "") // ASCII only
	must(t, root.Rename("NAME", root, "name"))
	for mode, want := range map[memfs.Mode]string{memfs.Nothing: "Name", memfs.All: "name"} {
		after := f.Crash(nil, mode).Root()
		found := false
		for e, err := range after.Names(0) {
			must(t, err)
			found = found || e.Name == want
		}
		if !found || read(t, after, "NAME") != "text" {
			t.Errorf("mode %d: no %q in %v", mode, want, tree(t, after))
		}
	}
}

func TestNameMax(t *testing.T) {
	root := memfs.New(&memfs.Options{NameMax: 5}).Root()
	must(t, root.Mkdir("12345"))
	if err := root.Mkdir("123456"); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("error %v", err)
	}
}

// A full disk takes what fits, and takes more when something is gone: its last name
// and its last handle.
func TestCapacity(t *testing.T) {
	f := memfs.New(&memfs.Options{Capacity: 10})
	root := f.Root()
	x, y := create(t, root, "x", "123456"), create(t, root, "y", "")
	full := func(n int, err error, want int) {
		t.Helper()
		if n != want || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%d octets were written: %v; want %d", n, err, want)
		}
	}
	n, err := y.Write([]byte("abcdef"))
	full(n, err, 4)
	n, err = y.Write([]byte("g"))
	full(n, err, 0)
	if got := read(t, root, "y"); got != "abcd" {
		t.Errorf("content %q", got)
	}
	_, err = y.WriteAt([]byte("ABCD"), 0) // takes no place
	must(t, err)
	_, err = root.Create("z")
	full(0, err, 0)
	full(0, x.Truncate(7), 0)
	must(t, root.Link("x", root, "w"), root.Remove("x"))
	full(0, x.Truncate(7), 0)
	must(t, root.Remove("w"))
	if f.Used() != 10 {
		t.Errorf("%d octets are used while the file is open", f.Used())
	}
	must(t, x.Close())
	if f.Used() != 4 {
		t.Errorf("%d octets are used, want 4", f.Used())
	}
	_, err = y.Write([]byte("ef"))
	must(t, err)
	f.SetCapacity(6)
	n, err = y.Write([]byte("g"))
	full(n, err, 0)
	must(t, y.Truncate(1), root.Sync())
	if after := f.Crash(nil, memfs.All); after.Used() != 1 {
		t.Errorf("%d octets are used after the crash", after.Used())
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2001, 2, 3, 4, 5, 6, 7, time.UTC)
	root := memfs.New(&memfs.Options{Now: func() time.Time { return now }}).Root()
	f := create(t, root, "x", "")
	made := now
	now = now.Add(time.Second)
	_, err := f.Write([]byte("x"))
	must(t, err)
	i, err := root.Lstat("x")
	must(t, err)
	j, err := root.Stat()
	must(t, err)
	if !i.ModTime.Equal(now) || !j.ModTime.Equal(made) {
		t.Errorf("the file is of %v, the directory of %v", i.ModTime, j.ModTime)
	}
}

// An offset is not allowed to take all memory.
func TestHugeOffsets(t *testing.T) {
	f := create(t, memfs.New(nil).Root(), "x", "")
	_, err := f.WriteAt([]byte("x"), 1<<50)
	for _, err := range []error{err, f.Truncate(1 << 50)} {
		if !errors.Is(err, syscall.EFBIG) {
			t.Errorf("error %v", err)
		}
	}
}

func TestPlantNamesThePlace(t *testing.T) {
	f := memfs.New(nil)
	must(t, f.Root().Mkdir("a"), f.Plant("a/x", fs.ModeSymlink))
	for _, path := range []string{"a/x", "b/x", "a/x/y"} {
		if err := f.Plant(path, fs.ModeSymlink); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
