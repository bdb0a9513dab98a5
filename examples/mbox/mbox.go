package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// entry is a message in a file: where it lies, and how long it is in canonical form.
type entry struct {
	off, len int64 // in the file, without the line of From
	size     int64
	received time.Time // zero: the line of From has no date
	marks    []mark    // ascending
}

// mark is a place in a message at which a line begins, so that what is far down can be read
// without reading all that is before it.
type mark struct{ canonical, off int64 }

// markEvery is how far marks are apart, in octets.
const markEvery = 64 << 10

// scan reads the messages in r, which begins at off in its file. A line of "From " begins a
// message where it stands after an empty line, which is the format's (RFC 4155, appendix A),
// or first, if what is before r is whole. whole tells whether what r has is.
func scan(r io.Reader, off int64, first bool) (found []entry, whole bool, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var now *entry // the message that is read
	var size *message.CanonicalWriter
	var empty []byte // the line before, if it is empty and has not been counted
	end := func() {
		if now != nil {
			now.len = off - int64(len(empty)) - now.off
			now.size = size.Size()
			found = append(found, *now)
		}
	}
	for begins := true; ; {
		line, err := in.ReadSlice('\n') // a part of it when it is longer than the buffer
		switch {
		case begins && (first || len(empty) > 0) && bytes.HasPrefix(line, []byte("From ")):
			end()
			now = &entry{off: off + int64(len(line)), received: fromDate(string(line))}
			size, empty = message.NewCanonicalWriter(io.Discard), nil
		case len(line) == 0:
		case now == nil:
			return nil, false, errors.New("it does not begin with a line of From")
		default:
			size.Write(empty) //nolint:errcheck // io.Discard takes all
			if empty = nil; begins && len(bytes.TrimRight(line, "\r\n")) == 0 {
				empty = bytes.Clone(line)
				break
			}
			if at := size.Size(); begins && at >= now.lastMark()+markEvery {
				now.marks = append(now.marks, mark{at, off - now.off})
			}
			if begins && quoted(line) {
				size.Write(line[1:]) //nolint:errcheck // as above
			} else {
				size.Write(line) //nolint:errcheck // as above
			}
		}
		off += int64(len(line))
		first, begins = false, err == nil
		if err == io.EOF {
			end()
			return found, len(empty) > 0, nil
		} else if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, false, err
		}
	}
}

func (e *entry) lastMark() int64 {
	if len(e.marks) == 0 {
		return 0
	}
	return e.marks[len(e.marks)-1].canonical
}

// fromDate reads the date in a line of From; zero when there is none.
func fromDate(line string) time.Time {
	_, date, _ := strings.Cut(strings.TrimPrefix(line, "From "), " ")
	t, err := time.Parse(time.ANSIC, strings.TrimSpace(date))
	if err != nil {
		return time.Time{}
	}
	return t
}

// quoted tells whether line is text that would begin a message were it not for the > before it.
func quoted(line []byte) bool {
	return len(line) > 0 && line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// open returns a reader of the message in canonical form from the octet at on.
func (e *entry) open(file io.ReaderAt, at int64) (io.Reader, error) {
	var from mark
	for _, m := range e.marks {
		if m.canonical <= at {
			from = m
		}
	}
	lines := &unquoter{in: bufio.NewReaderSize(io.NewSectionReader(file, e.off+from.off, e.len-from.off), 64<<10), begins: true}
	r := message.NewCanonicalReader(lines)
	if _, err := io.CopyN(io.Discard, r, at-from.canonical); err != nil {
		return nil, fmt.Errorf("octet %d: %w", at, err)
	}
	return r, nil
}

// unquoter reads lines without the > that quotes them.
type unquoter struct {
	in     *bufio.Reader
	begins bool   // what is read next begins a line
	rest   []byte // of the line, in the buffer of in
	err    error  // after rest
}

func (u *unquoter) Read(p []byte) (int, error) {
	if len(u.rest) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		u.rest, u.err = u.in.ReadSlice('\n')
		if u.begins && quoted(u.rest) {
			u.rest = u.rest[1:]
		}
		u.begins = u.err == nil
		if errors.Is(u.err, bufio.ErrBufferFull) {
			u.err = nil
		}
	}
	n := copy(p, u.rest)
	u.rest = u.rest[n:]
	return n, nil
}
