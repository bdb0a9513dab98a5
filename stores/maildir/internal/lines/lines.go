// Package lines reads text files that other programs wrote, line by line, in a fixed
// amount of memory.
package lines

import (
	"bufio"
	"errors"
	"io"
)

// Reader yields the lines of a file and leaves out those that are too long.
type Reader struct {
	r       *bufio.Reader
	max     int
	number  int
	long    int
	partial bool
	err     error
}

// NewReader reads lines of at most max octets, without their end.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, max+1), max: max}
}

// Next returns the next line without its LF, valid until it is called again, and false
// at the end or when reading failed. CR is part of a line.
func (r *Reader) Next() ([]byte, bool) {
	for r.err == nil {
		line, err := r.r.ReadSlice('\n')
		tooLong := false
		for errors.Is(err, bufio.ErrBufferFull) {
			tooLong = true
			line, err = r.r.ReadSlice('\n')
		}
		if err != nil {
			r.err = err
			if len(line) == 0 && !tooLong || !errors.Is(err, io.EOF) {
				break
			}
		}
		r.number++
		if r.partial = err != nil; !r.partial {
			line = line[:len(line)-1]
		}
		if tooLong || len(line) > r.max {
			r.long++
			continue
		}
		return line, true
	}
	return nil, false
}

// Number returns the number of the line returned last, the first being 1.
func (r *Reader) Number() int { return r.number }

// Partial reports whether the line returned last ended with the file and not with LF:
// whoever writes it may not be done.
func (r *Reader) Partial() bool { return r.partial }

// Long returns how many lines were left out so far.
func (r *Reader) Long() int { return r.long }

// Err returns what made reading fail, if anything did.
func (r *Reader) Err() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}
