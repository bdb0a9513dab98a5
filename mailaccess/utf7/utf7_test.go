package utf7

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestUTF7(t *testing.T) {
	for name, wire := range map[string]string{
		"":                     "",
		"INBOX":                "INBOX",
		"~peter/mail/台北/日本語":   "~peter/mail/&U,BTFw-/&ZeVnLIqe-", // RFC 3501, section 5.1.3
		"☺!":                   "&Jjo-!",
		"台北日本語":                "&U,BTF2XlZyyKng-",
		"a & b":                "a &- b",
		"&&":                   "&-&-",
		"日&":                   "&ZeU-&-",
		"日&本":                  "&ZeU-&-&Zyw-",
		"日-本":                  "&ZeU--&Zyw-",
		"😀":                    "&2D3eAA-",
		"\U0010ffff":           "&2,,f,w-",
		"\x00\x1f\x7f\u0080":   "&AAAAHwB,AIA-",
		"Entwürfe":             "Entw&APw-rfe",
		"\ufffd":               "&,,0-",
		"plus+comma,slash/~\\": "plus+comma,slash/~\\",
	} {
		if got := Encode(name); got != wire {
			t.Errorf("encode %q: got %q, want %q", name, got, wire)
		}
		if got, err := Decode(wire); got != name || err != nil {
			t.Errorf("decode %q: got %q %v, want %q", wire, got, err, name)
		}
	}
	if got := Encode("a\xffb"); got != "a&,,0-b" {
		t.Errorf("not UTF-8: %q", got)
	}
}

func TestDecodeStrict(t *testing.T) {
	for wire, why := range map[string]string{
		"&":                           "no end",
		"a&Jjo":                       "no end",
		"&Jjo!":                       "RFC 3501: no shift back",
		"&U,BTFw-&ZeVnLIqe-":          "RFC 3501: superfluous shift",
		"&AGE-":                       "printable ASCII in base64",
		"&ACY-":                       "& in base64",
		"&AH4-":                       "~ in base64",
		"&U/BTFw-":                    "base64 with a slash",
		"&Jjo=-":                      "padding",
		"&Jj-":                        "half a unit",
		"&J-":                         "less than an octet",
		"&JjoA-":                      "digit left over",
		"&Jjp-":                       "bits left over",
		"&2D0-":                       "high surrogate alone",
		"&3gA-":                       "low surrogate alone",
		"&2D3YPQ-":                    "two high surrogates",
		"&2D0AYQ-":                    "high surrogate, then something else",
		"\x80":                        "8-bit",
		"日":                           "UTF-8",
		"a\tb":                        "control character",
		"\x7f":                        "DEL",
		"\x00":                        "NUL",
		"&\xe9-":                      "8-bit in base64",
		"& -":                         "space in base64",
		"&ZeU-&":                      "no end after a section",
		strings.Repeat("&-", 9) + "&": "no end after many",
	} {
		if got, err := Decode([]byte(wire)); !errors.Is(err, ErrInvalid) || got != "" {
			t.Errorf("%s: decoded %q as %q (%v)", why, wire, got, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(
			rapid.String(),
			rapid.StringOf(rapid.RuneFrom([]rune("a&-é日\U0001F600\x00,+/"))),
		).Draw(t, "name")
		wire := Encode(name)
		if !plainASCII(wire) {
			t.Fatalf("%q has octets that are not printable ASCII", wire)
		}
		if got, err := Decode(wire); got != name || err != nil {
			t.Fatalf("%q as %q: got %q %v", name, wire, got, err)
		}
	})
}

func plainASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !printable(c) })
}

// Whatever decodes has no other form, and is valid UTF-8.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"INBOX", "&U,BTFw-/&ZeVnLIqe-", "&-", "&2D3eAA-", "&AGE-", "&ZeU-&-", "&Jjo", "a&b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		name, err := Decode(wire)
		if err != nil {
			return
		}
		if !utf8.ValidString(name) {
			t.Errorf("%q decodes as %q", wire, name)
		}
		if again := Encode(name); again != string(wire) {
			t.Errorf("%q decodes as %q, which encodes as %q", wire, name, again)
		}
	})
}
