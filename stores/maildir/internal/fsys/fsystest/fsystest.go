// Package fsystest holds what any [fsys.Dir] must do. The double is worth as much as
// it does the same as the real one.
package fsystest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Run tests a file system. open returns an empty directory of its own, which Run
// closes; plant makes a symbolic link, a FIFO or a socket in one.
func Run(t *testing.T, open func(t *testing.T) fsys.Dir, plant func(d fsys.Dir, name string, mode fs.FileMode) error) {
	for _, test := range []struct {
		name string
		run  func(s *suite)
	}{
		{"names that are no component are refused", (*suite).badNames},
		{"files", (*suite).files},
		{"reading and writing", (*suite).readWrite},
		{"directories", (*suite).directories},
		{"links", (*suite).links},
		{"renaming files", (*suite).renameFiles},
		{"renaming directories", (*suite).renameDirs},
		{"a file outlives its name", (*suite).unlinked},
		{"a removed directory takes nothing", (*suite).removedDir},
		{"nothing but files is opened", (*suite).special},
		{"listing", (*suite).listing},
		{"times", (*suite).times},
		{"locks", (*suite).locks},
		{"closed", (*suite).closed},
		{"at the same time", (*suite).concurrent},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, d: open(t), plant: plant}
			test.run(s)
			s.ok(s.d.Close())
		})
	}
}

type suite struct {
	*testing.T
	d     fsys.Dir
	plant func(d fsys.Dir, name string, mode fs.FileMode) error
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is wants an error of a kind, with the place in it.
func (s *suite) is(err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Fatalf("error %v, want %v", err, want)
	}
	if !strings.Contains(err.Error(), s.d.Path()) {
		s.Errorf("%q does not name the place", err)
	}
}

func (s *suite) put(d fsys.Dir, name, content string) {
	s.Helper()
	f, err := d.Create(name)
	s.ok(err)
	_, err = io.WriteString(f, content)
	s.ok(err)
	s.ok(f.Close())
}

func (s *suite) get(d fsys.Dir, name string) string {
	s.Helper()
	f, err := d.Open(name)
	s.ok(err)
	defer f.Close()
	return s.content(f)
}

func (s *suite) content(f fsys.File) string {
	s.Helper()
	size, err := f.Size()
	s.ok(err)
	b := make([]byte, size+1)
	n, err := f.ReadAt(b, 0)
	if err != io.EOF || int64(n) != size {
		s.Fatalf("read %d of %d octets: %v", n, size, err)
	}
	return string(b[:n])
}

func (s *suite) dir(in fsys.Dir, name string) fsys.Dir {
	s.Helper()
	s.ok(in.Mkdir(name))
	d, err := in.Sub(name)
	s.ok(err)
	s.Cleanup(func() { d.Close() })
	return d
}

func (s *suite) names(d fsys.Dir) []string {
	s.Helper()
	names := []string{}
	for e, err := range d.Names(0) {
		s.ok(err)
		names = append(names, e.Name)
	}
	slices.Sort(names)
	return names
}

func (s *suite) has(d fsys.Dir, want ...string) {
	s.Helper()
	if got := s.names(d); !slices.Equal(got, want) {
		s.Fatalf("names %q, want %q", got, want)
	}
}

func (s *suite) badNames() {
	d := s.d
	s.put(d, "f", "")
	for _, name := range []string{"", ".", "..", "a/b", "/", "/etc", "f/", "f\x00"} {
		_, sub := d.Sub(name)
		_, open := d.Open(name)
		_, rw := d.OpenRW(name)
		_, create := d.Create(name)
		_, lstat := d.Lstat(name)
		_, lock := d.Lock(name)
		for i, err := range []error{sub, open, rw, create, lstat, lock, d.Mkdir(name), d.Remove(name), d.RemoveDir(name),
			d.SetModTime(name, time.Now()), d.Link(name, d, "x"), d.Link("f", d, name), d.Rename(name, d, "x"), d.Rename("f", d, name)} {
			if !errors.Is(err, fs.ErrInvalid) {
				s.Errorf("%q, call %d: %v", name, i, err)
			}
		}
	}
	long := strings.Repeat("n", 256)
	s.is(d.Mkdir(long), syscall.ENAMETOOLONG)
	_, err := d.Create(long)
	s.is(err, syscall.ENAMETOOLONG)
	s.is(d.Rename("f", d, long), syscall.ENAMETOOLONG)
	s.ok(d.Rename("f", d, long[:255]))
	s.has(d, long[:255])
}

func (s *suite) files() {
	d := s.d
	_, err := d.Open("f")
	s.is(err, fs.ErrNotExist)
	_, err = d.OpenRW("f")
	s.is(err, fs.ErrNotExist)
	_, err = d.Lstat("f")
	s.is(err, fs.ErrNotExist)
	s.is(d.Remove("f"), fs.ErrNotExist)
	s.put(d, "f", "one")
	_, err = d.Create("f")
	s.is(err, fs.ErrExist)
	s.is(d.Mkdir("f"), fs.ErrExist)
	if got := s.get(d, "f"); got != "one" {
		s.Errorf("content %q", got)
	}
	i, err := d.Lstat("f")
	s.ok(err)
	f, err := d.Open("f")
	s.ok(err)
	defer f.Close()
	j, err := f.Info()
	s.ok(err)
	if i != j || i.Size != 3 || i.Mode != 0o600 || i.Links != 1 || i.Inode == 0 {
		s.Errorf("info %+v, of the open file %+v", i, j)
	}
	s.ok(d.Sync())
	s.ok(d.Remove("f"))
	s.has(d)
}

func (s *suite) readWrite() {
	f, err := s.d.Create("f")
	s.ok(err)
	write := func(n int, err error) {
		s.Helper()
		s.ok(err)
		if n != 3 {
			s.Errorf("%d octets written, want 3", n)
		}
	}
	want := func(content string) {
		s.Helper()
		if got := s.content(f); got != content {
			s.Fatalf("content %q, want %q", got, content)
		}
	}
	write(f.Write([]byte("abc")))
	write(f.Write([]byte("def")))
	write(f.WriteAt([]byte("XYZ"), 1))
	want("aXYZef")
	write(f.WriteAt([]byte("end"), 8))
	want("aXYZef\x00\x00end")
	s.ok(f.Truncate(2))
	want("aX")
	s.ok(f.Truncate(4))
	want("aX\x00\x00")
	write(f.Write([]byte("ghi")))
	want("aX\x00\x00ghi")
	s.ok(f.SyncData())
	s.ok(f.Sync())
	if n, err := f.Write(nil); n != 0 || err != nil {
		s.Errorf("writing nothing: %d, %v", n, err)
	}

	b := make([]byte, 3)
	if n, err := f.ReadAt(b, 4); n != 3 || err != nil || string(b) != "ghi" {
		s.Errorf("read %q, %d, %v", b, n, err)
	}
	if n, err := f.ReadAt(b, 6); n != 1 || err != io.EOF {
		s.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(b, 100); n != 0 || err != io.EOF {
		s.Errorf("behind the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(nil, 0); n != 0 || err != nil {
		s.Errorf("reading nothing: %d, %v", n, err)
	}
	_, err = f.ReadAt(b, -1)
	s.is(err, syscall.EINVAL)
	_, err = f.WriteAt(b, -1)
	s.is(err, syscall.EINVAL)
	s.is(f.Truncate(-1), syscall.EINVAL)

	if std := f.Std(); std != nil {
		all, err := io.ReadAll(std)
		s.ok(err)
		if string(all) != "aX\x00\x00ghi" {
			s.Errorf("the os.File reads %q", all)
		}
		if f.Std() != std {
			s.Error("another os.File the second time")
		}
	}
	s.ok(f.Close())

	rw, err := s.d.OpenRW("f")
	s.ok(err)
	write(rw.Write([]byte("jkl")))
	s.ok(rw.Close())
	if got := s.get(s.d, "f"); got != "aX\x00\x00ghijkl" {
		s.Errorf("content %q", got)
	}
	ro, err := s.d.Open("f")
	s.ok(err)
	defer ro.Close()
	_, err = ro.Write([]byte("no"))
	s.is(err, syscall.EBADF)
	if err := ro.Truncate(0); err == nil {
		s.Error("a file that is open for reading was cut")
	}
	if got := s.get(s.d, "f"); got != "aX\x00\x00ghijkl" {
		s.Errorf("content %q", got)
	}
}

func (s *suite) directories() {
	a := s.dir(s.d, "a")
	if a.Path() != s.d.Path()+"/a" {
		s.Errorf("path %q", a.Path())
	}
	s.is(s.d.Mkdir("a"), fs.ErrExist)
	_, err := s.d.Create("a")
	s.is(err, fs.ErrExist)
	_, err = s.d.Sub("b")
	s.is(err, fs.ErrNotExist)
	s.put(s.d, "f", "")
	_, err = s.d.Sub("f")
	s.is(err, syscall.ENOTDIR)
	s.is(s.d.RemoveDir("f"), syscall.ENOTDIR)
	s.put(a, "x", "in a")
	s.is(s.d.RemoveDir("a"), syscall.ENOTEMPTY)
	if err := s.d.Remove("a"); err == nil {
		s.Error("Remove removed a directory")
	}
	i, err := s.d.Lstat("a")
	s.ok(err)
	j, err := a.Stat()
	s.ok(err)
	if i.Mode != fs.ModeDir|0o700 || i.Inode != j.Inode || !i.ModTime.Equal(j.ModTime) {
		s.Errorf("info %+v, of the open directory %+v", i, j)
	}
	s.ok(a.Remove("x"))
	s.ok(s.d.RemoveDir("a"))
	s.has(s.d, "f")
}

func (s *suite) links() {
	a, b := s.dir(s.d, "a"), s.dir(s.d, "b")
	s.put(a, "x", "text")
	s.ok(a.Link("x", b, "y"))
	s.is(a.Link("x", b, "y"), fs.ErrExist)
	s.is(a.Link("none", b, "z"), fs.ErrNotExist)
	s.is(s.d.Link("a", b, "z"), syscall.EPERM)
	i, err := a.Lstat("x")
	s.ok(err)
	j, err := b.Lstat("y")
	s.ok(err)
	if i != j || i.Links != 2 {
		s.Errorf("%+v is linked as %+v", i, j)
	}
	// Renaming one link to the other does nothing.
	s.ok(a.Rename("x", b, "y"))
	s.has(a, "x")
	s.ok(a.Remove("x"))
	if got := s.get(b, "y"); got != "text" {
		s.Errorf("content %q", got)
	}
	i, err = b.Lstat("y")
	s.ok(err)
	if i.Links != 1 {
		s.Errorf("%d links are left", i.Links)
	}
}

func (s *suite) renameFiles() {
	a, b := s.dir(s.d, "a"), s.dir(s.d, "b")
	s.put(a, "x", "one")
	s.put(b, "y", "two")
	old, err := b.Open("y")
	s.ok(err)
	defer old.Close()
	i, err := a.Lstat("x")
	s.ok(err)
	s.ok(a.Rename("x", b, "y"))
	s.has(a)
	s.has(b, "y")
	if got := s.get(b, "y"); got != "one" {
		s.Errorf("content %q", got)
	}
	if got := s.content(old); got != "two" {
		s.Errorf("the file that was replaced reads %q", got)
	}
	j, err := b.Lstat("y")
	s.ok(err)
	if j.Inode != i.Inode || j.Links != 1 {
		s.Errorf("%+v became %+v", i, j)
	}
	s.ok(b.Rename("y", b, "z"))
	s.ok(b.Rename("z", b, "z"))
	s.has(b, "z")
	s.is(b.Rename("y", b, "w"), fs.ErrNotExist)
	s.is(b.Rename("z", s.d, "a"), syscall.EISDIR)
	s.is(s.d.Rename("a", b, "z"), syscall.ENOTDIR)
	s.has(b, "z")
}

func (s *suite) renameDirs() {
	a, b := s.dir(s.d, "a"), s.dir(s.d, "b")
	c := s.dir(a, "c")
	s.put(c, "x", "in c")
	s.is(s.d.Rename("a", c, "d"), syscall.EINVAL)
	s.is(s.d.Rename("a", a, "d"), syscall.EINVAL)
	s.is(s.d.Rename("b", s.d, "a"), syscall.ENOTEMPTY)
	s.ok(a.Rename("c", b, "d"))
	s.has(a)
	s.has(b, "d")
	if got := s.get(c, "x"); got != "in c" {
		s.Errorf("the open directory holds %q", got)
	}
	s.ok(s.d.Rename("b", s.d, "a"))
	s.has(s.d, "a")
	b2, err := s.d.Sub("a")
	s.ok(err)
	defer b2.Close()
	s.has(b2, "d")
}

func (s *suite) unlinked() {
	s.put(s.d, "f", "text")
	f, err := s.d.OpenRW("f")
	s.ok(err)
	s.ok(s.d.Remove("f"))
	s.put(s.d, "f", "another")
	_, err = io.WriteString(f, " and more")
	s.ok(err)
	if got := s.content(f); got != "text and more" {
		s.Errorf("content %q", got)
	}
	i, err := f.Info()
	s.ok(err)
	if i.Links != 0 {
		s.Errorf("%d links", i.Links)
	}
	if o := f.Opened(); o.Links != 1 || o.Size != int64(len("text")) || o.Inode != i.Inode || !o.Mode.IsRegular() || o.ModTime.IsZero() {
		s.Errorf("opened as %+v", o)
	}
	s.ok(f.Close())
	if got := s.get(s.d, "f"); got != "another" {
		s.Errorf("content %q", got)
	}
}

func (s *suite) removedDir() {
	a := s.dir(s.d, "a")
	s.put(s.d, "f", "")
	s.ok(s.d.RemoveDir("a"))
	_, err := a.Create("x")
	s.is(err, fs.ErrNotExist)
	s.is(a.Mkdir("x"), fs.ErrNotExist)
	s.is(s.d.Rename("f", a, "f"), fs.ErrNotExist)
	s.is(s.d.Link("f", a, "f"), fs.ErrNotExist)
	for _, err := range a.Names(0) {
		s.is(err, fs.ErrNotExist)
	}
	s.has(s.d, "f")
}

func (s *suite) special() {
	s.ok(s.d.Mkdir("directory"))
	for name, mode := range map[string]fs.FileMode{"link": fs.ModeSymlink, "fifo": fs.ModeNamedPipe, "socket": fs.ModeSocket} {
		s.ok(s.plant(s.d, name, mode))
		i, err := s.d.Lstat(name)
		s.ok(err)
		if i.Mode.Type() != mode {
			s.Errorf("%s has mode %v", name, i.Mode)
		}
		_, err = s.d.Sub(name)
		s.is(err, syscall.ENOTDIR)
	}
	types := make(map[string]fs.FileMode)
	for e, err := range s.d.Names(0) {
		s.ok(err)
		types[e.Name] = e.Type
	}
	for name, mode := range types {
		_, err := s.d.Open(name)
		s.is(err, fsys.ErrNotRegular)
		_, err = s.d.OpenRW(name)
		s.is(err, fsys.ErrNotRegular)
		_, err = s.d.Lock(name)
		s.is(err, fsys.ErrNotRegular)
		_, err = s.d.Create(name)
		s.is(err, fs.ErrExist)
		if i, err := s.d.Lstat(name); err != nil || i.Mode.Type() != mode {
			s.Errorf("%s is listed as %v and is %v, %v", name, mode, i.Mode, err)
		}
	}
	if len(types) != 4 {
		s.Errorf("types %v", types)
	}
	s.ok(s.d.Rename("fifo", s.d, "moved"))
	s.ok(s.d.Remove("moved"))
	s.ok(s.d.Remove("link"))
	s.ok(s.d.Remove("socket"))
	s.has(s.d, "directory")
}

func (s *suite) listing() {
	const n = 1000
	var want []string
	for i := range n {
		want = append(want, fmt.Sprintf("%04d.%s", i, strings.Repeat("n", i%200)))
		s.put(s.d, want[i], "")
	}
	s.has(s.d, want...)
	// Small reads, and two listings at once, which do not disturb each other.
	outer := 0
	for e, err := range s.d.Names(1) {
		s.ok(err)
		if outer++; outer == n/2 {
			s.has(s.d, want...)
		}
		if !slices.Contains(want, e.Name) {
			s.Errorf("there is no %q", e.Name)
		}
	}
	if outer != n {
		s.Errorf("%d entries, want %d", outer, n)
	}
	for range s.d.Names(0) {
		break
	}
	// Removing what is listed, from within.
	for e, err := range s.d.Names(0) {
		s.ok(err)
		s.ok(s.d.Remove(e.Name))
	}
	s.has(s.d)
}

func (s *suite) times() {
	day := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	a := s.dir(s.d, "a")
	s.put(a, "f", "x")
	s.ok(a.SetModTime("f", day))
	s.ok(s.d.SetModTime("a", day))
	modTime := func(i fsys.Info, err error) time.Time {
		s.Helper()
		s.ok(err)
		return i.ModTime
	}
	if got := modTime(a.Lstat("f")); !got.Equal(day) {
		s.Errorf("file: %v", got)
	}
	if got := modTime(a.Stat()); !got.Equal(day) {
		s.Errorf("directory: %v", got)
	}
	for _, change := range []struct {
		name    string
		call    func() error
		changes bool
	}{
		{"reading", func() error { s.get(a, "f"); s.names(a); return nil }, false},
		{"writing", func() error { return s.append(a, "f") }, false},
		{"mkdir", func() error { return a.Mkdir("d") }, true},
		{"rmdir", func() error { return a.RemoveDir("d") }, true},
		{"create", func() error { s.put(a, "g", ""); return nil }, true},
		{"rename within", func() error { return a.Rename("g", a, "h") }, true},
		{"rename out", func() error { return a.Rename("h", s.d, "h") }, true},
		{"rename in", func() error { return s.d.Rename("h", a, "h") }, true},
		{"remove", func() error { return a.Remove("h") }, true},
		{"link", func() error { return a.Link("f", a, "l") }, true},
		{"link elsewhere", func() error { return a.Link("f", s.d, "l") }, false},
		{"failing", func() error { _, err := a.Create("f"); s.is(err, fs.ErrExist); return nil }, false},
	} {
		s.ok(s.d.SetModTime("a", day))
		s.ok(change.call())
		if got := modTime(a.Stat()); got.Equal(day) == change.changes {
			s.Errorf("%s: the directory's time is %v", change.name, got)
		}
	}
	if got := modTime(a.Lstat("f")); got.Equal(day) {
		s.Error("writing leaves the file's time")
	}
	f, err := a.OpenRW("f")
	s.ok(err)
	s.ok(f.SetModTime(day))
	if got := modTime(f.Info()); !got.Equal(day) {
		s.Errorf("open file: %v", got)
	}
	s.ok(f.Close())
	s.ok(s.plant(s.d, "link", fs.ModeSymlink))
	s.ok(s.d.SetModTime("link", day))
	if got := modTime(s.d.Lstat("link")); !got.Equal(day) {
		s.Errorf("symbolic link: %v", got)
	}
	s.is(s.d.SetModTime("none", day), fs.ErrNotExist)
}

func (s *suite) append(d fsys.Dir, name string) error {
	f, err := d.OpenRW(name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, "more")
	return errors.Join(err, f.Close())
}

func (s *suite) locks() {
	l, err := s.d.Lock("lock")
	s.ok(err)
	s.has(s.d, "lock")
	_, err = s.d.Lock("lock")
	s.is(err, fsys.ErrLocked)
	other, err := s.d.Lock("other")
	s.ok(err)
	s.ok(other.Close())
	// Opening and closing the file otherwise leaves the lock.
	s.get(s.d, "lock")
	_, err = s.d.Lock("lock")
	s.is(err, fsys.ErrLocked)
	s.ok(l.Close())
	l, err = s.d.Lock("lock")
	s.ok(err)
	s.ok(l.Close())
}

func (s *suite) closed() {
	a := s.dir(s.d, "a")
	b := s.dir(a, "b")
	s.put(a, "f", "text")
	f, err := a.OpenRW("f")
	s.ok(err)
	s.ok(a.Close())
	s.is(a.Close(), fs.ErrClosed)
	s.is(a.Mkdir("x"), fs.ErrClosed)
	s.is(a.Sync(), fs.ErrClosed)
	s.is(a.Rename("f", s.d, "g"), fs.ErrClosed)
	s.put(s.d, "g", "")
	s.is(s.d.Rename("g", a, "g"), fs.ErrClosed)
	_, err = a.Stat()
	s.is(err, fs.ErrClosed)
	_, err = a.Open("f")
	s.is(err, fs.ErrClosed)
	for _, err := range a.Names(0) {
		s.is(err, fs.ErrClosed)
	}
	// What was opened from it stays open.
	s.put(b, "x", "")
	if got := s.content(f); got != "text" {
		s.Errorf("content %q", got)
	}
	s.ok(f.Close())
	s.is(f.Close(), fs.ErrClosed)
	_, err = f.ReadAt(make([]byte, 1), 0)
	s.is(err, fs.ErrClosed)
	_, err = f.Write([]byte("x"))
	s.is(err, fs.ErrClosed)
	s.is(f.Sync(), fs.ErrClosed)
	_, err = f.Size()
	s.is(err, fs.ErrClosed)
	if f.Std() != nil {
		s.Error("a closed file has an os.File")
	}
}

// A handle that is closed under its readers gives its content or fs.ErrClosed, never
// what another file holds.
func (s *suite) concurrent() {
	for i := range 8 {
		s.put(s.d, fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), 100))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprint(i)
			for range 50 {
				f, err := s.d.Open(name)
				if err != nil {
					s.Error(err)
					return
				}
				for range 2 {
					wg.Go(func() {
						b := make([]byte, 100)
						_, err := f.ReadAt(b, 0)
						if err != nil && !errors.Is(err, fs.ErrClosed) {
							s.Error(err)
						} else if err == nil && !bytes.Equal(b, bytes.Repeat([]byte(name), 100)) {
							s.Errorf("file %s holds %q", name, b)
						}
					})
				}
				if err := f.Close(); err != nil {
					s.Error(err)
				}
			}
		})
		wg.Go(func() {
			for j := range 50 {
				tmp := fmt.Sprintf("tmp%d", i)
				f, err := s.d.Create(tmp)
				if err != nil {
					s.Error(err)
					return
				}
				f.Write([]byte("x"))
				f.Close()
				if err := s.d.Rename(tmp, s.d, fmt.Sprintf("moved%d.%d", i, j%3)); err != nil {
					s.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(s.names(s.d)); got != 8+8*3 {
		s.Errorf("%d names are left", got)
	}
}
