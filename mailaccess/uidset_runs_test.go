package mailaccess

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// checkRuns reports what is wrong with how s is kept, or "".
func checkRuns(s UIDSet) string {
	if s.r == nil {
		return ""
	}
	var n uint32
	var last UID
	for i, leaf := range s.r.leaves {
		switch {
		case len(leaf.runs) == 0 || len(leaf.runs) > uidLeafMax:
			return fmt.Sprintf("leaf %d has %d runs", i, len(leaf.runs))
		case len(leaf.runs) < uidLeafMin && i+1 < len(s.r.leaves):
			return fmt.Sprintf("leaf %d of %d has only %d runs", i, len(s.r.leaves), len(leaf.runs))
		case leaf.before != n:
			return fmt.Sprintf("leaf %d: %d members before it, stated as %d", i, n, leaf.before)
		case leaf.first != leaf.runs[0].first:
			return fmt.Sprintf("leaf %d begins at %d, stated as %d", i, leaf.runs[0].first, leaf.first)
		}
		for j, run := range leaf.runs {
			r := s.r.run(i, j)
			switch {
			case run.before != n-leaf.before:
				return fmt.Sprintf("leaf %d, run %d: %d members before it, stated as %d", i, j, n-leaf.before, run.before)
			case r.First > r.Last:
				return fmt.Sprintf("leaf %d, run %d is %v", i, j, r)
			case n > 0 && r.First <= last+1:
				return fmt.Sprintf("leaf %d, run %d is %v, after %d", i, j, r, last)
			}
			n += uint32(r.Last-r.First) + 1
			last = r.Last
		}
	}
	if n != s.r.n || last != s.r.last {
		return fmt.Sprintf("%d members up to %d, stated as %d up to %d", n, last, s.r.n, s.r.last)
	}
	return ""
}

// TestUIDSetBuilderRandomOrder adds more UIDs out of order than the builder
// collects before it merges them.
func TestUIDSetBuilderRandomOrder(t *testing.T) {
	const n = 5 * uidLateMin
	rng := rand.New(rand.NewPCG(1, 2))
	var b UIDSetBuilder
	for _, i := range rng.Perm(n) {
		b.AddUID(UID(3*i + 1))
		b.AddUID(UID(3*i + 2))
		if len(b.late) > 2*n/3 {
			t.Fatalf("%d ranges wait to be merged", len(b.late))
		}
	}
	s := b.Set()
	if msg := checkRuns(s); msg != "" {
		t.Fatal(msg)
	}
	if s.Len() != 2*n || s.Max() != 3*(n-1)+2 {
		t.Fatalf("got %d members up to %d", s.Len(), s.Max())
	}
	for i := 1; i <= 2*n; i++ {
		if u := UID(3*((i-1)/2) + 1 + (i-1)%2); s.Select(i) != u {
			t.Fatalf("Select(%d): got %d, want %d", i, s.Select(i), u)
		}
	}
}

// TestUIDSetBuilderGoesOn takes a set every few runs while the builder goes
// on: no set may change afterwards.
func TestUIDSetBuilderGoesOn(t *testing.T) {
	const runs = 5 * uidLeafMax
	var b UIDSetBuilder
	var made []UIDSet
	for i := range runs {
		b.AddUID(UID(2*i + 1))
		if i%37 == 0 {
			made = append(made, b.Set())
		}
	}
	for i, s := range append(made, b.Set()) {
		want := min(i*37+1, runs)
		if msg := checkRuns(s); msg != "" || s.Len() != want || s.Max() != UID(2*want-1) {
			t.Fatalf("set of %d: got %d members up to %d: %s", want, s.Len(), s.Max(), msg)
		}
	}
}

// TestUIDSetBuilderAfterMerge does the same after the builder has merged what
// came out of order, and stands behind leaves that are not full.
func TestUIDSetBuilderAfterMerge(t *testing.T) {
	const runs = uidLateMin + 300
	var b UIDSetBuilder
	for i := range 300 {
		b.AddUID(UID(2 * (uidLateMin + i + 1)))
	}
	for i := range uidLateMin {
		b.AddUID(UID(2 * (uidLateMin - i)))
	}
	if len(b.late) != 0 {
		t.Fatalf("%d ranges not merged", len(b.late))
	}
	var made []UIDSet
	for i := range 10 {
		b.AddUID(UID(2 * (runs + i + 1)))
		made = append(made, b.Set())
	}
	for i, s := range made {
		if msg := checkRuns(s); msg != "" || s.Len() != runs+i+1 || s.Max() != UID(2*s.Len()) {
			t.Fatalf("set of %d: got %d members up to %d: %s", runs+i+1, s.Len(), s.Max(), msg)
		}
	}
}

// TestUIDSetLeafEdges changes sets where one leaf ends and the next begins.
func TestUIDSetLeafEdges(t *testing.T) {
	s := comb(4 * uidLeafMax)
	m := asModel(s)
	for i := 1; i < len(s.r.leaves); i++ {
		edge := s.r.leaves[i].first
		for first := edge - 3; first <= edge+2; first++ {
			for last := first; last <= edge+2; last++ {
				with, without := m.clone(), m.clone()
				for u := first; u <= last; u++ {
					with[u] = true
					delete(without, u)
				}
				compare(t, s.WithRange(first, last), with)
				compare(t, s.Minus(UIDSetRange(first, last)), without)
			}
		}
	}
}

// TestUIDSetLeavesFill grows and thins a set one UID at a time: leaves may
// neither stay small nor grow without bound.
func TestUIDSetLeavesFill(t *testing.T) {
	var s UIDSet
	const runs = 6 * uidLeafMax
	for u := UID(1); u < 2*runs; u += 2 {
		s = s.With(u)
	}
	if msg := checkRuns(s); msg != "" {
		t.Fatal(msg)
	}
	if got, want := len(s.r.leaves), 7; got > want {
		t.Errorf("%d runs appended one by one: %d leaves, want at most %d", runs, got, want)
	}
	s = comb(uidLeafMax).With(3 * uidLeafMax) // the last leaf has one run
	s = s.Union(comb(3 * uidLeafMax).Minus(UIDSetRange(1, 4*uidLeafMax)))
	if msg := checkRuns(s); msg != "" {
		t.Fatal(msg)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for s.Len() > 3 {
		s = s.Without(s.Select(1 + rng.IntN(s.Len())))
		if msg := checkRuns(s); msg != "" {
			t.Fatal(msg)
		}
	}
	if got := len(s.r.leaves); got != 1 {
		t.Errorf("%v: %d leaves, want 1", s, got)
	}
}

// TestUIDSetShares checks that what does not change is neither copied nor
// replaced.
func TestUIDSetShares(t *testing.T) {
	s := comb(100 * uidLeafMax)
	same := map[string]UIDSet{
		"With a member":        s.With(3),
		"With 0":               s.With(0),
		"WithRange of nothing": s.WithRange(9, 8),
		"Without a stranger":   s.Without(4),
		"Union of a part":      s.Union(UIDSetOf(3, 9)),
		"Union into a part":    UIDSetOf(3, 9).Union(s),
		"Minus of strangers":   s.Minus(UIDSetOf(4, 10)),
		"Intersect the whole":  s.Intersect(UIDSetRange(1, maxUID)),
	}
	for name, o := range same {
		if o != s {
			t.Errorf("%s: made another set", name)
		}
	}
	o := s.Without(s.Select(s.Len() / 2))
	shared := 0
	for i := range s.r.leaves {
		if slices.ContainsFunc(o.r.leaves, func(l uidLeaf) bool { return &l.runs[0] == &s.r.leaves[i].runs[0] }) {
			shared++
		}
	}
	if shared != len(s.r.leaves)-1 {
		t.Errorf("Without one: %d leaves of %d shared", shared, len(s.r.leaves))
	}
	if o = s.With(s.Max() + 1); &o.r.leaves[0] != &s.r.leaves[0] {
		t.Errorf("With the next UID: copied the index")
	}
}

// TestUIDSetAllocations guards what must not allocate.
func TestUIDSetAllocations(t *testing.T) {
	s := comb(10 * uidLeafMax)
	sum := UID(0)
	tests := []struct {
		name string
		max  float64
		f    func()
	}{
		{"lookup", 0, func() { sum += UID(s.Rank(999)) + s.Select(999) }},
		{"iteration", 0, func() {
			for u := range s.All() {
				sum += u
			}
		}},
		{"ranges", 0, func() {
			for r := range s.Ranges() {
				sum += r.Last
			}
		}},
		{"append", 1, func() { sum += s.With(s.Max() + 1).Max() }},
		{"remove", 5, func() { sum += s.Without(2001).Max() }},
	}
	for _, tt := range tests {
		if got := testing.AllocsPerRun(10, tt.f); got > tt.max {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.max)
		}
	}
	_ = sum
}

// Two states of one large set differ by what was added and removed between them,
// also where they share leaves.
func TestUIDSetMinusOfStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := comb(rapid.IntRange(1, 3000).Draw(t, "runs"))
		after := before
		changes := rapid.SliceOfN(rapid.IntRange(1, int(before.Max())+5), 0, 8).Draw(t, "changes")
		for _, c := range changes {
			if u := UID(c); after.Contains(u) {
				after = after.Without(u)
			} else {
				after = after.With(u)
			}
		}
		var gone, come UIDSetBuilder
		for _, c := range changes {
			switch u := UID(c); {
			case before.Contains(u) && !after.Contains(u):
				gone.AddUID(u)
			case after.Contains(u) && !before.Contains(u):
				come.AddUID(u)
			}
		}
		if got := before.Minus(after); !got.Equal(gone.Set()) {
			t.Fatalf("gone: %s, want %s", got, gone.Set())
		}
		if got := after.Minus(before); !got.Equal(come.Set()) {
			t.Fatalf("come: %s, want %s", got, come.Set())
		}
	})
}

// comb returns the set of the first n odd UIDs: the worst there is.
func comb(n int) UIDSet {
	var b UIDSetBuilder
	for i := range n {
		b.AddUID(UID(2*i + 1))
	}
	return b.Set()
}

func BenchmarkUIDSet(b *testing.B) {
	shapes := []struct {
		name string
		set  UIDSet
	}{
		{"range100k", UIDSetRange(1, 100_000)},
		{"comb500k", comb(500_000)}, // every second of 1,000,000
	}
	for _, shape := range shapes {
		s := shape.set
		mid := s.Select(s.Len() / 2)
		run := func(name string, f func(b *testing.B)) {
			b.Run(strings.Join([]string{name, shape.name}, "/"), func(b *testing.B) {
				b.ReportAllocs()
				f(b)
			})
		}
		run("Append", func(b *testing.B) {
			t := s
			for b.Loop() {
				t = t.With(t.Max() + 1)
			}
		})
		run("AppendGap", func(b *testing.B) {
			t := s
			for b.Loop() {
				t = t.With(t.Max() + 2)
			}
		})
		run("RemoveMiddle", func(b *testing.B) {
			for b.Loop() {
				s.Without(mid)
			}
		})
		three := UIDSetOf(s.Select(s.Len()/4), mid, s.Max())
		run("MinusThree", func(b *testing.B) {
			for b.Loop() {
				s.Minus(three)
			}
		})
		next := s.Without(mid)
		run("MinusNext", func(b *testing.B) {
			for b.Loop() {
				s.Minus(next)
			}
		})
		half := s.Minus(UIDSetRange(mid, maxUID)).Minus(three)
		run("MinusHalf", func(b *testing.B) {
			for b.Loop() {
				s.Minus(half)
			}
		})
		run("UnionHalf", func(b *testing.B) {
			for b.Loop() {
				s.Without(1).Union(half)
			}
		})
		run("Rank", func(b *testing.B) {
			u := UID(0)
			for b.Loop() {
				u = (u + 7919) % s.Max()
				s.Rank(u)
			}
		})
		run("Select", func(b *testing.B) {
			i := 0
			for b.Loop() {
				i = (i + 7919) % s.Len()
				s.Select(i + 1)
			}
		})
		run("Iterate", func(b *testing.B) {
			for b.Loop() {
				for range s.All() {
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(s.Len()), "ns/member")
		})
		run("Build", func(b *testing.B) {
			for b.Loop() {
				var build UIDSetBuilder
				for u := range s.All() {
					build.AddUID(u)
				}
				build.Set()
			}
		})
	}
}
