package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// files are the open files of a generation, closed by whoever lets go last.
type files struct {
	rows, names fsys.File
	users       atomic.Int32
}

// openFiles opens the files of a generation, which a head names.
func openFiles(id string, gen uint64, open func(name string) (fsys.File, error)) (*files, error) {
	var f files
	var err error
	if f.rows, err = open(rowsName(id, gen)); err != nil {
		return nil, missing(err)
	}
	if f.names, err = open(namesName(id, gen)); err != nil {
		return nil, errors.Join(missing(err), f.rows.Close())
	}
	f.users.Store(1)
	return &f, nil
}

// missing: the caller has a head, so that a file that is not there, or is none, is damage.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsys.ErrNotRegular) {
		// The error of the system would pass for that of a mailbox that is not there.
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	return err
}

func (f *files) use() *files {
	f.users.Add(1)
	return f
}

func (f *files) close() error {
	if f.users.Add(-1) > 0 {
		return nil
	}
	return errors.Join(f.rows.Close(), f.names.Close())
}

// source reads records and strings of a checkpoint, in any order, but best ascending. Nothing
// that it reads is ever changed, so that it needs no lock.
type source struct {
	files       *files
	rows, names window
}

func openSource(dir fsys.Dir, id string, e extent) (*source, error) {
	f, err := openFiles(id, e.gen, dir.Open)
	if err != nil {
		return nil, err
	}
	return newSource(f, e, sequential), nil
}

// How much is read ahead: of many things, and of one.
const (
	sequential = 64 << 10
	single     = 256
)

// newSource takes over a use of f.
func newSource(f *files, e extent, ahead int) *source {
	return &source{
		files: f,
		rows:  window{file: f.rows, end: int64(e.slots) * recordSize, ahead: ahead},
		names: window{file: f.names, end: e.names, ahead: ahead},
	}
}

// reach lets s read what a checkpoint has added to the files since.
func (s *source) reach(e extent) {
	s.rows.end, s.names.end = int64(e.slots)*recordSize, e.names
}

func (s *source) close() error { return s.files.close() }

// record reads the record of a message.
func (s *source) record(slot uint32, uid mailaccess.UID) (record, error) {
	var rec record
	b, err := s.rows.at(int64(slot)*recordSize, recordSize)
	if err != nil {
		return rec, err
	}
	if !rec.decode(b, slot) || rec.uid != uid {
		return rec, damaged("record", int64(slot))
	}
	return rec, nil
}

// text reads a string; what it returns holds until the next one.
func (s *source) text(place uint32) ([]byte, error) {
	if place == 0 {
		return nil, nil
	}
	off := int64(place) * 4
	b, err := s.names.at(off, stringHeader)
	if err != nil {
		return nil, err
	}
	sum, n := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if n > maxKeywords {
		return nil, damaged("string", off)
	}
	if b, err = s.names.at(off, stringHeader+int(n)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b[4:], castagnoli()) != sum {
		return nil, damaged("string", off)
	}
	return b[stringHeader:], nil
}

// base reads the base name of a record.
func (s *source) base(rec *record) ([]byte, error) {
	b, err := s.text(rec.base)
	if err == nil && crc32.Checksum(b, castagnoli()) != rec.hash {
		err = damaged("name of message", int64(rec.uid))
	}
	return b, err
}

// keywords reads a set of keywords, unless seen has it.
func (s *source) keywords(seen map[uint32]mailaccess.Keywords, place uint32) (mailaccess.Keywords, error) {
	if place == 0 {
		return mailaccess.Keywords{}, nil
	}
	if k, ok := seen[place]; ok {
		return k, nil
	}
	b, err := s.text(place)
	if err != nil {
		return mailaccess.Keywords{}, err
	}
	k, err := parseKeywords(string(b))
	if err != nil {
		return k, fmt.Errorf("%w: keywords at %d: %w", ErrCorrupt, int64(place)*4, err)
	}
	if len(seen) >= maxCached {
		clear(seen)
	}
	seen[place] = k
	return k, nil
}

// maxCached is how many entries a cache of strings has at most: it is emptied then.
const maxCached = 4096

// window is the part of a file that was read last.
type window struct {
	file  fsys.File
	end   int64 // how much of the file counts
	ahead int
	off   int64
	buf   []byte
}

// at returns n octets from off, which hold until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off < 0 || off > w.end-int64(n) {
		return nil, fmt.Errorf("%w: a reference to %d leads out of the file", ErrCorrupt, off)
	}
	have := w.off + int64(len(w.buf))
	if off >= w.off && off+int64(n) <= have {
		return w.buf[off-w.off:][:n], nil
	}
	size := n
	if off >= w.off && off <= have+int64(w.ahead) {
		size = max(n, w.ahead) // it goes on from where it was
	} else {
		size = max(n, min(single, w.ahead))
	}
	size = int(min(int64(size), w.end-off))
	if cap(w.buf) < size {
		w.buf = make([]byte, 0, size)
	}
	w.buf, w.off = w.buf[:0], off
	b := w.buf[:size]
	if err := readFull(w.file, b, off); err != nil {
		return nil, err
	}
	w.buf = b
	return b[:n], nil
}

// readFull reads octets that a head counts.
func readFull(f fsys.File, b []byte, off int64) error {
	if n, err := f.ReadAt(b, off); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: a file ends at %d", ErrCorrupt, off+int64(n))
		}
		return err
	}
	return nil
}
