package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddresses(t *testing.T) {
	mb := func(name, mailbox, host string) Address { return Address{Name: name, Mailbox: mailbox, Host: host} }
	start := func(name string) Address { return Address{Kind: GroupStart, Mailbox: name} }
	end := Address{Kind: GroupEnd}
	list := func(a ...Address) []Address { return a }
	tests := []struct {
		in   string
		want []Address
	}{
		{"", nil},
		{" \t", nil},
		{",,", nil},
		{"(nobody)", nil},
		{"joe@example.org", list(mb("", "joe", "example.org"))},
		{"Joe Q. Public <joe@example.org>", list(mb("Joe Q. Public", "joe", "example.org"))},
		{`"Public, Joe" <joe@example.org>`, list(mb("Public, Joe", "joe", "example.org"))},
		{`"Joe \"Q\" Public" <joe@example.org>`, list(mb(`Joe "Q" Public`, "joe", "example.org"))},
		{`Joe  "Q"   Public <joe@example.org>`, list(mb("Joe Q Public", "joe", "example.org"))},
		{"<joe@example.org>", list(mb("", "joe", "example.org"))},
		{"joe@example.org (Joe Public)", list(mb("Joe Public", "joe", "example.org"))},
		{"<joe@example.org> (Joe (the) Public)", list(mb("Joe (the) Public", "joe", "example.org"))},
		{"Joe (a comment) <joe@example.org>", list(mb("Joe", "joe", "example.org"))},
		{"Pete(A nice \\) chap) <pete(his account)@silly.example(his host)>", list(mb("Pete", "pete", "silly.example"))},
		{"a@example.org, b@example.com", list(mb("", "a", "example.org"), mb("", "b", "example.com"))},
		{"a@example.org; b@example.com", list(mb("", "a", "example.org"), mb("", "b", "example.com"))},
		{`"joe public"@example.org`, list(mb("", "joe public", "example.org"))},
		{`"a@b" @ example.org`, list(mb("", "a@b", "example.org"))},
		{`joe . public @ example . org`, list(mb("", "joe.public", "example.org"))},
		{"joe@[192.0.2.1]", list(mb("", "joe", "[192.0.2.1]"))},
		{"joe@[IPv6:2001:db8::1]", list(mb("", "joe", "[IPv6:2001:db8::1]"))},
		// RFC 5322, section 4.4 and appendix A.6.1
		{"Mary Smith <@node.test,@b.example:mary@example.net>, , jdoe@test  . example", list(
			Address{Name: "Mary Smith", Route: "@node.test,@b.example", Mailbox: "mary", Host: "example.net"},
			mb("", "jdoe", "test.example"))},
		{"<@a.example : joe@example.org>", list(Address{Route: "@a.example", Mailbox: "joe", Host: "example.org"})},
		// Groups: RFC 5322, appendix A.1.3
		{"A Group:Ed Jones <joe@where.test>,John <jdoe@one.test>;", list(
			start("A Group"), mb("Ed Jones", "joe", "where.test"), mb("John", "jdoe", "one.test"), end)},
		{"Undisclosed recipients:;", list(start("Undisclosed recipients"), end)},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", list(start("Hidden recipients"), end)},
		{"G: a@example.org; b@example.org", list(start("G"), mb("", "a", "example.org"), end, mb("", "b", "example.org"))},
		{"G: a@example.org", list(start("G"), mb("", "a", "example.org"), end)},
		{`"G: 1": a@example.org;`, list(start("G: 1"), mb("", "a", "example.org"), end)},
		// Encoded words and 8-bit stay as they are.
		{"=?utf-8?q?J=C3=B6rg?= <j@example.org>", list(mb("=?utf-8?q?J=C3=B6rg?=", "j", "example.org"))},
		{"=?utf-8?Q?Public, Joe <x>?= <j@example.org>", list(mb("=?utf-8?Q?Public, Joe <x>?=", "j", "example.org"))},
		{"J\xf6rg <j\xf6rg@example.org>", list(mb("J\xf6rg", "j\xf6rg", "example.org"))},
		// What is none by the grammar.
		{"joe", list(mb("", "joe", ""))},
		{"Joe Public", list(mb("", "Joe Public", ""))},
		{"Joe <joe>", list(mb("Joe", "joe", ""))},
		{"Joe <>", list(mb("Joe", "", ""))},
		{"@example.org", list(mb("", "", "example.org"))},
		{"joe@", list(mb("", "joe", ""))},
		{"joe@example.org <joe@example.org>", list(mb("joe@example.org", "joe", "example.org"))},
		{"Joe <joe@example.org", list(mb("Joe", "joe", "example.org"))},
		{"Joe <joe@example.org, ann@example.org", list(mb("Joe", "joe", "example.org"), mb("", "ann", "example.org"))},
		{"Joe <<joe@example.org>>", list(mb("Joe", "joe", "example.org"))},
		{"Joe <joe@example.org> junk, ann@example.org", list(mb("Joe", "joe", "example.org"), mb("", "ann", "example.org"))},
		{"joe@example.org junk", list(mb("", "joe", "example.org"))},
		{"a@b@example.org", list(mb("", "a@b", "example.org"))},
		{`"Joe <joe@example.org>`, list(mb("", "Joe <joe@example.org>", ""))},
		{"joe@[192.0.2.1", list(mb("", "joe", "[192.0.2.1"))},
		{"G: H: a@example.org;", list(start("G"), mb("", "H:a", "example.org"), end)},
		{"joe@example.org:25", list(mb("", "joe", "example.org:25"))},
		{"<joe@example.org>: x", list(mb("", "joe", "example.org"))},
		{`Joe \, Public <joe@example.org>`, list(mb("Joe , Public", "joe", "example.org"))},
		{"<joe@example.org> <ann@example.org>", list(mb("", "joe", "example.org"))},
		{": a@example.org", list(mb("", ":a", "example.org"))},
		{">", list(mb("", ">", ""))},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseAddresses(tt.in)); diff != "" {
			t.Errorf("ParseAddresses(%q): -want +got\n%s", tt.in, diff)
		}
	}
}

func TestAddressString(t *testing.T) {
	for want, a := range map[string]Address{
		"joe@example.org": {Name: "Joe", Mailbox: "joe", Host: "example.org"},
		"joe":             {Mailbox: "joe"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%+v: %q, want %q", a, got, want)
		}
	}
}

// A list without end is read up to a limit, groups closed.
func TestManyAddresses(t *testing.T) {
	for _, in := range []string{"a@b,", "G:a@b,c@d;", "<", "[", "(", "\"", "=?a?q?", "<@,", "a:", "\\"} {
		list := ParseAddresses(strings.Repeat(in, 100000))
		if len(list) > maxAddresses {
			t.Errorf("%q repeated: %d addresses", in, len(list))
		}
		group := false
		for _, a := range list {
			if a.Kind != Mailbox {
				group = !group
			}
		}
		if group {
			t.Errorf("%q repeated: a group is not closed", in)
		}
	}
	var h strings.Builder
	for range 3 {
		h.WriteString("To: G:" + strings.Repeat("a@b,", maxAddresses/2) + "\r\n")
	}
	to := Header(h.String()).Envelope().To
	if n := len(to); n > maxAddresses || n < maxAddresses-3 || to[n-1].Kind != GroupEnd {
		t.Errorf("three fields of many: %d addresses, the last %+v", n, to[n-1])
	}
}

func TestEnvelope(t *testing.T) {
	joe := []Address{{Mailbox: "joe", Host: "example.org"}}
	ann := []Address{{Name: "Ann", Mailbox: "ann", Host: "example.org"}}
	tests := []struct {
		name, in string
		want     Envelope
	}{
		{"empty", "\n", Envelope{}},
		{"all", "Date: Mon, 7 Feb 1994 21:52:25 -0800\nSubject: a\n =?utf-8?q?b?=\nFrom: joe@example.org\nSender: Ann <ann@example.org>\n" +
			"Reply-To: Ann <ann@example.org>\nTo: joe@example.org\nCc: Ann <ann@example.org>\nBcc: joe@example.org\n" +
			"In-Reply-To: <a@example.org>\n <b@example.org>\nMessage-ID: <c@example.org>\n\n",
			Envelope{
				Date: Optional{"Mon, 7 Feb 1994 21:52:25 -0800", true}, Subject: Optional{"a =?utf-8?q?b?=", true},
				From: joe, Sender: ann, ReplyTo: ann, To: joe, Cc: ann, Bcc: joe,
				InReplyTo: Optional{"<a@example.org> <b@example.org>", true}, MessageID: Optional{"<c@example.org>", true},
			}},
		{"sender and reply-to missing", "From: joe@example.org\n\n", Envelope{From: joe, Sender: joe, ReplyTo: joe}},
		{"sender and reply-to empty", "From: joe@example.org\nSender:\nReply-To: (nobody)\n\n", Envelope{From: joe, Sender: joe, ReplyTo: joe}},
		{"present but empty", "Date:\nSubject: \nIn-Reply-To:\nMessage-ID:\nFrom:\nTo:\n\n",
			Envelope{Date: Optional{"", true}, Subject: Optional{"", true}, InReplyTo: Optional{"", true}, MessageID: Optional{"", true}}},
		{"twice", "Subject: 1\nSubject: 2\nTo: joe@example.org\nTo: Ann <ann@example.org>\nFrom: joe@example.org\nFrom: Ann <ann@example.org>\n\n",
			Envelope{Subject: Optional{"1", true}, From: joe, Sender: joe, ReplyTo: joe, To: append(joe[:1:1], ann...)}},
		{"raw 8-bit, NUL, CR", "Subject: gr\xfc\xdfe \x00 a\rb\n\n", Envelope{Subject: Optional{"gr\xfc\xdfe   a b", true}}},
		{"not after the blank line", "\nSubject: x\n", Envelope{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Header(crlf(tt.in)).Envelope()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}
