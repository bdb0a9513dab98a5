package mailaccess_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/quick"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestCheckMailboxName(t *testing.T) {
	for name, ok := range map[string]bool{
		"INBOX": true, "INBOX/a": true, "a": true, "a/b/c": true, "v1.2": true, "Entwürfe": true,
		"日本": true, "a b": true, "%": true, strings.Repeat("x", mailaccess.MaxMailboxName): true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, "inbox": false, "Inbox/a": false,
		"a\x00": false, "a\n": false, "a\x7f": false, "a\u0085": false, "a\u2028b": false, "a\xff": false,
		strings.Repeat("x", mailaccess.MaxMailboxName+1): false,
		"a/inbox": true,
	} {
		err := mailaccess.CheckMailboxName(name)
		if (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil && !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%q: kind %v", name, mailaccess.KindOf(err))
		}
	}
}

func keywords(t *testing.T, words ...string) mailaccess.Keywords {
	t.Helper()
	k, err := mailaccess.NewKeywords(words...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeywords(t *testing.T) {
	a, b := keywords(t, "b", "$Junk", "A"), keywords(t, "A", "b", "$Junk", "a", "$junk")
	if a != b {
		t.Errorf("%q and %q are the same set", a, b)
	}
	if got := slices.Collect(a.All()); !slices.Equal(got, []string{"$Junk", "A", "b"}) || a.Len() != 3 {
		t.Errorf("set of %d: %q", a.Len(), got)
	}
	if !a.Has("$JUNK") || a.Has("") || a.Has("$Jun") {
		t.Error("Has does not compare as RFC 5788, section 2 says")
	}
	if got := a.Union(keywords(t, "B", "c")); got != keywords(t, "$Junk", "A", "b", "c") {
		t.Errorf("union %q", got)
	}
	if got := a.Minus(keywords(t, "B", "$junk")); got != keywords(t, "A") {
		t.Errorf("difference %q", got)
	}
	if got := a.Minus(a); !got.IsEmpty() || got != (mailaccess.Keywords{}) || got.Len() != 0 || got.String() != "" {
		t.Errorf("the empty set is %q", got)
	}
	for _, w := range []string{"", "a b", `\Seen`, "a(", "a)", "a{", "a%", "a*", `a"`, "a]", "é", "a\x7f", strings.Repeat("x", 256)} {
		if _, err := mailaccess.NewKeywords(w); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("%q: %v", w, err)
		}
	}
	var many []string
	for i := range mailaccess.MaxKeywords + 1 {
		many = append(many, fmt.Sprint("k", i))
	}
	if _, err := mailaccess.NewKeywords(many...); !errors.Is(err, mailaccess.KindLimit) {
		t.Errorf("too many: %v", err)
	}
	if n := testing.AllocsPerRun(100, func() {
		for range a.All() {
		}
		a.Has("b")
	}); n != 0 {
		t.Errorf("looking at a set allocates %v times", n)
	}
}

// What a change does is what it says, and doing it twice changes nothing.
func TestFlagChange(t *testing.T) {
	pool := []mailaccess.Keywords{{}, keywords(t, "a"), keywords(t, "b"), keywords(t, "a", "b")}
	flags := func(n uint8) mailaccess.Flags {
		return mailaccess.Flags{System: mailaccess.SystemFlags(n) & mailaccess.SystemFlagsAll, Keywords: pool[n>>5%4]}
	}
	err := quick.Check(func(old, add, remove uint8, replace bool) bool {
		c := mailaccess.FlagChange{Replace: replace, Add: flags(add), Remove: flags(remove)}
		got := c.Apply(flags(old))
		want := flags(add)
		if !replace {
			want = flags(old).Minus(flags(remove)).Union(flags(add))
		}
		return got == want && c.Apply(got) == got && got.System.Has(c.Add.System)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk on fire")
	err := fmt.Errorf("outer: %w", &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "append", Mailbox: "Work", Err: cause})
	if got := err.Error(); got != "outer: append Work: corrupt: disk on fire" {
		t.Errorf("%q", got)
	}
	if !errors.Is(err, mailaccess.KindCorrupt) || errors.Is(err, mailaccess.KindExists) || !errors.Is(err, cause) {
		t.Error("errors.Is does not see kind and cause")
	}
	for want, err := range map[mailaccess.Kind]error{
		mailaccess.KindCorrupt:     err,
		mailaccess.KindExists:      mailaccess.KindExists,
		mailaccess.KindUnavailable: fmt.Errorf("x: %w", context.Canceled),
		mailaccess.KindInternal:    cause,
	} {
		if got := mailaccess.KindOf(err); got != want {
			t.Errorf("kind of %v is %v, want %v", err, got, want)
		}
	}
	seen := make(map[string]bool)
	for _, k := range mailaccess.Kinds() {
		if text := k.Error(); text == "" || seen[text] {
			t.Errorf("kind %d has no name of its own: %q", k, text)
		} else {
			seen[text] = true
		}
	}
}

func TestAuthenticatorFunc(t *testing.T) {
	f := mailaccess.AuthenticatorFunc(func(_ context.Context, user, password string) (string, error) {
		if password != "secret" {
			return "", mailaccess.KindAuthFailed
		}
		return user + "@example.org", nil
	})
	id, err := f.Authenticate(t.Context(), mailaccess.Login{Username: "ann", Password: "secret"})
	if err != nil || id.User != "ann" || id.Account != "ann@example.org" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, err := f.Authenticate(t.Context(), mailaccess.Login{Username: "ann", Password: "no"}); !errors.Is(err, mailaccess.KindAuthFailed) {
		t.Error(err)
	}
	// RFC 4616, section 2: to act as somebody else takes a permission.
	if _, err := f.Authenticate(t.Context(), mailaccess.Login{Username: "ann", Password: "secret", Authzid: "bob"}); !errors.Is(err, mailaccess.KindForbidden) {
		t.Error(err)
	}
}

func TestDerivedKindValid(t *testing.T) {
	for _, k := range []mailaccess.DerivedKind{"mime/1", "A-b_c/9", "/", mailaccess.DerivedKind(strings.Repeat("z", 32))} {
		if !k.Valid() {
			t.Errorf("%q is not valid", k)
		}
	}
	for _, k := range []mailaccess.DerivedKind{"", "mime.1", "a b", "a\x00", "ü", "a+b", mailaccess.DerivedKind(strings.Repeat("z", 33))} {
		if k.Valid() {
			t.Errorf("%q is valid", k)
		}
	}
}
