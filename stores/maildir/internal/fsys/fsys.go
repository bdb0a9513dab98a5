// Package fsys is the one way by which the Maildir store touches files: a small
// interface over open directories. Names are single components and symbolic links
// are never followed, so that neither a link nor a race on a path leads out of the
// store. [OpenRoot] is the operating system's; package memfs is a double that loses
// power, and [Counting] counts and fails the operations of either.
//
// Errors are [*fs.PathError] or [*os.LinkError] with the operation and the path.
// errors.Is sees through them to fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid (a name
// that is not one component), fs.ErrClosed and to what the system said, such as
// syscall.ENOSPC.
package fsys

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNotRegular: what is there is no regular file, but a directory, a symbolic
	// link, a FIFO, a socket or a device.
	ErrNotRegular = errors.New("not a regular file")
	// ErrLocked: somebody holds the lock.
	ErrLocked = errors.New("locked by another")
)

// IsFull reports whether err says that there is no room: on the disk, under a quota of the
// system, or for a file of that length.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Dir is an open directory. It stays the same directory whatever becomes of its name.
// All methods may be called at the same time. Subdirectories and files that were
// opened from it outlive its Close.
type Dir interface {
	// Sub opens a subdirectory; anything else is syscall.ENOTDIR.
	Sub(name string) (Dir, error)
	// Mkdir makes a directory that only its owner may enter.
	Mkdir(name string) error

	// Open opens a file for reading. It never blocks, whatever is there; see ErrNotRegular.
	Open(name string) (File, error)
	// OpenRW opens a file that exists for reading and writing.
	OpenRW(name string) (File, error)
	// Create makes a file that was not there (fs.ErrExist), which only its owner may read.
	Create(name string) (File, error)

	// Link gives the file another name, in to, which must be of the same file system.
	// It is fs.ErrExist if that is taken.
	Link(old string, to Dir, new string) error
	// Rename moves a file or directory into to and replaces a file, or an empty
	// directory, that is there. When both names are links of one file nothing happens
	// (rename(2)).
	Rename(old string, to Dir, new string) error
	// RenameNew is Rename, but fs.ErrExist if the new name is taken, by a link of the same
	// file too. Where the system or the file system cannot do that it is looked at before.
	RenameNew(old string, to Dir, new string) error
	// Remove removes the name of anything but a directory.
	Remove(name string) error
	// RemoveDir removes an empty directory; one that is not is syscall.ENOTEMPTY.
	RemoveDir(name string) error

	// Lstat describes what is there; of a symbolic link, the link.
	Lstat(name string) (Info, error)
	// Stat describes the directory: its ModTime changes when an entry comes or goes.
	Stat() (Info, error)
	// Names lists the directory, in no order and without "." and "..". It reads buf
	// octets at a time (0: 32 KiB) and holds no more than that. An entry that comes or
	// goes meanwhile may be seen or not, and a renamed one even twice (readdir(3)).
	// After an error the listing ends.
	Names(buf int) iter.Seq2[Entry, error]
	// SetModTime sets the modification time of what is there; of a symbolic link, the link's.
	SetModTime(name string, t time.Time) error

	// Lock takes the exclusive lock of a file, which is made if it is not there, until
	// it is closed or the process ends. It does not wait: see ErrLocked. Lock files
	// must not be removed or renamed.
	Lock(name string) (io.Closer, error)
	// Sync returns when the entries are durable: names that came, went or moved. It
	// says nothing of the content of the files, nor of the directory's own name.
	Sync() error
	// Path is where the directory was when it was opened: for messages and for
	// watching, never for opening.
	Path() string
	Close() error
}

// File is an open regular file. All methods may be called at the same time; a Close
// lets calls that have begun finish. Writing belongs to one handle at a time.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Writer // appends at the present end
	Truncate(size int64) error
	// Sync returns when content and modification time are durable. The name is so only
	// after the Sync of its directory.
	Sync() error
	// SyncData is Sync without the times, which is cheaper where no block was added.
	SyncData() error
	Size() (int64, error)
	Info() (Info, error)
	// Opened is what [Dir.Open] found the file to be.
	Opened() Info
	SetModTime(t time.Time) error
	// Std is the file for what needs one, such as sendfile; nil if there is none. It
	// belongs to the File, ends with it and must not be closed. Its read offset is
	// shared by everybody who asks.
	Std() *os.File
	Close() error
}

// Info describes a file or directory.
type Info struct {
	Size    int64
	ModTime time.Time
	Mode    fs.FileMode // type and permission bits
	Inode   uint64
	Links   uint64
}

// Entry is one name of a directory.
type Entry struct {
	Name string
	Type fs.FileMode // type bits only; 0 is a regular file
}

// CheckName returns nil if name is one component of a path, else fs.ErrInvalid.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || strings.IndexByte(name, '/') >= 0 || strings.IndexByte(name, 0) >= 0 {
		return fs.ErrInvalid
	}
	return nil
}
