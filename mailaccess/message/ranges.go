package message

import "io"

// Range is a run of bytes of a message, in canonical space.
type Range struct{ Off, Len int64 }

// End returns the offset after the last byte.
func (r Range) End() int64 { return r.Off + r.Len }

// Contains reports whether o lies inside r.
func (r Range) Contains(o Range) bool { return o.Off >= r.Off && o.End() <= r.End() }

// Ranges are runs of bytes of a message which, written one after the other,
// make a section.
type Ranges []Range

// RangeWriter is a message that writes a run of its bytes: mailaccess.Content
// is one.
type RangeWriter interface {
	WriteRange(w io.Writer, off, n int64) (int64, error)
}

// Size returns the octets of all ranges together.
func (rs Ranges) Size() int64 {
	var n int64
	for _, r := range rs {
		n += r.Len
	}
	return n
}

// Partial returns the ranges of at most n octets from octet off of the
// section, as <off.n> of RFC 3501, section 6.4.5 asks for them: none when off
// is beyond the end, fewer octets than n when the section ends before. It
// shares no memory with rs unless the answer is rs itself.
func (rs Ranges) Partial(off, n int64) Ranges {
	if off < 0 || n <= 0 {
		return nil
	}
	if off == 0 && n >= rs.Size() {
		return rs
	}
	var out Ranges
	for _, r := range rs {
		if off >= r.Len {
			off -= r.Len
			continue
		}
		take := min(r.Len-off, n)
		out = append(out, Range{r.Off + off, take})
		if n -= take; n == 0 {
			break
		}
		off = 0
	}
	return out
}

// WriteTo writes the section to w out of the message src and returns how many
// octets it wrote. A source that ends early gives io.ErrUnexpectedEOF.
func (rs Ranges) WriteTo(w io.Writer, src RangeWriter) (int64, error) {
	var total int64
	for _, r := range rs {
		if r.Len == 0 {
			continue // may lie at the end, which is outside the source
		}
		n, err := src.WriteRange(w, r.Off, r.Len)
		total += n
		if err == nil && n < r.Len {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// Reader returns a reader of the section out of the message r.
func (rs Ranges) Reader(r io.ReaderAt) io.Reader { return &rangesReader{r: r, rs: rs} }

type rangesReader struct {
	r    io.ReaderAt
	rs   Ranges
	done int64 // octets of rs[0] that were read
}

func (x *rangesReader) Read(b []byte) (int, error) {
	for len(x.rs) > 0 && x.done >= x.rs[0].Len {
		x.rs, x.done = x.rs[1:], 0
	}
	if len(x.rs) == 0 {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	b = b[:min(int64(len(b)), x.rs[0].Len-x.done)]
	n, err := x.r.ReadAt(b, x.rs[0].Off+x.done)
	x.done += int64(n)
	if err == io.EOF {
		// The range said that there is more; a full read is none of its end.
		if err = nil; n < len(b) {
			err = io.ErrUnexpectedEOF
		}
	}
	return n, err
}

// add appends a range, joined to the last one where they touch.
func (rs Ranges) add(off, n int64) Ranges {
	if n == 0 {
		return rs
	}
	if last := len(rs) - 1; last >= 0 && rs[last].End() == off {
		rs[last].Len += n
		return rs
	}
	return append(rs, Range{off, n})
}
