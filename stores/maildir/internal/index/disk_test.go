package index

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// sample makes rows from UID first on, of some variety, and their names.
func sample(first mailaccess.UID, n int, modseq mailaccess.ModSeq) ([]Row, []FileName) {
	junk, _ := mailaccess.NewKeywords("$Junk")
	rows, names := make([]Row, n), make([]FileName, n)
	for i := range n {
		uid := first + mailaccess.UID(i)
		rows[i] = Row{
			UID: uid, ModSeq: modseq, Created: modseq, Size: int64(1000 + i), Email: uint32(uid), Thread: uint32(uid / 3),
			Received: time.Unix(1.7e9+int64(i), 0).In(newZone(120)), Saved: time.Unix(1.7e9, 0).UTC(),
		}
		if i%3 == 0 {
			rows[i].Flags.System = mailaccess.FlagSeen
		}
		if i%5 == 0 {
			rows[i].Flags.Keywords = junk
		}
		names[i] = FileName{Base: fmt.Sprintf("17000000%02d.M%dP1.host,S=%d", i%100, uid, 1000+i), Suffix: ":2,S", Place: PlaceCur}
	}
	return rows, names
}

// script is a workload with every kind of file operation, to be repeated on both.
func script() []mutation {
	rows, names := sample(1, 40, 10)
	later, laterNames := sample(41, 5, 12)
	return []mutation{
		own{create: true, n: 5, next: 1, recent: 1, meta: "meta"},
		arrive{rows, names},
		setFlags{mailaccess.UIDSetRange(3, 9), mailaccess.Flags{System: mailaccess.FlagDeleted}, 11},
		arrive{later, laterNames},
		setFileName{7, FileName{Base: names[6].Base, Suffix: ":2,T", Place: PlaceCur}},
		remove{mailaccess.UIDSetRange(20, 36), 13},
		setSize{2, 99},
	}
}

// prepare plays the first part of the script and makes half of the records superseded.
func prepare(t *testing.T, m *Mailbox, w *model) {
	t.Helper()
	play(m, w, script()[:4])
	mustCheckpoint(t, m, 0)
	play(m, w, []mutation{setFlags{mailaccess.UIDSetRange(1, 45), mailaccess.Flags{System: mailaccess.FlagFlagged}, 12}})
	mustCheckpoint(t, m, 1)
}

func play(m *Mailbox, w *model, log []mutation) {
	for _, c := range log {
		c.index(m)
		c.model(w)
	}
}

// files returns the content of all files of d.
func contents(t *testing.T, d fsys.Dir) map[string][]byte {
	all := make(map[string][]byte)
	for e, err := range d.Names(0) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := readAll(d, e.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name] = b
	}
	return all
}

func write(t *testing.T, d fsys.Dir, name string, b []byte) {
	f, err := create(d, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// readBack opens and compares all there is to know.
func readBack(d fsys.Dir, w *model) error {
	m, err := Open(d, "box", nil)
	if err != nil {
		return err
	}
	defer m.Release()
	if err := m.Load(); err != nil {
		return err
	}
	return differs(m, w)
}

// One bit that is wrong, anywhere, is noticed or changes nothing; so is every file that
// is cut short or not there.
func TestDamage(t *testing.T) {
	d := memfs.New(nil).Root()
	w := newModel(defaultHistory)
	m := New(d, "box", nil)
	rows, names := sample(1, 8, 10)
	play(m, w, []mutation{own{create: true, n: 5, next: 1, recent: 1, meta: "meta"}, arrive{rows, names}})
	mustCheckpoint(t, m, 1)
	play(m, w, []mutation{
		setFlags{mailaccess.UIDSetRange(3, 4), mailaccess.Flags{System: mailaccess.FlagDeleted}, 11},
		setFileName{2, FileName{Base: names[1].Base, Suffix: ":2,T", Place: PlaceCur}},
		remove{mailaccess.UIDSetRange(6, 7), 13},
	})
	mustCheckpoint(t, m, 2)
	if err := readBack(d, w); err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for name, good := range contents(t, d) {
		try := func(what string, bad []byte) {
			t.Helper()
			write(t, d, name, bad)
			err := readBack(d, w)
			if err == nil {
				harmless++
			} else if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s of %s: %v", what, name, err)
			}
		}
		for bit := range len(good) * 8 {
			bad := append([]byte(nil), good...)
			bad[bit/8] ^= 1 << (bit % 8)
			try(fmt.Sprintf("bit %d", bit), bad)
		}
		for n := range len(good) {
			if n%7 == 0 || n > len(good)-100 {
				try(fmt.Sprintf("%d octets", n), good[:n])
			}
		}
		if err := d.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := readBack(d, w); !errors.Is(err, ErrCorrupt) && !(name == "box.head" && errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("without %s: %v", name, err)
		}
		write(t, d, name, good)
	}
	// The magic and the padding of the names file, and names of messages that are gone.
	if harmless == 0 || harmless > 4000 {
		t.Errorf("%d changes were harmless", harmless)
	}
}

// A message that went, came again and went: as a log does that is played again.
func TestAgain(t *testing.T) {
	for _, minDead := range []int{1, 1000} {
		d := memfs.New(nil).Root()
		m, w := New(d, "box", &Options{minDead: minDead}), newModel(defaultHistory)
		rows, names := sample(1, 9, 1)
		one, oneName := sample(5, 1, 3)
		oneName[0].Base = "another"
		var c *Checkpoint
		for i, step := range []mutation{
			arrive{rows, names},
			remove{mailaccess.UIDSetOf(5), 13},
			arrive{one, oneName},
			remove{mailaccess.UIDSetOf(6), 14},
			remove{mailaccess.UIDSetOf(5), 20},
			remove{mailaccess.UIDSetOf(7), 21},
			// While a checkpoint that has them is written.
			setFlags{mailaccess.UIDSetOf(1, 2), mailaccess.Flags{}, 22}, nil,
			remove{mailaccess.UIDSetOf(1), 23},
			arrive{rows[:1], names[1:2]},
		} {
			if step == nil {
				c = m.Capture(1)
				continue
			}
			if play(m, w, []mutation{step}); c != nil && i < 9 {
				continue
			}
			if c != nil {
				m.Done(c, c.Write())
			}
			mustCheckpoint(t, m, 1)
			if err := differs(m, w); err != nil {
				t.Fatalf("step %d: %v", i, err)
			}
			if err := readBack(d, w); err != nil {
				t.Fatalf("step %d, from the disk: %v", i, err)
			}
		}
	}
}

// What is whole but at the wrong place is damage.
func TestExchanged(t *testing.T) {
	d := memfs.New(nil).Root()
	m := New(d, "box", nil)
	rows, names := sample(1, 2, 1)
	names[0].Base, names[1].Base = "a name of 20 octets.", "a name of 20 octets:"
	m.Arrive(rows, names)
	mustCheckpoint(t, m, 1)
	w := newModel(defaultHistory)
	play(New(memfs.New(nil).Root(), "", nil), w, []mutation{arrive{rows, names}})
	for name, width := range map[string]int{rowsName("box", 1): recordSize, namesName("box", 1): stringHeader + 20} {
		good, err := readAll(d, name)
		if err != nil {
			t.Fatal(err)
		}
		first := 0
		second := width
		if width != recordSize {
			first, second = bytes.Index(good, []byte(names[0].Base))-stringHeader, bytes.Index(good, []byte(names[1].Base))-stringHeader
		}
		bad := bytes.Clone(good)
		copy(bad[first:], good[second:second+width])
		copy(bad[second:], good[first:first+width])
		write(t, d, name, bad)
		if err := readBack(d, w); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		write(t, d, name, good)
	}
	if err := readBack(d, w); err != nil {
		t.Error(err)
	}
}

// A flag change in a large mailbox writes a record and the head.
func TestLittleIsWritten(t *testing.T) {
	disk := memfs.New(nil)
	var written int
	m := New(disk.Root(), "box", nil)
	m.Arrive(sample(1, 100000, 1))
	mustCheckpoint(t, m, 1)
	disk.Observe(func(o fsys.Op) {
		if o.Kind == fsys.OpWrite {
			written += o.Size
		}
	})
	m.SetFlags(mailaccess.UIDSetOf(50000), mailaccess.Flags{System: mailaccess.FlagSeen | mailaccess.FlagFlagged}, 2)
	before := disk.Tally()
	mustCheckpoint(t, m, 2)
	ops := disk.Tally().Sub(before)
	// Every third is seen, hence 33,333 runs of two octets.
	if written > 70000 || ops.FileSyncs > 3 || ops.DirSyncs != 1 || ops.Reads > 3 {
		t.Errorf("%d octets, %+v", written, ops)
	}
	written = 0
	m.SetFlags(mailaccess.UIDSetRange(5001, 95000), mailaccess.Flags{System: mailaccess.FlagSeen}, 3)
	mustCheckpoint(t, m, 3)
	if want := 90000 * recordSize; written < want || written > want+want/10 {
		t.Errorf("%d octets for 90,000 flag changes, want %d or little more", written, want)
	}
}

// Superseded records go with a new generation, and with it the old files.
func TestGenerations(t *testing.T) {
	disk := memfs.New(nil)
	m, w := New(disk.Root(), "box", &Options{minDead: 50}), newModel(defaultHistory)
	play(m, w, script())
	mustCheckpoint(t, m, 1)
	for i := range 100 {
		play(m, w, []mutation{setFlags{mailaccess.UIDSetRange(1, 5), mailaccess.Flags{System: mailaccess.SystemFlags(i % 32)}, mailaccess.ModSeq(20 + i)}})
		mustCheckpoint(t, m, 2)
		if n := disk.Used(); n > 16<<10 {
			t.Fatalf("%d octets after %d checkpoints", n, i)
		}
	}
	if m.disk.gen < 3 {
		t.Errorf("generation %d", m.disk.gen)
	}
	if err := readBack(disk.Root(), w); err != nil {
		t.Error(err)
	}
	if n := len(contents(t, disk.Root())); n != 3 {
		t.Errorf("%d files", n)
	}
}

func TestRemoveFiles(t *testing.T) {
	d := memfs.New(nil).Root()
	if err := Remove(d, "a"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "a1"} {
		m := New(d, id, nil)
		m.Arrive(sample(1, 3, 1))
		mustCheckpoint(t, m, 1)
	}
	write(t, d, "a.rows.17", nil)
	write(t, d, "a.head.new", nil)
	if err := Remove(d, "a"); err != nil {
		t.Fatal(err)
	}
	for name := range contents(t, d) {
		if !strings.HasPrefix(name, "a1.") {
			t.Errorf("%s is left", name)
		}
	}
	if _, err := Open(d, "a", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opens what was removed: %v", err)
	}
	if m, err := Open(d, "a1", nil); err != nil || m.UIDs().Len() != 3 {
		t.Errorf("the other one: %v", err)
	}
}

// A head that tells of other rows than there are is damage, though both are whole.
func TestDisagree(t *testing.T) {
	words, _ := mailaccess.NewKeywords("$Junk", "other")
	for what, bend := range map[string]func(h *head){
		"number":   func(h *head) { h.modseq, h.created, h.changed = 9, 0, 0 },
		"size":     func(h *head) { h.size++ },
		"unknown":  func(h *head) { h.unknown++ },
		"keyword":  func(h *head) { h.keywords = words },
		"keywords": func(h *head) { h.keywords = mailaccess.Keywords{} },
		"removals": func(h *head) { h.gone-- },
		"unseen":   func(h *head) { h.unseen = h.unseen.Without(h.unseen.Min()) },
		"deleted":  func(h *head) { h.trashed = h.trashed.With(h.uids.Max()) },
		"more":     func(h *head) { h.uids = h.uids.With(25) },
		"fewer": func(h *head) {
			h.uids = h.uids.Minus(mailaccess.UIDSetOf(2))
			h.unseen = h.unseen.Minus(mailaccess.UIDSetOf(2))
		},
		"above":   func(h *head) { h.uidNext = 3 },
		"others":  func(h *head) { h.unseen = h.unseen.With(25) },
		"counts":  func(h *head) { h.disk.slots = 3 },
		"records": func(h *head) { h.disk.slots++ },
	} {
		d := memfs.New(nil).Root()
		m, w := New(d, "box", nil), newModel(defaultHistory)
		play(m, w, script())
		mustCheckpoint(t, m, 1)
		h := m.head
		h.disk, h.gone = m.disk, len(w.gone)
		b, _ := appendHead(nil, "box", &h)
		write(t, d, headName("box"), b)
		if err := readBack(d, w); err != nil {
			t.Fatal(err)
		}
		bend(&h)
		b, _ = appendHead(nil, "box", &h)
		write(t, d, headName("box"), b)
		if err := readBack(d, w); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
		m, err := Open(d, "box", nil)
		if err != nil {
			continue
		}
		// Such a head is not written again as if it were right.
		if m.UIDs(); m.lazy.err != nil && !errors.Is(checkpoint(m, 2), ErrCorrupt) {
			t.Errorf("%s: it is written again", what)
		}
	}
}

// What is left of a mailbox that was given up goes when another one takes its place.
func TestNewInPlaceOfDamaged(t *testing.T) {
	d := memfs.New(nil).Root()
	m := New(d, "box", &Options{minDead: 1})
	m.Arrive(sample(1, 3, 1))
	for i := range 9 {
		m.SetFlags(m.UIDs(), mailaccess.Flags{}, mailaccess.ModSeq(2+i))
		mustCheckpoint(t, m, 1)
	}
	if m.disk.gen < 3 {
		t.Fatalf("generation %d", m.disk.gen)
	}
	write(t, d, headName("box"), []byte("damaged"))
	w := newModel(defaultHistory)
	m = New(d, "box", nil)
	play(m, w, script())
	mustCheckpoint(t, m, 1)
	if n := len(contents(t, d)); n != 3 {
		t.Errorf("%d files, want 3", n)
	}
	if err := readBack(d, w); err != nil {
		t.Error(err)
	}
}

// A head that was put in the place of another mailbox's is not taken for it.
func TestOthersHead(t *testing.T) {
	d := memfs.New(nil).Root()
	m := New(d, "a", nil)
	mustCheckpoint(t, m, 1)
	if err := d.Rename("a.head", d, "b.head"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(d, "b", nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
