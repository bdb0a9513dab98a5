package memfs

import (
	"cmp"
	"hash/fnv"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// handle is an open file or directory.
type handle struct {
	fs     *FS
	n      *node
	path   string
	closed bool
}

// do does an operation on what the handle is of, or on the entry called name.
func (h *handle) do(op, name string, call func() error) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	var err error
	switch {
	case h.closed:
		err = fs.ErrClosed
	case h.fs.dead:
		err = ErrCrashed
	default:
		err = call()
	}
	if err == nil || err == io.EOF {
		return err
	}
	path := h.path
	if name != "" {
		path += "/" + name
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

type dir struct{ handle }

func (d *dir) Path() string { return d.path }

// at does an operation on the entry that is called name; it is empty if there is none.
func (d *dir) at(op, name string, call func(key string, e entry) error) error {
	return d.do(op, name, func() error {
		if err := d.fs.checkName(name); err != nil {
			return err
		}
		key := d.fs.key(name)
		return call(key, d.n.entries[key])
	})
}

// on is at for what must be there.
func (d *dir) on(op, name string, call func(key string, n *node) error) error {
	return d.at(op, name, func(key string, e entry) error {
		if e.node == nil {
			return syscall.ENOENT
		}
		return call(key, e.node)
	})
}

// add makes an entry for a new node.
func (f *FS) add(d *node, name string, mode fs.FileMode) (*node, error) {
	key := f.key(name)
	switch {
	case d.entries[key].node != nil:
		return nil, syscall.EEXIST
	case d.links == 0: // the directory was removed
		return nil, syscall.ENOENT
	case f.opts.Capacity > 0 && f.used >= f.opts.Capacity:
		return nil, syscall.ENOSPC
	}
	n := f.node(mode)
	c := change{sets: []set{{d, key, entry{name, n}}}}
	if mode.IsDir() {
		c.made = n
	}
	f.apply(c)
	return n, nil
}

func (d *dir) Sub(name string) (sub fsys.Dir, err error) {
	err = d.on("open", name, func(_ string, n *node) error {
		if !n.mode.IsDir() {
			return syscall.ENOTDIR
		}
		sub = &dir{handle{fs: d.fs, n: n, path: d.path + "/" + name}}
		return nil
	})
	return sub, err
}

func (d *dir) Mkdir(name string) error {
	return d.at("mkdir", name, func(string, entry) error {
		_, err := d.fs.add(d.n, name, fs.ModeDir|0o700)
		return err
	})
}

func (d *dir) Open(name string) (fsys.File, error)   { return d.open(name, false) }
func (d *dir) OpenRW(name string) (fsys.File, error) { return d.open(name, true) }

func (d *dir) open(name string, write bool) (f fsys.File, err error) {
	err = d.on("open", name, func(_ string, n *node) error {
		if !n.mode.IsRegular() {
			return fsys.ErrNotRegular
		}
		f = d.file(n, name, write)
		return nil
	})
	return f, err
}

func (d *dir) file(n *node, name string, write bool) *file {
	n.opens++
	return &file{handle: handle{fs: d.fs, n: n, path: d.path + "/" + name}, write: write, opened: n.info()}
}

func (d *dir) Create(name string) (f fsys.File, err error) {
	err = d.at("create", name, func(string, entry) error {
		n, err := d.fs.add(d.n, name, 0o600)
		if err == nil {
			f = d.file(n, name, true)
		}
		return err
	})
	return f, err
}

func (d *dir) Link(old string, to fsys.Dir, new string) error {
	return d.two("link", old, to, new, func(from, into set, there *node) (change, error) {
		switch {
		case from.to.node.mode.IsDir():
			return change{}, syscall.EPERM
		case there != nil:
			return change{}, syscall.EEXIST
		}
		return change{sets: []set{into}}, nil
	})
}

func (d *dir) Rename(old string, to fsys.Dir, new string) error {
	return d.rename(old, to, new, false)
}

func (d *dir) RenameNew(old string, to fsys.Dir, new string) error {
	return d.rename(old, to, new, true)
}

func (d *dir) rename(old string, to fsys.Dir, new string, free bool) error {
	return d.two("rename", old, to, new, func(from, into set, there *node) (change, error) {
		if free && there != nil {
			return change{}, syscall.EEXIST
		}
		n := from.to.node
		c := change{moved: n, sets: []set{{from.dir, from.key, entry{}}, into}}
		switch {
		case from.dir == into.dir && from.key == into.key:
			// The case of the name changes, or nothing.
			if from.to.name == into.to.name {
				return change{}, nil
			}
			c.sets = c.sets[1:]
		case there == n: // two links of one file
			return change{}, nil
		case n.mode.IsDir() && within(into.dir, n):
			return change{}, syscall.EINVAL
		case there == nil:
		case there.mode.IsDir() && !n.mode.IsDir():
			return change{}, syscall.EISDIR
		case n.mode.IsDir() && !there.mode.IsDir():
			return change{}, syscall.ENOTDIR
		case len(there.entries) > 0:
			return change{}, syscall.ENOTEMPTY
		case there.mode.IsDir():
			c.gone = there
		}
		return c, nil
	})
}

// two does an operation on two names. plan says what changes, if anything.
func (d *dir) two(op, old string, to fsys.Dir, new string, plan func(from, into set, there *node) (change, error)) error {
	t, ok := to.(*dir)
	err := error(syscall.EXDEV)
	if ok && t.fs == d.fs {
		err = d.link(t, old, new, plan)
	}
	if err != nil {
		return &os.LinkError{Op: op, Old: d.path + "/" + old, New: to.Path() + "/" + new, Err: err}
	}
	return nil
}

func (d *dir) link(t *dir, old, new string, plan func(from, into set, there *node) (change, error)) error {
	d.fs.mu.Lock()
	defer d.fs.mu.Unlock()
	switch {
	case d.closed || t.closed:
		return fs.ErrClosed
	case d.fs.dead:
		return ErrCrashed
	}
	if err := cmp.Or(d.fs.checkName(old), d.fs.checkName(new)); err != nil {
		return err
	}
	oldKey, newKey := d.fs.key(old), d.fs.key(new)
	n := d.n.entries[oldKey].node
	if n == nil || t.n.links == 0 {
		return syscall.ENOENT
	}
	c, err := plan(set{d.n, oldKey, d.n.entries[oldKey]}, set{t.n, newKey, entry{new, n}}, t.n.entries[newKey].node)
	if err == nil && c.sets != nil {
		d.fs.apply(c)
	}
	return err
}

// within reports whether d is the directory n or below it.
func within(d, n *node) bool {
	if d == n {
		return true
	}
	for _, e := range n.entries {
		if e.node.mode.IsDir() && within(d, e.node) {
			return true
		}
	}
	return false
}

func (d *dir) Remove(name string) error {
	return d.on("remove", name, func(key string, n *node) error {
		if n.mode.IsDir() {
			return syscall.EISDIR
		}
		d.fs.apply(change{sets: []set{{d.n, key, entry{}}}})
		return nil
	})
}

func (d *dir) RemoveDir(name string) error {
	return d.on("rmdir", name, func(key string, n *node) error {
		switch {
		case !n.mode.IsDir():
			return syscall.ENOTDIR
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		d.fs.apply(change{gone: n, sets: []set{{d.n, key, entry{}}}})
		return nil
	})
}

func (d *dir) Lstat(name string) (i fsys.Info, err error) {
	err = d.on("lstat", name, func(_ string, n *node) error { i = n.info(); return nil })
	return i, err
}

func (d *dir) Stat() (i fsys.Info, err error) {
	err = d.do("stat", "", func() error { i = d.n.info(); return nil })
	return i, err
}

// Names lists what was there at the start, in an order that is always the same and has
// no meaning, as on a disk.
func (d *dir) Names(int) iter.Seq2[fsys.Entry, error] {
	return func(yield func(fsys.Entry, error) bool) {
		type hashed struct {
			fsys.Entry
			hash uint32
		}
		var all []hashed
		err := d.do("readdir", "", func() error {
			if d.n.links == 0 {
				return syscall.ENOENT
			}
			for _, e := range d.n.entries {
				h := fnv.New32a()
				io.WriteString(h, e.name)
				all = append(all, hashed{fsys.Entry{Name: e.name, Type: e.node.mode.Type()}, h.Sum32()})
			}
			return nil
		})
		if err != nil {
			yield(fsys.Entry{}, err)
			return
		}
		slices.SortFunc(all, func(a, b hashed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.Name, b.Name)) })
		for _, h := range all {
			if !yield(h.Entry, nil) {
				return
			}
		}
	}
}

func (d *dir) SetModTime(name string, t time.Time) error {
	return d.on("chtimes", name, func(_ string, n *node) error { n.setTime(t); return nil })
}

func (d *dir) Lock(name string) (l io.Closer, err error) {
	err = d.at("lock", name, func(_ string, e entry) error {
		n := e.node
		if n == nil {
			var err error
			if n, err = d.fs.add(d.n, name, 0o600); err != nil {
				return err
			}
		}
		switch {
		case !n.mode.IsRegular():
			return fsys.ErrNotRegular
		case n.locked:
			return fsys.ErrLocked
		}
		n.locked = true
		l = &lock{d.file(n, name, true)}
		return nil
	})
	return l, err
}

func (d *dir) Sync() error {
	return d.do("sync", "", func() error { d.fs.syncDir(d.n); return nil })
}

func (d *dir) Close() error { return d.close(func() {}) }

// close works on a file system that has crashed too, where it has no effect.
func (h *handle) close(then func()) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return &fs.PathError{Op: "close", Path: h.path, Err: fs.ErrClosed}
	}
	h.closed = true
	if !h.fs.dead {
		then()
	}
	return nil
}
