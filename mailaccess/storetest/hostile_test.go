package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// hostileEnv is a memory store, and the same store through the hostile wrapper.
func hostileEnv(t *testing.T, opts HostileOptions) (plain, through *env) {
	h := harnessOf(t, nil)
	plain = newEnv(t, h)
	through = new(env)
	*through = *plain
	through.store = Hostile(h.Store, &opts)
	for { // Open may fail too
		a, err := through.store.Open(plain.ctx, h.Account, plain.h.Identity)
		if err == nil {
			through.acct, through.caps = a, a.Capabilities()
			return plain, through
		}
	}
}

// What is uncertain happened whole or not at all, and both occur.
func TestHostileUncertain(t *testing.T) {
	plain, e := hostileEnv(t, HostileOptions{Uncertain: 2})
	box := plain.inbox().ID
	happened, not, fine := 0, 0, 0
	for range 100 {
		before := plain.snapshot(box)
		msgs := []mailaccess.NewMessage{{Staged: plain.stage(plain.letter())}, {Staged: plain.stage(plain.letter())}}
		res, err := e.caps.Append.Append(e.ctx, box, msgs)
		came := plain.snapshot(box).UIDs.Minus(before.UIDs).Len()
		switch {
		case err == nil && came == 2 && len(res.Messages) == 2:
			fine++
		case errors.Is(err, mailaccess.KindUncertain) && came == 2 && len(res.Messages) == 0:
			happened++
		case errors.Is(err, mailaccess.KindUncertain) && came == 0 && len(res.Messages) == 0:
			not++
		default:
			t.Fatalf("%d messages came, the answer is %+v, %v", came, res, err)
		}
	}
	if happened == 0 || not == 0 || fine == 0 {
		t.Errorf("uncertain and happened %d times, and did not %d, certain %d; want some of each", happened, not, fine)
	}
}

// Whatever stops a change of many, the result names what was done; only what is
// uncertain may be done and not named.
func TestHostilePartial(t *testing.T) {
	for _, opts := range []HostileOptions{{Partial: 3}, {Unavailable: 4}, {Uncertain: 4}} {
		plain, e := hostileEnv(t, opts)
		box := plain.inbox().ID
		all := uidsOf(plain.fill(box, 12))
		cut := 0
		for i := range 60 {
			c := add(mailaccess.FlagFlagged)
			if i%2 == 1 {
				c = remove(mailaccess.FlagFlagged)
			}
			before := plain.list(box)
			res, err := e.caps.Flags.SetFlags(e.ctx, box, all, c, mailaccess.AnyModSeq)
			var said, did mailaccess.UIDSetBuilder
			for _, commit := range res.Changed {
				for u := range commit.UIDs.All() {
					said.AddUID(u)
				}
			}
			for i, m := range plain.list(box) {
				if m.Flags != before[i].Flags {
					did.AddUID(m.UID)
				}
			}
			untold := did.Set().Minus(said.Set())
			if !said.Set().Minus(did.Set()).IsEmpty() || !untold.IsEmpty() && !errors.Is(err, mailaccess.KindUncertain) {
				t.Fatalf("%+v: said %s, did %s: %v", opts, said.Set(), did.Set(), err)
			}
			if err != nil {
				cut++
			}
		}
		if cut == 0 || cut == 60 {
			t.Errorf("%+v: %d of 60 changes were cut short", opts, cut)
		}
	}
}

// A listing that breaks off says so, last.
func TestHostileUnavailable(t *testing.T) {
	plain, e := hostileEnv(t, HostileOptions{Unavailable: 8})
	box := plain.inbox().ID
	plain.fill(box, 10)
	whole, broken := 0, 0
	for range 50 {
		ms, err := collect(e.acct.Messages(e.ctx, box, everyUID()))
		switch {
		case err == nil && len(ms) == 10:
			whole++
		case errors.Is(err, mailaccess.KindUnavailable) && len(ms) < 10:
			broken++
		default:
			t.Fatalf("%d messages, %v", len(ms), err)
		}
	}
	if whole == 0 || broken == 0 {
		t.Errorf("%d whole, %d broken off", whole, broken)
	}
}

// The awkwardness is really there.
func TestHostileIsAwkward(t *testing.T) {
	plain, e := hostileEnv(t, HostileOptions{})
	box := plain.inbox().ID
	ms := plain.fill(box, 12)

	if res := e.setFlags(box, uidsOf(ms), add(mailaccess.FlagSeen)); len(res.Changed) < 3 {
		t.Errorf("12 flag changes in %d transactions", len(res.Changed))
	}
	if c, err := e.acct.MailboxChanges(e.ctx, box, ms[0].ModSeq); err != nil || c.Floor <= ms[0].ModSeq {
		t.Errorf("changes since long ago: floor %d, %v", c.Floor, err)
	}
	unknown := 0
	for _, m := range e.list(box) {
		if m.Size == mailaccess.SizeUnknown {
			unknown++
		}
	}
	if unknown != 6 {
		t.Errorf("%d of 12 sizes are not known", unknown)
	}
	c, err := e.acct.MailboxChanges(e.ctx, box, plain.status(box).ModSeq-1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := collect(c.Messages); err != nil {
		t.Fatal(err)
	}
	if _, err := collect(c.Messages); err == nil {
		t.Error("changes can be ranged over twice")
	}
	for m, err := range e.acct.Messages(e.ctx, box, uidsOf(ms[:2])) {
		if err != nil {
			t.Fatal(err)
		}
		if m.UID == ms[0].UID {
			plain.setFlags(box, mailaccess.UIDSetOf(ms[1].UID), add(mailaccess.FlagDraft))
		} else if !m.Flags.System.Has(mailaccess.FlagDraft) {
			t.Error("a listing shows what was, not what is")
		}
	}
	declined := 0
	for range 20 {
		if _, err := e.caps.Move.Move(e.ctx, box, mailaccess.UIDSet{}, "no-such-id"); errors.Is(err, mailaccess.ErrSkip) {
			declined++
		}
	}
	if declined == 0 || declined == 20 {
		t.Errorf("%d of 20 moves were declined", declined)
	}
	plain.expunge(box, ms[0].UID)
	if _, err := e.acct.Content(e.ctx, ms[0].EmailID); !errors.Is(err, mailaccess.KindContentGone) {
		t.Errorf("content after the expunge: %v", err)
	}
	if a, b := e.snapshot(box).UIDs, e.snapshot(box).UIDs; a == b || !a.Equal(b) {
		t.Error("two snapshots share their memory, or differ")
	}
}

// Every kind of ring comes: as it is, without a number, about anything, twice.
func TestHostileRings(t *testing.T) {
	plain, e := hostileEnv(t, HostileOptions{})
	box := plain.inbox().ID
	b := e.watch()
	const changes = 60
	for range changes {
		b.after("Append", func() { plain.fill(box, 1) }, box)
	}
	b.stop()
	anything := func(r rung) bool { return r.Account == "" }
	numberless := func(r rung) bool { return r.Account != "" && r.ModSeq == 0 }
	exact := func(r rung) bool { return r.ModSeq != 0 }
	for _, is := range []func(rung) bool{anything, numberless, exact} {
		if !slices.ContainsFunc(b.rings, is) {
			t.Errorf("one kind of ring never came in %d", len(b.rings))
		}
	}
	if len(b.rings) <= changes {
		t.Errorf("%d rings for %d changes, want some twice", len(b.rings), changes)
	}
}

// The same seed makes the same decisions.
func TestHostileSeed(t *testing.T) {
	decisions := func(seed uint64) []bool {
		_, e := hostileEnv(t, HostileOptions{Seed: seed})
		var all []bool
		for range 64 {
			_, err := e.caps.Move.Move(context.Background(), "no-such-id", mailaccess.UIDSet{}, e.inbox().ID)
			all = append(all, errors.Is(err, mailaccess.ErrSkip))
		}
		return all
	}
	if !slices.Equal(decisions(1), decisions(1)) {
		t.Error("one seed, two stories")
	}
	if slices.Equal(decisions(1), decisions(2)) {
		t.Error("two seeds, one story")
	}
}
