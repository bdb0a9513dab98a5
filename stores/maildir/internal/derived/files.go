package derived

import (
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// files keeps the files open that were used last.
type files struct {
	dir  fsys.Dir
	most int

	mu     sync.Mutex
	open   []*file // the last used at the end
	closed bool
}

// file is an open file. It is closed when it is out of the list and nobody uses it.
type file struct {
	fsys.File
	name   string
	users  int
	listed bool
}

// get opens a file for the caller, who must put it back. One that is not there is made if
// create is set.
func (s *files) get(name string, create bool) (*file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fs.ErrClosed
	}
	i := slices.IndexFunc(s.open, func(f *file) bool { return f.name == name })
	if i >= 0 {
		f := s.open[i]
		copy(s.open[i:], s.open[i+1:])
		s.open[len(s.open)-1] = f
		f.users++
		return f, nil
	}
	opened, err := s.dir.OpenRW(name)
	if create && errors.Is(err, fs.ErrNotExist) {
		opened, err = s.dir.Create(name)
	}
	if err != nil {
		return nil, err
	}
	f := &file{File: opened, name: name, users: 1, listed: true}
	s.open = append(s.open, f)
	s.shrink(s.most)
	return f, nil
}

func (s *files) put(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.users--
	if !f.listed && f.users == 0 {
		f.Close() //nolint:errcheck // nothing in it has to last
	}
	s.shrink(s.most)
}

// shrink closes what was not used for the longest, as long as more than n are open. s.mu
// is held.
func (s *files) shrink(n int) {
	for i := 0; i < len(s.open) && len(s.open) > n; {
		if s.open[i].users > 0 {
			i++
			continue
		}
		s.out(i)
	}
}

// out takes a file out of the list. s.mu is held.
func (s *files) out(i int) {
	f := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	f.listed = false
	if f.users == 0 {
		f.Close() //nolint:errcheck // nothing in it has to last
	}
}

// forget: the name will be another file's, or none's.
func (s *files) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.open, func(f *file) bool { return f.name == name }); i >= 0 {
		s.out(i)
	}
}

func (s *files) trim(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shrink(n)
}

func (s *files) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.open) > 0 {
		s.out(0)
	}
}
