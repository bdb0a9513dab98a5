package mailaccess

// This file holds how a UIDSet is kept: runs of consecutive UIDs in leaves,
// leaves in an index. It is a B+ tree of two levels whose nodes never change
// once they are part of a set, so that sets share them.
//
// Each run states where it begins and how many members come before it. Both
// ascend, so that the same 8 bytes are searched by UID and by rank. Where a
// run ends follows from the number of members before the next one, and for
// the last run from the number of all members: the last run of a set grows
// without any run being written.

const (
	// uidLeafMax is the most runs that a leaf holds. A change copies one leaf
	// (8 bytes per run) and the index (32 bytes per leaf).
	uidLeafMax = 512

	// uidLeafMin is the least that every leaf but the last one holds.
	uidLeafMin = uidLeafMax / 4
)

// uidRun is a maximal run of consecutive members.
type uidRun struct {
	first  UID
	before uint32 // members below first within the leaf
}

type uidLeaf struct {
	first  UID    // equals runs[0].first; searching the index does not visit the leaves
	before uint32 // members below first
	runs   []uidRun
}

// uidRuns is a set with at least one member.
type uidRuns struct {
	leaves []uidLeaf
	n      uint32 // members
	last   UID    // the highest member
}

// leafEnd returns the number of members in the leaves up to and including i.
func (r *uidRuns) leafEnd(i int) uint32 {
	if i+1 < len(r.leaves) {
		return r.leaves[i+1].before
	}
	return r.n
}

// runEnd returns the number of members of leaf i up to and including run j.
func (r *uidRuns) runEnd(i, j int) uint32 {
	leaf := &r.leaves[i]
	if j+1 < len(leaf.runs) {
		return leaf.runs[j+1].before
	}
	return r.leafEnd(i) - leaf.before
}

// run returns run j of leaf i.
func (r *uidRuns) run(i, j int) UIDRange {
	run := r.leaves[i].runs[j]
	return UIDRange{run.first, run.first + UID(r.runEnd(i, j)-run.before) - 1}
}

// leafLast returns the highest member in leaf i.
func (r *uidRuns) leafLast(i int) UID {
	return r.run(i, len(r.leaves[i].runs)-1).Last
}

// runCount returns the number of runs. It visits the whole index.
func (r *uidRuns) runCount() int {
	n := 0
	for i := range r.leaves {
		n += len(r.leaves[i].runs)
	}
	return n
}

// sameLeaf reports whether leaf i of r and leaf k of o are one and the same
// in memory and end alike.
func (r *uidRuns) sameLeaf(i int, o *uidRuns, k int) bool {
	a, b := &r.leaves[i], &o.leaves[k]
	return &a.runs[0] == &b.runs[0] && len(a.runs) == len(b.runs) &&
		r.leafEnd(i)-a.before == o.leafEnd(k)-b.before
}

// find returns the leaf and the run that begin last among those that begin at
// or below u; the leaf is -1 if there is none.
func (r *uidRuns) find(u UID) (leaf, run int) {
	i := uidLeavesUpTo(r.leaves, u) - 1
	if i < 0 {
		return -1, 0
	}
	runs := r.leaves[i].runs
	lo, hi := 0, len(runs)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); runs[m].first <= u {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return i, lo - 1
}

// at returns the member that has k members below it; k is less than r.n.
func (r *uidRuns) at(k uint32) UID {
	lo, hi := 0, len(r.leaves)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); r.leaves[m].before <= k {
			lo = m + 1
		} else {
			hi = m
		}
	}
	leaf := &r.leaves[lo-1]
	k -= leaf.before
	lo, hi = 0, len(leaf.runs)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); leaf.runs[m].before <= k {
			lo = m + 1
		} else {
			hi = m
		}
	}
	run := leaf.runs[lo-1]
	return run.first + UID(k-run.before)
}

// uidLeavesUpTo returns how many leaves begin at or below u.
func uidLeavesUpTo(leaves []uidLeaf, u UID) int {
	lo, hi := 0, len(leaves)
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); leaves[m].first <= u {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// uidRunsUpTo returns how many runs begin at or below u. It gallops: the
// nearer the answer, the fewer runs are looked at, so that walking two sets
// side by side is linear when they are alike and logarithmic when one is small.
func uidRunsUpTo(runs []uidRun, u UID) int {
	lo, hi := 0, 1
	for hi <= len(runs) && runs[hi-1].first <= u {
		lo, hi = hi, 2*hi
	}
	hi = min(hi, len(runs))
	for lo < hi {
		if m := int(uint(lo+hi) >> 1); runs[m].first <= u {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// uidCursor stands on a run of a set, at first the lowest one, and moves up.
type uidCursor struct {
	r    *uidRuns // may be nil: then the cursor is done
	i, j int      // leaf and run
}

func (c *uidCursor) done() bool { return c.r == nil || c.i >= len(c.r.leaves) }

func (c *uidCursor) run() UIDRange { return c.r.run(c.i, c.j) }

func (c *uidCursor) advance() {
	if c.j++; c.j >= len(c.r.leaves[c.i].runs) {
		c.i, c.j = c.i+1, 0
	}
}

// seek moves up to the first run that has a member at or above u. It stays
// where it is if that one does.
func (c *uidCursor) seek(u UID) {
	if c.done() {
		return
	}
	if rest := c.r.leaves[c.i+1:]; len(rest) > 0 && rest[0].first <= u {
		c.i, c.j = c.i+uidLeavesUpTo(rest, u), 0
	}
	if k := uidRunsUpTo(c.r.leaves[c.i].runs[c.j:], u); k > 0 {
		c.j += k - 1
		if c.run().Last < u {
			c.advance()
		}
	}
}

// uidWriter writes a set in ascending order. What it is given must lie above
// all that it was given before.
type uidWriter struct {
	leaves []uidLeaf
	open   []uidRun // runs not in a leaf yet: at most twice what a leaf holds, so that it can be cut in the middle
	start  uint32   // members below the first open run
	n      uint32   // members written
	last   UID      // the highest member written, 0 if none
}

// newUIDWriter returns a writer for a set that will be much like base.
func newUIDWriter(base *uidRuns) uidWriter {
	open := uidLeafMax + uidLeafMin // a leaf, and what it takes in from the next
	if len(base.leaves) == 1 {
		open = len(base.leaves[0].runs) + 2
	}
	return uidWriter{
		leaves: make([]uidLeaf, 0, len(base.leaves)+2),
		open:   make([]uidRun, 0, open),
	}
}

// add writes the UIDs from first to last.
func (w *uidWriter) add(first, last UID) {
	if !w.adjoins(first) {
		w.makeRoom()
		w.open = append(w.open, uidRun{first, w.n - w.start})
	}
	w.n += uint32(last-first) + 1
	w.last = last
}

// adjoins reports whether a run that begins at first continues the last run
// written.
func (w *uidWriter) adjoins(first UID) bool { return w.n > 0 && first == w.last+1 }

// makeRoom makes room for at least one open run.
func (w *uidWriter) makeRoom() {
	switch len(w.open) {
	case 0:
		w.start = w.n
		// A small leaf can only be the last of the set it comes from. Here it
		// would not be the last one any more.
		if k := len(w.leaves) - 1; k >= 0 && len(w.leaves[k].runs) < uidLeafMin {
			w.start = w.leaves[k].before
			w.open = append(w.open, w.leaves[k].runs...)
			w.leaves = w.leaves[:k]
		}
	case 2 * uidLeafMax:
		w.seal(uidLeafMax)
	}
}

// addRuns writes runs j to end-1 of leaf i of r.
func (w *uidWriter) addRuns(r *uidRuns, i, j, end int) {
	if first := r.run(i, j); w.adjoins(first.First) {
		w.add(first.First, first.Last)
		j++
	}
	for runs := r.leaves[i].runs; j < end; {
		w.makeRoom()
		k := min(end, j+2*uidLeafMax-len(w.open))
		base := runs[j].before
		shift := w.n - w.start - base
		for _, run := range runs[j:k] {
			w.open = append(w.open, uidRun{run.first, run.before + shift})
		}
		w.n += r.runEnd(i, k-1) - base
		w.last = r.run(i, k-1).Last
		j = k
	}
}

// share writes leaves i to end-1 of r, and makes them part of both sets where
// it can.
func (w *uidWriter) share(r *uidRuns, i, end int) {
	for i < end && (w.adjoins(r.leaves[i].first) || 0 < len(w.open) && len(w.open) < uidLeafMin) {
		w.addRuns(r, i, 0, len(r.leaves[i].runs))
		i++
	}
	if i == end {
		return
	}
	w.sealAll()
	shift := w.n - r.leaves[i].before
	k := len(w.leaves)
	w.leaves = append(w.leaves, r.leaves[i:end]...)
	if shift != 0 {
		for k := k; k < len(w.leaves); k++ {
			w.leaves[k].before += shift
		}
	}
	w.n += r.leafEnd(end-1) - r.leaves[i].before
	w.last = r.leafLast(end - 1)
}

// copy writes the members from lo to hi of the set that c stands in, and
// moves c up to the first run that has a member above hi. Nothing is written
// if lo is above hi.
func (w *uidWriter) copy(c *uidCursor, lo, hi UID) {
	if lo > hi {
		return
	}
	for c.seek(lo); !c.done(); {
		if c.j == 0 && c.r.leaves[c.i].first >= lo {
			end := c.i + uidLeavesUpTo(c.r.leaves[c.i:], hi)
			if end > c.i && c.r.leafLast(end-1) > hi {
				end--
			}
			if end > c.i {
				w.share(c.r, c.i, end)
				c.i = end
				continue
			}
		}
		runs := c.r.leaves[c.i].runs
		end := c.j + uidRunsUpTo(runs[c.j:], hi)
		if end == c.j {
			return
		}
		from, to := c.j, end // the runs that are written whole
		if run := c.run(); run.First < lo {
			w.add(lo, min(run.Last, hi))
			from++
		}
		tail := c.r.run(c.i, end-1)
		if tail.Last > hi {
			to--
		}
		if from < to {
			w.addRuns(c.r, c.i, from, to)
		}
		if tail.Last > hi {
			if from <= to {
				w.add(tail.First, hi)
			}
			c.j = end - 1
			return
		}
		if c.j = end; end < len(runs) {
			return
		}
		c.i, c.j = c.i+1, 0
	}
}

// seal makes a leaf of the first k open runs.
func (w *uidWriter) seal(k int) {
	leaf := uidLeaf{first: w.open[0].first, before: w.start, runs: make([]uidRun, k)}
	copy(leaf.runs, w.open)
	w.leaves = append(w.leaves, leaf)
	rest := w.open[k:]
	if len(rest) > 0 {
		base := rest[0].before
		for i, run := range rest {
			w.open[i] = uidRun{run.first, run.before - base}
		}
		w.start += base
	}
	w.open = w.open[:len(rest)]
}

// sealAll makes one or two leaves of the open runs.
func (w *uidWriter) sealAll() {
	if len(w.open) > uidLeafMax {
		w.seal(len(w.open) / 2)
	}
	if len(w.open) > 0 {
		w.seal(len(w.open))
	}
}

// finish returns the set written.
func (w *uidWriter) finish() UIDSet {
	if w.n == 0 {
		return UIDSet{}
	}
	// A few runs at the end go into the leaf before, so that leaves fill up
	// while a set grows at its end.
	if k := len(w.leaves) - 1; k >= 0 && 0 < len(w.open) && len(w.open) < uidLeafMin &&
		len(w.leaves[k].runs)+len(w.open) <= uidLeafMax {
		old := w.leaves[k]
		runs := make([]uidRun, len(old.runs), len(old.runs)+len(w.open))
		copy(runs, old.runs)
		for _, run := range w.open {
			runs = append(runs, uidRun{run.first, run.before + w.start - old.before})
		}
		w.leaves[k].runs = runs
		w.open = w.open[:0]
	}
	w.sealAll()
	return UIDSet{&uidRuns{leaves: w.leaves, n: w.n, last: w.last}}
}
