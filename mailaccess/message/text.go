package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// Text returns a reader of the body of the part, out of the message r, as
// UTF-8: transfer encoding and charset undone. What cannot be decoded is
// passed over or replaced; the only errors are those of r. The output is
// valid UTF-8, in which U+FFFD stands for bytes that mean nothing. The charset
// counts for text parts alone.
func (p *Part) Text(r io.ReaderAt) io.Reader {
	d, _ := p.Decoded(r)
	if p.Type != "text" {
		return newCharsetReader(d, "", p.Body.Len)
	}
	return newCharsetReader(d, p.Charset(), p.Body.Len)
}

// Decoded returns a reader of the body of the part, out of the message r,
// with its transfer encoding undone, and whether that encoding is known;
// otherwise the body is read as it is.
func (p *Part) Decoded(r io.ReaderAt) (_ io.Reader, known bool) {
	return newDecoder(p.Raw(r), p.Encoding, p.Body.Len)
}

// Raw returns a reader of the body of the part as it is, out of the message r.
func (p *Part) Raw(r io.ReaderAt) io.Reader { return Ranges{p.Body}.Reader(r) }

// NewDecoder returns a reader that undoes a content transfer encoding (RFC
// 2045, section 6), and whether the encoding is known; if it is not, r is
// returned. Malformed input never fails: base64 passes over what is none of
// its letters, and quoted-printable takes literally what is no escape.
func NewDecoder(r io.Reader, encoding string) (_ io.Reader, known bool) {
	return newDecoder(r, encoding, decodeChunk)
}

// newDecoder is NewDecoder for a reader of about size bytes.
func newDecoder(r io.Reader, encoding string, size int64) (_ io.Reader, known bool) {
	switch lower(encoding) {
	case "", "7bit", "8bit", "binary":
		return r, true
	case "base64":
		return &decoder{r: r, size: size, decode: new(base64Decoder).decode}, true
	case "quoted-printable":
		return &decoder{r: r, size: size, decode: new(qpDecoder).decode}, true
	}
	return r, false
}

// NewCharsetReader returns a reader of r, which is in the given charset, as
// valid UTF-8. An unknown charset, and none, is taken for UTF-8 or ASCII.
func NewCharsetReader(r io.Reader, name string) io.Reader {
	return newCharsetReader(r, name, decodeChunk)
}

// newCharsetReader is NewCharsetReader for a reader of about size bytes.
func newCharsetReader(r io.Reader, name string, size int64) io.Reader {
	if !isUTF8(name) {
		if cr, err := charset.Reader(name, r); err == nil {
			r = cr
		}
	}
	return &decoder{r: r, size: size, decode: new(utf8Checker).decode}
}

// toUTF8 returns text in the given charset as valid UTF-8. It is short, as a rule: what
// reads as it goes would cost more in buffers than the text is long.
func toUTF8(b []byte, name string) string {
	if !isUTF8(name) {
		// The reader over bytes in memory has no errors.
		if r, err := charset.Reader(name, bytes.NewReader(b)); err == nil {
			b = readInto(make([]byte, 0, 2*len(b)+utf8.UTFMax), r)
		}
	}
	if utf8.Valid(b) {
		return string(b)
	}
	return string(new(utf8Checker).decode(make([]byte, 0, len(b)+len(b)/2), b, true))
}

// readInto appends what r has to b.
func readInto(b []byte, r io.Reader) []byte {
	for {
		b = slices.Grow(b, utf8.UTFMax) // less than a rune a decoder may not want to write
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b
		}
	}
}

// isUTF8 reports whether text in the charset is UTF-8 as it is.
func isUTF8(name string) bool {
	switch lower(name) {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		return true
	}
	return false
}

// convert returns text in the given charset as UTF-8, and whether all of it has a
// meaning there.
func convert(b []byte, name string) (text string, ok bool) {
	if isUTF8(name) {
		return string(b), utf8.Valid(b)
	}
	if _, err := charset.Reader(name, nil); err != nil {
		return string(b), false
	}
	text = toUTF8(b, name)
	return text, !strings.ContainsRune(text, utf8.RuneError)
}

// decoder reads r through a decode function, which appends to dst what in
// means and keeps what it needs of a sequence that in does not finish. It is
// called with nothing at the end of the input.
type decoder struct {
	r      io.Reader
	size   int64 // what r has, about
	decode func(dst, in []byte, end bool) []byte
	in     []byte
	out    []byte // decoded
	next   int    // what of it was not read yet
	err    error
}

const decodeChunk = 8 << 10

func (d *decoder) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for d.next == len(d.out) {
		if d.err != nil {
			return 0, d.err
		}
		if d.in == nil {
			n := min(d.size, decodeChunk-1) + 1 // one more, to see the end
			d.in, d.out = make([]byte, n), make([]byte, 0, n+n/8)
		}
		var n int
		n, d.err = d.r.Read(d.in)
		d.out = d.decode(d.out[:0], d.in[:n], d.err == io.EOF)
		d.next = 0
	}
	n := copy(b, d.out[d.next:])
	d.next += n
	return n, nil
}

// base64Decoder undoes base64 (RFC 2045, section 6.8). A padding character
// ends a run of letters, after which another may begin.
type base64Decoder struct {
	run []byte // letters not decoded yet
}

func (d *base64Decoder) decode(dst, in []byte, end bool) []byte {
	for i := 0; i < len(in); i++ {
		start := i
		for i < len(in) && isBase64(in[i]) {
			i++
		}
		d.run = append(d.run, in[start:i]...)
		if i < len(in) && in[i] == '=' && len(d.run) > 0 {
			dst, d.run = appendBase64(dst, d.run), d.run[:0]
		}
	}
	whole := len(d.run) &^ 3
	if end {
		whole = len(d.run)
	}
	dst = appendBase64(dst, d.run[:whole])
	d.run = d.run[:copy(d.run, d.run[whole:])]
	return dst
}

// appendBase64 decodes letters. Of a last group it takes the whole octets.
func appendBase64(dst, letters []byte) []byte {
	// All that can be wrong with letters is one at the end that is left over:
	// six bits are no octet.
	dst, _ = base64.RawStdEncoding.AppendDecode(dst, letters)
	return dst
}

func isBase64(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}

// utf8Checker replaces what is no UTF-8 by U+FFFD.
type utf8Checker struct {
	held []byte // the beginning of a rune
}

func (d *utf8Checker) decode(dst, in []byte, end bool) []byte {
	if len(d.held) > 0 {
		in = append(d.held, in...)
		d.held = nil
	}
	for len(in) > 0 {
		k := 0
		for k < len(in) && in[k] < utf8.RuneSelf {
			k++
		}
		dst, in = append(dst, in[:k]...), in[k:]
		if len(in) == 0 {
			break
		}
		if !end && !utf8.FullRune(in) {
			d.held = append(d.held, in...)
			break
		}
		r, n := utf8.DecodeRune(in)
		dst, in = utf8.AppendRune(dst, r), in[n:]
	}
	return dst
}
