package message

import (
	"io"
	"unicode/utf8"
)

// Text returns a reader of the body of the part, out of the message r, as
// UTF-8: transfer encoding and charset undone. What cannot be decoded is
// passed over or replaced; the only errors are those of r. The output is
// valid UTF-8, in which U+FFFD stands for bytes that mean nothing. The charset
// counts for text parts alone.
func (p *Part) Text(r io.ReaderAt) io.Reader {
	t := new(TextReader)
	t.Reset(p, r)
	return checked(t, p.Body.Len)
}

// TextReader reads the text of one part after another, in memory that it uses again. The zero
// value is ready for [TextReader.Reset].
type TextReader struct {
	raw      rangesReader
	body     [1]Range
	transfer decoder
	charset  decoder
	base64   base64Decoder
	qp       qpDecoder
	r        io.Reader
}

// Reset makes t read the body of p, out of the message r, as [Part.Text] does, but that bytes
// which mean nothing may come as they are.
func (t *TextReader) Reset(p *Part, r io.ReaderAt) {
	t.Close()
	t.body[0] = p.Body
	t.raw = rangesReader{r: r, rs: t.body[:]}
	t.r = &t.raw
	switch p.Encoding {
	case "base64":
		t.base64 = base64Decoder{}
		t.r = t.transfer.reset(t.r, &t.base64, p.Body.Len)
	case "quoted-printable":
		t.qp = qpDecoder{held: t.qp.held[:0]}
		t.r = t.transfer.reset(t.r, &t.qp, p.Body.Len)
	}
	if p.Type != "text" {
		return
	}
	switch c := findCharset(p.Charset()); {
	case c == nil || c.utf8:
	case c.encoding == nil:
		t.r = c.reader(t.r)
	default:
		t.r = t.charset.reset(t.r, c.decoder(), p.Body.Len)
	}
}

// Close lets go of the message and of what is shared. t may be used again.
func (t *TextReader) Close() {
	if d, ok := t.charset.undo.(*charsetDecoder); ok {
		d.release()
	}
	t.charset.undo, t.r, t.raw = nil, nil, rangesReader{}
}

// Read reads on in the text.
func (t *TextReader) Read(b []byte) (int, error) { return t.r.Read(b) }

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
		return new(decoder).reset(r, new(base64Decoder), size), true
	case "quoted-printable":
		return new(decoder).reset(r, new(qpDecoder), size), true
	}
	return r, false
}

// NewCharsetReader returns a reader of r, which is in the given charset, as
// valid UTF-8. An unknown charset, and none, is taken for UTF-8 or ASCII.
func NewCharsetReader(r io.Reader, name string) io.Reader {
	if c := findCharset(name); c != nil && !c.utf8 {
		r = c.reader(r)
	}
	return checked(r, decodeChunk)
}

// checked returns a reader of r, of about size bytes, that replaces what is no UTF-8.
func checked(r io.Reader, size int64) io.Reader {
	return new(decoder).reset(r, new(utf8Checker), size)
}

// toUTF8 returns text in the given charset as valid UTF-8.
func toUTF8(b []byte, name string) string { return string(appendUTF8(nil, b, findCharset(name))) }

// decoder reads r and undoes what was done to it.
type decoder struct {
	r    io.Reader
	size int64 // what r has, about
	undo undoer
	in   []byte
	out  []byte // decoded
	next int    // what of it was not read yet
	err  error
}

// undoer appends to dst what in means, and keeps what it needs of a sequence that in does not
// finish. It is called with end, perhaps without anything more, at the end of the input.
type undoer interface {
	decode(dst, in []byte, end bool) []byte
}

const decodeChunk = 8 << 10

// reset makes d read r, of about size bytes, in the memory that it has.
func (d *decoder) reset(r io.Reader, undo undoer, size int64) *decoder {
	d.r, d.size, d.undo = r, size, undo
	d.out, d.next, d.err = d.out[:0], 0, nil
	return d
}

func (d *decoder) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for d.next == len(d.out) {
		if d.err != nil {
			return 0, d.err
		}
		n := int(min(d.size, decodeChunk-1)) + 1 // one more, to see the end
		if cap(d.in) < n {
			d.in, d.out = make([]byte, n), make([]byte, 0, n+n/8)
		}
		n, d.err = d.r.Read(d.in[:n])
		d.out = d.undo.decode(d.out[:0], d.in[:n], d.err == io.EOF)
		d.next = 0
	}
	n := copy(b, d.out[d.next:])
	d.next += n
	return n, nil
}

// base64Decoder undoes base64 (RFC 2045, section 6.8). A padding character
// ends a run of letters, after which another may begin; whatever else is no letter is
// passed over.
type base64Decoder struct {
	bits uint32 // of the letters not decoded yet
	n    int    // how many these are
}

func (d *base64Decoder) decode(dst, in []byte, end bool) []byte {
	for i := 0; i < len(in); i++ {
		if d.n == 0 {
			// The direct path: four letters at once.
			for len(in)-i >= 4 {
				a, b, c, e := base64Value[in[i]], base64Value[in[i+1]], base64Value[in[i+2]], base64Value[in[i+3]]
				if (a|b|c|e)&noBase64 != 0 {
					break
				}
				v := uint32(a)<<18 | uint32(b)<<12 | uint32(c)<<6 | uint32(e)
				dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
				i += 4
			}
			if i == len(in) {
				break
			}
		}
		switch v := base64Value[in[i]]; {
		case v&noBase64 == 0:
			d.bits = d.bits<<6 | uint32(v)
			if d.n++; d.n == 4 {
				dst = append(dst, byte(d.bits>>16), byte(d.bits>>8), byte(d.bits))
				d.n = 0
			}
		case in[i] == '=':
			dst = d.flush(dst)
		}
	}
	if end {
		dst = d.flush(dst)
	}
	return dst
}

// flush decodes a group that is not whole. Of that it takes the whole octets: six bits are none.
func (d *base64Decoder) flush(dst []byte) []byte {
	switch d.n {
	case 2:
		dst = append(dst, byte(d.bits>>4))
	case 3:
		dst = append(dst, byte(d.bits>>10), byte(d.bits>>2))
	}
	d.n = 0
	return dst
}

const noBase64 = 0x80

// base64Value has the six bits of each letter.
var base64Value = func() (values [256]byte) {
	for c := range values {
		values[c] = noBase64
	}
	for v, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		values[c] = byte(v)
	}
	return values
}()

// utf8Checker replaces what is no UTF-8 by U+FFFD.
type utf8Checker struct {
	held []byte // the beginning of a rune
}

func (d *utf8Checker) decode(dst, in []byte, end bool) []byte {
	if len(d.held) > 0 {
		in = append(d.held, in...)
		d.held = nil
	} else if utf8.Valid(in) {
		return append(dst, in...)
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
