package message

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestHeaderFields(t *testing.T) {
	type field struct{ Name, Raw, Value string }
	tests := []struct {
		name, in string
		want     []field
	}{
		{"empty", "", nil},
		{"blank line", "\r\nA: 1\r\n", nil},
		{"simple", "A: 1\r\nB:2\r\n\r\n", []field{{"A", "A: 1\r\n", "1"}, {"B", "B:2\r\n", "2"}}},
		{"folded", "A: 1\r\n\t2\r\n  3\r\nB: 4\r\n", []field{{"A", "A: 1\r\n\t2\r\n  3\r\n", "1\t2  3"}, {"B", "B: 4\r\n", "4"}}},
		{"value on the next line", "A:\r\n 1\r\n\r\n", []field{{"A", "A:\r\n 1\r\n", "1"}}},
		{"line of space is no blank line", "A: 1\r\n \r\n 2\r\n\r\n", []field{{"A", "A: 1\r\n \r\n 2\r\n", "1  2"}}},
		{"LF", "A: 1\n 2\n\nB: 3\n", []field{{"A", "A: 1\n 2\n", "1 2"}}},
		{"no line end", "A: 1", []field{{"A", "A: 1", "1"}}},
		{"space before colon", "A \t: 1\r\n", []field{{"A", "A \t: 1\r\n", "1"}}},
		{"no field", "none\r\n folded\r\nA: 1\r\nb c: 2\r\n: 3\r\n", []field{{"A", "A: 1\r\n", "1"}}},
		{"continuation first", " x: 1\r\nA: 1\r\n", []field{{"A", "A: 1\r\n", "1"}}},
		{"empty value", "A:\r\n", []field{{"A", "A:\r\n", ""}}},
		{"bare CR", "A: 1\rB: 2\r\n", []field{{"A", "A: 1\rB: 2\r\n", "1 B: 2"}}},
		{"8-bit name", "\xc3\xa4: 1\r\nA: \xff\r\n", []field{{"A", "A: \xff\r\n", "\xff"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []field
			for f := range Header(tt.in).Fields() {
				got = append(got, field{string(f.Name), string(f.Raw), f.Value()})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			for range Header(tt.in).Fields() {
				break
			}
		})
	}
}

func TestHeaderGet(t *testing.T) {
	h := Header("Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nreceived: 1\r\nRECEIVED: 2\r\n\r\nReceived: 3\r\n")
	if v, ok := h.Get("SUBJECT"); v != "=?utf-8?q?gr=C3=BC=C3=9Fe?=" || !ok {
		t.Errorf("Get: %q, %v", v, ok)
	}
	if v, ok := h.Text("subject"); v != "grüße" || !ok {
		t.Errorf("Text: %q, %v", v, ok)
	}
	if v, ok := h.Get("to"); v != "" || ok {
		t.Errorf("Get of an absent field: %q, %v", v, ok)
	}
	var all []string
	for v := range h.Values("Received") {
		all = append(all, v)
	}
	if diff := cmp.Diff([]string{"1", "2"}, all); diff != "" {
		t.Errorf("Values: -want +got\n%s", diff)
	}
}

func TestDecodeText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"grüße", "grüße"},
		{"gr\xfc", "gr\uFFFD"},
		{"=?iso-8859-1?Q?gr=FC=DFe?= x", "grüße x"},
		{"=?UTF-8?B?Z3LDvMOfZQ==?=", "grüße"},
		{"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"=?utf-8?q?a_b?= c", "a b c"},
		{"=?koi8-r?B?8PLp9+X0?=", "ПРИВЕТ"},
		{"=?no-such?q?gr=FC?=", "gr\uFFFD"},
		{"=?utf-8?q?not closed", "=?utf-8?q?not closed"},
		{"=?utf-8?x?abc?=", "=?utf-8?x?abc?="},
		{"gr\xfc =?utf-8?q?=C3=BC?=", "gr\uFFFD ü"},
		// One character cut in two, as senders do that count octets.
		{"=?utf-8?q?gr=C3?= =?utf-8?q?=BC=C3=9Fe?=", "grüße"},
		{"=?UTF-8?B?ww==?= =?utf-8?B?vA==?=", "ü"},
		{"=?utf-8?B?Z3LDvMOfZQ?=", "grüße"},
		{"=?utf-8*de?q?gr=C3=BC=C3=9Fe?=", "grüße"}, // RFC 2231, section 5
		{"=?utf-8?q?a b?=", "a b"},
		{"=?utf-8?q??= =?utf-8?q?a?=", "a"},
		{"a=?utf-8?q?b?=c", "abc"},
		{"=?=?utf-8?q?a?=", "=?a"},
	}
	for _, tt := range tests {
		if got := DecodeText(tt.in); got != tt.want {
			t.Errorf("DecodeText(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestParseDate(t *testing.T) {
	tests := []struct{ in, want string }{ // want in RFC 3339
		{"Mon, 7 Feb 1994 21:52:25 -0800", "1994-02-07T21:52:25-08:00"},
		{"7 Feb 1994 21:52 +0130", "1994-02-07T21:52:00+01:30"},
		{"Mon,7 Feb 94 21:52:25 EST", "1994-02-07T21:52:25-05:00"},
		{"Fri, 21 Nov 97 09(comment):   55  :  06 -0600", "1997-11-21T09:55:06-06:00"},
		{"Thu,\n 13\n Feb\n 1969\n 23:32\n -0330 (Newfoundland Time)", "1969-02-13T23:32:00-03:30"},
		{"Mon, 7 Feb 103 21:52:25 GMT", "2003-02-07T21:52:25Z"},
		{"Mon, 7 Feb 03 21:52:25 UT", "2003-02-07T21:52:25Z"},
		{"Mon, 7 Feb 1994 21:52:25 A", "1994-02-07T21:52:25Z"},
		{"Mon, 7 Feb 1994 21:52:25", "1994-02-07T21:52:25Z"},
		{"Mon, 7 Feb 1994", "1994-02-07T00:00:00Z"},
		{"Mon Feb  7 21:52:25 1994", "1994-02-07T21:52:25Z"},
		{"Mon Feb  7 21:52:25 PST 1994", "1994-02-07T21:52:25-08:00"},
		{"Monday, 07-Feb-94 21:52:25 GMT", "1994-02-07T21:52:25Z"},
		{"Mon, 7 February 1994 21.52.25 +0100", "1994-02-07T21:52:25+01:00"},
		{"Mon, 7 Feb 1994 21:52:25 GMT+0100", "1994-02-07T21:52:25+01:00"},
		{"Mon, 7 Feb 1994 21:52:25 +01:00", "1994-02-07T21:52:25+01:00"},
		{"Mon, 7 Feb 1994 21:52:25 +0100 (CET)", "1994-02-07T21:52:25+01:00"},
		{"Mon, 7 Feb 1994 21:52:25 +0100 CET", "1994-02-07T21:52:25+01:00"},
		{"Mon, 7 Feb 1994 9:52:25 PM", "1994-02-07T21:52:25Z"},
		{"1994-02-07T21:52:25Z", "1994-02-07T21:52:25Z"},
		{"1994-02-07 21:52:25.123 +0100", "1994-02-07T21:52:25+01:00"},
		{"19940207", "1994-02-07T00:00:00Z"},
		{"Sat, 31 Dec 2016 23:59:60 +0000", "2017-01-01T00:00:00Z"},
		{"", ""},
		{"rubbish", ""},
		{"Mon, 31 Feb 1994 00:00:00 +0000", ""},
		{"Mon, 7 Foo 1994 21:52:25 -0800", ""},
		{"Mon, 7 Feb 1994 25:52:25 -0800", "1994-02-07T00:00:00-08:00"},
		{"Mon, 7 Feb 1994 21:60:25 +2500", "1994-02-07T00:00:00Z"},
		{"99999999999999999999 Feb 99999999999999999999", ""},
	}
	for _, tt := range tests {
		got := ""
		if v, ok := ParseDate(tt.in); ok {
			got = v.Format(time.RFC3339)
		}
		if got != tt.want {
			t.Errorf("ParseDate(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	if v, ok := Header("Subject: x\r\nDate: 7 Feb 1994\r\n 21:52 GMT\r\n").Date(); !ok || !v.Equal(time.Date(1994, 2, 7, 21, 52, 0, 0, time.UTC)) {
		t.Errorf("Date: %v, %v", v, ok)
	}
	if v, ok := Header("Subject: x\r\n").Date(); ok {
		t.Errorf("Date without a field: %v", v)
	}
}

func TestReadHeader(t *testing.T) {
	msg := "A: 1\r\n\r\nbody"
	p := parse(t, msg)
	if h, err := p.ReadHeader(strings.NewReader(msg)); string(h) != "A: 1\r\n\r\n" || err != nil {
		t.Errorf("got %q, %v", h, err)
	}
	if _, err := p.ReadHeader(strings.NewReader(msg[:3])); err != io.ErrUnexpectedEOF {
		t.Errorf("message cut short: %v, want io.ErrUnexpectedEOF", err)
	}
	huge := "A: " + strings.Repeat("x", 2*MaxHeader) + "\r\n\r\n"
	if h, err := parse(t, huge).ReadHeader(strings.NewReader(huge)); len(h) != MaxHeader || err != nil {
		t.Errorf("huge header: %d bytes, %v, want %d", len(h), err, MaxHeader)
	}
}

// RFC 5255, section 4.6: what has no meaning in its charset is put in order by its
// octets.
func TestTextOrOctets(t *testing.T) {
	for _, tt := range []struct {
		in, text string
		ok       bool
	}{
		{"plain", "plain", true},
		{"Grüße", "Grüße", true},
		{"Gr\xfc\xdfe", "Gr\xfc\xdfe", false},
		{"=?utf-8?q?Gr=C3=BC=C3=9Fe?= an alle", "Grüße an alle", true},
		{"=?utf-8?q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=", "Grüße", true},
		{"a =?iso-8859-1?q?Gr=FC=DFe?= b", "a Grüße b", true},
		{"a =?utf-8?q?Gr=FC=DFe?= b", "a Gr\xfc\xdfe b", false},
		{"=?x-unknown?q?abc?= Grüße", "abc Grüße", false},
		{"=?iso-8859-1?q?=FC?= \xff", "\xfc \xff", false},
		{"=?koi8-r?b?4czFy9PFyg==?=", "Алексей", true},
		{"=?utf-8?q?=EF=BF=BD?=", "\uFFFD", true},
		{"=?utf-8?x?no word?=", "=?utf-8?x?no word?=", true},
		{"", "", true},
	} {
		if text, ok := TextOrOctets(tt.in); text != tt.text || ok != tt.ok {
			t.Errorf("TextOrOctets(%q) = %q, %v, want %q, %v", tt.in, text, ok, tt.text, tt.ok)
		}
	}
}

func TestFirstAddress(t *testing.T) {
	for _, s := range []string{
		"", ",;", "a@b", "A <a@b>, c@d", ", a@b", "us: a@b, c@d;", "(c)", strings.Repeat("a@b,", 20000),
	} {
		a, ok := FirstAddress(s)
		list := ParseAddresses(s)
		if ok != (len(list) > 0) || ok && a != list[0] {
			t.Errorf("first of %.20q is %+v, %v, want the first of %.100v", s, a, ok, list)
		}
	}
}

func TestReadHeaderAlone(t *testing.T) {
	long := "Subject: x\r\nX: " + strings.Repeat("y", 9000) + "\r\n\r\n"
	for in, most := range map[string]int{
		"":                                 0,
		"Subject: x":                       10,
		"Subject: x\r\n\r\nbody":           18,
		"Subject: x\r\n\r\n" + long + long: 4 << 10,
		long + long + long:                 16 << 10,
		strings.Repeat("x", 3*MaxHeader):   MaxHeader,
	} {
		for _, buf := range [][]byte{nil, make([]byte, 5000)} {
			h, err := ReadHeader(strings.NewReader(in), int64(len(in)), buf)
			if err != nil || len(h) != most || !strings.HasPrefix(in, string(h)) {
				t.Errorf("%.20q: %d octets, %v, want %d", in, len(h), err, most)
			}
		}
	}
	if _, err := ReadHeader(strings.NewReader("short"), 6, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a content that is too short: %v", err)
	}
}

// Most values can be taken as they lie in the header; of those, Text says the same.
func TestFieldPlain(t *testing.T) {
	for value, plain := range map[string]bool{
		" an ordinary subject?\r\n": true,
		" tab\there \n":             true,
		"\r\n":                      true,
		" folded\r\n here\r\n":      false,
		" bare\rCR\r\n":             false,
		" NUL\x00inside\r\n":        false,
		" caf\xc3\xa9\r\n":          false,
		" =?utf-8?q?a?=\r\n":        false,
	} {
		for f := range Header("Subject:" + value).Fields() {
			text, ok := f.Plain()
			if ok != plain || ok && string(text) != f.Text() {
				t.Errorf("%q: %q, %v; text %q", value, text, ok, f.Text())
			}
		}
	}
}
