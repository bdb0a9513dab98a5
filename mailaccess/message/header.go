package message

import (
	"bytes"
	"iter"
	"unicode/utf8"
)

// Header is the header of a message or of a part as it stands in the
// original: fields, folded as they are, and usually the blank line after
// them. Any bytes are a Header; what is no field is passed over.
type Header []byte

// Field is one field of a header.
type Field struct {
	// Name is the field's name as written.
	Name []byte
	// Raw is the whole field, name, folding and line end included.
	Raw []byte
}

// Fields yields the fields in their order. The slices point into the header.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		var start, name int // of the field being read; name 0 means none
		for i := 0; i < len(h); {
			end := len(h)
			if k := bytes.IndexByte(h[i:], '\n'); k >= 0 {
				end = i + k + 1
			}
			line := h[i:end]
			if line[0] != ' ' && line[0] != '\t' {
				if name > 0 && !yield(Field{h[start : start+name], h[start:i]}) {
					return
				}
				name = 0
				if isBlank(line) {
					return
				}
				start, name = i, fieldName(line)
			} else if name == 0 {
				start = end
			}
			i = end
		}
		if name > 0 {
			yield(Field{h[start : start+name], h[start:]})
		}
	}
}

// HeaderLen returns how long the header of a message is that begins with b: the
// Len of [Part.Header], without parsing the rest. ok is false when b does not reach to
// the blank line that ends the header.
func HeaderLen(b []byte) (n int64, ok bool) {
	lines, fields := 0, 0
	for off := 0; ; lines++ {
		end := bytes.IndexByte(b[off:], '\n')
		if end < 0 {
			return 0, false
		}
		line := b[off : off+end+1]
		off += len(line)
		switch {
		case isBlank(line):
			if lines > 0 && fields == 0 { // see Parser.headerLine
				return 0, true
			}
			return int64(off), true
		case line[0] != ' ' && line[0] != '\t' && fieldName(line) > 0:
			fields++
		}
	}
}

// Is reports whether the field has the name, whatever the case.
func (f Field) Is(name string) bool { return equalFold(f.Name, name) }

// RawValue returns what follows the colon, as written.
func (f Field) RawValue() []byte { return f.Raw[bytes.IndexByte(f.Raw, ':')+1:] }

// Value returns the value unfolded and without the space around it. It
// contains no CR, LF or NUL; encoded words and 8-bit bytes are as written.
func (f Field) Value() string { return unfold(f.RawValue()) }

// Plain returns what Text does where that takes no decoding, as it lies in the header:
// a value of one line in ASCII, without encoded words and controls. ok is false for any other.
func (f Field) Plain() (text []byte, ok bool) {
	b := bytes.Trim(f.RawValue(), blank)
	for i, c := range b {
		if c < ' ' && c != '\t' || c >= utf8.RuneSelf || c == '?' && i > 0 && b[i-1] == '=' {
			return nil, false
		}
	}
	return b, true
}

// Text returns the value decoded into UTF-8, as [DecodeText] does.
func (f Field) Text() string { return DecodeText(f.Value()) }

// AppendText appends what Text returns.
func (f Field) AppendText(dst []byte) []byte {
	d := newWordDecoder()
	defer d.release()
	d.value = appendUnfolded(d.value, f.RawValue())
	return d.appendText(dst, d.value)
}

// Get returns the value of the first field of that name, as [Field.Value]
// does, and whether there is one.
func (h Header) Get(name string) (string, bool) {
	for f := range h.Fields() {
		if f.Is(name) {
			return f.Value(), true
		}
	}
	return "", false
}

// Text returns the decoded value of the first field of that name, and
// whether there is one.
func (h Header) Text(name string) (string, bool) {
	v, ok := h.Get(name)
	return DecodeText(v), ok
}

// Values yields the values of all fields of that name.
func (h Header) Values(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for f := range h.Fields() {
			if f.Is(name) && !yield(f.Value()) {
				return
			}
		}
	}
}

// fieldName returns the length of the name of the field that a line begins,
// or 0 if it begins none. RFC 5322, section 3.6.8: printable ASCII without
// the colon; section 4.5: white space may precede the colon.
func fieldName(line []byte) int {
	n := 0
	for n < len(line) && line[n] > ' ' && line[n] < 0x7f && line[n] != ':' {
		n++
	}
	for _, c := range line[n:] {
		switch c {
		case ' ', '\t':
		case ':':
			return n
		default:
			return 0
		}
	}
	return 0
}

func isBlank(line []byte) bool {
	return len(line) > 0 && line[0] == '\n' || len(line) > 1 && line[0] == '\r' && line[1] == '\n'
}

// blank is what may stand around a value.
const blank = " \t\r\n\x00"

// unfold returns a value without its line ends and the space around it. A
// bare CR or NUL, which no string of a protocol may hold, becomes a space.
func unfold(b []byte) string {
	b = bytes.Trim(b, blank)
	if !folded(b) {
		return string(b)
	}
	return string(appendUnfolded(make([]byte, 0, len(b)), b))
}

func folded(b []byte) bool {
	return bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0 || bytes.IndexByte(b, 0) >= 0
}

// appendUnfolded appends what unfold returns.
func appendUnfolded(dst, b []byte) []byte {
	b = bytes.Trim(b, blank)
	if !folded(b) {
		return append(dst, b...)
	}
	for i, c := range b {
		switch {
		case c == '\n':
		case c == '\r' && i+1 < len(b) && b[i+1] == '\n':
		case c == '\r' || c == 0:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// equalFold compares ASCII without regard to case.
func equalFold[S ~string | ~[]byte](b []byte, s S) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		d := s[i]
		if c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
