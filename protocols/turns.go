package protocols

import (
	"container/heap"
	"context"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How long work takes turns; docs/adr/0006-turns.md has the reasons.
const (
	// freeWork is how long a connection works before it needs a place. It is earned anew at
	// a part of the time for which the connection waits for its client, 1 / earnedWork; what
	// was worked beyond freeWork counts up to as much again.
	freeWork   = 2 * time.Millisecond
	earnedWork = 4
	// turnTime is for how long a connection has a place while others wait for one.
	turnTime = 2 * time.Millisecond
	// overdue is how long it may be silent: then it does not work, but waits for something
	// (a disk, a lock), and others have its place.
	overdue = 20 * time.Millisecond
	// credit is by how much who comes may have had less than who always wanted a place: so
	// much is had ahead of all who work for long.
	credit = 2 * turnTime
	// maxIdleShares is of how many of those who want no place it is known what they have had.
	maxIdleShares = 64
)

// turns are the places for long work: one less than there are processors, so that one of
// those stays for what takes little time, and for noticing that there is something to do.
//
// Who has a place waits for nobody else who may want one; should it do so all the same, it
// loses the place when it is overdue. So a place is always free in the end.
type turns struct {
	began   time.Time
	waiting atomic.Int64 // how many wait; changed under mu

	mu      sync.Mutex
	free    int // places
	holders []*turn
	shares  map[owner]*share
	active  int           // shares of those who have a place or wait for one
	idle    []*share      // the others, in the order in which they became idle
	queue   shareQueue    // of those who wait
	clock   time.Duration // what a share that always wanted a place would have had
	arrived uint64
	watch   *time.Timer // for who is overdue; nil: nobody has waited yet
}

// An owner is who has a share: a user, or before the login a network.
type owner struct {
	user    string
	network netip.Prefix
}

// A share is what an owner has had, with however many connections.
type share struct {
	owner   owner
	had     time.Duration // on the clock
	waiting []*turn       // in order
	holding int
	arrived uint64 // when it began to wait, to decide between those that have had the same
	at      int    // in the queue
}

// A turn is a connection's part in turns. What has no comment of its own belongs to
// turns.mu.
type turn struct {
	turns  *turns
	worked atomic.Int64 // nanoseconds of work that count, up to since
	since  atomic.Int64 // when work began on the clock of now; 0: it waits for its client
	from   atomic.Int64 // when it got its place; 0: it has none; changed under turns.mu
	seen   atomic.Int64 // when it was last known to work
	share  *share       // while it waits or has a place
	waits  bool
	wake   chan struct{} // of one element, when it got a place; made when first needed
}

func newTurns(places int) *turns {
	return &turns{began: time.Now(), free: places, shares: make(map[owner]*share)}
}

// placesForWork is how many connections do long work at the same time.
func placesForWork() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// now is never 0, and cheaper than the time of day.
func (ts *turns) now() int64 { return int64(time.Since(ts.began)) + 1 }

// begin is for a connection that is new: it has earned nothing yet.
func (t *turn) begin(ts *turns) {
	t.turns = ts
	t.worked.Store(int64(freeWork))
	t.since.Store(ts.now())
}

// Step is called now and then by work that may take long, each millisecond or more often, and
// returns at once where it has not. Other work that takes long has its turn meanwhile, as
// has this one in the end; connections of one user take turns as one. What is written to
// the client, read of a command and waited for in Reserve and Pace needs no place, and the
// one that the connection has goes to others for that time. Nothing that others may need in order to go
// on, such as a lock, should be held. The error says why the connection was closed.
func (c *Conn) Step() error {
	if !c.wire.turn.due() {
		return nil
	}
	return c.wire.turn.take(c.ctx, c.owner())
}

// Rest says that the connection waits for something that is not its client, such as a disk, until the
// function that it returns is called: its place goes to others meanwhile.
func (c *Conn) Rest() (work func()) {
	if !c.wire.turn.rest() {
		return func() {} // it does already
	}
	return c.wire.turn.work
}

// owner returns whose share the connection's work counts to.
func (c *Conn) owner() owner {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.user != "" {
		return owner{user: c.user}
	}
	return owner{network: c.origin.network}
}

// due reports whether the connection needs a place that it has not, or has had one for long
// enough while others wait.
func (t *turn) due() bool {
	now := t.turns.now()
	if from := t.from.Load(); from != 0 {
		t.seen.Store(now)
		return now-from >= int64(turnTime) && t.turns.waiting.Load() > 0
	}
	since := t.since.Load()
	return since != 0 && t.worked.Load()+now-since >= int64(freeWork)
}

// rest says that the connection waits for something. It reports false when that was so
// before. Otherwise work follows the wait.
func (t *turn) rest() (rested bool) {
	since := t.since.Swap(0)
	if since == 0 {
		return false
	}
	now := t.turns.now()
	t.worked.Store(min(t.worked.Load()+now-since, 2*int64(freeWork)))
	t.seen.Store(now)
	if t.from.Load() != 0 {
		t.leave()
	}
	return true
}

// work says that the connection works again.
func (t *turn) work() {
	now := t.turns.now()
	t.worked.Store(max(0, t.worked.Load()-(now-t.seen.Load())/earnedWork))
	t.since.Store(now)
}

// take waits for a place.
func (t *turn) take(ctx context.Context, o owner) error {
	wait := t.join(o)
	if wait == nil {
		return nil
	}
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		t.leave()
		return context.Cause(ctx)
	}
}

// join gives the connection a place, or a channel that tells when it has one.
func (t *turn) join(o owner) <-chan struct{} {
	ts := t.turns
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.waits {
		return nil // another goroutine of the connection
	}
	now := ts.now()
	var had *share
	if t.from.Load() != 0 {
		had = ts.release(t, now)
	}
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	select {
	case <-t.wake: // of a place that was given while this was not waited for
	default:
	}
	ts.enqueue(t, o)
	if had != nil {
		ts.settle(had)
	}
	ts.grant(now)
	if !t.waits {
		return nil
	}
	if ts.watch == nil {
		ts.watch = time.AfterFunc(overdue, ts.look)
	} else if ts.waiting.Load() == 1 {
		ts.watch.Reset(overdue)
	}
	return t.wake
}

// leave gives up the place, or waiting for one.
func (t *turn) leave() {
	ts := t.turns
	ts.mu.Lock()
	defer ts.mu.Unlock()
	switch now := ts.now(); {
	case t.from.Load() != 0:
		ts.settle(ts.release(t, now))
		ts.grant(now)
	case t.waits:
		s := t.share
		s.holding++ // until it is settled
		ts.unqueue(t, slices.Index(s.waiting, t))
		t.share = nil
		ts.settle(s)
	}
}

// look takes the places of those who are overdue.
func (ts *turns) look() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.waiting.Load() == 0 {
		return
	}
	now := ts.now()
	for _, t := range slices.Clone(ts.holders) {
		if now-t.seen.Load() >= int64(overdue) {
			ts.settle(ts.release(t, now))
		}
	}
	ts.grant(now)
	if ts.waiting.Load() > 0 {
		ts.watch.Reset(overdue)
	}
}

// enqueue makes t wait, behind others of its share.
func (ts *turns) enqueue(t *turn, o owner) {
	s := ts.shares[o]
	if s == nil {
		s = ts.newShare(o)
	}
	if s.idle() {
		i := slices.Index(ts.idle, s)
		ts.idle = slices.Delete(ts.idle, i, i+1)
		ts.active++
		s.had = max(s.had, ts.clock-credit)
	}
	t.share, t.waits = s, true
	s.waiting = append(s.waiting, t)
	ts.waiting.Add(1)
	if len(s.waiting) == 1 {
		ts.arrived++
		s.arrived = ts.arrived
		heap.Push(&ts.queue, s)
	}
}

// unqueue ends the waiting of t, which is the i-th of its share.
func (ts *turns) unqueue(t *turn, i int) {
	s := t.share
	t.waits = false
	s.waiting = slices.Delete(s.waiting, i, i+1)
	ts.waiting.Add(-1)
	if len(s.waiting) == 0 {
		heap.Remove(&ts.queue, s.at)
	}
}

// grant gives the places that are free to those that have had least.
func (ts *turns) grant(now int64) {
	for ts.free > 0 && len(ts.queue) > 0 {
		s := ts.queue[0]
		t := s.waiting[0]
		ts.unqueue(t, 0)
		if len(s.waiting) > 0 {
			ts.arrived++
			s.arrived = ts.arrived
			heap.Fix(&ts.queue, s.at)
		}
		ts.free--
		ts.holders = append(ts.holders, t)
		s.holding++
		t.from.Store(now)
		t.seen.Store(now)
		t.wake <- struct{}{}
	}
}

// release takes the place of t, and counts what it has had of it. The share, which it
// returns, has yet to be settled.
func (ts *turns) release(t *turn, now int64) *share {
	s, had := t.share, time.Duration(now-t.from.Load())
	t.from.Store(0)
	t.share = nil
	ts.holders = slices.DeleteFunc(ts.holders, func(h *turn) bool { return h == t })
	ts.free++
	ts.clock += had / time.Duration(ts.active)
	s.had += had
	if len(s.waiting) > 0 {
		heap.Fix(&ts.queue, s.at)
	}
	return s
}

// settle is the end of a place in a share, which is put aside when that was all.
func (ts *turns) settle(s *share) {
	if s.holding--; s.idle() {
		ts.active--
		ts.idle = append(ts.idle, s)
	}
}

func (s *share) idle() bool { return s.holding == 0 && len(s.waiting) == 0 }

// newShare returns an idle share, in place of the one that was idle for longest if there
// are many.
func (ts *turns) newShare(o owner) *share {
	var s *share
	if len(ts.idle) < maxIdleShares {
		s = new(share)
	} else {
		s = ts.idle[0]
		ts.idle = slices.Delete(ts.idle, 0, 1)
		delete(ts.shares, s.owner)
	}
	s.owner, s.had = o, 0
	ts.shares[o] = s
	ts.idle = append(ts.idle, s)
	return s
}

// A shareQueue has the share that has had least first.
type shareQueue []*share

func (q shareQueue) Len() int { return len(q) }

func (q shareQueue) Less(i, j int) bool {
	if q[i].had != q[j].had {
		return q[i].had < q[j].had
	}
	return q[i].arrived < q[j].arrived
}

func (q shareQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *shareQueue) Push(x any) {
	s := x.(*share)
	s.at = len(*q)
	*q = append(*q, s)
}

func (q *shareQueue) Pop() any {
	old := *q
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return s
}
