package auth

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestNormalizeUser(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"alice", "alice"},
		{"Alice", "alice"},
		{"ALICE@Example.ORG", "alice@example.org"},
		{"a.b-c_d+e=f", "a.b-c_d+e=f"},
		{"o'neill", "o'neill"},
		{"x", "x"},
		{"JÖRG", "jörg"},
		{"jo\u0308rg", "jörg"},        // composed
		{"ａｌｉｃｅ", "alice"},            // full width
		{"ΣΊΣΥΦΟΣ", "σίσυφοσ"},        // letter by letter, wherever in the word
		{"\u212Bngström", "ångström"}, // the sign for the unit
		{strings.Repeat("a", MaxUserName), strings.Repeat("a", MaxUserName)},
	} {
		got, err := NormalizeUser(tt.name)
		if err != nil {
			t.Errorf("%q: %v", tt.name, err)
		} else if got != tt.want {
			t.Errorf("%q becomes %q, not %q", tt.name, got, tt.want)
		}
	}
}

func TestNormalizeUserRefuses(t *testing.T) {
	for _, name := range []string{
		"", " ", "a b", "a\tb", "a\n", "\x00", "a\x00", "a\x7f", "a\u0085", "a\u00a0b", "a\u200bb", "a\u202eb",
		"a:b", "a/b", "../a", `a\b`, `"a"`, "a%", "*",
		".a", "-a", "~a", "#a", "．a", // the last in full width
		"\xff", "a\xc3", "\U0001F600", strings.Repeat("a", MaxUserName+1), strings.Repeat("ö", MaxUserName/2+1),
	} {
		got, err := NormalizeUser(name)
		if err == nil {
			t.Errorf("%q becomes %q", name, got)
		} else if len(name) > 3 && strings.Contains(err.Error(), name) {
			t.Errorf("%q is repeated in the error", name)
		}
	}
}

// TestNormalizeUserSettles: a normalised name is permitted, and its own
// normalised form, whatever it came from.
func TestNormalizeUserSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkSettled(t, rapid.String().Draw(t, "name"))
		checkSettled(t, rapid.StringMatching(`[\p{L}\p{N}\p{M}._@-]{1,8}`).Draw(t, "name"))
	})
}

func FuzzNormalizeUser(f *testing.F) {
	for _, name := range []string{"alice", "ＡＬＩＣＥ", "İ", "ΣΣ", "\u1fbe", "א1"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) { checkSettled(t, name) })
}

func checkSettled(t interface{ Fatalf(string, ...any) }, name string) {
	n, err := NormalizeUser(name)
	if err != nil {
		return
	}
	again, err := NormalizeUser(n)
	if err != nil || again != n {
		t.Fatalf("%q becomes %q, and that %q (%v)", name, n, again, err)
	}
	if n == "" || len(n) > MaxUserName || !utf8.ValidString(n) || strings.ContainsAny(n, ":/\\\"%*\x00\r\n\t ") {
		t.Fatalf("%q becomes %q", name, n)
	}
}

func TestPreparePassword(t *testing.T) {
	for _, tt := range []struct{ password, want string }{
		{"secret", "secret"},
		{"Se Cret", "Se Cret"},
		{"se\u00a0cret", "se cret"}, // a space is a space
		{"o\u0308", "ö"},
		{"tab\tbed", "tab\tbed"}, // refused by the profile: as it came
		{"\xff", "\xff"},
	} {
		if got := string(preparePassword(tt.password)); got != tt.want {
			t.Errorf("%q is prepared as %q, not %q", tt.password, got, tt.want)
		}
	}
}
