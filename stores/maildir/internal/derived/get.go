package derived

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

const (
	windowSlots = 4096      // slots read at once
	slotGap     = 128       // slots that are read for nothing rather than in two goes
	dataSize    = 128 << 10 // values read at once, but for one that is longer
	dataGap     = 4 << 10
)

// Get yields for those of emails that have a value of the kind their index in emails and
// the value, which is valid until yield returns, in ascending order of the index. It ends
// when yield returns false. It is fastest when emails are in the order in which they were
// put, or ascending. What cannot be read is not there; the errors are KindInvalid (the kind),
// and KindUnavailable when ctx has ended or the cache is closed.
func (c *Cache) Get(ctx context.Context, kind mailaccess.DerivedKind, emails []uint32, yield func(i int, value []byte) bool) error {
	const op = "get derived"
	t, err := c.use(op, kind, false)
	if err != nil || t == nil {
		return err
	}
	r := readers.Get().(*reader)
	defer r.release()
	for at := 0; at < len(emails); {
		if err := interrupted(ctx, op); err != nil {
			return err
		}
		n := r.window(c, t, emails[at:])
		for end := at + n; at < end; {
			var more bool
			if at, more = r.group(c, t, emails, at, end, yield); !more {
				return nil
			}
			if err := interrupted(ctx, op); err != nil {
				return err
			}
		}
	}
	return nil
}

// reader holds what a Get reads into.
type reader struct {
	slots [windowSlots * slotSize]byte
	first uint32 // the number that the first slot belongs to
	data  []byte
	found []found
}

type found struct {
	i    int // index in emails
	slot slot
}

var readers = sync.Pool{New: func() any { return &reader{data: make([]byte, dataSize)} }}

func (r *reader) release() {
	if len(r.data) > dataSize {
		r.data = make([]byte, dataSize)
	}
	readers.Put(r)
}

// window reads the slots of as many of emails as lie close together, and returns how many
// these are.
func (r *reader) window(c *Cache, t *table, emails []uint32) int {
	first := emails[0]
	last, n := first, 1
	for _, e := range emails[1:] {
		if e < first || e-first >= windowSlots || e > last && e-last > slotGap {
			break
		}
		last = max(last, e)
		n++
	}
	r.first = first
	b := r.slots[:(int(last-first)+1)*slotSize]
	clear(b[c.read(t.name, b, int64(first)*slotSize):])
	return n
}

// read reads from a file and returns how much there was.
func (c *Cache) read(name string, b []byte, off int64) int {
	f, err := c.files.get(name, false)
	if err != nil {
		return 0
	}
	defer c.files.put(f)
	n, _ := f.ReadAt(b, off) //nolint:errcheck // what cannot be read is not there
	return n
}

// group reads the values of as many of emails[at:end] as lie one after the other in a
// segment, yields them, and returns where it stopped.
func (r *reader) group(c *Cache, t *table, emails []uint32, at, end int, yield func(int, []byte) bool) (_ int, more bool) {
	r.found = r.found[:0]
	var head, tail slot
	for ; at < end; at++ {
		s := slot(binary.LittleEndian.Uint64(r.slots[(emails[at]-r.first)*slotSize:]))
		if s == 0 || s.length() > mailaccess.MaxDerived {
			continue
		}
		if len(r.found) == 0 {
			head = s
		} else if s.number() != head.number() || s.off() < tail.end() || s.off() > tail.end()+dataGap || s.end() > head.off()+dataSize {
			break
		}
		tail = s
		r.found = append(r.found, found{at, s})
	}
	if len(r.found) == 0 {
		return at, true
	}
	seg, ok := c.find(head.number())
	if !ok {
		return at, true
	}
	size := int(tail.end() - head.off())
	if size > len(r.data) {
		r.data = make([]byte, size)
	}
	b := r.data[:size]
	b = b[:c.read(seg.name, b, head.off())]
	for _, f := range r.found {
		from, to := int(f.slot.off()-head.off()), int(f.slot.end()-head.off())
		if to > len(b) {
			break
		}
		if value, ok := recordValue(b[from:to], t.seed, emails[f.i]); ok && !yield(f.i, value) {
			return at, false
		}
	}
	return at, true
}
