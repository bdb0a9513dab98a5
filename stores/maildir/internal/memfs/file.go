package memfs

import (
	"io"
	"os"
	"syscall"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// write is one change of a file that is not durable: data at an offset, or, without
// data, a size or a modification time.
type write struct {
	data []byte
	off  int64
	size int64 // where there are no data and no time
	time time.Time
}

func (w write) isTime() bool { return !w.time.IsZero() }

// to does the write to a content.
func (w write) to(b []byte) []byte {
	switch {
	case w.isTime():
		return b
	case w.data == nil:
		return resize(b, w.size)
	}
	if end := w.off + int64(len(w.data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[w.off:], w.data)
	return b
}

// resize cuts, or grows with zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (n *node) setTime(t time.Time) {
	n.mtime = t
	if n.mode.IsRegular() {
		n.writes = append(n.writes, write{time: t})
	}
}

// sync makes the writes durable, without times if only the data are asked for.
func (n *node) sync(times bool) {
	var left []write
	for _, w := range n.writes {
		if w.isTime() && !times {
			left = append(left, w)
		}
		n.disk = w.to(n.disk)
	}
	if n.writes = left; times {
		n.synced = n.mtime
	}
}

// maxSize of a file is what a test may take of memory by one offset.
const maxSize = 1 << 30

type file struct {
	handle
	write  bool
	opened fsys.Info
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.do("read", "", func() error {
		if off < 0 {
			return syscall.EINVAL
		}
		if off < int64(len(f.n.data)) {
			n = copy(p, f.n.data[off:])
		}
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	return f.writeAt(p, func() int64 { return off })
}

func (f *file) Write(p []byte) (int, error) {
	return f.writeAt(p, func() int64 { return int64(len(f.n.data)) })
}

// writeAt writes what fits on the disk, as write(2) does.
func (f *file) writeAt(p []byte, at func() int64) (n int, err error) {
	err = f.change("write", func() error {
		off := at()
		switch {
		case off < 0:
			return syscall.EINVAL
		case len(p) == 0:
			return nil
		case off+int64(len(p)) > maxSize:
			return syscall.EFBIG
		}
		var full error
		if room := f.n.room(f.fs); off+int64(len(p)) > room {
			p, full = p[:max(0, room-off)], syscall.ENOSPC
		}
		if n = len(p); n > 0 {
			f.put(write{data: append([]byte(nil), p...), off: off})
		}
		return full
	})
	return n, err
}

// room is the size that the file may reach.
func (n *node) room(f *FS) int64 {
	if f.opts.Capacity == 0 {
		return maxSize
	}
	return int64(len(n.data)) + max(0, f.opts.Capacity-f.used)
}

func (f *file) put(w write) {
	before := len(f.n.data)
	f.n.data = w.to(f.n.data)
	f.n.writes = append(f.n.writes, w)
	f.n.mtime = f.fs.opts.Now()
	f.fs.used += int64(len(f.n.data) - before)
}

// change does an operation for which the file must be open for writing.
func (f *file) change(op string, call func() error) error {
	return f.do(op, "", func() error {
		if !f.write {
			return syscall.EBADF
		}
		return call()
	})
}

func (f *file) Truncate(size int64) error {
	return f.change("truncate", func() error {
		switch {
		case size < 0:
			return syscall.EINVAL
		case size > maxSize:
			return syscall.EFBIG
		case size > f.n.room(f.fs):
			return syscall.ENOSPC
		}
		f.put(write{size: size})
		return nil
	})
}

func (f *file) Sync() error {
	return f.do("sync", "", func() error { f.n.sync(true); return nil })
}

func (f *file) SyncData() error {
	return f.do("sync", "", func() error { f.n.sync(false); return nil })
}

// LoseUnsynced is for [fsys.FaultOptions].
func (f *file) LoseUnsynced() {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.n.writes = nil
}

func (f *file) Size() (int64, error) {
	i, err := f.Info()
	return i.Size, err
}

func (f *file) Info() (i fsys.Info, err error) {
	err = f.do("stat", "", func() error { i = f.n.info(); return nil })
	return i, err
}

func (f *file) Opened() fsys.Info { return f.opened }

func (f *file) SetModTime(t time.Time) error {
	return f.do("chtimes", "", func() error { f.n.setTime(t); return nil })
}

// Std is nil: there is no file.
func (f *file) Std() *os.File { return nil }

func (f *file) Close() error { return f.close(f.closing) }

func (f *file) closing() {
	f.n.opens--
	f.fs.free(f.n)
}

// lock is the file that is locked.
type lock struct{ f *file }

func (l *lock) Close() error {
	return l.f.close(func() {
		l.f.n.locked = false
		l.f.closing()
	})
}

var (
	_ fsys.Dir   = (*dir)(nil)
	_ fsys.File  = (*file)(nil)
	_ fsys.Loser = (*file)(nil)
)
