package message

import (
	"bytes"
	"strings"
)

// The MIME fields that the tree keeps.
const (
	fieldType = iota
	fieldEncoding
	fieldID
	fieldDescription
	fieldMD5
	fieldDisposition
	fieldLanguage
	fieldLocation
	fieldCount
)

// headerState is what the parser knows of the header that it is in.
type headerState struct {
	line0  int64 // line ends before the header
	lines  int   // lines so far, of which
	fields int   // so many begin a field
	cur    int   // the field whose continuation would be kept, or -1
	seen   [fieldCount]bool
	values [fieldCount][]byte // as in the message; the memory is used again
}

func (h *headerState) reset(line0 int64) {
	h.line0, h.lines, h.fields, h.cur = line0, 0, 0, -1
	h.seen = [fieldCount]bool{}
}

// headless reports whether the lines so far are no header at all.
func (h *headerState) headless() bool { return h.lines > 0 && h.fields == 0 }

// headerLine takes a line of a header.
//
// A line that is neither a field, nor a continuation, nor blank is passed
// over, so that an mbox separator or a line that lost its indentation does
// not hide the fields after it. A header without a single field, however, is
// none: then the part begins with its body.
func (p *Parser) headerLine(b []byte) {
	h := &p.hdr
	if isBlank(b) {
		p.endHeader(p.off, p.lines)
		return
	}
	h.lines++
	if b[0] == ' ' || b[0] == '\t' {
		if h.cur >= 0 {
			p.keep(b)
		}
		return
	}
	h.cur = -1
	n := fieldName(b)
	if n == 0 {
		return
	}
	h.fields++
	f := mimeField(b[:n])
	if f < 0 || h.seen[f] { // of several, the first counts
		return
	}
	h.seen[f], h.cur = true, f
	h.values[f] = h.values[f][:0]
	p.keep(b[bytes.IndexByte(b, ':')+1:])
}

func (p *Parser) keep(b []byte) {
	v := &p.hdr.values[p.hdr.cur]
	*v = append(*v, b[:min(len(b), max(0, p.lim.Field-len(*v)))]...)
}

// endHeader ends the header of the innermost part at end, before which there
// are num line ends, fills in what the fields say, and opens the message that
// the part contains, if it does.
func (p *Parser) endHeader(end, num int64) {
	l := p.top()
	part := l.part
	headless, start, lines := p.hdr.headless(), p.hdr.line0, p.hdr.lines
	if headless {
		end, num = part.Header.Off, start
	}
	part.Header.Len = end - part.Header.Off
	part.Body.Off = end
	l.line0 = num
	p.inHeader = false
	p.describe(part)

	if !part.IsMultipart() && !part.IsMessage() {
		return
	}
	if len(p.stack) >= p.lim.Depth || p.parts >= p.lim.Parts {
		part.Type, part.Subtype = "application", "octet-stream"
		return
	}
	if part.IsMultipart() {
		// RFC 2046, section 5.1.1: a boundary does not end with white space.
		if b := strings.TrimRight(part.Param("boundary"), " \t"); b != "" && len(b) <= maxBoundary {
			l.boundary = []byte(b)
			l.digest = part.Subtype == "digest"
			p.delims++
		}
		return
	}
	part.Message = p.open(end, "text", "plain")
	if headless {
		// The lines that were no header of this part are none of the message
		// either, which so begins with its body.
		p.hdr.line0, p.hdr.lines = start, lines
		p.endHeader(end, num)
	}
}

// describe fills in part from the fields of its header.
func (p *Parser) describe(part *Part) {
	if v := p.value(fieldType); v != "" {
		part.Type, part.Subtype, part.Params = parseMediaType(v)
	}
	if part.Type == "text" && findParam(part.Params, "charset") == "" && !hasExtended(part.Params, "charset") {
		part.Params = append(part.Params, Param{"charset", "us-ascii"})
	}
	if part.Encoding = firstToken(p.value(fieldEncoding)); part.Encoding == "" {
		part.Encoding = "7bit"
	}
	part.ID = p.value(fieldID)
	part.Description = p.value(fieldDescription)
	part.MD5 = p.value(fieldMD5)
	part.Disposition, part.DispositionParams = parseDisposition(p.value(fieldDisposition))
	part.Language = parseLanguages(p.value(fieldLanguage))
	part.Location = p.value(fieldLocation)
}

// value returns the unfolded value of a field, if the tree may keep it.
func (p *Parser) value(f int) string {
	if !p.hdr.seen[f] || p.text >= p.lim.Text {
		return ""
	}
	v := unfold(p.hdr.values[f])
	p.text += len(v)
	return v
}

// mimeField returns which of the fields of the tree a name means, or -1.
func mimeField(name []byte) int {
	const prefix = "content-"
	if len(name) < len(prefix) || !equalFold(name[:len(prefix)], prefix) {
		return -1
	}
	for f, s := range [fieldCount]string{
		"type", "transfer-encoding", "id", "description", "md5", "disposition", "language", "location",
	} {
		if equalFold(name[len(prefix):], s) {
			return f
		}
	}
	return -1
}
