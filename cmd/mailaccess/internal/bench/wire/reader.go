// Package wire has clients for IMAP and POP3 that cost as little as they can, so that a server is
// what is measured: they count what is answered, and throw it away.
package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// timeout is how long a server may be silent while something is awaited of it.
const timeout = 5 * time.Minute

// stream is a connection that is read in lines.
type stream struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte // the command under construction
	tail []byte // the end of the piece before, in a line longer than the buffer
	in   int64  // octets that were read
}

func newStream(conn net.Conn, buffer int) *stream {
	return &stream{conn: conn, r: bufio.NewReaderSize(conn, buffer)}
}

// chunk returns the next piece of a line, and whether the line ends with it. It is valid until
// the next read.
func (s *stream) chunk() (piece []byte, end bool, err error) {
	if s.r.Buffered() == 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return nil, false, err
		}
	}
	piece, err = s.r.ReadSlice('\n')
	s.in += int64(len(piece))
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return piece, false, nil
	case errors.Is(err, io.EOF):
		return nil, false, io.ErrUnexpectedEOF
	}
	return piece, true, err
}

// skip throws away n octets.
func (s *stream) skip(n int64) error {
	for n > 0 {
		step := int(min(n, 1<<20))
		if err := s.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		done, err := s.r.Discard(step)
		s.in += int64(done)
		n -= int64(done)
		if err != nil {
			return err
		}
	}
	return nil
}

// write sends what is in out.
func (s *stream) write() error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// Close closes the connection without a word.
func (s *stream) Close() error { return s.conn.Close() }

// In returns how many octets have been read, those of TLS itself not counted.
func (s *stream) In() int64 { return s.in }

// literal returns the length of a literal that is announced at the end of a line, or -1. RFC 9051,
// section 4.3; RFC 9051, section 6.4.5.1 for literal8, whose length stands there in the same way.
func literal(line []byte) int64 {
	n := len(line)
	if n < 5 || line[n-1] != '\n' || line[n-2] != '\r' || line[n-3] != '}' {
		return -1
	}
	var size, power int64 = 0, 1
	for i := n - 4; i >= 0 && n-i < 24; i-- {
		switch o := line[i]; {
		case o >= '0' && o <= '9':
			size += int64(o-'0') * power
			power *= 10
		case o == '{' && power > 1:
			return size
		default:
			return -1
		}
	}
	return -1
}

// A RefusedError is an answer that says no to a command.
type RefusedError struct {
	Command string // without what is secret or long
	Answer  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: the server answers %q", e.Command, e.Answer)
}
