package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// HostileOptions say how awkward a [Hostile] store is. The zero value makes every
// call succeed that succeeds underneath: clients must notice nothing.
type HostileOptions struct {
	// Seed makes the same calls come out the same way.
	Seed uint64
	// History is how many change numbers a mailbox remembers, an account four
	// times as many; 0 means 8, below 0 all that the store underneath does.
	History int

	// KnownSizes: every size is known. Otherwise that of every other message is
	// not, as in a store that has not read them yet.
	KnownSizes bool

	// The following are chances, one in so many; 0 is never.

	// Uncertain: a change ends with KindUncertain. Half of them happened.
	Uncertain int
	// Unavailable: a call fails with KindUnavailable before it does anything,
	// a listing after some of it.
	Unavailable int
	// Partial: a change of flags, an expunge or a move that may be done in
	// parts stops after a part with KindUnavailable.
	Partial int
}

// Hostile wraps a store that keeps the contract into one that keeps the contract
// and no more:
//
//   - listings and changes show each message as late as possible, just before
//     they yield it, and changes can be ranged over once;
//   - rings come late, twice, without a number, or as "anything may have changed";
//   - flag changes, expunges and moves are done in small transactions, and a move
//     is declined every other time;
//   - a search declines, or finds too much;
//   - half of what the derived cache has it does not give, and bytes that it
//     yielded are overwritten at the next step;
//   - the history is short, and content goes with its last message at once;
//   - every other message's size is not known until its content is opened;
//   - contents come in small pieces, snapshots share no memory.
//
// The store passes [Run] with ShortHistory and KnownSizes.
func Hostile(inner mailaccess.Store, opts *HostileOptions) mailaccess.Store {
	h := &hostile{inner: inner}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.History == 0 {
		h.opts.History = 8
	}
	h.rng = rand.New(rand.NewPCG(h.opts.Seed, 0x9e3779b9))
	return h
}

type hostile struct {
	inner mailaccess.Store
	opts  HostileOptions

	mu  sync.Mutex
	rng *rand.Rand
}

// one reports true one time in n, never when n is 0.
func (h *hostile) one(n int) bool { return n > 0 && h.below(n) == 0 }

// below returns a random number below n.
func (h *hostile) below(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rng.IntN(n)
}

// unavailable fails when it is time to.
func (h *hostile) unavailable(op string) error {
	if h.one(h.opts.Unavailable) {
		return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op}
	}
	return nil
}

// change does a change that is all or none, unless the moment is unlucky: then
// it happens or not, and nobody is told which.
func (h *hostile) change(op string, do func() error) error {
	if err := h.unavailable(op); err != nil {
		return err
	}
	if !h.one(h.opts.Uncertain) {
		return do()
	}
	if h.below(2) == 0 {
		if err := do(); err != nil {
			return err
		}
	}
	return &mailaccess.Error{Kind: mailaccess.KindUncertain, Op: op, Err: errUnlucky}
}

func (h *hostile) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	if err := h.unavailable("open"); err != nil {
		return nil, err
	}
	a, err := h.inner.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return &hostileAccount{h: h, inner: a, caps: a.Capabilities()}, nil
}

func (h *hostile) Close() error { return h.inner.Close() }

// Watch hands rings to a goroutine that passes them on when it gets to it.
func (h *hostile) Watch(ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
	late := &lateBell{h: h, ring: ring, wake: make(chan struct{}, 1), done: make(chan struct{})}
	stop, err := h.inner.Watch(ctx, late.add)
	if err != nil {
		return nil, err
	}
	go late.run()
	return sync.OnceFunc(func() {
		stop()
		close(late.wake)
		<-late.done
	}), nil
}

// lateBell keeps rings for a while. However many come, it keeps few.
type lateBell struct {
	h    *hostile
	ring func(mailaccess.Ring)
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []mailaccess.Ring
}

const mostWaitingRings = 32

func (l *lateBell) add(r mailaccess.Ring) {
	l.mu.Lock()
	if len(l.waiting) == mostWaitingRings {
		l.waiting, r = l.waiting[:0], mailaccess.Ring{} // an overflow
	}
	l.waiting = append(l.waiting, r)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lateBell) run() {
	defer close(l.done)
	for range l.wake {
		l.mu.Lock()
		rings := l.waiting
		l.waiting = nil
		l.mu.Unlock()
		for _, r := range rings {
			for range l.h.below(50) {
				runtime.Gosched()
			}
			switch l.h.below(4) {
			case 0:
				r = mailaccess.Ring{}
			case 1:
				r.ModSeq = 0
			case 2:
				l.ring(r)
			}
			l.ring(r)
		}
	}
}

// hostileAccount is an account of a hostile store. Its methods that read are
// here and in hostile_read.go, those that change in hostile_change.go.
type hostileAccount struct {
	h     *hostile
	inner mailaccess.Account
	caps  mailaccess.Capabilities // the inner ones
}

// Capabilities names what passes; RetainsExpunged does not.
func (a *hostileAccount) Capabilities() mailaccess.Capabilities {
	in := a.caps
	c := mailaccess.Capabilities{
		Durable:        in.Durable,
		MaxMessageSize: in.MaxMessageSize,
		SystemFlags:    in.SystemFlags,
		NewKeywords:    in.NewKeywords,
		SavedDates:     in.SavedDates,
		Threads:        in.Threads,
		AppendMany:     in.AppendMany,
		CopyMany:       in.CopyMany,
	}
	if in.Append != nil {
		c.Append = hostileAppender{a}
	}
	if in.Flags != nil {
		c.Flags = hostileFlags{a}
	}
	if in.Expunge != nil {
		c.Expunge = hostileExpunger{a}
	}
	if in.Copy != nil {
		c.Copy = hostileCopier{a}
	}
	if in.Move != nil {
		c.Move = hostileMover{a}
	}
	if in.Replace != nil {
		c.Replace = hostileReplacer{a}
	}
	if in.Mailboxes != nil {
		c.Mailboxes = hostileMailboxes{a}
	}
	if in.Subscriptions != nil {
		c.Subscriptions = hostileSubscriber{a}
	}
	if in.Search != nil {
		c.Search = hostileSearcher{a}
	}
	if in.Derived != nil {
		c.Derived = hostileDerived{a}
	}
	if in.Lease != nil {
		c.Lease = hostileLeaser{a}
	}
	if in.Recent != nil {
		c.Recent = hostileRecent{a}
	}
	if in.Locate != nil {
		c.Locate = hostileLocator{a}
	}
	if in.UniqueIDs != nil {
		c.UniqueIDs = hostileUniqueIDs{a}
	}
	if in.Hold != nil {
		c.Hold = hostileHolder{a}
	}
	return c
}

func (a *hostileAccount) Close() error { return a.inner.Close() }

var (
	errOnce    = errors.New("a listing of changes was ranged over twice")
	errUnlucky = errors.New("the answer was lost")
)
