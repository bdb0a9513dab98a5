package derived_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// After a crash what is there was put, and the cache goes on.
func TestCrash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := memfs.New(nil)
		opts := &derived.Options{Budget: rapid.SampledFrom([]int64{0, 60_000}).Draw(t, "budget")}
		m := model{}
		var serial uint64
		for range rapid.IntRange(1, 3).Draw(t, "crashes") {
			c := derived.Open(f.Root(), opts)
			for range rapid.IntRange(1, 6).Draw(t, "puts") {
				k, items := rapid.SampledFrom(kinds).Draw(t, "kind"), drawItems(t, &serial)
				m.put(k, items)
				put(t, c, k, items...)
			}
			mode := rapid.SampledFrom([]memfs.Mode{memfs.All, memfs.Nothing, memfs.Some, memfs.Some}).Draw(t, "mode")
			f = f.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), mode)
			c.Close()
			c = derived.Open(f.Root(), opts)
			for _, k := range kinds {
				m.right(t, c, k, upTo(100), false)
				m.right(t, c, k, drawEmails(t), false)
			}
			// What is put now is there, and what it replaces is not.
			serial++
			items := []derived.Item{{Email: 3, Value: value(serial, 20)}, {Email: 70, Value: value(serial, 2000)}}
			m.put("mime/1", items)
			put(t, c, "mime/1", items...)
			if n := m.right(t, c, "mime/1", []uint32{3, 70}, true); n != 2 {
				t.Fatalf("%d of 2 values after the crash", n)
			}
			c.Close()
		}
	})
}

// Bytes that went bad on the disk are not there.
func TestCorrupt(t *testing.T) {
	f := memfs.New(nil)
	m := model{}
	c := derived.Open(f.Root(), nil)
	for round := range 3 {
		for k, kind := range kinds {
			var items []derived.Item
			for e := range 6 {
				if (e+round)%3 > 0 {
					items = append(items, derived.Item{Email: uint32(e), Value: value(uint64(round*100+k*10+e), 8+e*3)})
				}
			}
			m.put(kind, items)
			put(t, c, kind, items...)
		}
	}
	c.Close()
	read := func() (n int) {
		c := derived.Open(f.Root(), nil)
		defer c.Close()
		for _, kind := range kinds {
			n += m.right(t, c, kind, upTo(8), false)
		}
		return n
	}
	all := read()
	if all != 18 {
		t.Fatalf("%d values, want 18", all)
	}
	damages, noticed := 0, 0
	for name, b := range files(t, f) {
		for i := range b {
			for _, bad := range [][]byte{
				slices.Concat(b[:i], []byte{b[i] ^ 1<<(i%8)}, b[i+1:]),
				slices.Concat(b[:i], []byte{^b[i]}, b[i+1:]),
				b[:i],
				slices.Concat(b[:i], make([]byte, len(b)-i)),
				slices.Concat(b[:i], []byte{b[i] + 1}, b[i:]),
			} {
				write(t, f, name, bad)
				damages++
				if read() < all {
					noticed++
				}
			}
		}
		write(t, f, name, b)
	}
	// What was replaced, and zeros in the place of zeros, nobody misses.
	if noticed < damages/2 {
		t.Errorf("of %d damages %d were noticed", damages, noticed)
	}
	// The table of another kind.
	root := f.Root()
	defer root.Close()
	if err := root.Rename("mime+1.slots", root, "A-b_c.slots"); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != 6 {
		t.Errorf("%d values, want those of the third kind", n)
	}
}

func files(t *testing.T, f *memfs.FS) map[string][]byte {
	t.Helper()
	root := f.Root()
	defer root.Close()
	all := map[string][]byte{}
	for e, err := range root.Names(0) {
		if err != nil {
			t.Fatal(err)
		}
		file, err := root.Open(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		size, err := file.Size()
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name] = make([]byte, size)
		if _, err := file.ReadAt(all[e.Name], 0); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return all
}

func write(t *testing.T, f *memfs.FS, name string, b []byte) {
	t.Helper()
	root := f.Root()
	defer root.Close()
	file, err := root.OpenRW(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// Whatever the files hold, nothing comes back but what may have been asked for, and new
// values are kept beside it.
func FuzzFiles(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 8), 1<<47|3), append(make([]byte, 12), "abc"...))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 8), 1<<64-1), []byte("x"))
	f.Fuzz(func(t *testing.T, slots, values []byte) {
		fs := memfs.New(nil)
		root := fs.Root()
		for name, b := range map[string][]byte{"mime+1.slots": slots, "00000001.values": values} {
			file, err := root.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
			file.Close()
		}
		c := derived.Open(root, nil)
		defer c.Close()
		get(t, c, "mime/1", upTo(20)...)
		put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("one")}, derived.Item{Email: 9, Value: []byte("nine")})
		got := get(t, c, "mime/1", upTo(20)...)
		if string(got[1]) != "one" || string(got[9]) != "nine" {
			t.Errorf("%q", got)
		}
	})
}
