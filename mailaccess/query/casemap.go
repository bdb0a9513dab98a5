package query

import (
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// UnicodeCasemap prepares s for comparison by i;unicode-casemap (RFC 5051,
// section 2): each code point is turned into title case and decomposed. Two
// prepared strings compare as octets, for equality, order and substrings
// alike. What is not valid UTF-8 is returned as it is.
func UnicodeCasemap(s string) string {
	if isASCII(s) {
		return ASCIICasemap(s) // the same, on ASCII
	}
	if !utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/2)
	for _, r := range s {
		b = appendFold(b, r)
	}
	return string(b)
}

// ASCIICasemap prepares s for comparison by i;ascii-casemap (RFC 4790, section
// 9.2.1): the letters a to z become A to Z. Two prepared strings compare as
// octets.
func ASCIICasemap(s string) string {
	i := 0
	for i < len(s) && !isLower(s[i]) {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for ; i < len(s); i++ {
		b.WriteByte(upper(s[i]))
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

func upper(c byte) byte {
	if isLower(c) {
		return c - ('a' - 'A')
	}
	return c
}

// appendFold appends what RFC 5051, section 2, step 2 makes of a code point.
func appendFold(dst []byte, r rune) []byte {
	r = unicode.ToTitle(r)
	if r < utf8.RuneSelf {
		return append(dst, byte(r))
	}
	if 0xAC00 <= r && r <= 0xD7A3 {
		return appendHangul(dst, r)
	}
	var enc [utf8.UTFMax]byte
	n := utf8.EncodeRune(enc[:], r)
	// The tables hold decompositions that are complete already.
	if d := norm.NFKD.Properties(enc[:n]).Decomposition(); d != nil {
		return append(dst, d...)
	}
	return append(dst, enc[:n]...)
}

// appendHangul decomposes a syllable, which the tables leave to arithmetic (The
// Unicode Standard, section 3.12).
func appendHangul(dst []byte, r rune) []byte {
	const vowels, trails = 21, 28
	i := r - 0xAC00
	dst = utf8.AppendRune(dst, 0x1100+i/(vowels*trails))
	dst = utf8.AppendRune(dst, 0x1161+i/trails%vowels)
	if t := i % trails; t != 0 {
		dst = utf8.AppendRune(dst, 0x11A7+t)
	}
	return dst
}

// A code point folds into maxFold octets at most (U+FDFA is the longest).
const maxFold = 33

// folder prepares text in pieces, of which the last rune may be incomplete.
type folder struct {
	// recent remembers the last rune that fell on each entry: text has few
	// different runes, and looking one up costs two searches in tables.
	recent [1024]folded
}

type folded struct {
	r rune
	n uint8 // octets; 0 means none is remembered
	b [11]byte
}

// fold appends src, prepared, to dst until less than maxFold octets of its
// capacity are left, and returns how much of src it took. Without end, a rune
// that src does not finish is not taken. What is no UTF-8 becomes U+FFFD.
func (f *folder) fold(dst, src []byte, end bool) (_ []byte, taken int) {
	i, j := 0, len(dst)
	dst = dst[:cap(dst)]
	for i < len(src) && len(dst)-j >= maxFold {
		// The direct path: eight ASCII octets at once.
		for len(src)-i >= 8 && len(dst)-j >= 8+maxFold {
			w := binary.LittleEndian.Uint64(src[i:])
			if w&eachHigh != 0 {
				break
			}
			binary.LittleEndian.PutUint64(dst[j:], upper8(w))
			i, j = i+8, j+8
		}
		if i == len(src) {
			break
		}
		if c := src[i]; c < utf8.RuneSelf {
			dst[j] = upper(c)
			i, j = i+1, j+1
			continue
		}
		if !end && !utf8.FullRune(src[i:]) {
			break
		}
		r, n := utf8.DecodeRune(src[i:])
		i += n
		e := &f.recent[r%rune(len(f.recent))]
		if e.r != r || e.n == 0 {
			b := appendFold(dst[:j], r)
			if n := len(b) - j; n <= len(e.b) {
				e.r, e.n = r, uint8(n)
				copy(e.b[:], b[j:])
			}
			j = len(b)
			continue
		}
		j += copy(dst[j:], e.b[:e.n])
	}
	return dst[:j], i
}

const (
	eachOctet = 0x0101010101010101
	eachHigh  = 0x80 * eachOctet
)

// upper8 turns eight ASCII octets into upper case.
func upper8(w uint64) uint64 {
	fromA := w + (0x80-'a')*eachOctet // its high bit: at or above a
	overZ := w + (0x7f-'z')*eachOctet // its high bit: above z
	return w - (fromA&^overZ&eachHigh)>>2
}
