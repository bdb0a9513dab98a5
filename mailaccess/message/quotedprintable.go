package message

import "bytes"

// qpDecoder undoes quoted-printable (RFC 2045, section 6.7): escapes, soft
// line breaks, and white space before a line end, which is not text. A "="
// that begins no escape is literal.
type qpDecoder struct {
	state qpState
	held  []byte // what the state has not decided about
}

type qpState uint8

const (
	qpText    qpState = iota
	qpSpace           // white space, perhaps before a line end
	qpSpaceCR         // then a CR
	qpEscape          // "="
	qpHex             // "=" and a digit
	qpBreak           // "=" and white space, perhaps before a line end
	qpBreakCR         // then a CR, or "=" and a CR
)

// maxHeldSpace is how much white space is held back in wait for a line end;
// RFC 2045 allows lines of 76.
const maxHeldSpace = 1000

func (d *qpDecoder) decode(dst, in []byte, end bool) []byte {
	for len(in) > 0 {
		if d.state == qpText {
			k := bytes.IndexAny(in, "= \t")
			if k < 0 {
				return append(dst, in...)
			}
			dst, in = append(dst, in[:k]...), in[k:]
			d.held = append(d.held[:0], in[0])
			if d.state = qpSpace; in[0] == '=' {
				d.state = qpEscape
			}
			in = in[1:]
			continue
		}
		c := in[0]
		next, ok := d.next(c)
		switch {
		case !ok: // literal after all; c is read again
			dst = append(dst, d.held...)
			d.state = qpText
			continue
		case next != qpText:
			d.held = append(d.held, c)
		case d.state == qpHex:
			dst = append(dst, byte(unhex(d.held[1])<<4|unhex(c)))
		case d.state == qpSpace:
			dst = append(dst, '\n')
		case d.state == qpSpaceCR:
			dst = append(dst, '\r', '\n')
		}
		d.state = next
		in = in[1:]
	}
	if end && d.state == qpHex {
		dst = append(dst, d.held...)
		d.state = qpText
	}
	return dst
}

// next returns the state after c, or not ok if what is held is literal.
func (d *qpDecoder) next(c byte) (_ qpState, ok bool) {
	space := c == ' ' || c == '\t'
	switch d.state {
	case qpSpace:
		switch {
		case space && len(d.held) < maxHeldSpace:
			return qpSpace, true
		case c == '\r':
			return qpSpaceCR, true
		}
	case qpEscape, qpBreak:
		switch {
		case d.state == qpEscape && unhex(c) >= 0:
			return qpHex, true
		case space && len(d.held) < maxHeldSpace:
			return qpBreak, true
		case c == '\r':
			return qpBreakCR, true
		}
	case qpHex:
		return qpText, unhex(c) >= 0
	}
	return qpText, c == '\n'
}
