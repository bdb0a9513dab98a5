package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/stores/memory"
)

// bubble returns a world for a synctest bubble; it is closed with end.
func bubble(t *testing.T, wrap func(mailaccess.Store) mailaccess.Store) (w *world, end func()) {
	t.Helper()
	w = &world{t: t, ctx: t.Context(), mem: memory.New(nil)}
	w.store = w.mem
	if wrap != nil {
		w.store = wrap(w.mem)
	}
	e, err := engine.New(engine.Options{
		Store:         w.store,
		Authenticator: auth.Static(map[string]string{"demo": "secret"}),
		PollInterval:  time.Minute,
	})
	w.check(err)
	w.e = e
	return w, func() { w.check(e.Close()) }
}

// ears counts how often a listener is woken.
type ears struct{ woken int }

func (e *ears) listen(l *engine.Listener) {
	l.AfterRing(func() { e.woken++ })
}

func (e *ears) take() int {
	synctest.Wait()
	defer func() { e.woken = 0 }()
	return e.woken
}

// Whoever listens to all of an account hears its mailboxes and the account itself;
// whoever listens to the account itself does not hear mail arrive.
func TestListenAll(t *testing.T) {
	for _, test := range []struct {
		name string
		wrap func(mailaccess.Store) mailaccess.Store
		wait time.Duration // for the news
	}{
		{"the store rings", nil, 0},
		{"the store does not ring", func(s mailaccess.Store) mailaccess.Store { return blind{s.(*memory.Store)} }, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, end := bubble(t, test.wrap)
				defer end()
				s := w.session()
				state, err := s.State(w.ctx)
				w.check(err)
				all, itself := s.ListenAll(), s.Listen("")
				defer all.Close()
				defer itself.Close()
				var heardAll, heardItself ears
				time.Sleep(time.Minute) // a poll that knows nothing yet rings
				for _, do := range []struct {
					what   string
					f      func()
					itself bool
				}{
					{"nothing", func() {}, false},
					{"an arrival", func() { w.deliver(1) }, test.wait > 0},
					{"a new mailbox", func() { _, err := s.Create(w.ctx, "new", 0); w.check(err) }, true},
				} {
					synctest.Wait()
					// What was rung for before is over.
					for _, l := range []*engine.Listener{all, itself} {
						l.AfterRing(func() {})
					}
					synctest.Wait()
					heardAll.listen(all)
					heardItself.listen(itself)
					do.f()
					time.Sleep(test.wait)
					if got := heardAll.take() > 0; got != (do.what != "nothing") {
						t.Errorf("%s: who listens to all was woken: %t", do.what, got)
					}
					if got := heardItself.take() > 0; got != do.itself {
						t.Errorf("%s: who listens to the account itself was woken: %t", do.what, got)
					}
				}
				changes, err := s.Changes(w.ctx, state)
				w.check(err)
				if len(changes.Mailboxes) != 2 {
					t.Errorf("Changes names %d mailboxes, want 2", len(changes.Mailboxes))
				}
			})
		})
	}
}

// counting is a store that cannot watch and counts what it is asked.
type counting struct {
	blind
	calls *atomic.Int64
	fail  *atomic.Bool // Status fails
}

func (s counting) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.blind.Open(ctx, account, who)
	return countingAccount{a, s}, err
}

type countingAccount struct {
	mailaccess.Account
	s counting
}

func (a countingAccount) State(ctx context.Context) (mailaccess.State, error) {
	a.s.calls.Add(1)
	return a.Account.State(ctx)
}

func (a countingAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	a.s.calls.Add(1)
	if a.s.fail.Load() {
		return mailaccess.Status{}, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "status"}
	}
	return a.Account.Status(ctx, box)
}

func (a countingAccount) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	a.s.calls.Add(1)
	return a.Account.Snapshot(ctx, box)
}

// A store that cannot watch is asked once in each interval, however many sessions
// there are, and nobody is woken while nothing changes. What changed wakes those
// whom it concerns, also when the store could not tell for a while.
func TestPollAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var fail atomic.Bool
		w, end := bubble(t, func(s mailaccess.Store) mailaccess.Store {
			return counting{blind{s.(*memory.Store)}, &calls, &fail}
		})
		defer end()
		s := w.session()
		other, err := s.Create(w.ctx, "Other", 0)
		w.check(err)
		const many = 50
		var views []*engine.View
		for range many {
			views = append(views, w.open(s, engine.ViewOptions{}))
		}
		elsewhere, err := s.OpenView(w.ctx, other.ID, engine.ViewOptions{})
		w.check(err)
		defer elsewhere.Close()
		time.Sleep(time.Minute) // the first round knows nothing yet
		synctest.Wait()

		woken := [2]atomic.Int64{}
		wait := func(v *engine.View, n *atomic.Int64) {
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
			v.AfterRing(func() { n.Add(1) })
		}
		again := func() {
			for _, v := range views {
				wait(v, &woken[0])
			}
			wait(elsewhere, &woken[1])
			woken[0].Store(0)
			woken[1].Store(0)
			calls.Store(0)
		}
		expect := func(what string, inbox, other int64) {
			t.Helper()
			synctest.Wait()
			if a, b := woken[0].Load(), woken[1].Load(); a != inbox || b != other {
				t.Fatalf("%s: woken %d and %d, want %d and %d", what, a, b, inbox, other)
			}
		}

		again()
		time.Sleep(10 * time.Minute)
		expect("nothing changed", 0, 0)
		if n := calls.Load(); n != 10 {
			t.Errorf("%d calls in 10 intervals", n)
		}

		again()
		w.deliver(1)
		time.Sleep(time.Minute)
		expect("an arrival", many, 0)
		if n := calls.Load(); n != 3 {
			t.Errorf("%d calls to find what changed, want 3", n)
		}

		again()
		fail.Store(true)
		w.deliver(1)
		time.Sleep(3 * time.Minute)
		expect("the store cannot tell", 0, 0)
		fail.Store(false)
		time.Sleep(time.Minute)
		expect("it can again", many, 0)

		again()
		w.check(s.Delete(w.ctx, "Other"))
		synctest.Wait()
		if woken[1].Load() != 1 {
			t.Error("nobody was told of the deletion")
		}
	})
}

// A stop belongs to the call that it came from.
func TestStaleStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := bubble(t, nil)
		defer end()
		l := w.session().ListenAll()
		defer l.Close()
		stale := l.AfterRing(func() { t.Error("a call that was replaced was woken") })
		woken := false
		l.AfterRing(func() { woken = true })
		if stale() {
			t.Error("a stale stop says that it came in time")
		}
		w.deliver(1)
		if synctest.Wait(); !woken {
			t.Error("a stale stop took back what came after it")
		}
	})
}

// What was rung before an update is seen by it, and wakes nobody again.
func TestUpdateHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := bubble(t, nil)
		defer end()
		v := w.open(w.session(), engine.ViewOptions{})
		w.deliver(1)
		w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
		v.AfterRing(func() { t.Error("woken for what is known") })
		synctest.Wait()
	})
}

// Looking when there is nothing new allocates nothing.
func TestUpdateAllocations(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(100)
	v := w.open(w.session(), engine.ViewOptions{})
	var c engine.Sink = newClient(v)
	if n := testing.AllocsPerRun(100, func() { w.check(v.Update(w.ctx, engine.UpdateOptions{}, c)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Opening a mailbox, as each SELECT does, takes a few allocations whatever it holds.
func TestOpenViewAllocations(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(100)
	s := w.session()
	if n := testing.AllocsPerRun(100, func() { w.open(s, engine.ViewOptions{}).Close() }); n > 12 {
		t.Errorf("%v allocations", n)
	}
}

// Whoever stops listening is not woken any more, whoever goes on is.
func TestSomeStopListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := bubble(t, nil)
		defer end()
		v := w.open(w.session(), engine.ViewOptions{})
		const n = 6
		var ls [n]*engine.Listener
		var woken [n]atomic.Bool
		for i := range ls {
			ls[i] = w.session().Listen(v.Status().ID)
			ls[i].AfterRing(func() { woken[i].Store(true) })
		}
		for _, i := range []int{5, 0, 2, 2} {
			ls[i].Close()
		}
		w.deliver(1)
		synctest.Wait()
		for i := range woken {
			if want := i == 1 || i == 3 || i == 4; woken[i].Load() != want {
				t.Errorf("listener %d woken: %v", i, !want)
			}
			ls[i].Close()
		}
	})
}

// An update that the store could not serve is tried again without a ring, less and
// less often, and no longer once it went well.
func TestUpdateIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		var fail atomic.Bool
		w, end := bubble(t, func(s mailaccess.Store) mailaccess.Store {
			return failingStatus{s, &calls, &fail}
		})
		defer end()
		v := w.open(w.session(), engine.ViewOptions{})
		c := newClient(v)
		var wake func()
		wake = func() {
			_ = v.Update(w.ctx, engine.UpdateOptions{}, c)
			v.AfterRing(wake)
		}
		v.AfterRing(wake)
		fail.Store(true)
		w.deliver(1)
		time.Sleep(3 * time.Second) // after 0, 1 and 3 seconds
		synctest.Wait()
		expect(t, c.take())
		fail.Store(false)
		calls.Store(0)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		expect(t, c.take(), "exists 1 recent 1")
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := calls.Load(); n != 2 {
			t.Errorf("the store was asked %d times after it recovered, want for a status and a snapshot", n)
		}
		// It fails for good: once a minute is enough.
		fail.Store(true)
		w.deliver(1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := calls.Load(); n > 70 {
			t.Errorf("the store was asked %d times in an hour", n)
		}
		v.Close()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		calls.Store(0)
		time.Sleep(time.Hour)
		if n := calls.Load(); n != 0 {
			t.Errorf("a closed view asked the store %d times", n)
		}
	})
}

type failingStatus struct {
	mailaccess.Store
	calls *atomic.Int64
	fail  *atomic.Bool
}

func (s failingStatus) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return countingAccount{a, counting{calls: s.calls, fail: s.fail}}, err
}

// A store that does not answer when a lease is refreshed loses it in its time, and
// releasing does not wait for the answer.
func TestLeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, end := bubble(t, without(func(c *mailaccess.Capabilities) { c.Lease = mute{c.Lease} }))
		defer end()
		s := w.session()
		for i, after := range []time.Duration{3 * time.Minute, time.Minute} {
			l, err := s.Lease(w.ctx, fmt.Sprint(i))
			w.check(err)
			time.Sleep(after)
			synctest.Wait()
			select {
			case <-l.Lost():
				if after < 2*time.Minute {
					t.Errorf("lost after %v", after)
				}
			default:
				if after > 2*time.Minute {
					t.Errorf("not lost after %v", after)
				}
			}
			w.check(l.Release())
		}
	})
}

type mute struct{ mailaccess.Leaser }

func (m mute) Lease(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
	l, err := m.Leaser.Lease(ctx, name, ttl)
	return muteLease{l}, err
}

type muteLease struct{ mailaccess.Lease }

func (muteLease) Refresh(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
