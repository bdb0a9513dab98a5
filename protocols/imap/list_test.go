package imap

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "a", false},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"*", "a", true},
		{"*", "a/b/c", true},
		{"%", "a", true},
		{"%", "a/b", false},
		{"%/%", "a/b", true},
		{"%/%", "a", false},
		{"%/%", "a/b/c", false},
		{"a*", "a", true},
		{"a%", "a", true},
		{"a%", "a/b", false},
		{"a%b", "ab", true},
		{"a%b", "axxb", true},
		{"a%b", "ax/xb", false},
		{"a*b", "ax/xb", true},
		{"*%", "a/b", true},
		{"%*", "a/b", true},
		{"%%", "ab", true},
		{"%%", "a/b", false},
		{"**", "a/b", true},
		{"a/*", "a", false},
		{"a/*", "a/", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"%é", "café", true},
		{"inbox", "INBOX", true},
		{"iNb%", "INBOX", true},
		{"%x", "INBOX", true},
		{"inbox/%", "INBOX/a", true},
		{"inbox/A", "INBOX/a", false},
		{"inbox/inbox", "INBOX/INBOX", false},
		{"inboxes", "INBOXES", false},
		{"%/inbox", "a/INBOX", false},
		{"INBO\x18", "INBOX", false},
	} {
		if got := newMatcher([]string{test.pattern}).match(test.name); got != test.want {
			t.Errorf("matches(%q, %q) = %v, want %v", test.pattern, test.name, got, test.want)
		}
	}
}

// TestMatchesLikeTheDefinition compares matches with the definition of the
// wildcards, followed to the letter.
func TestMatchesLikeTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab/*%é")), 0, 10, -1).Draw(t, "pattern")
		name := rapid.StringOfN(rapid.RuneFrom([]rune("ab/é")), 0, 12, -1).Draw(t, "name")
		if got, want := newMatcher([]string{pattern}).match(name), matchesNaively(pattern, name); got != want {
			t.Fatalf("matches(%q, %q) = %v, want %v", pattern, name, got, want)
		}
	})
}

func matchesNaively(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch pattern[0] {
	case '*', '%':
		for i := 0; ; i++ {
			if matchesNaively(pattern[1:], name[i:]) {
				return true
			}
			if i == len(name) || pattern[0] == '%' && name[i] == '/' {
				return false
			}
		}
	}
	return name != "" && name[0] == pattern[0] && matchesNaively(pattern[1:], name[1:])
}

// TestMatchesAnyOfSome: several patterns at once are each of them, wherever in a word of
// bits it lies, for one name after the other.
func TestMatchesAnyOfSome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.RuneFrom([]rune("ab/*%")), 0, 40, -1)
		patterns := rapid.SliceOfN(pattern, 1, 8).Draw(t, "patterns")
		m := newMatcher(patterns)
		for _, name := range rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab/")), 0, 8, -1), 1, 5).Draw(t, "names") {
			want := slices.ContainsFunc(patterns, func(p string) bool { return newMatcher([]string{p}).match(name) })
			if got := m.match(name); got != want {
				t.Fatalf("%q match %q: %t, want %t", patterns, name, got, want)
			}
		}
	})
}

// TestMatchesInFewSteps: however bad the patterns, each octet of a name takes no more
// than their length divided by the bits of a word.
func TestMatchesInFewSteps(t *testing.T) {
	pattern := strings.Repeat("*a", maxWildcards)
	name := strings.Repeat("a", mailaccess.MaxMailboxName-1)
	bad := pattern + strings.Repeat("a", maxPattern-len(pattern)-1) + "x"
	patterns := []string{bad, bad, bad, bad}
	if len(bad) != maxPattern || len(patterns)*len(bad) != maxPatternOctets {
		t.Fatalf("%d octets are not as bad as it gets", len(bad))
	}
	m := newMatcher(append(patterns, pattern))
	if !m.match(name) {
		t.Error("does not match")
	}
	if m.match(name + "b") {
		t.Error("matches")
	}
	if most := 80 * (2*len(name) + 1); m.steps > most {
		t.Errorf("%d steps for %d octets", m.steps, 2*len(name)+1)
	}
}

func TestWithLevels(t *testing.T) {
	for _, test := range []struct{ names, want []string }{
		{nil, nil},
		{[]string{"a", "b"}, []string{"a", "b"}},
		{[]string{"a", "a-b", "a/b"}, []string{"a", "a-b", "a/b"}},
		{[]string{"a/b/c", "a/b/d"}, []string{"a", "a/b", "a/b/c", "a/b/d"}},
		{[]string{"a/b", "a/b/c/d"}, []string{"a", "a/b", "a/b/c", "a/b/c/d"}},
	} {
		names := make(map[string]bool)
		for _, n := range test.names {
			names[n] = true
		}
		if diff := cmp.Diff(test.want, withLevels(names)); diff != "" {
			t.Errorf("withLevels(%q) (-want +got):\n%s", test.names, diff)
		}
	}
}

// TestSelectionLikeTheDefinition compares what an extended LIST selects, and tells
// of what is below, with RFC 5258, sections 3.3 and 3.5, followed to the letter.
func TestSelectionLikeTheDefinition(t *testing.T) {
	name := rapid.StringMatching(`[ab](/[ab]){0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		l := &listing{boxes: make(map[string]*mailaccess.Mailbox), parents: make(map[string]bool), subscribed: make(map[string]bool)}
		known := make(map[string]bool)
		for _, n := range rapid.SliceOf(name).Draw(t, "mailboxes") {
			l.boxes[n] = &mailaccess.Mailbox{Use: rapid.SampledFrom([]mailaccess.SpecialUse{0, mailaccess.UseSent}).Draw(t, "use")}
			above(n, func(level string) { l.parents[level] = true })
			known[n] = true
		}
		for _, n := range rapid.SliceOf(name).Draw(t, "subscribed") {
			l.subscribed[n], known[n] = true, true
		}
		l.names = withLevels(known)
		patterns := rapid.SliceOfN(rapid.StringMatching(`[ab%*](/[ab%*]){0,2}`), 1, 2).Draw(t, "patterns")
		o := &listOptions{subscribed: rapid.Bool().Draw(t, "SUBSCRIBED"), specialUse: rapid.Bool().Draw(t, "SPECIAL-USE")}
		o.recursive = (o.subscribed || o.specialUse) && rapid.Bool().Draw(t, "RECURSIVEMATCH")

		meets := func(n string) bool {
			box := l.boxes[n]
			level := slices.ContainsFunc(l.names, func(m string) bool { return l.boxes[m] != nil && strings.HasPrefix(m, n+"/") })
			return (!o.specialUse || box != nil && box.Use != 0) && (!o.subscribed || l.subscribed[n]) &&
				(box != nil || l.subscribed[n] && o.subscribed || level && !o.subscribed && !o.specialUse)
		}
		matched, err := matchAll(t.Context(), patterns, l.names, noStep)
		if err != nil {
			t.Fatal(err)
		}
		below := l.below(matched, o)
		for _, n := range l.names {
			var want belowMet
			for _, m := range l.names {
				if o.recursive && strings.HasPrefix(m, n+"/") && meets(m) {
					want.some = true
					want.hidden = want.hidden || !slices.ContainsFunc(patterns, func(p string) bool { return matchesNaively(p, m) })
				}
			}
			if got := below[n]; got.chosen != want.some || got.hidden != want.hidden {
				t.Errorf("below(%q) = %+v, want %+v", n, got, want)
			}
			if got := l.chosen(n, o); got != meets(n) {
				t.Errorf("chosen(%q) = %v, want %v", n, got, meets(n))
			}
		}
	})
}

// belowMet is what TestSelectionLikeTheDefinition finds below a name.
type belowMet struct{ some, hidden bool }

// Nobody waits for the names of a client that has left.
func TestMatchAllEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := matchAll(ctx, []string{"*"}, []string{"a"}, noStep); err == nil {
		t.Error("it went on")
	}
}

func noStep() error { return nil }
