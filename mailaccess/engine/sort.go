package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// Under which keys are kept; see [query.AppendSortKey] and [query.AppendThreadKey].
const (
	sortKind   mailaccess.DerivedKind = "sort/1"
	threadKind mailaccess.DerivedKind = "thread/1"
)

// SortOptions say how to sort or to thread. The zero value tells nothing and takes no
// more than 256 MiB; a million messages take about 80 MB.
type SortOptions struct {
	// Progress is told how many messages were looked at.
	Progress Progress
	// Memory is told how many octets the keys of the messages will take in all, and says
	// by an error that they may not.
	Memory query.Memory
}

// maxSortMemory is how many octets a sort or a thread may take where nobody is asked.
const maxSortMemory = 256 << 20

// memory is Memory, or the bound in its place.
func (o SortOptions) memory() query.Memory {
	if o.Memory != nil {
		return o.Memory
	}
	return func(octets int64) error {
		if octets > maxSortMemory {
			return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "sort", Err: fmt.Errorf("it takes more than %d octets", maxSortMemory)}
		}
		return nil
	}
}

// Sort returns those messages of uids that are in the view and still there, in the
// order of the criteria, and those that are equal in the order of the view. It reads
// no more than headers, and those only if their keys are not kept. KindLimit, or
// the error of o.Memory, when it would take too much memory.
func (v *View) Sort(ctx context.Context, uids mailaccess.UIDSet, criteria []query.SortCriterion, o SortOptions) ([]mailaccess.UID, error) {
	uids = uids.Intersect(v.uids)
	if sorted, ok, err := v.sortKept(ctx, uids, criteria, o); ok || err != nil {
		return sorted, err
	}
	return v.sortNow(ctx, uids, criteria, o)
}

// sortNow is Sort by the keys of all of uids, which are in the view.
func (v *View) sortNow(ctx context.Context, uids mailaccess.UIDSet, criteria []query.SortCriterion, o SortOptions) ([]mailaccess.UID, error) {
	s, err := query.NewSorter(criteria, uids.Len(), o.memory())
	if err != nil {
		return nil, err
	}
	use := func(m *mailaccess.Message, key []byte) (bool, error) {
		if s.NeedsSize() && m.Size == mailaccess.SizeUnknown {
			size, err := v.s.Size(ctx, m)
			if err != nil {
				return true, orGone(err)
			}
			m.Size = size
		}
		return s.Add(m, key)
	}
	if s.NeedsKey() {
		err = v.s.eachKey(ctx, v.at.ID, uids, &headerKey{sortKind, query.AppendSortKey, query.MaxSortKey, use}, o.Progress)
	} else {
		err = v.eachMessage(ctx, uids, use)
	}
	if err != nil {
		return nil, err
	}
	return s.Sorted(), nil
}

// eachMessage is eachKey for those who need no key.
func (v *View) eachMessage(ctx context.Context, uids mailaccess.UIDSet, use func(*mailaccess.Message, []byte) (bool, error)) error {
	for m, err := range v.s.acct.Messages(ctx, v.at.ID, uids) {
		if err != nil {
			return err
		}
		if _, err := use(&m, nil); err != nil {
			return err
		}
	}
	return nil
}

// Thread returns those messages of uids that are in the view and still there, in
// threads. Like Sort, it reads no more than headers.
func (v *View) Thread(ctx context.Context, uids mailaccess.UIDSet, a query.ThreadAlgorithm, o SortOptions) (*query.Threads, error) {
	uids = uids.Intersect(v.uids)
	t, err := query.NewThreader(a, uids.Len(), o.memory())
	if err != nil {
		return nil, err
	}
	err = v.s.eachKey(ctx, v.at.ID, uids, &headerKey{threadKind, query.AppendThreadKey, query.MaxThreadKey, t.Add}, o.Progress)
	if err != nil {
		return nil, err
	}
	return t.Threads(), nil
}

// orGone is err, unless it says that a message is gone, which is passed over.
func orGone(err error) error {
	if mailaccess.KindOf(err) == mailaccess.KindContentGone {
		return nil
	}
	return err
}

// sortProbes is beside how many messages one is sorted to find its place among more.
const sortProbes = 255

// SortMore brings messages into their places in sorted, which the same criteria have
// sorted. It costs what is added, not what is there; sorted is not changed. Messages
// that are gone are passed over.
func (v *View) SortMore(ctx context.Context, sorted []mailaccess.UID, added mailaccess.UIDSet, criteria []query.SortCriterion, o SortOptions) ([]mailaccess.UID, error) {
	if n := added.Len(); n*3*sortProbes > len(sorted) {
		return v.sortNow(ctx, mailaccess.UIDSetOf(sorted...).Union(added).Intersect(v.uids), criteria, o)
	}
	sorted = slices.Clone(sorted)
	for uid := range added.All() {
		at, err := v.placeOf(ctx, sorted, uid, criteria, SortOptions{Memory: o.Memory})
		switch {
		case errors.Is(err, errNoPlace):
			return v.sortNow(ctx, mailaccess.UIDSetOf(sorted...).Union(added).Intersect(v.uids), criteria, o)
		case err != nil:
			return nil, err
		case at >= 0:
			sorted = slices.Insert(sorted, at, uid)
		}
	}
	return sorted, nil
}

// errNoPlace says that too much of what was sorted is gone to find a place in it.
var errNoPlace = errors.New("engine: no place found")

// placeOf returns where uid belongs in sorted; below 0, when it is gone.
func (v *View) placeOf(ctx context.Context, sorted []mailaccess.UID, uid mailaccess.UID, criteria []query.SortCriterion, o SortOptions) (int, error) {
	for from, to := 0, len(sorted); ; {
		var probes mailaccess.UIDSetBuilder
		probes.AddUID(uid)
		step := max(1, (to-from)/sortProbes)
		for i := from; i < to; i += step {
			probes.AddUID(sorted[i])
		}
		order, err := v.sortNow(ctx, probes.Set().Intersect(v.uids), criteria, o)
		if err != nil {
			return 0, err
		}
		at := slices.Index(order, uid)
		if at < 0 {
			return -1, nil
		}
		first, last := from, to
		if at > 0 {
			first = from + slices.Index(sorted[from:to], order[at-1]) + 1
		}
		if at+1 < len(order) {
			last = from + slices.Index(sorted[from:to], order[at+1])
		}
		if step == 1 {
			return last, nil
		}
		if first == from && last == to {
			return 0, errNoPlace
		}
		from, to = first, last
	}
}
