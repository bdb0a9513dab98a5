package commitlog

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

var (
	// ErrNotWritten: the record is not in the log and never will be.
	ErrNotWritten = errors.New("not written")
	// ErrUncertain: the record is in the log, whole, or not at all; the next Open shows
	// which. It will not be in the log once a later record has been accepted.
	ErrUncertain = errors.New("may or may not have been written")
	// ErrClosed: the log has been closed.
	ErrClosed = errors.New("commit log is closed")
	// ErrVersion: the log was written by a newer version of this package.
	ErrVersion = errors.New("unknown version")
)

// MaxPayload is the size of the largest record, in octets.
const MaxPayload = 64 << 20

const (
	defaultSegmentSize = 16 << 20
	maxSegmentSize     = 1 << 30 // with one record over it, offsets fit into 32 bits
	keepBuffer         = 1 << 20 // a larger buffer is given back after use
	syncDelay          = 500 * time.Millisecond
)

// Mode says when records are synced.
type Mode int

const (
	// Full: a record is on disk when Commit returns.
	Full Mode = iota
	// Normal: a record is in the file when Commit returns, and on disk within a second.
	// It survives the end of the process, not a loss of power in that second.
	Normal
	// Off: as Normal, but it is synced only when its segment is full and by Close.
	Off
)

// Pos is the position of a record: the number of its segment in the upper 32 bits, the
// offset in that file in the lower. Positions grow and are never given to two records
// that were accepted, whatever crashed when, as long as the directory is kept. 0 is
// before all records.
type Pos uint64

func position(segment uint32, offset int64) Pos { return Pos(segment)<<32 | Pos(offset) }

func (p Pos) segment() uint32 { return uint32(p >> 32) }
func (p Pos) offset() int64   { return int64(p & math.MaxUint32) }

func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.segment(), p.offset()) }

// Options are those of a log. The functions must not call the log.
type Options struct {
	Mode Mode
	// SegmentSize is where a new segment begins, in octets: 0 is 16 MiB, the most is 1 GiB.
	SegmentSize int64
	// BeforeSync is called once before the sync of records of which one asked for it.
	BeforeSync func() error
	// OnDiscard is called when a sync has failed: the records from that position on,
	// though their writers were told success, are not in the log any more, or will not
	// be when it accepts another. It may come before the call that wrote such a record
	// has returned.
	OnDiscard func(from Pos)
	// OnDamage is called by Open for what is damaged. If it is nil, Open fails instead.
	OnDamage func(*Damage)
}

// Log is an open commit log. Its methods may be called at the same time.
type Log struct {
	dir  fsys.Dir
	opts Options
	id   uint64

	mu   sync.Mutex
	idle sync.Cond // signalled when busy or trimming ends, and by Close
	// busy: somebody syncs, or begins a segment, with mu unlocked. Records may be
	// written meanwhile if the segment takes them.
	busy     bool
	trimming bool // there is one Trim at a time
	closed   bool

	old []extent // segments before the last, the oldest first

	// The last segment. All but end may only be changed by whoever is busy.
	number uint32    // 0: there is none yet
	file   fsys.File // nil: it takes no more records, and the next has to be begun
	sealed bool      // likewise, but what is in it still has to be synced
	end    int64     // behind its last record
	synced int64     // what is known to be on disk
	told   int64     // behind the last record whose writer was told success without a sync

	forming *group // those who wait for the next sync; nil: nobody
	before  bool   // one of the records since the last sync asked for BeforeSync
	failed  error  // a sync in the background failed, and nobody has been told

	background sync.WaitGroup
	timer      *time.Timer // of the next sync in the background; nil: none is due
	enc        encoder
}

// extent is a segment and where its records end.
type extent struct {
	number uint32
	end    int64
}

// Commit writes a record and, in mode Full, returns when it is on disk, together with
// all others that were written before the sync began. With before, BeforeSync precedes
// that sync. The payload is not kept.
func (l *Log) Commit(payload []byte, before bool) (Pos, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos, err := l.write(payload)
	if err != nil {
		return 0, err
	}
	l.before = l.before || before
	if l.opts.Mode != Full {
		l.tell()
		return pos, nil
	}
	if err := l.wait(); err != nil {
		return 0, err
	}
	return pos, nil
}

// Append writes a record and does not wait: it is on disk when a later Commit is, or
// as the mode says.
func (l *Log) Append(payload []byte) (Pos, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos, err := l.write(payload)
	if err != nil {
		return 0, err
	}
	l.tell()
	return pos, nil
}

// write puts a record behind the last one. mu is held, but not all the time.
func (l *Log) write(payload []byte) (Pos, error) {
	if len(payload) > MaxPayload {
		return 0, notWritten(fmt.Errorf("record of %d octets", len(payload)))
	}
	size := frameHeader + int64(len(payload))
	for !l.takes(size) {
		if l.closed {
			return 0, notWritten(ErrClosed)
		}
		if l.busy {
			l.idle.Wait()
		} else if err := l.renew(); err != nil {
			l.failed = nil
			return 0, notWritten(err)
		}
	}
	if l.closed {
		return 0, notWritten(ErrClosed)
	}
	if err := l.failed; err != nil {
		l.failed = nil
		return 0, notWritten(err)
	}
	pos := position(l.number, l.end)
	if _, err := l.file.WriteAt(l.enc.frame(pos, l.synced, payload), l.end); err != nil {
		if l.file.Truncate(l.end) != nil {
			l.sealed = true
		}
		return 0, notWritten(err)
	}
	l.end += size
	return pos, nil
}

// takes reports whether a record of that size belongs into the last segment. An empty
// one takes any.
func (l *Log) takes(size int64) bool {
	return l.file != nil && !l.sealed && (l.end == segmentHeader || l.end+size <= l.opts.SegmentSize)
}

// tell notes that the writer of the last record is about to be told success.
func (l *Log) tell() {
	l.told = l.end
	if l.opts.Mode == Normal && l.timer == nil {
		l.background.Add(1)
		l.timer = time.AfterFunc(syncDelay, l.syncBehind)
	}
}

// End is behind the last record: Trim(End()) says that no record so far is needed.
func (l *Log) End() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil && !l.sealed {
		return position(l.number, l.end)
	}
	return position(l.number+1, segmentHeader)
}

// Size is how many octets the records take that have not been trimmed.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := l.tail()
	for _, s := range l.old {
		size += s.end - segmentHeader
	}
	return size
}

// tail is how many octets of records the last segment holds.
func (l *Log) tail() int64 {
	if l.number == 0 {
		return 0
	}
	return l.end - segmentHeader
}

// Close syncs what was written and closes the log. Those who wait in Commit get their
// answer; later calls get ErrClosed (and for records, ErrNotWritten).
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.idle.Broadcast()
	if l.timer != nil && l.timer.Stop() {
		l.background.Done()
	}
	for l.busy || l.trimming {
		l.idle.Wait()
	}
	err := l.failed
	if l.file != nil {
		l.busy = true
		err = errors.Join(err, l.sync())
		if l.file != nil {
			err = errors.Join(err, l.file.Close())
			l.file = nil
		}
		l.release()
	}
	l.mu.Unlock()
	l.background.Wait()
	if err != nil {
		return fmt.Errorf("close commit log: %w", err)
	}
	return nil
}

func notWritten(cause error) error {
	return fmt.Errorf("commit log: %w: %w", ErrNotWritten, cause)
}
