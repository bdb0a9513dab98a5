package imapwire

import (
	"cmp"
	"slices"
)

// A NumRange is a range of message numbers or UIDs as a client writes it. 0
// stands for "*". First may be larger than Last (RFC 3501, section 9,
// seq-range: "2:4 and 4:2 are equivalent"). A single number has First and Last
// alike.
type NumRange struct{ First, Last uint32 }

// A NumSet is a sequence-set as a client writes it: nothing is merged or put
// in order. It can be used again for the next command, which saves allocating.
type NumSet struct {
	Ranges []NumRange

	// Saved says that the set is "$", the result of the last SEARCH that was
	// saved (RFC 5182, section 2.1; RFC 9051, section 6.4.4.1). Ranges is
	// empty then.
	Saved bool
}

// Star reports whether "*" occurs in the set.
func (s *NumSet) Star() bool {
	return slices.ContainsFunc(s.Ranges, func(n NumRange) bool { return n.First == 0 || n.Last == 0 })
}

// Max returns the largest number in the set, "*" not considered.
func (s *NumSet) Max() uint32 {
	var most uint32
	for _, n := range s.Ranges {
		most = max(most, n.First, n.Last)
	}
	return most
}

// Resolve puts star in the place of "*" and brings the ranges in ascending
// order, disjoint, not adjacent, First <= Last, in place. star is the largest
// number or UID in use; if it is 0, as in an empty mailbox, "*" alone stands
// for nothing. It returns s.Ranges.
func (s *NumSet) Resolve(star uint32) []NumRange {
	out := s.Ranges[:0]
	for _, n := range s.Ranges {
		if n.First == 0 {
			n.First = star
		}
		if n.Last == 0 {
			n.Last = star
		}
		n.First, n.Last = min(n.First, n.Last), max(n.First, n.Last)
		if n.Last > 0 {
			n.First = max(n.First, 1)
			out = append(out, n)
		}
	}
	byFirst := func(a, b NumRange) int { return cmp.Compare(a.First, b.First) }
	if !slices.IsSortedFunc(out, byFirst) {
		slices.SortFunc(out, byFirst)
	}
	s.Ranges = merge(out)
	return s.Ranges
}

// merge joins ranges that overlap or touch; they are in order of First.
func merge(in []NumRange) []NumRange {
	out := in[:0]
	for _, n := range in {
		if k := len(out) - 1; k >= 0 && uint64(n.First) <= uint64(out[k].Last)+1 {
			out[k].Last = max(out[k].Last, n.Last)
			continue
		}
		out = append(out, n)
	}
	return out
}

// ReadNumSet reads a sequence-set into set, which loses what it held (RFC
// 3501, section 9). After an error set holds nothing of use.
func (r *Reader) ReadNumSet(set *NumSet) error {
	set.Ranges, set.Saved = set.Ranges[:0], false
	ok, err := r.Accept('$')
	if ok || err != nil {
		set.Saved = ok
		return err
	}
	for {
		first, err := r.seqNumber()
		if err != nil {
			return err
		}
		last := first
		ok, err := r.Accept(':')
		if ok {
			last, err = r.seqNumber()
		}
		if err != nil {
			return err
		}
		if len(set.Ranges) == r.limits.SetElements {
			return &LimitError{Kind: LimitSetElements, Max: int64(r.limits.SetElements)}
		}
		set.Ranges = append(set.Ranges, NumRange{first, last})
		if ok, err = r.Accept(','); !ok || err != nil {
			return err
		}
	}
}

// seqNumber reads a nz-number or "*", for which it returns 0.
func (r *Reader) seqNumber() (uint32, error) {
	if ok, err := r.Accept('*'); ok || err != nil {
		return 0, err
	}
	return r.ReadNZNumber()
}
