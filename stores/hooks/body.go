package hooks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// checksum is the first half of the SHA-256 of a body in canonical form.
type checksum [16]byte

// measure is the size and the checksum of a body.
type measure struct {
	is   bool
	size int64
	sum  checksum
}

// measureBytes measures what b is in canonical form.
func measureBytes(b []byte) measure {
	h := sha256.New()
	w := message.NewCanonicalWriter(h)
	w.Write(b) // a hash takes everything
	return measure{true, w.Size(), sumOf(h)}
}

func sumOf(h hash.Hash) (s checksum) {
	var full [sha256.Size]byte
	copy(s[:], h.Sum(full[:0]))
	return s
}

// inMemory is how long a body may be that is kept in memory, in octets.
const inMemory = 256 << 10

// body is the bytes of a message in canonical form, in memory or in a file. It is
// never changed once it was made, and goes when the last reference does.
type body struct {
	measure
	data []byte
	file *os.File // when data is nil
	left string   // the file's name, if it could not be removed at once
	refs atomic.Int32
}

// hold adds a reference. The caller has one, or the cache's lock.
func (b *body) hold() *body {
	b.refs.Add(1)
	return b
}

// drop takes a reference away.
func (b *body) drop() error {
	if b.refs.Add(-1) > 0 || b.file == nil {
		return nil
	}
	err := b.file.Close()
	if b.left != "" {
		err = errors.Join(err, os.Remove(b.left))
	}
	return err
}

func (b *body) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, fail("read", mailaccess.KindInvalid, "", errors.New("negative offset"))
	case off >= b.size:
		return 0, io.EOF
	}
	short := int64(len(p)) > b.size-off
	if short {
		p = p[:b.size-off]
	}
	n := len(p)
	if b.file == nil {
		copy(p, b.data[off:])
	} else if m, err := b.file.ReadAt(p, off); m < n {
		if err == io.EOF {
			return m, fail("read", mailaccess.KindCorrupt, "", errors.New("the file became shorter"))
		}
		return m, fail("read", mailaccess.KindUnavailable, "", err)
	}
	if short {
		return n, io.EOF
	}
	return n, nil
}

// bodyWriter makes a body of canonical octets. It is used by one goroutine.
type bodyWriter struct {
	dir    string
	limit  int64
	sum    hash.Hash
	b      *body
	sealed bool
	err    error // why it is not whole
}

// newBodyWriter returns one for bodies up to limit octets. hint is the expected
// size, or less than 1.
func newBodyWriter(o *Options, hint int64) *bodyWriter {
	w := &bodyWriter{dir: o.TempDir, limit: o.MaxMessageSize, sum: sha256.New(), b: new(body)}
	if hint > 0 {
		w.b.data = make([]byte, 0, min(hint, inMemory))
	}
	w.b.refs.Store(1)
	return w
}

func (w *bodyWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	b := w.b
	if int64(len(p)) > w.limit-b.size {
		return 0, w.failed(tooBig("write", w.limit))
	}
	if b.file == nil && b.size+int64(len(p)) > inMemory {
		if err := w.spill(); err != nil {
			return 0, w.failed(err)
		}
	}
	if b.file == nil {
		b.data = append(b.data, p...)
	} else if _, err := b.file.Write(p); err != nil {
		return 0, w.failed(fail("write", mailaccess.KindUnavailable, "", err))
	}
	w.sum.Write(p)
	b.size += int64(len(p))
	return len(p), nil
}

func (w *bodyWriter) failed(err error) error {
	w.err = err
	return err
}

// spill goes on in a file, whose name is gone as soon as the system allows.
func (w *bodyWriter) spill() error {
	f, err := os.CreateTemp(w.dir, "mailaccess-*")
	if err != nil {
		return fail("write", mailaccess.KindUnavailable, "", err)
	}
	w.b.file = f
	if err := os.Remove(f.Name()); err != nil {
		w.b.left = f.Name()
	}
	if _, err := f.Write(w.b.data); err != nil {
		return fail("write", mailaccess.KindUnavailable, "", err)
	}
	w.b.data = nil
	return nil
}

// seal ends writing.
func (w *bodyWriter) seal() *body {
	if !w.sealed {
		w.sealed = true
		w.b.is, w.b.sum = true, sumOf(w.sum)
		w.b.data = slices.Clip(w.b.data)
	}
	return w.b
}

func tooBig(op string, limit int64) error {
	return fail(op, mailaccess.KindTooBig, "", fmt.Errorf("more than %d octets", limit))
}

// reader is a [mailaccess.Content] over a body.
type reader struct {
	store  *Store
	body   *body
	closed atomic.Bool
}

func newReader(s *Store, b *body) *reader { return &reader{store: s, body: b} }

func (r *reader) Size() int64 { return r.body.size }

func (r *reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	return r.body.drop()
}

func (r *reader) usable(op string) error {
	if r.closed.Load() {
		return fail(op, mailaccess.KindInvalid, "", fs.ErrClosed)
	}
	if r.store.closed() {
		return errClosed(op)
	}
	return nil
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.usable("read content"); err != nil {
		return 0, err
	}
	return r.body.ReadAt(p, off)
}

// copyBuffers are for bodies in files.
var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (r *reader) WriteRange(w io.Writer, off, n int64) (int64, error) {
	const op = "write content"
	if err := r.usable(op); err != nil {
		return 0, err
	}
	if off < 0 || n < 0 || off > r.body.size || n > r.body.size-off {
		return 0, fail(op, mailaccess.KindInvalid, "", fmt.Errorf("%d octets from %d on are not within %d", n, off, r.body.size))
	}
	if r.body.file == nil {
		return writeAll(w, r.body.data[off:off+n])
	}
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	var done int64
	for done < n {
		p := buf[:min(int64(len(buf)), n-done)]
		if m, err := r.body.ReadAt(p, off+done); m < len(p) {
			return done, err
		}
		m, err := writeAll(w, p)
		done += m
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

func writeAll(w io.Writer, p []byte) (int64, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := w.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}
