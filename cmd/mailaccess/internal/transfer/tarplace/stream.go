package tarplace

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// stream reads an archive, compressed or not, from the beginning or, if it is not compressed,
// from anywhere.
type stream struct {
	f    *os.File
	gz   bool
	at   int64 // in the archive
	in   *bufio.Reader
	pos  int64 // of in, in the file
	unzi *gzip.Reader
	// members are where those of a compressed file begin, and where the last one ends: in the
	// file and in the archive.
	members []member
}

type member struct{ file, archive int64 }

// isGzip reports whether a file is compressed.
func isGzip(f *os.File) (bool, error) {
	magic := make([]byte, 2)
	n, err := f.ReadAt(magic, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return n == 2 && bytes.Equal(magic, []byte{0x1f, 0x8b}), nil
}

func (s *stream) rewind() {
	s.at, s.pos, s.unzi, s.members = 0, 0, nil, nil
	s.in = bufio.NewReaderSize(&from{s}, 64<<10)
}

// from reads the file on.
type from struct{ s *stream }

func (f *from) Read(b []byte) (int, error) {
	n, err := f.s.f.ReadAt(b, f.s.pos)
	f.s.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Read implements io.Reader. Members are taken one by one, so that it is known where each
// begins.
func (s *stream) Read(b []byte) (int, error) {
	for {
		if !s.gz {
			n, err := s.in.Read(b)
			s.at += int64(n)
			return n, err
		}
		if s.unzi == nil {
			// The end of the last one is where another would begin.
			begin := member{s.pos - int64(s.in.Buffered()), s.at}
			if n := len(s.members); n == 0 || s.members[n-1] != begin {
				s.members = append(s.members, begin)
			}
			if _, err := s.in.Peek(1); err != nil {
				return 0, err
			}
			z, err := gzip.NewReader(s.in)
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
			z.Multistream(false)
			s.unzi = z
		}
		n, err := s.unzi.Read(b)
		s.at += int64(n)
		if errors.Is(err, io.EOF) {
			s.unzi, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// seek goes to a place in the archive. In a compressed one that takes reading.
func (s *stream) seek(at int64) error {
	if !s.gz {
		s.at, s.pos = at, at
		s.in.Reset(&from{s})
		return nil
	}
	if at < s.at {
		// From the last member that begins before it.
		known := s.members
		s.rewind()
		for _, m := range known {
			if m.archive <= at {
				s.at, s.pos = m.archive, m.file
			}
		}
		for i, m := range known {
			if m.archive < s.at {
				s.members = known[:i+1]
			}
		}
	}
	_, err := io.CopyN(io.Discard, s, at-s.at)
	return err
}
