package message

import (
	"bytes"
	"encoding/base64"
	"io"
)

// BinaryEncoder writes a message on with each part whose transfer encoding is
// "binary" in base64, and everything else as it is. Lines of such a part are not
// lines, so it goes before a [CanonicalWriter], which would change them; and a
// protocol of lines can show the message afterwards (RFC 3516, section 6). Parts
// that contain others keep their label (RFC 2045, section 6.4: they have no encoding
// but the identity). It is not safe for concurrent use.
type BinaryEncoder struct {
	w io.Writer
	p *Parser
	// held is what cannot be written before more is known: a header, or a line
	// that may be a boundary delimiter.
	held []byte
	// passed is the part whose header was too long to be held.
	passed *Part
	// part is the one that is being encoded, or nil; begun: a line of it was.
	part  *Part
	begun bool
	// end is the line end that was read last in it: a delimiter's, if one follows.
	end   []byte
	line  []byte // octets that do not yet fill a line
	coded []byte
	err   error
}

// NewBinaryEncoder returns a BinaryEncoder that writes to w. It must be closed.
func NewBinaryEncoder(w io.Writer) *BinaryEncoder {
	return &BinaryEncoder{w: w, p: NewParser(nil)}
}

const (
	// maxEncodedHeader bounds the header that is held. A longer one is written as
	// it is, and so is its part.
	maxEncodedHeader = 256 << 10

	base64Line = 57 // octets in a line of 76 letters (RFC 2045, section 6.8)
)

// Write takes the next octets of the message. After an error of the writer below
// every further call returns it.
func (e *BinaryEncoder) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && e.err == nil {
		p := e.p
		if p.inHeader || p.holding || p.delims > 0 && b[0] == '-' && p.atLineStart() {
			b = e.takeLine(b)
		} else {
			// As far as no line may be a delimiter.
			k := len(b)
			if p.delims > 0 {
				if i := bytes.Index(b, []byte("\n-")); i >= 0 {
					k = i + 1
				}
			}
			_, _ = p.Write(b[:k])
			e.body(b[:k])
			b = b[k:]
		}
	}
	if e.err != nil {
		return 0, e.err
	}
	return n, nil
}

// takeLine takes a line of a header, or one that may be a delimiter, or a piece of it.
func (e *BinaryEncoder) takeLine(b []byte) []byte {
	p := e.p
	before, inHeader := p.top().part, p.inHeader
	k := bytes.IndexByte(b, '\n') + 1
	ended := k > 0
	if !ended {
		k = len(b)
	}
	_, _ = p.Write(b[:k])
	e.held = append(e.held, b[:k]...)
	long := len(e.held) > maxEncodedHeader
	switch after := p.top().part; {
	case e.part != nil && after != e.part:
		e.finish()
		e.raw(e.end)
		e.end, e.part = e.end[:0], nil
		e.release()
	case inHeader && p.inHeader && after == before, !ended:
		// The rest of the line or of the header decides, unless it is too long
		// for what it would have to be.
		if long {
			e.release()
			e.passed = after
		}
	case inHeader && after == before && after != e.passed && !after.IsMultipart() && !after.IsMessage() && after.Encoding == "binary":
		e.raw(encodedHeader(e.held))
		e.held, e.part, e.begun = e.held[:0], after, false
	default:
		e.release()
	}
	return b[k:]
}

// release writes what was held: as part of the body, or as it is.
func (e *BinaryEncoder) release() {
	b := e.held
	e.held = e.held[:0]
	e.body(b)
}

// body writes octets of the present part.
func (e *BinaryEncoder) body(b []byte) {
	if e.part == nil {
		e.raw(b)
		return
	}
	k := len(b)
	if k > 0 && b[k-1] == '\n' {
		k--
	}
	if k > 0 && b[k-1] == '\r' {
		k--
	}
	switch {
	case k == 0 && len(e.end) == 1 && e.end[0] == '\r' && len(b) == 1 && b[0] == '\n':
		e.end = append(e.end, '\n')
		return
	case len(b) > 0:
		e.encode(e.end)
		e.end = append(e.end[:0], b[k:]...)
	}
	e.encode(b[:k])
}

// encode adds octets to the base64 of the present part.
func (e *BinaryEncoder) encode(b []byte) {
	for len(b) > 0 {
		k := min(base64Line-len(e.line), len(b))
		e.line = append(e.line, b[:k]...)
		b = b[k:]
		if len(e.line) == base64Line {
			e.flushLine()
		}
	}
}

// flushLine writes what a line has. Line ends stand between lines: the one after the
// last is the delimiter's.
func (e *BinaryEncoder) flushLine() {
	if e.begun {
		e.coded = append(e.coded, "\r\n"...)
	}
	e.begun = true
	e.coded = base64.StdEncoding.AppendEncode(e.coded, e.line)
	e.line = e.line[:0]
	if len(e.coded) >= chunkSize/4 {
		e.flushCoded()
	}
}

func (e *BinaryEncoder) flushCoded() {
	e.raw(e.coded)
	e.coded = e.coded[:0]
}

// finish writes the rest of the base64.
func (e *BinaryEncoder) finish() {
	if len(e.line) > 0 {
		e.flushLine()
	}
	e.flushCoded()
}

func (e *BinaryEncoder) raw(b []byte) {
	if e.err != nil || len(b) == 0 {
		return
	}
	n, err := e.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	e.err = err
}

// Close writes what was held back; the writer below stays open.
func (e *BinaryEncoder) Close() error {
	e.release()
	if e.part != nil {
		e.encode(e.end)
		e.finish()
		if e.begun {
			e.raw([]byte("\r\n"))
		}
		e.part = nil
	}
	return e.err
}

// encodedHeader returns a header with base64 as the transfer encoding.
func encodedHeader(h []byte) []byte {
	out := make([]byte, 0, len(h)+1)
	done, within := false, false
	for len(h) > 0 {
		k := bytes.IndexByte(h, '\n') + 1
		if k == 0 {
			k = len(h)
		}
		line := h[:k]
		h = h[k:]
		if within = within && (line[0] == ' ' || line[0] == '\t') && !isBlank(line); within {
			continue // folded
		}
		if n := fieldName(line); !done && n > 0 && mimeField(line[:n]) == fieldEncoding {
			done, within = true, true
			out = append(out, "Content-Transfer-Encoding: base64\r\n"...)
			continue
		}
		out = append(out, line...)
	}
	return out
}
