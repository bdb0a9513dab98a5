package memory

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestDerivedKinds(t *testing.T) {
	f := newFixture(t, nil)
	for kind, ok := range map[mailaccess.DerivedKind]bool{
		"mime/1": true, "A-z_0": true, mailaccess.DerivedKind(strings.Repeat("k", 32)): true,
		"": false, "a b": false, "ä": false, mailaccess.DerivedKind(strings.Repeat("k", 33)): false,
	} {
		err := f.PutDerived(ctx, kind, nil)
		if (err == nil) != ok {
			t.Errorf("kind %q: %v", kind, err)
		}
	}
}

func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		take := func(kind mailaccess.Kind) mailaccess.Lease {
			t.Helper()
			l, err := f.as(0).Lease(ctx, "maildrop", time.Minute)
			if kind != 0 {
				f.wantKind(err, kind)
			} else {
				f.must(err)
			}
			return l
		}
		first := take(0)
		take(mailaccess.KindInUse)
		time.Sleep(59 * time.Second)
		f.must(first.Refresh(ctx))
		time.Sleep(59 * time.Second)
		take(mailaccess.KindInUse)
		time.Sleep(time.Second)
		f.wantKind(first.Refresh(ctx), mailaccess.KindNotFound)
		second := take(0)
		f.wantKind(first.Refresh(ctx), mailaccess.KindNotFound)
		f.must(first.Release()) // takes nothing from the second
		f.must(second.Refresh(ctx))
		take(mailaccess.KindInUse)
		f.must(second.Release())
		f.must(second.Release())
		take(0)

		if _, err := f.Lease(ctx, "another", time.Minute); err != nil {
			t.Errorf("another name: %v", err)
		}
		_, err := f.Lease(ctx, "never", 0)
		f.wantKind(err, mailaccess.KindInvalid)
		time.Sleep(time.Hour)
		take(0)
		if n := len(f.leases.held); n != 1 {
			t.Errorf("%d leases are remembered, one is held", n)
		}
	})
}

// Dates are whole seconds; the zone of the internal date stays.
func TestDates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		time.Sleep(1500 * time.Millisecond)
		zone := time.FixedZone("NPT", 5*3600+45*60)
		received := time.Date(2020, 2, 3, 4, 5, 6, 789, zone)
		done, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage("x"), Received: received}, {Staged: f.stage("y")}})
		f.must(err)
		m := done.Messages[0]
		if got := m.Received.Format(time.RFC3339Nano); got != "2020-02-03T04:05:06+05:45" {
			t.Errorf("received %s", got)
		}
		now := time.Now().Truncate(time.Second)
		if !m.Saved.Equal(now) || !done.Messages[1].Received.Equal(now) {
			t.Errorf("saved %v, received without a date %v, at %v", m.Saved, done.Messages[1].Received, now)
		}
		time.Sleep(time.Hour)
		other := f.box("Other")
		_, err = f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(1), other)
		f.must(err)
		c := f.list(other, mailaccess.UIDSetOf(1))[0]
		if !c.Received.Equal(m.Received) || !c.Saved.Equal(now.Add(time.Hour)) {
			t.Errorf("the copy was received %v, saved %v", c.Received, c.Saved)
		}
	})
}

// A new store is another epoch, and its numbers are above those of the one
// before.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		m := f.append(f.inbox, "x", mailaccess.Flags{})
		before, err := f.Changes(ctx, mailaccess.State{})
		f.must(err)
		time.Sleep(time.Second)
		g := newFixture(t, nil)
		after, err := g.Changes(ctx, mailaccess.State{})
		g.must(err)
		if after.UpTo.Epoch == before.UpTo.Epoch || after.UpTo.ModSeq <= before.UpTo.ModSeq ||
			g.inbox == f.inbox || g.status(g.inbox).UIDValidity <= f.status(f.inbox).UIDValidity {
			t.Errorf("after a restart %+v, before %+v", after, before)
		}
		if n := g.append(g.inbox, "y", mailaccess.Flags{}); n.EmailID == m.EmailID {
			t.Errorf("content %s again", n.EmailID)
		}
	})
}
