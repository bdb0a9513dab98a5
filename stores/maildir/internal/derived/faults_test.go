package derived_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// Whichever call fails, and however: what comes back was put, and not replaced by a Put
// that returned nil; and afterwards all is well.
func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		err  error
		opts fsys.FaultOptions
	}{
		{syscall.ENOSPC, fsys.FaultOptions{}},
		{syscall.ENOSPC, fsys.FaultOptions{Short: true}},
		{syscall.EIO, fsys.FaultOptions{Reads: true}},
		{syscall.EMFILE, fsys.FaultOptions{Reads: true, Sticky: true}},
	} {
		for k := 1; ; k++ {
			f := memfs.New(nil)
			c := derived.Open(f.Root(), &derived.Options{Budget: 40_000, Files: 1})
			m := model{}
			f.Fail(k, fault.err, &fault.opts)
			var serial uint64
			puts, refused := 0, 0
			work := func() {
				for round := range 5 {
					for _, kind := range kinds[:2] {
						var items []derived.Item
						for e := range uint32(6) {
							serial++
							items = append(items, derived.Item{Email: e * uint32(round+1), Value: value(serial, 8+int(serial)%700)})
						}
						before := f.Failed()
						err := c.Put(kind, items)
						m.kept(kind, items, err)
						failed := f.Failed() > before
						if err != nil && (!failed || !errors.Is(err, fault.err) || !errors.Is(err, mailaccess.KindUnavailable)) {
							t.Fatalf("fault %d, %v: Put: %v", k, fault.err, err)
						}
						n := m.right(t, c, kind, upTo(50), false)
						if f.Failed() == 0 && n < 6 {
							t.Fatalf("fault %d: only %d values", k, n)
						}
						puts++
						if err != nil {
							refused++
						}
					}
				}
			}
			work()
			done := f.Failed() == 0
			if fault.opts.Sticky && k < 10 && refused < puts-10 {
				t.Errorf("fault %d: of %d Puts on a disk that fails only %d did", k, puts, refused)
			}
			f.Clear()
			f.Fail(1<<30, nil, nil)
			work()
			if got := get(t, c, kinds[0], 5, 15, 25); len(got) != 3 {
				t.Fatalf("fault %d: after it only %d values", k, len(got))
			}
			c.Close()
			if done {
				break
			}
		}
	}
}

// Somebody removes files, or all of them, while they are in use, or puts something else
// there.
func TestMeddled(t *testing.T) {
	dir, path := onDisk(t)
	c := open(t, dir, nil)
	items := []derived.Item{{Email: 1, Value: []byte("one")}, {Email: 2, Value: []byte("two")}}
	for name, meddle := range map[string]func(name string) error{
		"removed": os.Remove,
		"a link": func(name string) error {
			return errors.Join(os.Remove(name), os.Symlink("/etc/passwd", name))
		},
		"a directory": func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
		"empty":       func(name string) error { return os.Truncate(name, 0) },
	} {
		put(t, c, "mime/1", items...)
		c.Idle()
		for _, file := range []string{"mime+1.slots", "00000001.values"} {
			if err := meddle(path + "/" + file); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(t, c, "mime/1", 1, 2); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
		// What is no file stays in the way.
		err := c.Put("mime/1", items)
		inTheWay := name == "a link" || name == "a directory"
		if (err != nil) != inTheWay {
			t.Errorf("%s: Put: %v", name, err)
		}
		if got := get(t, c, "mime/1", 1, 2); !inTheWay && (string(got[1]) != "one" || string(got[2]) != "two") {
			t.Errorf("%s: %q", name, got)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, foreign := range []string{"7fffffff.values", "ffffffff.values", "1.values", "x.slots.slots", "README", "+.slots", ".slots"} {
			if err := os.WriteFile(path+"/"+foreign, []byte("foreign"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d, err := fsys.OpenRoot(path)
		if err != nil {
			t.Fatal(err)
		}
		c = open(t, d, nil)
		put(t, c, "mime/1", items...)
		if got := get(t, c, "mime/1", 1, 2); len(got) != 2 {
			t.Errorf("beside foreign files: %q", got)
		}
	}
}

// On a full disk nothing goes for the sake of what cannot be written.
func TestFull(t *testing.T) {
	f := memfs.New(nil)
	c := open(t, f.Root(), &derived.Options{Budget: 100_000})
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("first")})
	f.Fail(1, syscall.ENOSPC, &fsys.FaultOptions{Sticky: true, Match: func(o fsys.Op) bool { return o.Kind == fsys.OpWrite }})
	for range 100 {
		if err := c.Put("mime/1", []derived.Item{{Email: 2, Value: make([]byte, 10_000)}}); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Put: %v", err)
		}
	}
	f.Clear()
	if got := get(t, c, "mime/1", 1, 2); len(got) != 1 || string(got[1]) != "first" {
		t.Errorf("%d values", len(got))
	}
}
