package engine_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// An order that is kept is what sorting anew gives, whatever came and went, for each of
// several views that were told different things.
func TestKeptOrders(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, nil)
		id := 0
		deliver := func(n int) {
			for range n {
				id++
				raw := fmt.Appendf(nil, "Subject: %03d\nFrom: %c@example.org\n\n", id*389%503, 'a'+rune(id%7))
				_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, raw, mailaccess.Flags{}, time.Unix(int64(id*31%97), 0))
				w.check(err)
			}
		}
		deliver(rapid.IntRange(200, 600).Draw(rt, "first"))
		s := w.session()
		views := []*engine.View{w.open(s, engine.ViewOptions{}), w.open(s, engine.ViewOptions{})}
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			v := rapid.SampledFrom(views).Draw(rt, "view")
			switch rapid.SampledFrom([]string{"deliver", "expunge", "update", "sort", "sort"}).Draw(rt, "what") {
			case "deliver":
				deliver(rapid.SampledFrom([]int{1, 2, 300}).Draw(rt, "more"))
			case "expunge":
				from := mailaccess.UID(rapid.IntRange(1, id).Draw(rt, "from"))
				gone := mailaccess.UIDSetRange(from, from+mailaccess.UID(rapid.IntRange(0, 90).Draw(rt, "span")))
				w.check(v.Expunge(w.ctx, gone, 0))
			case "update":
				w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
			case "sort":
				uids := v.UIDs()
				if rapid.Bool().Draw(rt, "part") {
					from := mailaccess.UID(rapid.IntRange(1, id).Draw(rt, "from"))
					uids = uids.Minus(mailaccess.UIDSetRange(from, from+mailaccess.UID(rapid.IntRange(0, 400).Draw(rt, "span"))))
				}
				criteria := []query.SortCriterion{{
					Key:     rapid.SampledFrom([]query.SortKey{query.SortSubject, query.SortFrom, query.SortArrival, query.SortSize}).Draw(rt, "by"),
					Reverse: rapid.Bool().Draw(rt, "reverse"),
				}}
				got, err := v.Sort(w.ctx, uids, criteria, engine.SortOptions{})
				w.check(err)
				if want := sortedAnew(w, uids, criteria); !slices.Equal(got, want) {
					rt.Fatalf("%d of %v sorted by %v:\n%v\nwant\n%v", len(got), uids, criteria, got, want)
				}
			}
		}
	})
}

// sortedAnew is what an engine gives that has sorted nothing before.
func sortedAnew(w *world, uids mailaccess.UIDSet, criteria []query.SortCriterion) []mailaccess.UID {
	e, err := engine.New(engine.Options{Store: w.store, Authenticator: auth.Static(map[string]string{"demo": "secret"})})
	w.check(err)
	s, err := e.Login(w.ctx, mailaccess.Login{Username: "demo", Password: "secret", Private: true})
	w.check(err)
	v := w.open(s, engine.ViewOptions{})
	sorted, err := v.Sort(w.ctx, uids, criteria, engine.SortOptions{})
	w.check(err)
	v.Close()
	w.check(s.Close())
	w.check(e.Close())
	return sorted
}

// What was sorted once is not asked for its keys again, by any session; one that arrived
// is put into its place beside some others.
func TestKeptOrdersSpareKeys(t *testing.T) {
	const n = 2000
	s, w, v := newSorting(t, n)
	asked := 0
	s.bend = func(all []mailaccess.Derived) []mailaccess.Derived {
		asked += len(all)
		return all
	}
	sort := func(v *engine.View) {
		t.Helper()
		asked = 0
		if _, err := v.Sort(w.ctx, v.UIDs(), bySubject, engine.SortOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	sort(v)
	sort(v)
	if asked != 0 {
		t.Errorf("%d keys were asked for again", asked)
	}
	_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, []byte("Subject: 000500\n\n"), mailaccess.Flags{}, time.Time{})
	w.check(err)
	other := w.open(w.session(), engine.ViewOptions{})
	sort(other)
	if asked == 0 || asked > n/2 {
		t.Errorf("%d keys were asked for to place one message among %d", asked, n)
	}
	sort(v)
	sort(other)
	if asked != 0 {
		t.Errorf("%d keys were asked for again", asked)
	}
}
