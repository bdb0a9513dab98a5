package index

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// world is a mailbox, what it must be, and the log of all changes.
type world struct {
	t      *rapid.T
	disk   *memfs.FS
	opts   *Options
	m      *Mailbox
	w      *model
	log    []mutation
	sync   uint64 // the position of the last checkpoint that succeeded
	modseq mailaccess.ModSeq
	base   int
}

// do changes both and logs it.
func (x *world) do(c mutation) {
	c.index(x.m)
	c.model(x.w)
	x.log = append(x.log, c)
}

func (x *world) number() mailaccess.ModSeq {
	x.modseq += mailaccess.ModSeq(rapid.IntRange(1, 3).Draw(x.t, "step"))
	return x.modseq
}

func (x *world) uidSet(label string) mailaccess.UIDSet {
	top := uint32(x.w.uidNext) + 2
	var b mailaccess.UIDSetBuilder
	for range rapid.IntRange(0, 3).Draw(x.t, label) {
		first := rapid.Uint32Range(1, top).Draw(x.t, "first")
		last := first + rapid.Uint32Range(0, 12).Draw(x.t, "more")
		b.AddRange(mailaccess.UID(first), mailaccess.UID(last))
	}
	return b.Set()
}

func (x *world) uid() mailaccess.UID {
	return mailaccess.UID(rapid.Uint32Range(1, uint32(x.w.uidNext)+1).Draw(x.t, "uid"))
}

var flagSets = rapid.Custom(func(t *rapid.T) mailaccess.Flags {
	f := mailaccess.Flags{System: mailaccess.SystemFlags(rapid.Uint8Range(0, uint8(mailaccess.SystemFlagsAll)).Draw(t, "system"))}
	words := rapid.SliceOfN(rapid.SampledFrom([]string{"$Junk", "a", "b", "c", "$Label1"}), 0, 3).Draw(t, "words")
	f.Keywords, _ = mailaccess.NewKeywords(words...)
	return f
})

var sizes = rapid.OneOf(
	rapid.Int64Range(0, 5000), rapid.Just(int64(mailaccess.SizeUnknown)),
	rapid.Int64Range(1<<32-4, 1<<32+4), rapid.Just(int64(1)<<40),
)

var received = rapid.Custom(func(t *rapid.T) time.Time {
	at := rapid.OneOf(rapid.Int64Range(-1e9, 4e9), rapid.Just(time.Time{}.Unix())).Draw(t, "received")
	zone := rapid.SampledFrom([]int{0, 60, -330, 840, 0, 345}).Draw(t, "zone")
	return time.Unix(at, 0).In(newZone(int16(zone)))
})

func (x *world) fileName(uid mailaccess.UID) FileName {
	x.base++
	return FileName{
		Base:   fmt.Sprintf("%d.M%dP%d.host", uid, x.base, x.base*7919),
		Suffix: rapid.SampledFrom([]string{"", ":2,", ":2,S", ":2,FSabc", ":1,x"}).Draw(x.t, "suffix"),
		Place:  Place(rapid.Uint8Range(0, 2).Draw(x.t, "place")),
	}
}

func (x *world) row(uid mailaccess.UID, n mailaccess.ModSeq) Row {
	r := Row{
		UID: uid, ModSeq: n, Created: n, Flags: flagSets.Draw(x.t, "flags"), Size: sizes.Draw(x.t, "size"),
		Received: received.Draw(x.t, "received"),
		Email:    rapid.Uint32Range(0, 30).Draw(x.t, "email"), Thread: rapid.Uint32Range(0, 4).Draw(x.t, "thread"),
	}
	if rapid.Bool().Draw(x.t, "dated") {
		r.Saved = time.Unix(rapid.Int64Range(1, 1<<32-1).Draw(x.t, "saved"), 0).UTC()
	}
	return r
}

func (x *world) arrive() {
	var a arrive
	n := x.number()
	uid := x.w.uidNext
	for range rapid.IntRange(1, 9).Draw(x.t, "arrivals") {
		uid += mailaccess.UID(rapid.SampledFrom([]int{0, 0, 0, 1, 5}).Draw(x.t, "gap"))
		a.rows, a.names = append(a.rows, x.row(uid, n)), append(a.names, x.fileName(uid))
		uid++
	}
	x.do(a)
}

func (x *world) setFileName() {
	uid := x.uid()
	name := x.fileName(uid)
	if old, ok := x.w.names[uid]; ok && rapid.Bool().Draw(x.t, "same base") {
		name.Base = old.Base
	}
	x.do(setFileName{uid, name})
}

func (x *world) own() {
	x.do(own{
		create: rapid.Bool().Draw(x.t, "create"), n: x.number(),
		next:    x.w.uidNext + mailaccess.UID(rapid.IntRange(0, 3).Draw(x.t, "next")),
		recent:  x.uid(),
		curTime: rapid.Int64().Draw(x.t, "cur"), newTime: rapid.Int64().Draw(x.t, "new"),
		meta: rapid.StringN(0, 5, -1).Draw(x.t, "meta"),
	})
}

// change does one change of any kind.
func (x *world) change() {
	switch rapid.IntRange(0, 9).Draw(x.t, "change") {
	case 0, 1, 2:
		x.arrive()
	case 3, 4:
		x.do(setFlags{x.uidSet("flag"), flagSets.Draw(x.t, "flags"), x.number()})
	case 5:
		x.do(remove{x.uidSet("remove"), x.number()})
	case 6, 7:
		x.setFileName()
	case 8:
		x.do(setSize{x.uid(), sizes.Draw(x.t, "size")})
	case 9:
		if rapid.IntRange(0, 5).Draw(x.t, "floor") == 0 {
			x.do(raiseFloor{mailaccess.ModSeq(rapid.Uint64Range(0, uint64(x.modseq)).Draw(x.t, "to"))})
		} else {
			x.own()
		}
	}
}

func (x *world) changes() {
	x.needRows()
	for range rapid.IntRange(1, 6).Draw(x.t, "changes") {
		x.change()
	}
}

func (x *world) needRows() {
	if err := x.m.Load(); err != nil {
		x.t.Fatal(err)
	}
}

// checkpoint takes one, with changes while it is written. faulty fails an operation.
func (x *world) checkpoint(faulty bool) {
	pos := uint64(len(x.log))
	c := x.m.Capture(pos)
	if x.m.Loaded() {
		for range rapid.IntRange(0, 3).Draw(x.t, "before") {
			x.change()
		}
	}
	if faulty {
		x.disk.Fail(rapid.IntRange(1, 14).Draw(x.t, "operation"), syscall.ENOSPC,
			&fsys.FaultOptions{Reads: rapid.Bool().Draw(x.t, "reads"), Short: true, Sticky: rapid.Bool().Draw(x.t, "sticky")})
	}
	err := c.Write()
	x.disk.Clear()
	if err != nil && !faulty {
		x.t.Fatal(err)
	}
	if err != nil && errors.Is(err, ErrCorrupt) {
		x.t.Fatalf("a disk that is full is taken for damage: %v", err)
	}
	if x.m.Loaded() {
		for range rapid.IntRange(0, 3).Draw(x.t, "after") {
			x.change()
		}
	}
	x.m.Done(c, err)
	if err == nil {
		if x.sync = pos; x.m.LogPos() != pos {
			x.t.Fatalf("the position is %d, want %d", x.m.LogPos(), pos)
		}
		if x.m.Dirty() && uint64(len(x.log)) == pos {
			x.t.Fatal("dirty although nothing changed since the checkpoint")
		}
	}
}

// crash breaks off a checkpoint, or nothing, and goes on with what the disk has.
func (x *world) crash() {
	mode := rapid.SampledFrom([]memfs.Mode{memfs.Nothing, memfs.All, memfs.Some, memfs.Some}).Draw(x.t, "mode")
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(x.t, "seed"), 1))
	if k := rapid.IntRange(0, 14).Draw(x.t, "operation"); k > 0 {
		x.disk.Fail(k, syscall.EIO, &fsys.FaultOptions{Short: rapid.Bool().Draw(x.t, "short"), Sticky: true})
		pos := uint64(len(x.log))
		c := x.m.Capture(pos)
		if err := c.Write(); err == nil {
			x.sync = pos
		}
	}
	x.disk = x.disk.Crash(rng, mode)
	x.reopen()
}

// reopen opens what is on the disk and brings it forward.
func (x *world) reopen() {
	m, err := Open(x.disk.Root(), "box", x.opts)
	if errors.Is(err, fs.ErrNotExist) && x.sync == 0 {
		m, err = New(x.disk.Root(), "box", x.opts), nil
	}
	if err != nil {
		x.t.Fatal(err)
	}
	x.m = m
	pos := m.LogPos()
	if pos < x.sync || pos > uint64(len(x.log)) {
		x.t.Fatalf("the position is %d, of a checkpoint at %d it was said that it is durable", pos, x.sync)
	}
	// The head alone says what the mailbox was.
	was := newModel(x.opts.HistoryLimit)
	for _, c := range x.log[:pos] {
		c.model(was)
	}
	if err := headDiffers(m, was); err != nil {
		x.t.Fatalf("the head at %d: %v", pos, err)
	}
	x.needRows()
	if err := differs(m, was); err != nil {
		x.t.Fatalf("at %d: %v", pos, err)
	}
	if x.opts.HistoryLimit > len(x.log)*10 {
		// With what is forgotten at other moments the floor may be another.
		pos = rapid.Uint64Range(0, pos).Draw(x.t, "replay from")
	}
	for _, c := range x.log[pos:] {
		c.index(m)
	}
}

func (x *world) check() {
	if err := differs(x.m, x.w); err != nil {
		x.t.Fatal(err)
	}
}

// find asks for messages by email and by name.
func (x *world) find() {
	x.needRows()
	email := rapid.Uint32Range(0, 31).Draw(x.t, "email")
	var want []mailaccess.UID
	bases := map[string]mailaccess.UID{"not there": 7}
	wantBases := maps.Clone(bases)
	for _, u := range x.w.uids() {
		if email != 0 && x.w.rows[u].Email == email {
			want = append(want, u)
		}
		if u%3 == 0 {
			base := x.w.names[u].Base
			bases[base], wantBases[base] = 0, u
		}
	}
	if one, ok := x.m.OneOfEmail(email); ok != (len(want) > 0) || ok && !slices.Contains(want, one) {
		x.t.Fatalf("one of email %d: %d, %v; there are %v", email, one, ok, want)
	}
	if have := slices.Collect(x.m.FindEmail(email)); !slices.Equal(have, want) {
		x.t.Fatalf("email %d is in %v, want %v", email, have, want)
	}
	if err := x.m.FindBases(bases); err != nil {
		x.t.Fatal(err)
	}
	if !maps.Equal(bases, wantBases) {
		x.t.Fatalf("names are those of %v, want %v", bases, wantBases)
	}
	in, from := x.uidSet("in"), x.uid()
	have := make([]Row, len(x.w.rows)+1)
	n := 0
	for _, u := range x.w.uids() {
		if u >= from && in.Contains(u) {
			n++
		}
	}
	if got := x.m.Next(from, in, 0, have); got != n {
		x.t.Fatalf("%d rows of %v from %d, want %d", got, in, from, n)
	}
}

// captured compares names that were captured before other things happened.
func (x *world) capturedNames(meanwhile func()) {
	x.needRows()
	names, err := x.m.FileNames()
	if err != nil {
		x.t.Fatal(err)
	}
	want := x.w.clone()
	meanwhile()
	var uids []mailaccess.UID
	for e, err := range names.All() {
		if err != nil {
			x.t.Fatal(err)
		}
		if e.FileName != want.names[e.UID] {
			x.t.Fatalf("message %d has name %+v, want %+v", e.UID, e.FileName, want.names[e.UID])
		}
		uids = append(uids, e.UID)
	}
	if !slices.Equal(uids, want.uids()) {
		x.t.Fatalf("names of %v, want %v", uids, want.uids())
	}
	if err := names.Close(); err != nil {
		x.t.Fatal(err)
	}
}

// Whatever happens, a mailbox is what the log of its changes says.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &world{t: t, disk: memfs.New(nil), opts: &Options{
			HistoryLimit: rapid.SampledFrom([]int{6, 1 << 20}).Draw(t, "history"),
			chunkLen:     rapid.SampledFrom([]int{4, 9, chunkLen}).Draw(t, "chunk"),
			keywordSets:  rapid.SampledFrom([]int{1, 3, keywordsLate - 1}).Draw(t, "keyword sets"),
			minDead:      rapid.SampledFrom([]int{2, 20, minDead}).Draw(t, "dead"),
		}}
		x.m, x.w = New(x.disk.Root(), "box", x.opts), newModel(x.opts.HistoryLimit)
		t.Repeat(map[string]func(*rapid.T){
			"":           func(*rapid.T) { x.check() },
			"change":     func(*rapid.T) { x.changes() },
			"checkpoint": func(*rapid.T) { x.checkpoint(false) },
			"full":       func(*rapid.T) { x.checkpoint(true) },
			"crash":      func(*rapid.T) { x.crash() },
			"unload": func(*rapid.T) {
				dirty := x.m.Dirty()
				if x.m.Unload() == dirty {
					t.Fatalf("unloads although dirty, or the other way: %v", dirty)
				}
			},
			"load":  func(*rapid.T) { x.needRows() },
			"find":  func(*rapid.T) { x.find() },
			"names": func(*rapid.T) { x.capturedNames(func() { x.changes(); x.checkpoint(false); x.changes() }) },
		})
	})
}
