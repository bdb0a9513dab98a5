package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
)

// Whatever others do, a live result is what a search would find among the messages
// that are there, and the changes lead from one result to the next.
func TestLiveSearchAgrees(t *testing.T) {
	for name, wrap := range map[string]func(mailaccess.Store) mailaccess.Store{
		"memory":  nil,
		"hostile": func(s mailaccess.Store) mailaccess.Store { return storetest.Hostile(s, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				liveSearchAgrees(t, rt, wrap)
			})
		})
	}
}

func liveSearchAgrees(t *testing.T, rt *rapid.T, wrap func(mailaccess.Store) mailaccess.Store) {
	w := newWorld(t, wrap)
	s := w.session()
	other := w.open(s, engine.ViewOptions{})
	v := w.open(s, engine.ViewOptions{})
	e := rapid.SampledFrom([]mailaccess.Expr{
		mailaccess.And{}, system(mailaccess.FlagFlagged), mailaccess.Not{X: system(mailaccess.FlagSeen)},
		mailaccess.Body{Text: "3"}, mailaccess.Or{mailaccess.Header{Name: "subject", Text: "2"}, system(mailaccess.FlagFlagged)},
	}).Draw(rt, "e")
	live, err := v.SearchLive(w.ctx, e, engine.SearchOptions{})
	w.check(err)
	for range rapid.IntRange(1, 20).Draw(rt, "steps") {
		uids := mailaccess.UIDSetOf(mailaccess.UID(rapid.IntRange(1, 12).Draw(rt, "uid")), mailaccess.UID(rapid.IntRange(1, 12).Draw(rt, "uid")))
		flags := mailaccess.Flags{System: mailaccess.SystemFlags(rapid.SampledFrom([]mailaccess.SystemFlags{mailaccess.FlagSeen, mailaccess.FlagFlagged}).Draw(rt, "flag"))}
		w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
		by := rapid.SampledFrom([]*engine.View{v, other}).Draw(rt, "by")
		switch rapid.SampledFrom([]string{"deliver", "set", "clear", "expunge", "update"}).Draw(rt, "what") {
		case "deliver":
			n := rapid.IntRange(0, 4).Draw(rt, "n")
			_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, fmt.Appendf(nil, "Subject: %d\n\n%d\n", n, n), flags, time.Time{})
			w.check(err)
		case "set":
			_, err = by.SetFlags(w.ctx, uids, mailaccess.FlagChange{Add: flags}, mailaccess.AnyModSeq)
			w.check(err)
		case "clear":
			_, err = by.SetFlags(w.ctx, uids, mailaccess.FlagChange{Remove: flags}, mailaccess.AnyModSeq)
			w.check(err)
		case "expunge":
			w.check(by.Expunge(w.ctx, uids, 0))
		case "update":
			sink := &leaving{client: newClient(v), live: live}
			w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: rapid.Bool().Draw(rt, "no expunge")}, sink))
			before := live.Found()
			added, removed, err := live.Update(w.ctx, e, rapid.Bool().Draw(rt, "all"))
			w.check(err)
			if live.Stale() {
				rt.Fatal("stale after an update")
			}
			if got := before.Union(added).Minus(removed); !got.Equal(live.Found()) || !added.Intersect(before).IsEmpty() || !removed.Minus(before).IsEmpty() {
				rt.Fatalf("from %s with %s without %s to %s", before, added, removed, live.Found())
			}
			if want, err := v.Search(w.ctx, e, engine.SearchOptions{}); err != nil || !want.Equal(live.Found()) {
				rt.Fatalf("a search finds %s (%v), the live one %s", want, err, live.Found())
			}
		}
	}
}

// leaving forgets what goes, as a front-end does.
type leaving struct {
	*client
	live *engine.LiveSearch
}

func (l *leaving) Gone(g engine.Gone) error {
	l.live.Forget(g.UIDs)
	return nil
}

func system(f mailaccess.SystemFlags) mailaccess.Expr {
	return mailaccess.HasFlags{Flags: mailaccess.Flags{System: f}}
}

// An update that fails changes nothing: the next one tells all.
func TestLiveSearchFails(t *testing.T) {
	w, count := newCounting(t)
	w.deliver(2)
	v := w.open(w.session(), engine.ViewOptions{})
	e := mailaccess.Body{Text: "x"}
	live, err := v.SearchLive(w.ctx, e, engine.SearchOptions{})
	w.check(err)
	w.deliver(1)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, _, err := live.Update(ended, e, false); err == nil || !live.Stale() || live.Found().Len() != 2 {
		t.Errorf("ended with %v at %s", err, live.Found())
	}
	count.contents = 0
	added, removed, err := live.Update(w.ctx, e, false)
	w.check(err)
	if added.String() != "3" || !removed.IsEmpty() || count.contents != 1 {
		t.Errorf("added %s, removed %s, %d contents", added, removed, count.contents)
	}
}

// To bring messages into an order is the same as to sort all, and costs little.
func TestSortMore(t *testing.T) {
	w, count := newCounting(t)
	const n = 3000
	for i := range n {
		_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, fmt.Appendf(nil, "Subject: %d\n\nx\n", i*7919%101), mailaccess.Flags{}, time.Time{})
		w.check(err)
	}
	v := w.open(w.session(), engine.ViewOptions{})
	order := []query.SortCriterion{{Key: query.SortSubject, Reverse: true}}
	all, err := v.Sort(w.ctx, v.UIDs(), order, engine.SortOptions{})
	w.check(err)
	gone := mailaccess.UIDSetRange(100, 900)
	for _, step := range []struct {
		added mailaccess.UIDSet
		most  int // calls of the cache
	}{
		{mailaccess.UIDSetOf(), 0}, {mailaccess.UIDSetOf(1), 4}, {mailaccess.UIDSetOf(n), 4},
		{mailaccess.UIDSetOf(17, 1500, 2999), 12}, {mailaccess.UIDSetRange(1, n-1), 8}, {mailaccess.UIDSetRange(1, n), 8},
	} {
		count.derived = 0
		rest := slices.DeleteFunc(slices.Clone(all), step.added.Contains)
		kept := slices.Clone(rest)
		got, err := v.SortMore(w.ctx, rest, step.added, order, engine.SortOptions{})
		w.check(err)
		if !slices.Equal(got, all) || !slices.Equal(rest, kept) {
			t.Errorf("with %s another order", step.added)
		}
		if count.derived > step.most {
			t.Errorf("with %s the cache was asked %d times", step.added, count.derived)
		}
	}
	// What is gone gets no place; what it leaves in the order does no harm.
	w.check(v.Expunge(w.ctx, gone, 0))
	rest := slices.DeleteFunc(slices.Clone(all), mailaccess.UIDSetOf(100, 1000).Contains)
	got, err := v.SortMore(w.ctx, rest, mailaccess.UIDSetOf(100, 1000), order, engine.SortOptions{})
	w.check(err)
	left := func(uids []mailaccess.UID) []mailaccess.UID {
		return slices.DeleteFunc(slices.Clone(uids), gone.Contains)
	}
	if !slices.Equal(left(got), left(all)) || slices.Contains(got, 100) {
		t.Error("another order beside what is gone")
	}
}
