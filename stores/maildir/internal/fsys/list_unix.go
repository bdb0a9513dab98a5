//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"iter"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	listBuffer    = 32 << 10
	minListBuffer = 4 << 10 // one entry takes up to 1,048 octets

	offReclen = unsafe.Offsetof(unix.Dirent{}.Reclen)
	offType   = unsafe.Offsetof(unix.Dirent{}.Type)
	offName   = unsafe.Offsetof(unix.Dirent{}.Name)
)

// Names reads through a descriptor of its own, so that listings do not move each
// other's place in the directory.
func (d *osDir) Names(buf int) iter.Seq2[Entry, error] {
	if buf == 0 {
		buf = listBuffer
	}
	return func(yield func(Entry, error) bool) {
		fd, err := d.self("readdir", func() (int, error) {
			return unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer unix.Close(fd)
		b := make([]byte, max(buf, minListBuffer))
		for {
			n, err := retry(func() (int, error) { return unix.ReadDirent(fd, b) })
			if err != nil {
				yield(Entry{}, &fs.PathError{Op: "readdir", Path: d.path, Err: err})
				return
			}
			if n <= 0 {
				return
			}
			for rest := b[:n]; len(rest) > 0; {
				size := uintptr(len(rest))
				if size > offName {
					size = uintptr(binary.NativeEndian.Uint16(rest[offReclen:]))
				}
				if size <= offName || size > uintptr(len(rest)) {
					yield(Entry{}, &fs.PathError{Op: "readdir", Path: d.path, Err: unix.EIO})
					return
				}
				record := rest[:size]
				rest = rest[size:]
				name := record[offName:]
				if end := bytes.IndexByte(name, 0); end >= 0 {
					name = name[:end]
				}
				// The inode comes first everywhere; 0 is an entry that was removed.
				if binary.NativeEndian.Uint64(record) == 0 || string(name) == "." || string(name) == ".." {
					continue
				}
				e := Entry{Name: string(name)}
				e.Type, err = d.entryType(record[offType], e.Name)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// entryType looks at the entry only where the file system keeps no types in its
// directories.
func (d *osDir) entryType(dt byte, name string) (fs.FileMode, error) {
	if dt == unix.DT_UNKNOWN {
		i, err := d.Lstat(name)
		return i.Mode.Type(), err
	}
	return fileType(uint32(dt) << 12), nil // DT_REG is S_IFREG >> 12, and so on
}
