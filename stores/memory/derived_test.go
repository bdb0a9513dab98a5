package memory

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// emails appends n messages and returns their ids.
func (f *fixture) emails(n int) []mailaccess.EmailID {
	f.Helper()
	s := f.stage("Subject: x\r\n\r\n")
	var ids []mailaccess.EmailID
	for len(ids) < n {
		// An upload that is appended twice keeps its id.
		staged := &staged{a: f.account, data: s.(*staged).data}
		done, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: staged}})
		f.must(err)
		ids = append(ids, done.Messages[0].EmailID)
	}
	return ids
}

func (f *fixture) put(kind mailaccess.DerivedKind, items ...mailaccess.Derived) {
	f.Helper()
	f.must(f.PutDerived(ctx, kind, items))
	f.checkDerived()
}

// checkDerived checks what the cache counts.
func (f *fixture) checkDerived() {
	f.Helper()
	d := &f.derived
	d.mu.Lock()
	defer d.mu.Unlock()
	var size int64
	for _, k := range d.kinds {
		if len(k.all) != len(k.blocks) {
			f.Fatalf("kind %s: %d and %d blocks", k.name, len(k.all), len(k.blocks))
		}
		for i, b := range k.all {
			if k.blocks[b.number] != b || b.at != i || b.kind != k || b.empty() || b.counted != b.size() {
				f.Fatalf("kind %s: block %d at %d: %+v", k.name, b.number, i, b)
			}
			size += b.size()
		}
	}
	if size != d.size || size > d.limit {
		f.Fatalf("%d octets are kept, %d are counted, %d is the limit", size, d.size, d.limit)
	}
}

// kept returns what is kept for ids, and that it was asked for.
func (f *fixture) kept(kind mailaccess.DerivedKind, ids ...mailaccess.EmailID) map[mailaccess.EmailID]string {
	f.Helper()
	have := make(map[mailaccess.EmailID]string)
	for d, err := range f.Derived(ctx, kind, ids) {
		f.must(err)
		have[d.ID] = string(d.Bytes)
	}
	return have
}

// What comes back is what was put last, or nothing; what is counted is what is kept, and
// never more than the limit.
func TestDerivedIsWhatWasPut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int64{1, 1 << 10, 16 << 10, 64 << 10, 8 << 20}).Draw(rt, "limit")
		f := newFixture(t, &Options{DerivedBytes: limit})
		defer f.store.Close()
		ids := f.emails(200)
		type key struct {
			kind mailaccess.DerivedKind
			id   mailaccess.EmailID
		}
		last := make(map[key]string)
		gone := make(map[mailaccess.EmailID]bool)
		kinds := rapid.SampledFrom([]mailaccess.DerivedKind{"a", "b", "c"})
		some := rapid.SliceOfN(rapid.SampledFrom(ids), 0, 70)
		lengths := rapid.SampledFrom([]int{0, 1, 100, 1000, derivedLarge - 1, derivedLarge, 3 * derivedLarge, mailaccess.MaxDerived + 1})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				kind := kinds.Draw(rt, "kind")
				var items []mailaccess.Derived
				for _, id := range some.Draw(rt, "ids") {
					b := bytes.Repeat([]byte{rapid.Byte().Draw(rt, "octet")}, lengths.Draw(rt, "length"))
					items = append(items, mailaccess.Derived{ID: id, Bytes: b})
					if !gone[id] {
						last[key{kind, id}] = string(b)
					}
				}
				f.put(kind, items...)
				for _, item := range items {
					clear(item.Bytes) // the cache has its own
				}
			},
			"get": func(rt *rapid.T) {
				kind := kinds.Draw(rt, "kind")
				for id, b := range f.kept(kind, some.Draw(rt, "ids")...) {
					if want, ok := last[key{kind, id}]; !ok || b != want || len(b) > mailaccess.MaxDerived {
						rt.Fatalf("%s %s: %d octets %.9q, want %d octets %.9q", kind, id, len(b), b, len(want), want)
					}
				}
			},
			"expunge": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") != 0 {
					return
				}
				id := rapid.SampledFrom(ids).Draw(rt, "id")
				for l, err := range f.Locate(ctx, []mailaccess.EmailID{id}) {
					f.must(err)
					f.expunge(f.inbox, mailaccess.UIDSetOf(l.UID))
				}
				gone[id] = true
				maps.DeleteFunc(last, func(k key, _ string) bool { return k.id == id })
				// Nothing is kept for what is gone.
				f.put("a", mailaccess.Derived{ID: id, Bytes: []byte("late")})
			},
		})
		if limit == 8<<20 && f.derived.offered < limit/2 {
			for k, want := range last {
				if got, ok := f.kept(k.kind, k.id)[k.id]; ok != (len(want) <= mailaccess.MaxDerived) || ok && got != want {
					rt.Fatalf("%v: %d octets, want %d, though there was room", k, len(got), len(want))
				}
			}
		}
		f.expunge(f.inbox, mailaccess.UIDSetRange(1, 1<<32-1))
		f.checkDerived()
		if f.derived.size != 0 {
			rt.Fatalf("%d octets are kept of no message", f.derived.size)
		}
	})
}

// pass asks for an item of so many octets of each message, as a front-end does, 500 messages
// at once, and puts those that are missing. It returns which part was there.
func (f *fixture) pass(kind mailaccess.DerivedKind, ids []mailaccess.EmailID, octets int) float64 {
	f.Helper()
	hits := 0
	for batch := range slices.Chunk(ids, 500) {
		have := f.kept(kind, batch...)
		hits += len(have)
		var missing []mailaccess.Derived
		for _, id := range batch {
			if _, ok := have[id]; !ok {
				missing = append(missing, mailaccess.Derived{ID: id, Bytes: bytes.Repeat([]byte(id), octets/len(id)+1)[:octets]})
			}
		}
		f.must(f.PutDerived(ctx, kind, missing))
	}
	f.checkDerived()
	return float64(hits) / float64(len(ids))
}

// Who goes through more than fits finds about as much as fits, the second time and ever after.
func TestDerivedPassOverMoreThanFits(t *testing.T) {
	const octets = 300
	for _, fits := range []float64{0.8, 0.5, 0.2} {
		t.Run(fmt.Sprint(fits), func(t *testing.T) {
			const n = 20_000
			f := newFixture(t, &Options{DerivedBytes: int64(fits * n * octets)})
			ids := f.emails(n)
			f.pass("a", ids, octets)
			for range 6 {
				if hits := f.pass("a", ids, octets); hits < 0.7*fits {
					t.Errorf("%.2f of the items were found, %.2f of them fit", hits, fits)
				}
			}
		})
	}
}

// What is asked for now takes the room of another kind that nobody asks for any more, and of
// other messages, after some time.
func TestDerivedMakesRoom(t *testing.T) {
	const n, octets = 20_000, 300
	f := newFixture(t, &Options{DerivedBytes: n * octets})
	ids := f.emails(2 * n)
	f.pass("a", ids[:n], octets)
	f.pass("a", ids[:n], octets)
	f.pass("b", ids[:n], octets/2)
	if hits := f.pass("b", ids[:n], octets/2); hits < 0.9 {
		t.Errorf("%.2f of another kind were found", hits)
	}
	// Half of the room was left to what was there, which is still of use.
	if hits := f.pass("a", ids[:n], octets); hits < 0.3 {
		t.Errorf("%.2f of the first kind were found", hits)
	}
	var hits float64
	for range 40 {
		hits = f.pass("a", ids[n:], octets)
	}
	if hits < 0.5 {
		t.Errorf("%.2f of other messages were found after many passes", hits)
	}
}

// Two kinds that are in use, and do not fit together, both have a share.
func TestDerivedKindsTogether(t *testing.T) {
	const n, octets = 20_000, 300
	f := newFixture(t, &Options{DerivedBytes: n * octets})
	ids := f.emails(n)
	var a, b float64
	for range 6 {
		a, b = 0, 0
		for batch := range slices.Chunk(ids, 500) {
			a += f.pass("a", batch, octets) * 500 / n
			b += f.pass("b", batch, octets) * 500 / n
		}
	}
	if a+b < 0.8 || a < 0.1 || b < 0.1 {
		t.Errorf("%.2f of one kind and %.2f of the other were found, of which half fits", a, b)
	}
}

// An item takes few octets beyond its own, whatever it was that counted them, and the
// collector has next to nothing to look at.
func TestDerivedOverhead(t *testing.T) {
	const n, octets = 64_000, 100
	f := newFixture(t, nil)
	ids := f.emails(n)
	heap := func() (octets, objects int64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc), int64(m.HeapObjects)
	}
	octets0, objects0 := heap()
	f.pass("a", ids, octets)
	octets1, objects1 := heap()
	each := float64(octets1-octets0) / n
	if counted := float64(f.derived.size) / n; counted > octets+20 || each > octets+20 || each > 1.05*counted {
		t.Errorf("an item of %d octets takes %.1f, counted are %.1f", octets, each, counted)
	}
	if objects := float64(objects1-objects0) / n; objects > 0.1 {
		t.Errorf("an item is %.2f objects", objects)
	}
	var found int
	if allocs := testing.AllocsPerRun(5, func() {
		for range f.Derived(ctx, "a", ids) {
			found++
		}
	}); allocs > 10 || found != 6*n {
		t.Errorf("%.0f allocations for %d items, found %d in six passes", allocs, n, found)
	}
}

// What somebody reads stays as it is while others put, replace, and take out.
func TestDerivedReadersKeepTheirItems(t *testing.T) {
	const n = 1000
	f := newFixture(t, &Options{DerivedBytes: 256 << 10})
	ids := f.emails(n)
	item := func(id mailaccess.EmailID, round int) []byte {
		return bytes.Repeat([]byte(id), 1+(round+len(id))%40)
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for round := range 20 {
				for batch := range slices.Chunk(ids, 100) {
					var items []mailaccess.Derived
					for _, id := range batch {
						items = append(items, mailaccess.Derived{ID: id, Bytes: item(id, round+w)})
					}
					if err := f.PutDerived(ctx, "a", items); err != nil {
						t.Error(err)
					}
					for d, err := range f.Derived(ctx, "a", batch) {
						if err != nil || len(d.Bytes)%len(d.ID) != 0 || strings.Trim(string(d.Bytes), string(d.ID)) != "" {
							t.Errorf("%s: %q, %v", d.ID, d.Bytes, err)
						}
					}
				}
			}
		})
	}
	all.Go(func() {
		for u := range mailaccess.UID(n / 2) {
			if _, err := f.Expunge(ctx, f.inbox, mailaccess.UIDSetOf(2*u+1), 0); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	f.checkDerived()
	for i, id := range ids {
		if got := f.kept("a", id); i%2 == 0 && len(got) != 0 {
			t.Errorf("message %d is gone, and %q is kept", i, got)
		}
	}
}

func TestEmailNumber(t *testing.T) {
	f := newFixture(t, nil)
	for _, n := range []uint64{1, 35, 36, 1 << 40} {
		if got, ok := f.emailNumber(mailaccess.EmailID(f.newID(n))); !ok || got != n {
			t.Errorf("%d became %d, %v", n, got, ok)
		}
	}
	id := f.newID(36)
	for _, s := range []string{"", "x", id[:len(id)-2], id[:8], id[:9] + "0" + id[9:], strings.ToUpper(id), id + "A", id + "-", id[:9] + strings.Repeat("z", 13), "X" + id[1:]} {
		if s == id {
			continue
		}
		if n, ok := f.emailNumber(mailaccess.EmailID(s)); ok {
			t.Errorf("%q is number %d", s, n)
		}
	}
}
