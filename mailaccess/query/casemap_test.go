package query

import (
	"math/bits"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

func TestUnicodeCasemap(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", "", ""},
		{"ASCII", "Hello, World 09 @[`{~", "HELLO, WORLD 09 @[`{~"},
		{"RFC 5051, section 2: U+01C4", "\u01C4", "Dz\u030C"},
		{"accented letter", "\u00E9", "E\u0301"},
		{"letter and mark", "e\u0301", "E\u0301"},
		{"marks are not put in order", "a\u0301\u0323", "A\u0301\u0323"},
		{"sharp s has no title case", "stra\u00DFe", "STRA\u00DFE"},
		{"fullwidth", "\uFF41", "A"},
		{"long s", "\u017F", "S"},
		{"Kelvin sign", "\u212A", "K"},
		{"ligature", "\uFB01", "fi"}, // not put in title case again
		{"Greek", "\u03B1\u03C2", "\u0391\u03A3"},
		{"Cyrillic", "\u043F\u0440\u0438\u0432\u0435\u0442", "\u041F\u0420\u0418\u0412\u0415\u0422"},
		{"Hangul syllable", "\uAC01", "\u1100\u1161\u11A8"},
		{"beyond the BMP", "\U00010428", "\U00010400"},
		{"section 2, step 1b: not UTF-8", "abc\xff", "abc\xff"},
		{"overlong", "a\xc0\xaf", "a\xc0\xaf"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := UnicodeCasemap(tt.in); got != tt.want {
				t.Errorf("UnicodeCasemap(%+q) = %+q, want %+q", tt.in, got, tt.want)
			}
		})
	}
}

func TestASCIICasemap(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"ABC", "ABC"},
		{"azAZ@[`{", "AZAZ@[`{"},
		{"na\u00EFve", "NA\u00EFVE"},
		{"\xe9a\x00", "\xe9A\x00"},
	}
	for _, tt := range tests {
		if got := ASCIICasemap(tt.in); got != tt.want {
			t.Errorf("ASCIICasemap(%+q) = %+q, want %+q", tt.in, got, tt.want)
		}
	}
}

// naiveCasemap is RFC 5051 by means of the library's normalisation.
func naiveCasemap(s string) string {
	if !utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteString(norm.NFKD.String(string(unicode.ToTitle(r))))
	}
	return b.String()
}

// Every code point folds as NFKD says, within the room that fold reckons with.
func TestEveryRune(t *testing.T) {
	longest := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		got := appendFold(nil, r)
		longest = max(longest, len(got))
		if want := naiveCasemap(string(r)); string(got) != want {
			t.Errorf("%U folds into %+q, want %+q", r, got, want)
		}
	}
	if longest != maxFold {
		t.Errorf("the longest folded code point has %d octets, not %d", longest, maxFold)
	}
}

func TestUpper8(t *testing.T) {
	for c := range byte(utf8.RuneSelf) {
		want := uint64(upper(c)) * eachOctet
		if got := upper8(uint64(c) * eachOctet); got != want {
			t.Errorf("upper8 of %q gives %x, want %x", c, got, want)
		}
	}
	// No octet may carry into the next one.
	if got := upper8(0x7f617a7f417b607f); got != 0x7f415a7f417b607f || bits.LeadingZeros64(got) != 1 {
		t.Errorf("upper8 of a mixture gives %x", got)
	}
}

func TestCasemapSortsAndFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if got, want := UnicodeCasemap(s), naiveCasemap(s); got != want {
			t.Fatalf("UnicodeCasemap(%+q) = %+q, want %+q", s, got, want)
		}
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "octets")
		if got := ASCIICasemap(string(b)); len(got) != len(b) || ASCIICasemap(got) != got {
			t.Fatalf("ASCIICasemap(%+q) = %+q", b, got)
		}
	})
}
