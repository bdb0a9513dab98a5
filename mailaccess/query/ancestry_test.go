package query

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// RFC 5256, section 3: ids that differ in their quoting alone are the same.
func TestMessageIDs(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                   nil,
		"<a@b>":                              {"a@b"},
		"<a@b> <c@d>":                        {"a@b", "c@d"},
		"<a@b><c@d>":                         {"a@b", "c@d"},
		"<a@b>,\t<c@d> and more":             {"a@b", "c@d"},
		"Your message of <a@b> (today)":      {"a@b"},
		`<"01KF8JCEOCBS0045PS"@xxx.yyy.com>`: {"01KF8JCEOCBS0045PS@xxx.yyy.com"},
		`<01KF8JCEOCBS0045PS@xxx.yyy.com>`:   {"01KF8JCEOCBS0045PS@xxx.yyy.com"},
		`<"a\"b c"@d>`:                       {`a"b c@d`},
		`< a . "b" @ c (comment <) >`:        {"a.b@c"},
		`<a(one (two \)) @)@b>`:              {"a@b"},
		`<"a>b"@c>`:                          {"a>b@c"},
		"<A@b> <a@B>":                        {"A@b", "a@B"},
		"<a@b@c>":                            {"a@b@c"},
		"<a@[1.2.3.4]>":                      {"a@[1.2.3.4]"},
		"<a\\b@c>":                           {"a\\b@c"},
		// What is not valid is passed over, and what stands after it is read.
		"<a> <@b> <c@> <> <d@e": nil,
		"a@b <c@d":              nil,
		"<a@b <c@d>":            {"c@d"},
		"<@> <a@b>":             {"a@b"},
		`<"@"> <a@b>`:           {"a@b"},
		`<"a@b> <c@d>`:          {`"a@b`, "c@d"},
		"<(a@b> <c@d>":          {"(a@b", "c@d"},
		"<" + strings.Repeat("(", 300) + "a@b> <c@d>": {strings.Repeat("(", 300) + "a@b", "c@d"},
	} {
		if diff := cmp.Diff(want, MessageIDs(in)); diff != "" {
			t.Errorf("%.60q: %s", in, diff)
		}
	}
}

func TestMessageIDsAreBounded(t *testing.T) {
	var field strings.Builder
	for i := range 2*maxReferences + 500 {
		fmt.Fprintf(&field, "<%d@x> ", i)
	}
	ids := MessageIDs(field.String())
	if len(ids) != maxReferences || ids[0] != "1500@x" || ids[maxReferences-1] != "2499@x" {
		t.Errorf("%d ids, %s to %s", len(ids), ids[0], ids[len(ids)-1])
	}
	// What takes time by the square of its length would take minutes.
	for _, s := range []string{"<", "<(", `<"`, "<a@b", "<a@b>", "<(<", `<\`, "<@>"} {
		MessageIDs(strings.Repeat(s, message.MaxHeader/len(s)))
	}
}

func TestReadAncestry(t *testing.T) {
	h := message.Header("Subject: x\r\nmessage-id: <a@b>\r\n" +
		"References: <1@b>\r\n <2@b>\r\nIN-REPLY-TO: <3@b> <fred@example.com>\r\n" +
		"Message-ID: <late@b>\r\nReferences: <late@b>\r\nIn-Reply-To: <late@b>\r\n\r\nReferences: <body@b>\r\n")
	a := ReadAncestry(h)
	want := Ancestry{ID: "a@b", References: []string{"1@b", "2@b"}, InReplyTo: []string{"3@b", "fred@example.com"}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	if got := a.Parents(); !slices.Equal(got, []string{"1@b", "2@b"}) {
		t.Errorf("parents %q", got)
	}
	// RFC 5256, section 3: References without a valid id count as none, and of
	// In-Reply-To only the first.
	a = ReadAncestry(message.Header("References: lost\r\nIn-Reply-To: junk <3@b> <fred@example.com>\r\n\r\n"))
	if got := a.Parents(); a.ID != "" || !slices.Equal(got, []string{"3@b"}) {
		t.Errorf("parents %q, id %q", got, a.ID)
	}
	a = ReadAncestry(message.Header("Message-ID: none\r\nIn-Reply-To: none\r\n\r\n"))
	if a.ID != "" || len(a.Parents()) > 0 {
		t.Errorf("ids in %+v", a)
	}
}

func FuzzMessageIDs(f *testing.F) {
	for _, s := range []string{"<a@b> <c@d>", `<"a b"@c>`, "<a (x) @b>", "<<a@b>>", `<"\`, "<(\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, id := range MessageIDs(s) {
			at := strings.LastIndexByte(id, '@')
			if at < 1 || at == len(id)-1 {
				t.Fatalf("%q of %q has not two sides", id, s)
			}
			// An id in its normal form stays as it is.
			if !strings.ContainsAny(id, "<>\"(\\ \t") {
				if again := MessageIDs("<" + id + ">"); len(again) != 1 || again[0] != id {
					t.Fatalf("%q of %q becomes %q", id, s, again)
				}
			}
		}
	})
}
