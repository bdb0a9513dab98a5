package memfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// What a crash leaves of a little work, when nothing or all of what was not synced
// reached the disk.
func TestCrash(t *testing.T) {
	type files = map[string]string
	for _, test := range []struct {
		name         string
		work         func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) // a and b are durable
		nothing, all files                                                // beside a and b
	}{
		{"nothing synced", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			create(t, a, "x", "text")
		}, files{}, files{"a/x": "text"}},
		{"a file without its directory", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync())
		}, files{}, files{"a/x": "text"}},
		{"a directory without the file", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			create(t, a, "x", "text")
			must(t, a.Sync())
		}, files{"a/x": ""}, files{"a/x": "text"}},
		{"both", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync())
		}, files{"a/x": "text"}, files{"a/x": "text"}},
		{"data only", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").SyncData(), a.Sync())
		}, files{"a/x": "text"}, files{"a/x": "text"}},
		{"more after the sync", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			f := create(t, a, "x", "text")
			must(t, f.Sync(), a.Sync())
			_, err := f.Write([]byte(" and more"))
			_, err2 := f.WriteAt([]byte("T"), 0)
			must(t, err, err2)
		}, files{"a/x": "text"}, files{"a/x": "Text and more"}},
		{"cut after the sync", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			f := create(t, a, "x", "text")
			must(t, f.Sync(), a.Sync(), f.Truncate(2))
		}, files{"a/x": "text"}, files{"a/x": "te"}},
		{"the directory above", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			c := mkdir(t, a, "c")
			must(t, create(t, c, "x", "text").Sync(), c.Sync())
		}, files{}, files{"a/c": "/", "a/c/x": "text"}},
		{"renamed", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync(), a.Rename("x", b, "y"))
		}, files{"a/x": "text"}, files{"b/y": "text"}},
		{"renamed, new directory synced", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Rename("x", b, "y"), b.Sync())
		}, files{"b/y": "text"}, files{"b/y": "text"}},
		{"renamed, old directory synced", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync(), a.Rename("x", b, "y"), a.Sync())
		}, files{"b/y": "text"}, files{"b/y": "text"}},
		{"renamed over another", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "new").Sync(), create(t, b, "y", "old").Sync(), a.Sync(), b.Sync(), a.Rename("x", b, "y"))
		}, files{"a/x": "new", "b/y": "old"}, files{"b/y": "new"}},
		{"linked and removed", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync(), a.Link("x", b, "y"), a.Remove("x"), b.Sync())
		}, files{"a/x": "text", "b/y": "text"}, files{"b/y": "text"}},
		{"linked and removed, wrong directory synced", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync(), a.Link("x", b, "y"), a.Remove("x"), a.Sync())
		}, files{}, files{"b/y": "text"}},
		{"removed", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "text").Sync(), a.Sync(), a.Remove("x"))
		}, files{"a/x": "text"}, files{}},
		{"removed and made again", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			must(t, create(t, a, "x", "old").Sync(), a.Sync(), a.Remove("x"), create(t, a, "x", "new").Sync())
		}, files{"a/x": "old"}, files{"a/x": "new"}},
		{"a directory emptied and removed durably", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			c := mkdir(t, root, "c")
			must(t, create(t, c, "x", "text").Sync(), c.Sync(), root.Sync(), c.Rename("x", a, "x"), root.RemoveDir("c"), root.Sync())
		}, files{"a/x": "text"}, files{"a/x": "text"}},
		{"a sync that fails and loses", func(t *testing.T, m *memfs.FS, root, a, b fsys.Dir) {
			f := create(t, a, "x", "kept")
			must(t, f.Sync(), a.Sync())
			_, err := f.Write([]byte(", lost"))
			must(t, err)
			m.Fail(1, syscall.EIO, &fsys.FaultOptions{Lose: true})
			if err := f.Sync(); !errors.Is(err, syscall.EIO) {
				t.Errorf("sync: %v", err)
			}
			_, err = f.Write([]byte(", late"))
			must(t, err, f.Sync())
		}, files{"a/x": "kept\x00\x00\x00\x00\x00\x00, late"}, files{"a/x": "kept, lost, late"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for mode, want := range map[memfs.Mode]files{memfs.Nothing: test.nothing, memfs.All: test.all} {
				f := memfs.New(nil)
				root := f.Root()
				a, b := mkdir(t, root, "a"), mkdir(t, root, "b")
				must(t, root.Sync())
				test.work(t, f, root, a, b)
				after := f.Crash(nil, mode)
				want = maps.Clone(want)
				want["a"], want["b"] = "/", "/"
				if diff := cmp.Diff(want, tree(t, after.Root())); diff != "" {
					t.Errorf("mode %d: (-want +got)\n%s", mode, diff)
				}
			}
		})
	}
}

// workload does operations drawn by rapid on a few names in two directories.
type workload struct {
	dirs    []fsys.Dir
	content int
	// synced by the last Sync of a directory and of a file, and not changed since
	settled map[string]bool   // dir/name
	durable map[uint64]string // content by inode
}

var names = []string{"p", "q", "r", "s"}

func (w *workload) step(t *rapid.T, syncs bool) {
	i, j := rapid.IntRange(0, len(w.dirs)-1).Draw(t, "dir"), rapid.IntRange(0, len(w.dirs)-1).Draw(t, "to")
	d, to := w.dirs[i], w.dirs[j]
	old, new := rapid.SampledFrom(names).Draw(t, "name"), rapid.SampledFrom(names).Draw(t, "new name")
	at := func(i int, name string) string { return fmt.Sprint(i, name) }
	inode := func(name string) uint64 {
		i, err := d.Lstat(name)
		if err != nil {
			return 0
		}
		return i.Inode
	}
	last := 5
	if syncs {
		last = 7
	}
	var err error
	switch rapid.IntRange(0, last).Draw(t, "operation") {
	case 0:
		var f fsys.File
		if f, err = d.Create(old); err == nil {
			delete(w.settled, at(i, old))
			_, err = fmt.Fprintf(f, "content %d", w.content)
			w.content++
			must(t, err, f.Close())
		}
	case 1:
		if err = d.Link(old, to, new); err == nil {
			delete(w.settled, at(j, new))
		}
	case 2:
		if err = d.Rename(old, to, new); err == nil {
			delete(w.settled, at(i, old))
			delete(w.settled, at(j, new))
		}
	case 3:
		if err = d.Remove(old); err == nil {
			delete(w.settled, at(i, old))
		}
	case 4, 5:
		var f fsys.File
		if f, err = d.OpenRW(old); err == nil {
			delete(w.durable, inode(old))
			_, err = fmt.Fprintf(f, ", more %d", w.content)
			w.content++
			must(t, err, f.Close())
		}
	case 6:
		must(t, d.Sync())
		for _, name := range names {
			w.settled[at(i, name)] = true
		}
	case 7:
		var f fsys.File
		if f, err = d.Open(old); err == nil {
			must(t, f.Sync(), f.Close())
			w.durable[inode(old)] = read(t, d, old)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func newWorkload(t *rapid.T, f *memfs.FS) *workload {
	root := f.Root()
	w := &workload{settled: make(map[string]bool), durable: make(map[uint64]string)}
	w.dirs = []fsys.Dir{mkdir(t, root, "0"), mkdir(t, root, "1")}
	must(t, root.Sync())
	return w
}

// Nothing leaves what there was when all had been synced, and All what there was last.
func TestNothingAndAllAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := memfs.New(nil)
		w := newWorkload(t, f)
		steps := rapid.IntRange(0, 30)
		for range steps.Draw(t, "synced steps") {
			w.step(t, true)
		}
		syncAll(t, f.Root())
		synced := tree(t, f.Root())
		for range steps.Draw(t, "steps") {
			w.step(t, false)
		}
		last := tree(t, f.Root())
		if diff := cmp.Diff(synced, tree(t, f.Crash(nil, memfs.Nothing).Root())); diff != "" {
			t.Fatalf("Nothing: (-want +got)\n%s", diff)
		}
		after := f.Crash(nil, memfs.All)
		if diff := cmp.Diff(last, tree(t, after.Root())); diff != "" {
			t.Fatalf("All: (-want +got)\n%s", diff)
		}
		// What a crash left is durable.
		if diff := cmp.Diff(last, tree(t, after.Crash(nil, memfs.Nothing).Root())); diff != "" {
			t.Fatalf("a second crash: (-want +got)\n%s", diff)
		}
	})
}

// What was synced and not changed since survives every crash: names with the file that
// they stand for, and contents.
func TestSyncedSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := memfs.New(nil)
		w := newWorkload(t, f)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			w.step(t, true)
		}
		was := make(map[string]uint64)
		for i, d := range w.dirs {
			for _, name := range names {
				if info, err := d.Lstat(name); err == nil {
					was[fmt.Sprint(i, name)] = info.Inode
				}
			}
		}
		mode := rapid.SampledFrom([]memfs.Mode{memfs.Nothing, memfs.Some, memfs.Some, memfs.All}).Draw(t, "mode")
		root := f.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)), mode).Root()
		for i := range w.dirs {
			d := sub(t, root, fmt.Sprint(i))
			for _, name := range names {
				info, err := d.Lstat(name)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if at := fmt.Sprint(i, name); w.settled[at] && info.Inode != was[at] {
					t.Errorf("%d/%s is inode %d and was %d when it was synced", i, name, info.Inode, was[at])
				}
				if want, ok := w.durable[info.Inode]; ok && read(t, d, name) != want {
					t.Errorf("%d/%s holds %q, of which %q was synced", i, name, read(t, d, name), want)
				}
			}
		}
	})
}

// However files and directories are renamed, a crash finds each once.
func TestRenamesAreAtomic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := memfs.New(nil)
		root := f.Root()
		dirs := []fsys.Dir{root, mkdir(t, root, "d"), mkdir(t, root, "e"), mkdir(t, root, "f")}
		var want []string
		for i, name := range names {
			create(t, dirs[i%3], name, name)
			want = append(want, name)
		}
		syncAll(t, root)
		all := append([]string{"d", "e", "f"}, names...)
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			from, to := rapid.SampledFrom(dirs).Draw(t, "from"), rapid.SampledFrom(dirs).Draw(t, "to")
			name := rapid.SampledFrom(all).Draw(t, "name")
			switch rapid.IntRange(0, 9).Draw(t, "operation") {
			case 0:
				must(t, from.Sync())
			case 1: // a new file takes the place that a rename left, or not
				if g, err := from.Create(name); err == nil {
					must(t, g.Close())
				}
			default:
				if _, err := to.Lstat(name); err == nil {
					continue // nothing is to be replaced
				}
				if err := from.Rename(name, to, name); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EINVAL) {
					t.Fatal(err)
				}
			}
		}
		for seed := range uint64(10) {
			var got []string
			after := tree(t, f.Crash(rand.New(rand.NewPCG(seed, 0)), memfs.Some).Root())
			for _, content := range after {
				if content != "" && content != "/" {
					got = append(got, content)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: files %q in %v", seed, got, after)
			}
		}
	})
}

// Renames that other changes of directories could make lose something: the file is
// found once.
func TestRenamesWithDirectories(t *testing.T) {
	for name, work := range map[string]func(t *testing.T, root, x, y fsys.Dir){
		"into a directory that was moved out of it": func(t *testing.T, root, x, y fsys.Dir) {
			must(t, x.Rename("y", root, "y"), root.Rename("x", y, "x"))
		},
		"the same, and synced": func(t *testing.T, root, x, y fsys.Dir) {
			must(t, x.Rename("y", root, "y"), root.Rename("x", y, "x"), y.Sync())
		},
		"out of a directory that is removed": func(t *testing.T, root, x, y fsys.Dir) {
			must(t, y.Rename("f", root, "f"), x.RemoveDir("y"))
		},
		"out of a directory that is replaced": func(t *testing.T, root, x, y fsys.Dir) {
			must(t, x.Mkdir("z"), y.Rename("f", root, "f"), x.Rename("z", x, "y"))
		},
		"into a new directory": func(t *testing.T, root, x, y fsys.Dir) {
			must(t, y.Rename("f", mkdir(t, mkdir(t, root, "n"), "m"), "f"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				f := memfs.New(nil)
				root := f.Root()
				x := mkdir(t, root, "x")
				y := mkdir(t, x, "y")
				create(t, y, "f", "text")
				syncAll(t, root)
				work(t, root, x, y)
				for _, mode := range []memfs.Mode{memfs.Nothing, memfs.Some, memfs.All} {
					after := tree(t, f.Crash(rand.New(rand.NewPCG(seed, 0)), mode).Root())
					if got := slices.Collect(maps.Values(after)); strings.Count(strings.Join(got, ""), "text") != 1 {
						t.Fatalf("seed %d, mode %d: %v", seed, mode, after)
					}
				}
			}
		})
	}
}

// A write that was not synced is there, or a part of it, or zeros, or nothing: all of
// that is seen, and nothing else.
func TestTornWrites(t *testing.T) {
	const old, text = "0123456789", "abcdef"
	seen := make(map[string]int)
	for seed := range uint64(400) {
		f := memfs.New(nil)
		root := f.Root()
		g := create(t, root, "x", old)
		must(t, g.Sync(), root.Sync())
		_, err := g.WriteAt([]byte(text), 7)
		must(t, err)
		got := read(t, f.Crash(rand.New(rand.NewPCG(seed, 0)), memfs.Some).Root(), "x")
		seen[got]++
		again := read(t, f.Crash(rand.New(rand.NewPCG(seed, 0)), memfs.Some).Root(), "x")
		if got != again {
			t.Fatalf("seed %d gave %q and %q", seed, got, again)
		}
	}
	want := map[string]bool{old: true, old + "\x00\x00\x00": true, old[:7] + text: true}
	for cut := range len(text) {
		part := old[:7] + text[:cut]
		if len(part) < len(old) {
			part += old[len(part):]
		}
		want[part] = true
		want[part+strings.Repeat("\x00", len(old)+3-len(part))] = true
	}
	for got := range seen {
		if !want[got] {
			t.Errorf("%q was found", got)
		}
	}
	for content := range want {
		if seen[content] == 0 {
			t.Errorf("%q was never found", content)
		}
	}
}

// Changes of different names are independent: of two, each alone may survive.
func TestChangesAreIndependent(t *testing.T) {
	seen := make(map[string]bool)
	for seed := range uint64(100) {
		f := memfs.New(nil)
		root := f.Root()
		must(t, root.Mkdir("a"), root.Mkdir("b"))
		after := f.Crash(rand.New(rand.NewPCG(seed, 0)), memfs.Some).Root()
		seen[fmt.Sprint(exists(t, after, "a"), exists(t, after, "b"))] = true
	}
	if len(seen) != 4 {
		t.Errorf("only %v was found", seen)
	}
}

func TestTimesAfterACrash(t *testing.T) {
	day := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	f := memfs.New(nil)
	root := f.Root()
	full, data := create(t, root, "full", ""), create(t, root, "data", "")
	must(t, full.SetModTime(day), data.SetModTime(day), full.Sync(), data.SyncData(), root.Sync())
	after := f.Crash(nil, memfs.Nothing).Root()
	for name, want := range map[string]bool{"full": true, "data": false} {
		i, err := after.Lstat(name)
		must(t, err)
		if i.ModTime.Equal(day) != want {
			t.Errorf("%s has the time %v", name, i.ModTime)
		}
	}
}

// Handles end with the crash, and locks with them.
func TestHandlesOfACrashedFileSystem(t *testing.T) {
	f := memfs.New(nil)
	root := f.Root()
	g := create(t, root, "x", "text")
	l, err := root.Lock("lock")
	must(t, err)
	after := f.Crash(nil, memfs.All)
	_, werr := g.Write([]byte("more"))
	_, oerr := root.Open("x")
	for _, err := range []error{werr, oerr, g.Sync(), root.Sync(), root.Mkdir("d"), root.Rename("x", root, "y"),
		root.Rename("x", after.Root(), "y"), after.Root().Rename("x", root, "y")} {
		if !errors.Is(err, memfs.ErrCrashed) && !errors.Is(err, syscall.EXDEV) {
			t.Errorf("error %v", err)
		}
	}
	must(t, l.Close(), g.Close(), root.Close())
	l, err = after.Root().Lock("lock")
	must(t, err, l.Close())
	if got := read(t, after.Root(), "x"); got != "text" {
		t.Errorf("content %q", got)
	}
}
