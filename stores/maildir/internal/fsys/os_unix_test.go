//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys/fsystest"
)

func open(t testing.TB) fsys.Dir {
	t.Helper()
	d, err := fsys.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func plant(d fsys.Dir, name string, mode fs.FileMode) error {
	path := d.Path() + "/" + name
	switch mode {
	case fs.ModeSymlink:
		return os.Symlink("directory", path)
	case fs.ModeNamedPipe:
		return unix.Mkfifo(path, 0o600)
	case fs.ModeSocket:
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}
	return errors.ErrUnsupported
}

func TestConformance(t *testing.T) {
	before := descriptors(t)
	fsystest.Run(t, func(t *testing.T) fsys.Dir { return open(t) }, plant)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestConformanceOfCounting(t *testing.T) {
	fsystest.Run(t, func(t *testing.T) fsys.Dir { return fsys.Counting(open(t), new(fsys.Counters)) }, plant)
}

// descriptors counts what this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	n := 0
	for fd := range 4096 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// The operator's own path may go through symbolic links; nothing below it may.
func TestOpenRoot(t *testing.T) {
	base := t.TempDir()
	for _, err := range []error{os.Mkdir(base+"/store", 0o700), os.Symlink("store", base+"/link"), os.WriteFile(base+"/secret", []byte("secret"), 0o600),
		os.Symlink("../secret", base+"/store/out"), os.Symlink("..", base+"/store/up")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	d, err := fsys.OpenRoot(base + "/link")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Open("out"); !errors.Is(err, fsys.ErrNotRegular) {
		t.Errorf("a link out of the root: %v", err)
	}
	if _, err := d.Sub("up"); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a link to the directory above: %v", err)
	}
	for path, want := range map[string]error{"/none": fs.ErrNotExist, "/secret": unix.ENOTDIR} {
		if _, err := fsys.OpenRoot(base + path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A directory that was moved, with a link to elsewhere in its place, stays itself.
func TestHandlesIgnorePaths(t *testing.T) {
	d := open(t)
	defer d.Close()
	elsewhere := t.TempDir()
	if err := d.Mkdir("a"); err != nil {
		t.Fatal(err)
	}
	a, err := d.Sub("a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := errors.Join(os.Rename(d.Path()+"/a", d.Path()+"/b"), os.Symlink(elsewhere, a.Path())); err != nil {
		t.Fatal(err)
	}
	if err := a.Mkdir("new"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path() + "/b/new"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(elsewhere + "/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made elsewhere: %v", err)
	}
}

func TestCreateRoot(t *testing.T) {
	path := t.TempDir() + "/a/b/c"
	for range 2 {
		d, err := fsys.CreateRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		i, err := d.Stat()
		if err != nil || i.Mode != fs.ModeDir|0o700 {
			t.Errorf("%v, %v", i.Mode, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.WriteFile(path+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fsys.CreateRoot(path + "/file/d"); err == nil {
		t.Error("a directory was made in a file")
	}
}

// The lock holds between processes: another open file description stands for one.
func TestLockAgainstOthers(t *testing.T) {
	d := open(t)
	defer d.Close()
	other, err := fsys.OpenRoot(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l, err := d.Lock("lock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Lock("lock"); !errors.Is(err, fsys.ErrLocked) {
		t.Errorf("error %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l, err = other.Lock("lock"); err != nil {
		t.Error(err)
	} else {
		l.Close()
	}
}

// A file whose os.File was asked for ends with its Close.
func TestStdEndsWithTheFile(t *testing.T) {
	d := open(t)
	defer d.Close()
	f, err := d.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	std := f.Std()
	before := descriptors(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := std.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the os.File: %v", err)
	}
	if after := descriptors(t); after != before-1 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// The read path costs one allocation for the handle and one for the name.
func TestOpenAllocates(t *testing.T) {
	d := open(t)
	defer d.Close()
	f, err := d.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	b := make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() {
		f, err := d.Open("f")
		if err == nil {
			f.ReadAt(b, 0)
			f.Close()
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
