package message

import (
	"bytes"
	"strings"
	"sync"
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
	d := newWordDecoder()
	defer d.release()
	d.value = append(d.value, v...)
	d.text = d.appendText(d.text, d.value)
	return string(d.text)
}

// TextOrOctets is DecodeText for whoever puts texts in order: what has no
// meaning in its charset, or is in an unknown one, is told apart (RFC 5255,
// section 4.6). Then ok is false, and the result is the octets with the encoded
// words undone and no charset applied.
func TextOrOctets(v string) (text string, ok bool) {
	if !strings.Contains(v, "=?") {
		return v, utf8.ValidString(v)
	}
	d := newWordDecoder()
	defer d.release()
	d.value = append(d.value, v...)
	var octets []byte
	ok = true
	d.decode(d.value, func(text []byte) {
		ok = ok && utf8.Valid(text)
		d.text = append(d.text, text...)
		octets = append(octets, text...)
	}, func(run []byte, charset *textCharset) {
		octets = append(octets, run...)
		from := len(d.text)
		switch d.text = appendUTF8(d.text, run, charset); {
		case charset == nil:
			ok = false
		case charset.utf8:
			ok = ok && utf8.Valid(run)
		default:
			ok = ok && !bytes.ContainsRune(d.text[from:], utf8.RuneError)
		}
	})
	if ok {
		return string(d.text), true
	}
	return string(octets), false
}

// wordDecoder is memory to decode encoded words in.
type wordDecoder struct {
	value []byte // what is decoded
	text  []byte // what it means
	run   []byte // the octets of words next to each other
}

// wordDecoders is a cache; what is in it cannot be observed.
var wordDecoders = sync.Pool{New: func() any { return new(wordDecoder) }}

func newWordDecoder() *wordDecoder { return wordDecoders.Get().(*wordDecoder) }

func (d *wordDecoder) release() {
	if cap(d.value)+cap(d.text)+cap(d.run) <= maxWordMemory {
		d.value, d.text, d.run = d.value[:0], d.text[:0], d.run[:0]
		wordDecoders.Put(d)
	}
}

// maxWordMemory is how much memory is kept for the next time, in octets.
const maxWordMemory = 64 << 10

// appendText appends v, decoded as DecodeText says.
func (d *wordDecoder) appendText(dst, v []byte) []byte {
	if !bytes.Contains(v, []byte("=?")) {
		return appendValid(dst, v)
	}
	d.decode(v, func(text []byte) {
		dst = appendValid(dst, text)
	}, func(run []byte, charset *textCharset) {
		dst = appendUTF8(dst, run, charset)
	})
	return dst
}

// appendValid appends text with one U+FFFD for what is no UTF-8 next to each other.
func appendValid(dst, text []byte) []byte {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	return append(dst, text...)
}

// decode takes a value apart: text as it is written, and the octets of
// encoded words next to each other that are in one charset.
func (d *wordDecoder) decode(v []byte, plainText func([]byte), words func(run []byte, charset *textCharset)) {
	d.run = d.run[:0]
	var charset *textCharset // of the decoded words that were not given to words yet
	var name []byte
	flush := func() {
		if len(d.run) > 0 {
			words(d.run, charset)
			d.run = d.run[:0]
		}
	}
	plain := 0    // where the text after the last word begins
	word := false // there was one
	for i := max(0, bytes.Index(v, []byte("=?"))); i < len(v); {
		n := encodedWord(v[i:])
		if n == 0 {
			if k := bytes.Index(v[i+1:], []byte("=?")); k >= 0 {
				i += 1 + k
				continue
			}
			break
		}
		if between := v[plain:i]; !word || len(bytes.Trim(between, " \t")) > 0 {
			// RFC 2047, section 6.2: space between words is not text.
			flush()
			plainText(between)
		}
		of, text, base64 := cutWord(v[i : i+n])
		if !word || !equalFold(of, name) {
			flush()
			charset, name = findCharset(of), of
		}
		d.run = appendWord(d.run, text, base64)
		i += n
		plain, word = i, true
	}
	flush()
	plainText(v[plain:])
}

// encodedWord returns the length of the encoded word (RFC 2047, section 2)
// that s begins with, or 0. It looks no further than the fourth "?", so that
// to ask at every "=?" of a text costs no more than to read it.
func encodedWord[S ~string | ~[]byte](s S) int {
	if len(s) < 2 || s[0] != '=' || s[1] != '?' {
		return 0
	}
	i := 2
	for i < len(s) && s[i] != '?' && s[i] != ' ' {
		i++
	}
	if i < 3 || i+3 >= len(s) || s[i] != '?' || s[i+2] != '?' || strings.IndexByte("bBqQ", s[i+1]) < 0 {
		return 0
	}
	end := i + 3
	for end < len(s) && s[end] != '?' {
		end++
	}
	if end+1 >= len(s) || s[end+1] != '=' {
		return 0
	}
	return end + 2
}

// cutWord returns the charset of an encoded word, its text, and how that is encoded.
func cutWord(w []byte) (charset, text []byte, base64 bool) {
	charset, w, _ = bytes.Cut(w[2:len(w)-2], []byte("?"))
	charset, _, _ = bytes.Cut(charset, []byte("*")) // RFC 2231, section 5: a language
	return charset, w[2:], w[0]|0x20 == 'b'
}

// appendWord appends the octets of the text of an encoded word.
func appendWord(dst, text []byte, base64 bool) []byte {
	if base64 {
		var d base64Decoder
		return d.decode(dst, text, true)
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
		dst = append(dst, c)
	}
	return dst
}
