package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

func concurrencyChecks() []check {
	return []check{
		{"Mix", "Append", checkMix},
		{"OneInstant", "Append Flags", checkOneInstant},
		{"AppendsToOneMailbox", "Append", checkAppendsAtOnce},
		{"UnchangedSinceIsAtomic", "Messages Flags NewKeywords", checkUnchangedSinceRace},
		{"NeedIsAtomic", "Messages Flags Expunge", checkNeedRace},
		{"MovesLoseNothing", "Messages Move Mailboxes", checkMoveRace},
		{"CreateOnce", "Mailboxes", checkCreateRace},
	}
}

// mixed are the errors that may be met when others delete, rename and expunge.
var mixed = []mailaccess.Kind{
	mailaccess.KindNotFound, mailaccess.KindExists, mailaccess.KindInvalid, mailaccess.KindContentGone,
	mailaccess.KindHistoryGone, mailaccess.KindUnsupported, mailaccess.KindForbidden,
}

// Everything at once, in several sessions; in the end it adds up.
func checkMix(e *env) {
	e.parallel(6, func(i int) error {
		a, err := e.store.Open(e.ctx, e.h.Account, e.h.Identity)
		if err != nil {
			return err
		}
		defer a.Close()
		rng := rand.New(rand.NewPCG(uint64(i), 2))
		for range 60 {
			err := e.mixStep(a, rng)
			if err != nil && !errors.Is(err, mailaccess.ErrSkip) && !slices.Contains(mixed, mailaccess.KindOf(err)) {
				return fmt.Errorf("session %d: %w", i, err)
			}
		}
		return nil
	})
}

// mixStep does one random thing in a random mailbox.
func (e *env) mixStep(a mailaccess.Account, rng *rand.Rand) error {
	ctx, caps := e.ctx, a.Capabilities()
	boxes, err := collect(a.Mailboxes(ctx))
	if err != nil {
		return err
	}
	box, other := boxes[rng.IntN(len(boxes))], boxes[rng.IntN(len(boxes))]
	snap, err := a.Snapshot(ctx, box.ID)
	if err != nil {
		return err
	}
	uid := snap.UIDs.Select(1 + rng.IntN(max(1, snap.UIDs.Len())))
	some := mailaccess.UIDSetRange(uid, uid+2)
	if !caps.CopyMany {
		some = mailaccess.UIDSetOf(uid)
	}
	switch k := rng.IntN(12); {
	case k < 3:
		_, err = appendTo(e, a, box.ID, letter(rng.IntN(100)))
	case k == 3 && caps.Flags != nil:
		c := add(mailaccess.SystemFlags(rng.IntN(32)))
		if rng.IntN(2) == 0 {
			c = remove(c.Add.System)
		}
		_, err = caps.Flags.SetFlags(ctx, box.ID, some, c, mailaccess.AnyModSeq)
	case k == 4 && caps.Expunge != nil:
		_, err = caps.Expunge.Expunge(ctx, box.ID, some, 0)
	case k == 5 && caps.Copy != nil:
		_, err = caps.Copy.Copy(ctx, box.ID, some, other.ID)
	case k == 6 && caps.Move != nil && box.ID != other.ID:
		_, err = caps.Move.Move(ctx, box.ID, some, other.ID)
	case k == 7 && caps.Mailboxes != nil:
		name := string('a' + byte(rng.IntN(4)))
		switch rng.IntN(5) {
		case 0:
			err = caps.Mailboxes.RenameMailbox(ctx, box.ID, name)
		case 1:
			err = caps.Mailboxes.DeleteMailbox(ctx, box.ID)
		default:
			_, err = caps.Mailboxes.CreateMailbox(ctx, name, 0)
		}
	case k == 8 && caps.Subscriptions != nil:
		err = caps.Subscriptions.Subscribe(ctx, box.Name, rng.IntN(2) == 0)
	case k == 9:
		_, err = e.mailboxChanges(a, box.ID, snap.ModSeq-mailaccess.ModSeq(rng.IntN(2)))
	default:
		return e.readSome(a, box.ID, some)
	}
	return err
}

// readSome lists messages and reads each content, which must have the size that
// the message says.
func (e *env) readSome(a mailaccess.Account, box mailaccess.MailboxID, uids mailaccess.UIDSet) error {
	for m, err := range a.Messages(e.ctx, box, uids) {
		if err != nil {
			return err
		}
		c, err := a.Content(e.ctx, m.EmailID)
		if err != nil {
			return err
		}
		b, err := readAll(c)
		c.Close()
		if err != nil {
			return err
		}
		if int64(len(b)) != m.Size {
			return fmt.Errorf("UID %d has size %d, its content %d", m.UID, m.Size, len(b))
		}
	}
	return nil
}

// Status and Snapshot are each of one instant, whatever goes on.
func checkOneInstant(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	var numbers atomic.Uint64
	enough, done := make(chan struct{}), make(chan struct{})
	a := e.openAgain()
	go func() {
		defer close(done)
		if err := e.write(a, box, 150, enough, 9, f, &numbers); err != nil {
			e.Errorf("writer: %v", err)
		}
	}()
	last := mailaccess.Snapshot{}
	news := 0
	for running := true; running && !e.Failed(); {
		runtime.Gosched()
		select {
		case <-done:
			running = false
		default:
		}
		snap, err := e.acct.Snapshot(e.ctx, box)
		if err != nil {
			e.Errorf("Snapshot: %v", err)
			break
		}
		if snap.UIDs.Len() != snap.Messages || snap.UIDs.Max() >= snap.UIDNext || snap.Unseen > snap.Messages ||
			(snap.Unseen == 0) != (snap.FirstUnseen == 0) || snap.FirstUnseen != 0 && !snap.UIDs.Contains(snap.FirstUnseen) {
			e.Errorf("no instant is like this: %+v", snap)
		}
		if snap.ModSeq < last.ModSeq || snap.UIDNext < last.UIDNext {
			e.Errorf("went back from %+v to %+v", last.Status, snap.Status)
		}
		if snap.ModSeq == last.ModSeq && (snap.Status != last.Status || !snap.UIDs.Equal(last.UIDs)) {
			e.Errorf("two snapshots with number %d:\n%+v\n%+v", snap.ModSeq, last, snap)
		}
		if snap.ModSeq != last.ModSeq {
			if news++; news == 100 {
				close(enough)
			}
		}
		last = snap
	}
	<-done
}

func checkAppendsAtOnce(e *env) {
	box := e.inbox().ID
	var mu sync.Mutex
	uids := map[mailaccess.UID]bool{}
	numbers := map[mailaccess.ModSeq]bool{}
	e.parallel(8, func(i int) error {
		last := mailaccess.Message{}
		for n := range 15 {
			m, err := appendTo(e, e.acct, box, letter(i*100+n))
			if err != nil {
				return err
			}
			mu.Lock()
			if uids[m.UID] || numbers[m.ModSeq] || m.UID <= last.UID || m.ModSeq <= last.ModSeq {
				e.Errorf("UID %d, number %d: used before, or not above the writer's last, %d and %d", m.UID, m.ModSeq, last.UID, last.ModSeq)
			}
			uids[m.UID], numbers[m.ModSeq], last = true, true, m
			mu.Unlock()
		}
		return nil
	})
	list := e.list(box)
	if len(list) != 8*15 {
		e.Errorf("%d messages, want %d", len(list), 8*15)
	}
	for i := 1; i < len(list); i++ {
		if list[i].Created <= list[i-1].Created {
			e.Errorf("UID %d arrived with number %d, UID %d with %d: want both ascending", list[i-1].UID, list[i-1].Created, list[i].UID, list[i].Created)
		}
	}
}

// Of several who say the same "unchanged since", one gets through.
func checkUnchangedSinceRace(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	for range 10 {
		since := e.status(box).ModSeq
		var won atomic.Int32
		e.parallel(6, func(i int) error {
			c := mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{Keywords: keywords(fmt.Sprintf("k%d-%d", since, i))}}
			res, err := e.caps.Flags.SetFlags(e.ctx, box, mailaccess.UIDSetOf(m.UID), c, since)
			if len(res.Changed) > 0 {
				won.Add(1)
			}
			return err
		})
		if won.Load() != 1 {
			e.Fatalf("%d changes went through that asked for unchanged since %d", won.Load(), since)
		}
	}
}

// The flags that an expunge needs are tested with the removal: a message whose
// flag was taken away in time stays.
func checkNeedRace(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	for range 20 {
		m := e.fill(box, 1)[0]
		one := mailaccess.UIDSetOf(m.UID)
		e.setFlags(box, one, add(f))
		var saved, removed atomic.Bool
		e.parallel(2, func(i int) error {
			if i == 0 {
				res, err := e.caps.Flags.SetFlags(e.ctx, box, one, remove(f), mailaccess.AnyModSeq)
				saved.Store(len(res.Changed) > 0)
				return err
			}
			commits, err := e.caps.Expunge.Expunge(e.ctx, box, one, f)
			removed.Store(len(commits) > 0)
			return err
		})
		there := e.snapshot(box).UIDs.Contains(m.UID)
		if saved.Load() == removed.Load() || there != saved.Load() {
			e.Fatalf("flag taken away: %t, expunged: %t, still there: %t", saved.Load(), removed.Load(), there)
		}
	}
}

// Messages that are moved to and fro are each in one place, always.
func checkMoveRace(e *env) {
	boxes := []mailaccess.MailboxID{e.inbox().ID, e.create("a").ID, e.create("b").ID}
	want := map[mailaccess.EmailID]int{}
	for _, m := range e.fill(boxes[0], 12) {
		want[m.EmailID]++
	}
	e.parallel(4, func(i int) error {
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		for range 30 {
			k := rng.IntN(3)
			_, err := e.caps.Move.Move(e.ctx, boxes[k], mailaccess.UIDSetRange(1, 1<<31), boxes[(k+1+rng.IntN(2))%3])
			if err != nil && !errors.Is(err, mailaccess.ErrSkip) {
				return err
			}
		}
		return nil
	})
	for _, box := range boxes {
		for _, m := range e.list(box) {
			want[m.EmailID]--
		}
	}
	for id, n := range want {
		if n != 0 {
			e.Errorf("%s: %d are missing (negative: too many)", id, n)
		}
	}
}

func checkCreateRace(e *env) {
	var won atomic.Int32
	e.parallel(6, func(int) error {
		_, err := e.caps.Mailboxes.CreateMailbox(e.ctx, "Papers", 0)
		switch mailaccess.KindOf(err) {
		case mailaccess.KindExists, mailaccess.KindUnsupported:
			return nil
		}
		if err == nil {
			won.Add(1)
		}
		return err
	})
	if won.Load() > 1 {
		e.Errorf("one name was created %d times", won.Load())
	}
}
