package imapwire

import (
	"bytes"
	"io"
	"sync"
)

const (
	flushSize = 16 << 10 // what waits is sent from this size on
	writeSize = 48 << 10
)

// writePool is a cache; what is in it cannot be observed.
var writePool = sync.Pool{New: func() any { return new([writeSize]byte) }}

// A Writer collects responses and sends them. It holds a pooled buffer only
// while something waits to be sent, that is until [Writer.Flush]. The first
// error of the connection sticks: every later call returns it and sends
// nothing. It is not safe for concurrent use.
type Writer struct {
	dst    io.Writer
	buf    []byte // what waits
	pooled *[writeSize]byte
	err    error
	sent   int64
	nul    bool
	lit    literalWriter
}

// NewWriter returns a writer to dst.
func NewWriter(dst io.Writer) *Writer { return &Writer{dst: dst} }

// Reset makes w write to dst from now on, as after STARTTLS or COMPRESS. What
// waits is thrown away, and so is the error: call [Writer.Flush] before.
func (w *Writer) Reset(dst io.Writer) {
	w.release()
	w.dst, w.err = dst, nil
}

// Err returns the error that sticks.
func (w *Writer) Err() error { return w.err }

// Buffered returns the number of octets that wait to be sent.
func (w *Writer) Buffered() int { return len(w.buf) }

// Sent returns the number of octets that went out, to whatever destination.
func (w *Writer) Sent() int64 { return w.sent }

// NUL reports whether there was a NUL in the last literal that was looked at.
func (w *Writer) NUL() bool { return w.nul }

// Begin returns a buffer to append a response to; what waits already is at its
// beginning and must be left there. [Writer.End] takes it back: nothing else of
// w may be called in between.
func (w *Writer) Begin() []byte {
	if w.buf == nil {
		w.pooled = writePool.Get().(*[writeSize]byte)
		w.buf = w.pooled[:0]
	}
	return w.buf
}

// End takes back the buffer that Begin has returned, with more appended, and
// sends it if it is large.
func (w *Writer) End(b []byte) error {
	w.buf = b
	return w.flushFrom(flushSize)
}

// Write appends p to what waits. A large p is sent at once, without a copy.
func (w *Writer) Write(p []byte) (int, error) {
	if len(p) < flushSize {
		if err := w.End(append(w.Begin(), p...)); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	// What waits is mostly little: the rest of the buffer goes with it, since a short
	// write costs more than a copy.
	k := 0
	if len(w.buf) > 0 && len(w.buf) < writeSize {
		k = min(len(p), writeSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
	}
	if err := w.flushFrom(1); err != nil || k == len(p) {
		return k, err
	}
	n, err := w.send(p[k:])
	return k + n, err
}

// WriteString appends s to what waits.
func (w *Writer) WriteString(s string) (int, error) {
	if err := w.End(append(w.Begin(), s...)); err != nil {
		return 0, err
	}
	return len(s), nil
}

// Flush sends what waits and gives the buffer back.
func (w *Writer) Flush() error {
	err := w.flushFrom(1)
	w.release()
	return err
}

// flushFrom sends what waits if that is at least n octets.
func (w *Writer) flushFrom(n int) error {
	if w.err == nil && len(w.buf) < n {
		return nil
	}
	if w.err == nil {
		_, _ = w.send(w.buf) // its error sticks
	}
	if w.pooled != nil {
		w.buf = w.pooled[:0] // also when b had outgrown it
	}
	return w.err
}

func (w *Writer) send(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.dst.Write(p)
	w.sent += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
	return n, err
}

func (w *Writer) release() {
	if w.pooled != nil {
		writePool.Put(w.pooled)
	}
	w.buf, w.pooled = nil, nil
}

// A LiteralKind says how [Writer.WriteLiteral] sends the data.
type LiteralKind uint8

const (
	// LiteralText is "{n}"; NUL comes as 0x80, so that any message can be
	// sent.
	LiteralText LiteralKind = iota
	// LiteralClean is "{n}" for data known to hold no NUL. It is not looked
	// at: what the write function gets implements io.ReaderFrom, so that the
	// kernel may copy from a file.
	LiteralClean
	// LiteralBinary is "~{n}", a literal8, for any data, also not looked at.
	LiteralBinary
)

// WriteLiteral sends a literal of n octets. write must send exactly that many
// to the writer that it gets and must not keep it; large pieces go straight to
// the connection. If it writes fewer, or tries to write more, or returns an
// error, then the client waits for octets that never come: the error sticks
// (ErrLiteralSize, or that of write), and the connection must be closed.
func (w *Writer) WriteLiteral(n int64, kind LiteralKind, write func(io.Writer) error) error {
	if err := w.End(AppendLiteralHeader(w.Begin(), n, kind == LiteralBinary)); err != nil {
		return err
	}
	w.lit = literalWriter{w: w, left: n, clean: kind != LiteralText}
	w.nul = w.nul && w.lit.clean
	err := write(&w.lit)
	if w.err == nil {
		switch {
		case err != nil:
			w.err = err
		case w.lit.left != 0:
			w.err = ErrLiteralSize
		}
	}
	w.lit = literalWriter{}
	return w.err
}

// literalWriter counts the octets of a literal.
type literalWriter struct {
	w     *Writer
	left  int64
	clean bool
}

func (l *literalWriter) Write(p []byte) (int, error) {
	if l.w == nil {
		return 0, io.ErrClosedPipe
	}
	if int64(len(p)) > l.left {
		l.w.err = ErrLiteralSize
		return 0, l.w.err
	}
	if l.clean {
		n, err := l.w.Write(p)
		l.left -= int64(n)
		return n, err
	}
	// Each piece is looked at just before it is sent, while it is in the cache.
	done := 0
	for done < len(p) {
		piece := p[done:min(done+lookSize, len(p))]
		write := l.w.Write
		if bytes.IndexByte(piece, 0) >= 0 {
			write, l.w.nul = l.writeReplaced, true
		}
		n, err := write(piece)
		done += n
		l.left -= int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// lookSize is how much of a literal is looked at, and sent, at once: what the innermost
// caches hold, or the kernel would fetch it from memory a second time.
const lookSize = 32 << 10

// writeReplaced writes p, which is the caller's and not to be changed, piece by
// piece through the buffer.
func (l *literalWriter) writeReplaced(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		piece := p[done:min(done+flushSize, len(p))]
		b := append(l.w.Begin(), piece...)
		replaceNUL(b[len(b)-len(piece):])
		if err := l.w.End(b); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return done, nil
}

// ReadFrom reads the data from src, at most as far as the literal goes, straight into the
// buffer of what waits. A large file that need not be looked at is handed to the connection,
// as an *io.LimitedReader, which is what net.TCPConn recognises.
func (l *literalWriter) ReadFrom(src io.Reader) (done int64, err error) {
	if l.w == nil {
		return 0, io.ErrClosedPipe
	}
	if lr, ok := src.(*io.LimitedReader); ok && l.clean && flushSize <= lr.N && lr.N <= l.left {
		if rf, ok := l.w.dst.(io.ReaderFrom); ok {
			return l.hand(rf, lr)
		}
	}
	for err == nil && l.left > 0 {
		b := l.w.Begin()
		room := b[len(b):cap(b)]
		var n int
		n, err = src.Read(room[:min(int64(len(room)), l.left)])
		piece := room[:n]
		if !l.clean && bytes.IndexByte(piece, 0) >= 0 {
			replaceNUL(piece)
			l.w.nul = true
		}
		done += int64(n)
		l.left -= int64(n)
		if werr := l.w.End(b[:len(b)+n]); werr != nil {
			return done, werr
		}
	}
	if err == io.EOF {
		err = nil
	}
	return done, err
}

// hand lets the connection read src, after what waits.
func (l *literalWriter) hand(rf io.ReaderFrom, src *io.LimitedReader) (int64, error) {
	if err := l.w.flushFrom(1); err != nil {
		return 0, err
	}
	n, err := rf.ReadFrom(src)
	l.w.sent += n
	l.left -= n
	return n, err
}
