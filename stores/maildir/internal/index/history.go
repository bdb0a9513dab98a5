package index

import (
	"cmp"
	"slices"
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
)

// history is what is known of the past: a short log of changes, which is lost when the
// mailbox is unloaded, and the messages that are gone.
type history struct {
	log   []change          // ascending by number
	since mailaccess.ModSeq // log tells everything after this number
	runs  int               // of the sets in log

	gone  []Gone // ascending by number, then by UID; entries are never changed in place
	first uint64 // how many entries came before gone[0] since the mailbox was loaded
	saved uint64 // how many of all the disk has
}

// change is one transaction's entry in the log: the UIDs from first to last, or those in
// more when they are not consecutive.
type change struct {
	modseq      mailaccess.ModSeq
	first, last mailaccess.UID
	more        mailaccess.UIDSet
}

const (
	minLog  = 512       // entries, at least
	maxRuns = 16 * 1024 // of the sets in the log
)

// note logs that the messages of uids changed or arrived. highest is the mailbox's number.
func (h *history) note(modseq, highest mailaccess.ModSeq, uids mailaccess.UIDSet, chunks int) {
	if uids.IsEmpty() {
		return
	}
	if n := len(h.log); modseq <= h.since || n > 0 && modseq < h.log[n-1].modseq {
		// A change of the past is played again. The log knows nothing of it.
		h.forget(highest)
		return
	}
	c := change{modseq: modseq, first: uids.Min(), last: uids.Max()}
	if int64(c.last)-int64(c.first)+1 != int64(uids.Len()) {
		c.more = uids
		h.runs += runsOf(uids)
	}
	h.log = append(h.log, c)
	// Whoever asks for more than the log tells gets a look at every chunk. As at least
	// as many changes happened since, the work is still in proportion to them.
	for len(h.log) > max(minLog, 2*chunks) || h.runs > maxRuns {
		if len(h.log) == 1 {
			h.forget(highest)
			return
		}
		drop := len(h.log) / 2
		// Others of the same number may be left; they tell only half of it.
		h.since = h.log[drop-1].modseq
		h.log = slices.Clone(h.log[drop:])
		h.runs = 0
		for i := range h.log {
			h.runs += runsOf(h.log[i].more)
		}
	}
}

func (h *history) forget(highest mailaccess.ModSeq) {
	h.log, h.runs, h.since = nil, 0, highest
}

// runsOf counts runs, up to more than the log may have.
func runsOf(uids mailaccess.UIDSet) int {
	n := 0
	for range uids.Ranges() {
		if n++; n > maxRuns {
			break
		}
	}
	return n
}

// ChangedSince returns UIDs of messages among which are all that have a number above
// since: those that the log of recent changes names, where it goes back that far, else
// all. With Next, which leaves out the others, finding what changed costs what changed and a
// look at each chunk.
func (m *Mailbox) ChangedSince(since mailaccess.ModSeq) mailaccess.UIDSet {
	h := &m.history
	switch {
	case since >= m.modseq:
		return mailaccess.UIDSet{}
	case !m.loaded || since < h.since:
		return m.UIDs()
	}
	i := sort.Search(len(h.log), func(i int) bool { return h.log[i].modseq > since })
	var uids mailaccess.UIDSetBuilder
	for _, c := range h.log[i:] {
		if c.more.IsEmpty() {
			uids.AddRange(c.first, c.last)
			continue
		}
		for r := range c.more.Ranges() {
			uids.AddRange(r.First, r.Last)
		}
	}
	return uids.Set().Intersect(m.uids)
}

// Vanished returns what was removed after since, and after Floor, ascending by number
// and then by UID. It needs the rows. What it returns must not be changed.
func (m *Mailbox) Vanished(since mailaccess.ModSeq) []Gone {
	m.rows()
	gone := m.history.gone
	i := sort.Search(len(gone), func(i int) bool { return gone[i].ModSeq > since })
	return gone[i:len(gone):len(gone)]
}

func compareGone(a, b Gone) int {
	return cmp.Or(cmp.Compare(a.ModSeq, b.ModSeq), cmp.Compare(a.UID, b.UID))
}

// add remembers what has gone, all of one number, ascending by UID.
func (h *history) add(gone []Gone) {
	if len(gone) == 0 {
		return
	}
	if n := len(h.gone); n > 0 && compareGone(h.gone[n-1], gone[0]) >= 0 {
		// A change of the past is played again.
		merged := append(slices.Clone(h.gone), gone...)
		slices.SortFunc(merged, compareGone)
		h.replace(merged)
		return
	}
	h.gone = append(h.gone, gone...)
}

// back forgets that the messages of uids have gone: they are there.
func (h *history) back(uids mailaccess.UIDSet) {
	was := func(g Gone) bool { return uids.Contains(g.UID) }
	if slices.ContainsFunc(h.gone, was) {
		h.replace(slices.DeleteFunc(slices.Clone(h.gone), was))
	}
}

// replace makes gone the entries, all of which are new to the disk. It may have some
// of them: they do no harm there.
func (h *history) replace(gone []Gone) {
	h.first += uint64(len(h.gone))
	h.gone = gone
}

// cut forgets what went at or below floor.
func (h *history) cut(floor mailaccess.ModSeq) {
	i := sort.Search(len(h.gone), func(i int) bool { return h.gone[i].ModSeq > floor })
	h.first += uint64(i)
	h.gone = slices.Clone(h.gone[i:])
}

// unsaved returns the entries that the disk does not have, and how many entries there
// will have been with them.
func (h *history) unsaved() ([]Gone, uint64) {
	end := h.first + uint64(len(h.gone))
	i := len(h.gone)
	if from := max(h.first, h.saved); from < end {
		i = int(from - h.first)
	}
	return h.gone[i:len(h.gone):len(h.gone)], end
}
