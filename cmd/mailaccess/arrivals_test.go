package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
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
