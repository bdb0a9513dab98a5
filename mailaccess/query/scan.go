package query

import (
	"context"
	"io"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// scan reads the content of one message for as long as the expression is not
// decided. It is used for one message after the other.
type scan struct {
	m    *Matcher
	find *finder
	known
	hits []int
	text message.TextReader
	buf  []byte // what is read of a text
	head []byte // a header
	line []byte // the text of a field
	left int64  // octets that may still be looked at

	ctx context.Context
	msg *mailaccess.Message
	c   mailaccess.Content
}

const (
	readSize = 32 << 10
	// A header up to this size is read into memory that is kept.
	keepHeader = 64 << 10
)

func newScan(m *Matcher) *scan {
	return &scan{
		m:     m,
		find:  newFinder(m.needles),
		known: known{found: make([]truth, len(m.needles))},
	}
}

func (s *scan) reset(ctx context.Context, msg *mailaccess.Message, c mailaccess.Content) {
	s.ctx, s.msg, s.c = ctx, msg, c
	s.left = s.m.octets
	clear(s.found)
	s.sentKnown, s.sent = unknown, time.Time{}
	if !s.m.sent {
		s.sentKnown = no // nobody asks
	}
}

// release drops what belongs to the message.
func (s *scan) release() {
	s.ctx, s.msg, s.c = nil, nil, nil
	s.text.Close()
	if cap(s.head) > keepHeader {
		s.head = nil
	}
	if cap(s.line) > keepHeader {
		s.line = nil
	}
}

func (s *scan) eval() truth { return s.m.root.eval(s.msg, &s.known) }

// header looks at the header of the message.
func (s *scan) header() (truth, error) {
	h, err := s.readTopHeader()
	if err != nil {
		return unknown, err
	}
	if t := s.fields(h); t != unknown {
		return t, nil
	}
	if t := s.missing(func(string) bool { return true }); t != unknown {
		return t, nil
	}
	if t := s.searchHeader(h, inFullText, inFullText); t != unknown {
		return t, nil
	}
	return s.eval(), nil
}

// missing notes that fields which were not found are not there, of those names that whole
// reports, and of Date.
func (s *scan) missing(whole func(name string) bool) truth {
	for i, n := range s.m.needles {
		if n.where == inField && s.found[i] == unknown && whole(n.name) {
			s.found[i] = no
		}
	}
	if s.sentKnown == unknown {
		s.sentKnown = no
	}
	return s.eval()
}

// fields looks at single fields: the Date and those that Header tests name.
func (s *scan) fields(h message.Header) truth {
	for f := range h.Fields() {
		changed := false
		if s.sentKnown == unknown && f.Is("Date") {
			// The first one counts, whether it can be read or not.
			t, ok := message.ParseDate(f.Value())
			s.sent, s.sentKnown, changed = t, truthOf(ok), true
		}
		s.find.active = s.find.active[:0]
		for i, n := range s.m.needles {
			if n.where != inField || s.found[i] != unknown || !f.Is(n.name) {
				continue
			}
			if len(n.text) == 0 {
				s.found[i], changed = yes, true
			} else {
				s.find.active = append(s.find.active, i)
			}
		}
		if len(s.find.active) > 0 {
			s.find.begin()
			s.writeText(f)
			changed = s.end() || changed
		}
		if changed {
			if t := s.eval(); t != unknown {
				return t
			}
		}
	}
	return unknown
}

// body looks at all that is below the header of the message.
func (s *scan) body(root *message.Part) (truth, error) {
	if t, err := s.part(root); t != unknown || err != nil {
		return t, err
	}
	for i := range s.found {
		if s.found[i] == unknown {
			s.found[i] = no
		}
	}
	return s.eval(), nil
}

// part looks at the body of p and at what is below it.
func (s *scan) part(p *message.Part) (truth, error) {
	switch {
	case s.left <= 0:
		return unknown, nil
	case p.Message != nil:
		if t, err := s.partHeader(p.Message, inBody, inFullText); t != unknown || err != nil {
			return t, err
		}
		return s.part(p.Message)
	case p.IsMultipart():
		for _, k := range p.Children {
			if t, err := s.partHeader(k, inFullText, inFullText); t != unknown || err != nil {
				return t, err
			}
			if t, err := s.part(k); t != unknown || err != nil {
				return t, err
			}
		}
		return unknown, nil
	case p.Type == "text" || p.Type == "message":
		return s.textPart(p)
	}
	return unknown, nil
}

// partHeader looks in the header of p for the needles of those two kinds.
func (s *scan) partHeader(p *message.Part, a, b where) (truth, error) {
	if p.Header.Len == 0 || !s.choose(a, b) {
		return unknown, nil
	}
	h, err := s.read(p.Header.Off, min(p.Header.Len, message.MaxHeader))
	if err != nil {
		return unknown, err
	}
	return s.searchHeader(h, a, b), nil
}

// searchHeader looks in a whole header for the needles of those two kinds.
func (s *scan) searchHeader(h message.Header, a, b where) truth {
	if !s.choose(a, b) {
		return unknown
	}
	s.find.begin()
	for f := range h.Fields() {
		s.write(f.Name)
		s.writeString(": ")
		s.writeText(f)
		s.writeString("\r\n")
		if s.hit() {
			if t := s.eval(); t != unknown {
				return t
			}
		}
	}
	if s.end() {
		return s.eval()
	}
	return unknown
}

// textPart looks at the decoded body of p.
func (s *scan) textPart(p *message.Part) (truth, error) {
	if !s.choose(inBody, inFullText) {
		return unknown, nil
	}
	if s.buf == nil {
		s.buf = make([]byte, readSize)
	}
	s.find.begin()
	// What is no UTF-8 the finder replaces itself.
	s.text.Reset(p, s.c)
	for s.left > 0 {
		if err := s.ctx.Err(); err != nil {
			return unknown, err
		}
		n, err := s.text.Read(s.buf)
		s.write(s.buf[:n])
		if s.hit() {
			if t := s.eval(); t != unknown {
				return t, nil
			}
			if len(s.find.active) == 0 {
				return unknown, nil
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return unknown, err
		}
	}
	if s.end() {
		return s.eval(), nil
	}
	return unknown, nil
}

// choose makes the needles of those two kinds that were not found yet those
// that are looked for, and reports whether there are any.
func (s *scan) choose(a, b where) bool {
	s.find.active = s.find.active[:0]
	for i, n := range s.m.needles {
		if (n.where == a || n.where == b) && s.found[i] == unknown {
			s.find.active = append(s.find.active, i)
		}
	}
	return len(s.find.active) > 0
}

// write gives text to the finder, as much as may be looked at.
func (s *scan) write(b []byte) {
	b = b[:min(int64(len(b)), max(0, s.left))]
	s.left -= int64(len(b))
	s.hits = s.find.write(s.hits, b)
}

// writeText gives the text of a field to the finder.
func (s *scan) writeText(f message.Field) {
	if text, plain := f.Plain(); plain {
		s.write(text)
	} else {
		s.line = f.AppendText(s.line[:0])
		s.write(s.line)
	}
}

func (s *scan) writeString(t string) {
	var b [512]byte
	for len(t) > 0 {
		n := copy(b[:], t)
		s.write(b[:n])
		t = t[n:]
	}
}

// end ends a text and reports whether needles were found.
func (s *scan) end() bool {
	s.hits = s.find.end(s.hits)
	return s.hit()
}

// hit notes the needles that were found and reports whether there are any.
func (s *scan) hit() bool {
	for _, i := range s.hits {
		s.found[i] = yes
	}
	n := len(s.hits)
	s.hits = s.hits[:0]
	return n > 0
}

// readTopHeader reads the header of the message and what happens to follow it. It
// does without the structure, which may cost reading the whole message.
func (s *scan) readTopHeader() (message.Header, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	h, err := message.ReadHeader(s.c, s.c.Size(), s.head)
	if cap(h) > cap(s.head) {
		s.head = h[:0]
	}
	return h, err
}

// read reads n octets at off, which are valid until the next read.
func (s *scan) read(off, n int64) ([]byte, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	if int64(cap(s.head)) < n {
		s.head = make([]byte, n)
	}
	b := s.head[:n]
	got, err := s.c.ReadAt(b, off)
	if got == len(b) {
		return b, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}
