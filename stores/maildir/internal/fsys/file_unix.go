//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys

import (
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

type osFile struct {
	handle
	mu        sync.Mutex // of Write, which looks for the end, and of std
	dir, name string
	opened    Info
}

func (f *osFile) path() string { return f.dir + "/" + f.name }

func (f *osFile) call(op string, call func() (int, error)) (int, error) {
	if !f.enter() {
		return 0, &fs.PathError{Op: op, Path: f.path(), Err: fs.ErrClosed}
	}
	defer f.leave()
	n, err := retry(call)
	if err != nil {
		return n, &fs.PathError{Op: op, Path: f.path(), Err: err}
	}
	return n, nil
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := f.call("read", func() (int, error) { return unix.Pread(f.fd, p[n:], off+int64(n)) })
		if err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.EOF
		}
		n += m
	}
	return n, nil
}

func (f *osFile) WriteAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		m, err := f.call("write", func() (int, error) { return unix.Pwrite(f.fd, p[n:], off+int64(n)) })
		if err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

func (f *osFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end, err := f.Size()
	if err != nil {
		return 0, err
	}
	return f.WriteAt(p, end)
}

func (f *osFile) Truncate(size int64) error {
	_, err := f.call("truncate", func() (int, error) { return 0, unix.Ftruncate(f.fd, size) })
	return err
}

func (f *osFile) Sync() error {
	_, err := f.call("sync", func() (int, error) { return 0, syncAll(f.fd) })
	return err
}

func (f *osFile) SyncData() error {
	_, err := f.call("sync", func() (int, error) { return 0, syncData(f.fd) })
	return err
}

func (f *osFile) Size() (int64, error) {
	i, err := f.Info()
	return i.Size, err
}

func (f *osFile) Info() (Info, error) {
	var st unix.Stat_t
	if _, err := f.call("stat", func() (int, error) { return 0, unix.Fstat(f.fd, &st) }); err != nil {
		return Info{}, err
	}
	return info(&st), nil
}

func (f *osFile) Opened() Info { return f.opened }

func (f *osFile) SetModTime(t time.Time) error {
	_, err := f.call("chtimes", func() (int, error) {
		ts, err := unix.TimeToTimespec(t)
		if err != nil {
			return 0, err
		}
		return 0, setTime(f.fd, ts)
	})
	return err
}

// Std makes the os.File when it is first asked for: registering one costs more than
// most reads.
func (f *osFile) Std() *os.File {
	if !f.enter() {
		return nil
	}
	defer f.leave()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.std == nil {
		f.std = os.NewFile(uintptr(f.fd), f.path())
	}
	return f.std
}

func (f *osFile) Close() error {
	if err := f.close(); err != nil {
		return &fs.PathError{Op: "close", Path: f.path(), Err: err}
	}
	return nil
}
