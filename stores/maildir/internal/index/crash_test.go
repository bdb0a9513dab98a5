package index

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// At every operation the disk is full, once or for good: the checkpoint before holds,
// and another one works.
func TestFull(t *testing.T) {
	log := script()
	for _, o := range []fsys.FaultOptions{
		{Short: true}, {Short: true, Sticky: true}, {Reads: true}, {Reads: true, Sticky: true},
	} {
		for _, generation := range []bool{false, true} {
			for k := 1; ; k++ {
				disk := memfs.New(nil)
				opts := &Options{minDead: 100}
				if generation {
					opts.minDead = 3
				}
				m, w := New(disk.Root(), "box", opts), newModel(defaultHistory)
				prepare(t, m, w)
				before := w.clone()
				play(m, w, log[4:])
				disk.Fail(k, syscall.ENOSPC, &o)
				c := m.Capture(2)
				if (c.slots != nil) != generation {
					t.Fatal("it writes a new generation, or it does not")
				}
				err := c.Write()
				m.Done(c, err)
				done := disk.Failed() == 0
				disk.Clear()
				found, foundErr := Open(disk.Root(), "box", opts)
				if foundErr != nil {
					t.Fatal(foundErr)
				}
				want := before
				if found.LogPos() == 2 {
					want = w
				}
				if err == nil && found.LogPos() != 2 || err != nil && !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("operation %d: %v, and the position is %d", k, err, found.LogPos())
				}
				if err := readBack(disk.Root(), want); err != nil {
					t.Fatalf("operation %d: what is on the disk: %v", k, err)
				}
				if err := differs(m, w); err != nil {
					t.Fatalf("operation %d: what is in memory: %v", k, err)
				}
				if err := checkpoint(m, 3); err != nil {
					t.Fatalf("operation %d: trying again: %v", k, err)
				}
				if err := readBack(disk.Root(), w); err != nil {
					t.Fatalf("operation %d: after trying again: %v", k, err)
				}
				if n := len(contents(t, disk.Root())); n != 3 {
					t.Fatalf("operation %d: %d files are left, want 3", k, n)
				}
				if done {
					if k < 8 {
						t.Fatalf("only %d operations", k)
					}
					break
				}
			}
		}
	}
}

// At every operation power is lost.
func TestPowerLoss(t *testing.T) {
	log := script()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, minDead := range []int{3, 100} {
		opts := &Options{minDead: minDead}
		seen := 0
		disk := memfs.New(nil)
		m, w := New(disk.Root(), "box", opts), newModel(defaultHistory)
		prepare(t, m, w)
		before := w.clone()
		play(m, w, log[4:])
		c := m.Capture(2)
		for k := 1; ; k++ {
			// Each time the same checkpoint from the same disk.
			disk := disk.Crash(rng, memfs.All)
			c := *c
			c.dir = disk.Root()
			disk.Fail(k, syscall.EIO, &fsys.FaultOptions{Sticky: true, Short: k%2 == 0})
			err := c.Write()
			for draw := range 30 {
				mode := memfs.Some
				if draw < 2 {
					mode = []memfs.Mode{memfs.Nothing, memfs.All}[draw]
				}
				found := disk.Crash(rng, mode).Root()
				if e := readBack(found, before); e != nil || err == nil {
					seen++
					if e := readBack(found, w); e != nil {
						t.Fatalf("operation %d, then a crash %d: neither state: %v", k, mode, e)
					}
				}
			}
			if disk.Failed() == 0 {
				break
			}
		}
		if seen < 30 {
			t.Errorf("the new state was seen %d times", seen)
		}
	}
}

// It is not known whether a head came to the disk, and the next checkpoint is broken off:
// there is still one of them.
func TestUncertain(t *testing.T) {
	log := script()
	rng := rand.New(rand.NewPCG(3, 4))
	for _, minDead := range []int{3, 100} {
		for k := 1; k < 14; k++ {
			for j := 1; j < 14; j++ {
				disk := memfs.New(nil)
				m, w := New(disk.Root(), "box", &Options{minDead: minDead}), newModel(defaultHistory)
				prepare(t, m, w)
				states := []*model{w.clone()}
				play(m, w, log[4:])
				states = append(states, w.clone())
				disk.Fail(k, syscall.EIO, nil)
				first := checkpoint(m, 2)
				disk.Clear()
				rows, names := sample(m.UIDNext(), 9, 30)
				play(m, w, []mutation{remove{mailaccess.UIDSetRange(1, 2), 29}, arrive{rows, names}})
				states = append(states, w.clone())
				disk.Fail(j, syscall.EIO, &fsys.FaultOptions{Sticky: true})
				second := checkpoint(m, 3)
				for range 4 {
					found := disk.Crash(rng, memfs.Some).Root()
					head, err := Open(found, "box", nil)
					if err != nil {
						t.Fatal(err)
					}
					pos := head.LogPos()
					if first == nil && pos < 2 || second == nil && pos < 3 {
						t.Fatalf("%d and %d: a checkpoint that was durable is not there", k, j)
					}
					if err := readBack(found, states[pos-1]); err != nil {
						t.Fatalf("operations %d and %d fail: %v", k, j, err)
					}
				}
			}
		}
	}
}
