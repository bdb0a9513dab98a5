package message

import (
	"bytes"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// textCharset is a charset that text can be decoded from.
type textCharset struct {
	name     string            // in lower case
	utf8     bool              // text in it is UTF-8 as it is
	encoding encoding.Encoding // nil: one that a program has added to package charset
	decoders sync.Pool         // of *charsetDecoder
}

// charsets has those that were asked for, by name in lower case. It is a cache, of no more names
// than package charset knows.
var charsets atomic.Pointer[map[string]*textCharset]

// maxCharset is the longest name that is looked at.
const maxCharset = 64

// findCharset returns the charset of a name, whatever its case; nil when it is unknown. It is
// package charset that says which there are.
func findCharset[S ~string | ~[]byte](name S) *textCharset {
	if len(name) > maxCharset {
		return nil
	}
	var low [maxCharset]byte
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	known := charsets.Load()
	if known != nil {
		if c := (*known)[string(low[:len(name)])]; c != nil {
			return c
		}
	}
	c := newCharset(string(low[:len(name)]))
	for c != nil {
		more := make(map[string]*textCharset)
		if known != nil {
			maps.Copy(more, *known)
		}
		more[string(low[:len(name)])] = c
		if charsets.CompareAndSwap(known, &more) {
			break
		}
		known = charsets.Load()
	}
	return c
}

func newCharset(name string) *textCharset {
	if isUTF8(name) {
		return &textCharset{name: name, utf8: true}
	}
	if _, err := charset.Reader(name, nil); err != nil {
		return nil
	}
	return &textCharset{name: name, encoding: encodingOf(name)}
}

// encodingOf returns the encoding that package charset decodes a charset by: what it returns
// itself cannot be used for one text after another, and takes 8 KiB for each.
func encodingOf(name string) encoding.Encoding {
	switch name {
	case "ansi_x3.110-1983":
		return charmap.ISO8859_1
	case "x-utf_8j":
		return unicode.UTF8
	}
	for _, name := range [...]string{name, "cs" + name} {
		if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
			return e
		}
	}
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil
	}
	return e
}

// isUTF8 reports whether text in the charset is UTF-8 as it is.
func isUTF8(name string) bool {
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		return true
	}
	return false
}

// decoder returns a decoder, until release.
func (c *textCharset) decoder() *charsetDecoder {
	d, _ := c.decoders.Get().(*charsetDecoder)
	if d == nil {
		d = &charsetDecoder{charset: c, t: c.encoding.NewDecoder().Transformer}
	}
	return d
}

// charsetDecoder decodes a text into UTF-8.
type charsetDecoder struct {
	charset *textCharset
	t       transform.Transformer
	in      []byte // the beginning of a character, and what came after it
	failed  bool   // what is left cannot be decoded
}

// maxCharacter is more than any charset has for a character, in octets.
const maxCharacter = 4 << 10

func (d *charsetDecoder) decode(dst, in []byte, end bool) []byte {
	if d.failed {
		return dst
	}
	d.in = append(d.in, in...)
	in = d.in
	for room := len(in); ; room *= 2 {
		room = max(room, 4*utf8.UTFMax)
		dst = slices.Grow(dst, room)
		n, taken, err := d.t.Transform(dst[len(dst):cap(dst)], in, end)
		dst, in = dst[:len(dst)+n], in[taken:]
		if err == transform.ErrShortDst {
			continue
		}
		d.failed = err != nil && (err != transform.ErrShortSrc || end || len(in) > maxCharacter)
		d.in = d.in[:copy(d.in, in)]
		return dst
	}
}

// release gives the decoder back.
func (d *charsetDecoder) release() {
	d.t.Reset()
	d.in, d.failed = d.in[:0], false
	if cap(d.in) <= 4*decodeChunk {
		d.charset.decoders.Put(d)
	}
}

// reader returns a reader of r, decoded.
func (c *textCharset) reader(r io.Reader) io.Reader {
	if d, err := charset.Reader(c.name, r); err == nil {
		return d
	}
	return r
}

// appendUTF8 appends text in a charset as valid UTF-8. A charset that is unknown, nil, is taken
// for UTF-8. The text is short, as a rule.
func appendUTF8(dst, text []byte, c *textCharset) []byte {
	var check utf8Checker
	switch {
	case c == nil || c.utf8:
		return check.decode(dst, text, true)
	case c.encoding == nil:
		// The reader over bytes in memory has no errors.
		decoded, _ := io.ReadAll(c.reader(bytes.NewReader(text)))
		return check.decode(dst, decoded, true)
	}
	d := c.decoder()
	defer d.release()
	from := len(dst)
	if dst = d.decode(dst, text, true); utf8.Valid(dst[from:]) {
		return dst
	}
	return check.decode(dst[:from:from], dst[from:], true)
}
