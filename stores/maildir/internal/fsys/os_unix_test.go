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
