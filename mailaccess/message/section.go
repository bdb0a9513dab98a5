package message

import (
	"bufio"
	"bytes"
	"io"
)

// SectionKind says what of a part a section is.
type SectionKind uint8

// The kinds of sections of RFC 3501 and RFC 9051, section 6.4.5.
const (
	SectionWhole           SectionKind = iota // the message, or the body of a part
	SectionHeader                             // HEADER
	SectionHeaderFields                       // HEADER.FIELDS
	SectionHeaderFieldsNot                    // HEADER.FIELDS.NOT
	SectionText                               // TEXT
	SectionMIME                               // MIME
)

// Section names a piece of a message as IMAP does: BODY[1.2.HEADER] has the
// path 1, 2 and the kind SectionHeader.
type Section struct {
	Path   []int
	Kind   SectionKind
	Fields []string // the names, of any case, for the two kinds that have them
}

// Find returns the part that has the number path in the message p, and
// whether there is one. The empty path is the message itself.
//
// Part 1 of a message that is no multipart is that message: the Part that
// Find returns is p itself, and its Body is what the number means (RFC 3501,
// section 6.4.5: every message has at least one part number).
func (p *Part) Find(path []int) (*Part, bool) {
	part, container := p, p // container has the parts that the next number counts
	for _, n := range path {
		switch {
		case container == nil || n < 1:
			return nil, false
		case container.IsMultipart():
			if n > len(container.Children) {
				return nil, false
			}
			part = container.Children[n-1]
		case n == 1: // of a message that is no multipart
			part = container
		default:
			return nil, false
		}
		switch {
		case part.IsMultipart():
			container = part
		default:
			container = part.Message // nil when it contains none
		}
	}
	return part, true
}

// Section returns where in the message p, whose bytes are r, a section lies.
// ok is false if the message has no such section: a part that is not there, a
// HEADER or TEXT of a part that is no message, a MIME without a part number.
//
// Only the two kinds with names read from r, in one pass over the header with
// a fixed buffer; for the others r may be nil. The error is that of r. The
// ranges are ascending and touch each other nowhere. The blank line after the
// header is part of every header section (RFC 3501, section 6.4.5), if there
// is one. A line that is no field is in HEADER.FIELDS.NOT, whatever the
// names: it was not named.
func (p *Part) Section(r io.ReaderAt, s Section) (ranges Ranges, ok bool, err error) {
	part, ok := p.Find(s.Path)
	if !ok {
		return nil, false, nil
	}
	one := func(r Range) (Ranges, bool, error) { return Ranges{r}, true, nil }
	numbered := len(s.Path) > 0
	switch s.Kind {
	case SectionWhole:
		if numbered {
			return one(part.Body)
		}
		return one(part.Whole())
	case SectionMIME:
		if numbered {
			return one(part.Header)
		}
		return nil, false, nil
	}
	if numbered { // HEADER and TEXT are those of the message that it contains
		if part = part.Message; part == nil {
			return nil, false, nil
		}
	}
	switch s.Kind {
	case SectionHeader:
		return one(part.Header)
	case SectionText:
		return one(part.Body)
	case SectionHeaderFields, SectionHeaderFieldsNot:
		ranges, err = headerSubset(r, part.Header, s.Fields, s.Kind == SectionHeaderFieldsNot)
		return ranges, err == nil, err
	}
	return nil, false, nil
}

// maxRanges bounds the ranges of a header subset. What a header of more, and
// separate, fields has beyond them is left out; the blank line is not.
const maxRanges = 20000

func headerSubset(r io.ReaderAt, h Range, names []string, not bool) (Ranges, error) {
	sub := newSubset(nil, h, names, not)
	size := int(min(h.Len, chunkSize))
	br := bufio.NewReaderSize(io.NewSectionReader(r, h.Off, h.Len), max(size, 256))
	for !sub.done() {
		b, err := br.ReadSlice('\n')
		if len(b) == 0 && err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		sub.line(b)
	}
	return sub.out, nil
}

// AppendSubset appends to dst where the fields with the given names lie in the header,
// which begins at off in its message, or those with other names: what
// [Part.Section] returns for a header that need not be read any more.
func (h Header) AppendSubset(dst Ranges, off int64, names []string, not bool) Ranges {
	sub := newSubset(dst, Range{off, int64(len(h))}, names, not)
	for b := []byte(h); !sub.done(); {
		k := bytes.IndexByte(b, '\n') + 1
		if k == 0 {
			k = len(b)
		}
		sub.line(b[:k])
		b = b[k:]
	}
	return sub.out
}

// subset collects the ranges of a header subset, line by line.
type subset struct {
	out   Ranges
	h     Range
	off   int64
	names []string
	set   map[string]struct{} // of the names in lower case, when there are many
	not   bool
	keep  bool // the field at hand
	first bool // of a line, not a later piece of a long one
}

func newSubset(dst Ranges, h Range, names []string, not bool) subset {
	s := subset{out: dst, h: h, off: h.Off, names: names, not: not, keep: not, first: true}
	if len(names) > manyNames {
		s.set = make(map[string]struct{}, len(names))
		for _, name := range names {
			s.set[lower(name)] = struct{}{}
		}
	}
	return s
}

// manyNames is from how many names on each is looked up, lest a header with many fields
// cost their product.
const manyNames = 16

func (s *subset) done() bool { return s.off >= s.h.End() }

// line takes a line, or a piece of one that is too long.
func (s *subset) line(b []byte) {
	if s.first {
		switch {
		case isBlank(b):
			s.out = s.out.add(s.off, s.h.End()-s.off)
			s.off = s.h.End()
			return
		case b[0] == ' ' || b[0] == '\t': // belongs to the line before
		default:
			n := fieldName(b)
			s.keep = n > 0 && s.named(b[:n])
			if s.not {
				s.keep = !s.keep
			}
		}
	}
	if s.keep && (len(s.out) < maxRanges || s.out[len(s.out)-1].End() == s.off) {
		s.out = s.out.add(s.off, int64(len(b)))
	}
	s.off += int64(len(b))
	s.first = bytes.HasSuffix(b, []byte{'\n'})
}

func (s *subset) named(name []byte) bool {
	if s.set != nil {
		var small [64]byte
		if len(name) > len(small) {
			_, ok := s.set[lower(string(name))]
			return ok
		}
		for i, c := range name {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			small[i] = c
		}
		_, ok := s.set[string(small[:len(name)])]
		return ok
	}
	for _, want := range s.names {
		if equalFold(name, want) {
			return true
		}
	}
	return false
}
