package fsys_test

import (
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
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// steps is a workload of one operation of each kind that mutates, in this order.
func steps(d fsys.Dir) (names []string, errs []error) {
	f, err := d.Create("f")
	step := func(name string, err error) {
		names, errs = append(names, name), append(errs, err)
	}
	step("create", err)
	if err != nil {
		if f, err = d.OpenRW("spare"); err != nil {
			panic(err)
		}
	}
	defer f.Close()
	_, err = f.Write([]byte("1234"))
	step("write", err)
	_, err = f.WriteAt([]byte("ab"), 1)
	step("write", err)
	step("truncate", f.Truncate(3))
	step("sync", f.Sync())
	step("sync", f.SyncData())
	step("chtimes", f.SetModTime(time.Unix(1e9, 0)))
	step("chtimes", d.SetModTime("spare", time.Unix(1e9, 0)))
	step("mkdir", d.Mkdir("d"))
	step("rmdir", d.RemoveDir("old"))
	step("link", d.Link("spare", d, "link"))
	step("rename", d.Rename("spare", d, "renamed"))
	step("remove", d.Remove("away"))
	step("sync", d.Sync())
	return names, errs
}

// prepared is a directory for steps, and another way to it that is not counted.
func prepared(t *testing.T) (d, plain fsys.Dir, c *fsys.Counters) {
	t.Helper()
	plain, c = memfs.New(nil).Root(), new(fsys.Counters)
	for _, name := range []string{"spare", "away"} {
		f, err := plain.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := plain.Mkdir("old"); err != nil {
		t.Fatal(err)
	}
	return fsys.Counting(plain, c), plain, c
}

// Whichever operation is to fail fails, alone, and says what and where.
func TestEachOperationFails(t *testing.T) {
	d, _, c := prepared(t)
	kinds, errs := steps(d)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	total := len(kinds)
	if c.Ops() != int64(total) {
		t.Fatalf("%d operations were counted, want %d", c.Ops(), total)
	}
	for k := 1; k <= total+1; k++ {
		d, plain, c := prepared(t)
		c.Fail(k, syscall.EIO, nil)
		_, errs := steps(d)
		for i, err := range errs {
			if errors.Is(err, syscall.EIO) != (i+1 == k) {
				t.Errorf("fault %d: operation %d: %v", k, i+1, err)
			}
			if i+1 == k && !strings.HasPrefix(err.Error(), kinds[i]+" mem:") {
				t.Errorf("error %q for %s", err, kinds[i])
			}
		}
		if want := min(1, total+1-k); c.Failed() != want {
			t.Errorf("fault %d: %d failed, want %d", k, c.Failed(), want)
		}
		if k > total {
			continue
		}
		// It had no effect.
		for name, there := range map[string]bool{"f": kinds[k-1] != "create", "d": kinds[k-1] != "mkdir",
			"link": kinds[k-1] != "link", "renamed": kinds[k-1] != "rename", "old": kinds[k-1] == "rmdir", "away": kinds[k-1] == "remove"} {
			if _, err := plain.Lstat(name); (err == nil) != there {
				t.Errorf("fault %d, %s: %s: %v", k, kinds[k-1], name, err)
			}
		}
	}
}

func TestFaultOptions(t *testing.T) {
	d, plain, c := prepared(t)
	f, err := d.Create("f")
	if err != nil {
		t.Fatal(err)
	}
	is := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}

	c.Fail(1, syscall.ENOSPC, &fsys.FaultOptions{Short: true})
	n, err := f.Write([]byte("12345"))
	is(err, syscall.ENOSPC)
	if i, err := plain.Lstat("f"); n != 2 || err != nil || i.Size != 2 {
		t.Errorf("%d octets of a short write, the file has %d: %v", n, i.Size, err)
	}
	_, err = f.Write([]byte("3"))
	is(err, nil)

	c.Fail(2, syscall.EMFILE, &fsys.FaultOptions{Sticky: true})
	is(d.Sync(), nil)
	is(d.Sync(), syscall.EMFILE)
	is(d.Mkdir("d"), syscall.EMFILE)
	_, err = d.Open("f") // does not mutate
	is(err, nil)
	if c.Failed() != 2 {
		t.Errorf("%d failed, want 2", c.Failed())
	}
	c.Clear()
	is(d.Sync(), nil)

	c.Fail(2, syscall.EIO, &fsys.FaultOptions{Match: func(o fsys.Op) bool { return o.Kind == fsys.OpSyncDir }})
	is(d.Sync(), nil)
	is(f.Sync(), nil)
	is(d.Mkdir("d"), nil)
	is(d.Sync(), syscall.EIO)
	is(d.Sync(), nil)

	for name, read := range map[string]func() error{
		"open":   func() error { _, err := d.Open("f"); return err },
		"openrw": func() error { _, err := d.OpenRW("f"); return err },
		"sub":    func() error { _, err := d.Sub("d"); return err },
		"lock":   func() error { _, err := d.Lock("lock"); return err },
		"read":   func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"size":   func() error { _, err := f.Size(); return err },
		"info":   func() error { _, err := f.Info(); return err },
		"stat":   func() error { _, err := d.Stat(); return err },
		"lstat":  func() error { _, err := d.Lstat("f"); return err },
		"list": func() error {
			for _, err := range d.Names(0) {
				return err
			}
			return nil
		},
	} {
		c.Fail(1, syscall.EIO, &fsys.FaultOptions{Reads: true})
		if err := read(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", name, err)
		}
		if err := read(); err != nil {
			t.Errorf("%s after the fault: %v", name, err)
		}
	}
}

func TestTally(t *testing.T) {
	d, _, c := prepared(t)
	steps(d)
	before := c.Tally()
	want := fsys.Tally{Opens: 1, Writes: 3, FileSyncs: 2, DirSyncs: 1, Renames: 1, Links: 1, Removes: 2}
	if before != want {
		t.Errorf("tally %+v, want %+v", before, want)
	}
	f, err := d.OpenRW("f")
	if err != nil {
		t.Fatal(err)
	}
	g, err := d.Open("f")
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(io.NewSectionReader(f, 0, 2), make([]byte, 2))
	g.Std()
	f.Size()
	g.Info()
	d.Stat()
	d.Lstat("f")
	for range d.Names(0) {
	}
	if got, want := c.Tally().Sub(before), (fsys.Tally{Opens: 2, Reads: 2, DirReads: 1, Stats: 4}); got != want {
		t.Errorf("tally %+v, want %+v", got, want)
	}
	if got := c.Count(fsys.OpOpen, fsys.OpOpenRW); got != 2 {
		t.Errorf("%d opens", got)
	}
	if got := c.Count(); got != 14+9 {
		t.Errorf("%d operations", got)
	}
}

// The hook sees each operation before it happens, and may pull the plug then.
func TestObserve(t *testing.T) {
	f := memfs.New(nil)
	root := f.Root()
	if err := root.Mkdir("a"); err != nil {
		t.Fatal(err)
	}
	a, err := root.Sub("a")
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	var after *memfs.FS
	f.Observe(func(o fsys.Op) {
		seen = append(seen, fmt.Sprint(o.Kind, " ", o.Path(), " ", o.ToName, " ", o.Size))
		if o.Kind == fsys.OpRename {
			after = f.Crash(nil, memfs.All)
		}
	})
	g, err := a.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	g.Write([]byte("123"))
	if err := a.Rename("x", root, "y"); !errors.Is(err, memfs.ErrCrashed) {
		t.Errorf("after the crash: %v", err)
	}
	if want := []string{"create mem:/a/x  0", "write mem:/a/x  3", "rename mem:/a/x y 0"}; !slices.Equal(seen, want) {
		t.Errorf("seen %q, want %q", seen, want)
	}
	if _, err := after.Root().Lstat("y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the rename came after the crash: %v", err)
	}
	if n := after.Count(); n != 1 {
		t.Errorf("the new file system starts with %d operations", n)
	}
}

// One of many fails, whoever is first.
func TestFaultsAreCountedAcrossGoroutines(t *testing.T) {
	d, _, c := prepared(t)
	c.Fail(50, syscall.EIO, nil)
	var wg sync.WaitGroup
	failed := make(chan error, 100)
	for range 10 {
		wg.Go(func() {
			for range 10 {
				if err := d.Sync(); err != nil {
					failed <- err
				}
			}
		})
	}
	wg.Wait()
	if len(failed) != 1 || c.Count(fsys.OpSyncDir) != 100 {
		t.Errorf("%d of %d failed", len(failed), c.Count(fsys.OpSyncDir))
	}
}

func TestTargetsOfAnotherFileSystem(t *testing.T) {
	d, plain, _ := prepared(t)
	other := memfs.New(nil).Root()
	for _, err := range []error{d.Rename("spare", other, "x"), d.Link("spare", other, "x"), plain.Link("spare", other, "x")} {
		if !errors.Is(err, syscall.EXDEV) || !strings.Contains(err.Error(), "spare") {
			t.Errorf("error %v", err)
		}
	}
}
