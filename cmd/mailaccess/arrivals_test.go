package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestArrivalsComeAtIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- deliverArrivals(ctx, store, 10*time.Second) }()
		account, err := store.Open(t.Context(), demoUser, mailaccess.Identity{User: demoUser, Account: demoUser})
		if err != nil {
			t.Fatal(err)
		}
		defer account.Close()
		inbox, err := account.Lookup(t.Context(), mailaccess.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		count := func() int {
			synctest.Wait()
			status, err := account.Status(t.Context(), inbox.ID)
			if err != nil {
				t.Fatal(err)
			}
			return status.Messages
		}
		begun := time.Now()
		for _, step := range []struct {
			at   time.Duration
			want int
		}{{9999 * time.Millisecond, 0}, {10 * time.Second, 1}, {19 * time.Second, 1}, {40 * time.Second, 4}} {
			<-time.After(step.at - time.Since(begun))
			if got := count(); got != step.want {
				t.Errorf("after %v: %d messages, want %d", step.at, got, step.want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		if got := count(); got != 4 {
			t.Errorf("%d messages after the end, want 4", got)
		}
	})
}

// slowStore takes long to deliver, and does not hear that it should stop.
type slowStore struct{ begun, release chan struct{} }

func (s slowStore) Deliver(context.Context, string, string, []byte, mailaccess.Flags, time.Time) (mailaccess.Message, error) {
	close(s.begun)
	<-s.release
	return mailaccess.Message{}, nil
}

// The store is closed when serve has returned: no delivery may be under way then,
// whether the server ended because it was told to or because it failed.
func TestDemoWaitsForTheArrivalUnderWay(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store := memory.New(nil)
			defer store.Close()
			s, err := openServer(serverConfig{
				store: store, authenticator: auth.Static(nil), logger: zap.NewNop(),
				addresses: addresses{imap: "127.0.0.1:0"},
			})
			if err != nil {
				t.Fatal(err)
			}
			s.endpoints[0].listener.Close()
			if !fails {
				s.endpoints = nil // a listener that works would keep time from passing
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			to := slowStore{make(chan struct{}), make(chan struct{})}
			ended := make(chan error, 1)
			o := demo{arrivals: time.Second}
			go func() {
				ended <- o.serve(ctx, s, to, func() {
					if fails {
						<-to.begun
					}
				})
			}()
			<-to.begun
			if !fails {
				cancel()
			}
			synctest.Wait()
			select {
			case err := <-ended:
				t.Fatalf("ended with %v while a message is delivered", err)
			default:
			}
			close(to.release)
			if err := <-ended; err != nil != fails {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

func TestArrivalsDiffer(t *testing.T) {
	now := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	ids := make(map[string]bool)
	for n := 1; n <= 20; n++ {
		h := message.Header(arrival(n, now))
		id, _ := h.Get("Message-ID")
		if ids[id] {
			t.Errorf("two messages with the id %s", id)
		}
		ids[id] = true
		if d, ok := h.Date(); !ok || !d.Equal(now) {
			t.Errorf("message %d is of %v", n, d)
		}
		if e := h.Envelope(); len(e.From) != 1 || e.From[0].Host == "" || !e.Subject.Present {
			t.Errorf("message %d: envelope %+v", n, e)
		}
	}
}

func TestArrivalsEndWithTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New(nil)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := deliverArrivals(t.Context(), store, time.Second); err == nil {
			t.Error("delivering into a closed store is no error")
		}
	})
}
