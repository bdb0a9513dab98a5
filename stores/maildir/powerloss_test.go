package maildir

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/memfs"
)

// crashBefore does the workload until operation k, before which the disk is no more. It
// returns the disk and whether there is such an operation.
func (r *trial) crashBefore(k int64) (*memfs.FS, bool, error) {
	disk, dead := r.disk, false
	disk.Observe(func(op fsys.Op) {
		if op.Kind.Mutates() && disk.Ops() == k && !dead {
			dead = true
			disk.Crash(nil, memfs.Nothing)
		}
	})
	for _, s := range workload() {
		err := r.do(&s)
		if dead {
			return disk, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return disk, false, nil
}

// everyCrash calls check with what is found after a crash before each operation, in several
// draws of what reached the disk.
func everyCrash(t *testing.T, opts Options, every int64, modes []memfs.Mode, check func(r *trial, mode memfs.Mode, rng *rand.Rand) error) {
	for k := int64(0); ; k += every {
		r := newTrial(t, opts)
		disk, crashed, err := r.crashBefore(k)
		if err != nil {
			t.Fatalf("before operation %d: %v", k, err)
		}
		if !crashed {
			if k == 0 {
				t.Fatal("nothing was done")
			}
			break
		}
		for draw, mode := range modes {
			rng := rand.New(rand.NewPCG(uint64(k), uint64(draw)))
			if err := check(r.fork(disk.Crash(rng, mode)), mode, rng); err != nil {
				t.Errorf("before operation %d, draw %d: %v", k, draw, err)
			}
		}
	}
}

// stride is how far apart the operations are that are tried, unless all are.
func stride(n int64) int64 {
	if *long {
		return 1
	}
	return n * slow
}

// Power fails before each operation of a workload: at the next start everything is there
// that was acknowledged; what was not is there whole or not at all; and all goes on.
func TestPowerLoss(t *testing.T) {
	for _, opts := range []Options{{}, {KeepExpunged: -1}} {
		t.Run(fmt.Sprint(opts.KeepExpunged), func(t *testing.T) {
			t.Parallel()
			modes := []memfs.Mode{memfs.Nothing, memfs.All, memfs.Some, memfs.Some, memfs.Some}
			everyCrash(t, opts, stride(7), modes, func(r *trial, mode memfs.Mode, rng *rand.Rand) error {
				if rng.IntN(2) == 0 {
					r.crashAgain(rng)
				}
				if err := r.verify(r.model, r.after); err != nil {
					return err
				}
				if err := r.sameEpochs(); err != nil {
					return err
				}
				return r.goOn()
			})
		})
	}
}

// crashAgain has power fail once more, somewhere in the next start.
func (r *trial) crashAgain(rng *rand.Rand) {
	k, dead := rng.Int64N(60), false
	disk := r.disk
	disk.Observe(func(op fsys.Op) {
		if op.Kind.Mutates() && disk.Ops() >= k && !dead {
			dead = true
			disk.Crash(nil, memfs.Nothing)
		}
	})
	// Whatever comes of it: the next start decides.
	if err := r.open(); err == nil {
		_, err = r.observe()
		if err == nil && !dead {
			disk.Crash(nil, memfs.Nothing)
		}
	}
	r.crash(rng, memfs.Some)
}

// sameEpochs: nothing that was known has become doubtful.
func (r *trial) sameEpochs() error {
	for name, epoch := range r.epochs {
		h, err := r.account(name)
		if err != nil {
			return err
		}
		if s, err := h.State(context.Background()); err != nil || s.Epoch != epoch {
			return fmt.Errorf("%s begins a new epoch: %v", name, err)
		}
	}
	return nil
}

// goOn appends to every mailbox, closes the store, and looks again.
func (r *trial) goOn() error {
	for _, account := range slices.Sorted(maps.Keys(r.model)) {
		for _, box := range slices.Sorted(maps.Keys(r.model[account].boxes)) {
			s := appending1(account, box, "later", mailaccess.Flags{})
			if err := r.do(&s); err != nil {
				return fmt.Errorf("append after the crash: %w", err)
			}
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	if err := r.verify(r.model); err != nil {
		return fmt.Errorf("after a clean stop: %w", err)
	}
	return r.close()
}

// In the weaker modes the end of the process loses nothing.
func TestKillInWeakerModes(t *testing.T) {
	for _, mode := range []Sync{SyncNormal, SyncOff} {
		synctest.Test(t, func(t *testing.T) {
			everyCrash(t, Options{Sync: mode}, stride(19), []memfs.Mode{memfs.All}, func(r *trial, _ memfs.Mode, rng *rand.Rand) error {
				if err := r.verify(r.model, r.after); err != nil {
					return err
				}
				return r.goOn()
			})
		})
	}
}

// A loss of power in them may lose the last second. It never leads to a UID or a number
// that was shown before, nor to other content under a UID, and clients are told by another
// epoch that what they know may be wrong.
func TestPowerLossInWeakerModes(t *testing.T) {
	for _, mode := range []Sync{SyncNormal, SyncOff} {
		synctest.Test(t, func(t *testing.T) {
			modes := []memfs.Mode{memfs.Nothing, memfs.Some, memfs.Some}
			everyCrash(t, Options{Sync: mode}, stride(19), modes, func(r *trial, _ memfs.Mode, rng *rand.Rand) error {
				return r.verifyWeak(mode == SyncNormal)
			})
		})
	}
}

func (r *trial) verifyWeak(whole bool) error {
	if err := r.open(); err != nil {
		return err
	}
	ctx := context.Background()
	epochs := make(map[string]string)
	high := maps.Clone(r.high)
	for account, epoch := range r.epochs {
		h, err := r.account(account)
		if err != nil {
			return err
		}
		s, err := h.State(ctx)
		if err != nil {
			return err
		}
		if epochs[account] = s.Epoch; s.Epoch == epoch && whole {
			if err := r.unharmed(account); err != nil {
				return err
			}
		}
		if n := high[account+" state"]; s.ModSeq < n || s.ModSeq == n && s.Epoch != r.epochs[account] {
			return fmt.Errorf("%s: number %d is used again", account, s.ModSeq)
		}
		var boxes []mailaccess.Mailbox
		for m, err := range h.Mailboxes(ctx) {
			if err != nil {
				return err
			}
			boxes = append(boxes, m)
		}
		for _, m := range boxes {
			if whole {
				// Content and numbers are compared with what was shown.
				if _, err := r.observeBox(h, account, &m); err != nil {
					return fmt.Errorf("%s %s: %w", account, m.Name, err)
				}
			}
			if err := r.appendNew(h, account, &m, high[account+" state"]); err != nil {
				return err
			}
		}
	}
	// The epoch is renewed once.
	if err := r.close(); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	r.epochs = epochs
	return errors.Join(r.sameEpochs(), r.close())
}

// unharmed: an account that goes on in its epoch has lost nothing.
func (r *trial) unharmed(account string) error {
	have, err := r.observe()
	if err != nil {
		return err
	}
	var all []string
	for _, w := range []oracle{r.model, r.after} {
		if w[account] == nil {
			return nil // nobody knows of it
		}
		d := oracle{account: w[account]}.differs(have)
		if d == "" {
			return nil
		}
		all = append(all, d)
	}
	return fmt.Errorf("%s goes on in its epoch:\n%s", account, strings.Join(all, "or\n"))
}

// appendNew appends a message, whose UID must be above all that were ever shown.
func (r *trial) appendNew(h mailaccess.Account, account string, m *mailaccess.Mailbox, highest mailaccess.ModSeq) error {
	s, err := stage(h, "later")
	if err != nil {
		return err
	}
	defer s.Close()
	done, err := h.Capabilities().Append.Append(context.Background(), m.ID, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		return err
	}
	msg := done.Messages[0]
	if msg.ModSeq <= highest {
		return fmt.Errorf("%s: number %d is used again", account, msg.ModSeq)
	}
	return r.announce(account, m, msg.UID, "later")
}
