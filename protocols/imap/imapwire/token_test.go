package imapwire

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// productions reads one production each and renders what was read.
var productions = map[string]func(*Reader) (any, error){
	"SP":      func(r *Reader) (any, error) { return "", r.SP() },
	"CRLF":    func(r *Reader) (any, error) { return "", r.CRLF() },
	"atom":    func(r *Reader) (any, error) { b, err := r.ReadAtom(); return string(b), err },
	"keyword": func(r *Reader) (any, error) { b, err := r.ReadKeyword(); return string(b), err },
	"item":    func(r *Reader) (any, error) { b, err := r.ReadItemName(); return string(b), err },
	"astring": func(r *Reader) (any, error) { return r.ReadAString() },
	"string":  func(r *Reader) (any, error) { return r.ReadString() },
	"nstring": func(r *Reader) (any, error) {
		s, ok, err := r.ReadNString()
		return fmt.Sprintf("%q %v", s, ok), err
	},
	"number":     func(r *Reader) (any, error) { return r.ReadNumber() },
	"nz-number":  func(r *Reader) (any, error) { return r.ReadNZNumber() },
	"number64":   func(r *Reader) (any, error) { return r.ReadNumber64() },
	"mailbox":    func(r *Reader) (any, error) { return r.ReadMailbox() },
	"pattern":    func(r *Reader) (any, error) { return r.ReadListMailbox() },
	"flag":       func(r *Reader) (any, error) { return r.ReadFlag() },
	"flag-list":  func(r *Reader) (any, error) { return r.ReadFlagList(nil) },
	"flags":      func(r *Reader) (any, error) { return r.ReadStoreFlags(nil) },
	"date":       func(r *Reader) (any, error) { t, err := r.ReadDate(); return t.Format(time.RFC3339), err },
	"date-time":  func(r *Reader) (any, error) { t, err := r.ReadDateTime(); return t.Format(time.RFC3339), err },
	"base64":     func(r *Reader) (any, error) { b, err := r.ReadBase64(); return fmt.Sprintf("%q", b), err },
	"done":       func(r *Reader) (any, error) { return "", r.ReadDone() },
	"line":       func(r *Reader) (any, error) { b, err := r.ReadLine(); return string(b), err },
	"auth-line":  func(r *Reader) (any, error) { b, c, err := r.ReadAuthLine(); return fmt.Sprintf("%q %v", b, c), err },
	"set":        func(r *Reader) (any, error) { var s NumSet; err := r.ReadNumSet(&s); return s, err },
	"section":    func(r *Reader) (any, error) { var s Section; err := r.ReadSection(&s); return s, err },
	"partial":    func(r *Reader) (any, error) { a, b, ok, err := r.ReadPartial(); return fmt.Sprint(a, b, ok), err },
	"list":       func(r *Reader) (any, error) { return readWords(r) },
	"utf8 name":  func(r *Reader) (any, error) { r.SetUTF8(true); return r.ReadMailbox() },
	"utf8 quote": func(r *Reader) (any, error) { r.SetUTF8(true); return r.ReadString() },
	"stream": func(r *Reader) (any, error) {
		l, err := r.ReadLiteral()
		if err != nil {
			return "", err
		}
		head := fmt.Sprint(l.Size, l.NonSync, l.Binary)
		b, err := io.ReadAll(l)
		return head + " " + string(b), err
	},
}

// readWords reads nested lists of atoms and renders them.
func readWords(r *Reader) (string, error) {
	var words []string
	err := r.ReadList(func() error {
		c, err := r.Peek()
		if err != nil {
			return err
		}
		var w string
		if c == '(' {
			w, err = readWords(r)
		} else {
			var b []byte
			b, err = r.ReadAtom()
			w = string(b)
		}
		words = append(words, w)
		return err
	})
	return "[" + strings.Join(words, ",") + "]", err
}

func TestProductions(t *testing.T) {
	set := func(ranges ...NumRange) NumSet { return NumSet{Ranges: ranges} }
	for _, tt := range []struct {
		production, in string
		want           any
		rest           string
	}{
		{"SP", " x", "", "x"},
		{"CRLF", "\r\nx", "", "x"},
		{"CRLF", "\nx", "", "x"}, // bare LF
		{"atom", "a-B.c[1/2] ", "a-B.c[1/2", "] "},
		{"atom", "+FLAGS~!#$&',:;<=>?@^_`|}(", "+FLAGS~!#$&',:;<=>?@^_`|}", "("},
		{"keyword", "+flags.Silent ", "+FLAGS.SILENT", " "},
		{"item", "body.peek[", "BODY.PEEK", "["},
		{"item", "Rfc822.Size)", "RFC822.SIZE", ")"},
		{"astring", "a]b ", "a]b", " "},
		{"astring", `"" `, "", " "},
		{"astring", "NIL ", "NIL", " "},
		{"astring", "{3}\r\nabc ", "abc", " "},
		{"string", `"a b" `, "a b", " "},
		{"string", `"a\"b\\c\\"x`, `a"b\c\`, "x"},
		{"string", "\"gr\xfcn\"x", "gr\xfcn", "x"}, // 8-bit, as clients send it
		{"string", "{4}\r\na\r\nbx", "a\r\nb", "x"},
		{"string", "{4+}\r\nabcdx", "abcd", "x"},
		{"string", "{0004+}\nabcdx", "abcd", "x"},
		{"string", "{0}\r\n ", "", " "},
		{"nstring", "nIl)", `"" false`, ")"},
		{"nstring", `"NIL")`, `"NIL" true`, ")"},
		{"nstring", "{3+}\r\nNIL)", `"NIL" true`, ")"},
		{"number", "0 ", uint32(0), " "},
		{"number", "007 ", uint32(7), " "},
		{"number", "4294967295 ", uint32(math.MaxUint32), " "},
		{"nz-number", "10 ", uint32(10), " "},
		{"number64", "9223372036854775807 ", uint64(math.MaxInt64), " "},
		{"mailbox", "inBox ", "INBOX", " "},
		{"mailbox", `"inbox" `, "INBOX", " "},
		{"mailbox", "{5+}\r\nINBOX ", "INBOX", " "},
		{"mailbox", "inbox/a ", "inbox/a", " "},
		{"mailbox", "~peter/mail/&U,BTFw-/&ZeVnLIqe- ", "~peter/mail/台北/日本語", " "},
		{"mailbox", `"a &- b" `, "a & b", " "},
		{"utf8 name", "\"\u65e5&\" ", "\u65e5&", " "},
		{"utf8 name", "&ZeU- ", "&ZeU-", " "},
		{"utf8 name", "Inbox ", "INBOX", " "},
		{"utf8 quote", "\"\u65e5\" ", "\u65e5", " "},
		{"pattern", "%/a*] ", "%/a*]", " "},
		{"pattern", `"" `, "", " "},
		{"pattern", "&ZeU-*\r", "日*", "\r"},
		{"pattern", "inbox\r", "inbox", "\r"},
		{"flag", `\sEEN `, `\Seen`, " "},
		{"flag", `\draft)`, `\Draft`, ")"},
		{"flag", `\Foo)`, `\Foo`, ")"},
		{"flag", `$Junk)`, "$Junk", ")"},
		{"flag", `$junk)`, "$junk", ")"},
		{"flag-list", `()x`, []string(nil), "x"},
		{"flag-list", `(\Seen work $MDNSent)x`, []string{`\Seen`, "work", "$MDNSent"}, "x"},
		{"flags", "\\Seen work\r", []string{`\Seen`, "work"}, "\r"},
		{"flags", "(\\Seen)\r", []string{`\Seen`}, "\r"},
		{"date", "1-Feb-1994 ", "1994-02-01T00:00:00Z", " "},
		{"date", "29-FEB-2024 ", "2024-02-29T00:00:00Z", " "},
		{"date", `"01-dec-2000" `, "2000-12-01T00:00:00Z", " "},
		{"date-time", `"17-Jul-1996 02:44:25 -0700" `, "1996-07-17T02:44:25-07:00", " "},
		{"date-time", `" 7-Jul-1996 23:59:60 +0000"`, "1996-07-08T00:00:00Z", ""},
		{"date-time", `"7-Jul-1996 00:00:00 +0530"`, "1996-07-07T00:00:00+05:30", ""},
		{"base64", "= ", `""`, " "},
		{"base64", "AGZyZWQ=\r", `"\x00fred"`, "\r"},
		{"done", "done\r\nx", "", "x"},
		{"done", "DONE\nx", "", "x"},
		{"line", "a {5+} \x00 \"\r\nx", "a {5+} \x00 \"", "x"},
		{"line", "\r\nx", "", "x"},
		{"line", "a\r\r\nx", "a\r", "x"},
		{"auth-line", "AGZyZWQ=\r\nx", `"\x00fred" false`, "x"},
		{"auth-line", "\r\nx", `"" false`, "x"},
		{"auth-line", "=\r\nx", `"" false`, "x"},
		{"auth-line", "*\r\nx", `"" true`, "x"},
		{"set", "1 ", set(NumRange{1, 1}), " "},
		{"set", "* ", set(NumRange{0, 0}), " "},
		{"set", "2,4:7,9,12:*\r", set(NumRange{2, 2}, NumRange{4, 7}, NumRange{9, 9}, NumRange{12, 0}), "\r"},
		{"set", "*:4,5:4294967295)", set(NumRange{0, 4}, NumRange{5, math.MaxUint32}), ")"},
		{"set", "$ ", NumSet{Saved: true}, " "},
		{"section", "[]x", Section{}, "x"},
		{"section", "[1.22.3]x", Section{Part: []uint32{1, 22, 3}}, "x"},
		{"section", "[4.mime]x", Section{Part: []uint32{4}, Text: TextMIME}, "x"},
		{"section", "[text]x", Section{Text: TextBody}, "x"},
		{"section", "[2.Header]x", Section{Part: []uint32{2}, Text: TextHeader}, "x"},
		{
			"section", `[HEADER.FIELDS (From "X Y")]x`,
			Section{Text: TextHeaderFields, Fields: []string{"From", "X Y"}}, "x",
		},
		{
			"section", "[1.HEADER.FIELDS.NOT ({2+}\r\nTo)]x",
			Section{Part: []uint32{1}, Text: TextHeaderFieldsNot, Fields: []string{"To"}}, "x",
		},
		{"partial", "<0.1024>x", "0 1024 true", "x"},
		{"partial", " x", "0 0 false", " x"},
		{"list", "()x", "[]", "x"},
		{"list", "(a (b c) ())x", "[a,[b,c],[]]", "x"},
		{"stream", "{5}\r\nhello)", "5 false false hello", ")"},
		{"stream", "{5+}\r\nhello)", "5 true false hello", ")"},
		{"stream", "~{5}\r\nhe\x00lo)", "5 false true he\x00lo", ")"},
		{"stream", "~{0+}\r\n)", "0 true true ", ")"},
	} {
		t.Run(tt.production+" "+tt.in, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in+"|"), nil)
			got, err := productions[tt.production](r)
			if err != nil {
				t.Fatal(err)
			}
			if s, ok := got.(NumSet); ok && len(s.Ranges) == 0 {
				s.Ranges = nil
				got = s
			}
			if s, ok := got.(Section); ok {
				if len(s.Part) == 0 {
					s.Part = nil
				}
				if len(s.Fields) == 0 {
					s.Fields = nil
				}
				got = s
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %#v, want %#v", got, tt.want)
			}
			rest, err := io.ReadAll(io.MultiReader(strings.NewReader(string(r.buf[r.pos:r.end])), r.src))
			if err != nil || string(rest) != tt.rest+"|" {
				t.Errorf("left over %q, want %q (%v)", rest, tt.rest+"|", err)
			}
		})
	}
}

// Every bad form is a *SyntaxError (or a *NameError for names), and Skip finds
// the command that follows.
func TestBadProductions(t *testing.T) {
	for production, forms := range map[string][]string{
		"SP":         {"x", "\t", "\r\n"},
		"CRLF":       {"x", " \r\n", "\rx", "\x00"},
		"atom":       {"", "(", ")", "{", " ", "\x01", "\x7f", "%", "*", `"`, `\`, "]", "\xe9"},
		"keyword":    {"", "("},
		"item":       {"", "[", `"a"`},
		"astring":    {"", "(", "%", "\xe9", "{x}\r\n", "{", "{}", "{-1}", "{1+1}", "{1++}", "{1 }", "{1}x"},
		"string":     {"", "atom", `"open`, `"bad \x escape"`, "\"nul \x00\"", "\"cr \r\"", `"a\`, "{1+}\r\n\x00", "~{1+}\r\nx"},
		"nstring":    {"", "NILX", "atom", "(", "NI"},
		"number":     {"", "x", "-1", "+1", "4294967296", "99999999999999999999999999"},
		"nz-number":  {"", "0", "01", "4294967296"},
		"number64":   {"", "9223372036854775808", "18446744073709551616"},
		"mailbox":    {"", "%", "(a", "&Jjo", "&Jjo!", "\"\xe9\"", "&AGE-"},
		"utf8 name":  {"{1+}\r\n\xe9", "\"\xe9\""},
		"utf8 quote": {"\"\xe9\""},
		"pattern":    {"", "(", "&Jjo*-"},
		"flag":       {"", `\`, `\*`, `"x"`, "(", `\\Seen`},
		"flag-list":  {"", `\Seen`, `( )`, `(\Seen`, `(\Seen )`, `(\Seen  a)`, `(a,b`},
		"flags":      {"", "a  b", "(a"},
		"date": {
			"", "1-Feb-94", "0-Feb-1994", "32-Jan-2000", "30-Feb-2000", "29-Feb-2023", "1-Foo-2000",
			"001-Feb-1994", " 1-Feb-1994", "1-Feb-1994x", `"1-Feb-1994`, `"1-Feb-1994 "`, "1/Feb/1994", "{10+}\r\n1-Feb-1994",
		},
		"date-time": {
			"", "17-Jul-1996", `"17-Jul-1996"`, `"17-Jul-1996 02:44:25"`, `"17-Jul-1996 24:00:00 +0000"`,
			`"17-Jul-1996 00:60:00 +0000"`, `"17-Jul-1996 00:00:61 +0000"`, `"17-Jul-1996 00:00:00 0000"`,
			`"17-Jul-1996 00:00:00 +2400"`, `"17-Jul-1996 00:00:00 +0060"`, `"31-Jun-1996 00:00:00 +0000"`,
			`"17-Jul-1996  0:00:00 +0000"`, `"17-Jul-1996 00:00:00 +0000 "`,
		},
		"base64":    {"", "A", "AA", "AAA", "A===", "AB==", "*", "AA==AA=="},
		"line":      {"x {3+}\r\nx\r\n\r\n", "{3+}\nabc\n"},
		"done":      {"", "DONE{0+}\r\n\r\n", "DON", "DONE ", " DONE"},
		"auth-line": {"A", "AA==x", "* ", "AA\r==", "AB=="},
		"set":       {"", "0", "1:", ":1", "1,", ",1", "1,,2", "x", "4294967296", "-1", "1:0", "01", "(1)"},
		"section": {
			"", "x", "[", "[0]", "[1.]", "[.1]", "[1..2]", "[MIME]", "[FOO]", "[1.FOO]", "[HEADER", "[1 ]", "[ ]",
			"[HEADER.FIELDS]", "[HEADER.FIELDS ()]", "[HEADER.FIELDS From]", "[HEADER.FIELDS (From]", "[TEXT.1]",
		},
		"partial": {"<", "<1", "<1>", "<1.0>", "<1.2", "<.1>", "<a.b>", "<1,2>"},
		"list":    {"", "a", "(", "(a", "( a)", "(a )", "(a  b)", "((a)"},
		"stream":  {"", "x", "~", "~x", "{", "{1", "{1+", "{1+}x", "~{1}x", "{ 1}"},
	} {
		for _, in := range forms {
			t.Run(production+" "+in, func(t *testing.T) {
				command := "a X " + in
				if !strings.HasSuffix(in, "\n") {
					command += "\r\n"
				}
				r := NewReader(strings.NewReader(command+"t NOOP\r\n"), nil)
				if _, _, err := r.Command(); err != nil {
					t.Fatal(err)
				}
				if err := r.SP(); err != nil {
					t.Fatal(err)
				}
				got, err := productions[production](r)
				var syntax *SyntaxError
				var name *NameError
				if !errors.As(err, &syntax) && !errors.As(err, &name) || !InStep(err) {
					t.Fatalf("read %v, error %v", got, err)
				}
				expectNoop(t, r)
			})
		}
	}
}

// expectNoop skips what is left of a command and expects "t NOOP" CRLF as the
// last one of the stream.
func expectNoop(t *testing.T, r *Reader) {
	t.Helper()
	if err := r.Skip(); err != nil {
		t.Fatal("Skip:", err)
	}
	tag, name, err := r.Command()
	if string(tag) != "t" || string(name) != "NOOP" || err != nil {
		t.Fatalf("next command: %q %q %v", tag, name, err)
	}
	if err := r.CRLF(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Command(); err != io.EOF {
		t.Fatalf("at the end: %v", err)
	}
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		in, tag, name string
		bad           bool
	}{
		{"a1 noop\r\n", "a1", "NOOP", false},
		{"] NOOP\r\n", "]", "NOOP", false},
		{"a+1 NOOP\r\n", "a", "", true},
		{"+ NOOP\r\n", "", "", true},
		{"* OK\r\n", "", "", true},
		{"\r\n", "", "", true},
		{"\n", "", "", true},
		{" NOOP\r\n", "", "", true},
		{"a1\r\n", "a1", "", true},
		{"a1 \r\n", "a1", "", true},
		{"a1  NOOP\r\n", "a1", "", true},
		{"a1 \"NOOP\"\r\n", "a1", "", true},
		{"a1 {4+}\r\nNOOP\r\n", "a1", "", true},
		{strings.Repeat("x", 300) + " NOOP\r\n", strings.Repeat("x", 300), "NOOP", false},
	} {
		t.Run(tt.in, func(t *testing.T) {
			r := NewReader(strings.NewReader(tt.in+"t NOOP\r\n"), nil)
			tag, name, err := r.Command()
			if string(tag) != tt.tag || string(name) != tt.name || (err != nil) != tt.bad || err != nil && !InStep(err) {
				t.Errorf("got %q %q %v", tag, name, err)
			}
			if string(r.Tag()) != tt.tag {
				t.Errorf("Tag: %q", r.Tag())
			}
			expectNoop(t, r)
		})
	}
}

func TestSyntaxErrorPosition(t *testing.T) {
	r := NewReader(strings.NewReader("a SELECT {3+}\r\nabc secret\r\n"), nil)
	if _, _, err := r.Command(); err != nil {
		t.Fatal(err)
	}
	if err := r.SP(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadMailbox(); err != nil {
		t.Fatal(err)
	}
	err := r.CRLF()
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Pos != 0 || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestAtEnd(t *testing.T) {
	for in, want := range map[string]bool{"\r\n": true, "\n": true, " x": false, "x": false} {
		r := NewReader(strings.NewReader(in), nil)
		if got, err := r.AtEnd(); got != want || err != nil {
			t.Errorf("%q: got %v %v", in, got, err)
		}
	}
	if _, err := NewReader(strings.NewReader(""), nil).AtEnd(); err != io.EOF {
		t.Errorf("at the end of the stream: %v", err)
	}
}
