package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
)

// Trim says that the records before pos are not needed any more. Segments go as a
// whole; the last one only if all its records are before pos, for a new one then. After
// an error it may be called again; what is needed is never touched.
func (l *Log) Trim(pos Pos) error {
	l.mu.Lock()
	for l.trimming {
		l.idle.Wait()
	}
	l.trimming = true
	l.mu.Unlock()
	// First of all room is made, since the disk may be full.
	err := l.remove(pos)
	if err == nil {
		err = l.retire(pos)
	}
	if err == nil {
		err = l.remove(pos)
	}
	l.mu.Lock()
	l.trimming = false
	l.idle.Broadcast()
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("trim commit log: %w", err)
	}
	return nil
}

// retire begins a new segment if all records of the last one are before pos.
func (l *Log) retire(pos Pos) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if l.closed {
			return ErrClosed
		}
		if l.tail() == 0 || pos < position(l.number, l.end) {
			return nil
		}
		if !l.busy {
			return l.renew()
		}
		l.idle.Wait()
	}
}

// remove removes the segments that end at pos or before it. The oldest goes first, and
// the next only when that is durable.
func (l *Log) remove(pos Pos) error {
	for {
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			return ErrClosed
		}
		if len(l.old) == 0 || pos < position(l.old[0].number, l.old[0].end) {
			l.mu.Unlock()
			return nil
		}
		name := segmentName(l.old[0].number)
		l.mu.Unlock()
		if err := l.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := l.dir.Sync(); err != nil {
			return err
		}
		l.mu.Lock()
		l.old = l.old[1:]
		l.mu.Unlock()
	}
}
