package message

import (
	"bytes"
	"io"
)

// Canonical form: a LF that no CR precedes becomes CRLF. Everything else stays
// as it is: CRLF, a bare CR, NUL, and a last line that nothing ends.

const canonicalBuffer = 32 << 10

// CanonicalWriter brings what is written to it into canonical form and writes
// it on. The result does not depend on how the input is split into writes.
// It is not safe for concurrent use.
type CanonicalWriter struct {
	w   io.Writer
	n   int64
	cr  bool   // the last byte was a CR
	buf []byte // lines being expanded; empty between writes
}

// NewCanonicalWriter returns a CanonicalWriter that writes to w. It holds
// nothing back: there is nothing to flush.
func NewCanonicalWriter(w io.Writer) *CanonicalWriter { return &CanonicalWriter{w: w} }

// Size returns how many bytes have been written on: the size in canonical
// space.
func (c *CanonicalWriter) Size() int64 { return c.n }

// Write writes b in canonical form. It returns len(b), or 0 and the error of
// the underlying writer, after which the state of the output is that of the
// underlying writer.
func (c *CanonicalWriter) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	rest, cr := b, c.cr
	c.cr = b[len(b)-1] == '\r'
	i := bareLF(rest, cr)
	if i < 0 {
		return c.finish(len(b), c.emit(b))
	}
	if c.buf == nil {
		c.buf = make([]byte, 0, canonicalBuffer)
	}
	for ; i >= 0; i = bareLF(rest, cr) {
		if err := c.buffer(rest[:i]); err != nil {
			return c.finish(0, err)
		}
		if len(c.buf)+2 > cap(c.buf) {
			if err := c.flush(); err != nil {
				return c.finish(0, err)
			}
		}
		c.buf = append(c.buf, '\r', '\n')
		rest, cr = rest[i+1:], false
	}
	if err := c.buffer(rest); err != nil {
		return c.finish(0, err)
	}
	return c.finish(len(b), c.flush())
}

func (c *CanonicalWriter) finish(n int, err error) (int, error) {
	c.buf = c.buf[:0]
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (c *CanonicalWriter) buffer(b []byte) error {
	if len(c.buf)+len(b) > cap(c.buf) {
		if err := c.flush(); err != nil {
			return err
		}
		if len(b) >= cap(c.buf) {
			return c.emit(b)
		}
	}
	c.buf = append(c.buf, b...)
	return nil
}

func (c *CanonicalWriter) flush() error {
	b := c.buf
	c.buf = c.buf[:0]
	if len(b) == 0 {
		return nil
	}
	return c.emit(b)
}

func (c *CanonicalWriter) emit(b []byte) error {
	n, err := c.w.Write(b)
	c.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// CanonicalReader reads another reader in canonical form, for a store whose
// files hold LF.
type CanonicalReader struct {
	r     io.Reader
	in    []byte // read, not yet handed out
	buf   []byte
	state CanonicalState
	err   error
}

// NewCanonicalReader returns a reader of r in canonical form.
func NewCanonicalReader(r io.Reader) *CanonicalReader { return &CanonicalReader{r: r} }

// Read implements io.Reader.
func (c *CanonicalReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.in) == 0 && !c.state.LF {
		if c.err != nil {
			return 0, c.err
		}
		if c.buf == nil {
			c.buf = make([]byte, canonicalBuffer)
		}
		var n int
		n, c.err = c.r.Read(c.buf)
		c.in = c.buf[:n]
	}
	n, read := c.state.Convert(p, c.in)
	c.in = c.in[read:]
	return n, nil
}

// CanonicalState is where a conversion into canonical form stands between two bytes
// of its output, for a store that reads files of its own from the middle. The zero
// value is the beginning of a message.
type CanonicalState struct {
	// CR: the last byte of the output is a CR of the input.
	CR bool
	// LF: the last byte of the output is a CR that the conversion put in. The LF
	// after it is taken from the input, and comes next.
	LF bool
}

// Convert writes src in canonical form to dst as far as there is room, and returns
// how many bytes it wrote and how many of src it took.
func (s *CanonicalState) Convert(dst, src []byte) (written, read int) {
	if s.LF && len(dst) > 0 {
		dst[0], s.LF, s.CR = '\n', false, false
		written = 1
	}
	for written < len(dst) && read < len(src) {
		rest := src[read:min(len(src), read+len(dst)-written)]
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			n := copy(dst[written:], rest)
			s.CR = rest[n-1] == '\r'
			return written + n, read + n
		}
		if i > 0 {
			s.CR = rest[i-1] == '\r'
			copy(dst[written:], rest[:i])
			written += i
		}
		read += i + 1
		if !s.CR {
			dst[written] = '\r'
			written++
			if written == len(dst) {
				s.LF = true
				break
			}
		}
		dst[written], s.CR = '\n', false
		written++
	}
	return written, read
}

// CountBareLF returns how many LFs in b no CR precedes: by how many bytes b grows in
// canonical form. cr tells whether the byte before b is a CR.
func CountBareLF(b []byte, cr bool) int {
	n := bytes.Count(b, []byte{'\n'})
	if n > 0 {
		n -= bytes.Count(b, []byte("\r\n"))
		if cr && b[0] == '\n' {
			n--
		}
	}
	return n
}

// bareLF returns the index of the first LF in b that no CR precedes, or -1.
// cr tells whether the byte before b is a CR.
func bareLF(b []byte, cr bool) int {
	for i := 0; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1
		}
		i += j
		if i > 0 {
			cr = b[i-1] == '\r'
		}
		if !cr {
			return i
		}
		i++
	}
}
