package derived_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// value returns n octets that no other serial number has, if there is room for it.
func value(serial uint64, n int) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, n+8), serial)
	for r := rand.New(rand.NewPCG(serial, 7)); len(b) < n; {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:n:n]
}

func open(t testing.TB, dir fsys.Dir, opts *derived.Options) *derived.Cache {
	t.Helper()
	c := derived.Open(dir, opts)
	t.Cleanup(func() { c.Close() })
	return c
}

func onDisk(t testing.TB) (fsys.Dir, string) {
	t.Helper()
	path := t.TempDir()
	dir, err := fsys.OpenRoot(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir, path
}

type failer interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// get returns what the cache has, by number.
func get(t failer, c *derived.Cache, kind mailaccess.DerivedKind, emails ...uint32) map[uint32][]byte {
	t.Helper()
	got := map[uint32][]byte{}
	last := -1
	err := c.Get(context.Background(), kind, emails, func(i int, b []byte) bool {
		if i <= last {
			t.Errorf("index %d after %d", i, last)
		}
		last = i
		if b == nil {
			t.Errorf("number %d is nil", emails[i])
		}
		got[emails[i]] = bytes.Clone(b)
		return true
	})
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return got
}

func put(t failer, c *derived.Cache, kind mailaccess.DerivedKind, items ...derived.Item) {
	t.Helper()
	if err := c.Put(kind, items); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func upTo(n uint32) []uint32 {
	all := make([]uint32, n)
	for i := range all {
		all[i] = uint32(i)
	}
	return all
}

// key is what a value is kept under; put is all that was ever, in order.
type key struct {
	kind  mailaccess.DerivedKind
	email uint32
}

type model map[key][][]byte

func (m model) put(kind mailaccess.DerivedKind, items []derived.Item) {
	for _, i := range items {
		k := key{kind, i.Email}
		m[k] = append(m[k], bytes.Clone(i.Value))
	}
}

// kept is put after a Put that returned err: what it replaced is gone if that is nil.
func (m model) kept(kind mailaccess.DerivedKind, items []derived.Item, err error) {
	for _, i := range items {
		if err == nil {
			delete(m, key{kind, i.Email})
		}
		m.put(kind, []derived.Item{i})
	}
}

// right checks that what comes back was put under that key, as the last if nothing went wrong.
func (m model) right(t failer, c *derived.Cache, kind mailaccess.DerivedKind, emails []uint32, last bool) (n int) {
	t.Helper()
	for email, b := range get(t, c, kind, emails...) {
		n++
		was := m[key{kind, email}]
		if last && len(was) > 0 {
			was = was[len(was)-1:]
		}
		if !slices.ContainsFunc(was, func(w []byte) bool { return bytes.Equal(w, b) }) {
			t.Errorf("%s of %d: %d octets that were never put, or not last", kind, email, len(b))
		}
	}
	return n
}

var kinds = []mailaccess.DerivedKind{"mime/1", "imap-envelope/1", "A-b_c"}

func drawItems(t *rapid.T, serial *uint64) []derived.Item {
	email := rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32Range(0, 10_000))
	size := rapid.OneOf(rapid.IntRange(0, 30), rapid.IntRange(0, 5000), rapid.SampledFrom([]int{0, 130 << 10}))
	var items []derived.Item
	for range rapid.IntRange(0, 12).Draw(t, "items") {
		*serial++
		items = append(items, derived.Item{Email: email.Draw(t, "email"), Value: value(*serial, size.Draw(t, "size"))})
	}
	if rapid.Bool().Draw(t, "sorted") {
		slices.SortStableFunc(items, func(a, b derived.Item) int { return int(a.Email) - int(b.Email) })
	}
	return items
}

func drawEmails(t *rapid.T) []uint32 {
	emails := rapid.SliceOfN(rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32Range(0, 10_000)), 0, 40).Draw(t, "emails")
	if rapid.Bool().Draw(t, "in order") {
		slices.Sort(emails)
		emails = slices.Compact(emails)
	}
	return emails
}

// With room enough the cache has all that was put last; with too little room, nothing
// else.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := memfs.New(nil)
		opts := &derived.Options{Budget: rapid.SampledFrom([]int64{0, 100_000}).Draw(t, "budget"), Files: rapid.SampledFrom([]int{0, 1}).Draw(t, "files")}
		c := derived.Open(f.Root(), opts)
		defer func() { c.Close() }()
		m := model{}
		var serial uint64
		kind := rapid.SampledFrom(kinds)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, items := kind.Draw(t, "kind"), drawItems(t, &serial)
				m.put(k, items)
				for i := range items {
					items[i].Value = bytes.Clone(items[i].Value)
				}
				put(t, c, k, items...)
				for _, i := range items {
					clear(i.Value) // they are ours again
				}
			},
			"get": func(t *rapid.T) {
				k, emails := kind.Draw(t, "kind"), drawEmails(t)
				want := map[uint32]bool{}
				for _, e := range emails {
					if len(m[key{k, e}]) > 0 {
						want[e] = true
					}
				}
				if n := m.right(t, c, k, emails, true); opts.Budget == 0 && n != len(want) {
					t.Fatalf("Get of %v: %d values, want %d", emails, n, len(want))
				}
			},
			"idle": func(*rapid.T) { c.Idle() },
			"open again": func(t *rapid.T) {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = derived.Open(f.Root(), opts)
			},
		})
	})
}

// Another epoch has other contents under the same numbers.
func TestEpoch(t *testing.T) {
	f := memfs.New(nil)
	c := derived.Open(f.Root(), &derived.Options{Epoch: 1})
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("old")})
	c.Close()
	c = open(t, f.Root(), &derived.Options{Epoch: 2})
	if got := get(t, c, "mime/1", 1); len(got) != 0 {
		t.Errorf("the other epoch has %q", got)
	}
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("new")})
	if got := get(t, c, "mime/1", 1); string(got[1]) != "new" {
		t.Errorf("got %q", got)
	}
}

// The oldest go first, and the disk holds no more than the budget and the tables.
func TestBudget(t *testing.T) {
	const budget, size = 1 << 20, 1000
	f := memfs.New(nil)
	c := open(t, f.Root(), &derived.Options{Budget: budget})
	for first := uint32(0); first < 5000; first += 100 {
		var items []derived.Item
		for e := first; e < first+100; e++ {
			items = append(items, derived.Item{Email: e, Value: value(uint64(e), size)})
		}
		put(t, c, "mime/1", items...)
		if most := int64(budget + 8*5000); f.Used() > most {
			t.Fatalf("%d octets on disk, want at most %d", f.Used(), most)
		}
	}
	got := get(t, c, "mime/1", upTo(5000)...)
	if len(got) < budget/size*3/4 {
		t.Errorf("only %d values are left", len(got))
	}
	for e := uint32(5000 - len(got)); e < 5000; e++ {
		if !bytes.Equal(got[e], value(uint64(e), size)) {
			t.Fatalf("value %d of the last %d is not there", e, len(got))
		}
	}
	// A smaller one holds from the next Put on.
	c.Close()
	c = open(t, f.Root(), &derived.Options{Budget: budget / 8})
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("x")})
	if most := int64(budget/4 + 8*5000); f.Used() > most {
		t.Errorf("%d octets on disk, want at most %d", f.Used(), most)
	}
	if got := get(t, c, "mime/1", 1); string(got[1]) != "x" {
		t.Errorf("got %q", got)
	}
}

// What is too long is dropped, and is no error.
func TestTooLong(t *testing.T) {
	c := open(t, memfs.New(nil).Root(), nil)
	longest := value(1, mailaccess.MaxDerived)
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("before")}, derived.Item{Email: 2, Value: []byte("before")})
	put(t, c, "mime/1",
		derived.Item{Email: 1, Value: append(longest, 0)}, derived.Item{Email: 2, Value: longest}, derived.Item{Email: 3, Value: []byte("x")})
	got := get(t, c, "mime/1", 1, 2, 3)
	if len(got) != 2 || !bytes.Equal(got[2], longest) || string(got[3]) != "x" {
		t.Errorf("%d values", len(got))
	}
}

// Versions of a kind replace each other.
func TestVersions(t *testing.T) {
	f := memfs.New(nil)
	c := open(t, f.Root(), nil)
	tables := func() []string {
		var names []string
		for e, err := range f.Root().Names(0) {
			if err != nil {
				t.Fatal(err)
			}
			if name, ok := strings.CutSuffix(e.Name, ".slots"); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	item := derived.Item{Email: 1, Value: []byte("x")}
	for _, step := range []struct {
		kind mailaccess.DerivedKind
		want string
	}{
		{"mime/9", "mime+9"},
		{"mime/x", "mime+9 mime+x"},
		{"sort/1", "mime+9 mime+x sort+1"},
		{"mime/10", "mime+10 mime+x sort+1"},
		{"mime/9", "mime+10 mime+9 mime+x sort+1"}, // the older version is back
		{"mime/10", "mime+10 mime+9 mime+x sort+1"},
		{"mime/11", "mime+11 mime+x sort+1"},
		{"sort", "mime+11 mime+x sort sort+1"},
	} {
		put(t, c, step.kind, item)
		if got := strings.Join(tables(), " "); got != step.want {
			t.Errorf("after %s there are %s, want %s", step.kind, got, step.want)
		}
	}
	if got := get(t, c, "mime/10", 1); len(got) != 0 {
		t.Errorf("the older version has %q", got)
	}
	if got := get(t, c, "mime/11", 1); len(got) != 1 {
		t.Error("the newer version has nothing")
	}
	for i := range 200 {
		put(t, c, mailaccess.DerivedKind(fmt.Sprintf("kind%d", i)), item)
	}
	if n := len(tables()); n > 64 {
		t.Errorf("%d tables", n)
	}
}

func TestKinds(t *testing.T) {
	c := open(t, memfs.New(&memfs.Options{CaseInsensitive: true}).Root(), nil)
	for _, kind := range []mailaccess.DerivedKind{"", ".", "a.b", "../x", "a+b", "a\x00", "ü", mailaccess.DerivedKind(strings.Repeat("x", 33))} {
		if err := c.Put(kind, nil); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("Put of %q: %v", kind, err)
		}
		if err := c.Get(t.Context(), kind, nil, nil); !errors.Is(err, mailaccess.KindInvalid) {
			t.Errorf("Get of %q: %v", kind, err)
		}
	}
	long := mailaccess.DerivedKind(strings.Repeat("/", 32))
	for _, kind := range []mailaccess.DerivedKind{"/", "//", "-", "a/b/c", "a-b-c", "a_b", "a/b", "mime/1", "MIME/1", long} {
		want := []byte("of " + kind)
		put(t, c, kind, derived.Item{Email: 1, Value: want})
		if got := get(t, c, kind, 1); !bytes.Equal(got[1], want) {
			t.Errorf("%q has %q", kind, got)
		}
	}
	// One table for both on such a disk, and yet no confusion.
	if got := get(t, c, "mime/1", 1); len(got) > 0 && string(got[1]) != "of mime/1" {
		t.Errorf("mime/1 has %q", got)
	}
}

func TestEnded(t *testing.T) {
	c := open(t, memfs.New(nil).Root(), nil)
	put(t, c, "mime/1", derived.Item{Email: 1, Value: []byte("a")}, derived.Item{Email: 2, Value: []byte("b")})
	n := 0
	if err := c.Get(t.Context(), "mime/1", []uint32{1, 2}, func(int, []byte) bool { n++; return false }); err != nil || n != 1 {
		t.Errorf("a Get that was ended yielded %d values, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Get(ctx, "mime/1", []uint32{1}, nil); !errors.Is(err, mailaccess.KindUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := c.Get(t.Context(), "mime/1", []uint32{1}, nil); !errors.Is(err, mailaccess.KindUnavailable) || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Get after Close: %v", err)
	}
	if err := c.Put("mime/1", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Put after Close: %v", err)
	}
}

// The cache may be used out of the loop, and values stay what they were until it goes on.
func TestWithin(t *testing.T) {
	c := open(t, memfs.New(nil).Root(), &derived.Options{Budget: 100_000})
	m := model{}
	var serial uint64
	fill := func(kind mailaccess.DerivedKind) {
		var items []derived.Item
		for e := range uint32(20) {
			serial++
			items = append(items, derived.Item{Email: e, Value: value(serial, 300)})
		}
		m.put(kind, items)
		put(t, c, kind, items...)
	}
	fill("mime/1")
	n := 0
	err := c.Get(t.Context(), "mime/1", upTo(20), func(i int, b []byte) bool {
		n++
		fill("mime/1")
		fill("sort/1")
		get(t, c, "mime/1", upTo(20)...)
		if !slices.ContainsFunc(m[key{"mime/1", uint32(i)}], func(v []byte) bool { return bytes.Equal(v, b) }) {
			t.Errorf("value %d changed", i)
		}
		return true
	})
	if err != nil || n == 0 {
		t.Errorf("%d values, %v", n, err)
	}
}

// What lies between two contents that are far apart is not read.
func TestSparse(t *testing.T) {
	f := memfs.New(nil)
	c := open(t, f.Root(), nil)
	var items []derived.Item
	for e := range uint32(4000) {
		items = append(items, derived.Item{Email: e, Value: value(uint64(e), 100)})
	}
	put(t, c, "mime/1", items...)
	read := 0
	f.Observe(func(o fsys.Op) {
		if o.Kind == fsys.OpRead {
			read += o.Size
		}
	})
	if got := get(t, c, "mime/1", 3, 3990, 20); len(got) != 3 {
		t.Errorf("%d values", len(got))
	}
	if read > 1000 {
		t.Errorf("%d octets were read for three values of 100", read)
	}
}

// At the same time, on the same and on other kinds, with segments going.
func TestAtOnce(t *testing.T) {
	dir, _ := onDisk(t)
	counted := &openDir{Dir: dir}
	c := derived.Open(counted, &derived.Options{Budget: 200_000, Files: 2})
	var wg sync.WaitGroup
	for g := range 8 {
		kind := kinds[g%len(kinds)]
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 60 {
				var items []derived.Item
				for range 10 {
					e := r.Uint32N(200)
					items = append(items, derived.Item{Email: e, Value: fmt.Appendf(nil, "%s %d %s", kind, e, strings.Repeat("x", r.IntN(500)))})
				}
				if err := c.Put(kind, items); err != nil {
					t.Error(err)
				}
				emails := upTo(200)
				if err := c.Get(t.Context(), kind, emails, func(i int, b []byte) bool {
					if !bytes.HasPrefix(b, fmt.Appendf(nil, "%s %d ", kind, i)) {
						t.Errorf("%s of %d is %.30q", kind, i, b)
					}
					return true
				}); err != nil {
					t.Error(err)
				}
				if r.IntN(10) == 0 {
					c.Idle()
				}
			}
		})
	}
	wg.Wait()
	if n := counted.open.Load(); n > 2 {
		t.Errorf("%d files are open", n)
	}
	c.Idle()
	if n := counted.open.Load(); n != 0 {
		t.Errorf("%d files are open, and nobody uses the cache", n)
	}
	get(t, c, "mime/1", 1, 2, 3)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if n := counted.open.Load(); n != 0 {
		t.Errorf("%d files are open after Close", n)
	}
}

// openDir counts files that are open.
type openDir struct {
	fsys.Dir
	open atomic.Int64
}

func (d *openDir) OpenRW(name string) (fsys.File, error) { return d.opened(d.Dir.OpenRW(name)) }
func (d *openDir) Create(name string) (fsys.File, error) { return d.opened(d.Dir.Create(name)) }

func (d *openDir) opened(f fsys.File, err error) (fsys.File, error) {
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return &openFile{f, d}, nil
}

type openFile struct {
	fsys.File
	d *openDir
}

func (f *openFile) Close() error {
	f.d.open.Add(-1)
	return f.File.Close()
}
