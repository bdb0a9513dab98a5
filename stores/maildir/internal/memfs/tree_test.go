package memfs_test

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// must is for what the test has no doubt about.
func must(t rapid.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func sub(t rapid.TB, d fsys.Dir, name string) fsys.Dir {
	t.Helper()
	s, err := d.Sub(name)
	must(t, err)
	return s
}

func mkdir(t rapid.TB, d fsys.Dir, name string) fsys.Dir {
	t.Helper()
	must(t, d.Mkdir(name))
	return sub(t, d, name)
}

// create makes a file and leaves it open.
func create(t rapid.TB, d fsys.Dir, name, content string) fsys.File {
	t.Helper()
	f, err := d.Create(name)
	must(t, err)
	_, err = io.WriteString(f, content)
	must(t, err)
	return f
}

// tree is a file system by path below the root: contents of files, "/" for directories.
func tree(t rapid.TB, d fsys.Dir) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for e, err := range d.Names(0) {
		must(t, err)
		if e.Type.IsDir() {
			all[e.Name] = "/"
			for path, content := range tree(t, sub(t, d, e.Name)) {
				all[e.Name+"/"+path] = content
			}
			continue
		}
		all[e.Name] = read(t, d, e.Name)
	}
	return all
}

func read(t rapid.TB, d fsys.Dir, name string) string {
	t.Helper()
	f, err := d.Open(name)
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	must(t, err)
	return string(b)
}

// syncAll makes everything durable.
func syncAll(t rapid.TB, d fsys.Dir) {
	t.Helper()
	for e, err := range d.Names(0) {
		must(t, err)
		if e.Type.IsDir() {
			syncAll(t, sub(t, d, e.Name))
			continue
		}
		f, err := d.Open(e.Name)
		must(t, err, f.Sync(), f.Close())
	}
	must(t, d.Sync())
}

func exists(t *testing.T, d fsys.Dir, name string) bool {
	t.Helper()
	_, err := d.Lstat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
