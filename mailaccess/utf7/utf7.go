// Package utf7 reads and writes modified UTF-7 (RFC 3501, section 5.1.3), in which
// IMAP4rev1 and Maildir++ keep the names of mailboxes: printable ASCII stands for
// itself, "&" is "&-", and everything else is UTF-16 in a base64 that has "," for
// "/" and no padding, between "&" and "-". Every string has exactly one encoding.
package utf7

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// ErrInvalid says that something is not well-formed modified UTF-7.
var ErrInvalid = errors.New("not valid modified UTF-7")

const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"

// base64Values is never written to; 0xff marks what is no digit.
var base64Values = makeBase64Values()

func makeBase64Values() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(base64Digits) {
		t[base64Digits[i]] = byte(i)
	}
	return t
}

func printable(c rune) bool { return 0x20 <= c && c <= 0x7e }

// Append appends s, which is UTF-8, in modified UTF-7. Octets that are not
// UTF-8 come out as U+FFFD.
func Append(dst []byte, s string) []byte {
	var bits uint32 // the lowest n bits wait for a digit
	n := 0
	shifted := false
	unit := func(u uint16) {
		bits, n = bits<<16|uint32(u), n+16
		for n >= 6 {
			n -= 6
			dst = append(dst, base64Digits[bits>>n&0x3f])
		}
	}
	unshift := func() {
		if !shifted {
			return
		}
		if n > 0 {
			dst = append(dst, base64Digits[bits<<(6-n)&0x3f])
		}
		dst = append(dst, '-')
		bits, n, shifted = 0, 0, false
	}
	for _, c := range s {
		if printable(c) {
			unshift()
			dst = append(dst, byte(c))
			if c == '&' {
				dst = append(dst, '-')
			}
			continue
		}
		if !shifted {
			dst = append(dst, '&')
			shifted = true
		}
		if hi, lo := utf16.EncodeRune(c); hi != utf8.RuneError {
			unit(uint16(hi))
			unit(uint16(lo))
		} else {
			unit(uint16(c))
		}
	}
	unshift()
	return dst
}

// Encode returns s, which is UTF-8, in modified UTF-7.
func Encode(s string) string {
	if Plain(s) {
		return s
	}
	return string(Append(nil, s))
}

// Decode returns the UTF-8 of s, which is modified UTF-7. It is strict, so
// that no two forms mean the same name: octets outside printable ASCII, a
// missing "-", an empty or superfluous shift, printable ASCII in base64, an
// unpaired surrogate and bits left over are ErrInvalid.
func Decode[S ~[]byte | ~string](s S) (string, error) {
	if Plain(s) {
		return string(s), nil
	}
	dst := make([]byte, 0, len(s)+len(s)/2)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !printable(rune(c)) {
			return "", ErrInvalid
		}
		if c != '&' {
			dst = append(dst, c)
			continue
		}
		start := i + 1
		for i = start; i < len(s) && s[i] != '-'; i++ {
		}
		if i == len(s) {
			return "", ErrInvalid
		}
		if i == start {
			dst = append(dst, '&')
			continue
		}
		var ok bool
		if dst, ok = appendShifted(dst, s[start:i]); !ok {
			return "", ErrInvalid
		}
		// "-&" may only be followed by "-": two sections in a row are one.
		if i+1 < len(s) && s[i+1] == '&' && !(i+2 < len(s) && s[i+2] == '-') {
			return "", ErrInvalid
		}
	}
	return string(dst), nil
}

// Plain reports whether s is the same in UTF-8 and modified UTF-7: printable ASCII
// without "&".
func Plain[S ~[]byte | ~string](s S) bool {
	for i := range len(s) {
		if c := s[i]; !printable(rune(c)) || c == '&' {
			return false
		}
	}
	return true
}

// appendShifted appends the UTF-8 of what is between "&" and "-".
func appendShifted[S ~[]byte | ~string](dst []byte, s S) ([]byte, bool) {
	var bits uint32
	n := 0
	var high rune // a high surrogate that waits for its pair
	for i := range len(s) {
		v := base64Values[s[i]]
		if v == 0xff {
			return nil, false
		}
		bits, n = bits<<6|uint32(v), n+6
		if n < 16 {
			continue
		}
		n -= 16
		c := rune(bits >> n & 0xffff)
		bits &= 1<<n - 1
		switch {
		case high != 0:
			if c = utf16.DecodeRune(high, c); c == utf8.RuneError {
				return nil, false
			}
			high = 0
		case 0xd800 <= c && c < 0xdc00:
			high = c
			continue
		case 0xdc00 <= c && c < 0xe000, printable(c):
			return nil, false
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst, high == 0 && n < 6 && bits == 0
}
