package derived

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
)

// Segments are a sixteenth of the budget each, within these bounds.
const (
	minSegment = 4 << 10
	maxSegment = 32 << 20
)

// segment is a file of values.
type segment struct {
	number uint32 // from 1 on
	name   string
	size   int64 // what is written or going to be
}

// loadSegments finds out how long the segments are. c.mu is held.
func (c *Cache) loadSegments() error {
	slices.SortFunc(c.segments, func(a, b segment) int { return cmp.Compare(a.number, b.number) })
	kept := c.segments[:0]
	for _, s := range c.segments {
		i, err := c.dir.Lstat(s.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.size = i.Size
		c.total += s.size
		c.last = max(c.last, s.number)
		kept = append(kept, s)
	}
	c.segments = kept
	return nil
}

// reserve finds room for n octets in a segment, which it returns as it was before, and
// which segments have to go for it.
func (c *Cache) reserve(n int64) (at segment, out []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.segments) - 1
	if last < 0 || c.segments[last].size >= c.segmentSize {
		s := segment{number: c.last + 1, name: segmentName(c.last + 1)}
		// Made here, so that nobody makes one anew that has gone meanwhile.
		f, err := c.files.get(s.name, true)
		if err != nil {
			return segment{}, nil, err
		}
		c.files.put(f)
		c.last = s.number
		c.segments = append(c.segments, s)
		last++
	}
	at = c.segments[last]
	c.segments[last].size += n
	c.total += n
	for c.total > c.budget && len(c.segments) > 1 {
		out = append(out, c.segments[0].name)
		c.total -= c.segments[0].size
		c.segments = slices.Delete(c.segments, 0, 1)
	}
	return at, out, nil
}

// giveBack: the n octets that were reserved at the end of a segment were not written. If
// others have come after them, they stay a hole.
func (c *Cache) giveBack(at segment, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.segments) - 1; last >= 0 && c.segments[last].number == at.number && c.segments[last].size == at.size+n {
		c.segments[last].size -= n
		c.total -= n
	}
}

// gone: somebody has removed the file of a segment.
func (c *Cache) gone(number uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.segments, func(s segment) bool { return s.number == number }); i >= 0 {
		c.total -= c.segments[i].size
		c.segments = slices.Delete(c.segments, i, i+1)
	}
}

// find returns the segment of whose number a slot has the lower bits. If there are two,
// one is as good as the other: the values know whose they are.
func (c *Cache) find(low uint32) (segment, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.segments {
		if s.number&(1<<numberBits-1) == low {
			return s, true
		}
	}
	return segment{}, false
}
