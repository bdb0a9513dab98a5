package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMediaType(t *testing.T) {
	ascii := []Param{{"charset", "us-ascii"}}
	tests := []struct {
		in, typ, subtype string
		params           []Param
	}{
		{"text/html", "text", "html", nil},
		{"TEXT/HTML; CharSet=UTF-8", "text", "html", []Param{{"charset", "UTF-8"}}},
		{`multipart/mixed; boundary="a b;c"`, "multipart", "mixed", []Param{{"boundary", "a b;c"}}},
		{`text/plain; b=2; a=1`, "text", "plain", []Param{{"b", "2"}, {"a", "1"}}},
		{`text/plain; name="a \"b\" \\c"`, "text", "plain", []Param{{"name", `a "b" \c`}}},
		{"text/plain (a (nested) comment); (x) charset (y) = (z) utf-8 (w)", "text", "plain", []Param{{"charset", "utf-8"}}},
		{"text / plain ; charset = utf-8", "text", "plain", []Param{{"charset", "utf-8"}}},
		{"application/x; name*0*=utf-8''gr%C3%BC; name*1=xyz", "application", "x",
			[]Param{{"name*0*", "utf-8''gr%C3%BC"}, {"name*1", "xyz"}}},
		{"application/vnd.ms-excel; name=", "application", "vnd.ms-excel", []Param{{"name", ""}}},
		// What is malformed, and clear all the same.
		{"multipart/mixed; boundary=----=_Part_1/2:3", "multipart", "mixed", []Param{{"boundary", "----=_Part_1/2:3"}}},
		{"image/png; name=my holiday.png; x=y", "image", "png", []Param{{"name", "my holiday.png"}, {"x", "y"}}},
		{"text/plain charset=utf-8 format=flowed", "text", "plain", []Param{{"charset", "utf-8"}, {"format", "flowed"}}},
		{"text/plain; charset", "text", "plain", nil},
		{"text/plain;;; charset=utf-8;", "text", "plain", []Param{{"charset", "utf-8"}}},
		{`text/plain; name="not closed`, "text", "plain", []Param{{"name", "not closed"}}},
		{"text/plain; =x; charset=utf-8", "text", "plain", []Param{{"charset", "utf-8"}}},
		{"image/gr\xfc\xdfe; NAME=GR\xdc", "image", "gr\xfc\xdfe", []Param{{"name", "GR\xdc"}}},
		// What is not: RFC 2045, section 5.2.
		{"", "text", "plain", ascii},
		{"text", "text", "plain", ascii},
		{"/html", "text", "plain", ascii},
		{"text/", "text", "plain", ascii},
		{"image; name=x", "text", "plain", ascii},
		{`"image/png"`, "text", "plain", ascii},
	}
	for _, tt := range tests {
		typ, subtype, params := parseMediaType(tt.in)
		if typ != tt.typ || subtype != tt.subtype {
			t.Errorf("%q: %s/%s, want %s/%s", tt.in, typ, subtype, tt.typ, tt.subtype)
		}
		if diff := cmp.Diff(tt.params, params); diff != "" {
			t.Errorf("%q: params -want +got\n%s", tt.in, diff)
		}
	}
}

func TestManyParams(t *testing.T) {
	if _, _, params := parseMediaType("a/b" + strings.Repeat("; a=b", 5000)); len(params) != maxParams {
		t.Errorf("%d parameters, want %d", len(params), maxParams)
	}
	if l := parseLanguages(strings.Repeat("de,", 5000)); len(l) != maxParams {
		t.Errorf("%d languages, want %d", len(l), maxParams)
	}
}

func TestPartFields(t *testing.T) {
	tests := []struct {
		name, in string
		want     Part
	}{
		{"none", "Subject: x\n\n", Part{Type: "text", Subtype: "plain", Params: []Param{{"charset", "us-ascii"}}, Encoding: "7bit"}},
		{"all", `Content-Type: Image/PNG; Name="a.png"
Content-ID: <1@example.org>
Content-Description: =?utf-8?q?x?=
 y
Content-Transfer-Encoding: BASE64
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Disposition: Attachment; FileName=a.png;
	size=1
Content-Language: de, en (x), fr
Content-Location: http://www.example.org/a.png

`, Part{
			Type: "image", Subtype: "png", Params: []Param{{"name", "a.png"}}, ID: "<1@example.org>",
			Description: "=?utf-8?q?x?= y", Encoding: "base64", MD5: "Q2hlY2sgSW50ZWdyaXR5IQ==",
			Disposition: "attachment", DispositionParams: []Param{{"filename", "a.png"}, {"size", "1"}},
			Language: []string{"de", "en", "fr"}, Location: "http://www.example.org/a.png",
		}},
		{"text without charset", "Content-Type: text/html; x=y\n\n",
			Part{Type: "text", Subtype: "html", Params: []Param{{"x", "y"}, {"charset", "us-ascii"}}, Encoding: "7bit"}},
		{"text with an RFC 2231 charset", "Content-Type: text/html; charset*=us-ascii''utf-8\n\n",
			Part{Type: "text", Subtype: "html", Params: []Param{{"charset*", "us-ascii''utf-8"}}, Encoding: "7bit"}},
		{"empty fields", "Content-Type:\nContent-Disposition:\nContent-Transfer-Encoding:\nContent-Language: ,\n\n",
			Part{Type: "text", Subtype: "plain", Params: []Param{{"charset", "us-ascii"}}, Encoding: "7bit"}},
		{"malformed fields", "Content-Disposition: ;x=y\nContent-Transfer-Encoding: 8bit;\nContent-MD5: \x00\n\n",
			Part{Type: "text", Subtype: "plain", Params: []Param{{"charset", "us-ascii"}}, Encoding: "8bit"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := *parse(t, crlf(tt.in))
			got.Header, got.Body = Range{}, Range{}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDecodeParam(t *testing.T) {
	tests := []struct {
		in, want string
		ok       bool
	}{
		{"x=1", "", false},
		{"name=plain.txt", "plain.txt", true},
		{`name="=?utf-8?q?gr=C3=BC=C3=9Fe?=.txt"`, "grüße.txt", true},
		{"name=gr\xfc", "gr\uFFFD", true},
		// RFC 2231, sections 3, 4 and 4.1
		{`name*0="one "; name*1="two"`, "one two", true},
		{`name*1="two"; name*0="one "`, "one two", true},
		{"name*=iso-8859-1'de'gr%FC%DFe", "grüße", true},
		{`name*0*=us-ascii'en'This%20is%20; name*1*=%2A%2A%2Afun%2A%2A%2A%20; name*2="it's %20"`, "This is ***fun*** it's %20", true},
		{"name*0*=utf-8''gr%C3; name*1*=%BC", "grü", true},
		{"name=old; name*=utf-8''new", "new", true},
		{"name=old; name*0=ne; name*1=w", "new", true},
		{"name*0=a; name*2=c", "a", true},
		{"name*0=a; name*0=b", "a", true},
		{"name*1=b", "", false},
		{"name*x=b", "", false},
		{"name*=no%20charset", "no charset", true},
		{"name*=utf-8''bad%2", "bad%2", true},
		{"name*99999999999999999999=x; name=y", "y", true},
	}
	for _, tt := range tests {
		_, _, params := parseMediaType("a/b; " + tt.in)
		if got, ok := DecodeParam(params, "name"); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", tt.in, got, ok, tt.want, tt.ok)
		}
	}
}

func TestFilename(t *testing.T) {
	for in, want := range map[string]string{
		"Subject: x\n\n": "",
		"Content-Type: a/b; name=n\nContent-Disposition: attachment; filename=f\n\n":       "f",
		"Content-Type: a/b; name=n\nContent-Disposition: inline\n\n":                       "n",
		"Content-Disposition: attachment; filename*=utf-8''%E2%82%AC; filename=EURO\n\n":   "€",
		"Content-Disposition: attachment;\n filename*0=\"a \";\n filename*1=\"b.txt\"\n\n": "a b.txt",
	} {
		if got := parse(t, crlf(in)).Filename(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
