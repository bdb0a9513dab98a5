package tap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net"

	"github.com/hashmail/mailaccess/protocols/imap/inflate"
)

// pieceLen is the longest piece of a line.
const pieceLen = 64 << 10

// A side is one end of a connection: what it says, and where it listens.
type side struct {
	raw  net.Conn
	conn net.Conn // raw, or what is on it by now
	in   *bufio.Reader
	buf  []byte
}

func newSide(raw net.Conn) *side {
	return &side{raw: raw, conn: raw, in: bufio.NewReaderSize(raw, pieceLen)}
}

// become changes the channel. Nothing that was read before is part of the new one.
func (s *side) become(c net.Conn) {
	s.conn = c
	s.in = bufio.NewReaderSize(c, pieceLen)
}

// buffered is the connection, with what was read of it already.
func (s *side) buffered() net.Conn { return &readThrough{s.conn, s.in} }

type readThrough struct {
	net.Conn
	r io.Reader
}

func (r *readThrough) Read(p []byte) (int, error) { return r.r.Read(p) }

// piece reads a line with its end, or its next 64 KiB; whole when that is its end.
// It is good until the next is read.
func (s *side) piece() (data []byte, whole bool, err error) {
	data, err = s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return data, false, nil
	}
	return data, err == nil, err
}

// data reads some of n octets.
func (s *side) data(n int64) ([]byte, error) {
	if s.buf == nil {
		s.buf = make([]byte, 16<<10)
	}
	got, err := s.in.Read(s.buf[:min(n, int64(len(s.buf)))])
	if got > 0 {
		return s.buf[:got], nil
	}
	return nil, err
}

func (s *side) write(data []byte) error {
	_, err := s.conn.Write(data)
	return err
}

// deflate compresses both directions from now on (RFC 4978, section 3).
func (s *side) deflate() {
	d := &deflated{Conn: s.conn, r: inflate.NewReader(s.in)}
	d.w, _ = flate.NewWriter(&d.buf, flate.DefaultCompression) // that there is such a level is known
	s.become(d)
}

// deflated is a connection that compresses what is written, and sends it whole.
type deflated struct {
	net.Conn
	r   io.Reader
	w   *flate.Writer
	buf bytes.Buffer
}

func (d *deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d *deflated) Write(p []byte) (int, error) {
	d.buf.Reset()
	_, err := d.w.Write(p)
	if err = errors.Join(err, d.w.Flush()); err != nil {
		return 0, err
	}
	_, err = d.Conn.Write(d.buf.Bytes())
	return len(p), err
}
