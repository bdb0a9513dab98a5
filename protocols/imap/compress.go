package imap

import (
	"bytes"
	"context"
	"sync"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/klauspost/compress/flate"

	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap/inflate"
)

// capCompressDeflate and codeCompressionActive are RFC 4978, section 5.
const (
	capCompressDeflate    goimap.Cap          = "COMPRESS=DEFLATE"
	codeCompressionActive goimap.ResponseCode = "COMPRESSIONACTIVE"
)

// parseCompress is RFC 4978, section 3.
func parseCompress(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	algorithm, err := c.r.ReadKeyword()
	if err != nil {
		return nil, err
	}
	if string(algorithm) != "DEFLATE" {
		return nil, bad("unknown algorithm")
	}
	return compress, c.r.CRLF()
}

func compress(ctx context.Context, c *conn) error {
	if c.z != nil {
		// RFC 4978, section 3 wants BAD, and the code where another layer
		// compresses. None else does: crypto/tls has no compression.
		return &statusError{"BAD", codeCompressionActive, "DEFLATE is active already"}
	}
	if c.r.Buffered() > 0 {
		// RFC 4978, section 3: the client must wait for the answer. Who does not
		// is told, as by Dovecot: is what came compressed or not?
		return bad("wait for the answer to COMPRESS")
	}
	// The updates come before the answer: after it all is compressed.
	if err := c.update(ctx, false); err != nil {
		return err
	}
	if err := c.settle(false); err != nil {
		return err
	}
	if err := c.tagged(c.r.Tag(), "OK", "", "DEFLATE active"); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	c.z = &compression{out: deflater{nc: c.nc}}
	c.z.in = inflate.NewReader((*rawSource)(c))
	c.w.Reset(&c.z.out)
	return errAnswered
}

// compression is the layer of RFC 4978 between the conversation and the channel,
// TLS or not. While the connection waits it holds the end of what was written, and
// of what was read what the client may refer to, deflated.
type compression struct {
	in  *inflate.Reader
	out deflater
}

func (z *compression) Read(p []byte) (int, error) { return z.in.Read(p) }

// quiet is how long a client must be silent before its window is put away, which
// costs some 0.2 ms, there and back.
const quiet = 2 * time.Second

// rawSource is what the client says, as it comes over the channel.
type rawSource conn

func (s *rawSource) Read(p []byte) (int, error) {
	if len(p) <= inflate.ParkedRead {
		// The window is put away: there is nothing more to wait for here.
		if s.quiet != 0 && s.nc.CanAwait() {
			return 0, protocols.ErrQuiet
		}
		return s.nc.ReadWithin(p, s.quiet)
	}
	n, err := s.nc.ReadWithin(p, quiet)
	if err == protocols.ErrQuiet {
		err = inflate.ErrQuiet
	}
	return n, err
}

// deflater compresses what is written and sends it at once: the writer above it
// collects. Each piece is flushed, so that nothing need be flushed later, and
// compressed before it is sent, so that a client that does not read holds up no
// compressor, which is large. Between pieces a little of the end is kept, which is
// most of what short answers have in common.
type deflater struct {
	nc   *protocols.Conn
	tail []byte
}

const (
	deflatePiece = 32 << 10
	deflateTail  = 2 << 10
	// deflateLevel is where text gets no smaller for twice the work.
	deflateLevel = 5
)

// deflatePool and deflatedPool are caches; what is in them cannot be observed.
var (
	deflatePool = sync.Pool{New: func() any {
		w, _ := flate.NewWriter(nil, deflateLevel) // it fails for a level that there is not
		return w
	}}
	deflatedPool = sync.Pool{New: func() any { return new(bytes.Buffer) }}
)

func (d *deflater) Write(p []byte) (int, error) {
	for n := 0; n < len(p); {
		piece := p[n:min(n+deflatePiece, len(p))]
		if err := d.send(piece, (*flate.Writer).Flush); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return len(p), nil
}

// last writes the last of the stream (RFC 8437, section 4.1).
func (d *deflater) last(p []byte) error { return d.send(p, (*flate.Writer).Close) }

func (d *deflater) send(p []byte, end func(*flate.Writer) error) error {
	b := deflatedPool.Get().(*bytes.Buffer)
	defer deflatedPool.Put(b)
	b.Reset()
	if err := d.deflate(b, p, end); err != nil {
		return err
	}
	_, err := d.nc.Write(b.Bytes())
	return err
}

func (d *deflater) deflate(b *bytes.Buffer, p []byte, end func(*flate.Writer) error) error {
	w := deflatePool.Get().(*flate.Writer)
	defer deflatePool.Put(w)
	// A new stream is the same as an old one that was flushed.
	w.ResetDict(b, d.tail)
	if _, err := w.Write(p); err != nil {
		return err
	}
	if err := end(w); err != nil {
		return err
	}
	if d.tail == nil {
		d.tail = make([]byte, 0, deflateTail)
	}
	if keep := deflateTail - min(len(p), deflateTail); keep < len(d.tail) {
		d.tail = append(d.tail[:0], d.tail[len(d.tail)-keep:]...)
	}
	d.tail = append(d.tail, p[max(0, len(p)-deflateTail):]...)
	return nil
}
