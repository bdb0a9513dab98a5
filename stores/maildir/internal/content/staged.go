package content

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// StagedOptions are those of [NewStaged]. nil means none of them.
type StagedOptions struct {
	// Limit is how many octets are taken; more are KindTooBig. 0: as many as fit.
	Limit int64
	// Discard is called once when the upload is closed, after its file.
	Discard func() error
	// Usable is asked before anything is read or written; its error is returned as
	// it is.
	Usable func() error
}

// Staged is an upload into a spool file, a [mailaccess.Staged]. The file holds the
// octets as they were written, which the caller made canonical. What was written
// is there for others only after [Staged.Sync] or [Staged.Content].
type Staged struct {
	f       *sharedFile
	limit   int64
	discard func() error
	usable  func() error
	size    int64 // accepted
	buf     *buffer
	held    int // octets in buf, which are not in the file yet
	sealed  bool
	closed  bool
	err     error // of an earlier write: what the file holds is not known
}

var _ mailaccess.Staged = (*Staged)(nil)

// NewStaged returns an upload into f, an empty file, which is the Staged's from now on.
func NewStaged(f fsys.File, opts *StagedOptions) *Staged {
	if opts == nil {
		opts = &StagedOptions{}
	}
	s := &Staged{f: &sharedFile{File: f}, limit: opts.Limit, discard: opts.Discard, usable: opts.Usable}
	s.f.refs.Store(1)
	return s
}

// ready returns why nothing can be done, if so.
func (s *Staged) ready(op string) error {
	if s.closed {
		return fail(op, mailaccess.KindInvalid, fs.ErrClosed)
	}
	if s.usable != nil {
		if err := s.usable(); err != nil {
			return err
		}
	}
	return s.err
}

// Write implements io.Writer. After an error nothing more can be done than to close.
func (s *Staged) Write(p []byte) (int, error) {
	const op = "write upload"
	if err := s.ready(op); err != nil {
		return 0, err
	}
	if s.sealed {
		return 0, fail(op, mailaccess.KindInvalid, errors.New("it has been read already"))
	}
	if s.limit > 0 && int64(len(p)) > s.limit-s.size {
		s.err = fail(op, mailaccess.KindTooBig, fmt.Errorf("more than %d octets", s.limit))
		return 0, s.err
	}
	if s.buf == nil {
		s.buf = buffers.Get().(*buffer)
	}
	for rest := p; len(rest) > 0; {
		n := len(rest)
		if s.held == 0 && n >= len(s.buf) {
			s.write(op, rest)
		} else {
			n = copy(s.buf[s.held:], rest)
			if s.held += n; s.held == len(s.buf) {
				s.write(op, s.buf[:])
				s.held = 0
			}
		}
		if s.err != nil {
			return len(p) - len(rest), s.err
		}
		s.size += int64(n)
		rest = rest[n:]
	}
	return len(p), nil
}

// write writes b, which comes after what the file has.
func (s *Staged) write(op string, b []byte) {
	if _, err := s.f.Write(b); err != nil {
		s.err = fail(op, refusal(err), err)
	}
}

func (s *Staged) flush(op string) error {
	if err := s.ready(op); err != nil {
		return err
	}
	if s.held > 0 {
		s.write(op, s.buf[:s.held])
		s.held = 0
	}
	s.release()
	return s.err
}

func (s *Staged) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf, s.held = nil, 0
	}
}

// Size is how many octets were written.
func (s *Staged) Size() int64 { return s.size }

// Sync returns when what was written is durable in the file, as is its modification
// time; see [fsys.File].
func (s *Staged) Sync() error {
	const op = "sync upload"
	if err := s.flush(op); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		// A second try would say that all is well although it is not.
		s.err = fail(op, refusal(err), err)
	}
	return s.err
}

// refusal is the kind of an error of writing.
func refusal(err error) mailaccess.Kind {
	if fsys.IsFull(err) {
		return mailaccess.KindOverQuota
	}
	return mailaccess.KindUnavailable
}

// File is the spool file. It belongs to the Staged.
func (s *Staged) File() fsys.File { return s.f }

// Content opens what was written so far. It stays readable after Close.
func (s *Staged) Content() (mailaccess.Content, error) {
	if err := s.flush("open upload"); err != nil {
		return nil, err
	}
	s.sealed = true
	s.f.refs.Add(1)
	return &Content{
		f:        s.f,
		was:      fsys.Info{Size: s.size},
		measured: Measured{FileSize: s.size, Size: s.size},
		usable:   s.usable,
		ours:     true,
	}, nil
}

// Close discards the upload, as far as Discard does. It may be called more than once.
func (s *Staged) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.release()
	err := s.f.Close()
	if s.discard != nil {
		err = errors.Join(err, s.discard())
	}
	if err != nil {
		return fail("close upload", mailaccess.KindUnavailable, err)
	}
	return nil
}

// sharedFile is closed when nobody reads it any more. It has no Std: the read offset would
// be everybody's.
type sharedFile struct {
	fsys.File
	refs atomic.Int32
}

func (f *sharedFile) Std() *os.File { return nil }

func (f *sharedFile) Close() error {
	if f.refs.Add(-1) > 0 {
		return nil
	}
	return f.File.Close()
}
