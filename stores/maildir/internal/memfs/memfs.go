// Package memfs is a file system in memory for tests of what a store keeps when power
// fails, a disk fills up or a call fails. Beside what every process sees it keeps what
// has been synced, and [FS.Crash] draws a disk from both.
//
// It is stricter than most disks: the content of a file is durable by the file's own
// Sync, its name by the Sync of its directory, the directory's name by the Sync of the
// directory above; and changes that were not synced reach the disk in any order.
package memfs

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// ErrCrashed is what the handles of a file system say once it has crashed.
var ErrCrashed = errors.New("the file system has crashed")

// Options of a file system; nil and the zero value are a disk without bounds that
// tells upper case from lower case.
type Options struct {
	// CaseInsensitive: names that differ only by the case of ASCII letters are one name.
	CaseInsensitive bool
	// NameMax is how many octets a name may have; 0: 255. More is syscall.ENAMETOOLONG.
	NameMax int
	// Capacity is how many octets the files hold together; 0: any number. More is
	// syscall.ENOSPC. A file that is open takes its place when its last name is gone too.
	Capacity int64
	// Now gives modification times; nil: time.Now.
	Now func() time.Time
}

// FS is a file system. All operations on it pass through its Counters, by which they
// are counted and made to fail.
type FS struct {
	*fsys.Counters

	opts  Options
	mu    sync.Mutex // guards all below and every node
	root  *node
	inode uint64
	seq   int // of changes
	used  int64
	dead  bool
	// unsynced are the changes of directories that are not durable.
	unsynced map[*change]bool
}

// New returns an empty file system.
func New(o *Options) *FS {
	f := &FS{Counters: new(fsys.Counters), unsynced: make(map[*change]bool)}
	if o != nil {
		f.opts = *o
	}
	if f.opts.NameMax == 0 {
		f.opts.NameMax = 255
	}
	if f.opts.Now == nil {
		f.opts.Now = time.Now
	}
	f.root = f.node(fs.ModeDir | 0o700)
	f.root.links = 1
	return f
}

// Root opens the topmost directory. Its path is "mem:".
func (f *FS) Root() fsys.Dir {
	return fsys.Counting(&dir{handle{fs: f, n: f.root, path: "mem:"}}, f.Counters)
}

// SetCapacity changes Options.Capacity. What is there stays.
func (f *FS) SetCapacity(octets int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opts.Capacity = octets
}

// Used returns how many octets the files hold.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// node is a file, a directory, or something that is neither and has no content.
type node struct {
	inode  uint64
	mode   fs.FileMode
	links  int // names; a directory that was removed has none
	mtime  time.Time
	synced time.Time // modification time on the disk

	// Of a file.
	data   []byte
	disk   []byte  // content on the disk
	writes []write // what makes data of disk, in order
	opens  int
	locked bool

	// Of a directory, by key.
	entries map[string]entry
	durable map[string]entry
	changes map[string][]*change // not durable, in order
}

// entry is a name in a directory, as it was given.
type entry struct {
	name string
	node *node // nil: no entry
}

func (f *FS) node(mode fs.FileMode) *node {
	f.inode++
	now := f.opts.Now()
	n := &node{inode: f.inode, mode: mode, mtime: now, synced: now}
	if mode.IsDir() {
		n.entries, n.durable, n.changes = make(map[string]entry), make(map[string]entry), make(map[string][]*change)
	}
	return n
}

func (n *node) info() fsys.Info {
	return fsys.Info{Size: int64(len(n.data)), ModTime: n.mtime, Mode: n.mode, Inode: n.inode, Links: uint64(n.links)}
}

// key is what entries are kept under.
func (f *FS) key(name string) string {
	if !f.opts.CaseInsensitive {
		return name
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, name)
}

func (f *FS) checkName(name string) error {
	if err := fsys.CheckName(name); err != nil {
		return err
	}
	if len(name) > f.opts.NameMax {
		return syscall.ENAMETOOLONG
	}
	return nil
}

// free gives back the place of a file that nobody can reach.
func (f *FS) free(n *node) {
	if n.links == 0 && n.opens == 0 {
		f.used -= int64(len(n.data))
		n.data, n.writes = nil, nil
	}
}

// Plant puts something that is neither file nor directory at a path below the root,
// such as fs.ModeSymlink or fs.ModeNamedPipe: what a store must survive to find. It is
// not counted.
func (f *FS) Plant(path string, mode fs.FileMode) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	d, names := f.root, strings.Split(path, "/")
	for _, name := range names[:len(names)-1] {
		d = d.entries[f.key(name)].node
		if d == nil || !d.mode.IsDir() {
			return &fs.PathError{Op: "plant", Path: path, Err: syscall.ENOTDIR}
		}
	}
	if _, err := f.add(d, names[len(names)-1], mode); err != nil {
		return &fs.PathError{Op: "plant", Path: path, Err: err}
	}
	return nil
}
