package query

import "bytes"

// finder looks for several needles in text that comes in pieces of any size.
// Its window holds the end of what was searched, as long as the longest needle
// may need, and the prepared text after it.
type finder struct {
	folder
	needles []needle
	active  []int // those looked for in this text and not found yet
	window  []byte
	old     int // octets at the beginning of window that were searched
	overlap int // the longest needle less one octet
	held    [4]byte
	nheld   int // octets of a rune that was not finished
}

// windowNew is how much new text a window takes at least. It takes as much as
// the longest needle as well, so that no octet is searched more than twice.
const windowNew = 32 << 10

func newFinder(needles []needle) *finder {
	longest := 1
	for _, n := range needles {
		longest = max(longest, len(n.text))
	}
	return &finder{
		needles: needles,
		active:  make([]int, 0, len(needles)),
		overlap: longest - 1,
		window:  make([]byte, 0, longest-1+max(longest, windowNew)+maxFold),
	}
}

// begin starts a text. The caller fills active first.
func (f *finder) begin() { f.window, f.old, f.nheld = f.window[:0], 0, 0 }

// write takes a piece of the text and appends the needles that it completes to
// hits.
func (f *finder) write(hits []int, b []byte) []int {
	for f.nheld > 0 && len(b) > 0 {
		// One octet at a time until the rune ends, or turns out to be none.
		f.held[f.nheld] = b[0]
		f.nheld++
		b = b[1:]
		hits = f.fill(hits, f.held[:f.nheld], false)
	}
	if len(b) == 0 {
		return hits // what is held stays
	}
	return f.fill(hits, b, false)
}

// end ends the text.
func (f *finder) end(hits []int) []int {
	hits = f.fill(hits, f.held[:f.nheld], true)
	return f.search(hits)
}

func (f *finder) fill(hits []int, b []byte, end bool) []int {
	for {
		var n int
		f.window, n = f.fold(f.window, b, end)
		b = b[n:]
		if cap(f.window)-len(f.window) >= maxFold {
			break // there is room: b is done, but for an unfinished rune
		}
		hits = f.search(hits)
	}
	f.nheld = copy(f.held[:], b)
	return hits
}

// search looks through the new text in the window and makes room.
func (f *finder) search(hits []int) []int {
	left := f.active[:0]
	for _, i := range f.active {
		n := f.needles[i].text
		if bytes.Contains(f.window[max(0, f.old-len(n)+1):], n) {
			hits = append(hits, i)
		} else {
			left = append(left, i)
		}
	}
	f.active = left
	keep := min(len(f.window), f.overlap)
	f.old = copy(f.window, f.window[len(f.window)-keep:])
	f.window = f.window[:f.old]
	return hits
}
