package imap

import (
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
		if got := matches(test.pattern, test.name); got != test.want {
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
		if got, want := matches(pattern, name), matchesNaively(pattern, name); got != want {
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

// A pattern that a backtracking matcher would take ages for.
func TestMatchesInBoundedTime(t *testing.T) {
	pattern := strings.Repeat("*a", maxWildcards)
	name := strings.Repeat("a", mailaccess.MaxMailboxName-1)
	if !matches(pattern, name) {
		t.Error("does not match")
	}
	if matches(pattern, name+"b") {
		t.Error("matches")
	}
}

func TestLevels(t *testing.T) {
	type shown struct {
		Name             string
		Exists, Children bool
	}
	for _, test := range []struct {
		names []string
		want  []shown
	}{
		{nil, nil},
		{[]string{"a", "b"}, []shown{{"a", true, false}, {"b", true, false}}},
		{[]string{"a", "a-b", "a/b"}, []shown{{"a", true, true}, {"a-b", true, false}, {"a/b", true, false}}},
		{[]string{"a/b/c", "a/b/d"}, []shown{{"a", false, true}, {"a/b", false, true}, {"a/b/c", true, false}, {"a/b/d", true, false}}},
		{[]string{"a/b", "a/b/c/d"}, []shown{{"a", false, true}, {"a/b", true, true}, {"a/b/c", false, true}, {"a/b/c/d", true, false}}},
	} {
		var got []shown
		for l := range levels(test.names, func(string) *mailaccess.Mailbox { return &mailaccess.Mailbox{} }) {
			got = append(got, shown{l.name, l.box != nil, l.children})
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("levels(%q) (-want +got):\n%s", test.names, diff)
		}
	}
}

// TestLevelsAreWhole: each name and each level above one comes once, and has
// children when and only when something is below it.
func TestLevelsAreWhole(t *testing.T) {
	name := rapid.StringMatching(`[ab-](/[ab-]){0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(name, rapid.ID[string]).Draw(t, "names")
		slices.Sort(names)
		want := make(map[string]bool) // with children
		for _, n := range names {
			if !want[n] {
				want[n] = false // it is there, whatever is below it
			}
			for i := strings.LastIndexByte(n, '/'); i > 0; i = strings.LastIndexByte(n[:i], '/') {
				want[n[:i]] = true
			}
		}
		got := make(map[string]bool)
		for l := range levels(names, func(string) *mailaccess.Mailbox { return &mailaccess.Mailbox{} }) {
			if _, twice := got[l.name]; twice {
				t.Errorf("%q comes twice", l.name)
			}
			got[l.name] = l.children
			if (l.box != nil) != slices.Contains(names, l.name) {
				t.Errorf("%q: mailbox %v", l.name, l.box)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
