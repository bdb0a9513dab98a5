package inflate

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// ErrQuiet is returned by a source that has nothing at the moment and from which
// nothing is to be expected for a while. The Reader parks and reads again, with
// ParkedRead octets of room.
var ErrQuiet = errors.New("inflate: the source is quiet")

// ErrCorrupt says that what was read is no DEFLATE stream.
var ErrCorrupt = errors.New("inflate: not a deflate stream")

// ParkedRead is with how much room, and no more, a parked Reader reads.
const ParkedRead = 64

const (
	windowSize = 32 << 10
	windowMask = windowSize - 1
	maxLit     = 288 // symbols of the literal code
	maxDist    = 30
	endOfBlock = 256
)

// stage is where in the stream a Reader is (RFC 1951, section 3.2.3). Every stage
// but the last goes on, after any number of octets, from the fields of the Reader
// alone.
type stage uint8

const (
	atBlock    stage = iota // a block begins
	atStored                // the length of a stored block
	inStored                // its data
	atCounts                // the counts of a dynamic block
	atCodeLens              // the lengths of the code of its code lengths
	atLens                  // its code lengths
	inSymbols               // its symbols, or those of a fixed one
	inMatch                 // left octets from dist before
	ended
)

// A Reader decompresses what its source gives. It is not safe for concurrent use.
type Reader struct {
	src io.Reader
	err error

	in    []byte // read and not yet used
	bits  uint64 // nb bits were taken from in and not yet used
	nb    uint
	stage stage
	final bool // the present block is the last
	// flushed: the last block was an empty stored one, as flushes leave it.
	flushed   bool
	finishing bool
	left      int
	dist      int
	total     int      // octets given, as far as the window needs to know
	dyn       *dynamic // of the present block, if it is dynamic

	w      *work
	packed []byte // the window, deflated, when there is no w
	small  [ParkedRead]byte
}

// dynamic are the code lengths of a dynamic block (RFC 1951, section 3.2.7).
type dynamic struct {
	lits, dists, codes int
	i                  int // how many of what is read now are there
	code               [19]uint8
	lens               [maxLit + 32]uint8
}

// work is what a Reader needs while there is something to read.
type work struct {
	window     [windowSize]byte
	lits, dist huffman
	in         [4 << 10]byte
}

// workPool is a cache; what is in it cannot be observed.
var workPool = sync.Pool{New: func() any { return new(work) }}

// NewReader returns a reader of the stream that src gives.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Read gives what there is as soon as there is anything.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for r.err == nil {
		n := r.decode(p)
		if n > 0 {
			return n, nil // an error comes again
		}
		if r.err != nil {
			break
		}
		// The source's own errors are not kept: a deadline may be moved.
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return 0, r.err
}

// Finish reads on to the end of the stream: to its last block or, since a peer may
// stop without one, to the flush that follows what was read last. It fails if that
// gives anything more.
func (r *Reader) Finish() error {
	r.finishing = true
	var one [1]byte
	for !r.atEnd() && r.err == nil {
		if r.decode(one[:]) > 0 {
			r.err = ErrCorrupt
		} else if r.err == nil && !r.atEnd() {
			r.err = r.fill()
		}
	}
	if r.atEnd() {
		return nil
	}
	return r.err
}

func (r *Reader) atEnd() bool { return r.stage == ended || r.stage == atBlock && r.flushed }

// Rest returns what was read from the source and comes after the end of the stream.
// The Reader cannot be used any more.
func (r *Reader) Rest() []byte {
	var rest []byte
	r.bits >>= r.nb & 7
	for nb := r.nb &^ 7; nb > 0; nb -= 8 {
		rest = append(rest, byte(r.bits))
		r.bits >>= 8
	}
	rest = append(rest, r.in...)
	r.err = io.EOF
	r.Close()
	return rest
}

// Close gives back what the Reader holds. It cannot be used any more.
func (r *Reader) Close() {
	if r.err == nil {
		r.err = io.ErrClosedPipe
	}
	if r.w != nil {
		workPool.Put(r.w)
	}
	r.w, r.in, r.packed, r.dyn = nil, nil, nil, nil
}

// fill waits for input. Everything read before has been used.
func (r *Reader) fill() error {
	for range 100 {
		buf := r.small[:]
		if r.w != nil {
			buf = r.w.in[:]
		}
		n, err := r.src.Read(buf)
		r.in = buf[:n]
		switch {
		case n > 0:
			return nil // an error comes again
		case err == ErrQuiet:
			r.park()
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// park keeps the window deflated: commands are much alike.
func (r *Reader) park() {
	if r.w == nil {
		return
	}
	size := min(r.total, windowSize)
	if size > 0 {
		plain := make([]byte, 0, size)
		if at := r.total & windowMask; size == windowSize {
			plain = append(append(plain, r.w.window[at:]...), r.w.window[:at]...)
		} else {
			plain = append(plain, r.w.window[:size]...)
		}
		var b bytes.Buffer
		// It cannot fail: a buffer does not.
		_ = flate.StatelessDeflate(&b, plain, true, nil)
		r.packed = bytes.Clone(b.Bytes())
	}
	workPool.Put(r.w)
	r.w, r.in = nil, nil
}

// wake undoes park.
func (r *Reader) wake() {
	r.w = workPool.Get().(*work)
	if r.packed != nil {
		// Decoding into the window and into what becomes the window is the same.
		inner := Reader{in: r.packed, w: r.w}
		r.total = 0
		var p [512]byte
		for {
			n := inner.decode(p[:])
			r.total += n
			if n == 0 {
				break
			}
		}
		r.packed = nil
	}
	r.makeTables()
}

// makeTables makes the tables of a block that is under way.
func (r *Reader) makeTables() {
	switch {
	case r.stage == atLens:
		r.w.lits.init(r.dyn.code[:], false)
	case r.stage != inSymbols && r.stage != inMatch:
	case r.dyn == nil:
		r.fixedTables()
	default:
		r.dynamicTables()
	}
}

// fixedTables are RFC 1951, section 3.2.6.
func (r *Reader) fixedTables() {
	var lens [maxLit]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	r.w.lits.init(lens[:], false)
	for i := range 32 {
		lens[i] = 5
	}
	r.w.dist.init(lens[:32], false)
}

func (r *Reader) dynamicTables() bool {
	d := r.dyn
	return d.lens[endOfBlock] != 0 && r.w.lits.init(d.lens[:d.lits], true) && r.w.dist.init(d.lens[d.lits:d.lits+d.dists], true)
}
