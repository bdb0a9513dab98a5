package content

import (
	"context"
	"errors"
	"io"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Measured is what reading a message file through has told of it.
type Measured struct {
	FileSize int64 // octets on disk
	Size     int64 // octets in canonical form: FileSize and one for each bare LF
	// ModTime is the modification time of the file, in seconds since 1970. 0 is not
	// compared.
	ModTime int64
}

// BareLF returns how many LFs of the file no CR precedes.
func (m Measured) BareLF() int64 { return m.Size - m.FileSize }

// fits reports whether m may be of the file that i describes.
func (m Measured) fits(i fsys.Info) bool {
	return m.FileSize == i.Size && m.Size >= i.Size && m.Size-i.Size <= i.Size &&
		(m.ModTime == 0 || m.ModTime == i.ModTime.Unix())
}

// Measure reads f through. Errors: KindUnavailable, also when the file is being written.
func Measure(ctx context.Context, f fsys.File) (Measured, error) {
	_, m, _, err := measure(ctx, "measure content", f)
	return m, err
}

// measureTries is how often a file that changed while it was measured is measured again.
const measureTries = 3

func measure(ctx context.Context, op string, f fsys.File) (fsys.Info, Measured, *lines, error) {
	buf := buffers.Get().(*buffer)
	defer buffers.Put(buf)
	for range measureTries {
		was, err := f.Info()
		if err != nil {
			return was, Measured{}, nil, fail(op, mailaccess.KindUnavailable, err)
		}
		p, l := place{}, newLines()
		for {
			if p.file%(1<<20) == 0 && ctx.Err() != nil {
				return was, Measured{}, nil, fail(op, mailaccess.KindUnavailable, ctx.Err())
			}
			if p.file%tableBlock == 0 {
				l.note(p) // of a table that just begins, which cannot contradict
			}
			// Both sizes are powers of two: a block ends where a buffer does.
			n, err := f.ReadAt(buf[:], p.file)
			p.pass(buf[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return was, Measured{}, nil, fail(op, mailaccess.KindUnavailable, err)
			}
		}
		now, err := f.Info()
		if err != nil {
			return was, Measured{}, nil, fail(op, mailaccess.KindUnavailable, err)
		}
		if now.Size == p.file && was.Size == p.file && now.ModTime.Equal(was.ModTime) {
			return was, Measured{FileSize: p.file, Size: p.canon, ModTime: was.ModTime.Unix()}, l, nil
		}
	}
	return fsys.Info{}, Measured{}, nil, fail(op, mailaccess.KindUnavailable, errors.New("the message file is being written"))
}

// place is a place in a file and in its canonical form.
type place struct {
	file, canon int64
	state       message.CanonicalState
}

// pass goes past b, which is what the file has there. No LF may be due.
func (p *place) pass(b []byte) {
	if len(b) == 0 {
		return
	}
	p.canon += int64(len(b) + message.CountBareLF(b, p.state.CR))
	p.file += int64(len(b))
	p.state.CR = b[len(b)-1] == '\r'
}
