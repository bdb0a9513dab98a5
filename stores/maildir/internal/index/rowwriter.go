package index

import (
	"errors"
	"maps"
	"math"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// rowWriter appends records and strings to the files of a generation.
type rowWriter struct {
	extent  // what counts with what was written
	rows    appender
	names   appender
	strings map[string]uint32 // where suffixes and keywords are
	moved   map[uint32]uint32 // where strings of the old generation are in the new one
	scratch []byte
}

func newRowWriter(f *files, e extent, strings map[string]uint32) *rowWriter {
	if strings = maps.Clone(strings); strings == nil {
		strings = make(map[string]uint32)
	}
	return &rowWriter{
		extent:  e,
		rows:    appender{file: f.rows, off: int64(e.slots) * recordSize},
		names:   appender{file: f.names, off: e.names},
		strings: strings,
		moved:   make(map[uint32]uint32),
	}
}

func (w *rowWriter) write(rec *record) error {
	var b [recordSize]byte
	rec.encode(b[:], w.slots)
	w.slots++
	return w.rows.write(b[:])
}

func (w *rowWriter) gone(g *Gone) error {
	rec := record{place: recordGone}
	rec.uid, rec.modseq, rec.created, rec.email, rec.thread = g.UID, g.ModSeq, g.Created, g.Email, g.Thread
	return w.write(&rec)
}

var errNames = errors.New("names of files take more than 16 GiB")

// add writes a string and returns where it is.
func (w *rowWriter) add(s string) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	place := w.extent.names / 4
	if place > math.MaxUint32 {
		return 0, errNames
	}
	w.scratch = appendString(w.scratch[:0], s)
	w.extent.names += int64(len(w.scratch))
	return uint32(place), w.names.write(w.scratch)
}

// shared is add for what many messages have.
func (w *rowWriter) shared(s string) (uint32, error) {
	if place, ok := w.strings[s]; ok || s == "" {
		return place, nil
	}
	place, err := w.add(s)
	if len(w.strings) >= maxCached {
		clear(w.strings)
	}
	w.strings[s] = place
	return place, err
}

// move returns where the name of a record of the old generation is in the new one, if
// there is a new one.
func (w *rowWriter) move(src *source, rec *record, moved bool) (base, suffix uint32, err error) {
	if !moved {
		return rec.base, rec.suffix, nil
	}
	b, err := src.base(rec)
	if err != nil {
		return 0, 0, err
	}
	if base, err = w.add(string(b)); err != nil {
		return 0, 0, err
	}
	suffix, err = w.moveShared(src, rec.suffix)
	return base, suffix, err
}

func (w *rowWriter) moveShared(src *source, place uint32) (uint32, error) {
	if to, ok := w.moved[place]; ok || place == 0 {
		return to, nil
	}
	s, err := src.text(place)
	if err != nil {
		return 0, err
	}
	to, err := w.shared(string(s))
	if len(w.moved) >= maxCached {
		clear(w.moved)
	}
	w.moved[place] = to
	return to, err
}

// sync makes what was written durable.
func (w *rowWriter) sync() error {
	for _, a := range []*appender{&w.names, &w.rows} {
		if err := a.flush(); err != nil {
			return err
		}
		if err := a.file.SyncData(); err != nil {
			return err
		}
	}
	return nil
}

// appender writes to a file in large pieces.
type appender struct {
	file fsys.File
	off  int64 // of what is in buf
	buf  []byte
}

const appendBuffer = 128 << 10

func (a *appender) write(b []byte) error {
	if len(a.buf)+len(b) > appendBuffer {
		if err := a.flush(); err != nil {
			return err
		}
	}
	a.buf = append(a.buf, b...)
	return nil
}

func (a *appender) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	if _, err := a.file.WriteAt(a.buf, a.off); err != nil {
		return err
	}
	a.off += int64(len(a.buf))
	a.buf = a.buf[:0]
	return nil
}
