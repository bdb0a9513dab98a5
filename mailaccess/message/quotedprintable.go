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
			dst, in = d.text(dst, in)
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

// text decodes up to the end of a line, an escape, or the end of in.
func (d *qpDecoder) text(dst, in []byte) (_, rest []byte) {
	k := 0
	for k < len(in) && in[k] != '=' && in[k] != '\n' {
		k++
	}
	line, rest := in[:k], in[k:]
	d.held = d.held[:0]
	if len(rest) > 0 && rest[0] == '=' {
		d.held = append(d.held, '=')
		d.state = qpEscape
		return append(dst, line...), rest[1:]
	}
	text := bytes.TrimSuffix(line, []byte{'\r'})
	cr := line[len(text):]
	space := len(text) - len(bytes.TrimRight(text, " \t"))
	if space > 0 { // no more than next would hold
		space = (space-1)%maxHeldSpace + 1
	}
	text = text[:len(text)-space]
	if len(rest) > 0 {
		dst = append(append(dst, text...), cr...)
		return append(dst, '\n'), rest[1:]
	}
	if space == 0 {
		return append(dst, line...), nil
	}
	d.held = append(d.held, line[len(text):]...)
	if d.state = qpSpace; len(cr) > 0 {
		d.state = qpSpaceCR
	}
	return append(dst, text...), nil
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
