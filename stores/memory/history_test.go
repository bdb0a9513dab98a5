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
		if n < floor {
			f.wantKind(err, mailaccess.KindHistoryGone)
			continue
		}
		f.must(err)
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
	_, err := f.MailboxChanges(ctx, f.inbox, before)
	f.wantKind(err, mailaccess.KindHistoryGone)
	f.changesSince(f.inbox, f.status(f.inbox).ModSeq)
}

func TestDropHistory(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 3)
	start := f.status(f.inbox).ModSeq
	f.expunge(f.inbox, mailaccess.UIDSetOf(2))
	f.must(f.store.DropHistory(user, f.inbox))
	_, err := f.MailboxChanges(ctx, f.inbox, start)
	f.wantKind(err, mailaccess.KindHistoryGone)
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
