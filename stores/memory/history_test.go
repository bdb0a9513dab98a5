package memory

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

var flagged = mailaccess.Flags{System: mailaccess.FlagFlagged}

// The log of changes stays short; what it no longer tells the messages do.
func TestChangeLog(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 2000)
	start := f.status(f.inbox).ModSeq
	type point struct {
		n     mailaccess.ModSeq
		after mailaccess.UIDSet // what changed after n
	}
	points := []point{{n: start}}
	for i := range 3000 {
		u := mailaccess.UID(i*7%2000 + 1)
		change := mailaccess.FlagChange{Add: flagged}
		if i >= 2000 {
			change = mailaccess.FlagChange{Remove: flagged}
		}
		_, err := f.SetFlags(ctx, f.inbox, mailaccess.UIDSetOf(u), change, mailaccess.AnyModSeq)
		f.must(err)
		for j := range points {
			points[j].after = points[j].after.With(u)
		}
		if i%500 == 499 {
			points = append(points, point{n: f.status(f.inbox).ModSeq})
		}
	}
	b := f.boxes[f.inbox]
	if n := len(b.changed); n > 1000 {
		t.Errorf("the log has %d entries after 3000 changes", n)
	}
	if b.changes <= start {
		t.Errorf("the log tells all since %d: nothing was dropped", b.changes)
	}
	// At the border of what the log tells, the messages say what is expected.
	for _, n := range []mailaccess.ModSeq{b.changes - 1, b.changes, b.changes + 1} {
		var uids mailaccess.UIDSetBuilder
		for _, m := range f.list(f.inbox, b.uids) {
			add(&uids, m.ModSeq > n, m.UID)
		}
		points = append(points, point{n, uids.Set()})
	}
	for _, p := range points {
		changed, _ := f.changesSince(f.inbox, p.n)
		if !changed.Equal(p.after) {
			t.Errorf("since %d (the log begins at %d): %d changes, want %d", p.n, b.changes, changed.Len(), p.after.Len())
		}
	}
}

// What was captured stays as it was while the logs are cut and written on.
func TestCapturedChanges(t *testing.T) {
	f := newFixture(t, &Options{HistoryLimit: 50})
	f.fill(f.inbox, 500)
	start := f.status(f.inbox).ModSeq
	for u := mailaccess.UID(40); u > 0; u-- {
		f.expunge(f.inbox, mailaccess.UIDSetOf(u))
	}
	c, err := f.MailboxChanges(ctx, f.inbox, start)
	f.must(err)
	for u := mailaccess.UID(41); u <= 200; u++ {
		f.expunge(f.inbox, mailaccess.UIDSetOf(u))
	}
	want := mailaccess.UID(1)
	for v, err := range c.Vanished {
		f.must(err)
		if v.UID != want {
			t.Fatalf("vanished %d, want %d", v.UID, want)
		}
		want++
	}
	if want != 41 {
		t.Errorf("vanished up to %d, want 40", want-1)
	}
}

func TestHistoryLimit(t *testing.T) {
	f := newFixture(t, &Options{HistoryLimit: 10})
	f.fill(f.inbox, 40)
	var after []mailaccess.ModSeq
	for u := mailaccess.UID(1); u <= 30; u++ {
		f.expunge(f.inbox, mailaccess.UIDSetOf(u))
		after = append(after, f.status(f.inbox).ModSeq)
		if n := len(f.boxes[f.inbox].vanished); n > 10 {
			t.Fatalf("%d removals remembered", n)
		}
	}
	floor := f.boxes[f.inbox].floor
	for i, n := range after {
		c, err := f.MailboxChanges(ctx, f.inbox, n)
		f.must(err)
		if c.Floor != floor {
			t.Errorf("the floor is %d, want %d", c.Floor, floor)
		}
		if n < floor {
			continue
		}
		count := 0
		for range c.Vanished {
			count++
		}
		if count != len(after)-i-1 {
			t.Errorf("after %d removals: %d vanished, want %d", i+1, count, len(after)-i-1)
		}
	}
	if after[len(after)-5] < floor {
		t.Errorf("the floor is %d, the last five removals begin at %d", floor, after[len(after)-5])
	}
	// More at once than are remembered at all.
	f.fill(f.inbox, 40)
	before := f.status(f.inbox).ModSeq
	f.expunge(f.inbox, mailaccess.UIDSetRange(41, 80))
	f.belowFloor(f.inbox, before)
	f.changesSince(f.inbox, f.status(f.inbox).ModSeq)
}

func TestDropHistory(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 3)
	start := f.status(f.inbox).ModSeq
	f.expunge(f.inbox, mailaccess.UIDSetOf(2))
	f.must(f.store.DropHistory(user, f.inbox))
	f.belowFloor(f.inbox, start)
	now := f.status(f.inbox).ModSeq
	f.expunge(f.inbox, mailaccess.UIDSetOf(3))
	if _, gone := f.changesSince(f.inbox, now); gone.String() != "3" {
		t.Errorf("vanished %v, want 3", gone)
	}

	f.wantKind(f.store.DropHistory(user, "nosuch"), mailaccess.KindNotFound)
	f.wantKind(f.store.DropHistory("nobody@example.org", ""), mailaccess.KindNotFound)
}

func TestDropAccountHistory(t *testing.T) {
	f := newFixture(t, nil)
	box := f.box("Old")
	all, err := f.Changes(ctx, mailaccess.State{})
	f.must(err)
	f.must(f.DeleteMailbox(ctx, box))
	c, err := f.Changes(ctx, all.UpTo)
	f.must(err)
	if len(c.Deleted) != 1 || c.Deleted[0].ID != box || c.Deleted[0].Name != "Old" {
		t.Errorf("deleted: %+v", c.Deleted)
	}
	f.must(f.DeleteMailbox(ctx, f.box("Short-lived")))
	if c, err = f.Changes(ctx, c.UpTo); err != nil || len(c.Deleted) != 0 {
		t.Errorf("created and deleted meanwhile: %+v, %v", c.Deleted, err)
	}
	f.must(f.store.DropHistory(user, ""))
	_, err = f.Changes(ctx, all.UpTo)
	f.wantKind(err, mailaccess.KindHistoryGone)
	_, err = f.Changes(ctx, mailaccess.State{})
	f.must(err)
	_, err = f.Changes(ctx, c.UpTo)
	f.must(err)
	_, err = f.Changes(ctx, mailaccess.State{Epoch: "another", ModSeq: c.UpTo.ModSeq})
	f.wantKind(err, mailaccess.KindHistoryGone)
}

// What was in a deleted mailbox vanished with it, and is told for as long as the
// history of all deleted mailboxes together is short enough.
func TestDeletedMailboxVanishes(t *testing.T) {
	f := newFixture(t, &Options{HistoryLimit: 10})
	gone := func(box mailaccess.MailboxID, since mailaccess.ModSeq) (floor mailaccess.ModSeq, uids string) {
		t.Helper()
		c, err := f.MailboxChanges(ctx, box, since)
		f.must(err)
		for m := range c.Messages {
			t.Errorf("UID %d is still there", m.UID)
		}
		var set mailaccess.UIDSetBuilder
		for v, err := range c.Vanished {
			f.must(err)
			if v.ModSeq <= since || v.EmailID == "" || v.Created == 0 {
				t.Errorf("since %d vanished %+v", since, v)
			}
			set.AddUID(v.UID)
		}
		return c.Floor, set.Set().String()
	}
	a, b := f.box("a"), f.box("b")
	f.fill(a, 4)
	f.fill(b, 4)
	start := f.modseq
	f.expunge(a, mailaccess.UIDSetOf(2))
	middle := f.modseq
	f.must(f.DeleteMailbox(ctx, a))
	if floor, uids := gone(a, start); uids != "1:4" || floor > start {
		t.Errorf("vanished %s, floor %d", uids, floor)
	}
	if _, uids := gone(a, middle); uids != "1,3:4" {
		t.Errorf("vanished %s after the expunge", uids)
	}
	f.must(f.DeleteMailbox(ctx, b))
	if _, uids := gone(b, middle); uids != "1:4" {
		t.Errorf("vanished %s with the second", uids)
	}
	// More than is remembered: the first gives way.
	c := f.box("c")
	f.fill(c, 5)
	f.must(f.DeleteMailbox(ctx, c))
	if floor, uids := gone(a, start); uids != "" || floor <= middle {
		t.Errorf("the first still tells %s, floor %d", uids, floor)
	}
	d := f.box("d")
	f.fill(d, 11)
	f.must(f.DeleteMailbox(ctx, d))
	if floor, uids := gone(d, middle); uids != "" || floor != f.modseq {
		t.Errorf("too many are told: %s, floor %d", uids, floor)
	}
}

func TestTombstoneLimit(t *testing.T) {
	f := newFixture(t, &Options{HistoryLimit: 4})
	all, err := f.Changes(ctx, mailaccess.State{})
	f.must(err)
	for range 5 {
		f.must(f.DeleteMailbox(ctx, f.box("Box")))
	}
	if n := len(f.tombstones); n > 4 {
		t.Errorf("%d tombstones", n)
	}
	_, err = f.Changes(ctx, all.UpTo)
	f.wantKind(err, mailaccess.KindHistoryGone)
}

func TestNumbersNeverReached(t *testing.T) {
	f := newFixture(t, nil)
	f.box("Other") // a number that INBOX has not, but the account has
	c, err := f.MailboxChanges(ctx, f.inbox, f.modseq)
	f.must(err)
	if c.UpTo != f.modseq {
		t.Errorf("changes up to %d since %d", c.UpTo, f.modseq)
	}
	_, err = f.MailboxChanges(ctx, f.inbox, f.modseq+1)
	f.wantKind(err, mailaccess.KindInvalid)
	_, err = f.Changes(ctx, mailaccess.State{Epoch: f.store.epoch, ModSeq: f.modseq + 1})
	f.wantKind(err, mailaccess.KindInvalid)
}
