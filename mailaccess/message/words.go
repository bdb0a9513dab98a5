package message

import (
	"strings"
	"unicode/utf8"
)

// DecodeText decodes the encoded words (RFC 2047) in an unfolded value. Raw
// UTF-8 (RFC 6532) passes. A word that cannot be decoded stays as written;
// bytes that mean nothing become U+FFFD. The result is valid UTF-8.
//
// More is taken for an encoded word than RFC 2047, section 5, allows: inside
// quotes, next to other text, with spaces in it, base64 without its padding. A
// character may be cut in two by the end of a word.
func DecodeText(v string) string {
	if !strings.Contains(v, "=?") {
		return strings.ToValidUTF8(v, "\uFFFD")
	}
	var out strings.Builder
	decodeWords(v, func(text string) {
		out.WriteString(strings.ToValidUTF8(text, "\uFFFD"))
	}, func(run []byte, charset string) {
		out.WriteString(toUTF8(run, charset))
	})
	return out.String()
}

// TextOrOctets is DecodeText for whoever puts texts in order: what has no
// meaning in its charset, or is in an unknown one, is told apart (RFC 5255,
// section 4.6). Then ok is false, and the result is the octets with the encoded
// words undone and no charset applied.
func TextOrOctets(v string) (text string, ok bool) {
	if !strings.Contains(v, "=?") {
		return v, utf8.ValidString(v)
	}
	var out, octets strings.Builder
	ok = true
	decodeWords(v, func(text string) {
		ok = ok && utf8.ValidString(text)
		out.WriteString(text)
		octets.WriteString(text)
	}, func(run []byte, charset string) {
		octets.Write(run)
		text, known := convert(run, charset)
		ok = ok && known
		out.WriteString(text)
	})
	if ok {
		return out.String(), true
	}
	return octets.String(), false
}

// decodeWords takes a value apart: text as it is written, and the octets of
// encoded words next to each other that are in one charset.
func decodeWords(v string, plainText func(string), words func(run []byte, charset string)) {
	var run []byte // decoded words that were not given to words yet
	charset := ""  // theirs
	flush := func() {
		if len(run) > 0 {
			words(run, charset)
			run = run[:0]
		}
	}
	plain := 0    // where the text after the last word begins
	word := false // there was one
	for i := max(0, strings.Index(v, "=?")); i < len(v); {
		n := encodedWord(v[i:])
		if n == 0 {
			if k := strings.Index(v[i+1:], "=?"); k >= 0 {
				i += 1 + k
				continue
			}
			break
		}
		if between := v[plain:i]; !word || strings.Trim(between, " \t") != "" {
			// RFC 2047, section 6.2: space between words is not text.
			flush()
			plainText(between)
		}
		name, b := decodeWord(v[i : i+n])
		if name != charset {
			flush()
			charset = name
		}
		run = append(run, b...)
		i += n
		plain, word = i, true
	}
	flush()
	plainText(v[plain:])
}

// encodedWord returns the length of the encoded word (RFC 2047, section 2)
// that s begins with, or 0. It looks no further than the fourth "?", so that
// to ask at every "=?" of a text costs no more than to read it.
func encodedWord(s string) int {
	if !strings.HasPrefix(s, "=?") {
		return 0
	}
	i := 2 + strings.IndexAny(s[2:], "? ")
	if i < 3 || i+3 >= len(s) || s[i] != '?' || s[i+2] != '?' || strings.IndexByte("bBqQ", s[i+1]) < 0 {
		return 0
	}
	end := strings.IndexByte(s[i+3:], '?')
	if end < 0 || i+3+end+1 >= len(s) || s[i+3+end+1] != '=' {
		return 0
	}
	return i + 3 + end + 2
}

// decodeWord returns the charset and the bytes of an encoded word.
func decodeWord(w string) (charset string, b []byte) {
	charset, w, _ = strings.Cut(w[2:len(w)-2], "?")
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231, section 5: a language
	text := w[2:]
	if lower(w[:1]) == "b" {
		return lower(charset), new(base64Decoder).decode(nil, []byte(text), true)
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '_':
			c = ' '
		case c == '=' && i+2 < len(text) && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0:
			c = byte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
		}
		b = append(b, c)
	}
	return lower(charset), b
}
