package derived

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// batchSize is how many octets are written at once, but for a value that is longer.
const batchSize = 512 << 10

// Put keeps items under kind, each in the place of what was there. Of items of the same
// content the last one counts. Of values that are longer than [mailaccess.MaxDerived], or
// than a quarter of the budget, nothing is kept. The values are the caller's again afterwards. After an
// error (KindInvalid for the kind, KindUnavailable for the disk or a closed cache) some
// may have been kept, and some that were there before may be gone.
func (c *Cache) Put(kind mailaccess.DerivedKind, items []Item) error {
	const op = "put derived"
	t, err := c.use(op, kind, true)
	if err != nil {
		return err
	}
	w := writers.Get().(*writer)
	defer w.release()
	for len(items) > 0 {
		var size int64
		n := 0
		for ; n < len(items); n++ {
			length := c.kept(items[n])
			if size > 0 && size+length > min(batchSize, c.segmentSize) {
				break
			}
			size += length
		}
		if err := w.put(c, t, items[:n], size); err != nil {
			return fail(op, mailaccess.KindUnavailable, err)
		}
		items = items[n:]
	}
	return nil
}

// kept returns how long the record of an item is, 0 if it is not kept.
func (c *Cache) kept(i Item) int64 {
	n := int64(recordHead + len(i.Value))
	if len(i.Value) > mailaccess.MaxDerived || n > c.budget/4 {
		return 0
	}
	return n
}

// writer holds what a Put writes.
type writer struct {
	data  []byte
	slots [windowSlots * slotSize]byte
	ready []ready
}

// ready is a slot to be written.
type ready struct {
	email uint32
	slot  slot
}

var writers = sync.Pool{New: func() any { return new(writer) }}

func (w *writer) release() {
	if cap(w.data) > 2*batchSize {
		w.data = nil
	}
	writers.Put(w)
}

// put writes items, whose records take size octets. The value comes first: whoever sees
// its slot finds it.
func (w *writer) put(c *Cache, t *table, items []Item, size int64) error {
	var err error
	for range segmentTries {
		if err = w.values(c, t, items, size); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return err
	}
	return w.writeSlots(c, t)
}

// segmentTries is how often a segment is begun when somebody removes them: others who put
// things may need its room before it is written, several times in a row where there is little.
const segmentTries = 8

// values writes the values of items and makes their slots ready.
func (w *writer) values(c *Cache, t *table, items []Item, size int64) error {
	var at segment
	if size > 0 {
		var out []string
		var err error
		if at, out, err = c.reserve(size); err != nil {
			return err
		}
		for _, name := range out {
			// Nobody asks for it any more. The next Open finds it if it is there.
			c.remove(name) //nolint:errcheck // see above
		}
	}
	w.data, w.ready = w.data[:0], w.ready[:0]
	for _, i := range items {
		var s slot
		if c.kept(i) > 0 {
			s = newSlot(at.number, at.size+int64(len(w.data)), len(i.Value))
			w.data = appendRecord(w.data, t.seed, i.Email, i.Value)
		}
		w.ready = append(w.ready, ready{i.Email, s})
	}
	if size == 0 {
		return nil
	}
	err := c.write(at.name, w.data, at.size)
	if errors.Is(err, fs.ErrNotExist) {
		c.gone(at.number)
	} else if err != nil {
		c.giveBack(at, size)
	}
	return err
}

func (c *Cache) write(name string, b []byte, off int64) error {
	f, err := c.files.get(name, false)
	if err != nil {
		return err
	}
	defer c.files.put(f)
	_, err = f.WriteAt(b, off)
	return err
}

// writeSlots writes the slots that are ready, in runs of those that lie close together.
func (w *writer) writeSlots(c *Cache, t *table) error {
	f, err := c.files.get(t.name, true)
	if err != nil {
		return err
	}
	defer c.files.put(f)
	t.mu.Lock()
	defer t.mu.Unlock()
	for rest := w.ready; len(rest) > 0; {
		n, dense := run(rest)
		first := rest[0].email
		var last uint32
		for _, r := range rest[:n] {
			last = max(last, r.email)
		}
		b := w.slots[:(int(last-first)+1)*slotSize]
		if !dense {
			k, err := f.ReadAt(b, int64(first)*slotSize)
			if err != nil && err != io.EOF {
				return err
			}
			clear(b[k:])
		}
		for _, r := range rest[:n] {
			binary.LittleEndian.PutUint64(b[(r.email-first)*slotSize:], uint64(r.slot))
		}
		if _, err := f.WriteAt(b, int64(first)*slotSize); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// run returns how many slots are written at once, and whether no other lies between
// them.
func run(rs []ready) (n int, dense bool) {
	first, last := rs[0].email, rs[0].email
	n, dense = 1, true
	for _, r := range rs[1:] {
		if r.email < first || r.email-first >= windowSlots || r.email > last && r.email-last > slotGap {
			break
		}
		dense = dense && r.email == last+1
		last = max(last, r.email)
		n++
	}
	return n, dense
}
