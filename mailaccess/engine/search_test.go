package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// counted is a store that counts what a search asks of it.
type counted struct {
	mailaccess.Store
	contents, derived, put int
}

func (s *counted) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return &countedAccount{a, s}, err
}

type countedAccount struct {
	mailaccess.Account
	s *counted
}

func (a *countedAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Search = nil
	caps.Derived = &countedCache{caps.Derived, a.s}
	return caps
}

func (a *countedAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	a.s.contents++
	return a.Account.Content(ctx, id)
}

type countedCache struct {
	mailaccess.DerivedCache
	s *counted
}

func (c *countedCache) Derived(ctx context.Context, kind mailaccess.DerivedKind, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Derived, error] {
	c.s.derived++
	return c.DerivedCache.Derived(ctx, kind, ids)
}

func (c *countedCache) PutDerived(ctx context.Context, kind mailaccess.DerivedKind, items []mailaccess.Derived) error {
	c.s.put++
	return c.DerivedCache.PutDerived(ctx, kind, items)
}

// newCounting is a world over a store that counts.
func newCounting(t *testing.T) (*world, *counted) {
	s := new(counted)
	return newWorld(t, func(inner mailaccess.Store) mailaccess.Store { s.Store = inner; return s }), s
}

func (s *counted) expect(t *testing.T, contents, derived, put int) {
	t.Helper()
	if s.contents != contents || s.derived != derived || s.put != put {
		t.Errorf("%d contents, %d and %d calls of the cache; want %d, %d and %d", s.contents, s.derived, s.put, contents, derived, put)
	}
	s.contents, s.derived, s.put = 0, 0, 0
}

// What is derived from contents is asked for, and offered, 64 messages at a time, and
// only when the question needs it.
func TestSearchInBatches(t *testing.T) {
	w, count := newCounting(t)
	w.deliver(130)
	v := w.open(w.session(), engine.ViewOptions{})
	search := func(e mailaccess.Expr, want int) {
		t.Helper()
		found, err := v.Search(w.ctx, e, engine.SearchOptions{})
		w.check(err)
		if found.Len() != want {
			t.Errorf("found %s", found)
		}
	}
	search(mailaccess.Body{Text: "x"}, 130)
	count.expect(t, 130, 3, 3)
	search(mailaccess.Body{Text: "x"}, 130)
	count.expect(t, 130, 3, 0)
	search(mailaccess.Header{Name: "Subject", Text: "129"}, 1)
	count.expect(t, 130, 3, 3)
	search(mailaccess.Header{Name: "Subject", Text: "128"}, 1)
	count.expect(t, 0, 3, 0)
	search(mailaccess.Header{Name: "X-Unlisted", Text: "128"}, 0)
	count.expect(t, 130, 3, 0)
	search(mailaccess.And{mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(64, 70)}, mailaccess.Body{Text: "x"}}, 7)
	count.expect(t, 7, 1, 0)
	search(mailaccess.And{}, 130)
	count.expect(t, 0, 0, 0)
}

// Who needs the first or the last results does not pay for all.
func TestSearchLimit(t *testing.T) {
	w, count := newCounting(t)
	w.deliver(2000)
	v := w.open(w.session(), engine.ViewOptions{})
	first, err := v.Search(w.ctx, mailaccess.Body{Text: "x"}, engine.SearchOptions{Limit: 1})
	w.check(err)
	if first.Min() != 1 {
		t.Errorf("found %s", first)
	}
	count.expect(t, 1, 1, 1)
	last, err := v.Search(w.ctx, mailaccess.Body{Text: "x"}, engine.SearchOptions{Limit: 1, FromEnd: true})
	w.check(err)
	if last.Max() != 2000 || count.contents > 256 {
		t.Errorf("found %s in %d contents", last, count.contents)
	}
}

// With a limit, the results up to it are those of a search without, whatever the
// store knows and whatever the metadata decide.
func TestSearchLimitAgrees(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 600 {
		var flags mailaccess.Flags
		if i%3 == 0 {
			flags.System = mailaccess.FlagFlagged
		}
		_, err := w.mem.Deliver(w.ctx, "demo", mailaccess.Inbox, fmt.Appendf(nil, "Subject: %d\n\n%d\n", i%7, i%11), flags, time.Time{})
		w.check(err)
	}
	s := w.session()
	v := w.open(s, engine.ViewOptions{})
	rapid.Check(t, func(t *rapid.T) {
		leaf := rapid.SampledFrom([]mailaccess.Expr{
			mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagFlagged}},
			mailaccess.Header{Name: "Subject", Text: "3"}, mailaccess.Body{Text: "10"},
			mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(200, 400)}, mailaccess.And{}, mailaccess.Or{},
		})
		e := mailaccess.Or{
			mailaccess.And{leaf.Draw(t, "a"), leaf.Draw(t, "b")},
			mailaccess.And{leaf.Draw(t, "c"), mailaccess.Not{X: leaf.Draw(t, "d")}},
		}
		all, err := v.Search(w.ctx, e, engine.SearchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o := engine.SearchOptions{Limit: rapid.IntRange(1, 700).Draw(t, "limit"), FromEnd: rapid.Bool().Draw(t, "from end")}
		some, err := v.Search(w.ctx, e, o)
		if err != nil {
			t.Fatal(err)
		}
		if !some.Minus(all).IsEmpty() {
			t.Fatalf("found %s, which do not match", some.Minus(all))
		}
		for i := 1; i <= min(o.Limit, all.Len()); i++ {
			want, got := all.Select(i), some.Select(i)
			if o.FromEnd {
				want, got = all.Select(all.Len()-i+1), some.Select(some.Len()-i+1)
			}
			if got != want {
				t.Fatalf("result %d is %d, want %d", i, got, want)
			}
		}
	})
}

// Progress rises to the total, whatever decides, and its error ends the search; so
// does the end of the context, before the next message is opened.
func TestSearchProgress(t *testing.T) {
	w, count := newCounting(t)
	w.deliver(200)
	v := w.open(w.session(), engine.ViewOptions{})
	for _, e := range []mailaccess.Expr{mailaccess.Body{Text: "x"}, mailaccess.Larger{Than: 1}} {
		last := 0
		_, err := v.Search(w.ctx, e, engine.SearchOptions{Progress: func(done, total int) error {
			if done < last || done > total || total != 200 {
				t.Errorf("%T: %d after %d of %d", e, done, last, total)
			}
			last = done
			return nil
		}})
		w.check(err)
		if last < 192 {
			t.Errorf("%T: ended at %d", e, last)
		}
	}
	stop := errors.New("stop")
	_, err := v.Search(w.ctx, mailaccess.Body{Text: "x"}, engine.SearchOptions{Progress: func(done, _ int) error {
		if done == 70 {
			return stop
		}
		return nil
	}})
	if err != stop {
		t.Errorf("ended with %v", err)
	}
	count.contents = 0
	ctx, cancel := context.WithCancelCause(w.ctx)
	_, err = v.Search(ctx, mailaccess.Body{Text: "x"}, engine.SearchOptions{Progress: func(done, _ int) error {
		if done == 70 {
			cancel(stop)
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) || count.contents != 70 {
		t.Errorf("ended with %v after %d contents", err, count.contents)
	}
}

// A cache that holds more than a batch may keep in memory is asked again.
func TestStructuresBound(t *testing.T) {
	w, count := newCounting(t)
	s := w.session()
	w.deliver(8)
	v := w.open(s, engine.ViewOptions{})
	var ids []mailaccess.EmailID
	for m, err := range v.Messages(w.ctx, v.UIDs()) {
		w.check(err)
		ids = append(ids, m.EmailID)
	}
	// What does not decode is made anew.
	junk := make([]byte, mailaccess.MaxDerived)
	for _, id := range ids {
		w.check(s.PutDerived(w.ctx, "mime/1", []mailaccess.Derived{{ID: id, Bytes: junk}}))
	}
	count.put = 0
	batch := s.Structures(ids, nil)
	for _, id := range ids {
		c, err := s.Content(w.ctx, id)
		w.check(err)
		p, err := batch.Of(w.ctx, id, c)
		w.check(err)
		if p.Size() != c.Size() {
			t.Errorf("a tree of %d octets for %d", p.Size(), c.Size())
		}
		w.check(c.Close())
	}
	batch.Close(w.ctx)
	if count.derived < 2 || count.derived > 9 {
		t.Errorf("asked %d times", count.derived)
	}
	count.derived, count.put = 0, 0
	batch = s.Structures(ids, nil)
	c, err := s.Content(w.ctx, ids[0])
	w.check(err)
	defer c.Close()
	_, err = batch.Of(w.ctx, ids[0], c)
	w.check(err)
	batch.Close(w.ctx)
	if count.put != 0 {
		t.Error("a tree that is kept was offered")
	}
}

// A search of some UIDs looks at no other messages.
func TestSearchAmong(t *testing.T) {
	w, _ := newCounting(t)
	w.deliver(200)
	v := w.open(w.session(), engine.ViewOptions{})
	e := mailaccess.And{mailaccess.Larger{Than: 1}, mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(101, 300)}}
	told := 0
	found, err := v.Search(w.ctx, e, engine.SearchOptions{Progress: func(_, total int) error {
		told++
		if total != 100 {
			t.Errorf("%d messages to look at, want 100", total)
		}
		return nil
	}})
	w.check(err)
	if told == 0 || found.String() != "101:200" {
		t.Errorf("found %v, told %d times", found, told)
	}
}
