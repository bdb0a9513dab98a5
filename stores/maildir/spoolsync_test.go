package maildir

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A sync serves those who came before it began, its error too; who comes meanwhile gets
// the next one.
func TestSharedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := make(chan error)
		begun := 0
		s := newSharedSync(func() error {
			begun++
			return <-outcomes
		})
		got := make([]chan error, 4)
		wait := func(i int) {
			got[i] = make(chan error, 1)
			go func() { got[i] <- s.wait() }()
			synctest.Wait()
		}
		for i := range got {
			wait(i)
		}
		if begun != 1 {
			t.Fatalf("%d syncs have begun", begun)
		}
		outcomes <- nil
		synctest.Wait()
		if err := <-got[0]; err != nil || begun != 2 {
			t.Fatalf("%v, %d syncs have begun", err, begun)
		}
		broken := errors.New("broken")
		outcomes <- broken
		for _, c := range got[1:] {
			if err := <-c; !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
		}
		wait(0)
		outcomes <- nil
		if err := <-got[0]; err != nil || begun != 3 {
			t.Errorf("%v, %d syncs have begun", err, begun)
		}
	})
}
