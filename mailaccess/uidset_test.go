package mailaccess

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// model is the plainest set there is.
type model map[UID]bool

func (m model) sorted() []UID { return slices.Sorted(maps.Keys(m)) }

func (m model) clone() model { return maps.Clone(m) }

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// compare checks every way to look at s against the model.
func compare(t fataler, s UIDSet, m model) {
	t.Helper()
	if msg := checkRuns(s); msg != "" {
		t.Fatalf("%s", msg)
	}
	want := m.sorted()
	if got := slices.Collect(s.All()); !slices.Equal(got, want) {
		t.Fatalf("members: got %v, want %v", got, want)
	}
	if s.Len() != len(want) || s.IsEmpty() != (len(want) == 0) {
		t.Fatalf("Len %d, IsEmpty %t; want %d members", s.Len(), s.IsEmpty(), len(want))
	}
	var lo, hi UID
	if len(want) > 0 {
		lo, hi = want[0], want[len(want)-1]
	}
	if s.Min() != lo || s.Max() != hi {
		t.Fatalf("Min %d, Max %d; want %d, %d", s.Min(), s.Max(), lo, hi)
	}
	for i, u := range want {
		if got := s.Select(i + 1); got != u {
			t.Fatalf("Select(%d): got %d, want %d", i+1, got, u)
		}
		for _, v := range []UID{u - 1, u, u + 1} {
			rank, _ := slices.BinarySearch(want, v+1)
			if v == maxUID {
				rank = len(want)
			}
			if got := s.Rank(v); got != rank {
				t.Fatalf("Rank(%d): got %d, want %d", v, got, rank)
			}
			if got := s.Contains(v); got != m[v] {
				t.Fatalf("Contains(%d): got %t, want %t", v, got, m[v])
			}
		}
	}
	if s.Select(0) != 0 || s.Select(-1) != 0 || s.Select(len(want)+1) != 0 {
		t.Fatalf("Select out of range: got %d, %d, %d", s.Select(0), s.Select(-1), s.Select(len(want)+1))
	}
	if s.Contains(0) || s.Rank(0) != 0 {
		t.Fatalf("0: Contains %t, Rank %d", s.Contains(0), s.Rank(0))
	}
}

// testSpace is the highest UID that the properties use, large enough for
// several leaves.
const testSpace = 8 * uidLeafMax

// drawRanges draws a shape of set: scattered UIDs, one comb with regular
// teeth, or some long ranges.
func drawRanges(t *rapid.T, label string) []UIDRange {
	uid := rapid.Uint32Range(1, testSpace)
	switch rapid.IntRange(0, 3).Draw(t, label+" shape") {
	case 0:
		var rs []UIDRange
		for _, u := range rapid.SliceOfN(uid, 0, 20).Draw(t, label+" UIDs") {
			rs = append(rs, UIDRange{UID(u), UID(u)})
		}
		return rs
	case 1:
		var rs []UIDRange
		for range rapid.IntRange(1, 4).Draw(t, label+" ranges") {
			a, b := uid.Draw(t, "a"), uid.Draw(t, "b")
			rs = append(rs, UIDRange{UID(min(a, b)), UID(max(a, b))})
		}
		return rs
	default:
		first := uid.Draw(t, label+" first")
		last := rapid.Uint32Range(first, testSpace).Draw(t, label+" last")
		step := rapid.Uint32Range(2, 9).Draw(t, label+" step")
		width := rapid.Uint32Range(1, step-1).Draw(t, label+" width")
		var rs []UIDRange
		for u := first; u <= last; u += step {
			rs = append(rs, UIDRange{UID(u), UID(u + width - 1)})
		}
		return rs
	}
}

func drawSet(t *rapid.T, label string) (UIDSet, model) {
	m := model{}
	var b UIDSetBuilder
	for _, r := range drawRanges(t, label) {
		b.AddRange(r.First, r.Last)
		for u := r.First; u <= r.Last; u++ {
			m[u] = true
		}
	}
	return b.Set(), m
}

// TestUIDSetModel derives sets from sets in every way and compares each with
// a map. All sets ever made are looked at again in the end: none may have
// changed.
func TestUIDSetModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type pair struct {
			s UIDSet
			m model
		}
		s, m := drawSet(t, "start")
		compare(t, s, m)
		made := []pair{{s, m}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			from := rapid.SampledFrom(made).Draw(t, "from")
			s, m := from.s, from.m.clone()
			uid := func() UID { return UID(rapid.Uint32Range(0, testSpace+2).Draw(t, "UID")) }
			switch rapid.IntRange(0, 7).Draw(t, "operation") {
			case 0:
				u := uid()
				s = s.With(u)
				if u > 0 {
					m[u] = true
				}
			case 1:
				first, last := uid(), uid()
				s = s.WithRange(first, last)
				for u := max(first, 1); u <= last; u++ {
					m[u] = true
				}
			case 2:
				u := uid()
				s = s.Without(u)
				delete(m, u)
			case 3: // as mail arrives
				u := s.Max() + UID(rapid.Uint32Range(1, 2).Draw(t, "gap"))
				s = s.With(u)
				m[u] = true
			case 4: // as mail is removed
				if s.IsEmpty() {
					continue
				}
				u := s.Select(rapid.IntRange(1, s.Len()).Draw(t, "message number"))
				s = s.Without(u)
				delete(m, u)
			case 5:
				o, om := drawSet(t, "other")
				s = s.Union(o)
				maps.Copy(m, om)
			case 6:
				o, om := drawSet(t, "other")
				s = s.Minus(o)
				maps.DeleteFunc(m, func(u UID, _ bool) bool { return om[u] })
			case 7:
				o, om := drawSet(t, "other")
				s = s.Intersect(o)
				maps.DeleteFunc(m, func(u UID, _ bool) bool { return !om[u] })
			}
			compare(t, s, m)
			made = append(made, pair{s, m})
		}
		for _, p := range made {
			compare(t, p.s, p.m)
		}
	})
}

// TestUIDSetAlgebra checks operations on two sets against each other and
// against the map, whichever of the two is the larger.
func TestUIDSetAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, am := drawSet(t, "a")
		b, bm := drawSet(t, "b")
		union, minus, both := am.clone(), am.clone(), am.clone()
		maps.Copy(union, bm)
		maps.DeleteFunc(minus, func(u UID, _ bool) bool { return bm[u] })
		maps.DeleteFunc(both, func(u UID, _ bool) bool { return !bm[u] })
		compare(t, a.Union(b), union)
		compare(t, b.Union(a), union)
		compare(t, a.Minus(b), minus)
		compare(t, a.Intersect(b), both)
		compare(t, b.Intersect(a), both)
		compare(t, a, am)
		compare(t, b, bm)
		compare(t, a.Union(a), am)
		compare(t, a.Intersect(a), am)
		compare(t, a.Minus(a), model{})

		again := a.Minus(b).Union(a.Intersect(b))
		if !again.Equal(a) || !a.Equal(again) {
			t.Fatalf("Equal: %v and %v are the same", again, a)
		}
		if got, want := a.Equal(b), maps.Equal(am, bm); got != want {
			t.Fatalf("Equal(%v, %v): got %t", a, b, got)
		}
		if !a.IsEmpty() {
			// Same length, same ends, one member moved.
			u := UID(rapid.Uint32Range(2, testSpace).Draw(t, "moved"))
			if moved := a.Without(u).With(u - 1); moved.Len() == a.Len() && moved.Equal(a) != maps.Equal(asModel(moved), am) {
				t.Fatalf("Equal(%v, %v): got %t", moved, a, moved.Equal(a))
			}
		}
	})
}

func asModel(s UIDSet) model {
	m := model{}
	for u := range s.All() {
		m[u] = true
	}
	return m
}

// TestUIDSetRanges checks that ranges cover the set, are as few as possible,
// and begin where they are told to.
func TestUIDSetRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := drawSet(t, "set")
		from := UID(rapid.Uint32Range(0, testSpace+2).Draw(t, "from"))
		var got []UID
		var last UID
		for r := range s.RangesFrom(from) {
			if r.First > r.Last || last > 0 && r.First <= last+1 {
				t.Fatalf("range %v after %d", r, last)
			}
			for u := r.First; u <= r.Last; u++ {
				got = append(got, u)
			}
			last = r.Last
		}
		want := slices.DeleteFunc(m.sorted(), func(u UID) bool { return u < from })
		if !slices.Equal(got, want) {
			t.Fatalf("RangesFrom(%d): got %v, want %v", from, got, want)
		}
		if got := slices.Collect(s.From(from)); !slices.Equal(got, want) {
			t.Fatalf("From(%d): got %v, want %v", from, got, want)
		}
		var b UIDSetBuilder
		for r := range s.Ranges() {
			b.AddRange(r.First, r.Last)
		}
		if !b.Set().Equal(s) {
			t.Fatalf("Ranges do not make up the set: %v, %v", b.Set(), s)
		}
	})
}

// TestUIDSetBuilder adds UIDs and ranges in any order, and takes sets in
// between, which must stay what they were.
func TestUIDSetBuilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b UIDSetBuilder
		m := model{}
		type pair struct {
			s UIDSet
			m model
		}
		var made []pair
		for range rapid.IntRange(1, 4).Draw(t, "parts") {
			rs := drawRanges(t, "part")
			switch rapid.IntRange(0, 2).Draw(t, "order") {
			case 1:
				slices.Reverse(rs)
			case 2:
				rs = rapid.Permutation(rs).Draw(t, "permutation")
			}
			for _, r := range rs {
				if r.First == r.Last {
					b.AddUID(r.First)
				} else {
					b.AddRange(r.First, r.Last)
				}
				for u := r.First; u <= r.Last; u++ {
					m[u] = true
				}
			}
			made = append(made, pair{b.Set(), m.clone()})
		}
		for _, p := range made {
			compare(t, p.s, p.m)
		}
	})
}

func TestUIDSetString(t *testing.T) {
	tests := []struct {
		set  UIDSet
		want string
	}{
		{UIDSet{}, ""},
		{UIDSetOf(), ""},
		{UIDSetOf(0), ""},
		{UIDSetOf(7), "7"},
		{UIDSetOf(5, 3, 1, 2, 3), "1:3,5"},
		{UIDSetRange(1, 100000), "1:100000"},
		{UIDSetRange(0, 2), "1:2"},
		{UIDSetRange(0, 0), ""},
		{UIDSetRange(9, 8), ""},
		{UIDSetRange(1, maxUID), "1:4294967295"},
		{UIDSetRange(1, maxUID).Without(1).Without(maxUID), "2:4294967294"},
		{UIDSetRange(1, maxUID).Minus(UIDSetOf(5, maxUID)), "1:4,6:4294967294"},
		{UIDSetRange(1, 4).Union(UIDSetOf(maxUID)), "1:4,4294967295"},
		{UIDSetOf(maxUID).Union(UIDSetOf(1, 3, maxUID)), "1,3,4294967295"},
		{UIDSetOf(maxUID).With(maxUID - 1), "4294967294:4294967295"},
		{UIDSetOf(maxUID - 1).With(maxUID), "4294967294:4294967295"},
		{UIDSetOf(maxUID).WithRange(1, maxUID), "1:4294967295"},
		{UIDSetOf(2, maxUID).Intersect(UIDSetRange(3, maxUID)), "4294967295"},
		{UIDSetOf(maxUID, 1, maxUID), "1,4294967295"},
	}
	for _, tt := range tests {
		if got := tt.set.String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if msg := checkRuns(tt.set); msg != "" {
			t.Errorf("%q: %s", tt.want, msg)
		}
	}
}

// TestUIDSetWholeSpace looks at the ends of the UID space, where UIDs
// overflow.
func TestUIDSetWholeSpace(t *testing.T) {
	s := UIDSetRange(1, maxUID).Without(10)
	if got := s.Rank(maxUID); got != int(maxUID)-1 {
		t.Errorf("Rank: got %d", got)
	}
	if got := s.Select(int(maxUID) - 1); got != maxUID {
		t.Errorf("Select: got %d", got)
	}
	if got := slices.Collect(s.From(maxUID - 2)); !slices.Equal(got, []UID{maxUID - 2, maxUID - 1, maxUID}) {
		t.Errorf("From: got %v", got)
	}
}

func TestUIDSetEqual(t *testing.T) {
	sets := []UIDSet{
		{},
		UIDSetOf(1),
		UIDSetOf(2),
		UIDSetOf(1, 2, 4, 9),
		UIDSetOf(1, 4, 5, 9),
		UIDSetOf(1, 3, 4, 9),
		UIDSetOf(1, 4, 9),
		comb(2 * uidLeafMax),
		comb(2 * uidLeafMax).Without(5).With(6),
		comb(2 * uidLeafMax).Without(2*uidLeafMax + 1).With(2),
	}
	for i, a := range sets {
		for j, b := range sets {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("sets %d and %d: got %t", i, j, got)
			}
		}
		var b UIDSetBuilder
		for u := range a.All() {
			b.AddUID(u)
		}
		if !b.Set().Equal(a) {
			t.Errorf("set %d does not equal its copy", i)
		}
	}
}

// TestUIDSetConcurrent lets goroutines read and derive from one set; the race
// detector watches.
func TestUIDSetConcurrent(t *testing.T) {
	s := comb(4 * uidLeafMax)
	want := s.String()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 5))
			mine := s
			for range 200 {
				u := UID(1 + rng.IntN(int(s.Max())))
				switch rng.IntN(5) {
				case 0:
					mine = mine.With(mine.Max() + 1)
				case 1:
					mine = mine.Without(u)
				case 2:
					mine = mine.Minus(UIDSetOf(u, u+4, u+10))
				case 3:
					mine = mine.Union(s)
				case 4:
					if n := s.Rank(u); n > 0 && s.Select(n) > u {
						t.Errorf("Select(Rank(%d)) is %d", u, s.Select(n))
					}
				}
			}
			if msg := checkRuns(mine); msg != "" {
				t.Error(msg)
			}
		})
	}
	wg.Wait()
	if s.String() != want {
		t.Error("the shared set changed")
	}
}

// TestUIDSetIterationStops breaks out of every iterator.
func TestUIDSetIterationStops(t *testing.T) {
	s := UIDSetOf(1, 2, 3, 5, 9)
	take := func(seq iter.Seq[UID], n int) (got []UID) {
		for u := range seq {
			if got = append(got, u); len(got) == n {
				break
			}
		}
		return got
	}
	if got := take(s.From(2), 2); !slices.Equal(got, []UID{2, 3}) {
		t.Errorf("From: got %v", got)
	}
	for r := range s.RangesFrom(2) {
		if r != (UIDRange{2, 3}) {
			t.Errorf("RangesFrom: got %v", r)
		}
		break
	}
}

func ExampleUIDSet() {
	uids := UIDSetRange(100, 104).Without(102)
	fmt.Println(uids, uids.Len())
	fmt.Println(uids.Rank(103), uids.Select(3)) // message number 3 has UID 103
	fmt.Println(uids.With(105).Minus(UIDSetOf(100, 101)))
	fmt.Println(uids)
	// Output:
	// 100:101,103:104 4
	// 3 103
	// 103:105
	// 100:101,103:104
}
