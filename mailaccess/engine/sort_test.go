package engine_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// watched is a store whose contents and derived bytes are watched and bent.
type watched struct {
	mailaccess.Store
	opened  int   // contents
	highest int64 // offset that was read
	// bend, if set, changes what the store yields of derived bytes.
	bend func([]mailaccess.Derived) []mailaccess.Derived
	// gone are contents that are there no more.
	gone map[mailaccess.EmailID]bool
	// unsized: sizes are not known without opening the content.
	unsized bool
}

func (s *watched) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	caps := a.Capabilities()
	caps.Derived = watchedDerived{s, caps.Derived}
	return watchedAccount{a, s, caps}, nil
}

type watchedAccount struct {
	mailaccess.Account
	s    *watched
	caps mailaccess.Capabilities
}

func (a watchedAccount) Capabilities() mailaccess.Capabilities { return a.caps }

func (a watchedAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	a.s.opened++
	if a.s.gone[id] {
		return nil, &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "content"}
	}
	c, err := a.Account.Content(ctx, id)
	return watchedContent{c, a.s}, err
}

func (a watchedAccount) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		for m, err := range a.Account.Messages(ctx, box, uids) {
			if a.s.unsized {
				m.Size = mailaccess.SizeUnknown
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

type watchedContent struct {
	mailaccess.Content
	s *watched
}

func (c watchedContent) ReadAt(b []byte, off int64) (int, error) {
	c.s.highest = max(c.s.highest, off+int64(len(b)))
	return c.Content.ReadAt(b, off)
}

type watchedDerived struct {
	s *watched
	mailaccess.DerivedCache
}

func (d watchedDerived) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	if d.s.bend == nil {
		return d.DerivedCache.Derived(ctx, kind, ids)
	}
	return func(yield func(mailaccess.Derived, error) bool) {
		var all []mailaccess.Derived
		for item, err := range d.DerivedCache.Derived(ctx, kind, ids) {
			if err != nil {
				yield(item, err)
				return
			}
			item.Bytes = slices.Clone(item.Bytes)
			all = append(all, item)
		}
		for _, item := range d.s.bend(all) {
			if !yield(item, nil) {
				return
			}
			clear(item.Bytes) // valid until the next step
		}
	}
}

// newSorting is a mailbox of n messages, in which the subjects descend and each but
// the first answers the one before.
func newSorting(t *testing.T, n int) (*watched, *world, *engine.View) {
	var s *watched
	w := newWorld(t, func(m mailaccess.Store) mailaccess.Store {
		s = &watched{Store: m}
		return s
	})
	for i := range n {
		raw := fmt.Appendf(nil, "Subject: %06d\nMessage-ID: <%d@x>\nIn-Reply-To: <%d@x>\n\n%s\n", n-i, i, i-1, strings.Repeat("a line\n", 3000))
		_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, raw, mailaccess.Flags{}, time.Unix(int64(i+1), 0))
		w.check(err)
	}
	return s, w, w.open(w.session(), engine.ViewOptions{})
}

var bySubject = []query.SortCriterion{{Key: query.SortSubject}}

func descending(n int) []mailaccess.UID {
	var uids []mailaccess.UID
	for i := n; i > 0; i-- {
		uids = append(uids, mailaccess.UID(i))
	}
	return uids
}

// depth is how many messages answer each other in a row.
func depth(t *query.Threads) int {
	n := 0
	for at := t.First(); at != 0; at = t.Child(at) {
		n++
	}
	return n
}

// Keys are made of the header alone, once, and kept.
func TestSortKeepsKeys(t *testing.T) {
	const n = 1100 // more than two batches
	s, w, v := newSorting(t, n)
	for _, opened := range []int{n, 0} {
		s.opened, s.highest = 0, 0
		got, err := v.Sort(w.ctx, v.UIDs(), bySubject, engine.SortOptions{})
		w.check(err)
		if !slices.Equal(got, descending(n)) || s.opened != opened || s.highest > 4<<10 {
			t.Errorf("%d sorted; %d contents opened, want %d; read up to %d", len(got), s.opened, opened, s.highest)
		}
	}
	for _, opened := range []int{n, 0} {
		s.opened, s.highest = 0, 0
		got, err := v.Thread(w.ctx, v.UIDs(), query.ThreadReferences, engine.SortOptions{})
		w.check(err)
		if depth(got) != n || s.opened != opened || s.highest > 4<<10 {
			t.Errorf("%d deep; %d contents opened, want %d; read up to %d", depth(got), s.opened, opened, s.highest)
		}
	}
}

// What needs no header opens nothing.
func TestSortByMetadata(t *testing.T) {
	s, w, v := newSorting(t, 10)
	got, err := v.Sort(w.ctx, v.UIDs(), []query.SortCriterion{{Key: query.SortSize}, {Key: query.SortArrival, Reverse: true}}, engine.SortOptions{})
	w.check(err)
	if s.opened != 0 || len(got) != 10 || got[0] != 10 {
		t.Errorf("sorted %v, %d contents opened", got, s.opened)
	}
	// Unless the size is not known.
	s.unsized = true
	got, err = v.Sort(w.ctx, v.UIDs(), []query.SortCriterion{{Key: query.SortSize}, {Key: query.SortArrival, Reverse: true}}, engine.SortOptions{})
	w.check(err)
	if s.opened != 10 || len(got) != 10 || got[0] != 10 {
		t.Errorf("sorted %v, %d contents opened, want 10", got, s.opened)
	}
}

// A cache may yield in any order, lose anything and damage everything.
func TestSortFromAnyCache(t *testing.T) {
	const n = 40
	for name, tt := range map[string]struct {
		bend   func([]mailaccess.Derived) []mailaccess.Derived
		opened int
	}{
		"in another order": {func(all []mailaccess.Derived) []mailaccess.Derived { slices.Reverse(all); return all }, 0},
		"one twice": {func(all []mailaccess.Derived) []mailaccess.Derived {
			return append(all, mailaccess.Derived{ID: all[3].ID, Bytes: slices.Clone(all[3].Bytes)})
		}, 0},
		"one that was not asked for": {func(all []mailaccess.Derived) []mailaccess.Derived {
			return append([]mailaccess.Derived{{ID: "strange", Bytes: slices.Clone(all[3].Bytes)}}, all...)
		}, 0},
		"every other one":  {func(all []mailaccess.Derived) []mailaccess.Derived { return slices.DeleteFunc(all, odd()) }, n / 2},
		"the last ones":    {func(all []mailaccess.Derived) []mailaccess.Derived { return all[n-3:] }, n - 3},
		"one bit each":     {bent(func(b []byte) []byte { b[len(b)/2] ^= 4; return b }), n},
		"cut off":          {bent(func(b []byte) []byte { return b[:len(b)-1] }), n},
		"empty":            {bent(func([]byte) []byte { return nil }), n},
		"of somebody else": {bent(func([]byte) []byte { return engine.Sealed([]byte("something")) }), n},
		"too long":         {bent(func([]byte) []byte { return engine.Sealed(make([]byte, 1<<20)) }), n},
	} {
		t.Run(name, func(t *testing.T) {
			s, w, v := newSorting(t, n)
			for i := range 2 {
				s.opened = 0
				got, err := v.Sort(w.ctx, v.UIDs(), bySubject, engine.SortOptions{})
				w.check(err)
				th, err := v.Thread(w.ctx, v.UIDs(), query.ThreadRefs, engine.SortOptions{})
				w.check(err)
				if !slices.Equal(got, descending(n)) || depth(th) != n {
					t.Errorf("sorted %v, %d deep", got, depth(th))
				}
				if i == 1 && s.opened != 2*tt.opened {
					t.Errorf("%d contents opened, want %d for each", s.opened, tt.opened)
				}
				s.bend = tt.bend
			}
		})
	}
}

func odd() func(mailaccess.Derived) bool {
	is := true
	return func(mailaccess.Derived) bool { is = !is; return is }
}

func bent(change func([]byte) []byte) func([]mailaccess.Derived) []mailaccess.Derived {
	return func(all []mailaccess.Derived) []mailaccess.Derived {
		for i := range all {
			all[i].Bytes = change(all[i].Bytes)
		}
		return all
	}
}

// A store without derived bytes, and messages that go meanwhile.
func TestSortWithoutCache(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.Derived = nil }))
	w.deliver(4)
	v := w.open(w.session(), engine.ViewOptions{})
	got, err := v.Sort(w.ctx, v.UIDs(), []query.SortCriterion{{Key: query.SortSubject, Reverse: true}}, engine.SortOptions{})
	w.check(err)
	if !slices.Equal(got, descending(4)) {
		t.Errorf("sorted %v", got)
	}
}

func TestSortPassesOverWhatIsGone(t *testing.T) {
	s, w, v := newSorting(t, 4)
	for m, err := range v.Messages(w.ctx, v.UIDs()) {
		w.check(err)
		if m.UID == 2 {
			s.gone = map[mailaccess.EmailID]bool{m.EmailID: true}
		}
	}
	s.unsized = true
	w.check(v.Expunge(w.ctx, mailaccess.UIDSetOf(4), 0))
	for _, criteria := range [][]query.SortCriterion{bySubject, {{Key: query.SortSize}, {Key: query.SortArrival, Reverse: true}}} {
		got, err := v.Sort(w.ctx, v.UIDs(), criteria, engine.SortOptions{})
		w.check(err)
		if !slices.Equal(got, []mailaccess.UID{3, 1}) {
			t.Errorf("sorted %v by %v", got, criteria)
		}
	}
	th, err := v.Thread(w.ctx, v.UIDs(), query.ThreadOrderedSubject, engine.SortOptions{})
	w.check(err)
	if th.UID(th.First()) != 1 || th.UID(th.Next(th.First())) != 3 {
		t.Error("threads of others")
	}
}

// What a client was not told of is not there.
func TestSortOnlyTheView(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(2)
	v := w.open(w.session(), engine.ViewOptions{})
	w.deliver(1)
	got, err := v.Sort(w.ctx, mailaccess.UIDSetOf(1, 2, 3), bySubject, engine.SortOptions{})
	w.check(err)
	if len(got) != 2 {
		t.Errorf("sorted %v", got)
	}
}

func TestSortReportsErrors(t *testing.T) {
	_, w, v := newSorting(t, 2)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := v.Sort(ctx, v.UIDs(), bySubject, engine.SortOptions{}); err == nil {
		t.Error("sorted in a context that ended")
	}
	if _, err := v.Sort(w.ctx, v.UIDs(), []query.SortCriterion{{Key: 99}}, engine.SortOptions{}); mailaccess.KindOf(err) != mailaccess.KindInvalid {
		t.Errorf("sorted by what is no key: %v", err)
	}
	if _, err := v.Thread(w.ctx, v.UIDs(), 99, engine.SortOptions{}); mailaccess.KindOf(err) != mailaccess.KindInvalid {
		t.Errorf("threaded by what is no algorithm: %v", err)
	}
}
