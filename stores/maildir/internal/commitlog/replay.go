package commitlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Damage is what Open found to be lost of records that were once on disk.
type Damage struct {
	Pos    Pos   // where it begins
	Lost   int64 // octets; -1: nobody knows
	Reason string
}

func (d *Damage) Error() string {
	if d.Lost < 0 {
		return fmt.Sprintf("commit log: at %v: %s", d.Pos, d.Reason)
	}
	return fmt.Sprintf("commit log: at %v: %s: %d octets lost", d.Pos, d.Reason, d.Lost)
}

// Open reads all records of the log in dir, in order, and hands each to replay, which
// may keep no part of the payload; an error of it ends Open. It writes and syncs
// nothing: that is left to the first record, so that a store on a full disk can be opened.
// Files in dir that are no segments are left alone. Nobody else may use dir until Close,
// which does not close it.
//
// Damage does not end Open, except as OnDamage says. A read that fails does, and so
// does ErrVersion: going on would forget records that are there.
func Open(dir fsys.Dir, opts Options, replay func(Pos, []byte) error) (*Log, error) {
	if opts.SegmentSize <= 0 {
		opts.SegmentSize = defaultSegmentSize
	}
	opts.SegmentSize = min(opts.SegmentSize, maxSegmentSize)
	l := &Log{dir: dir, opts: opts}
	l.idle.L = &l.mu
	if err := l.recover(replay); err != nil {
		return nil, fmt.Errorf("open commit log: %w", err)
	}
	l.enc.sum = newSum(l.id)
	return l, nil
}

// found is a segment that is there.
type found struct {
	number uint32
	size   int64
	header header
	bad    error // of the header
}

func (l *Log) recover(replay func(Pos, []byte) error) error {
	segments, err := l.find()
	if err != nil {
		return err
	}
	for _, s := range segments {
		if s.bad == nil {
			l.id = s.header.id
		}
	}
	if l.id == 0 {
		var b [8]byte
		rand.Read(b[:]) // never fails
		l.id = binary.LittleEndian.Uint64(b[:]) | 1
	}
	r := frames{sum: newSum(l.id)}
	for i, s := range segments {
		if i > 0 && s.number != segments[i-1].number+1 {
			n := segments[i-1].number + 1
			err := l.damaged(position(n, segmentHeader), -1, fmt.Sprintf("%d segments are missing", s.number-n))
			if err != nil {
				return err
			}
		}
		var next *header
		if i+1 < len(segments) && segments[i+1].bad == nil && segments[i+1].number == s.number+1 {
			next = &segments[i+1].header
		}
		synced, end, err := l.replaySegment(&r, s, next, replay)
		if err != nil {
			return err
		}
		if l.number > 0 {
			l.old = append(l.old, extent{l.number, l.end})
		}
		l.number, l.synced, l.end = s.number, synced, end
	}
	if l.synced == segmentHeader {
		l.synced = 0 // nothing shows that its header is on disk
	}
	return nil
}

// find lists the segments with their headers, by number.
func (l *Log) find() ([]found, error) {
	var segments []found
	for e, err := range l.dir.Names(0) {
		if err != nil {
			return nil, err
		}
		if n := segmentNumber(e.Name); n > 0 {
			segments = append(segments, found{number: n})
		}
	}
	slices.SortFunc(segments, func(a, b found) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	for i := range segments {
		if err := l.readHeader(&segments[i]); err != nil {
			return nil, err
		}
	}
	// The last may be one that was being begun: records come after its header is on disk.
	if i := len(segments) - 1; i >= 0 && segments[i].bad != nil && segments[i].size <= segmentHeader {
		segments = segments[:i]
	}
	return segments, nil
}

func (l *Log) readHeader(s *found) error {
	f, err := l.dir.Open(segmentName(s.number))
	if err != nil {
		return err
	}
	defer f.Close()
	if s.size, err = f.Size(); err != nil {
		return err
	}
	s.size = min(s.size, math.MaxUint32)
	b, err := readAt(f, make([]byte, segmentHeader), 0)
	if err != nil {
		return err
	}
	s.header, s.bad = decodeHeader(b, s.number)
	if errors.Is(s.bad, ErrVersion) {
		return fmt.Errorf("%s: %w", segmentName(s.number), s.bad)
	}
	return nil
}

// replaySegment hands the records of one segment to replay. It returns how much of it
// was once on disk, as far as can be told, and where the records end. The header of the
// next segment, if there is a good one, says where that should be.
func (l *Log) replaySegment(r *frames, s found, next *header, replay func(Pos, []byte) error) (synced, off int64, err error) {
	if s.bad == nil && s.header.id != l.id {
		end := max(s.size, segmentHeader)
		return end, end, l.damaged(position(s.number, segmentHeader), s.size, "segment of another log")
	}
	if s.bad != nil {
		// Its records may be whole all the same.
		if err := l.damaged(position(s.number, 0), min(s.size, segmentHeader), s.bad.Error()); err != nil {
			return 0, 0, err
		}
	}
	f, err := l.dir.Open(segmentName(s.number))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	limit := s.size
	off, synced = segmentHeader, segmentHeader
	if next != nil {
		synced = next.prev.offset()
		limit = min(limit, synced)
	}
	r.reset(f, s.number, limit)
	for off < r.limit {
		fr, ok, err := r.read(off)
		if err != nil {
			return 0, 0, err
		}
		if ok {
			synced = max(synced, fr.synced)
			if err := replay(position(s.number, off), fr.payload); err != nil {
				return 0, 0, err
			}
			off = fr.next
			continue
		}
		resume, proven, err := r.search(off, synced)
		if err != nil {
			return 0, 0, err
		}
		if proven <= off {
			break // torn
		}
		synced = proven
		if err := l.damaged(position(s.number, off), resume-off, "records damaged"); err != nil {
			return 0, 0, err
		}
		off = resume
	}
	if next != nil && off < synced {
		if err := l.damaged(position(s.number, off), synced-off, "segment cut short"); err != nil {
			return 0, 0, err
		}
	}
	return min(synced, off), off, nil
}

// settle makes durable what Open found at the end of the last segment. A sync of an
// earlier life may have failed, after which another does nothing for pages that look
// clean; so the octets are written again. The caller is busy, and mu is not held.
func (l *Log) settle() error {
	f, err := l.dir.OpenRW(segmentName(l.number))
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, min(windowSize, l.end-l.synced))
	for off := l.synced; off < l.end; off += int64(len(b)) {
		if b, err = readAt(f, b[:min(int64(len(b)), l.end-off)], off); err != nil {
			return err
		}
		if len(b) == 0 {
			break // one without a header may be shorter than that
		}
		if _, err := f.WriteAt(b, off); err != nil {
			return err
		}
	}
	return f.SyncData()
}

// search looks behind off, where no frame begins. It returns where the next one does,
// or the limit; and how much was once on disk, by what is known and by what the frames
// behind say, as far as it takes to tell whether that is more than off.
func (r *frames) search(off, synced int64) (resume, proven int64, err error) {
	resume = r.limit
	for at := off + 1; at < r.limit; {
		f, ok, err := r.read(at)
		if err != nil {
			return 0, 0, err
		}
		if !ok {
			at++
			continue
		}
		resume = min(resume, at)
		synced = max(synced, f.synced)
		if synced > off {
			break
		}
		at = f.next
	}
	return resume, synced, nil
}

func (l *Log) damaged(pos Pos, lost int64, reason string) error {
	d := &Damage{Pos: pos, Lost: lost, Reason: reason}
	if l.opts.OnDamage == nil {
		return d
	}
	l.opts.OnDamage(d)
	return nil
}
