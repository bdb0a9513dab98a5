package imap

import (
	"bytes"
	"context"
	"io"
	"math"
	"slices"
	"sync"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// parseFetchBinary parses what follows BINARY, BINARY.PEEK and BINARY.SIZE: a section
// without a text, and but for the size a partial (RFC 3516, section 7).
func (c *conn) parseFetchBinary(plan *fetchPlan, name string) error {
	var s imapwire.Section
	if err := c.r.ReadSection(&s); err != nil {
		return err
	}
	if s.Text != imapwire.TextAll {
		return bad("a section of BINARY is a number")
	}
	item := fetchItem{kind: fetchBinary, section: messageSection(&s)}
	if name == "BINARY.SIZE" {
		item.kind = fetchBinarySize
		item.label = string(imapwire.AppendSection([]byte(name), &s))
		return plan.addBinary(item)
	}
	label := imapwire.AppendSection([]byte("BINARY"), &s)
	off, n, limited, err := c.r.ReadPartial()
	if err != nil {
		return err
	}
	if limited {
		item.partial = partial{int64(min(off, math.MaxInt64)), int64(min(n, math.MaxInt64))}
		label = append(imapwire.AppendNumber(append(label, '<'), off), '>')
	}
	item.label = string(label)
	plan.sees = plan.sees || name == "BINARY"
	return plan.addBinary(item)
}

// maxBinaryOfPart is how many items of BINARY and BINARY.SIZE a FETCH may have of one part,
// which is decoded for each up to where it ends.
const maxBinaryOfPart = 8

// addBinary adds an item of BINARY.
func (p *fetchPlan) addBinary(item fetchItem) error {
	alike, n := p.binaryAlike(&item)
	if item.alike = alike; n >= maxBinaryOfPart {
		return no(goimap.ResponseCodeLimit, "more of one part in BINARY than is taken")
	}
	p.add(item)
	return nil
}

// binaryAlike returns the place, from 1 on, of the first item that wants the same of the same
// part as item, or 0, and how many want something of that part.
func (p *fetchPlan) binaryAlike(item *fetchItem) (place, n int) {
	for i := range p.items {
		have := &p.items[i]
		if have.kind != fetchBinary && have.kind != fetchBinarySize || !slices.Equal(have.section.Path, item.section.Path) {
			continue
		}
		if n++; have.partial == item.partial && place == 0 {
			place = i + 1
		}
	}
	return place, n
}

var (
	// RFC 3516, section 4.3.
	errUnknownCTE = no(goimap.ResponseCodeUnknownCTE, "the transfer encoding is not known")
	// RFC 9051, section 6.4.5. RFC 3516 leaves open what the encoding of a part
	// that contains others would be.
	errNoLeaf = no(goimap.ResponseCodeCannot, "BINARY is for parts that contain no others")
)

// decoded is a part with its transfer encoding undone, or what of it is asked for.
type decoded struct {
	part *message.Part // nil: the message has none such
	size int64
	nul  bool // there is a NUL in it
}

// decodePool is a cache; what is in it cannot be observed.
var decodePool = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// decoded finds a part and how long it will be. A literal begins with its length, so
// what is to be sent is decoded twice; none of it is kept in between.
//
// In malformed base64 what is no letter of it is passed over, as RFC 2045, section 6.8
// wants it, and what is malformed in quoted-printable is taken as it is (section 6.7).
// The octets are those that were encoded: lines in them are not changed.
func (o *opened) decoded(ctx context.Context, item *fetchItem) (d decoded, err error) {
	content, err := o.open(ctx)
	if err != nil {
		return d, err
	}
	if len(item.section.Path) == 0 {
		// All of the message, which has no transfer encoding of its own.
		d.part = &message.Part{Body: message.Range{Len: content.Size()}}
	} else {
		tree, err := o.structure(ctx)
		if err != nil {
			return d, err
		}
		part, ok := tree.Find(item.section.Path)
		switch {
		case !ok:
			return d, nil
		case part.IsMultipart() || part.IsMessage():
			return d, errNoLeaf
		}
		d.part = part
	}
	r, known := d.part.Decoded(content)
	if !known {
		return d, errUnknownCTE
	}
	if item.partial.n != 0 {
		r = io.LimitReader(r, saturated(item.partial.off, item.partial.n))
	}
	err = decodeEach(r, item.partial.off, func(p []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.size += int64(len(p))
		d.nul = d.nul || bytes.IndexByte(p, 0) >= 0
		return o.c.nc.Step()
	})
	return d, err
}

func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// decodeEach reads r in pieces, but for the first skip octets.
func decodeEach(r io.Reader, skip int64, each func(p []byte) error) error {
	buf := decodePool.Get().(*[16 << 10]byte)
	defer decodePool.Put(buf)
	for {
		n, err := r.Read(buf[:])
		passed := min(skip, int64(n))
		skip -= passed
		if p := buf[passed:n]; len(p) > 0 {
			if err := each(p); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// writeBinary writes a part as it is decoded: as a literal8 only when there is a NUL in
// it (RFC 3516, section 4.3). It takes b as from Begin and returns the like.
func (f *fetch) writeBinary(b []byte, item *fetchItem, d decoded, content mailaccess.Content) ([]byte, error) {
	b = append(append(b, item.label...), ' ')
	if d.part == nil {
		return imapwire.AppendNil(b), nil
	}
	if err := f.c.w.End(b); err != nil {
		return nil, err
	}
	kind := imapwire.LiteralClean
	if d.nul {
		kind = imapwire.LiteralBinary
	}
	err := f.c.w.WriteLiteral(d.size, kind, func(w io.Writer) error {
		r, _ := d.part.Decoded(content)
		return decodeEach(io.LimitReader(r, item.partial.off+d.size), item.partial.off, func(p []byte) error {
			if _, err := w.Write(p); err != nil {
				return err
			}
			return f.c.nc.Step()
		})
	})
	return f.c.w.Begin(), err
}
