package message

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// encodingVersion is the first byte of an encoded tree. It changes whenever
// the encoding does, or the meaning of what is in it: whoever keeps encoded
// trees parses the message again when Decode fails.
const encodingVersion = 1

// ErrCorrupt is what Decode returns for bytes that are no encoded tree of
// this version.
var ErrCorrupt = errors.New("message: corrupt encoded part tree")

// The encoding of a tree: the version, the offset of the root, the root, and
// the CRC-32C of all that in four bytes. A part is its fields in turn; numbers
// are uvarints, a header begins so many bytes after the beginning of the body
// that contains it.

// AppendBinary appends the tree in a compact form, which Decode reads, to b.
// The error is always nil.
func (p *Part) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, encodingVersion)
	b = p.appendTo(b, 0)
	sum := crc32.Checksum(b[start:], crc32.MakeTable(crc32.Castagnoli))
	return binary.LittleEndian.AppendUint32(b, sum), nil
}

func (p *Part) appendTo(b []byte, base int64) []byte {
	b = binary.AppendUvarint(b, uint64(p.Header.Off-base))
	b = binary.AppendUvarint(b, uint64(p.Header.Len))
	b = binary.AppendUvarint(b, uint64(p.Body.Len))
	b = binary.AppendUvarint(b, uint64(p.Lines))
	b = appendString(b, p.Type)
	b = appendString(b, p.Subtype)
	b = appendParams(b, p.Params)
	b = appendString(b, p.ID)
	b = appendString(b, p.Description)
	b = appendString(b, p.Encoding)
	b = appendString(b, p.MD5)
	b = appendString(b, p.Disposition)
	b = appendParams(b, p.DispositionParams)
	b = binary.AppendUvarint(b, uint64(len(p.Language)))
	for _, s := range p.Language {
		b = appendString(b, s)
	}
	b = appendString(b, p.Location)
	if p.Message != nil {
		return p.Message.appendTo(b, p.Body.Off)
	}
	if p.IsMultipart() {
		b = binary.AppendUvarint(b, uint64(len(p.Children)))
		for _, c := range p.Children {
			b = c.appendTo(b, p.Body.Off)
		}
	}
	return b
}

// commonStrings returns the strings that take one byte. Their order is part of
// the encoding.
func commonStrings() [21]string {
	return [...]string{
		"text", "plain", "html", "multipart", "mixed", "alternative", "related", "message", "rfc822",
		"application", "octet-stream", "image", "charset", "us-ascii", "utf-8", "boundary", "7bit",
		"quoted-printable", "base64", "attachment", "inline",
	}
}

// appendString appends a string: twice its length and its bytes, or one more
// than twice its index in commonStrings.
func appendString(b []byte, s string) []byte {
	if len(s) > 3 {
		for i, c := range commonStrings() {
			if s == c {
				return append(b, byte(i<<1|1))
			}
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

func appendParams(b []byte, params []Param) []byte {
	b = binary.AppendUvarint(b, uint64(len(params)))
	for _, q := range params {
		b = appendString(b, q.Name)
		b = appendString(b, q.Value)
	}
	return b
}

// Decode reads a tree that AppendBinary encoded. Anything else gives
// ErrCorrupt; a tree that is returned keeps the promises of the package.
func Decode(b []byte) (*Part, error) {
	if len(b) < 5 || b[0] != encodingVersion {
		return nil, ErrCorrupt
	}
	data, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nil, ErrCorrupt
	}
	d := newTreeDecoder(data[1:])
	p := d.part(Range{0, 1<<63 - 1}, 1)
	if d.bad || len(d.b) > 0 {
		return nil, ErrCorrupt
	}
	return p, nil
}

type treeDecoder struct {
	b      []byte // what has yet to be read
	text   string // all of it, of which strings are parts
	common [21]string
	bad    bool
}

func newTreeDecoder(b []byte) treeDecoder {
	return treeDecoder{b: b, text: string(b), common: commonStrings()}
}

// part reads a part that lies inside in.
func (d *treeDecoder) part(in Range, depth int) *Part {
	p := new(Part)
	room := in.Len
	p.Header.Off = in.Off + d.length(&room)
	p.Header.Len = d.length(&room)
	p.Body.Off = p.Header.End()
	p.Body.Len = d.length(&room)
	lines := p.Body.Len
	p.Lines = d.length(&lines)
	p.Type, p.Subtype = d.string(), d.string()
	p.Params = d.params()
	p.ID, p.Description, p.Encoding, p.MD5 = d.string(), d.string(), d.string(), d.string()
	p.Disposition = d.string()
	p.DispositionParams = d.params()
	if n := d.count(); n > 0 {
		p.Language = make([]string, n)
		for i := range p.Language {
			p.Language[i] = d.string()
		}
	}
	p.Location = d.string()
	switch {
	case d.bad:
	case !p.IsMultipart() && !p.IsMessage():
	case depth >= maxDepth+1:
		d.bad = true
	case p.IsMessage():
		p.Message = d.part(p.Body, depth+1)
	default:
		n := d.count()
		if n == 0 {
			d.bad = true
		}
		rest := p.Body
		p.Children = make([]*Part, 0, min(n, 8))
		for ; n > 0 && !d.bad; n-- {
			c := d.part(p.Body, depth+1)
			if c.Header.Off < rest.Off {
				d.bad = true
			}
			rest.Off = c.Body.End()
			p.Children = append(p.Children, c)
		}
	}
	return p
}

func (d *treeDecoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads a number of at most room, and takes it from room.
func (d *treeDecoder) length(room *int64) int64 {
	v := d.uvarint()
	if v > uint64(*room) {
		d.bad = true
		return 0
	}
	*room -= int64(v)
	return int64(v)
}

// count reads a number of things of at least one byte each.
func (d *treeDecoder) count() int {
	v := d.uvarint()
	if v > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(v)
}

func (d *treeDecoder) string() string {
	v := d.uvarint()
	if v&1 == 1 {
		if v>>1 < uint64(len(d.common)) {
			return d.common[v>>1]
		}
		d.bad = true
		return ""
	}
	if v>>1 > uint64(len(d.b)) {
		d.bad = true
		return ""
	}
	s := d.text[len(d.text)-len(d.b):][:v>>1]
	d.b = d.b[v>>1:]
	return s
}

func (d *treeDecoder) params() []Param {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]Param, n)
	for i := range out {
		out[i] = Param{d.string(), d.string()}
	}
	return out
}
