package storetest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func orderChecks() []check {
	return []check{
		{"NothingNewAtOrBelow", "Append Flags Mailboxes", checkVisibleInOrder},
		{"FollowingMissesNothing", "Append Flags Expunge Mailboxes", checkFollow},
	}
}

// writers starts one writer for each mailbox, each with its own session, and
// returns a channel that is closed when they are done: after so many rounds, or
// when enough is closed if that is later, but not for ever. numbers gets the
// highest number that any of them was told.
func (e *env) writers(boxes []mailaccess.MailboxID, rounds int, enough <-chan struct{}, numbers *atomic.Uint64) <-chan struct{} {
	e.Helper()
	f := e.somethingKept()
	var wg sync.WaitGroup
	for i, box := range boxes {
		a := e.openAgain()
		wg.Go(func() {
			if err := e.write(a, box, rounds, enough, uint64(i), f, numbers); err != nil {
				e.Errorf("writer %d: %v", i, err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	return done
}

// write appends, changes flags and expunges, in no special order.
func (e *env) write(a mailaccess.Account, box mailaccess.MailboxID, rounds int, enough <-chan struct{}, seed uint64, f mailaccess.SystemFlags, numbers *atomic.Uint64) error {
	caps, rng := a.Capabilities(), rand.New(rand.NewPCG(seed, 1))
	var uids []mailaccess.UID
	for n := range 10 * rounds {
		if n >= rounds {
			select {
			case <-enough:
				return nil
			default:
			}
		}
		runtime.Gosched() // or one processor does all of it at once
		switch k := rng.IntN(4); {
		case k < 2 || len(uids) == 0:
			m, err := appendTo(e, a, box, letter(n))
			if err != nil {
				return err
			}
			raise(numbers, m.ModSeq)
			uids = append(uids, m.UID)
		case k == 2 || caps.Expunge == nil:
			uid := uids[rng.IntN(len(uids))]
			c := add(f)
			if rng.IntN(2) == 0 {
				c = remove(f)
			}
			res, err := caps.Flags.SetFlags(e.ctx, box, mailaccess.UIDSetOf(uid), c, mailaccess.AnyModSeq)
			if err != nil {
				return fmt.Errorf("SetFlags: %w", err)
			}
			raiseAll(numbers, res.Changed)
		default:
			i := rng.IntN(len(uids))
			commits, err := caps.Expunge.Expunge(e.ctx, box, mailaccess.UIDSetOf(uids[i]), 0)
			if err != nil {
				return fmt.Errorf("Expunge: %w", err)
			}
			raiseAll(numbers, commits)
			uids = append(uids[:i], uids[i+1:]...)
		}
	}
	return nil
}

// appendTo is appendNew for goroutines of their own.
func appendTo(e *env, a mailaccess.Account, box mailaccess.MailboxID, body []byte) (mailaccess.Message, error) {
	s, err := a.Capabilities().Append.Stage(e.ctx, int64(len(body)))
	if err != nil {
		return mailaccess.Message{}, fmt.Errorf("Stage: %w", err)
	}
	defer s.Close()
	if _, err := s.Write(body); err != nil {
		return mailaccess.Message{}, fmt.Errorf("Staged.Write: %w", err)
	}
	res, err := a.Capabilities().Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s, Received: time.Unix(1e9, 0)}})
	if err != nil {
		return mailaccess.Message{}, fmt.Errorf("Append: %w", err)
	}
	if len(res.Messages) != 1 {
		return mailaccess.Message{}, fmt.Errorf("Append of one message returned %d", len(res.Messages))
	}
	return res.Messages[0], nil
}

func raise(max *atomic.Uint64, n mailaccess.ModSeq) {
	for old := max.Load(); old < uint64(n) && !max.CompareAndSwap(old, uint64(n)); old = max.Load() {
	}
}

func raiseAll(max *atomic.Uint64, commits []mailaccess.Commit) {
	for _, c := range commits {
		raise(max, c.ModSeq)
	}
}

// Whoever has seen a number never later finds something new at or below it,
// whatever mailbox it is in, and whoever told him of the number.
func checkVisibleInOrder(e *env) {
	boxes := []mailaccess.MailboxID{e.inbox().ID, e.create("a").ID, e.create("b").ID, e.create("c").ID}
	var seen atomic.Uint64
	enough := make(chan struct{})
	done := e.writers(boxes, 60, enough, &seen)
	// What a mailbox's number was, asked when seen had reached this.
	type sight struct{ number, seen mailaccess.ModSeq }
	last := map[mailaccess.MailboxID]sight{}
	news := 0
	for running := true; running; {
		select {
		case <-done:
			running = false // and once more
		default:
		}
		for _, box := range boxes {
			runtime.Gosched()
			before := mailaccess.ModSeq(seen.Load())
			s, err := e.acct.Status(e.ctx, box)
			if err != nil {
				e.Errorf("Status: %v", err)
				continue
			}
			l := last[box]
			if s.ModSeq < l.number {
				e.Errorf("a mailbox's number fell from %d to %d", l.number, s.ModSeq)
			}
			if s.ModSeq > l.number && s.ModSeq <= l.seen {
				e.Errorf("a mailbox was at %d when %d had been seen, and is at %d now", l.number, l.seen, s.ModSeq)
			}
			if s.ModSeq > l.number && l.number > 0 {
				e.newAbove(box, l.number, l.seen)
			}
			if s.ModSeq != l.number {
				if news++; news == 200 {
					close(enough)
				}
			}
			last[box] = sight{s.ModSeq, before}
			raise(&seen, s.ModSeq)
		}
		if e.Failed() {
			break
		}
		raise(&seen, e.state().ModSeq)
	}
	<-done
}

// newAbove checks that what changed in box after number, which was all there was
// when seen had been seen, is above seen.
func (e *env) newAbove(box mailaccess.MailboxID, number, seen mailaccess.ModSeq) {
	e.Helper()
	c, err := e.mailboxChanges(e.acct, box, number)
	if err != nil {
		if !e.forgotten(err) {
			e.Errorf("MailboxChanges: %v", err)
		}
		return
	}
	late := func(n mailaccess.ModSeq) {
		if n > number && n <= seen {
			e.Errorf("change %d came when %d had been seen and the mailbox had been at %d", n, seen, number)
		}
	}
	for _, m := range c.messages {
		late(m.ModSeq)
		late(m.Created)
	}
	for _, v := range c.vanished {
		late(v.ModSeq)
	}
}

// Whoever asks again and again what changed since the last answer has everything
// in the end.
func checkFollow(e *env) {
	boxes := []mailaccess.MailboxID{e.inbox().ID, e.create("a").ID, e.create("b").ID}
	var numbers atomic.Uint64
	f := newFollower(e, e.openAgain())
	enough := make(chan struct{})
	done := e.writers(boxes, 60, enough, &numbers)
	news := 0
	for running := true; running && !e.Failed(); {
		select {
		case <-done:
			running = false
		default:
		}
		runtime.Gosched()
		if f.step() {
			if news++; news == 50 {
				close(enough)
			}
		}
	}
	<-done
	if e.Failed() {
		return
	}
	for _, box := range boxes {
		list := e.list(box)
		have := f.boxes[box]
		if have == nil {
			e.Fatalf("mailbox %s was never mentioned", box)
		}
		if !have.uids().Equal(uidsOf(list)) {
			e.Errorf("following shows UIDs %s, there are %s", have.uids(), uidsOf(list))
		}
		for _, m := range list {
			if got := have.messages[m.UID]; !sameMessage(got, m) {
				e.Errorf("following shows %+v, it is %+v", got, m)
			}
		}
	}
}

// follower keeps a replica of an account by asking for changes, as a client does.
type follower struct {
	e     *env
	a     mailaccess.Account
	state mailaccess.State
	boxes map[mailaccess.MailboxID]*replica
}

type replica struct {
	upTo     mailaccess.ModSeq
	messages map[mailaccess.UID]mailaccess.Message
}

func newFollower(e *env, a mailaccess.Account) *follower {
	return &follower{e: e, a: a, boxes: map[mailaccess.MailboxID]*replica{}}
}

func (r *replica) uids() mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	for u := range r.messages {
		b.AddUID(u)
	}
	return b.Set()
}

// step asks once for what changed in the account, and then in its mailboxes. It
// reports whether anything did.
func (f *follower) step() bool {
	f.e.Helper()
	c, err := f.a.Changes(f.e.ctx, f.state)
	if f.e.forgotten(err) {
		c, err = f.a.Changes(f.e.ctx, mailaccess.State{})
	}
	if err != nil {
		f.e.Errorf("Changes since %+v: %v", f.state, err)
		return false
	}
	if c.UpTo.ModSeq < f.state.ModSeq {
		f.e.Errorf("Changes since %+v are up to %+v", f.state, c.UpTo)
	}
	for _, s := range c.Mailboxes {
		if err := f.follow(s.ID); err != nil {
			f.e.Errorf("%q: %v", s.Name, err)
			return false
		}
	}
	f.state = c.UpTo
	return len(c.Mailboxes) > 0
}

func (f *follower) follow(box mailaccess.MailboxID) error {
	r := f.boxes[box]
	if r == nil {
		r = &replica{messages: map[mailaccess.UID]mailaccess.Message{}}
		f.boxes[box] = r
	}
	c, err := f.e.mailboxChanges(f.a, box, r.upTo)
	if err != nil {
		return fmt.Errorf("changes since %d: %w", r.upTo, err)
	}
	if f.e.h.ShortHistory && r.upTo < c.floor {
		return f.again(box, r)
	}
	if c.upTo < r.upTo {
		return fmt.Errorf("changes since %d are up to %d", r.upTo, c.upTo)
	}
	for _, m := range c.messages {
		if m.ModSeq <= r.upTo {
			return fmt.Errorf("changes since %d have UID %d with number %d", r.upTo, m.UID, m.ModSeq)
		}
		r.messages[m.UID] = m
	}
	for _, v := range c.vanished {
		if v.ModSeq <= r.upTo {
			return fmt.Errorf("changes since %d have vanished UID %d with number %d", r.upTo, v.UID, v.ModSeq)
		}
		delete(r.messages, v.UID)
	}
	r.upTo = c.upTo
	return nil
}

// again reads the mailbox from the beginning: the snapshot first, so that what
// changes while listing comes with the next changes.
func (f *follower) again(box mailaccess.MailboxID, r *replica) error {
	snap, err := f.a.Snapshot(f.e.ctx, box)
	if err != nil {
		return err
	}
	ms, err := collect(f.a.Messages(f.e.ctx, box, snap.UIDs))
	if err != nil {
		return err
	}
	clear(r.messages)
	for _, m := range ms {
		r.messages[m.UID] = m
	}
	r.upTo = snap.ModSeq
	return nil
}
