package maildir

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// change is something that is done in an account. Changes are done in the order in which
// they come, one after another, except that those that have nothing to do with each other
// are written to the commit log together: whoever holds the lead does it for those who
// wait.
type change struct {
	// op is for errors.
	op string
	// ctx is whose end makes it leave the queue, as long as nothing of it was done; nil:
	// it waits.
	ctx context.Context
	// boxes are the mailboxes that it reads or changes. Nil: it has the account for itself.
	boxes []mailaccess.MailboxID
	// adds says that all that it does is to add messages to the mailboxes named, and that
	// what is in them already does not matter to it.
	adds bool
	// plan says what is to be done; nil: nothing. a.mu is held. It changes nothing, and may
	// fail.
	plan func(p *planner) (*record, error)
	// alone, instead of plan, does what needs the lead and nothing else: file names,
	// checkpoints. The lead is held, a.mu is not.
	alone func() error
	// before, when boxes is nil, does what has to be on the disk before the change may be in
	// the log, and what only the disk can tell. The lead is held, a.mu is not. undo takes it
	// back when the change is not in the log; nil: nothing to take back.
	before func() error
	undo   func()

	record *record
	err    error
	turn   chan bool // true: it is done; false: take the lead
}

// lead is the right to change an account, and who waits for it.
type lead struct {
	mu      sync.Mutex
	taken   bool
	closed  bool // nothing is changed any more
	waiting []*change
}

// do does a change and returns when it is durable and in force, or failed.
func (a *account) do(c *change) error {
	l := &a.lead
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return errPutAway(c.op)
	}
	l.waiting = append(l.waiting, c)
	if l.taken {
		c.turn = make(chan bool, 1)
		l.mu.Unlock()
		done, err := l.wait(c)
		if done {
			return err
		}
		l.mu.Lock()
	}
	l.taken = true
	batch := l.next()
	l.mu.Unlock()

	a.guarded(batch)
	a.stir()

	l.mu.Lock()
	if len(l.waiting) > 0 {
		l.waiting[0].turn <- false
	} else {
		l.taken = false
	}
	l.mu.Unlock()
	for _, other := range batch {
		if other != c {
			other.turn <- true
		}
	}
	return c.err
}

// wait waits until a change was done by somebody else, and returns its error, or until it
// is the one to take the lead.
func (l *lead) wait(c *change) (done bool, err error) {
	var ended <-chan struct{}
	if c.ctx != nil {
		ended = c.ctx.Done()
	}
	select {
	case done = <-c.turn:
		return done, c.err
	case <-ended:
	}
	l.mu.Lock()
	i := slices.Index(l.waiting, c)
	if i < 0 || len(c.turn) > 0 {
		// Somebody does it already, or it has the lead.
		l.mu.Unlock()
		done = <-c.turn
		return done, c.err
	}
	l.waiting = slices.Delete(l.waiting, i, i+1)
	l.mu.Unlock()
	return true, fail(c.op, mailaccess.KindUnavailable, "", c.ctx.Err())
}

// guarded is together. A panic is a defect, of which nobody else is to wait for ever: the
// changes that are not done fail.
func (a *account) guarded(batch []*change) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		a.store.log.Error("a change to an account panicked", zap.String("account", a.key), zap.String("operation", batch[0].op), zap.Any("panic", p), zap.Stack("stack"))
		for _, c := range batch {
			if c.err == nil {
				c.record, c.err = nil, fail(c.op, mailaccess.KindInternal, "", errors.New("it panicked"))
			}
		}
	}()
	a.together(batch)
}

// next takes from those that wait the first one and whoever can be done with it. l.mu is held.
func (l *lead) next() []*change {
	batch := []*change{l.waiting[0]}
	rest := l.waiting[:0]
	// claimed says of each mailbox whether somebody does more in it than to add messages.
	claimed := make(map[mailaccess.MailboxID]bool)
	claim := func(c *change) {
		for _, b := range c.boxes {
			claimed[b] = claimed[b] || !c.adds
		}
	}
	claim(batch[0])
	open := batch[0].boxes != nil && batch[0].alone == nil
	for _, c := range l.waiting[1:] {
		// Nobody passes one who wants the account for itself.
		open = open && c.boxes != nil
		free := open && c.alone == nil && batch[0].alone == nil
		for _, b := range c.boxes {
			if more, ok := claimed[b]; ok && (more || !c.adds) {
				free = false
			}
		}
		// What has to wait keeps its mailboxes from those behind it.
		claim(c)
		if free {
			batch = append(batch, c)
		} else {
			rest = append(rest, c)
		}
	}
	clear(l.waiting[len(rest):])
	l.waiting = rest
	return batch
}

func (l *lead) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

func (l *lead) isTaken() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// close makes every change fail from now on, or no longer.
func (l *lead) close(closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = closed
}

func errPutAway(op string) error {
	return fail(op, mailaccess.KindUnavailable, "", errors.New("the account is being closed"))
}

// together does the changes of a batch: plan, write to the log, apply, work on files, ring.
// The lead is held.
func (a *account) together(batch []*change) {
	if a.lead.isClosed() {
		for _, c := range batch {
			c.err = errPutAway(c.op)
		}
		return
	}
	if batch[0].alone != nil {
		batch[0].err = batch[0].alone()
		return
	}
	a.redoPending()
	first := batch[0]
	if first.before != nil {
		if first.err = first.before(); first.err != nil {
			return
		}
	}
	if first.undo != nil {
		defer func() {
			if first.record == nil && !errors.Is(first.err, mailaccess.KindUncertain) {
				first.undo()
			}
		}()
	}
	p := a.planAll(batch)
	if len(p.entry.Records) == 0 {
		return
	}
	err := a.reserve(p)
	if err == nil {
		err = a.write(p)
	}
	if err != nil {
		for _, c := range batch {
			if c.record != nil {
				c.record, c.err = nil, failDisk(c.op, "", err)
			}
		}
		return
	}
	a.work(a.applyAll(p.entry.Records))
	for _, c := range batch {
		if c.record != nil {
			a.ringRecord(c.record)
		}
	}
}

func (a *account) applyAll(records []record) (tasks []task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range records {
		done := a.apply(&records[i])
		if tasks == nil {
			tasks = done // mostly the only ones
		} else {
			tasks = append(tasks, done...)
		}
	}
	return tasks
}

// planner collects what the changes of a batch are to do.
type planner struct {
	a          *account
	entry      entry
	modseq     mailaccess.ModSeq
	lastEmail  uint32
	lastThread uint32
	next       map[*mailbox]mailaccess.UID
	spooled    bool // some file is in the spool alone
}

func (a *account) planAll(batch []*change) *planner {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &planner{
		a: a, entry: entry{Account: a.key}, modseq: a.ModSeq,
		lastEmail: a.LastEmail, lastThread: a.LastThread,
		next: make(map[*mailbox]mailaccess.UID),
	}
	for _, c := range batch {
		p.plan(c)
	}
	return p
}

// plan asks a change what it wants. What it took in vain is given back.
func (p *planner) plan(c *change) {
	before := *p
	next := make(map[*mailbox]mailaccess.UID, len(p.next))
	for b, uid := range p.next {
		next[b] = uid
	}
	r, err := c.plan(p)
	if err != nil || r == nil {
		c.err = err
		*p = before
		p.next = next
		return
	}
	if p.lastEmail != before.lastEmail || p.lastThread != before.lastThread {
		r.LastEmail, r.LastThread = p.lastEmail, p.lastThread
	}
	for i := range r.Boxes {
		for _, s := range r.Boxes[i].Sources {
			p.spooled = p.spooled || s.Spool != ""
		}
	}
	c.record = r
	p.entry.Records = append(p.entry.Records, *r)
}

// number takes the number of the transaction.
func (p *planner) number() mailaccess.ModSeq {
	p.modseq++
	return p.modseq
}

// uids takes n UIDs of b in a row, and returns the first.
func (p *planner) uids(op string, b *mailbox, n int) (mailaccess.UID, error) {
	first, ok := p.next[b]
	if !ok {
		first = b.ix.UIDNext()
	}
	// The highest UID is left out, so that UIDNEXT is one too.
	if uint64(n) > math.MaxUint32-uint64(first) {
		return 0, fail(op, mailaccess.KindLimit, string(b.ID), fmt.Errorf("the mailbox has used up its UIDs"))
	}
	p.next[b] = first + mailaccess.UID(n)
	return first, nil
}

// email takes a number for a new content.
func (p *planner) email(op string) (uint32, error) {
	if p.lastEmail == math.MaxUint32 {
		return 0, fail(op, mailaccess.KindLimit, "", fmt.Errorf("the account has used up its message ids"))
	}
	p.lastEmail++
	return p.lastEmail, nil
}

// write writes the entry to the log.
func (a *account) write(p *planner) error {
	payload, err := a.store.codec.enc.Marshal(&p.entry)
	if err == nil {
		err = a.store.writeLate()
	}
	if err != nil {
		return err
	}
	if p.spooled && a.store.opts.Sync == SyncFull {
		// A record may come to the disk before its sync, and must not without its files.
		if err := a.store.spoolSync.wait(); err != nil {
			return err
		}
	}
	if len(payload) > commitlog.MaxPayload {
		return fail("write commit", mailaccess.KindLimit, "", errors.New("too many messages at once"))
	}
	// From here on, before there is a record that Trim could drop.
	a.logged(a.store.commits.End())
	_, err = a.store.commits.Commit(payload, p.spooled && a.store.opts.Sync != SyncFull)
	return err
}

// apply brings what is in memory to where the record says, and returns the work on files
// that is left. a.mu is held. It never fails: what is in a record was planned here, or
// checked when it was read.
func (a *account) apply(r *record) []task {
	a.ModSeq = max(a.ModSeq, r.ModSeq)
	a.LastEmail, a.LastThread = max(a.LastEmail, r.LastEmail), max(a.LastThread, r.LastThread)
	var tasks []task
	for i := range r.Deleted {
		if b := a.boxes[r.Deleted[i].Box]; b != nil {
			a.buried[b.ID] = b
		}
		tasks = append(tasks, a.applyDeleted(r.ModSeq, &r.Deleted[i])...)
	}
	if len(r.Renamed) > 0 {
		tasks = append(tasks, a.applyRenamed(r.ModSeq, r.Renamed)...)
	}
	for i := range r.Created {
		tasks = append(tasks, a.applyCreated(r.ModSeq, &r.Created[i])...)
	}
	for i := range r.Boxes {
		tasks = append(tasks, a.applyBox(r.ModSeq, &r.Boxes[i])...)
	}
	if len(r.Subscribe) > 0 {
		tasks = append(tasks, a.applySubscribe(r.ModSeq, r.Subscribe)...)
	}
	return tasks
}

// applyBox is apply for one mailbox, which is loaded if it is there.
func (a *account) applyBox(n mailaccess.ModSeq, r *boxRecord) (tasks []task) {
	b := a.boxes[r.Box]
	if b == nil {
		return nil // deleted since; only when going through the log again
	}
	if len(r.Rows) > 0 {
		rows, names, err := r.rows()
		if err != nil {
			return nil // checked before
		}
		b.ix.Arrive(rows, names)
		for i := range rows {
			if names[i].Place == index.PlaceNew || !rows[i].Flags.Keywords.IsEmpty() {
				// It goes to cur, and its keywords get letters, some time.
				b.lazy, b.flagged = b.lazy.WithRange(rows[i].UID, rows[i].UID), a.store.now()
			}
		}
		tasks = slices.Grow(tasks, len(r.Sources))
		for i := range rows {
			if len(r.Sources) > 0 {
				tasks = append(tasks, task{kind: placeFile, box: b, uid: rows[i].UID, base: names[i].Base, suffix: names[i].Suffix, from: r.Sources[i], email: rows[i].Email})
			}
		}
	}
	for _, t := range r.Threads {
		a.threads.enter(t.Thread, t.Keys)
	}
	for _, g := range r.Flags {
		uids, _ := g.UIDs.set()
		b.ix.SetFlags(uids, flagsOf(g.System, g.Keywords), n)
		b.lazy, b.flagged = b.lazy.Union(uids), a.store.now()
	}
	for _, m := range r.Removed {
		uids, _ := m.UIDs.set()
		if m.Keep {
			tasks = slices.Grow(tasks, uids.Len())
			var suffixes keptSuffixes
			for uid := range uids.All() {
				row, ok := b.ix.Get(uid)
				if name, err := b.ix.FileName(uid); ok && err == nil {
					tasks = append(tasks, task{kind: keepFile, box: b, uid: uid, base: name.Base, suffix: name.Suffix, place: name.Place, kept: suffixes.of(b, name, row.Flags), email: row.Email, time: m.Time})
				}
			}
		}
		b.ix.Remove(uids, n)
		b.lazy = b.lazy.Minus(uids)
	}
	for _, c := range r.Names {
		b.ix.SetFileName(c.UID, index.FileName{Base: c.Base, Suffix: c.Suffix, Place: c.Place})
	}
	for _, s := range r.Sizes {
		b.ix.SetSize(s.UID, s.Size)
	}
	if r.Recent != 0 {
		b.ix.SetRecent(max(b.ix.Recent(), r.Recent))
	}
	return tasks
}

// ringRecord rings for what a transaction changed.
func (a *account) ringRecord(r *record) {
	if r.ModSeq == 0 {
		return
	}
	if len(r.Created)+len(r.Renamed)+len(r.Deleted)+len(r.Subscribe) > 0 {
		a.ring("", r.ModSeq)
	}
	var boxes []mailaccess.MailboxID
	for i := range r.Boxes {
		boxes = append(boxes, r.Boxes[i].Box)
	}
	for _, x := range r.Renamed {
		boxes = append(boxes, x.Box)
	}
	for _, x := range r.Deleted {
		boxes = append(boxes, x.Box)
	}
	slices.Sort(boxes)
	for _, box := range slices.Compact(boxes) {
		a.ring(box, r.ModSeq)
	}
}
