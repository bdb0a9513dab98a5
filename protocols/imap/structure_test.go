package imap

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// fakeContent is a message in memory.
type fakeContent struct{ *bytes.Reader }

func contentOf(s string) fakeContent { return fakeContent{bytes.NewReader([]byte(s))} }

func (fakeContent) Close() error { return nil }

func (c fakeContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(c, off, n))
}

var _ mailaccess.Content = fakeContent{}

func crlf(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n" }

// RFC 3501, section 7.4.2: ENVELOPE.
func TestAppendEnvelope(t *testing.T) {
	const none = " NIL NIL NIL NIL NIL NIL NIL NIL)"
	from := func(list string) string {
		return "(NIL NIL " + list + " " + list + " " + list + " NIL NIL NIL NIL NIL)"
	}
	for _, tt := range []struct{ name, header, want string }{
		{"nothing", "\r\n", "(NIL NIL" + none},
		{"strings", crlf("Date: d", "Subject: s", ""), `("d" "s"` + none},
		{"empty strings", crlf("Date:", "Subject: ", ""), `("" ""` + none},
		{"quoted specials", crlf(`Subject: \ "`, ""), `(NIL "\\ \""` + none},
		{"NIL as a text", crlf("Subject: NIL", ""), `(NIL "NIL"` + none},
		{"8-bit", crlf("Subject: \xe9", ""), "(NIL {1}\r\n\xe9" + none},
		{"NUL", crlf("Subject: a\x00b", ""), `(NIL "a b"` + none},
		{"bare CR", crlf("Subject: a\rb", ""), `(NIL "a b"` + none},
		{"folded", crlf("Subject: a", " b", "\tc", ""), "(NIL \"a b\tc\"" + none},
		{"as long as is quoted", crlf("Subject: "+strings.Repeat("x", 1024), ""), `(NIL "` + strings.Repeat("x", 1024) + `"` + none},
		{"longer", crlf("Subject: "+strings.Repeat("x", 1025), ""), "(NIL {1025}\r\n" + strings.Repeat("x", 1025) + none},
		{"the first of two", crlf("Subject: one", "Subject: two", ""), `(NIL "one"` + none},
		{"address", crlf("From: a@example.org", ""), from(`((NIL NIL "a" "example.org"))`)},
		{"named", crlf("From: A B <a@example.org>", ""), from(`(("A B" NIL "a" "example.org"))`)},
		{"two", crlf("From: a@example.org, b@example.org", ""), from(`((NIL NIL "a" "example.org")(NIL NIL "b" "example.org"))`)},
		{"without a host", crlf("From: root", ""), from(`((NIL NIL "root" ""))`)},
		{"only a sender", crlf("Sender: a@example.org", ""), `(NIL NIL NIL ((NIL NIL "a" "example.org")) NIL NIL NIL NIL NIL NIL)`},
		{"only reply to", crlf("Reply-To: a@example.org", ""), `(NIL NIL NIL NIL ((NIL NIL "a" "example.org")) NIL NIL NIL NIL NIL)`},
		{"empty group", crlf("To: g:;", ""), `(NIL NIL NIL NIL NIL ((NIL NIL "g" NIL)(NIL NIL NIL NIL)) NIL NIL NIL NIL)`},
		{"the rest", crlf("Cc: c@example.org", "Bcc: b@example.org", "In-Reply-To: <i>", "Message-ID: <m>", ""),
			`(NIL NIL NIL NIL NIL NIL ((NIL NIL "c" "example.org")) ((NIL NIL "b" "example.org")) "<i>" "<m>")`},
		{"source route", crlf("To: <@x.example,@y.example:a@example.org>", ""),
			`(NIL NIL NIL NIL NIL ((NIL "@x.example,@y.example" "a" "example.org")) NIL NIL NIL NIL)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := appendEnvelope(nil, message.Header(tt.header).Envelope()); string(got) != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// RFC 3501, section 7.4.2: BODY and BODYSTRUCTURE, which adds what follows "+".
func TestAppendBodyStructure(t *testing.T) {
	const text = `"text" "plain" ("charset" "us-ascii") NIL NIL "7bit" `
	for _, tt := range []struct{ name, content, body, structure string }{
		{"empty", "", "(" + text + "0 0)", "(" + text + "0 0 NIL NIL NIL NIL)"},
		{"no header", "\r\nx\r\n", "(" + text + "3 1)", "(" + text + "3 1 NIL NIL NIL NIL)"},
		{"no line end", "\r\nx", "(" + text + "1 0)", "(" + text + "1 0 NIL NIL NIL NIL)"},
		{"no text", crlf("Content-Type: image/png", "", "x"), `("image" "png" NIL NIL NIL "7bit" 3)`, `("image" "png" NIL NIL NIL "7bit" 3 NIL NIL NIL NIL)`},
		{"empty parameter", crlf(`Content-Type: image/png; name=""`, "", "x"), `("image" "png" ("name" "") NIL NIL "7bit" 3)`, `("image" "png" ("name" "") NIL NIL "7bit" 3 NIL NIL NIL NIL)`},
		{"8-bit name", crlf("Content-Type: image/png; name=\"\xe9\"", "", "x"), "(\"image\" \"png\" (\"name\" {1}\r\n\xe9) NIL NIL \"7bit\" 3)", "(\"image\" \"png\" (\"name\" {1}\r\n\xe9) NIL NIL \"7bit\" 3 NIL NIL NIL NIL)"},
		{"disposition", crlf("Content-Disposition: ATTACHMENT; filename=a", "", "x"), "(" + text + "3 1)", "(" + text + `3 1 NIL ("attachment" ("filename" "a")) NIL NIL)`},
		{"one language", crlf("Content-Language: en", "", "x"), "(" + text + "3 1)", "(" + text + `3 1 NIL NIL "en" NIL)`},
		{"two languages", crlf("Content-Language: en, fr", "", "x"), "(" + text + "3 1)", "(" + text + `3 1 NIL NIL ("en" "fr") NIL)`},
		{"location", crlf("Content-Location: here", "Content-MD5: sum", "", "x"), "(" + text + "3 1)", "(" + text + `3 1 "sum" NIL NIL "here")`},
		{"multipart", crlf("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "x", "--b", "", "y", "--b--"),
			"((" + text + "1 0)(" + text + `1 0) "mixed")`,
			"((" + text + "1 0 NIL NIL NIL NIL)(" + text + `1 0 NIL NIL NIL NIL) "mixed" ("boundary" "b") NIL NIL NIL)`},
		{"message", crlf("Content-Type: message/rfc822", "", "Subject: s", "", "x"),
			`("message" "rfc822" NIL NIL NIL "7bit" 17 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) (` + text + "3 1) 3)",
			`("message" "rfc822" NIL NIL NIL "7bit" 17 (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL) (` + text + "3 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"},
		{"global message", crlf("Content-Type: message/global", "", "Subject: s", "", "x"),
			`("message" "global" NIL NIL NIL "7bit" 17)`, `("message" "global" NIL NIL NIL "7bit" 17 NIL NIL NIL NIL)`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := contentOf(tt.content)
			tree, err := message.Parse(content, content.Size(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for extended, want := range map[bool]string{false: tt.body, true: tt.structure} {
				got, err := appendBodyStructure(nil, tree, content, newStructureForm(extended, false))
				if err != nil || string(got) != want {
					t.Errorf("extended %t: error %v\ngot  %q\nwant %q", extended, err, got, want)
				}
			}
		})
	}
}

// TestManyAddresses: what a stranger can put into a structure is bounded, however many
// messages with many addresses are in the message.
func TestManyAddresses(t *testing.T) {
	var b strings.Builder
	b.WriteString("Content-Type: multipart/digest; boundary=b\r\n\r\n")
	for range 20 {
		b.WriteString("--b\r\n\r\nTo: " + strings.Repeat("a,", 2999) + "a\r\n\r\nx\r\n")
	}
	content := contentOf(b.String() + "--b--\r\n")
	tree, err := message.Parse(content, content.Size(), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := appendBodyStructure(nil, tree, content, newStructureForm(true, false))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(got), `"a"`); n != 9000 || strings.Count(string(got), `"rfc822"`) != 20 {
		t.Errorf("%d addresses of %d messages, want 9000 of 20", n, strings.Count(string(got), `"rfc822"`))
	}
}

// The header that is read alone is the one in the tree of the message, and so are the
// sections found by it: an answer does not depend on what else was asked for.
func TestHeaderAlone(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"Subject: s\r\n", "From: a@example.org\r\n", " folded\r\n", "\r\n", "no field\r\n", "X:\r\n", ":\r\n", "-", "\r", "\x00",
		"To: " + strings.Repeat("x@example.org, ", 300) + "\r\n", strings.Repeat("y", 5000), "Cc: " + strings.Repeat("long ", 2000) + "\r\n", "\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		content := contentOf(strings.Join(rapid.SliceOfN(line, 0, 20).Draw(t, "lines"), ""))
		tree, err := message.Parse(content, content.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := tree.ReadHeader(content)
		if err != nil {
			t.Fatal(err)
		}
		open := &opened{content: content, tree: tree}
		got, err := open.header(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("alone %d octets, with the structure %d", len(got), len(want))
		}
		for _, kind := range []message.SectionKind{message.SectionWhole, message.SectionHeader, message.SectionText, message.SectionHeaderFields, message.SectionHeaderFieldsNot, message.SectionMIME} {
			section := message.Section{Kind: kind, Fields: []string{"subject", "To"}}
			want, ok, err := tree.Section(content, section)
			if err != nil {
				t.Fatal(err)
			}
			got, absent, err := open.section(context.Background(), nil, section)
			if err != nil || absent == ok || !slices.Equal(got, want) {
				t.Fatalf("section %d alone is %v, absent %t, %v; with the structure %v", kind, got, absent, err, want)
			}
		}
	})
}

// A rendering that was kept comes back as it was, or not at all.
func TestSealed(t *testing.T) {
	b := []byte(`ENVELOPE (NIL "s" NIL NIL NIL NIL NIL NIL NIL NIL)`)
	kept := engine.Sealed(b)
	if got, ok := engine.Unsealed(kept); !ok || !bytes.Equal(got, b) {
		t.Fatalf("%q, %t", got, ok)
	}
	for i := range kept {
		damaged := bytes.Clone(kept)
		damaged[i] ^= 1 << rand.IntN(8)
		if _, ok := engine.Unsealed(damaged); ok {
			t.Errorf("octet %d was changed unnoticed", i)
		}
		if _, ok := engine.Unsealed(kept[:i]); ok {
			t.Errorf("%d octets are taken for the whole", i)
		}
	}
}

// Every set of flags is read as it is written; \Recent is written and never read.
func TestFlagsRoundTrip(t *testing.T) {
	names := rapid.StringMatching(`[A-Za-z$][A-Za-z0-9$_.-]{0,10}`)
	rapid.Check(t, func(t *rapid.T) {
		words, err := mailaccess.NewKeywords(rapid.SliceOfN(names, 0, 6).Draw(t, "keywords")...)
		if err != nil {
			t.Fatal(err)
		}
		want := mailaccess.Flags{System: mailaccess.SystemFlags(rapid.IntRange(0, int(mailaccess.SystemFlagsAll)).Draw(t, "system")) & mailaccess.SystemFlagsAll, Keywords: words}
		written := string(appendFlags(nil, want, false))
		list := strings.TrimSuffix(strings.TrimPrefix(written, "("), ")")
		if len(list) != len(written)-2 {
			t.Fatalf("no list: %s", written)
		}
		got, err := parseFlags(strings.Fields(list))
		if err != nil || got.System != want.System || got.Keywords.String() != want.Keywords.String() {
			t.Fatalf("%s is read as %v %v, %v", written, got.System, got.Keywords, err)
		}
		withRecent := string(appendFlags(nil, want, true))
		fields := strings.Fields(withRecent[1 : len(withRecent)-1])
		if fields[len(fields)-1] != `\Recent` || len(fields) != len(strings.Fields(list))+1 {
			t.Fatalf("with \\Recent: %s", withRecent)
		}
		if _, err := parseFlags(fields); err == nil {
			t.Fatalf("%s is accepted", withRecent)
		}
	})
}
