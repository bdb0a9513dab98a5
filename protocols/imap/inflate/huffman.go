package inflate

const (
	maxBits  = 15 // RFC 1951, section 3.2.7
	fastBits = 9
)

// huffman decodes one canonical code (RFC 1951, section 3.2.2).
type huffman struct {
	// fast gives symbol<<4 | length for the next fastBits bits; 0: the code is
	// longer, or there is none.
	fast [1 << fastBits]uint16
	// count is how many codes have each length, symbol the symbols in the order
	// of their codes.
	count  [maxBits + 1]uint16
	symbol [maxLit]uint16
}

// init makes the code of the lengths of its symbols, and reports whether there is
// one. Like zlib it takes no code that is incomplete, but for a single symbol where
// that may be.
func (h *huffman) init(lengths []uint8, single bool) bool {
	*h = huffman{}
	for _, n := range lengths {
		h.count[n]++
	}
	used := len(lengths) - int(h.count[0])
	h.count[0] = 0
	free := 1
	var next, index [maxBits + 2]uint16 // the next code of each length, and its place among all
	for n := 1; n <= maxBits; n++ {
		next[n] = (next[n-1] + h.count[n-1]) << 1
		index[n+1] = index[n] + h.count[n]
		if free = free<<1 - int(h.count[n]); free < 0 {
			return false
		}
	}
	if free > 0 && (!single || used > 1 || used != int(h.count[1])) {
		return false
	}
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		h.symbol[index[n]] = uint16(symbol)
		index[n]++
		code := next[n]
		next[n]++
		if n <= fastBits {
			for at := reverse(code, n); at < 1<<fastBits; at += 1 << n {
				h.fast[at] = uint16(symbol)<<4 | uint16(n)
			}
		}
	}
	return true
}

// reverse returns the n bits of code in the order in which they are sent.
func reverse(code uint16, n uint8) int {
	r := 0
	for range n {
		r = r<<1 | int(code&1)
		code >>= 1
	}
	return r
}

// decode returns the symbol that the first of nb bits stand for and how many they
// are. n is 0 when there are too few bits to know, and -1 when no code begins so.
func (h *huffman) decode(bits uint64, nb uint) (symbol, n int) {
	if e := h.fast[bits&(1<<fastBits-1)]; e != 0 && uint(e&15) <= nb {
		return int(e >> 4), int(e & 15)
	}
	code, first, index := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		if uint(n) > nb {
			return 0, 0
		}
		code |= int(bits & 1)
		bits >>= 1
		count := int(h.count[n])
		if code-first < count {
			return int(h.symbol[index+code-first]), n
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, -1
}
