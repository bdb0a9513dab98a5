package index

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

func TestCellSize(t *testing.T) {
	if n := unsafe.Sizeof(cell{}); n != 56 {
		t.Errorf("a row takes %d octets", n)
	}
}

// The log of changes is bounded, and what it no longer tells is found all the same.
func TestChangedSince(t *testing.T) {
	m, w := New(memfs.New(nil).Root(), "box", nil), newModel(defaultHistory)
	rows, names := sample(1, 3000, 1)
	play(m, w, []mutation{arrive{rows, names}})
	for i := range 1500 {
		play(m, w, []mutation{setFlags{mailaccess.UIDSetOf(mailaccess.UID(2*i%2999 + 1)), mailaccess.Flags{}, mailaccess.ModSeq(10 + i)}})
		if n := len(m.history.log); n > minLog {
			t.Fatalf("the log has %d entries", n)
		}
	}
	if err := changesDiffer(m, w); err != nil {
		t.Error(err)
	}
	if n := m.ChangedSince(m.ModSeq() - 100).Len(); n != 100 {
		t.Errorf("%d candidates for the last 100 changes", n)
	}
	if n := m.ChangedSince(5).Len(); n != 3000 {
		t.Errorf("%d candidates for more than the log tells, want all", n)
	}
	// Scattered sets, which are the log's by their size.
	var odd mailaccess.UIDSetBuilder
	for u := mailaccess.UID(1); u < 3000; u += 2 {
		odd.AddUID(u)
	}
	for i := range 40 {
		play(m, w, []mutation{setFlags{odd.Set(), mailaccess.Flags{}, mailaccess.ModSeq(5000 + i)}})
		if m.history.runs > maxRuns {
			t.Fatalf("the log has sets of %d runs", m.history.runs)
		}
	}
	if err := changesDiffer(m, w); err != nil {
		t.Error(err)
	}
	if got := m.ChangedSince(5038); !got.Equal(odd.Set()) {
		t.Errorf("%d candidates for the last change, want %d", got.Len(), odd.Set().Len())
	}
}

// A change of the past is played again: the log of changes is not misled.
func TestChangedSinceReplay(t *testing.T) {
	m, w := New(memfs.New(nil).Root(), "box", nil), newModel(defaultHistory)
	rows, names := sample(1, 3, 1)
	play(m, w, []mutation{
		arrive{rows, names},
		setFlags{mailaccess.UIDSetOf(1), mailaccess.Flags{}, 100},
		setFlags{mailaccess.UIDSetOf(2), mailaccess.Flags{}, 50},
		setFlags{mailaccess.UIDSetOf(3), mailaccess.Flags{}, 60},
	})
	for since := range mailaccess.ModSeq(101) {
		buf := make([]Row, 4)
		n := 0
		for _, r := range w.rows {
			if r.ModSeq > since {
				n++
			}
		}
		if got := m.Next(1, m.ChangedSince(since), since, buf); got != n {
			t.Errorf("%d changed since %d, want %d", got, since, n)
		}
	}
}

func TestSpelled(t *testing.T) {
	m := New(memfs.New(nil).Root(), "box", nil)
	rows, names := sample(1, 1, 1)
	rows[0].Flags.Keywords, _ = mailaccess.NewKeywords("Work", "$Junk")
	m.Arrive(rows, names)
	k, _ := mailaccess.NewKeywords("wORK", "other")
	if got := m.Spelled(k).String(); got != "other Work" {
		t.Errorf("got %q", got)
	}
	if got := m.Spelled(mailaccess.Keywords{}); !got.IsEmpty() {
		t.Errorf("got %q of nothing", got)
	}
}

// More sets of keywords than there are numbers for them.
func TestManyKeywordSets(t *testing.T) {
	d := memfs.New(nil).Root()
	const n = keywordsLate + 500
	m := New(d, "box", nil)
	rows, names := sample(1, n, 1)
	want := make([]mailaccess.Keywords, n)
	for i := range rows {
		var words []string
		for bit := range 17 {
			if (i+1)>>bit&1 != 0 {
				words = append(words, fmt.Sprintf("w%d", bit))
			}
		}
		want[i], _ = mailaccess.NewKeywords(words...)
		rows[i].Flags.Keywords = want[i]
	}
	m.Arrive(rows, names)
	mustCheckpoint(t, m, 1)
	again, err := Open(d, "box", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Mailbox{m, again} {
		if len(m.kw.late) == 0 || m.Keywords().Len() != 17 {
			t.Errorf("%d late sets, %d keywords", len(m.kw.late), m.Keywords().Len())
		}
		for i := range want {
			if r, ok := m.Get(mailaccess.UID(i + 1)); !ok || r.Flags.Keywords != want[i] {
				t.Fatalf("message %d has %q, want %q", i+1, r.Flags.Keywords, want[i])
			}
		}
		asked := 0
		var found mailaccess.UIDSetBuilder
		m.FindFlags(1, m.UIDs(), 0, 2*n, func(f mailaccess.Flags) bool {
			asked++
			return f.Keywords.Has("w0")
		}, &found)
		if found.Set().Len() != (n+1)/2 || asked != n {
			t.Errorf("found %d of %d messages, asked %d times", found.Set().Len(), n, asked)
		}
		m.SetFlags(m.UIDs(), mailaccess.Flags{}, 2)
		asked = 0
		m.FindFlags(1, m.UIDs(), 0, 2*n, func(f mailaccess.Flags) bool { asked++; return true }, &found)
		if asked != 1 {
			t.Errorf("asked %d times of the same flags", asked)
		}
		if len(m.kw.late) != 0 || !m.Keywords().IsEmpty() || len(m.kw.index) != 0 {
			t.Errorf("%d late sets, %d sets, keywords %q are left", len(m.kw.late), len(m.kw.index), m.Keywords())
		}
	}
}

// A name that is held is in memory, whatever becomes of the checkpoint that is under way.
func TestHeldNameOutlastsCheckpoint(t *testing.T) {
	disk := memfs.New(nil)
	m, w := New(disk.Root(), "box", nil), newModel(defaultHistory)
	play(m, w, script())
	uid := w.uids()[0]
	c := m.Capture(1)
	if err := m.HoldFileName(uid); err != nil {
		t.Fatal(err)
	}
	err := c.Write()
	if m.Done(c, err); err != nil {
		t.Fatal(err)
	}
	if _, held := m.names[uid]; !held {
		t.Error("the name is not in memory any more")
	}
}

// Writing, and reading names, go on while the mailbox changes; readers read together.
func TestAtTheSameTime(t *testing.T) {
	disk := memfs.New(nil)
	m, w := New(disk.Root(), "box", &Options{minDead: 10}), newModel(defaultHistory)
	play(m, w, script())
	mustCheckpoint(t, m, 1)
	for i := range 20 {
		n := mailaccess.ModSeq(100 + i)
		play(m, w, []mutation{setFlags{mailaccess.UIDSetRange(1, 20), mailaccess.Flags{System: mailaccess.SystemFlags(i)}, n}})
		names, err := m.FileNames()
		if err != nil {
			t.Fatal(err)
		}
		want := len(w.rows)
		c := m.Capture(2)
		var wg sync.WaitGroup
		var written error
		wg.Go(func() { written = c.Write() })
		wg.Go(func() {
			got := 0
			for _, err := range names.All() {
				if err != nil {
					t.Error(err)
				}
				got++
			}
			if got != want {
				t.Errorf("%d names, want %d", got, want)
			}
		})
		rows, more := sample(m.UIDNext(), 4, n)
		play(m, w, []mutation{arrive{rows, more}, remove{mailaccess.UIDSetOf(rows[1].UID, 5), n}})
		wg.Wait()
		if err := names.Close(); err != nil {
			t.Error(err)
		}
		if m.Done(c, written); written != nil {
			t.Fatal(written)
		}
		if err := differs(m, w); err != nil {
			t.Fatal(err)
		}
		fresh, err := Open(disk.Root(), "box", nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wg.Go(func() { fresh.UIDs(); fresh.Counts() })
			wg.Go(func() {
				m.Next(1, m.UIDs(), 3, make([]Row, 9))
				m.Get(3)
				m.Vanished(0)
				m.ChangedSince(4)
				m.Resident()
			})
		}
		wg.Wait()
	}
}

// handles counts what is open.
type handles struct {
	fsys.Dir
	open *atomic.Int64
}

type handle struct {
	fsys.File
	open *atomic.Int64
}

func (h handle) Close() error {
	h.open.Add(-1)
	return h.File.Close()
}

func (d handles) count(f fsys.File, err error) (fsys.File, error) {
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return handle{f, d.open}, nil
}

func (d handles) Open(name string) (fsys.File, error)   { return d.count(d.Dir.Open(name)) }
func (d handles) OpenRW(name string) (fsys.File, error) { return d.count(d.Dir.OpenRW(name)) }
func (d handles) Create(name string) (fsys.File, error) { return d.count(d.Dir.Create(name)) }
func (d handles) Rename(old string, to fsys.Dir, new string) error {
	return d.Dir.Rename(old, to.(handles).Dir, new)
}

// Whatever fails, nothing stays open but what Release closes.
func TestNothingStaysOpen(t *testing.T) {
	log := script()
	for k := 1; k < 40; k++ {
		disk := memfs.New(nil)
		d := handles{disk.Root(), new(atomic.Int64)}
		m, w := New(d, "box", &Options{minDead: 3}), newModel(defaultHistory)
		play(m, w, log[:4])
		mustCheckpoint(t, m, 1)
		play(m, w, log[4:])
		disk.Fail(k, syscall.EMFILE, &fsys.FaultOptions{Reads: true})
		checkpoint(m, 2)
		if again, err := Open(d, "box", nil); err == nil {
			again.Load()
			again.Unload()
		}
		if names, err := m.FileNames(); err == nil {
			for range names.All() {
				break
			}
			names.Close()
		}
		m.FileName(1)
		m.Release()
		if n := d.open.Load(); n != 0 {
			t.Fatalf("operation %d fails: %d files stay open", k, n)
		}
	}
}

// A defect of the caller shows at once.
func TestNotLoaded(t *testing.T) {
	d := memfs.New(nil).Root()
	m := New(d, "box", nil)
	mustCheckpoint(t, m, 1)
	c := m.Capture(2)
	if m.Unload() {
		t.Error("unloads while a checkpoint is under way")
	}
	if m.Done(c, c.Write()); !m.Unload() {
		t.Fatal("does not unload")
	}
	defer func() {
		if s := fmt.Sprint(recover()); !strings.Contains(s, "box") {
			t.Errorf("got %q", s)
		}
	}()
	m.Get(1)
}

// Base names with the same hash are told apart.
func TestSameHash(t *testing.T) {
	seen := make(map[uint32]string)
	var a, b string
	for i := 0; b == ""; i++ {
		s := fmt.Sprintf("name %d", i)
		if other, ok := seen[hashOf(s)]; ok {
			a, b = other, s
		}
		seen[hashOf(s)] = s
	}
	d := memfs.New(nil).Root()
	m, w := New(d, "box", nil), newModel(defaultHistory)
	rows, names := sample(1, 3, 1)
	names[0].Base, names[2].Base = a, b
	play(m, w, []mutation{arrive{rows, names}})
	mustCheckpoint(t, m, 1)
	for range 2 {
		bases := map[string]mailaccess.UID{a: 0, b: 0}
		if err := m.FindBases(bases); err != nil || bases[a] != 1 || bases[b] != 3 {
			t.Errorf("found %v, %v", bases, err)
		}
		if err := readBack(d, w); err != nil {
			t.Error(err)
		}
		a, b = b, a
		play(m, w, []mutation{setFileName{1, FileName{Base: a}}, setFileName{3, FileName{Base: b}}})
		mustCheckpoint(t, m, 2)
	}
}

// What is too long is refused before anything is written.
func TestTooLong(t *testing.T) {
	d := memfs.New(nil).Root()
	m := New(d, "box", nil)
	m.SetMeta(make([]byte, maxMeta+1))
	if err := checkpoint(m, 1); err == nil {
		t.Error("takes more than it reads")
	}
	m.SetMeta(nil)
	rows, names := sample(1, 1, 1)
	names[0].Base = strings.Repeat("x", MaxName)
	m.Arrive(rows, names)
	if err := checkpoint(m, 1); err == nil || errors.Is(err, ErrCorrupt) {
		t.Errorf("a name that is too long: %v", err)
	}
	m.SetFileName(1, FileName{Base: strings.Repeat("x", MaxName)})
	mustCheckpoint(t, m, 1)
	if name, err := m.FileName(1); err != nil || len(name.Base) != MaxName {
		t.Errorf("%d octets, %v", len(name.Base), err)
	}
}
