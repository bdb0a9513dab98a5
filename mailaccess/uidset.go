package mailaccess

import (
	"iter"
	"math"
	"slices"
	"strconv"
)

// UID identifies a message within a mailbox for as long as the mailbox keeps
// its UIDVALIDITY. UIDs are assigned in strictly ascending order and never
// used again; 0 is never a UID (RFC 9051, section 2.3.1.1).
type UID uint32

const maxUID = UID(math.MaxUint32)

// UIDRange is the UIDs from First to Last, both included.
type UIDRange struct {
	First, Last UID
}

// UIDSet is an immutable set of UIDs. The zero value is the empty set.
//
// A UIDSet is one pointer wide, is passed by value, and may be used by any
// number of goroutines at once. A set derived from another shares all that
// did not change with it, so that many sessions can each hold their own state
// of one large mailbox for little more than the price of one.
//
// The set is kept as its runs: 8 bytes for each run of consecutive UIDs,
// however long, plus some 70 bytes. Looking up a UID, its rank, or the member
// of a rank takes logarithmic time. Deriving a set copies the neighbourhood
// of what changes (some kilobytes at most) and an index of 32 bytes per few
// hundred runs; extending the last run, as new mail does, copies nothing.
//
// Compare sets with [UIDSet.Equal]; == only tells whether two sets share
// their memory.
type UIDSet struct {
	r *uidRuns // nil for the empty set
}

// UIDSetOf returns the set of the UIDs given, in any order. Zeros are left out.
func UIDSetOf(uids ...UID) UIDSet {
	var b UIDSetBuilder
	for _, u := range uids {
		b.AddUID(u)
	}
	return b.Set()
}

// UIDSetRange returns the set of all UIDs from first to last, both included.
// It is empty if first is above last. A first of 0 means 1.
func UIDSetRange(first, last UID) UIDSet {
	return UIDSet{}.WithRange(first, last)
}

// Len returns the number of members.
func (s UIDSet) Len() int {
	if s.r == nil {
		return 0
	}
	return int(s.r.n)
}

// IsEmpty reports whether the set has no members.
func (s UIDSet) IsEmpty() bool { return s.r == nil }

// Min returns the lowest member, or 0 if the set is empty.
func (s UIDSet) Min() UID {
	if s.r == nil {
		return 0
	}
	return s.r.leaves[0].first
}

// Max returns the highest member, or 0 if the set is empty.
func (s UIDSet) Max() UID {
	if s.r == nil {
		return 0
	}
	return s.r.last
}

// Contains reports whether u is a member.
func (s UIDSet) Contains(u UID) bool {
	if s.r == nil {
		return false
	}
	i, j := s.r.find(u)
	return i >= 0 && u <= s.r.run(i, j).Last
}

// Rank returns the number of members that are at or below u. For a member
// that is its message number, counted from 1; for any other UID it is the
// number of members below it, hence the message number of the nearest member
// below (0 if there is none).
func (s UIDSet) Rank(u UID) int {
	if s.r == nil {
		return 0
	}
	i, j := s.r.find(u)
	if i < 0 {
		return 0
	}
	run := s.r.run(i, j)
	leaf := &s.r.leaves[i]
	below := leaf.before + leaf.runs[j].before
	return int(below + uint32(min(u, run.Last)-run.First) + 1)
}

// Select returns the i-th lowest member, counted from 1: the UID of message
// number i. It returns 0 if i is below 1 or above Len. For every member u,
// Select(Rank(u)) is u.
func (s UIDSet) Select(i int) UID {
	if i < 1 || i > s.Len() {
		return 0
	}
	return s.r.at(uint32(i - 1))
}

// All iterates over the members in ascending order.
func (s UIDSet) All() iter.Seq[UID] { return s.From(1) }

// From iterates, in ascending order, over the members that are at or above u.
func (s UIDSet) From(u UID) iter.Seq[UID] {
	return func(yield func(UID) bool) {
		for c := s.cursor(u); !c.done(); c.advance() {
			run := c.run()
			for v := max(run.First, u); ; v++ {
				if !yield(v) {
					return
				}
				if v == run.Last {
					break
				}
			}
		}
	}
}

// Ranges iterates over the set as the fewest possible ranges, in ascending
// order.
func (s UIDSet) Ranges() iter.Seq[UIDRange] { return s.RangesFrom(1) }

// RangesFrom iterates over the members at or above u as the fewest possible
// ranges, in ascending order. A range that u lies within is cut to begin at u.
func (s UIDSet) RangesFrom(u UID) iter.Seq[UIDRange] {
	return func(yield func(UIDRange) bool) {
		for c := s.cursor(u); !c.done(); c.advance() {
			run := c.run()
			run.First = max(run.First, u)
			if !yield(run) {
				return
			}
		}
	}
}

// cursor returns a cursor on the first run that has a member at or above u.
func (s UIDSet) cursor(u UID) uidCursor {
	c := uidCursor{r: s.r}
	c.seek(u)
	return c
}

// With returns the set with u added. Adding 0 adds nothing.
func (s UIDSet) With(u UID) UIDSet {
	if u == 0 {
		return s
	}
	return s.WithRange(u, u)
}

// WithRange returns the set with all UIDs from first to last added, both
// included. It adds nothing if first is above last. A first of 0 means 1.
func (s UIDSet) WithRange(first, last UID) UIDSet {
	first = max(first, 1)
	if first > last {
		return s
	}
	if s.r == nil {
		return UIDSet{&uidRuns{
			leaves: []uidLeaf{{first: first, runs: []uidRun{{first: first}}}},
			n:      uint32(last-first) + 1,
			last:   last,
		}}
	}
	if i, j := s.r.find(first); i >= 0 {
		run := s.r.run(i, j)
		switch {
		case last <= run.Last:
			return s
		case run.Last == s.r.last && first <= run.Last+1:
			// The last run grows. Its end is not stored, so that the new set
			// differs from the old one in two numbers only.
			return UIDSet{&uidRuns{s.r.leaves, s.r.n + uint32(last-run.Last), last}}
		}
	}
	w := newUIDWriter(s.r)
	c := uidCursor{r: s.r}
	w.copy(&c, 1, first-1)
	w.add(first, last)
	if last < maxUID {
		w.copy(&c, last+1, maxUID)
	}
	return w.finish()
}

// Without returns the set with u removed. To remove several UIDs use
// [UIDSet.Minus], which does it in one step.
func (s UIDSet) Without(u UID) UIDSet {
	if !s.Contains(u) {
		return s
	}
	w := newUIDWriter(s.r)
	c := uidCursor{r: s.r}
	w.copy(&c, 1, u-1)
	if u < maxUID {
		w.copy(&c, u+1, maxUID)
	}
	return w.finish()
}

// Union returns the set of the UIDs that are members of s, of o or of both.
// The work grows with the number of runs of whichever has fewer.
func (s UIDSet) Union(o UIDSet) UIDSet {
	switch {
	case s.r == o.r || o.r == nil:
		return s
	case s.r == nil:
		return o
	}
	big, small := s, o
	if small.r.runCount() > big.r.runCount() {
		big, small = small, big
	}
	w := newUIDWriter(big.r)
	c := uidCursor{r: big.r}
	from := UID(1) // 0 once the highest UID there is has been added
	for d := small.cursor(1); !d.done(); d.advance() {
		run := d.run()
		w.copy(&c, from, run.First-1)
		w.add(run.First, run.Last)
		from = run.Last + 1
	}
	if from != 0 {
		w.copy(&c, from, maxUID)
	}
	if w.n == big.r.n {
		return big // nothing new: keep sharing
	}
	return w.finish()
}

// Minus returns the set of the members of s that are not members of o. The
// work grows with the number of runs of whichever has fewer; what both share in
// memory is not looked at, so that the difference between two states of a mailbox
// costs what changed.
func (s UIDSet) Minus(o UIDSet) UIDSet {
	switch {
	case s.r == o.r:
		return UIDSet{}
	case s.r == nil || o.r == nil || s.Max() < o.Min() || o.Max() < s.Min():
		return s
	}
	w := newUIDWriter(s.r)
	c, d := uidCursor{r: s.r}, uidCursor{r: o.r}
	for from := UID(1); ; {
		c.seek(from)
		if c.done() {
			break
		}
		from = max(from, c.run().First)
		d.seek(from)
		if d.done() {
			w.copy(&c, from, maxUID)
			break
		}
		if c.j == 0 && d.j == 0 && from == c.run().First && c.r.sameLeaf(c.i, d.r, d.i) {
			last := c.r.leafLast(c.i)
			if last == maxUID {
				break
			}
			from = last + 1
			continue
		}
		run := d.run()
		w.copy(&c, from, run.First-1)
		if run.Last == maxUID {
			break
		}
		from = run.Last + 1
	}
	if w.n == s.r.n {
		return s // nothing removed: keep sharing
	}
	return w.finish()
}

// Intersect returns the set of the UIDs that are members of both s and o. The
// work grows with the number of runs of whichever has fewer.
func (s UIDSet) Intersect(o UIDSet) UIDSet {
	switch {
	case s.r == o.r:
		return s
	case s.r == nil || o.r == nil:
		return UIDSet{}
	}
	big, small := s, o
	if small.r.runCount() > big.r.runCount() {
		big, small = small, big
	}
	var w uidWriter
	c, d := uidCursor{r: big.r}, uidCursor{r: small.r}
	for !d.done() {
		run := d.run()
		w.copy(&c, run.First, run.Last)
		if c.done() {
			break
		}
		d.advance()
		d.seek(c.run().First)
	}
	switch w.n {
	case big.r.n:
		return big
	case small.r.n:
		return small
	}
	return w.finish()
}

// Equal reports whether both sets have the same members. What they share is
// not looked at.
func (s UIDSet) Equal(o UIDSet) bool {
	if s.r == o.r {
		return true
	}
	if s.Len() != o.Len() || s.Min() != o.Min() || s.Max() != o.Max() {
		return false
	}
	c, d := uidCursor{r: s.r}, uidCursor{r: o.r}
	for !c.done() && !d.done() {
		if c.j == 0 && d.j == 0 && c.r.sameLeaf(c.i, d.r, d.i) {
			c.i++
			d.i++
			continue
		}
		if c.run() != d.run() {
			return false
		}
		c.advance()
		d.advance()
	}
	return c.done() && d.done()
}

// String returns the set in the form of an IMAP sequence set, such as
// "1:3,5"; the empty set is "". It is meant for logs and tests: its length
// grows with the number of ranges.
func (s UIDSet) String() string {
	var b []byte
	for r := range s.Ranges() {
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(r.First), 10)
		if r.Last > r.First {
			b = append(b, ':')
			b = strconv.AppendUint(b, uint64(r.Last), 10)
		}
	}
	return string(b)
}

// UIDSetBuilder collects UIDs into a set. The zero value is ready for use.
// UIDs may come in any order and repeatedly; ascending order is fastest. The
// memory it takes is in proportion to the set that it builds. A builder must
// not be used by several goroutines at once.
type UIDSetBuilder struct {
	w     uidWriter
	late  []UIDRange // what did not come in ascending order, overlaps allowed
	limit int        // the length of late at which it is merged into w
}

// uidLateMin is the least number of ranges out of order that are collected
// before they are merged.
const uidLateMin = 4096

// AddUID adds u. Adding 0 adds nothing.
func (b *UIDSetBuilder) AddUID(u UID) {
	if u > b.w.last {
		b.w.add(u, u)
	} else if u > 0 {
		b.addLate(u, u)
	}
}

// AddRange adds all UIDs from first to last, both included. It adds nothing
// if first is above last. A first of 0 means 1.
func (b *UIDSetBuilder) AddRange(first, last UID) {
	first = max(first, 1)
	switch {
	case first > last:
	case first > b.w.last:
		b.w.add(first, last)
	default:
		b.addLate(first, last)
	}
}

func (b *UIDSetBuilder) addLate(first, last UID) {
	if k := len(b.late) - 1; k >= 0 {
		// Descending order, and repetition, join what came before.
		if p := &b.late[k]; first <= p.First && last >= p.First-1 {
			p.First, p.Last = first, max(last, p.Last)
			return
		}
	}
	if b.late = append(b.late, UIDRange{first, last}); len(b.late) < max(b.limit, uidLateMin) {
		return
	}
	// Merging costs as much as there are runs, so the next merge waits until
	// as many ranges have come.
	merged := b.Set()
	b.late = b.late[:0]
	b.limit = merged.r.runCount()
	b.w = uidWriter{open: b.w.open[:0]}
	b.w.share(merged.r, 0, len(merged.r.leaves))
}

// Set returns the set of all that has been added so far. The builder can be
// added to afterwards; the set returned does not change.
func (b *UIDSetBuilder) Set() UIDSet {
	w := b.w // finishing it must not touch what the builder goes on with
	w.leaves = slices.Clone(w.leaves)
	w.open = slices.Clone(w.open)
	s := w.finish()
	if len(b.late) == 0 {
		return s
	}
	slices.SortFunc(b.late, func(x, y UIDRange) int {
		return int(int64(x.First) - int64(y.First))
	})
	var late uidWriter
	for _, r := range b.late {
		if first := max(r.First, late.last+1); late.last < maxUID && first <= r.Last {
			late.add(first, r.Last)
		}
	}
	return s.Union(late.finish())
}
