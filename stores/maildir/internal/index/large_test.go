package index_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index/indextest"
)

func root(t testing.TB) fsys.Dir {
	t.Helper()
	d, err := fsys.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func build(t testing.TB, d fsys.Dir, id string, n int) {
	t.Helper()
	if err := indextest.Build(d, id, n); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, d fsys.Dir, id string) *index.Mailbox {
	t.Helper()
	m, err := index.Open(d, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func load(t testing.TB, d fsys.Dir, id string) *index.Mailbox {
	t.Helper()
	m := open(t, d, id)
	if err := m.Load(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Release)
	return m
}

func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// A million messages take less than 64 octets each, all told, and are what was written.
func TestMillion(t *testing.T) {
	const n = 1_000_000
	d := root(t)
	build(t, d, "box", n)
	before := heap()
	m := load(t, d, "box")
	used := heap() - before
	if used > 64*n {
		t.Errorf("%d octets of heap for %d messages", used, n)
	}
	if r := m.Resident(); r > 64*n || r < used*9/10 || r > used*11/10 {
		t.Errorf("Resident is %d, the heap grew by %d", r, used)
	}

	buf := make([]index.Row, 512)
	i := 0
	for k := m.Next(1, m.UIDs(), 0, buf); k > 0; k = m.Next(buf[k-1].UID+1, m.UIDs(), 0, buf) {
		for _, r := range buf[:k] {
			if r != indextest.Row(i) {
				t.Fatalf("message %d is %+v, want %+v", i, r, indextest.Row(i))
			}
			i++
		}
	}
	if i != n {
		t.Errorf("%d rows", i)
	}
	i = 0
	names, err := m.FileNames()
	if err != nil {
		t.Fatal(err)
	}
	defer names.Close()
	for e, err := range names.All() {
		if err != nil {
			t.Fatal(err)
		}
		if e.FileName != indextest.Name(i) {
			t.Fatalf("message %d has name %+v", i, e)
		}
		i++
	}
	if i != n {
		t.Errorf("%d names", i)
	}
}

// Looking for a few names takes a look at a few rows, however many messages there are, those that
// came and those that have other names since included.
func TestFindBasesLooksAtFewRows(t *testing.T) {
	const n, batches, room = 100_000, 200, 3 * 1024
	d := root(t)
	build(t, d, "box", n)
	m := load(t, d, "box")
	find := func(want mailaccess.UID, base string) {
		t.Helper()
		bases := map[string]mailaccess.UID{base: 0, "not there " + base: 0}
		if err := m.FindBases(bases); err != nil || bases[base] != want || len(bases) != 2 || bases["not there "+base] != 0 {
			t.Fatalf("%v: %v, want %d", err, bases, want)
		}
	}
	for i := range batches {
		k := i * 7919 % n
		find(m.UIDs().Select(k+1), indextest.Name(k).Base)
	}
	uid := m.UIDNext()
	row := indextest.Row(0)
	row.UID, row.ModSeq, row.Created = uid, m.ModSeq()+1, m.ModSeq()+1
	m.Arrive([]index.Row{row}, []index.FileName{{Base: "came", Place: index.PlaceCur}})
	find(uid, "came")
	m.SetFileName(1, index.FileName{Base: "renamed", Place: index.PlaceCur})
	find(1, "renamed")
	if most := (batches + 2) * room; m.Looked() > most {
		t.Errorf("%d rows looked at, more than %d", m.Looked(), most)
	}
	if r := m.Resident(); r > 64*n {
		t.Errorf("%d octets for %d messages", r, n)
	}
}

// Listing allocates nothing, whatever set and number are asked for.
func TestNextAllocatesNothing(t *testing.T) {
	d := root(t)
	build(t, d, "box", 20_000)
	m := load(t, d, "box")
	buf := make([]index.Row, 256)
	for _, in := range []mailaccess.UIDSet{m.UIDs(), m.Unseen(), mailaccess.UIDSetRange(1, 1<<32-1)} {
		for _, since := range []mailaccess.ModSeq{0, 100} {
			got := 0
			allocs := testing.AllocsPerRun(3, func() {
				for k := m.Next(1, in, since, buf); k > 0; k = m.Next(buf[k-1].UID+1, in, since, buf) {
					got += k
				}
			})
			if allocs != 0 || got == 0 {
				t.Errorf("%v allocations for %d rows", allocs, got)
			}
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := root(b)
			build(b, d, "box", n)
			m := open(b, d, "box")
			for b.Loop() {
				if err := m.Load(); err != nil {
					b.Fatal(err)
				}
				m.Unload()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}

// What SELECT costs of a mailbox that nobody has open.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := root(b)
			build(b, d, "box", n)
			for b.Loop() {
				open(b, d, "box")
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	const n = 100_000
	d := root(b)
	build(b, d, "box", n)
	m := load(b, d, "box")
	buf := make([]index.Row, 256)
	for _, x := range []struct {
		name  string
		uids  mailaccess.UIDSet
		since mailaccess.ModSeq
	}{
		{"all", m.UIDs(), 0}, {"unseen", m.Unseen(), 0}, {"changed", m.UIDs(), m.ModSeq() - 10},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				for k := m.Next(1, x.uids, x.since, buf); k > 0; k = m.Next(buf[k-1].UID+1, x.uids, x.since, buf) {
					rows += k
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}

func BenchmarkFindFlags(b *testing.B) {
	const n = 100_000
	d := root(b)
	build(b, d, "box", n)
	m := load(b, d, "box")
	b.ReportAllocs()
	for b.Loop() {
		var found mailaccess.UIDSetBuilder
		m.FindFlags(1, m.UIDs(), 0, n, func(f mailaccess.Flags) bool { return !f.System.Has(mailaccess.FlagSeen) }, &found)
		if found.Set().Len() != n/10 {
			b.Fatal(found.Set().Len())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/row")
}

// One flag, and all, of a large mailbox: to apply, and to bring to the disk.
func BenchmarkFlags(b *testing.B) {
	const n = 1_000_000
	d := root(b)
	build(b, d, "box", n)
	m := load(b, d, "box")
	for _, changes := range []int{1, 100_000} {
		uids := mailaccess.UIDSetRange(m.UIDs().Select(n/2), m.UIDs().Select(n/2+changes-1))
		b.Run(fmt.Sprint(changes), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				m.SetFlags(uids, mailaccess.Flags{System: mailaccess.SystemFlags(i % 32)}, m.ModSeq()+1)
				c := m.Capture(1)
				err := c.Write()
				if m.Done(c, err); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFileName(b *testing.B) {
	const n = 100_000
	d := root(b)
	build(b, d, "box", n)
	m := load(b, d, "box")
	uids := m.UIDs()
	b.Run("one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if _, err := m.FileName(uids.Select(i*7919%n + 1)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		rows := 0
		for b.Loop() {
			names, err := m.FileNames()
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range names.All() {
				if err != nil {
					b.Fatal(err)
				}
				rows++
			}
			names.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			bases := map[string]mailaccess.UID{indextest.Name(n / 2).Base: 0, "other": 0}
			if err := m.FindBases(bases); err != nil {
				b.Fatal(err)
			}
		}
	})
}
