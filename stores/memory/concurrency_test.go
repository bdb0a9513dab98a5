package memory

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/errgroup"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Many change a mailbox while others follow it by its changes alone. Whoever
// follows must end with what is there, and never find anything at or below a
// number that it has seen.
func TestFollowers(t *testing.T) {
	f := newFixture(t, nil)
	other := f.box("Other")
	f.fill(f.inbox, 200)

	var writers, followers errgroup.Group
	for w := range 4 {
		h := f.as(0)
		writers.Go(func() error {
			for i := range 150 {
				u := mailaccess.UID((i*37+w*11)%400 + 1)
				uids := mailaccess.UIDSetRange(u, u+3)
				var err error
				switch i % 5 {
				case 0, 1:
					change := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.SystemFlags(1 << w)}}
					if i%2 == 1 {
						change.Add, change.Remove = change.Remove, change.Add
					}
					_, err = h.SetFlags(ctx, f.inbox, uids, change, mailaccess.AnyModSeq)
				case 2:
					_, err = h.Copy(ctx, f.inbox, uids, f.inbox)
				case 3:
					_, err = h.Move(ctx, f.inbox, mailaccess.UIDSetOf(u), other)
				case 4:
					_, err = h.Expunge(ctx, f.inbox, uids, mailaccess.FlagSeen)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan struct{})
	for range 3 {
		h := f.as(0)
		bell := make(chan struct{}, 1)
		stop, err := f.store.Watch(ctx, func(mailaccess.Ring) {
			select {
			case bell <- struct{}{}:
			default:
			}
		})
		f.must(err)
		snap, err := h.Snapshot(ctx, f.inbox)
		f.must(err)
		have := map[mailaccess.UID]mailaccess.ModSeq{}
		for m, err := range h.Messages(ctx, f.inbox, snap.UIDs) {
			f.must(err)
			have[m.UID] = m.ModSeq
		}
		for u := range snap.UIDs.All() {
			if _, ok := have[u]; !ok {
				have[u] = 0 // gone meanwhile; the changes will tell
			}
		}
		followers.Go(func() error {
			defer stop()
			since := snap.ModSeq
			catchUp := func() error {
				c, err := h.MailboxChanges(ctx, f.inbox, since)
				if err != nil {
					return err
				}
				for m, err := range c.Messages {
					if err != nil {
						return err
					}
					if m.ModSeq <= since {
						t.Errorf("number %d after %d was seen", m.ModSeq, since)
					}
					have[m.UID] = m.ModSeq
				}
				for v, err := range c.Vanished {
					if err != nil {
						return err
					}
					if v.ModSeq <= since {
						t.Errorf("removal %d after %d was seen", v.ModSeq, since)
					}
					delete(have, v.UID)
				}
				if c.UpTo < since {
					t.Errorf("up to %d, since %d", c.UpTo, since)
				}
				since = c.UpTo
				return nil
			}
			for running := true; running; {
				select {
				case <-bell:
				case <-done:
					running = false
				}
				if err := catchUp(); err != nil {
					return err
				}
			}
			want := map[mailaccess.UID]mailaccess.ModSeq{}
			for m, err := range h.Messages(ctx, f.inbox, mailaccess.UIDSetRange(1, 1<<32-1)) {
				if err != nil {
					return err
				}
				want[m.UID] = m.ModSeq
			}
			if len(have) != len(want) {
				t.Errorf("a follower has %d messages, there are %d", len(have), len(want))
			}
			for u, n := range want {
				if have[u] != n {
					t.Errorf("UID %d: a follower has number %d, it is %d", u, have[u], n)
				}
			}
			return nil
		})
	}
	f.must(writers.Wait())
	close(done)
	f.must(followers.Wait())
	f.check(f.inbox)
	f.check(other)
}

// A listing goes on while the loop changes what it lists.
func TestChangeWhileListing(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 500)
	var seen []mailaccess.UID
	for m, err := range f.Messages(ctx, f.inbox, mailaccess.UIDSetRange(1, 500)) {
		f.must(err)
		seen = append(seen, m.UID)
		if m.Flags != (mailaccess.Flags{}) {
			t.Errorf("UID %d changed while it was in the reader's hands", m.UID)
		}
		f.set(f.inbox, mailaccess.UIDSetOf(m.UID), flagged)
		f.expunge(f.inbox, mailaccess.UIDSetOf(m.UID))
		f.append(f.inbox, "x", mailaccess.Flags{})
	}
	if len(seen) != 500 || !slices.IsSorted(seen) {
		t.Errorf("%d messages were listed", len(seen))
	}
	f.check(f.inbox)

	for _, err := range f.Messages(ctx, f.inbox, mailaccess.UIDSetRange(1, 1<<32-1)) {
		if err != nil {
			f.wantKind(err, mailaccess.KindUnavailable)
			return
		}
		f.handle.Close()
	}
	t.Error("the listing outlived the account")
}

func TestWatch(t *testing.T) {
	f := newFixture(t, nil)
	var mu sync.Mutex
	var rings []mailaccess.Ring
	stop, err := f.store.Watch(ctx, func(r mailaccess.Ring) {
		// No lock is held: whoever is rung may ask.
		if _, err := f.Changes(ctx, mailaccess.State{}); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		rings = append(rings, r)
	})
	f.must(err)
	expect := func(what string, boxes ...mailaccess.MailboxID) {
		t.Helper()
		var want []mailaccess.Ring
		for _, b := range boxes {
			want = append(want, mailaccess.Ring{Account: user, Mailbox: b, ModSeq: f.modseq})
		}
		if !slices.Equal(rings, want) {
			t.Errorf("%s: rings %+v, want %+v", what, rings, want)
		}
		rings = nil
	}
	f.fill(f.inbox, 3)
	expect("append", f.inbox)
	f.set(f.inbox, mailaccess.UIDSetOf(1), flagged)
	expect("flags", f.inbox)
	f.set(f.inbox, mailaccess.UIDSetOf(1), flagged)
	expect("no change")
	f.expunge(f.inbox, mailaccess.UIDSetOf(1))
	expect("expunge", f.inbox)
	f.expunge(f.inbox, mailaccess.UIDSetOf(1))
	expect("nothing to expunge")
	box := f.box("Box")
	expect("create", "")
	_, err = f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(2), box)
	f.must(err)
	expect("copy", box)
	_, err = f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(99), box)
	f.must(err)
	expect("nothing to copy")
	_, err = f.Move(ctx, f.inbox, mailaccess.UIDSetOf(3), box)
	f.must(err)
	expect("move", box, f.inbox)
	f.must(f.RenameMailbox(ctx, box, "Renamed"))
	expect("rename", "", box)
	f.must(f.Subscribe(ctx, "Renamed", true))
	expect("subscribe", "")
	f.must(f.Subscribe(ctx, "Renamed", true))
	expect("subscribed already")
	f.must(f.DeleteMailbox(ctx, box))
	expect("delete", "", box)
	stop()
	f.box("Box")
	expect("after the watch")
}

// Stop waits for the ring that is under way, and other listeners go on.
func TestWatchStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var others atomic.Int32
		stopOther, err := f.store.Watch(ctx, func(mailaccess.Ring) { others.Add(1) })
		f.must(err)
		defer stopOther()
		rings := 0
		finish := make(chan struct{})
		stop, err := f.store.Watch(ctx, func(mailaccess.Ring) {
			rings++
			<-finish
		})
		f.must(err)
		go f.Subscribe(ctx, "x", true)
		synctest.Wait()
		stopped := make(chan struct{})
		go func() {
			stop()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stop returned while a ring was under way")
		default:
		}
		f.must(f.Subscribe(ctx, "y", true)) // stopping already: it is not rung
		close(finish)
		<-stopped
		synctest.Wait()
		f.must(f.Subscribe(ctx, "z", true))
		if rings != 1 || others.Load() != 3 {
			t.Errorf("rung %d times, the other listener %d times", rings, others.Load())
		}
	})
}

// What a reader has taken never changes in its hands.
func TestReadersKeepTheirChunk(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 30)
	table := &f.boxes[f.inbox].messages
	for name, change := range map[string]func(){
		"flags":   func() { f.set(f.inbox, mailaccess.UIDSetOf(5), flagged) },
		"expunge": func() { f.expunge(f.inbox, mailaccess.UIDSetOf(6)) },
		"append":  func() { f.fill(f.inbox, 3) },
		"both": func() {
			f.fill(f.inbox, 2)
			f.set(f.inbox, mailaccess.UIDSetOf(7), flagged)
			f.expunge(f.inbox, mailaccess.UIDSetOf(8))
		},
	} {
		msgs := table.from(1, 0)
		before := slices.Clone(msgs)
		change()
		if !slices.Equal(msgs, before) {
			t.Errorf("%s: the reader's messages changed", name)
		}
		f.check(f.inbox)
	}
}
