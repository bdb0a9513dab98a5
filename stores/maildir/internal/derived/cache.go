// Package derived keeps what front-ends derived from contents, for one account: the
// store's [mailaccess.DerivedCache], by the number of a content and by kind.
//
// It is a cache. Nothing in it is ever synced, and any of it may be gone: because the
// machine lost power, because bytes on the disk went bad, or because of the budget.
// What comes back was put under that key: each value is guarded by a checksum
// that includes its key. After a crash, or on a disk that changes bytes, it may be one
// that was replaced before; the kind says by which version of the code it was derived and
// a number stands for one content for ever, so that is as right as the later one.
//
// In the directory are
//
//	mime+1.slots     for each kind a table: 8 octets for each content, by number: segment,
//	                 offset and length of its value; 0 when there is none
//	0000002a.values  segments: the values of all kinds in the order in which they were put
//
// Values are only ever appended. What is replaced stays until its segment goes, and the
// oldest segment goes when all together are over the budget.
package derived

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Options are those of [Open]. nil means the defaults.
type Options struct {
	// Budget is how many octets the values may take up on disk, 1 GiB if 0. The tables,
	// of 8 octets for each kind and content, are not counted.
	Budget int64
	// Epoch is that of the numbers of contents. What was put under another one is not
	// there.
	Epoch uint64
	// Files is how many files are kept open between calls, 8 if 0. A call may open one
	// more at a time.
	Files int
}

const (
	defaultBudget = 1 << 30
	defaultFiles  = 8
	// maxKinds bounds the number of tables.
	maxKinds = 64
)

// Cache is an opened cache. Its methods may be called at the same time. No lock is held
// while values are handed out.
type Cache struct {
	dir         fsys.Dir
	epoch       uint64
	budget      int64
	segmentSize int64
	files       files

	mu       sync.Mutex
	loaded   bool
	closed   bool
	segments []segment // ascending by number
	total    int64     // octets of all segments
	last     uint32    // the highest number of a segment so far
	tables   map[mailaccess.DerivedKind]*table
}

// Open returns the cache in dir, which nobody else uses; it is the Cache's from now on. Nothing
// is read before it is needed.
func Open(dir fsys.Dir, opts *Options) *Cache {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Budget <= 0 {
		o.Budget = defaultBudget
	}
	if o.Files <= 0 {
		o.Files = defaultFiles
	}
	return &Cache{
		dir:         dir,
		epoch:       o.Epoch,
		budget:      o.Budget,
		segmentSize: min(max(o.Budget/16, minSegment), maxSegment),
		files:       files{dir: dir, most: o.Files},
		tables:      make(map[mailaccess.DerivedKind]*table),
	}
}

// Item is a value and the number of the content that it belongs to.
type Item struct {
	Email uint32
	Value []byte
}

// table is that of a kind.
type table struct {
	name string
	seed uint32     // of the checksums
	mu   sync.Mutex // of those who write slots
}

// use returns the table of a kind: nil when there is none, and none is to be made.
func (c *Cache) use(op string, kind mailaccess.DerivedKind, create bool) (*table, error) {
	if !kind.Valid() {
		return nil, fail(op, mailaccess.KindInvalid, errors.New("a kind has 1 to 32 octets of A-Z a-z 0-9 / _ -"))
	}
	t, old, err := c.lookup(kind, create)
	// That one could not be removed matters to nobody: the next Open will find it.
	for _, name := range old {
		c.remove(name) //nolint:errcheck // see above
	}
	if err != nil {
		return nil, fail(op, mailaccess.KindUnavailable, err)
	}
	return t, nil
}

// lookup also returns the names of tables that have to go.
func (c *Cache) lookup(kind mailaccess.DerivedKind, create bool) (t *table, old []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, fs.ErrClosed
	}
	if !c.loaded {
		if err := c.load(); err != nil {
			if !create {
				err = nil // what cannot be read is not there
			}
			return nil, nil, err
		}
	}
	t = c.tables[kind]
	if t == nil && create {
		t = c.newTable(kind)
		old = c.replaced(kind)
		c.tables[kind] = t
	}
	return t, old, nil
}

func (c *Cache) newTable(kind mailaccess.DerivedKind) *table {
	return &table{name: tableName(kind), seed: seed(kind, c.epoch)}
}

// replaced takes out the tables of older versions of a kind, and those of any others as
// long as there are too many. It returns their names. c.mu is held.
func (c *Cache) replaced(kind mailaccess.DerivedKind) []string {
	var names []string
	out := func(k mailaccess.DerivedKind) {
		names = append(names, c.tables[k].name)
		delete(c.tables, k)
	}
	for k := range c.tables {
		if older(k, kind) {
			out(k)
		}
	}
	for k := range c.tables {
		if len(c.tables) < maxKinds {
			break
		}
		out(k)
	}
	return names
}

// older reports whether a is an earlier version of the kind b: mime/9 of mime/10.
func older(a, b mailaccess.DerivedKind) bool {
	i, j := strings.LastIndexByte(string(a), '/'), strings.LastIndexByte(string(b), '/')
	if i < 0 || i != j || a[:i] != b[:j] {
		return false
	}
	va, vb := strings.TrimLeft(string(a[i+1:]), "0"), strings.TrimLeft(string(b[j+1:]), "0")
	if strings.Trim(va+vb, "0123456789") != "" {
		return false
	}
	return len(va) < len(vb) || len(va) == len(vb) && va < vb
}

// remove removes a file, which may be open still.
func (c *Cache) remove(name string) error {
	c.files.forget(name)
	if err := c.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// load looks what there is. c.mu is held.
func (c *Cache) load() error {
	c.segments, c.total = nil, 0
	for e, err := range c.dir.Names(0) {
		if err != nil {
			return err
		}
		if e.Type != 0 {
			continue
		}
		if kind, ok := tableKind(e.Name); ok {
			c.tables[kind] = c.newTable(kind)
		} else if number, ok := segmentNumber(e.Name); ok {
			c.segments = append(c.segments, segment{number: number, name: e.Name})
		}
	}
	if err := c.loadSegments(); err != nil {
		return err
	}
	c.loaded = true
	return nil
}

// Idle closes what is open without being in use.
func (c *Cache) Idle() { c.files.trim(0) }

// Close closes the cache. Calls that have begun end as if everything were gone. It may
// be called more than once.
func (c *Cache) Close() error {
	c.mu.Lock()
	was := c.closed
	c.closed = true
	c.mu.Unlock()
	if was {
		return nil
	}
	c.files.close()
	if err := c.dir.Close(); err != nil {
		return fail("close derived", mailaccess.KindUnavailable, err)
	}
	return nil
}

func interrupted(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, mailaccess.KindUnavailable, err)
	}
	return nil
}

func fail(op string, kind mailaccess.Kind, err error) error {
	return &mailaccess.Error{Op: op, Kind: kind, Err: fmt.Errorf("derived: %w", err)}
}
