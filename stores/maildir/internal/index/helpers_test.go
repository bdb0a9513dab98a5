package index

import (
	"cmp"

	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// model is what a mailbox must be, written without thought for size or speed.
type model struct {
	rows     map[mailaccess.UID]Row
	names    map[mailaccess.UID]FileName
	gone     []Gone
	modseq   mailaccess.ModSeq
	uidNext  mailaccess.UID
	recent   mailaccess.UID
	created  mailaccess.ModSeq
	changed  mailaccess.ModSeq
	floor    mailaccess.ModSeq
	cur, new int64
	meta     string
	limit    int
}

func newModel(limit int) *model {
	return &model{
		rows: map[mailaccess.UID]Row{}, names: map[mailaccess.UID]FileName{},
		uidNext: 1, recent: 1, limit: limit,
	}
}

func (w *model) clone() *model {
	c := *w
	c.rows, c.names, c.gone = maps.Clone(w.rows), maps.Clone(w.names), slices.Clone(w.gone)
	return &c
}

func (w *model) uids() []mailaccess.UID { return slices.Sorted(maps.Keys(w.rows)) }

// change is a mutation, as a log would have it.
type mutation interface {
	index(m *Mailbox)
	model(w *model)
}

type arrive struct {
	rows  []Row
	names []FileName
}

func (a arrive) index(m *Mailbox) { m.Arrive(a.rows, a.names) }

func (a arrive) model(w *model) {
	for i, r := range a.rows {
		w.rows[r.UID], w.names[r.UID] = r, a.names[i]
		w.modseq, w.uidNext = max(w.modseq, r.ModSeq), max(w.uidNext, r.UID+1)
		w.gone = slices.DeleteFunc(w.gone, func(g Gone) bool { return g.UID == r.UID })
	}
}

type setFlags struct {
	uids   mailaccess.UIDSet
	flags  mailaccess.Flags
	modseq mailaccess.ModSeq
}

func (f setFlags) index(m *Mailbox) { m.SetFlags(f.uids, f.flags, f.modseq) }

func (f setFlags) model(w *model) {
	for u := range f.uids.All() {
		if r, ok := w.rows[u]; ok {
			r.Flags, r.ModSeq = f.flags, f.modseq
			w.rows[u] = r
		}
	}
	w.modseq = max(w.modseq, f.modseq)
}

type remove struct {
	uids   mailaccess.UIDSet
	modseq mailaccess.ModSeq
}

func (f remove) index(m *Mailbox) { m.Remove(f.uids, f.modseq) }

func (f remove) model(w *model) {
	n := 0
	for u := range f.uids.All() {
		if r, ok := w.rows[u]; ok {
			n++
			if f.modseq > w.floor {
				w.gone = append(w.gone, Gone{UID: u, Created: r.Created, ModSeq: f.modseq, Email: r.Email, Thread: r.Thread})
			}
			delete(w.rows, u)
			delete(w.names, u)
		}
	}
	slices.SortFunc(w.gone, func(a, b Gone) int {
		return cmp.Or(cmp.Compare(a.ModSeq, b.ModSeq), cmp.Compare(a.UID, b.UID))
	})
	w.modseq = max(w.modseq, f.modseq)
	switch {
	case n > w.limit:
		w.raiseFloor(f.modseq)
	case len(w.gone) > w.limit:
		w.raiseFloor(w.gone[max(len(w.gone)-w.limit, len(w.gone)/2)-1].ModSeq)
	}
}

func (w *model) raiseFloor(n mailaccess.ModSeq) {
	w.floor = max(w.floor, n)
	w.modseq = max(w.modseq, n)
	w.gone = slices.DeleteFunc(w.gone, func(g Gone) bool { return g.ModSeq <= w.floor })
}

type setFileName struct {
	uid  mailaccess.UID
	name FileName
}

func (f setFileName) index(m *Mailbox) { m.SetFileName(f.uid, f.name) }

func (f setFileName) model(w *model) {
	if _, ok := w.rows[f.uid]; ok {
		w.names[f.uid] = f.name
	}
}

type setSize struct {
	uid  mailaccess.UID
	size int64
}

func (f setSize) index(m *Mailbox) { m.SetSize(f.uid, f.size) }

func (f setSize) model(w *model) {
	if r, ok := w.rows[f.uid]; ok {
		r.Size = f.size
		w.rows[f.uid] = r
	}
}

type own struct {
	create           bool
	n                mailaccess.ModSeq
	next, recent     mailaccess.UID
	curTime, newTime int64
	meta             string
}

func (f own) index(m *Mailbox) {
	if f.create {
		m.SetCreated(f.n)
	} else {
		m.SetChanged(f.n)
	}
	m.RaiseUIDNext(f.next)
	m.SetRecent(f.recent)
	m.SetDirTimes(f.curTime, f.newTime)
	m.SetMeta([]byte(f.meta))
}

func (f own) model(w *model) {
	if f.create {
		w.created, w.changed = f.n, f.n
	} else {
		w.changed = max(w.changed, f.n)
	}
	w.modseq, w.uidNext, w.recent = max(w.modseq, f.n), max(w.uidNext, f.next), f.recent
	w.cur, w.new, w.meta = f.curTime, f.newTime, f.meta
}

type raiseFloor struct{ n mailaccess.ModSeq }

func (f raiseFloor) index(m *Mailbox) { m.RaiseFloor(f.n) }
func (f raiseFloor) model(w *model)   { w.raiseFloor(f.n) }

// flagsDiffer compares what FindFlags finds with what it should.
func flagsDiffer(m *Mailbox, w *model) error {
	in := m.UIDs().Without(m.UIDs().Select(m.UIDs().Len() / 2))
	since := m.ModSeq() / 2
	for name, match := range map[string]func(mailaccess.Flags) bool{
		"seen":    func(f mailaccess.Flags) bool { return f.System.Has(mailaccess.FlagSeen) },
		"unseen":  func(f mailaccess.Flags) bool { return !f.System.Has(mailaccess.FlagSeen) },
		"keyword": func(f mailaccess.Flags) bool { return f.Keywords.Len()%2 == 1 },
	} {
		var found, want mailaccess.UIDSetBuilder
		for from := mailaccess.UID(1); from != 0; {
			next := m.FindFlags(from, in, since, 3, match, &found)
			if next != 0 && next <= from {
				return fmt.Errorf("%s: to go on at %d after %d", name, next, from)
			}
			from = next
		}
		for _, u := range w.uids() {
			if r := w.rows[u]; in.Contains(u) && r.ModSeq > since && match(r.Flags) {
				want.AddUID(u)
			}
		}
		if !found.Set().Equal(want.Set()) {
			return fmt.Errorf("%s: found %v, want %v", name, found.Set(), want.Set())
		}
	}
	return nil
}

// differs reports how m is not what w says; the rows are compared only when they are
// loaded. It changes nothing but what FileName keeps.
func differs(m *Mailbox, w *model) error {
	if err := headDiffers(m, w); err != nil || !m.Loaded() {
		return err
	}
	uids := w.uids()
	buf := make([]Row, 7)
	var got []Row
	for n := m.Next(1, m.UIDs(), 0, buf); n > 0; n = m.Next(buf[n-1].UID+1, m.UIDs(), 0, buf) {
		got = append(got, buf[:n]...)
	}
	if len(got) != len(uids) {
		return fmt.Errorf("%d rows, want %d", len(got), len(uids))
	}
	for i, u := range uids {
		one, ok := m.Get(u)
		if !ok || !sameRow(got[i], w.rows[u]) || !sameRow(one, w.rows[u]) {
			return fmt.Errorf("row\n%+v, alone\n%+v, want\n%+v", got[i], one, w.rows[u])
		}
		name, err := m.FileName(u)
		if err != nil {
			return err
		}
		if name != w.names[u] {
			return fmt.Errorf("message %d has name %+v, want %+v", u, name, w.names[u])
		}
	}
	if err := flagsDiffer(m, w); err != nil {
		return err
	}
	if err := leftOver(m); err != nil {
		return err
	}
	if gone := m.Vanished(0); !slices.Equal(gone, w.gone) {
		return fmt.Errorf("gone\n%v, want\n%v", gone, w.gone)
	}
	return changesDiffer(m, w)
}

func sameRow(a, b Row) bool {
	_, x := a.Received.Zone()
	_, y := b.Received.Zone()
	same := a.Received.Equal(b.Received) && x == y && a.Saved.Equal(b.Saved)
	a.Received, a.Saved, b.Received, b.Saved = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return same && a == b
}

func headDiffers(m *Mailbox, w *model) error {
	var uids, unseen, trashed mailaccess.UIDSetBuilder
	var size int64
	unknown := 0
	var words mailaccess.Keywords
	for u, r := range w.rows {
		uids.AddUID(u)
		if !r.Flags.System.Has(mailaccess.FlagSeen) {
			unseen.AddUID(u)
		}
		if r.Flags.System.Has(mailaccess.FlagDeleted) {
			trashed.AddUID(u)
		}
		if r.Size < 0 {
			unknown++
		} else {
			size += r.Size
		}
		words = words.Union(r.Flags.Keywords)
	}
	if !m.UIDs().Equal(uids.Set()) || !m.Unseen().Equal(unseen.Set()) || !m.Trashed().Equal(trashed.Set()) {
		return fmt.Errorf("sets %v, %v, %v, want %v, %v, %v", m.UIDs(), m.Unseen(), m.Trashed(), uids.Set(), unseen.Set(), trashed.Set())
	}
	if n := m.Counts(); n != (Counts{len(w.rows), unseen.Set().Len(), trashed.Set().Len(), unseen.Set().Min()}) {
		return fmt.Errorf("counts %+v, for sets %v, %v, %v", n, uids.Set(), unseen.Set(), trashed.Set())
	}
	if s, n := m.Size(); s != size || n != unknown {
		return fmt.Errorf("size %d, unknown %d, want %d, %d", s, n, size, unknown)
	}
	if m.Keywords() != words {
		return fmt.Errorf("keywords %q, want %q", m.Keywords(), words)
	}
	curTime, newTime := m.DirTimes()
	have := []any{m.ModSeq(), m.UIDNext(), m.Recent(), m.Created(), m.Changed(), m.Floor(), curTime, newTime, string(m.Meta())}
	want := []any{w.modseq, w.uidNext, w.recent, w.created, w.changed, w.floor, w.cur, w.new, w.meta}
	if !slices.Equal(have, want) {
		return fmt.Errorf("ModSeq, UIDNext, Recent, Created, Changed, Floor, times, meta:\n%v, want\n%v", have, want)
	}
	return nil
}

// leftOver reports what is in memory for a message that has no use for it.
func leftOver(m *Mailbox) error {
	for uid := range m.names {
		if !m.UIDs().Contains(uid) || !m.Dirty() && m.pending == nil {
			return fmt.Errorf("there is a name of message %d", uid)
		}
	}
	for uid := range m.large {
		if _, x := m.table.get(uid); x == nil || x.size != sizeElsewhere {
			return fmt.Errorf("there is a size of message %d", uid)
		}
	}
	for uid := range m.kw.late {
		if _, x := m.table.get(uid); x == nil || x.keywords != keywordsLate {
			return fmt.Errorf("there are keywords of message %d", uid)
		}
	}
	return nil
}

// changesDiffer compares what changed since each of some numbers.
func changesDiffer(m *Mailbox, w *model) error {
	buf := make([]Row, len(w.rows)+1)
	for _, since := range []mailaccess.ModSeq{0, w.modseq / 3, w.modseq / 2, w.modseq - min(w.modseq, 3), w.modseq} {
		n := m.Next(0, m.ChangedSince(since), since, buf)
		var want, have []mailaccess.UID
		for _, u := range w.uids() {
			if w.rows[u].ModSeq > since {
				want = append(want, u)
			}
		}
		for _, r := range buf[:n] {
			have = append(have, r.UID)
		}
		if !slices.Equal(have, want) {
			return fmt.Errorf("changed since %d: %v, want %v", since, have, want)
		}
	}
	return nil
}

// checkpoint writes all of m.
func checkpoint(m *Mailbox, logPos uint64) error {
	c := m.Capture(logPos)
	err := c.Write()
	m.Done(c, err)
	return err
}

func mustCheckpoint(t testing.TB, m *Mailbox, logPos uint64) {
	t.Helper()
	if err := checkpoint(m, logPos); err != nil {
		t.Fatal(err)
	}
}
