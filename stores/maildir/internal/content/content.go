// Package content reads and writes message files. A file may hold LF, CRLF or a
// mixture: what is read from it is canonical all the same, while nothing on disk is
// rewritten (see [message.CanonicalState] for the rule).
//
// A file without bare LFs is served as it is. The others are converted while they are
// read, and a sparse [Content.Table] leads to any place in them.
//
// Whatever happens to a file while it is read, its octets are never taken for those of
// the file that was opened: the last ones asked for are handed out only when size and
// modification time are still what they were at first. The error is then
// KindCorrupt. (Octets that another program changes under an unchanged modification
// time nobody can find out about.)
package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Options are those of [Open]. nil means none of them.
type Options struct {
	// Known is what was measured before. When it does not fit the file any more, or is
	// zero, opening measures, which reads all of the file: see [Content.Measured].
	Known Measured
	// Table is what [Content.Table] returned for the file. One that is damaged or
	// of another file is passed over.
	Table []byte
	// Usable is asked before anything is read; its error is returned as it is.
	Usable func() error
}

// Content is an opened message file, a [mailaccess.Content].
type Content struct {
	f        fsys.File
	was      fsys.Info // when it was opened
	measured Measured
	usable   func() error
	ours     bool   // nobody else writes the file: its times say nothing
	lines    *lines // nil when the file is canonical; else table, or what measuring made
	table    lines
	closed   atomic.Bool
	sending  atomic.Bool // somebody uses the file's read offset
}

var _ mailaccess.Content = (*Content)(nil)

// Open opens the message in f, which was just opened to be read, is the Content's from now on
// and closed with it, or at once when there is an error. Errors: KindUnavailable, also for a file that is
// being written, and KindCorrupt.
func Open(ctx context.Context, f fsys.File, opts *Options) (*Content, error) {
	if opts == nil {
		opts = &Options{}
	}
	c := &Content{f: f, measured: opts.Known, usable: opts.Usable}
	if err := c.open(ctx, opts); err != nil {
		f.Close() //nolint:errcheck // it was only read, and something else failed first
		return nil, err
	}
	return c, nil
}

func (c *Content) open(ctx context.Context, opts *Options) (err error) {
	const op = "open content"
	c.was = c.f.Opened()
	if c.measured.fits(c.was) {
		c.measured.ModTime = c.was.ModTime.Unix()
		if c.measured.BareLF() > 0 {
			c.lines = &c.table
			c.lines.load(opts.Table, c.was, c.measured)
		}
		return nil
	}
	c.was, c.measured, c.lines, err = measure(ctx, op, c.f)
	if c.measured.BareLF() == 0 {
		c.lines = nil
	}
	return err
}

// Measured is what is known of the file now. If it is not what was known before, the
// file is not the one that was measured then.
func (c *Content) Measured() Measured { return c.measured }

// Size is the length in canonical form, in octets.
func (c *Content) Size() int64 { return c.measured.Size }

// ready returns why what is asked for cannot be read, if so.
func (c *Content) ready(op string, off, n int64) error {
	if c.closed.Load() {
		return fail(op, mailaccess.KindInvalid, fs.ErrClosed)
	}
	if c.usable != nil {
		if err := c.usable(); err != nil {
			return err
		}
	}
	if size := c.Size(); off < 0 || n < 0 || off > size || n > size-off {
		return fail(op, mailaccess.KindInvalid, fmt.Errorf("%d octets from %d on are not within %d", n, off, size))
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (c *Content) ReadAt(p []byte, off int64) (int, error) {
	const op = "read content"
	if err := c.ready(op, min(off, c.Size()), 0); err != nil {
		return 0, err
	}
	if off >= c.Size() {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	var end error
	if left := c.Size() - off; int64(len(p)) > left {
		p, end = p[:left], io.EOF
	}
	var err error
	if c.lines == nil {
		err = c.pread(op, p, off)
	} else {
		s := c.stream(op, off, int64(len(p)))
		err = s.read(p)
		s.close()
	}
	if err == nil {
		err = c.unchanged(op)
	}
	if err != nil {
		return 0, err
	}
	return len(p), end
}

// WriteRange implements [mailaccess.Content]. A w that is an io.ReaderFrom reads for itself,
// straight into memory of its own.
func (c *Content) WriteRange(w io.Writer, off, n int64) (int64, error) {
	const op = "write content"
	if err := c.ready(op, off, n); err != nil || n == 0 {
		return 0, err
	}
	sent, err := c.send(op, w, off, n)
	if err != nil {
		return sent, err
	}
	s := c.stream(op, off+sent, n-sent)
	defer s.close()
	var buf []byte
	if _, ok := w.(io.ReaderFrom); !ok {
		b := buffers.Get().(*buffer)
		defer buffers.Put(b)
		buf = b[:]
	}
	rest, err := io.CopyBuffer(w, s, buf)
	if sent += rest; err == nil && sent < n {
		err = io.ErrShortWrite
	}
	return sent, err
}

const (
	// sendFrom is the range from which on it is worth letting the kernel send it.
	sendFrom = 64 << 10
	// sendRest is how much of it is not sent so, but looked after.
	sendRest = 4 << 10
)

// send lets w read most of the range from the file itself, which a net.TCPConn has the
// kernel do. It returns how much was written: nothing if that is not possible. The
// file's read offset is one: others who want it meanwhile go another way.
func (c *Content) send(op string, w io.Writer, off, n int64) (int64, error) {
	if n < sendFrom || c.lines != nil {
		return 0, nil
	}
	rf, ok := w.(io.ReaderFrom)
	if !ok || !c.sending.CompareAndSwap(false, true) {
		return 0, nil
	}
	defer c.sending.Store(false)
	std := c.f.Std()
	if std == nil {
		return 0, nil
	}
	if _, err := std.Seek(off, io.SeekStart); err != nil {
		return 0, nil // what is wrong will show
	}
	n -= sendRest
	sent, err := rf.ReadFrom(&io.LimitedReader{R: std, N: n})
	if sent >= n && err == nil {
		return sent, nil
	}
	// Whose fault was it? A file that can still be read there is not to blame.
	var one [1]byte
	if bad := c.pread(op, one[:], off+sent); bad != nil {
		return sent, bad
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	return sent, err
}

// pread fills p from the file's offset off.
func (c *Content) pread(op string, p []byte, off int64) error {
	n, err := c.f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return fail(op, mailaccess.KindCorrupt, errShort)
	}
	return fail(op, mailaccess.KindUnavailable, err)
}

var (
	errShort   = errors.New("the message file has become shorter")
	errChanged = errors.New("the message file has changed")
	errLines   = errors.New("the message file has other line ends than it had")
)

// unchanged: what was read so far is of the file that was opened.
func (c *Content) unchanged(op string) error {
	now, err := c.f.Info()
	switch {
	case err != nil:
		return fail(op, mailaccess.KindUnavailable, err)
	case now.Size < c.was.Size:
		return fail(op, mailaccess.KindCorrupt, errShort)
	case now.Size != c.was.Size || !c.ours && !now.ModTime.Equal(c.was.ModTime):
		return fail(op, mailaccess.KindCorrupt, errChanged)
	}
	return nil
}

// Close closes the file. It may be called more than once.
func (c *Content) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	if err := c.f.Close(); err != nil {
		return fail("close content", mailaccess.KindUnavailable, err)
	}
	return nil
}

// buffer is for one who reads or writes.
type buffer [32 << 10]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func fail(op string, kind mailaccess.Kind, err error) error {
	return &mailaccess.Error{Op: op, Kind: kind, Err: err}
}
