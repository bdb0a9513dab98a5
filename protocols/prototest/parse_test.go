package prototest

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"
)

func TestParseFixture(t *testing.T) {
	s, err := Parse("rfc3501-7.1-x.txt", []byte(`# A title.
# RFC 3501, section 7.1
user ann secret
user "bob b" "two words"
mailbox "Sent Items" \Sent \X subscribed
mailbox INBOX user="bob b"
file odd escaped
message inbox flags=(\Seen $Forwarded) date=" 1-Feb-2003 04:05:06 +0100" file=m
message INBOX count=2 user="bob b"
message "Sent Items" file=odd
message INBOX file=m:text
option a=1 b="x y=z"
option c=
needs X Y
needs Z
login "bob b"
C: a
-- m --
A: b

c
-- odd --
\x00\r\n\t\\\
end\
-- bare --
`))
	if err != nil {
		t.Fatal(err)
	}
	date := time.Date(2003, 2, 1, 4, 5, 6, 0, time.FixedZone("", 3600))
	usual := time.Date(1996, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))
	for i := range s.Fixture.Messages {
		m := &s.Fixture.Messages[i]
		want := usual
		if i == 0 {
			want = date
		}
		if !m.Date.Equal(want) {
			t.Errorf("message %d: date %v, want %v", i, m.Date, want)
		}
		m.Date = time.Time{}
	}
	m := []byte("A: b\r\n\r\nc\r\n")
	odd := []byte("\x00\r\n\t\\end")
	want := Fixture{
		Users: []User{{"ann", "secret"}, {"bob b", "two words"}},
		Mailboxes: []Mailbox{
			{User: "ann", Name: "Sent Items", Attributes: []string{`\Sent`, `\X`}, Subscribed: true},
			{User: "bob b", Name: "INBOX"},
		},
		Messages: []Message{
			{User: "ann", Mailbox: "inbox", Flags: []string{`\Seen`, "$Forwarded"}, File: "m", Content: m},
			{User: "bob b", Mailbox: "INBOX", Content: Generated(2)},
			{User: "bob b", Mailbox: "INBOX", Content: Generated(3)},
			{User: "ann", Mailbox: "Sent Items", File: "odd", Content: odd},
			{User: "ann", Mailbox: "INBOX", File: "m:text", Content: []byte("c\r\n")},
		},
		Options: map[string]string{"a": "1", "b": "x y=z", "c": ""},
		Needs:   []string{"X", "Y", "Z"},
		Files:   map[string][]byte{"m": m, "odd": odd, "bare": {}},
	}
	if !reflect.DeepEqual(s.Fixture, want) {
		t.Errorf("got  %+v\nwant %+v", s.Fixture, want)
	}
	if s.Title != "A title." || s.login == nil || s.login.Password != "two words" {
		t.Errorf("title %q, login %v", s.Title, s.login)
	}
}

// Without user lines there is demo.
func TestParseDefaultUser(t *testing.T) {
	s, err := Parse("x.txt", []byte("# RFC 1, section 1\nmessage INBOX\nlogin\nC: a"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Fixture.Users; len(got) != 1 || got[0] != defaultUser || s.Fixture.Messages[0].User != "demo" || *s.login != defaultUser {
		t.Errorf("%+v", s.Fixture)
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ script, want string }{
		{"", "nobody says anything"},
		{"login", "nobody says anything"},
		{"hello", "x.txt:2: \"hello\": not a line of a header"},
		{"C: a\nlogin", "x.txt:3: \"login\": not a line of a conversation"},
		{"C:a", "want a space after C:"},
		{"C0: a", "numbered from 1"},
		{"C~: a", "C~: is not a form"},
		{"C| a", "C| is not a form"},
		{"S.: a", "S.: is not a form"},
		{"C: <clos>", "<clos> is not known"},
		{"C: a\nC: <dial imaps>", "x.txt:3: <dial> is the first line of a connection"},
		{"S2: a\nC2: <dial imaps>", "<dial> is the first line of a connection"},
		{"C: <dial>", "<dial> is not known"},
		{"recorded today\nC: a", "want: recorded"},
		{"C: <login eve>", "no user eve"},
		{"C: <close>\nC: a", "x.txt:3: connection 1 is over"},
		{"S2: <eof>\nC2: a", "x.txt:3: connection 2 is over"},

		{"user a", "want: user"},
		{"user a b\nuser a c", "there twice"},
		{"message INBOX\nuser a b", "users come before"},
		{"mailbox", "want: mailbox"},
		{"mailbox A Sent", `"Sent" is not known`},
		{"mailbox A user=eve", "no user eve"},
		{"mailbox A\nmailbox A", "there twice"},
		{"message Sent", "no mailbox Sent"},
		{"message INBOX user=eve", "no user eve"},
		{"message INBOX flags=\\Seen", "want flags in parentheses"},
		{"message INBOX flags=(\\Seen", "( without )"},
		{"message INBOX date=yesterday", "not one of IMAP"},
		{"message INBOX file=none", "no file none"},
		{"message INBOX file=f:tail", "not a part of a file"},
		{"message INBOX file=f:1.x", "not a part of a file"},
		{"message INBOX count=0", "not a number above 0"},
		{"message INBOX count=100000\nmessage INBOX", "more than 100000"},
		{"message INBOX size=3", `"size=3" is not known`},
		{"message \"INBOX", "does not begin with a Go string"},
		{"option a", "not NAME=VALUE"},
		{"option a=1 a=2", "there twice"},
		{"option", "want: option"},
		{"needs", "want: needs"},
		{"login eve", "no user eve"},
		{"login\nlogin", "want one line"},
		{"file f", "want: file FILE escaped"},
		{"file none escaped", "no file none"},
		{"file bad escaped", `\q is not known`},
		{"file digits escaped", `want two digits`},
		{"message INBOX file=f\nfile f escaped", "before message lines"},
		{"deliver", "want: MAILBOX"},
		{"do", "want: do NAME"},
		{"do a {{.*}}", "no regular expressions"},

		{"C: {{.*}}", "no regular expressions"},
		{"C: {{x", "{{ without }}"},
		{"C: {{$x}}", "no line before this one keeps it"},
		{"C: {{$x y}}", "is not {{$name}}"},
		{"C: {{len none}}", "no file none"},
		{"C: {{base64 x}}", "does not begin with a Go string"},
		{"C: {{md5 stamp \"x\"}}", "does not begin with $name"},
		{"C: {{md5 $stamp x}}", "does not begin with a Go string"},
		{"C: {{md5 $stamp \"x\"}}", "no line before this one keeps it"},
		{"C: {{\"a\"", "}} does not follow"},
		{"C: {{\"\\q\"}}", "does not begin with a Go string"},
		{"C: {{repeat x \"a\"}}", "want a number"},
		{"C: {{repeat -1 \"a\"}}", "want a number"},
		{"C: {{repeat 67108864 \"a\"}}\nC: {{repeat 1 \"a\"}}", "x.txt:3: {{repeat 1}}: want a number"},
		{"C\": a", "not a Go string"},
		{"C\": `a`", "not a Go string"},
		{"C+: f", "want: file=FILE"},
		{"C+: file=f stuffed", "want: file=FILE"},
		{"C+: file=none", "no file none"},

		{"S: {{(}}", "missing closing )"},
		{"S: {{a)|(b}}", "unexpected )"},
		{"S: {{x=a}} {{$x}}", "no line before this one keeps it"},
		{"S: {{x=a}}\nS: {{x=b}}", "the name is taken"},
		{"S: {{x=a}} {{x=b}}", "the name is taken"},
		{"S~: {{x=a}}\nS~: {{x=b}}", "the name is taken"},
		{"S~: {{x=a}}\nS~: {{$x}}", "no line before this one keeps it"},
		{"S: {{\"\\xff\"}}{{.}}", "not UTF-8"},
		{"S!: a", "comes before nothing"},
		{"S!: a\nS2: b", "comes before nothing"},
		{"S!: {{x=a}}\nS: b", "nothing is kept"},
		{"S!: a\nS\": \"b\"", "after S!: comes"},
		{"S| a", "S| comes after"},
		{"S: {1}\nC: a\nS| a", "S| comes after"},
		{"S: {1}\nS2| a", "S| comes after"},
		{"S: <eof>\nS| a", "is over"},
		{"S: {1}\nS| a", "S: says how the line goes on"},
		{"S: {1}\nS| a\nS~: b", "S: says how the line goes on"},
		{"S: {1}\nS| a\nC: b", "S: says how the line goes on"},
		{"S: {1}\nS| a\nS2: b", "S: says how the line goes on"},
		{"S: {1}\nS| a\nlogin", "S: says how the line goes on"},
		{"S: {1}\nS|. a\nS| b\nS: c", "S|. is the last"},
	}
	const files = "\n-- f --\nx\n-- bad --\n\\q\n-- digits --\n\\x0\n"
	for _, test := range tests {
		_, err := Parse("x.txt", []byte("# RFC 1, section 1\n"+test.script+files))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got  %v\n want %s", test.script, err, test.want)
		}
	}
	if _, err := Parse("x.txt", []byte("# RFC 1, section 1\nC: a\n-- f --\n-- f --\n")); err == nil {
		t.Error("one file twice: no error")
	}
}

func TestCitations(t *testing.T) {
	tests := []struct{ file, comment, want string }{
		{"x.txt", "# RFC 3501", "no comment cites"},
		{"x.txt", "# see section 3", "no comment cites"},
		{"x.txt", "# RFC 3501, section 6.3.1, 4 messages", "[RFC 3501, section 6.3.1]"},
		{"x.txt", "# RFC 3501, section 6.3.1. Then", "[RFC 3501, section 6.3.1]"},
		{"x.txt", "# RFC 9051, sections 6.3.1, 7, and 2.2 and 3; RFC2177, section 3", "[RFC 9051, section 6.3.1 RFC 9051, section 7 RFC 9051, section 2.2 RFC 9051, section 3 RFC 2177, section 3]"},
		{"a/rfc3501-6.3.1-x.txt", "# RFC 3501, section 6.3.1", "[RFC 3501, section 6.3.1]"},
		{"rfc3501-B-x.txt", "# RFC 3501, appendix B", "[RFC 3501, appendix B]"},
		{"rfc2177-3.txt", "# RFC 2177, section 3", "[RFC 2177, section 3]"},
		{"rfc3501-6.3-x.txt", "# RFC 3501, section 6.3.1", "no comment cites RFC 3501, section 6.3"},
		{"rfc3501-6.3.1-x.txt", "# RFC 9051, section 6.3.1", "no comment cites RFC 3501, section 6.3.1"},
		{"rfc3501-select.txt", "# RFC 3501, section 6.3.1", "not rfcNNNN-SECTION"},
	}
	for _, test := range tests {
		s, err := Parse(test.file, []byte(test.comment+"\nC: a"))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = "["
			for i, c := range s.Citations {
				if i > 0 {
					got += " "
				}
				got += c.String()
			}
			got += "]"
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: %s:\n got  %s\n want %s", test.file, test.comment, got, test.want)
		}
	}
}

// The same transcript with the line ends of another system is the same.
func TestParseCRLF(t *testing.T) {
	const text = "# RFC 1, section 1\nmessage INBOX file=m\nC: a\nS: {1}\nS| b\nS: c\n-- m --\nx\n"
	a, err1 := Parse("x.txt", []byte(text))
	b, err2 := Parse("x.txt", []byte(strings.ReplaceAll(text, "\n", "\r\n")))
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestTranscripts(t *testing.T) {
	fsys := fstest.MapFS{"b/a.txt": {}, "a.txt": {}, "b.eml": {}, "c.txt/d.txt": {}}
	files, err := transcripts(fsys)
	if err != nil || !reflect.DeepEqual(files, []string{"a.txt", "b/a.txt", "c.txt/d.txt"}) {
		t.Errorf("%v, %v", files, err)
	}
}

// Any bytes can be said and expected: quoted, they match themselves and nothing
// else, alone and beside what was kept.
func TestQuotedMatchesItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := string(rapid.SliceOf(rapid.Byte()).Draw(t, "a"))
		b := rapid.StringOf(rapid.SampledFrom([]rune(`{}()[]\.*+?|^$"a1 é`))).Draw(t, "b")
		p := newParser("x")
		p.vars["v"] = true
		vars := map[string]string{"v": b}

		pt, err := p.pattern("x{{"+strconv.Quote(a)+"}}{{$v}}}", fromServer)
		if err != nil {
			t.Fatal(err)
		}
		text := "x" + a + b + "}"
		if got := string(pt.expand(vars)); got != text {
			t.Fatalf("expands to %q, want %q", got, text)
		}
		if !pt.match([]byte(text), vars) || pt.match([]byte(text+"x"), vars) {
			t.Fatalf("%q does not match itself alone", text)
		}

		pt, err = p.pattern("{{$v}}{{"+strconv.Quote(b)+"}}{{n=[0-9]{2}}}", fromServer)
		if err != nil {
			t.Fatal(err)
		}
		if !pt.match([]byte(b+b+"42"), vars) || vars["n"] != "42" || pt.match([]byte(b+b+"4"), vars) {
			t.Fatalf("%q beside an expression: %v", b, vars)
		}
	})
}

// Whatever is read as a transcript is an error or a script whose patterns can be
// compared with anything.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"# RFC 1, section 1\nuser a b\nmailbox S \\Sent\nmessage S flags=(\\Seen) date=\"17-Jul-1996 02:44:25 -0700\" file=m:header count=2\n" +
			"option a=b\nneeds c\nlogin a\nfile m escaped\nignore rest\nC: {{{len m}}}\n-- m --\n\\x00\\\n",
		"# RFC 1, appendix B\nS: {{x=.*}} {{[0-9]{3}}}\nS!: {{$x}}\nS~: {{$x}}{{.}}\nS| a\nS|. b\nS: c\nS~: d\n\nS...: <eof>\nC2: <starttls>\nC2.: {{repeat 3 \"x\"}}",
		"# RFC 1, sections 1, 2 and 3\nS\": \"\\x00\"\nS+: file=m dotted\nC\": \"x\"\nC+: file=m:1.2\nC: {{base64 \"x\"}}\ndeliver INBOX\ndo a \"b c\"\n-- m --\n.\n",
	} {
		f.Add([]byte(seed), []byte("* 1 FETCH {3}"))
	}
	f.Fuzz(func(t *testing.T, script, line []byte) {
		s, err := Parse("x.txt", script)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x.txt") {
				t.Errorf("an error that does not name the file: %v", err)
			}
			return
		}
		if len(s.Citations) == 0 || len(s.steps) == 0 || len(s.Fixture.Users) == 0 {
			t.Errorf("a script without %+v", s)
		}
		vars := make(map[string]string)
		r := &response{texts: [][]byte{line, line}, literals: [][]byte{line}}
		for _, st := range s.steps {
			for _, pt := range st.forbid {
				pt.match(line, vars)
			}
			for _, e := range st.expect {
				if e.eof {
					continue
				}
				if kept, m := e.match(r, vars); m == nil {
					for name, value := range kept {
						vars[name] = value
					}
				} else if m.Error() == "" {
					t.Error("a mismatch without words")
				}
			}
		}
	})
}
