package imapwire

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess/utf7"
)

func TestAppendStrings(t *testing.T) {
	long := strings.Repeat("x", maxQuoted)
	for _, tt := range []struct {
		in                     string
		str, utf8, astr, astr8 string
	}{
		{"", `""`, `""`, `""`, `""`},
		{"abc", `"abc"`, `"abc"`, `abc`, `abc`},
		{"a]b", `"a]b"`, `"a]b"`, `a]b`, `a]b`},
		{"nil", `"nil"`, `"nil"`, `"nil"`, `"nil"`},
		{`a "b\`, `"a \"b\\"`, `"a \"b\\"`, `"a \"b\\"`, `"a \"b\\"`},
		{"a*", `"a*"`, `"a*"`, `"a*"`, `"a*"`},
		{"tab\t\x01", "\"tab\t\x01\"", "\"tab\t\x01\"", "\"tab\t\x01\"", "\"tab\t\x01\""},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"\n", "{1}\r\n\n", "{1}\r\n\n", "{1}\r\n\n", "{1}\r\n\n"},
		{"日", "{3}\r\n日", `"日"`, "{3}\r\n日", `"日"`},
		{"\xe9", "{1}\r\n\xe9", "{1}\r\n\xe9", "{1}\r\n\xe9", "{1}\r\n\xe9"},
		{"a\x00b\x00", "{4}\r\na\x80b\x80", "{4}\r\na\x80b\x80", "{4}\r\na\x80b\x80", "{4}\r\na\x80b\x80"},
		{long, `"` + long + `"`, `"` + long + `"`, long, long},
		{long + "x", "{1025}\r\n" + long + "x", "{1025}\r\n" + long + "x", "{1025}\r\n" + long + "x", "{1025}\r\n" + long + "x"},
	} {
		for _, c := range []struct {
			name, got, want string
		}{
			{"AppendString", string(AppendString([]byte(">"), tt.in, false)), tt.str},
			{"AppendString of octets", string(AppendString([]byte(">"), []byte(tt.in), false)), tt.str},
			{"AppendString utf8", string(AppendString([]byte(">"), tt.in, true)), tt.utf8},
			{"AppendString of octets utf8", string(AppendString([]byte(">"), []byte(tt.in), true)), tt.utf8},
			{"AppendNString", string(AppendNString([]byte(">"), tt.in, true, false)), tt.str},
			{"AppendAString", string(AppendAString([]byte(">"), tt.in, false)), tt.astr},
			{"AppendAString utf8", string(AppendAString([]byte(">"), tt.in, true)), tt.astr8},
		} {
			if c.got != ">"+c.want {
				t.Errorf("%s(%.30q): got %.60q, want %.60q", c.name, tt.in, c.got, c.want)
			}
		}
	}
	if got := AppendNString(nil, "x", false, false); string(got) != "NIL" {
		t.Errorf("AppendNString, nil: %q", got)
	}
	type name string
	if got := AppendString(nil, name("é"), true); string(got) != `"é"` {
		t.Errorf("a type of its own: %q", got)
	}
}

// The data of the caller is not changed when NUL is replaced.
func TestAppendStringKeepsItsArgument(t *testing.T) {
	in := []byte("a\x00b")
	AppendString(nil, in, false)
	if string(in) != "a\x00b" {
		t.Errorf("became %q", in)
	}
}

// What is appended reads back as it was.
func TestStringRoundTrip(t *testing.T) {
	octets := rapid.OneOf(
		rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 2000),
		rapid.SliceOf(rapid.SampledFrom([]byte(" \"\\(){}%*]NILnil\r\n\t\xc3\xa9+"))),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(strings.ReplaceAll(s, "\x00", "")) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := string(octets.Draw(t, "s"))
		utf8ok := rapid.Bool().Draw(t, "utf8")
		var wire []byte
		wire = AppendString(wire, s, utf8ok)
		wire = AppendAString(append(wire, ' '), s, utf8ok)
		wire = AppendNString(append(wire, ' '), s, len(s)%2 == 0, utf8ok)
		wire = append(wire, "\r\n"...)
		r := NewReader(strings.NewReader(string(wire)), nil)
		r.SetUTF8(utf8ok)
		check := func(got string, err error) {
			if got != s || err != nil {
				t.Fatalf("%q as %q: got %q %v", s, wire, got, err)
			}
		}
		check(r.ReadString())
		checkErr(t, r.SP())
		check(r.ReadAString())
		checkErr(t, r.SP())
		got, ok, err := r.ReadNString()
		if ok != (len(s)%2 == 0) {
			t.Fatalf("%q as %q: NIL is %v", s, wire, !ok)
		}
		if ok || err != nil {
			check(got, err)
		}
		checkErr(t, r.CRLF())
	})
}

func checkErr(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func TestMailboxRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.String(),
			rapid.StringOf(rapid.RuneFrom([]rune("aB/&-é日\U0001F600 \"\\%*\r\n"))),
			rapid.SampledFrom([]string{"INBOX", "nil", "INBOX/x", "a b"}),
		).Filter(func(s string) bool { return !strings.Contains(s, "\x00") }).Draw(t, "name")
		utf8ok := rapid.Bool().Draw(t, "utf8")
		wire := append(AppendMailbox(nil, name, utf8ok), "\r\n"...)
		r := NewReader(strings.NewReader(string(wire)), nil)
		r.SetUTF8(utf8ok)
		want := name
		if EqualFold(name, "INBOX") {
			want = "INBOX"
		}
		if got, err := r.ReadMailbox(); got != want || err != nil {
			t.Fatalf("%q as %q: got %q %v", name, wire, got, err)
		}
		checkErr(t, r.CRLF())
	})
}

// TestReadMailboxMixed: what is not ASCII in a name that is in modified UTF-7 otherwise
// is UTF-8, and what begins with & is still modified UTF-7.
func TestReadMailboxMixed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire, want string
		for range rapid.IntRange(0, 4).Draw(t, "pieces") {
			piece := rapid.SampledFrom([]string{"a", "&", "é", "日本", "\U0001F600", " x"}).Draw(t, "piece")
			want += piece
			if rapid.Bool().Draw(t, "raw") && piece != "&" {
				wire += piece
			} else if !strings.HasSuffix(wire, "-") || piece == "&" || utf7.Plain(piece) {
				wire += utf7.Encode(piece)
			} else {
				wire += piece // two shifts in a row are none
			}
		}
		r := NewReader(strings.NewReader("\""+wire+"\"\r\n"), nil)
		if got, err := r.ReadMailbox(); got != want || err != nil {
			t.Fatalf("%q: got %q %v, want %q", wire, got, err, want)
		}
	})
}

func TestAppendMailbox(t *testing.T) {
	for _, tt := range []struct {
		in     string
		utf8ok bool
		want   string
	}{
		{"inbox", false, "INBOX"}, {"Inbox", true, "INBOX"}, {"Sent", false, "Sent"}, {"My Mail", false, `"My Mail"`},
		{"日", false, "&ZeU-"}, {"日", true, `"日"`}, {"a&b", false, "a&-b"}, {"a&b", true, "a&b"}, {`日"`, false, `"&ZeU-\""`},
		{"", false, `""`},
	} {
		if got := AppendMailbox(nil, tt.in, tt.utf8ok); string(got) != tt.want {
			t.Errorf("%q, utf8 %v: got %q, want %q", tt.in, tt.utf8ok, got, tt.want)
		}
	}
}

func TestDateTimeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := time.FixedZone("", 60*rapid.IntRange(-23*60-59, 23*60+59).Draw(t, "zone"))
		from := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		until := time.Date(9998, 12, 31, 0, 0, 0, 0, time.UTC).Unix()
		want := time.Unix(rapid.Int64Range(from, until).Draw(t, "time"), 0).In(zone)
		wire := AppendDateTime(nil, want)
		if s := want.Format(`"_2-Jan-2006 15:04:05 -0700"`); want.Year() > 0 && string(wire) != s {
			t.Fatalf("got %s, want %s", wire, s)
		}
		got, err := NewReader(strings.NewReader(string(wire)+"\r\n"), nil).ReadDateTime()
		if err != nil || want.Year() > 0 && !got.Equal(want) {
			t.Fatalf("%s: got %v %v", wire, got, err)
		}
	})
}

func TestAppendDateTimeYears(t *testing.T) {
	for year, want := range map[int]string{-5: "0000", 10000: "9999", 12: "0012", 1999: "1999"} {
		got := AppendDateTime(nil, time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC))
		if string(got) != `" 1-Mar-`+want+` 00:00:00 +0000"` {
			t.Errorf("%d: got %s", year, got)
		}
	}
}

func TestSectionRoundTrip(t *testing.T) {
	for _, s := range []string{
		"[]", "[1]", "[1.2.3]", "[TEXT]", "[HEADER]", "[1.MIME]", "[3.4.TEXT]",
		"[HEADER.FIELDS (From To)]", "[1.HEADER.FIELDS.NOT (\"a b\" {2}\r\n\r\n x])]",
	} {
		var section Section
		if err := NewReader(strings.NewReader(s+"\r\n"), nil).ReadSection(&section); err != nil {
			t.Fatal(s, err)
		}
		if got := AppendSection(nil, &section); string(got) != s {
			t.Errorf("got %q, want %q", got, s)
		}
	}
}

func TestAppendFlags(t *testing.T) {
	for want, flags := range map[string][]string{"()": nil, `(\Seen)`: {`\Seen`}, `(\Seen a $b)`: {`\Seen`, "a", "$b"}} {
		if got := AppendFlags([]byte("FLAGS "), slices.Values(flags)); string(got) != "FLAGS "+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAppendNumbers(t *testing.T) {
	if got := AppendNumber(nil, uint64(math.MaxUint64)); string(got) != "18446744073709551615" {
		t.Errorf("got %s", got)
	}
	for want, numbers := range map[string][]uint32{
		"": nil, "7": {7}, "1:3,5": {1, 2, 3, 5}, "3,2,1": {3, 2, 1}, "5,5:6": {5, 5, 6}, "4294967294:4294967295,1": {4294967294, 4294967295, 1},
	} {
		if got := AppendNumSet([]byte(nil), slices.Values(numbers)); string(got) != want {
			t.Errorf("%v: got %q, want %q", numbers, got, want)
		}
	}
}

func TestAscending(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Ascending
		var got, want []byte
		n := rapid.Uint32().Draw(t, "first")
		for range 40 {
			got, want = a.Append(append(got, ' '), n), AppendNumber(append(want, ' '), n)
			n += rapid.OneOf(rapid.Uint32Range(0, 12), rapid.Uint32()).Draw(t, "more")
		}
		if string(got) != string(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestAppendText(t *testing.T) {
	for _, tt := range []struct {
		in     string
		utf8ok bool
		want   string
	}{
		{"done", false, "done"}, {"", false, "-"}, {"[ALERT] x", false, " [ALERT] x"},
		{"a\r\nb\x00", true, "a??b?"}, {"é", false, "?"}, {"é", true, "é"}, {"\xff", true, "\ufffd"},
	} {
		if got := AppendText(nil, tt.in, tt.utf8ok); string(got) != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	seen := make(map[string]bool)
	for k := LimitLine; k <= LimitSetElements; k++ {
		seen[(&LimitError{Kind: k, Max: 7}).Error()] = true
	}
	if len(seen) != int(LimitSetElements) || seen[(&LimitError{Max: 7}).Error()] {
		t.Errorf("kinds share a text: %v", seen)
	}
	if !InStep(fmt.Errorf("fetch: %w", &SyntaxError{})) || InStep(nil) {
		t.Error("InStep does not look through a wrapped error")
	}
	if err := (&NameError{Raw: "&", Err: utf7.ErrInvalid}); strings.Contains(err.Error(), "&") {
		t.Errorf("repeats what the client sent: %v", err)
	}
}
