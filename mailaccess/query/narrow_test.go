package query_test

import (
	"context"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

func TestNarrow(t *testing.T) {
	in := func(first, last mailaccess.UID) mailaccess.Expr {
		return mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(first, last)}
	}
	flags := func(f mailaccess.SystemFlags) mailaccess.Expr {
		return mailaccess.HasFlags{Flags: mailaccess.Flags{System: f}}
	}
	not := func(e mailaccess.Expr) mailaccess.Expr { return mailaccess.Not{X: e} }
	seen, draft, text := flags(mailaccess.FlagSeen), flags(mailaccess.FlagDraft), mailaccess.Body{Text: "x"}
	nothing := mailaccess.And{}
	sets := query.Sets{
		UIDs:  mailaccess.UIDSetRange(1, 10),
		Flags: []query.FlagSet{{Flag: mailaccess.FlagSeen, UIDs: mailaccess.UIDSetRange(1, 6)}},
	}
	for _, test := range []struct {
		e    mailaccess.Expr
		want string
		rest mailaccess.Expr
	}{
		{mailaccess.And{}, "1:10", nothing},
		{mailaccess.Or{}, "", nothing},
		{seen, "1:6", nothing},
		{not(seen), "7:10", nothing},
		{draft, "1:10", draft},
		{not(draft), "1:10", not(draft)},
		{flags(mailaccess.FlagSeen | mailaccess.FlagDraft), "1:6", draft},
		{not(flags(mailaccess.FlagSeen | mailaccess.FlagDraft)), "1:10", not(flags(mailaccess.FlagSeen | mailaccess.FlagDraft))},
		{mailaccess.And{in(4, 8), not(seen), text}, "7:8", text},
		{mailaccess.And{text, mailaccess.And{in(5, 20), draft, text}}, "5:10", mailaccess.And{text, mailaccess.And{draft, text}}},
		{mailaccess.Or{not(seen), in(2, 3)}, "2:3,7:10", nothing},
		{mailaccess.Or{seen, text}, "1:10", mailaccess.Or{seen, text}},
		{not(mailaccess.Or{seen, mailaccess.And{in(8, 9), not(seen)}}), "7,10", nothing},
	} {
		got, rest := sets.Narrow(test.e)
		if got.String() != test.want || !reflect.DeepEqual(rest, test.rest) {
			t.Errorf("%v: %q, %v; want %q, %v", test.e, got, rest, test.want, test.rest)
		}
	}
}

// A long expression is left as it is, from some key on.
func TestNarrowEnds(t *testing.T) {
	sets := query.Sets{UIDs: mailaccess.UIDSetRange(1, 10)}
	var all mailaccess.And
	for range 1000 {
		all = append(all, mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(1, 5)})
	}
	among, rest := sets.Narrow(all)
	if left, ok := rest.(mailaccess.And); among.String() != "1:5" || !ok || len(left) < 900 {
		t.Errorf("among %v, %d keys are left", among, len(left))
	}
	if among, rest := sets.Narrow(mailaccess.Or(all)); among.String() != "1:10" || len(rest.(mailaccess.Or)) != len(all) {
		t.Errorf("among %v, left %T", among, rest)
	}
}

// What is left, asked of what is left, finds what the whole finds.
func TestNarrowFindsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sets := query.Sets{}
		for f := mailaccess.SystemFlags(1); f <= mailaccess.SystemFlagsAll; f <<= 1 {
			if k := rapid.IntRange(0, 2).Draw(t, "known"); k > 0 {
				sets.Flags = append(sets.Flags, query.FlagSet{Flag: f, Lack: k == 2})
			}
		}
		var messages []mailaccess.Message
		for uid := range mailaccess.UID(20) {
			if !rapid.Bool().Draw(t, "there") {
				continue
			}
			m := mailaccess.Message{UID: uid + 1, Flags: mailaccess.Flags{System: mailaccess.SystemFlags(rapid.Uint8Range(0, 31).Draw(t, "flags"))}}
			messages = append(messages, m)
			sets.UIDs = sets.UIDs.With(m.UID)
			for i := range sets.Flags {
				if s := &sets.Flags[i]; m.Flags.System.Has(s.Flag) != s.Lack {
					s.UIDs = s.UIDs.With(m.UID)
				}
			}
		}
		e := drawFlagsExpr(t, 3)
		among, rest := sets.Narrow(e)
		find := func(e mailaccess.Expr, among mailaccess.UIDSet) (found mailaccess.UIDSet) {
			m, err := query.Compile(e, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range messages {
				if !among.Contains(messages[i].UID) {
					continue
				}
				yes, err := m.Match(context.Background(), &messages[i], nil)
				if err != nil {
					t.Fatal(err)
				}
				if yes {
					found = found.With(messages[i].UID)
				}
			}
			return found
		}
		if got, want := find(rest, among), find(e, sets.UIDs); !got.Equal(want) {
			t.Fatalf("%v: %v of %v find %v, want %v", e, rest, among, got, want)
		}
	})
}

func drawFlagsExpr(t *rapid.T, depth int) mailaccess.Expr {
	kids := func() (all []mailaccess.Expr) {
		for range rapid.IntRange(0, 3).Draw(t, "kids") {
			all = append(all, drawFlagsExpr(t, depth-1))
		}
		return all
	}
	kind := rapid.IntRange(0, 4).Draw(t, "kind")
	if depth == 0 {
		kind %= 2
	}
	switch kind {
	case 0:
		first := mailaccess.UID(rapid.Uint32Range(1, 20).Draw(t, "first"))
		return mailaccess.UIDIn{UIDs: mailaccess.UIDSetRange(first, first+mailaccess.UID(rapid.Uint32Range(0, 9).Draw(t, "more")))}
	case 1:
		return mailaccess.HasFlags{Flags: mailaccess.Flags{System: mailaccess.SystemFlags(rapid.Uint8Range(0, 31).Draw(t, "flags"))}}
	case 2:
		return mailaccess.And(kids())
	case 3:
		return mailaccess.Or(kids())
	}
	return mailaccess.Not{X: drawFlagsExpr(t, depth-1)}
}
