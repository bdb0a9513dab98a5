package imapwire

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		in   string
		star uint32
		want []NumRange
	}{
		{"2,4:7,9,12:*", 15, []NumRange{{2, 2}, {4, 7}, {9, 9}, {12, 15}}},
		{"*:4,5:7", 10, []NumRange{{4, 10}}},
		{"4:2", 9, []NumRange{{2, 4}}},
		{"3291:*", 7, []NumRange{{7, 3291}}}, // RFC 3501, seq-range: includes the last message
		{"*", 7, []NumRange{{7, 7}}},
		{"*,*:*", 0, nil},
		{"1:*", 0, []NumRange{{1, 1}}},
		{"1,2,3", 9, []NumRange{{1, 3}}},
		{"4294967295,4294967294,1", 9, []NumRange{{1, 1}, {4294967294, 4294967295}}},
		{"1:4294967295,4294967295,*", 9, []NumRange{{1, 4294967295}}},
	} {
		var s NumSet
		if err := NewReader(strings.NewReader(tt.in+"\r\n"), nil).ReadNumSet(&s); err != nil {
			t.Fatal(err)
		}
		if got := s.Resolve(tt.star); !slices.Equal(got, tt.want) {
			t.Errorf("%s, * = %d: got %v, want %v", tt.in, tt.star, got, tt.want)
		}
	}
}

func TestNumSetStarAndMax(t *testing.T) {
	for in, want := range map[string]struct {
		star bool
		most uint32
	}{
		"1,7:3": {false, 7}, "*": {true, 0}, "9:*,2": {true, 9}, "*:9": {true, 9}, "$": {false, 0},
	} {
		var s NumSet
		if err := NewReader(strings.NewReader(in+"\r\n"), nil).ReadNumSet(&s); err != nil {
			t.Fatal(err)
		}
		if s.Star() != want.star || s.Max() != want.most {
			t.Errorf("%s: star %v, most %d", in, s.Star(), s.Max())
		}
	}
}

// What AppendNumSet writes of any numbers reads back as the same numbers in
// the same order; resolved, as the same numbers each once.
func TestNumSetRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Uint32Range(1, 30), rapid.Uint32Range(1<<32-5, 1<<32-1))
		numbers := rapid.SliceOfN(number, 1, 40).Draw(t, "numbers")
		wire := AppendNumSet(nil, slices.Values(numbers))
		var s NumSet
		r := NewReader(strings.NewReader(string(wire)+"\r\n"), nil)
		if err := r.ReadNumSet(&s); err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if err := r.CRLF(); err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if got := expand(s.Ranges); !slices.Equal(got, numbers) {
			t.Fatalf("%q: got %v, want %v", wire, got, numbers)
		}
		var again []byte
		again = AppendRanges(again, func(yield func(a, b uint32) bool) {
			for _, n := range s.Ranges {
				if !yield(n.First, n.Last) {
					return
				}
			}
		})
		if string(again) != string(wire) {
			t.Fatalf("AppendRanges %q, AppendNumSet %q", again, wire)
		}

		want := slices.Sorted(maps.Keys(setOf(numbers)))
		resolved := s.Resolve(1)
		if got := expand(resolved); !slices.Equal(got, want) {
			t.Fatalf("resolved %v, want %v", got, want)
		}
		for i := 1; i < len(resolved); i++ {
			if resolved[i-1].Last+1 >= resolved[i].First {
				t.Fatalf("ranges touch: %v", resolved)
			}
		}
	})
}

func expand(ranges []NumRange) []uint32 {
	var out []uint32
	for _, n := range ranges {
		for i := uint64(n.First); i <= uint64(n.Last); i++ {
			out = append(out, uint32(i))
		}
	}
	return out
}

func setOf(numbers []uint32) map[uint32]bool {
	m := make(map[uint32]bool)
	for _, n := range numbers {
		m[n] = true
	}
	return m
}
