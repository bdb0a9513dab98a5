package memory

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// matches decides e in two values; text says what only the content can tell.
func matches(e mailaccess.Expr, m mailaccess.Message, text func(string, mailaccess.UID) bool) bool {
	switch e := e.(type) {
	case mailaccess.And:
		for _, x := range e {
			if !matches(x, m, text) {
				return false
			}
		}
		return true
	case mailaccess.Or:
		for _, x := range e {
			if matches(x, m, text) {
				return true
			}
		}
		return false
	case mailaccess.Not:
		return !matches(e.X, m, text)
	case mailaccess.UIDIn:
		return e.UIDs.Contains(m.UID)
	case mailaccess.HasFlags:
		return m.Flags.Union(e.Flags) == m.Flags
	case mailaccess.Larger:
		return m.Size > e.Than
	case mailaccess.Smaller:
		return m.Size < e.Than
	case mailaccess.ModSeqFrom:
		return m.ModSeq >= e.Min
	case mailaccess.EmailIs:
		return m.EmailID == e.ID
	case mailaccess.ThreadIs:
		return m.ThreadID == e.ID
	case mailaccess.OnDay:
		if e.Date == mailaccess.DateSent {
			return text("sent", m.UID)
		}
		day := mailaccess.DayOf(m.Received)
		if e.Date == mailaccess.DateSaved {
			day = mailaccess.DayOf(m.Saved)
		}
		c := day.Compare(e.Day)
		return e.Op == mailaccess.DayBefore && c < 0 || e.Op == mailaccess.DayOn && c == 0 || e.Op == mailaccess.DaySince && c >= 0
	case mailaccess.Between:
		if e.Date == mailaccess.DateSent {
			return text("sent", m.UID)
		}
		at := m.Received
		if e.Date == mailaccess.DateSaved {
			at = m.Saved
		}
		return !(!e.From.IsZero() && at.Before(e.From) || !e.Until.IsZero() && !at.Before(e.Until))
	case mailaccess.Header:
		return text(e.Text, m.UID)
	case mailaccess.Body:
		return text(e.Text, m.UID)
	}
	return text("full", m.UID)
}

// TestSearch asks any expression of messages of many kinds, whatever their texts
// may be: none that matches may be missing, and an exact answer is exact.
func TestSearch(t *testing.T) {
	f := newFixture(t, nil)
	start := time.Date(2024, 5, 6, 22, 0, 0, 0, time.FixedZone("", -3*3600))
	var msgs []mailaccess.NewMessage
	for i := range 150 {
		m := mailaccess.NewMessage{
			Staged:   f.stage(fmt.Sprintf("%0*d", i%20+1, i)),
			Received: start.Add(time.Duration(i) * time.Hour),
			Flags:    mailaccess.Flags{System: mailaccess.SystemFlags(i) & mailaccess.SystemFlagsAll},
		}
		if i%7 == 0 {
			m.Flags.Keywords = words(t, "Work").Keywords
		}
		msgs = append(msgs, m)
	}
	_, err := f.Append(ctx, f.inbox, msgs)
	f.must(err)
	for u := mailaccess.UID(1); u < 150; u += 9 {
		f.set(f.inbox, mailaccess.UIDSetOf(u), words(t, "later"))
	}
	f.expunge(f.inbox, mailaccess.UIDSetRange(60, 70))
	_, err = f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(3, 5), f.inbox)
	f.must(err)
	all := f.list(f.inbox, mailaccess.UIDSetRange(1, 1<<32-1))
	some := func(rt *rapid.T) mailaccess.Message { return rapid.SampledFrom(all).Draw(rt, "message") }
	date := rapid.SampledFrom([]mailaccess.DateField{mailaccess.DateReceived, mailaccess.DateSent, mailaccess.DateSaved})

	leaf := rapid.Custom(func(rt *rapid.T) mailaccess.Expr {
		switch rapid.IntRange(0, 11).Draw(rt, "kind") {
		case 0, 1:
			return mailaccess.HasFlags{Flags: mailaccess.Flags{System: rapid.SampledFrom([]mailaccess.SystemFlags{
				0, mailaccess.FlagSeen, mailaccess.FlagDeleted, mailaccess.FlagSeen | mailaccess.FlagDeleted, mailaccess.FlagSeen | mailaccess.FlagDraft,
			}).Draw(rt, "flags")}}
		case 2:
			return mailaccess.HasFlags{Flags: words(t, rapid.SampledFrom([]string{"Work", "later", "none"}).Draw(rt, "keyword"))}
		case 3:
			return mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(some(rt).UID, some(rt).UID+20)}
		case 4:
			return mailaccess.Larger{Than: some(rt).Size}
		case 5:
			return mailaccess.Smaller{Than: some(rt).Size}
		case 6:
			return mailaccess.ModSeqFrom{Min: some(rt).ModSeq + mailaccess.ModSeq(rapid.IntRange(0, 1).Draw(rt, "more"))}
		case 7:
			return mailaccess.EmailIs{ID: some(rt).EmailID}
		case 8:
			return mailaccess.OnDay{Date: date.Draw(rt, "date"), Op: mailaccess.DayOp(rapid.IntRange(0, 2).Draw(rt, "op")), Day: mailaccess.DayOf(some(rt).Received)}
		case 9:
			e := mailaccess.Between{Date: date.Draw(rt, "date")}
			if rapid.Bool().Draw(rt, "from") {
				e.From = some(rt).Received.UTC()
			}
			if rapid.Bool().Draw(rt, "until") {
				e.Until = some(rt).Received.UTC()
			}
			return e
		case 10:
			return mailaccess.ThreadIs{ID: rapid.SampledFrom([]mailaccess.ThreadID{"", "t"}).Draw(rt, "thread")}
		default:
			return mailaccess.Body{Text: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "text")}
		}
	})
	var expr func(depth int) *rapid.Generator[mailaccess.Expr]
	expr = func(depth int) *rapid.Generator[mailaccess.Expr] {
		return rapid.Custom(func(rt *rapid.T) mailaccess.Expr {
			kind := 0
			if depth > 0 {
				kind = rapid.IntRange(0, 3).Draw(rt, "node")
			}
			switch kind {
			case 1:
				return mailaccess.And(rapid.SliceOfN(expr(depth-1), 0, 3).Draw(rt, "and"))
			case 2:
				return mailaccess.Or(rapid.SliceOfN(expr(depth-1), 0, 3).Draw(rt, "or"))
			case 3:
				return mailaccess.Not{X: expr(depth-1).Draw(rt, "not")}
			}
			return leaf.Draw(rt, "leaf")
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		e := expr(3).Draw(rt, "expression")
		seed := rapid.Uint32().Draw(rt, "texts")
		text := func(what string, u mailaccess.UID) bool {
			return (seed*2654435761+uint32(u)*40503+uint32(what[0])*97)>>7&1 == 1
		}
		found, err := f.Search(ctx, f.inbox, e)
		if errors.Is(err, mailaccess.ErrSkip) {
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		if found.UpTo != f.status(f.inbox).ModSeq {
			rt.Fatalf("up to %d", found.UpTo)
		}
		var want mailaccess.UIDSetBuilder
		for _, m := range all {
			add(&want, matches(e, m, text), m.UID)
		}
		if w := want.Set(); !w.Minus(found.UIDs).IsEmpty() || found.Exact && !found.UIDs.Equal(w) {
			rt.Fatalf("found %v (exact: %t), want %v", found.UIDs, found.Exact, w)
		}
	})
}

// What the store can tell by itself it tells exactly; what it cannot tell at all
// it declines; in between it narrows down.
func TestSearchEffort(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 10)
	f.set(f.inbox, mailaccess.UIDSetRange(1, 6), mailaccess.Flags{System: mailaccess.FlagSeen})
	unseen := mailaccess.Not{X: mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}}
	text := mailaccess.Body{Text: "x"}
	big := mailaccess.Larger{Than: 1000}
	flag := mailaccess.HasFlags{Flags: flagged}
	for _, tt := range []struct {
		e    mailaccess.Expr
		want string
	}{
		{mailaccess.And{}, "1:10 exactly"},
		{mailaccess.Or{}, " exactly"},
		{unseen, "7:10 exactly"},
		{text, "skip"},
		{mailaccess.Not{X: text}, "skip"},
		{mailaccess.And{text, unseen}, "7:10"},
		{mailaccess.And{text, mailaccess.And{unseen, mailaccess.Not{X: big}}}, "7:10"},
		{mailaccess.And{text, big}, " exactly"},
		{mailaccess.Or{text, big}, "skip"},
		{mailaccess.Or{text, mailaccess.Not{X: big}}, "1:10 exactly"},
		{mailaccess.Not{X: mailaccess.And{text, unseen}}, "skip"},
		{mailaccess.And{text, mailaccess.Or{unseen, flag}}, "7:10"},
		{mailaccess.And{text, mailaccess.Not{X: flag}}, "skip"},
	} {
		found, err := f.Search(ctx, f.inbox, tt.e)
		got := found.UIDs.String()
		switch {
		case errors.Is(err, mailaccess.ErrSkip):
			got = "skip"
		case err != nil:
			t.Errorf("%v: %v", tt.e, err)
		case found.Exact:
			got += " exactly"
		}
		if got != tt.want {
			t.Errorf("%#v: %q, want %q", tt.e, got, tt.want)
		}
	}
}
