package auth

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool(2)
		running, most, done := 0, 0, 0
		turn := make(chan struct{}, 1) // guards the counts
		turn <- struct{}{}
		for range 10 {
			go p.Do(t.Context(), func() {
				<-turn
				running++
				most = max(most, running)
				turn <- struct{}{}
				time.Sleep(time.Second) // in the bubble's time
				<-turn
				running--
				done++
				turn <- struct{}{}
			})
		}
		synctest.Wait()

		// Who cannot wait gets no turn, and takes none from the others.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		called := false
		if err := p.Do(ctx, func() { called = true }); !errors.Is(err, context.DeadlineExceeded) || called {
			t.Errorf("a full pool: called %v, error %v", called, err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if most != 2 || done != 10 {
			t.Errorf("%d of 10 were done, %d at once, want 10 and 2", done, most)
		}
		if err := p.Do(ctx, func() { called = true }); err == nil || called {
			t.Error("an ended context gets a turn")
		}
	})
}

func TestPoolAfterPanic(t *testing.T) {
	p := NewPool(1)
	func() {
		defer func() { recover() }()
		p.Do(t.Context(), func() { panic("in the pool") })
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Do(ctx, func() {}); err != nil {
		t.Errorf("a panic keeps its place: %v", err)
	}
}
