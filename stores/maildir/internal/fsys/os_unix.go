//go:build linux || darwin || freebsd || netbsd || openbsd

package fsys

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// OpenRoot opens a directory by the operator's own path, in which symbolic links are
// followed. It holds one descriptor, as does every Dir and File below it.
func OpenRoot(path string) (Dir, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return &osDir{handle: handle{fd: fd}, path: path}, nil
}

// CreateRoot is OpenRoot that makes what is missing of the path, durably.
func CreateRoot(path string) (Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	var parents []string // of what has to be made, the deepest first
	for p := path; p != filepath.Dir(p); p = filepath.Dir(p) {
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(p))
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	for _, p := range parents {
		d, err := OpenRoot(p)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return nil, err
		}
	}
	return OpenRoot(path)
}

func retry[T any](call func() (T, error)) (T, error) {
	for {
		if v, err := call(); err != unix.EINTR {
			return v, err
		}
	}
}

type osDir struct {
	handle
	path string
}

func (d *osDir) Path() string { return d.path }

func (d *osDir) fail(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: d.path + "/" + name, Err: err}
}

// at calls a function that works on the entry called name.
func (d *osDir) at(op, name string, call func() (int, error)) (int, error) {
	if err := CheckName(name); err != nil {
		return 0, d.fail(op, name, err)
	}
	if !d.enter() {
		return 0, d.fail(op, name, fs.ErrClosed)
	}
	defer d.leave()
	n, err := retry(call)
	if err != nil {
		return n, d.fail(op, name, err)
	}
	return n, nil
}

// self calls a function that works on the directory.
func (d *osDir) self(op string, call func() (int, error)) (int, error) {
	if !d.enter() {
		return 0, &fs.PathError{Op: op, Path: d.path, Err: fs.ErrClosed}
	}
	defer d.leave()
	n, err := retry(call)
	if err != nil {
		return n, &fs.PathError{Op: op, Path: d.path, Err: err}
	}
	return n, nil
}

func (d *osDir) Sub(name string) (Dir, error) {
	fd, err := d.at("open", name, func() (int, error) {
		fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if isLink(err) {
			err = unix.ENOTDIR
		}
		return fd, err
	})
	if err != nil {
		return nil, err
	}
	return &osDir{handle: handle{fd: fd}, path: d.path + "/" + name}, nil
}

func (d *osDir) Mkdir(name string) error {
	_, err := d.at("mkdir", name, func() (int, error) { return 0, unix.Mkdirat(d.fd, name, 0o700) })
	return err
}

func (d *osDir) Open(name string) (File, error) {
	return asFile(d.open("open", name, unix.O_RDONLY))
}

func (d *osDir) OpenRW(name string) (File, error) {
	return asFile(d.open("open", name, unix.O_RDWR))
}

func (d *osDir) Create(name string) (File, error) {
	return asFile(d.open("create", name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL))
}

// asFile keeps a nil *osFile from becoming a File that is not nil.
func asFile(f *osFile, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// open opens a regular file. Without O_NONBLOCK the open of a FIFO would wait for its
// other end.
func (d *osDir) open(op, name string, flags int) (*osFile, error) {
	var st unix.Stat_t
	fd, err := d.at(op, name, func() (int, error) {
		fd, err := unix.Openat(d.fd, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
		if isLink(err) || err == unix.EISDIR || err == unix.ENXIO || err == unix.EOPNOTSUPP {
			err = ErrNotRegular
		}
		if err != nil {
			return 0, err
		}
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = ErrNotRegular
		}
		if err != nil {
			unix.Close(fd)
		}
		return fd, err
	})
	if err != nil {
		return nil, err
	}
	return &osFile{handle: handle{fd: fd}, dir: d.path, name: name, opened: info(&st)}, nil
}

// isLink: what open says of a symbolic link under O_NOFOLLOW; FreeBSD says EMLINK.
func isLink(err error) bool { return err == unix.ELOOP || err == unix.EMLINK }

func (d *osDir) Link(old string, to Dir, new string) error {
	return d.two("link", old, to, new, unix.Linkat)
}

func (d *osDir) Rename(old string, to Dir, new string) error {
	return d.two("rename", old, to, new, func(fd int, old string, tofd int, new string, _ int) error {
		return unix.Renameat(fd, old, tofd, new)
	})
}

func (d *osDir) RenameNew(old string, to Dir, new string) error {
	return d.two("rename", old, to, new, func(fd int, old string, tofd int, new string, _ int) error {
		return renameNew(fd, old, tofd, new)
	})
}

// lookAndRename is renameNew where the system has none.
func lookAndRename(fd int, old string, tofd int, new string) error {
	var st unix.Stat_t
	switch err := unix.Fstatat(tofd, new, &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return unix.EEXIST
	case unix.ENOENT:
		return unix.Renameat(fd, old, tofd, new)
	default:
		return err
	}
}

func (d *osDir) two(op, old string, to Dir, new string, call func(int, string, int, string, int) error) error {
	t, ok := to.(*osDir)
	if !ok {
		return &os.LinkError{Op: op, Old: d.path + "/" + old, New: to.Path() + "/" + new, Err: unix.EXDEV}
	}
	err := errors.Join(CheckName(old), CheckName(new))
	if err == nil {
		err = fs.ErrClosed
		if d.enter() {
			defer d.leave()
			if t.enter() {
				defer t.leave()
				_, err = retry(func() (int, error) { return 0, call(d.fd, old, t.fd, new, 0) })
			}
		}
	}
	if err != nil {
		return &os.LinkError{Op: op, Old: d.path + "/" + old, New: t.path + "/" + new, Err: err}
	}
	return nil
}

func (d *osDir) Remove(name string) error {
	_, err := d.at("remove", name, func() (int, error) { return 0, unix.Unlinkat(d.fd, name, 0) })
	return err
}

func (d *osDir) RemoveDir(name string) error {
	_, err := d.at("rmdir", name, func() (int, error) { return 0, unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) })
	return err
}

func (d *osDir) Lstat(name string) (Info, error) {
	var st unix.Stat_t
	_, err := d.at("lstat", name, func() (int, error) { return 0, unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return Info{}, err
	}
	return info(&st), nil
}

func (d *osDir) Stat() (Info, error) {
	var st unix.Stat_t
	if _, err := d.self("stat", func() (int, error) { return 0, unix.Fstat(d.fd, &st) }); err != nil {
		return Info{}, err
	}
	return info(&st), nil
}

func info(st *unix.Stat_t) Info {
	return Info{
		Size:    st.Size,
		ModTime: time.Unix(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)),
		Mode:    fileType(uint32(st.Mode)) | fs.FileMode(st.Mode&0o777),
		Inode:   uint64(st.Ino),
		Links:   uint64(st.Nlink),
	}
}

func fileType(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR:
		return fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

func (d *osDir) SetModTime(name string, t time.Time) error {
	_, err := d.at("chtimes", name, func() (int, error) {
		ts, err := unix.TimeToTimespec(t)
		if err != nil {
			return 0, err
		}
		return 0, unix.UtimesNanoAt(d.fd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	})
	return err
}

func (d *osDir) Lock(name string) (io.Closer, error) {
	f, err := d.open("lock", name, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, err
	}
	_, err = retry(func() (int, error) { return 0, unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			err = ErrLocked
		}
		return nil, d.fail("lock", name, err)
	}
	return f, nil
}

func (d *osDir) Sync() error {
	_, err := d.self("sync", func() (int, error) { return 0, syncAll(d.fd) })
	return err
}

func (d *osDir) Close() error {
	if err := d.close(); err != nil {
		return &fs.PathError{Op: "close", Path: d.path, Err: err}
	}
	return nil
}
