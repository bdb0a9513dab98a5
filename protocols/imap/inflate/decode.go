package inflate

import "io"

// decode gives octets until p is full, the input is used up, or r.err is set.
func (r *Reader) decode(p []byte) (n int) {
	if r.w == nil {
		if len(r.in) == 0 && r.nb == 0 && r.stage != inMatch && r.stage != ended {
			return 0 // nothing to wake up for
		}
		r.wake()
	}
	for n < len(p) && r.err == nil {
		more := false
		switch r.stage {
		case atBlock:
			more = r.block()
		case atStored:
			more = r.storedLength()
			if r.flushed && (n > 0 || r.finishing) {
				return n // what follows may not be of the stream
			}
		case inStored:
			var m int
			m, more = r.stored(p[n:])
			n += m
		case atCounts:
			more = r.counts()
		case atCodeLens:
			more = r.codeLengths()
		case atLens:
			more = r.lengths()
		case inSymbols:
			var m int
			m, more = r.symbols(p[n:])
			n += m
		case inMatch:
			n += r.match(p[n:])
			more = true
		case ended:
			r.err = io.EOF
		}
		if !more {
			return n
		}
	}
	return n
}

// need reports whether there are n bits, 57 at most, taking them from the input.
func (r *Reader) need(n uint) bool {
	for r.nb < n && len(r.in) > 0 {
		r.bits |= uint64(r.in[0]) << r.nb
		r.in = r.in[1:]
		r.nb += 8
	}
	return r.nb >= n
}

// take uses n bits that there are.
func (r *Reader) take(n uint) int {
	v := r.bits & (1<<n - 1)
	r.bits >>= n
	r.nb -= n
	return int(v)
}

func (r *Reader) corrupt() bool {
	r.err = ErrCorrupt
	return false
}

// block begins a block (RFC 1951, section 3.2.3). Like all stages it reports
// whether there is more to do without more input.
func (r *Reader) block() bool {
	if !r.need(3) {
		return false
	}
	r.flushed = false
	r.final = r.take(1) == 1
	switch r.take(2) {
	case 0:
		r.stage = atStored
		r.take(r.nb & 7)
	case 1:
		r.stage = inSymbols
		r.fixedTables()
	case 2:
		r.stage = atCounts
	default:
		return r.corrupt()
	}
	return true
}

// endBlock is after the last octet of a block.
func (r *Reader) endBlock() {
	r.dyn = nil
	r.stage = atBlock
	if r.final {
		r.stage = ended
	}
}

// storedLength is RFC 1951, section 3.2.4.
func (r *Reader) storedLength() bool {
	if !r.need(32) {
		return false
	}
	n, check := r.take(16), r.take(16)
	if n != check^0xffff {
		return r.corrupt()
	}
	r.stage, r.left = inStored, n
	if n == 0 {
		r.endBlock()
		r.flushed = true
	}
	return true
}

func (r *Reader) stored(p []byte) (n int, more bool) {
	for n < len(p) && r.left > 0 {
		if r.nb > 0 { // whole octets
			p[n] = byte(r.take(8))
			r.keep(p[n])
			n++
			r.left--
			continue
		}
		m := copy(p[n:], r.in[:min(r.left, len(r.in))])
		if m == 0 {
			return n, false
		}
		for _, c := range p[n : n+m] {
			r.keep(c)
		}
		r.in = r.in[m:]
		n += m
		r.left -= m
	}
	if r.left == 0 {
		r.endBlock()
	}
	return n, true
}

// keep puts an octet into the window.
func (r *Reader) keep(c byte) {
	r.w.window[r.total&windowMask] = c
	if r.total++; r.total == 1<<30 { // it matters only below the size of the window
		r.total = 1 << 20
	}
}

func (r *Reader) counts() bool {
	if !r.need(14) {
		return false
	}
	r.dyn = &dynamic{lits: r.take(5) + 257, dists: r.take(5) + 1, codes: r.take(4) + 4}
	if r.dyn.lits > 286 || r.dyn.dists > maxDist {
		return r.corrupt()
	}
	r.stage = atCodeLens
	return true
}

// codeOrder is the order in which the lengths of the code for code lengths come.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func (r *Reader) codeLengths() bool {
	d := r.dyn
	for ; d.i < d.codes; d.i++ {
		if !r.need(3) {
			return false
		}
		d.code[codeOrder[d.i]] = uint8(r.take(3))
	}
	if !r.w.lits.init(d.code[:], false) {
		return r.corrupt()
	}
	r.stage, d.i = atLens, 0
	return true
}

func (r *Reader) lengths() bool {
	d := r.dyn
	for d.i < d.lits+d.dists {
		r.need(7 + 7)
		symbol, n := r.w.lits.decode(r.bits, r.nb)
		if n < 0 {
			return r.corrupt()
		}
		extra, least := uint(0), 1
		value := uint8(symbol)
		switch symbol {
		case 16:
			if n > 0 && d.i == 0 {
				return r.corrupt()
			}
			extra, least = 2, 3
			if d.i > 0 {
				value = d.lens[d.i-1]
			}
		case 17:
			extra, least, value = 3, 3, 0
		case 18:
			extra, least, value = 7, 11, 0
		}
		if n == 0 || r.nb < uint(n)+extra {
			return false
		}
		r.take(uint(n))
		repeat := least + r.take(extra)
		if d.i+repeat > d.lits+d.dists {
			return r.corrupt()
		}
		for range repeat {
			d.lens[d.i] = value
			d.i++
		}
	}
	if !r.dynamicTables() {
		return r.corrupt()
	}
	r.stage = inSymbols
	return true
}

// The lengths and distances of RFC 1951, section 3.2.5.
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
	}
	distExtra = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// symbols reads literals up to a match, the end of the block or of p.
func (r *Reader) symbols(p []byte) (n int, more bool) {
	for n < len(p) {
		r.need(15 + 5 + 15 + 13)
		symbol, length := r.w.lits.decode(r.bits, r.nb)
		switch {
		case length < 0:
			return n, r.corrupt()
		case length == 0:
			return n, false
		case symbol < endOfBlock:
			r.take(uint(length))
			p[n] = byte(symbol)
			r.keep(p[n])
			n++
		case symbol == endOfBlock:
			r.take(uint(length))
			r.endBlock()
			return n, true
		default:
			return n, r.beginMatch(symbol-endOfBlock-1, uint(length))
		}
	}
	return n, true
}

// beginMatch reads a length and a distance, or nothing when they are not all there.
func (r *Reader) beginMatch(code int, used uint) bool {
	if code >= len(lengthBase) {
		return r.corrupt()
	}
	extra := uint(lengthExtra[code])
	if r.nb < used+extra {
		return false
	}
	symbol, n := r.w.dist.decode(r.bits>>(used+extra), r.nb-used-extra)
	switch {
	case n < 0 || n > 0 && symbol >= maxDist:
		return r.corrupt()
	case n == 0 || r.nb < used+extra+uint(n)+uint(distExtra[symbol]):
		return false
	}
	r.take(used)
	r.left = int(lengthBase[code]) + r.take(extra)
	r.take(uint(n))
	r.dist = int(distBase[symbol]) + r.take(uint(distExtra[symbol]))
	if r.dist > r.total {
		return r.corrupt()
	}
	r.stage = inMatch
	return true
}

func (r *Reader) match(p []byte) int {
	n := min(len(p), r.left)
	for i := range p[:n] {
		p[i] = r.w.window[(r.total-r.dist)&windowMask]
		r.keep(p[i])
	}
	if r.left -= n; r.left == 0 {
		r.stage = inSymbols
	}
	return n
}
