package memory

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKnownAccounts(t *testing.T) {
	s := New(&Options{KnownAccountsOnly: true})
	defer s.Close()
	f := &fixture{TB: t, store: s}
	_, err := s.Open(ctx, user, mailaccess.Identity{})
	f.wantKind(err, mailaccess.KindNotFound)
	_, err = s.Deliver(ctx, user, mailaccess.Inbox, []byte("x"), mailaccess.Flags{}, time.Time{})
	f.wantKind(err, mailaccess.KindNotFound)
	f.must(s.AddAccount(user))
	f.wantKind(s.AddAccount(user), mailaccess.KindExists)
	f.wantKind(s.AddAccount(""), mailaccess.KindInvalid)
	if _, err := f.as(0).Lookup(ctx, mailaccess.Inbox); err != nil {
		t.Error(err)
	}
	_, err = New(nil).Open(ctx, "", mailaccess.Identity{})
	f.wantKind(err, mailaccess.KindNotFound)
}

func TestDeliver(t *testing.T) {
	f := newFixture(t, nil)
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	m, err := f.store.Deliver(ctx, user, mailaccess.Inbox, []byte("A: b\n\r\n\nc\rd\n"), flagged, at)
	f.must(err)
	c, err := f.Content(ctx, m.EmailID)
	f.must(err)
	got := make([]byte, c.Size())
	_, err = c.ReadAt(got, 0)
	f.must(err)
	if string(got) != "A: b\r\n\r\n\r\nc\rd\r\n" || m.Size != c.Size() || m.Flags != flagged || !m.Received.Equal(at) {
		t.Errorf("delivered %+v with %q", m, got)
	}
	_, err = f.store.Deliver(ctx, user, "Nosuch", []byte("x"), flagged, at)
	f.wantKind(err, mailaccess.KindNotFound)
	_, err = f.store.Deliver(ctx, user, mailaccess.Inbox, make([]byte, 65<<20), flagged, at)
	f.wantKind(err, mailaccess.KindTooBig)
}

func (f *fixture) names() []string {
	f.Helper()
	var names []string
	for m, err := range f.Mailboxes(ctx) {
		f.must(err)
		names = append(names, m.Name)
	}
	return names
}

func TestRename(t *testing.T) {
	for _, tt := range []struct {
		have     []string
		from, to string
		want     []string // nil: KindExists
	}{
		{[]string{"a", "a/b", "a/b/c", "ab"}, "a", "x/y", []string{"INBOX", "ab", "x/y", "x/y/b", "x/y/b/c"}},
		{[]string{"a", "a/b", "x/b"}, "a", "x", nil},
		{[]string{"a", "x"}, "a", "x", nil},
		{[]string{"a"}, "a", "a", nil},
		{[]string{"a/b", "a/b/b", "a/b/c"}, "a/b", "a", []string{"INBOX", "a", "a/b", "a/c"}},
		{[]string{"INBOX/x", "INBOX/x/y"}, "INBOX/x", "x", []string{"INBOX", "x", "x/y"}},
	} {
		f := newFixture(t, nil)
		ids := map[string]mailaccess.MailboxID{}
		for _, name := range tt.have {
			ids[name] = f.box(name)
		}
		before := f.names()
		err := f.RenameMailbox(ctx, ids[tt.from], tt.to)
		if tt.want == nil {
			f.wantKind(err, mailaccess.KindExists)
			tt.want = before
		} else {
			f.must(err)
			m, err := f.Lookup(ctx, tt.to)
			f.must(err)
			if m.ID != ids[tt.from] || m.Changed != f.modseq || f.status(m.ID).ModSeq != f.modseq {
				t.Errorf("%v: renamed %+v", tt, m)
			}
		}
		if got := f.names(); !slices.Equal(got, tt.want) {
			t.Errorf("%v to %s: %v, want %v", tt.have, tt.to, got, tt.want)
		}
	}
}

func TestRenameRefused(t *testing.T) {
	f := newFixture(t, nil)
	a := f.box("a")
	long := f.box("a/" + string(slices.Repeat([]byte("n"), mailaccess.MaxMailboxName-2)))
	f.wantKind(f.RenameMailbox(ctx, f.inbox, "x"), mailaccess.KindForbidden)
	f.wantKind(f.RenameMailbox(ctx, a, "a/b"), mailaccess.KindInvalid)
	f.wantKind(f.RenameMailbox(ctx, a, "x//y"), mailaccess.KindInvalid)
	f.wantKind(f.RenameMailbox(ctx, a, "longer"), mailaccess.KindInvalid) // what is below
	f.wantKind(f.RenameMailbox(ctx, "nosuch", "x"), mailaccess.KindNotFound)
	f.must(f.RenameMailbox(ctx, long, "short"))
	f.must(f.RenameMailbox(ctx, a, "longer"))
}

// Contents go with their last place, and are kept for those who still show them
// when that was asked for.
func TestRetainExpunged(t *testing.T) {
	for _, retain := range []bool{false, true} {
		f := newFixture(t, &Options{RetainExpunged: retain})
		if f.Capabilities().RetainsExpunged != retain {
			t.Errorf("RetainsExpunged is %t", !retain)
		}
		box := f.box("Box")
		var ids []mailaccess.EmailID
		for _, m := range f.fill(box, 3) {
			ids = append(ids, m.EmailID)
		}
		_, err := f.Copy(ctx, box, mailaccess.UIDSetOf(3), f.inbox)
		f.must(err)
		readable := func(h *handle) (n int) {
			for _, id := range ids {
				if _, err := h.Content(ctx, id); err == nil {
					n++
				} else {
					f.wantKind(err, mailaccess.KindContentGone)
				}
			}
			return n
		}
		first := f.as(0)
		f.must(f.handle.Close())
		f.handle = f.as(0)
		f.expunge(box, mailaccess.UIDSetOf(1))
		late := f.as(0)
		f.must(f.DeleteMailbox(ctx, box))
		want := 1
		if retain {
			want = 3
		}
		if got := readable(first); got != want {
			t.Errorf("retain %t: %d contents readable, want %d", retain, got, want)
		}
		f.must(first.Close())
		f.must(first.Close())
		f.must(f.handle.Close())
		// Only late is open, which knew the second message but not the first.
		if retain {
			want = 2
		}
		if got := readable(late); got != want {
			t.Errorf("retain %t: %d contents readable later, want %d", retain, got, want)
		}
		f.must(late.Close())
		if n := len(f.contents); n != 1 || len(f.retained) != 0 {
			t.Errorf("retain %t: %d contents in the end, %d retained", retain, n, len(f.retained))
		}
	}
}

// An upload that is appended after its message was expunged is the same content
// again, and counts as kept from then on.
func TestAppendAgain(t *testing.T) {
	f := newFixture(t, &Options{RetainExpunged: true})
	s := f.stage("x")
	put := func() mailaccess.Message {
		done, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: s}})
		f.must(err)
		return done.Messages[0]
	}
	a := put()
	f.expunge(f.inbox, mailaccess.UIDSetOf(a.UID))
	b := put()
	if a.EmailID != b.EmailID {
		t.Errorf("ids %s and %s of one content", a.EmailID, b.EmailID)
	}
	f.must(f.handle.Close())
	f.handle = f.as(0)
	_, err := f.Content(ctx, b.EmailID)
	f.must(err)
	f.check(f.inbox)
}

func TestLocate(t *testing.T) {
	f := newFixture(t, nil)
	box, gone := f.box("Box"), f.box("Gone")
	m := f.append(f.inbox, "x", mailaccess.Flags{})
	for _, dst := range []mailaccess.MailboxID{box, gone, f.inbox} {
		_, err := f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(m.UID), dst)
		f.must(err)
	}
	f.must(f.DeleteMailbox(ctx, gone))
	f.expunge(f.inbox, mailaccess.UIDSetOf(m.UID))
	var got []mailaccess.Location
	for l, err := range f.Locate(ctx, []mailaccess.EmailID{"nosuch", m.EmailID}) {
		f.must(err)
		got = append(got, l)
	}
	want := []mailaccess.Location{{ID: m.EmailID, Mailbox: box, UID: 1}, {ID: m.EmailID, Mailbox: f.inbox, UID: 2}}
	if len(got) != 2 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
		t.Errorf("located %+v, want %+v", got, want)
	}
}

func TestHold(t *testing.T) {
	f := newFixture(t, nil)
	a, err := f.Hold(ctx, f.inbox)
	f.must(err)
	b, err := f.as(0).Hold(ctx, f.inbox)
	f.must(err)
	a()
	a()
	if n := f.store.Holds(user, f.inbox); n != 1 {
		t.Errorf("%d holds, want 1", n)
	}
	b()
	if n := f.store.Holds(user, f.inbox); n != 0 {
		t.Errorf("%d holds, want 0", n)
	}
	_, err = f.Hold(ctx, "nosuch")
	f.wantKind(err, mailaccess.KindNotFound)
}

// What may be done in several transactions is: none handles more messages than
// it should.
func TestTransactions(t *testing.T) {
	f := newFixture(t, nil)
	box := f.box("Box")
	const n = 2*txnMax + 10
	s := f.stage("x")
	msgs := make([]mailaccess.NewMessage, n)
	for i := range msgs {
		msgs[i].Staged = s
	}
	_, err := f.Append(ctx, f.inbox, msgs)
	f.must(err)
	all := mailaccess.UIDSetRange(1, 1<<32-1)
	parts := func(what string, commits []mailaccess.Commit) {
		t.Helper()
		var uids mailaccess.UIDSet
		last := mailaccess.ModSeq(0)
		for _, c := range commits {
			if c.UIDs.Len() > txnMax || c.ModSeq <= last || !uids.Intersect(c.UIDs).IsEmpty() {
				t.Errorf("%s: %d UIDs under number %d", what, c.UIDs.Len(), c.ModSeq)
			}
			uids, last = uids.Union(c.UIDs), c.ModSeq
		}
		if uids.String() != mailaccess.UIDSetRange(1, n).String() || len(commits) != 3 {
			t.Errorf("%s: %v in %d transactions", what, uids, len(commits))
		}
	}
	res, err := f.SetFlags(ctx, f.inbox, all, mailaccess.FlagChange{Add: flagged}, mailaccess.AnyModSeq)
	f.must(err)
	parts("flags", res.Changed)
	f.check(f.inbox)

	before := f.modseq
	moved, err := f.Move(ctx, f.inbox, all, box)
	f.must(err)
	if moved.Source.Len() != n || !moved.Source.Equal(moved.Dest) || f.modseq-before != 3 {
		t.Errorf("moved %v to %v under %d numbers", moved.Source, moved.Dest, f.modseq-before)
	}
	f.check(box)

	done, err := f.Expunge(ctx, box, all, mailaccess.FlagFlagged)
	f.must(err)
	parts("expunge", done)
	if s := f.status(box); s.Messages != 0 || s.Size != 0 || s.UIDNext != n+1 {
		t.Errorf("status %+v", s)
	}

	_, err = f.Append(ctx, box, msgs)
	f.must(err)
	f.must(f.DeleteMailbox(ctx, box))
	if len(f.contents) != 0 {
		t.Errorf("%d contents are left of a deleted mailbox", len(f.contents))
	}
}

// A context that ends in the middle stops a large change between transactions,
// and the result says what was done.
func TestEndInTheMiddle(t *testing.T) {
	f := newFixture(t, nil)
	s := f.stage("x")
	msgs := make([]mailaccess.NewMessage, txnMax+10)
	for i := range msgs {
		msgs[i].Staged = s
	}
	_, err := f.Append(ctx, f.inbox, msgs)
	f.must(err)
	for _, op := range []string{"flags", "expunge"} {
		half, cancel := context.WithCancel(ctx)
		stop, err := f.store.Watch(ctx, func(mailaccess.Ring) { cancel() })
		f.must(err)
		all := mailaccess.UIDSetRange(1, 1<<32-1)
		var done []mailaccess.Commit
		if op == "flags" {
			var res mailaccess.FlagResult
			res, err = f.SetFlags(half, f.inbox, all, mailaccess.FlagChange{Add: flagged}, mailaccess.AnyModSeq)
			done = res.Changed
		} else {
			done, err = f.Expunge(half, f.inbox, all, 0)
		}
		stop()
		f.wantKind(err, mailaccess.KindUnavailable)
		if len(done) != 1 || done[0].UIDs.Len() != txnMax {
			t.Errorf("%s: done %+v", op, done)
		}
	}
	if n := f.status(f.inbox).Messages; n != 10 {
		t.Errorf("%d messages are left", n)
	}
	f.check(f.inbox)
}

func TestAllocations(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 2000)
	snap, err := f.Snapshot(ctx, f.inbox)
	f.must(err)
	var odd mailaccess.UIDSetBuilder
	for u := mailaccess.UID(1); u < 2000; u += 2 {
		odd.AddUID(u)
	}
	count := 0
	list := func(uids mailaccess.UIDSet) func() {
		return func() {
			for _, err := range f.Messages(ctx, f.inbox, uids) {
				if err != nil {
					t.Error(err)
				}
				count++
			}
		}
	}
	for _, tt := range []struct {
		name string
		most float64
		run  func()
	}{
		{"Snapshot", 0, func() { f.must(second(f.Snapshot(ctx, f.inbox))) }},
		{"Status", 0, func() { f.must(second(f.Status(ctx, f.inbox))) }},
		{"Messages, all", 8, list(snap.UIDs)},
		{"Messages, every other", 8, list(odd.Set())},
	} {
		if got := testing.AllocsPerRun(10, tt.run); got > tt.most {
			t.Errorf("%s: %v allocations, at most %v are expected", tt.name, got, tt.most)
		}
	}
	if count == 0 {
		t.Error("nothing was listed")
	}
}

func second[T any](_ T, err error) error { return err }

// Chunks of messages stay reasonably full whatever is removed.
func TestChunksJoin(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 6400)
	for u := mailaccess.UID(1); u <= 6400; u++ {
		if u%10 != 0 {
			f.expunge(f.inbox, mailaccess.UIDSetOf(u))
		}
	}
	f.check(f.inbox)
	if n := len(f.boxes[f.inbox].messages.chunks); n > 30 {
		t.Errorf("640 messages in %d chunks", n)
	}
	f.expunge(f.inbox, mailaccess.UIDSetRange(1, 6400))
	if n := len(f.boxes[f.inbox].messages.chunks); n != 0 {
		t.Errorf("no message in %d chunks", n)
	}
	f.fill(f.inbox, 1)
	f.check(f.inbox)
}
