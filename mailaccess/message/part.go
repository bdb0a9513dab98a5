package message

import (
	"bytes"
	"io"
	"iter"
)

// Part is a node of the MIME tree: a message, a part of a multipart, or the
// message that a message/rfc822 part contains.
//
// An empty string means that the field was absent, empty or unusable, except
// for the fields that have a default.
type Part struct {
	// Header spans the fields and the blank line that ends them, if there is
	// one. It is empty in a part that begins with its body.
	Header Range
	// Body begins where Header ends. The line end before a boundary delimiter
	// belongs to the delimiter (RFC 2046, section 5.1.1), not to the body.
	Body Range
	// Lines counts the line ends in Body: text without its last line end has
	// one less than an editor would show.
	Lines int64

	// Type and Subtype are in lower case. Without a usable Content-Type they
	// are text/plain, or message/rfc822 in a multipart/digest (RFC 2045,
	// section 5.2; RFC 2046, section 5.1.5).
	Type, Subtype string
	// Params are the parameters of Content-Type in their order: names in
	// lower case, values unquoted and otherwise as written, RFC 2231
	// continuations and charsets included ([DecodeParam] joins them). Text
	// of any subtype without a charset is given charset=us-ascii (RFC 2046,
	// section 4.1.2).
	Params []Param

	ID          string // Content-ID, with its angle brackets
	Description string // Content-Description, encoded words as written
	Encoding    string // Content-Transfer-Encoding in lower case; 7bit when absent (RFC 2045, section 6.1)
	MD5         string // Content-MD5

	Disposition       string // Content-Disposition (RFC 2183) in lower case
	DispositionParams []Param
	Language          []string // Content-Language
	Location          string   // Content-Location

	// Children are the parts of a multipart, in order.
	Children []*Part
	// Message is what a message/rfc822 or message/global part contains; it
	// spans the Body of the part.
	Message *Part
}

// Param is one parameter of Content-Type or Content-Disposition.
type Param struct{ Name, Value string }

// Is reports whether the part has the media type, given in lower case.
func (p *Part) Is(typ, subtype string) bool { return p.Type == typ && p.Subtype == subtype }

// IsMultipart reports whether the part has Children.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage reports whether the part has a Message: message/rfc822, and
// message/global (RFC 6532, section 3.7), which RFC 9051 treats alike.
func (p *Part) IsMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global")
}

// Size returns the octets of header and body together.
func (p *Part) Size() int64 { return p.Header.Len + p.Body.Len }

// Whole spans header and body.
func (p *Part) Whole() Range { return Range{p.Header.Off, p.Size()} }

// Param returns the first Content-Type parameter of that name, as written.
// The name is given in lower case.
func (p *Part) Param(name string) string { return findParam(p.Params, name) }

// Charset returns the charset parameter in lower case.
func (p *Part) Charset() string {
	v, _ := DecodeParam(p.Params, "charset")
	return lower(v)
}

// Filename returns the name that the sender gave to the part, decoded: the
// filename of Content-Disposition, else the name of Content-Type. It may be
// any text, and is not safe as the name of a file.
func (p *Part) Filename() string {
	if v, ok := DecodeParam(p.DispositionParams, "filename"); ok {
		return v
	}
	v, _ := DecodeParam(p.Params, "name")
	return v
}

// All yields the part and everything below it, embedded messages included, in
// the order of the message.
func (p *Part) All() iter.Seq[*Part] {
	return func(yield func(*Part) bool) { p.walk(yield) }
}

func (p *Part) walk(yield func(*Part) bool) bool {
	if !yield(p) {
		return false
	}
	if p.Message != nil {
		return p.Message.walk(yield)
	}
	for _, c := range p.Children {
		if !c.walk(yield) {
			return false
		}
	}
	return true
}

// ReadHeader reads the header of the part from the message: its first
// MaxHeader bytes at most, which is more than any honest header has.
func (p *Part) ReadHeader(r io.ReaderAt) (Header, error) {
	b := make([]byte, min(p.Header.Len, MaxHeader))
	n, err := r.ReadAt(b, p.Header.Off)
	if n < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// MaxHeader is how many bytes of a header [Part.ReadHeader] and [ReadHeader] keep.
const MaxHeader = 1 << 20

// ReadHeader reads the header of a message of which there is no tree, out of the
// size bytes of r: its first MaxHeader bytes at most. It reads no more of the body
// than happens to come along, which the header that it returns still ends with. The
// memory of buf is used as far as it goes.
func ReadHeader(r io.ReaderAt, size int64, buf []byte) (Header, error) {
	limit := min(size, MaxHeader)
	for n := int64(4 << 10); ; n *= 4 {
		n = min(n, limit)
		if int64(cap(buf)) < n {
			buf = make([]byte, n)
		}
		got, err := r.ReadAt(buf[:n], 0)
		if int64(got) < n {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if n == limit || endsHeader(buf[:n]) {
			return buf[:n], nil
		}
	}
}

// endsHeader reports whether there is a blank line in h.
func endsHeader(h []byte) bool {
	return bytes.Contains(h, []byte("\n\r\n")) || bytes.Contains(h, []byte("\n\n")) ||
		bytes.HasPrefix(h, []byte("\r\n")) || bytes.HasPrefix(h, []byte("\n"))
}

func findParam(params []Param, name string) string {
	for _, q := range params {
		if q.Name == name {
			return q.Value
		}
	}
	return ""
}
