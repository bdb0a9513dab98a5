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
	r   io.Reader
	in  []byte // read, not yet handed out
	buf []byte
	cr  bool // the last byte handed out was a CR
	lf  bool // the CR of a CRLF was handed out, its LF is due
	err error
}

// NewCanonicalReader returns a reader of r in canonical form.
func NewCanonicalReader(r io.Reader) *CanonicalReader { return &CanonicalReader{r: r} }

// Read implements io.Reader.
func (c *CanonicalReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(c.in) == 0 && !c.lf {
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
	n := 0
	for n < len(p) {
		if c.lf {
			p[n], c.lf, c.cr = '\n', false, false
			n++
			continue
		}
		if len(c.in) == 0 {
			break
		}
		i := bareLF(c.in, c.cr)
		if i < 0 {
			i = len(c.in)
		}
		if i == 0 {
			p[n], c.in, c.lf = '\r', c.in[1:], true
			n++
			continue
		}
		k := copy(p[n:], c.in[:i])
		c.cr = c.in[k-1] == '\r'
		c.in = c.in[k:]
		n += k
	}
	return n, nil
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
