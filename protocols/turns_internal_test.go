package protocols

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// worker is a connection that works: the bubble's clock goes on while it does so.
func worker(ts *turns) *turn {
	t := new(turn)
	t.begin(ts)
	return t
}

// step is Conn.Step for an owner.
func (t *turn) step(ctx context.Context, o owner) error {
	if !t.due() {
		return nil
	}
	return t.take(ctx, o)
}

// untouched fails the test unless everything is as if nobody had been there.
func (ts *turns) untouched(t fataler, places int) {
	t.Helper()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.free != places || len(ts.holders) != 0 || ts.active != 0 || len(ts.idle) != len(ts.shares) || len(ts.queue) != 0 || ts.waiting.Load() != 0 {
		t.Fatalf("%d of %d places are free, %d have one, %d shares of which %d are in use and %d are not, %d in the queue, %d wait",
			ts.free, places, len(ts.holders), len(ts.shares), ts.active, len(ts.idle), len(ts.queue), ts.waiting.Load())
	}
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// Who has many connections gets as much as who has one.
func TestUsersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		did := make(map[string]int)
		var mu sync.Mutex
		var all sync.WaitGroup
		for user, conns := range map[string]int{"ann": 1, "bob": 1, "mallory": 40} {
			for range conns {
				all.Go(func() {
					w := worker(ts)
					defer w.leave()
					for w.step(ctx, owner{user: user}) == nil && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
						mu.Lock()
						did[user]++
						mu.Unlock()
						if user == "bob" && w.rest() { // one that writes often has its share too
							w.work()
						}
					}
				})
			}
		}
		all.Wait()
		for user, n := range did {
			// Who gives the place up each millisecond waits for a turn of another each time.
			if n < 2400 || n > 4000 {
				t.Errorf("%s worked for %d of 10,000 ms", user, n)
			}
		}
		ts.untouched(t, 1)
	})
}

// Who comes anew waits for who has a place, not for all that wait.
func TestShortWorkWaitsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				w := worker(ts)
				defer w.leave()
				for w.step(ctx, owner{user: fmt.Sprint(i)}) == nil && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		for range 20 {
			begun := time.Now()
			w := worker(ts)
			if err := w.step(ctx, owner{user: "ann"}); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > turnTime+time.Millisecond {
				t.Errorf("it took %v", took)
			}
			w.leave()
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		all.Wait()
		ts.untouched(t, 1)
	})
}

func TestLittleWorkIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		holder := worker(ts)
		if err := holder.step(t.Context(), owner{user: "mallory"}); err != nil {
			t.Fatal(err)
		}
		w := worker(ts)
		w.rest()
		time.Sleep(earnedWork * freeWork)
		w.work()
		for range 3 {
			time.Sleep(freeWork / 2)
			if w.due() {
				t.Fatal("it needs a place too early")
			}
			w.rest()
			time.Sleep(earnedWork * freeWork / 2)
			w.work()
		}
		time.Sleep(freeWork)
		if !w.due() {
			t.Error("it needs no place after working for long")
		}
		holder.leave()
		ts.untouched(t, 1)
	})
}

// Who has a place and waits for something all the same loses it.
func TestSilentHoldersLoseTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		holder, next := worker(ts), worker(ts)
		if err := holder.step(t.Context(), owner{user: "mallory"}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := next.step(t.Context(), owner{user: "ann"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < overdue || took > 2*overdue {
			t.Errorf("the place went on after %v", took)
		}
		// It has to wait as others do.
		ctx, cancel := context.WithTimeout(t.Context(), overdue/2)
		defer cancel()
		if err := holder.step(ctx, owner{user: "mallory"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who lost the place: %v", err)
		}
		holder.leave()
		next.leave()
		ts.untouched(t, 1)
	})
}

func TestWhoIsGoneWaitsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := newTurns(1)
		holder := worker(ts)
		if err := holder.step(t.Context(), owner{}); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error)
		go func() { errs <- worker(ts).step(ctx, owner{}) }()
		synctest.Wait()
		if n := ts.waiting.Load(); n != 1 {
			t.Errorf("%d wait", n)
		}
		cancel(gone)
		if err := <-errs; err != gone {
			t.Error(err)
		}
		holder.leave()
		ts.untouched(t, 1)
	})
}

// Whatever connections do, and whenever they end, all places are free in the end.
func TestPlacesComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		places, seed := rapid.IntRange(1, 4).Draw(rt, "places"), rapid.Uint64().Draw(rt, "seed")
		synctest.Test(t, func(*testing.T) {
			ts := newTurns(places)
			var all sync.WaitGroup
			for i := range uint64(20) {
				all.Go(func() {
					random := rand.New(rand.NewPCG(seed, i))
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(100))*time.Millisecond)
					defer cancel()
					w := worker(ts)
					defer w.leave()
					for w.step(ctx, owner{user: fmt.Sprint(random.IntN(3))}) == nil && ctx.Err() == nil {
						time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
						ts.mu.Lock()
						holders, free := len(ts.holders), ts.free
						ts.mu.Unlock()
						if free < 0 || holders+free != places {
							rt.Fatalf("%d places of %d are free, %d have one", free, places, holders)
						}
						if random.IntN(3) == 0 && w.rest() {
							time.Sleep(time.Duration(random.IntN(30000)) * time.Microsecond)
							w.work()
						}
					}
				})
			}
			all.Wait()
			ts.untouched(rt, places)
		})
	})
}

// A talk is a protocol that is a function.
type talk func(ctx context.Context, c *Conn) error

func (talk) Name() string                               { return "talk" }
func (talk) Refuse(string) []byte                       { return nil }
func (f talk) Serve(ctx context.Context, c *Conn) error { return f(ctx, c) }
func (f talk) converse(l *Limiter) (client net.Conn, s *Server) {
	client, server := net.Pipe()
	s = &Server{Protocol: f, Limiter: l}
	go s.ServeConn(server)
	return client, s
}

// worked works until the connection has a place.
func worked(c *Conn) error {
	time.Sleep(freeWork)
	return c.Step()
}

// No client can hold a place by not reading.
func TestNoPlaceWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(nil)
		l.turns = newTurns(1)
		client, s := talk(func(_ context.Context, c *Conn) error {
			if err := worked(c); err != nil {
				return err
			}
			_, err := c.Write([]byte("nobody reads this"))
			return err
		}).converse(l)
		time.Sleep(freeWork) // it works
		synctest.Wait()      // and writes
		begun := time.Now()
		other := worker(l.turns)
		if err := other.step(t.Context(), owner{user: "ann"}); err != nil || time.Since(begun) != 0 {
			t.Errorf("another waited for %v: %v", time.Since(begun), err)
		}
		other.leave()
		client.Close()
		s.Close()
		l.turns.untouched(t, 1)
	})
}

// Who waits for a disk has no place, and needs one again when it has worked for long.
func TestNoPlaceWhileResting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(nil)
		l.turns = newTurns(1)
		synced, again := make(chan struct{}), false
		client, s := talk(func(_ context.Context, c *Conn) error {
			if err := worked(c); err != nil {
				return err
			}
			work := c.Rest()
			c.Rest()() // within another
			<-synced
			work()
			err := worked(c)
			again = c.wire.turn.from.Load() != 0
			return err
		}).converse(l)
		time.Sleep(freeWork)
		synctest.Wait()
		begun := time.Now()
		other := worker(l.turns)
		if err := other.step(t.Context(), owner{user: "ann"}); err != nil || time.Since(begun) != 0 {
			t.Errorf("another waited for %v: %v", time.Since(begun), err)
		}
		other.leave()
		close(synced)
		time.Sleep(freeWork)
		synctest.Wait()
		if !again {
			t.Error("it worked on without a place")
		}
		client.Close()
		s.Close()
		l.turns.untouched(t, 1)
	})
}

// Who has memory and waits for a place, and who has a place and waits for memory, do not
// wait for each other.
func TestNoPlaceWhileWaitingForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &Limits{Memory: leastMemory, PerConnection: leastMemory}
		l := NewLimiter(limits)
		l.turns = newTurns(1)
		all := l.memory.sizes[Work]
		var begun time.Time
		var second net.Conn
		var s2 *Server
		finished := make(chan time.Duration, 2)
		first, s1 := talk(func(_ context.Context, c *Conn) error {
			if err := c.Reserve(Work, all); err != nil {
				return err
			}
			second, s2 = talk(func(_ context.Context, c *Conn) error {
				if err := worked(c); err != nil { // a place
					return err
				}
				begun = time.Now()
				if err := c.Reserve(Work, all); err != nil { // and no memory
					return err
				}
				finished <- time.Since(begun)
				return nil
			}).converse(l)
			time.Sleep(2 * freeWork)
			if err := c.Step(); err != nil { // memory, and a place only if the other gives it up
				return err
			}
			c.Release()
			finished <- time.Since(begun)
			return nil
		}).converse(l)
		for range 2 {
			if took := <-finished; took >= overdue {
				t.Errorf("one waited for %v", took)
			}
		}
		first.Close()
		second.Close()
		s1.Close()
		s2.Close()
		l.turns.untouched(t, 1)
	})
}
