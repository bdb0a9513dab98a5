// Package files is what places of mail share that are files: contents on their way, and the
// names of files for mailboxes.
package files

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// inMemory is the longest content that is held in memory.
const inMemory = 1 << 20

// Spooled is a content in canonical form that can be read more than once: in memory, or in a
// file that has no name any more.
type Spooled struct {
	small bytes.Buffer
	large *os.File
	size  int64
	last  byte
	prev  byte // before it
	mixed bool
}

// Spool reads a content to its end and brings it into canonical form. The caller closes it.
func Spool(r io.Reader) (*Spooled, error) {
	s := &Spooled{}
	_, err := io.Copy(message.NewCanonicalWriter(s), onlyReader{r})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// onlyReader hides what else a reader can do: what it yields is looked at on its way.
type onlyReader struct{ io.Reader }

// Write takes octets in canonical form.
func (s *Spooled) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' && s.last == '\r' && s.prev == '\r' {
			s.mixed = true
		}
		s.prev, s.last = s.last, c
	}
	s.size += int64(len(b))
	if s.large == nil && s.small.Len()+len(b) <= inMemory {
		return s.small.Write(b)
	}
	if s.large == nil {
		f, err := os.CreateTemp("", "mailaccess-*")
		if err != nil {
			return 0, err
		}
		s.large = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, err
		}
		if _, err := s.small.WriteTo(f); err != nil {
			return 0, err
		}
	}
	return s.large.Write(b)
}

// Size is how many octets there are.
func (s *Spooled) Size() int64 { return s.size }

// Reader reads it from the beginning.
func (s *Spooled) Reader() io.Reader {
	if s.large != nil {
		return io.NewSectionReader(s.large, 0, s.size)
	}
	return bytes.NewReader(s.small.Bytes())
}

// Ended reports whether the last line has an end.
func (s *Spooled) Ended() bool { return s.last == '\n' }

// Plain reports whether the content can be kept with LF as the end of lines, and be the same
// again in canonical form: a CR before CRLF would be lost.
func (s *Spooled) Plain() bool { return !s.mixed }

// Close gives it up.
func (s *Spooled) Close() error {
	if s.large == nil {
		return nil
	}
	return s.large.Close()
}

// LF is a writer that turns CRLF into LF.
type LF struct {
	w  io.Writer
	cr bool // one is held back
	n  int64
	b  []byte
}

// NewLF returns an LF that writes to w.
func NewLF(w io.Writer) *LF { return &LF{w: w} }

// Write implements io.Writer.
func (l *LF) Write(b []byte) (int, error) {
	l.b = l.b[:0]
	for _, c := range b {
		if l.cr && c != '\n' {
			l.b = append(l.b, '\r')
		}
		if l.cr = c == '\r'; !l.cr {
			l.b = append(l.b, c)
		}
	}
	if err := l.out(); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (l *LF) out() error {
	n, err := l.w.Write(l.b)
	l.n += int64(n)
	return err
}

// Finish writes what is held back, and returns how many octets were written in all.
func (l *LF) Finish() (int64, error) {
	if l.cr {
		l.b, l.cr = append(l.b[:0], '\r'), false
		if err := l.out(); err != nil {
			return l.n, err
		}
	}
	return l.n, nil
}

// Yield yields the n-th message, which was spooled, or why it could not be. It reports whether
// more is wanted.
func Yield(yield func(transfer.Body, error) bool, n int, s *Spooled, err error) bool {
	b := transfer.Body{N: n, Err: Failed("read", err)}
	if err != nil {
		return yield(b, nil)
	}
	defer s.Close() //nolint:errcheck // it was only read
	b.Size, b.Reader = s.Size(), s.Reader()
	return yield(b, nil)
}
