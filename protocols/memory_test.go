package protocols_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

const mib = 1 << 20

// reserving runs f as the conversation of as many connections, of servers that share
// a budget of 64 MiB, 16 for input and 48 for work, and returns when all have ended.
func reserving(t *testing.T, limits protocols.Limits, n int, f func(i int, c *protocols.Conn)) *protocols.Limiter {
	t.Helper()
	limits.Memory = 64 * mib
	limiter := protocols.NewLimiter(&limits)
	var ends []<-chan struct{}
	for i := range n {
		s := &protocols.Server{Limits: &limits, Limiter: limiter, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			f(i, c)
			return nil
		})}
		client, ended := connect(s)
		defer client.Close()
		ends = append(ends, ended)
		synctest.Wait() // one after the other
	}
	for _, ended := range ends {
		<-ended
	}
	return limiter
}

// New work waits for memory, in the order in which it came, and no longer than a command
// may take.
func TestMemoryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		outcome := make([]string, 5)
		reserving(t, protocols.Limits{PerConnection: 48 * mib, CommandTimeout: time.Minute}, 5, func(i int, c *protocols.Conn) {
			needs := []int64{40 * mib, 30 * mib, 1 * mib, 20 * mib, 40 * mib}[i]
			takes := []time.Duration{10 * time.Second, 20 * time.Second, time.Second, time.Hour, 0}[i]
			err := c.Reserve(protocols.Work, needs)
			outcome[i] = fmt.Sprint(i, " ", time.Since(start), " ", errors.Is(err, protocols.ErrMemory))
			time.Sleep(takes) // fake time
		})
		// 2 does not overtake 1, though there is room for it; 3 holds all that 4 waits for.
		want := "[0 0s false 1 10s false 2 10s false 3 30s false 4 1m0s true]"
		if got := fmt.Sprint(outcome); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// Commands that hold memory for their input and wait for more to work with do not wait for
// each other: all are done.
func TestMemoryNeverInACircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan int, 100)
		reserving(t, protocols.Limits{PerConnection: 48 * mib, CommandTimeout: -1}, 100, func(i int, c *protocols.Conn) {
			for range 10 {
				for _, use := range []protocols.Use{protocols.Input, protocols.Work} {
					if err := c.Reserve(use, 10*mib); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second) // fake time
				}
				c.Release()
			}
			done <- i
		})
		if len(done) != 100 {
			t.Errorf("%d of 100 are done", len(done))
		}
	})
}

// What is kept does not wait, and leaves half for commands.
func TestMemoryKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reserving(t, protocols.Limits{PerConnection: 20 * mib}, 3, func(i int, c *protocols.Conn) {
			switch i {
			case 0:
				for _, try := range []struct {
					n  int64
					ok bool
				}{{21 * mib, false}, {20 * mib, true}, {20*mib + 1, false}, {15 * mib, true}, {20 * mib, true}} {
					if ok := c.Keep(try.n); ok != try.ok {
						t.Errorf("keeping %d is %v", try.n, ok)
					}
				}
				if err := c.Reserve(protocols.Work, 1); !errors.Is(err, protocols.ErrMemoryOfConnection) {
					t.Errorf("what is kept does not count for the connection: %v", err)
				}
				time.Sleep(time.Second) // fake time
			case 1: // of 24 MiB there are 4
				if c.Keep(5*mib) || !c.Keep(4*mib) {
					t.Error("more than a half is kept, or less")
				}
				if err := c.Reserve(protocols.Work, 16*mib); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // fake time
			case 2: // of 48 MiB there are 8
				if c.TryReserve(protocols.Work, 9*mib) || !c.TryReserve(protocols.Work, 8*mib) {
					t.Error("what is kept does not count in the budget")
				}
				c.Release()
				time.Sleep(2 * time.Second) // fake time
				if !c.Keep(20 * mib) {
					t.Error("connections that have ended keep what they had")
				}
			}
		})
	})
}

// However a connection ends, it gives back what it had, and one that waits is given up.
func TestMemoryIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &protocols.Limits{Memory: 64 * mib, PerConnection: 48 * mib}
		limiter := protocols.NewLimiter(limits)
		var waited error
		s := &protocols.Server{Limits: limits, Limiter: limiter, Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
			if waited = c.SetUser("ann"); waited == nil {
				waited = c.Reserve(protocols.Work, 47*mib)
			}
			if waited != nil {
				return waited
			}
			if !c.Keep(mib) {
				t.Error("there is nothing to keep")
			}
			<-ctx.Done()
			panic("for a change")
		})}
		_, first := connect(s)
		synctest.Wait()
		_, second := connect(s)
		synctest.Wait()
		s.Close()
		<-first
		<-second
		if !errors.Is(waited, protocols.ErrServerClosed) {
			t.Errorf("waiting ended with %v", waited)
		}
		again := &protocols.Server{Limits: limits, Limiter: limiter, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			if !c.TryReserve(protocols.Work, 48*mib) {
				t.Error("not all was given back")
			}
			if err := c.SetUser("ann"); err != nil || !c.TryReserve(protocols.Work, 48*mib) {
				t.Error("not all was given back to the user")
			}
			return nil
		})}
		_, ended := connect(again)
		<-ended
	})
}

// One user does not take, with however many connections, what is there for all; who waits
// for the user's own commands is in nobody's way; and a share is given back with the user.
func TestMemoryOfOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const per = 4 * mib // a quarter of the budget: 4 MiB for input, 12 for work
		start := time.Now()
		var order []string
		limiter := reserving(t, protocols.Limits{PerConnection: per, CommandTimeout: time.Minute}, 7, func(i int, c *protocols.Conn) {
			if err := c.SetUser([]string{"ann", "ann", "ann", "ann", "bob", "ann", "bob"}[i]); err != nil {
				t.Error(err)
			}
			if i == 5 {
				if c.TryReserve(protocols.Work, 1) || c.Keep(1) || c.TryReserve(protocols.Input, per+1) || !c.TryReserve(protocols.Input, per) {
					t.Error("the shares are not a quarter")
				}
				return
			}
			if i == 6 {
				if !c.Keep(per) || c.Keep(per+1) {
					t.Error("what one keeps is in another's way")
				}
				return
			}
			err := c.Reserve(protocols.Work, per)
			order = append(order, fmt.Sprint(i, " ", time.Since(start), " ", errors.Is(err, protocols.ErrMemory)))
			time.Sleep(time.Second) // fake time
		})
		want := "[0 0s false 1 0s false 2 0s false 4 0s false 3 1s false]"
		if got := fmt.Sprint(order); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		// What a user keeps is half of the share.
		s := &protocols.Server{Limits: &protocols.Limits{Memory: 64 * mib, PerConnection: per}, Limiter: limiter, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			if !c.TryReserve(protocols.Work, per) || c.Keep(1) {
				t.Error("a connection has more than it may")
			}
			if err := c.SetUser("ann"); err != nil { // and gives up what it had
				t.Error(err)
			}
			if !c.Keep(per) || !c.TryReserve(protocols.Work, 0) {
				t.Error("the share was not given back")
			}
			return c.SetUser("")
		})}
		_, ended := connect(s)
		<-ended
	})
}

// A command may be as large as there is memory for, where it has no limit of its own.
func TestMemoryOfCommands(t *testing.T) {
	for _, test := range []struct{ memory, perConnection, command, want int64 }{
		{64 * mib, 0, 0, 256 << 10},
		{64 * mib, 0, -1, 2 * mib},
		{64 * mib, 1 * mib, -1, mib / 2},
		{64 * mib, 1 * mib, 3 * mib, mib / 2},
		{-1, -1, -1, 1<<63/4/4/2 - 1},
	} {
		limits := &protocols.Limits{Memory: test.memory, PerConnection: test.perConnection, MaxCommand: test.command}
		s := &protocols.Server{Limits: limits, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			if got := c.Limits().MaxCommand; got != test.want {
				t.Errorf("%+v: commands of %d octets", test, got)
			}
			if err := c.SetUser("ann"); err != nil {
				t.Error(err)
			}
			n := 2 * c.Limits().MaxCommand
			if err := c.Reserve(protocols.Input, n); err != nil {
				t.Error(err)
			}
			if err := c.Reserve(protocols.Input, 4*n); test.command < 0 && !errors.Is(err, protocols.ErrMemoryOfConnection) {
				t.Errorf("%+v: reserving more than a user may have: %v", test, err)
			}
			return nil
		})}
		_, ended := connect(s)
		<-ended
	}
}
