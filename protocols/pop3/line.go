package pop3

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

const (
	// maxLine is the longest line read, with its end, where Limits.MaxLine is
	// not lower. RFC 2449, section 4 asks for 255 octets; the response of a
	// SASL mechanism may be longer (RFC 5034, section 4).
	maxLine = 16 << 10
	// smallLine is the longest line for which a waiting connection has room.
	smallLine = 256
	// maxDrain is how much of a line too long is passed over before the client
	// is given up.
	maxDrain = 1 << 20
)

var (
	// errLongLine: a line was too long and has been passed over.
	errLongLine = refuseSyntax("line too long")
	// errEndlessLine: a line was too long and never came to its end.
	errEndlessLine = errors.New("pop3: a line without end")
)

// lineReader reads lines. Lines that are not short are put together in memory of
// a pool, which is given back before waiting for the next line.
type lineReader struct {
	src   io.Reader
	pool  *sync.Pool // of *[maxLine]byte
	limit int        // of a line, its end included
	// beforeWait is called before each read that may wait.
	beforeWait func() error

	small      [smallLine]byte
	large      *[maxLine]byte // nil: small is in use
	start, end int            // what was read and not yet taken
}

// next returns the next line without its end, valid until the following call. A
// line ends in CRLF; a bare LF is taken for an end as well, as clients send it.
func (r *lineReader) next() ([]byte, error) {
	scanned := 0 // of what is in the buffer
	for {
		buf := r.buffer()
		if i := bytes.IndexByte(buf[r.start+scanned:r.end], '\n'); i >= 0 {
			line := buf[r.start : r.start+scanned+i]
			r.start += scanned + i + 1
			if len(line)+1 > r.limit {
				return nil, errLongLine
			}
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		scanned = r.end - r.start
		if scanned >= r.limit {
			return nil, r.drain()
		}
		r.makeRoom()
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// begun reports whether a part of a line is there.
func (r *lineReader) begun() bool { return r.end > r.start }

func (r *lineReader) buffer() []byte {
	if r.large != nil {
		return r.large[:]
	}
	return r.small[:]
}

// makeRoom sees to it that something can be read to the end of the buffer, and
// that the buffer is no larger than what it holds needs.
func (r *lineReader) makeRoom() {
	switch n := r.end - r.start; {
	case n == 0:
		r.release()
	case r.start > 0:
		buf := r.buffer()
		copy(buf, buf[r.start:r.end])
		r.start, r.end = 0, n
	case r.end == len(r.small) && r.large == nil:
		r.large = r.pool.Get().(*[maxLine]byte)
		copy(r.large[:], r.small[:])
	}
}

func (r *lineReader) fill() error {
	if err := r.beforeWait(); err != nil {
		return err
	}
	n, err := r.src.Read(r.buffer()[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}

// drain passes over the rest of a line.
func (r *lineReader) drain() error {
	for passed := 0; ; {
		if i := bytes.IndexByte(r.buffer()[r.start:r.end], '\n'); i >= 0 {
			r.start += i + 1
			return errLongLine
		}
		if passed += r.end - r.start; passed > maxDrain {
			return errEndlessLine
		}
		r.release()
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// release forgets all that was read and gives the memory of the pool back.
func (r *lineReader) release() {
	r.start, r.end = 0, 0
	if r.large != nil {
		// A password may have passed through.
		clear(r.large[:])
		r.pool.Put(r.large)
		r.large = nil
	}
}
