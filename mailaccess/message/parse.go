package message

import (
	"bytes"
	"io"
	"sync"
)

// Limits bound what the tree of one message may cost. Zero values, and a nil
// pointer, mean the defaults.
type Limits struct {
	// Depth is how many parts may be nested in each other, the message
	// counted (100; never more than 1000). What would nest deeper is an
	// application/octet-stream part.
	Depth int
	// Parts is how many parts are told apart (10,000). The rest stays inside
	// the body of the multipart, in no part.
	Parts int
	// Field is how many bytes are read of one MIME field (16 KiB).
	Field int
	// Text is how many bytes of MIME fields the whole tree keeps (4 MiB);
	// fields beyond count as absent.
	Text int
}

const (
	defaultDepth = 100
	maxDepth     = 1000
	defaultParts = 10000
	defaultField = 16 << 10
	defaultText  = 4 << 20

	chunkSize   = 64 << 10
	maxBoundary = 1000 // RFC 2046 allows 70
	maxBodyLine = 2 + maxBoundary + 2 + 100
)

func (l *Limits) withDefaults() Limits {
	var out Limits
	if l != nil {
		out = *l
	}
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&out.Depth, defaultDepth)
	set(&out.Parts, defaultParts)
	set(&out.Field, defaultField)
	set(&out.Text, defaultText)
	out.Depth = min(out.Depth, maxDepth)
	return out
}

var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// Parse reads the message of size bytes once, from its beginning to its end,
// and returns its tree. The only errors are those of r.
func Parse(r io.ReaderAt, size int64, lim *Limits) (*Part, error) {
	p := NewParser(lim)
	chunk := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(chunk)
	for off := int64(0); off < size; {
		b := chunk[:min(chunkSize, size-off)]
		n, err := r.ReadAt(b, off)
		p.Write(b[:n])
		off += int64(n)
		if n < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return p.Finish(), nil
}

// Parser builds the tree of a message that is written to it, in whatever
// pieces. It keeps no more of the message than Limits say. A Parser is for
// one message and not safe for concurrent use.
type Parser struct {
	lim   Limits
	root  *Part
	stack []level // the parts that are open, outermost first
	parts int     // parts so far
	text  int     // bytes of fields kept

	off   int64   // bytes consumed
	lines int64   // line ends consumed
	tail  [2]byte // the last two bytes consumed

	cur     line   // the line being read
	held    []byte // its beginning, when it came in an earlier write
	holding bool

	inHeader bool // of the innermost open part; otherwise in its body
	delims   int  // open parts that have a boundary
	hdr      headerState
}

// level is an open part.
type level struct {
	part     *Part
	boundary []byte // of a multipart that may have more children
	digest   bool
	line0    int64 // line ends before the body
}

// line is where a line lies. Its end is where the parser is.
type line struct {
	off   int64
	num   int64 // line ends before it
	eol   int64 // length of the line end before it
	ended bool  // by a LF, not by the end of the message
}

// NewParser returns a Parser. Nil limits mean the defaults.
func NewParser(lim *Limits) *Parser {
	p := &Parser{lim: lim.withDefaults()}
	p.root = p.open(0, "text", "plain")
	return p
}

// Write takes the next bytes of the message. It never fails.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if p.holding || p.inHeader || p.delims > 0 && b[0] == '-' && p.atLineStart() {
			b = p.takeLine(b)
		} else {
			b = p.skip(b)
		}
	}
	return n, nil
}

// Finish ends the message and returns its tree.
func (p *Parser) Finish() *Part {
	if p.holding {
		p.holding = false
		p.takeWhole(p.held)
	}
	p.closeFrom(0, p.off, p.lines)
	return p.root
}

func (p *Parser) atLineStart() bool { return p.off == 0 || p.tail[1] == '\n' }

// skip consumes body up to the next line that may be a delimiter.
func (p *Parser) skip(b []byte) []byte {
	k := 0
	if p.delims > 0 {
		k = bytes.Index(b, []byte("\n-")) + 1
	}
	if k == 0 {
		k = len(b)
	}
	p.lines += int64(bytes.Count(b[:k], []byte{'\n'}))
	p.consume(k, b)
	return b[k:]
}

// takeLine consumes one line, or a piece of one, of which it keeps what may
// matter.
func (p *Parser) takeLine(b []byte) []byte {
	if !p.holding {
		p.cur = line{off: p.off, num: p.lines, eol: p.eol()}
	}
	k := bytes.IndexByte(b, '\n') + 1
	p.cur.ended = k > 0
	if k == 0 {
		k = len(b)
	}
	p.consume(k, b)
	if p.cur.ended {
		p.lines++
		if !p.holding {
			p.takeWhole(b[:k])
			return b[k:]
		}
	}
	if !p.holding {
		p.holding, p.held = true, p.held[:0]
	}
	limit := maxBodyLine
	if p.inHeader {
		limit = max(limit, p.lim.Field)
	}
	room := max(0, limit-len(p.held))
	p.held = append(p.held, b[:min(k, room)]...)
	if p.cur.ended {
		p.holding = false
		p.takeWhole(p.held)
	}
	return b[k:]
}

// takeWhole takes the line cur, which begins with b.
func (p *Parser) takeWhole(b []byte) {
	if p.delims > 0 && bytes.HasPrefix(b, []byte("--")) && p.delimiter(b[2:]) {
		return
	}
	if p.inHeader {
		p.headerLine(b)
	}
}

func (p *Parser) consume(k int, b []byte) {
	if k >= 2 {
		p.tail = [2]byte{b[k-2], b[k-1]}
	} else {
		p.tail = [2]byte{p.tail[1], b[0]}
	}
	p.off += int64(k)
}

// eol returns the length of the line end that was consumed last.
func (p *Parser) eol() int64 {
	switch p.tail {
	case [2]byte{'\r', '\n'}:
		return 2
	}
	if p.tail[1] == '\n' {
		return 1
	}
	return 0
}

// delimiter takes a line for the boundary delimiter that it is, if it is one;
// s is the line without its two hyphens.
func (p *Parser) delimiter(s []byte) bool {
	i, closing := p.match(s)
	if i < 0 {
		return false
	}
	end, num := p.cur.off, p.cur.num
	inBody := !p.inHeader || p.hdr.headless()
	if top := p.top().part; inBody && end > top.Body.Off {
		// RFC 2046, section 5.1.1: the line end before the delimiter is
		// conceptually attached to it. After a header it ends a field, or
		// is the blank line.
		end, num = end-p.cur.eol, num-1
	}
	p.closeFrom(i+1, end, num)
	if closing || p.parts >= p.lim.Parts {
		p.stack[i].boundary = nil
		p.delims--
		return true
	}
	l := &p.stack[i]
	typ, sub := "text", "plain"
	if l.digest { // RFC 2046, section 5.1.5
		typ, sub = "message", "rfc822"
	}
	parent := l.part
	parent.Children = append(parent.Children, p.open(p.off, typ, sub))
	return true
}

// match finds the open multipart to which a delimiter belongs, and whether it
// is the last one. A line that consists of a delimiter goes before one that
// only begins with it (which RFC 2046, section 5.1.1, declares sufficient),
// then the longer boundary before the shorter, since one may be the beginning
// of another, then the inner multipart before the outer.
func (p *Parser) match(s []byte) (found int, closing bool) {
	found = -1
	var best int
	for i := len(p.stack) - 1; i >= 0; i-- {
		b := p.stack[i].boundary
		if len(b) == 0 || !bytes.HasPrefix(s, b) {
			continue
		}
		rest := s[len(b):]
		last := bytes.HasPrefix(rest, []byte("--"))
		score := len(b)
		if isPadding(rest) || last && isPadding(rest[2:]) {
			score += 2 * maxBoundary
		}
		if score > best {
			found, best, closing = i, score, last
		}
	}
	return found, closing
}

func isPadding(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

func (p *Parser) top() *level { return &p.stack[len(p.stack)-1] }

// open begins a part whose header begins at off. Until its header says
// something else it is of the given type.
func (p *Parser) open(off int64, typ, subtype string) *Part {
	part := &Part{Header: Range{Off: off}, Body: Range{Off: off}, Type: typ, Subtype: subtype}
	p.stack = append(p.stack, level{part: part})
	p.parts++
	p.inHeader = true
	p.hdr.reset(p.lines)
	return part
}

// closeFrom ends the open parts from level i on. Their bodies end at end,
// before which there are num line ends.
func (p *Parser) closeFrom(i int, end, num int64) {
	for p.inHeader && len(p.stack) > i {
		// The header was cut off; what it announced has an empty body.
		p.endHeader(end, num)
	}
	for k := len(p.stack) - 1; k >= i; k-- {
		l := &p.stack[k]
		part := l.part
		part.Body.Len = end - part.Body.Off
		part.Lines = num - l.line0
		if part.IsMultipart() && len(part.Children) == 0 {
			p.parts++
			part.Children = []*Part{{
				Header: Range{Off: part.Body.Off}, Body: part.Body, Lines: part.Lines,
				Type: "text", Subtype: "plain", Encoding: "7bit",
				Params: []Param{{"charset", "us-ascii"}},
			}}
		}
		if l.boundary != nil {
			p.delims--
		}
		*l = level{}
	}
	p.stack = p.stack[:i]
	p.inHeader = false
}
