package hooks

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// txn is a transaction of an account while it is put together: what shall be, next
// to what is. It is first written to the file, if there is one, and then applied.
//
// Whatever clients can see takes the number n, one for all; what they cannot see
// (a revision, a version, a size) takes none.
type txn struct {
	a       *account
	n       mailaccess.ModSeq
	now     time.Time
	head    accountHead
	boxes   []*boxTxn
	of      map[*mailbox]*boxTxn
	subs    map[string]bool // names to subscribe to, or not
	rung    bool            // the account itself changed
	visible bool
	quiet   bool // something changed that takes no number
	// sized are contents that were measured since the last transaction.
	sized []*content
}

// boxTxn is a transaction's part in one mailbox.
type boxTxn struct {
	b       *mailbox
	head    boxHead
	created bool
	deleted bool

	gone    []*entry // to be removed
	changed []*entry // in the place of those with the same UIDs
	added   []*entry
	hide    []string // keys to be hidden
	unhide  []string
	visible bool
}

// box returns the part of t in b.
func (t *txn) box(b *mailbox) *boxTxn {
	x := t.of[b]
	if x == nil {
		x = &boxTxn{b: b, head: b.boxHead}
		if t.of == nil {
			t.of = make(map[*mailbox]*boxTxn)
		}
		t.of[b] = x
		t.boxes = append(t.boxes, x)
	}
	return x
}

// see says that clients can see what x does.
func (t *txn) see(x *boxTxn) {
	t.visible, x.visible = true, true
	x.head.modseq = t.n
}

var errUIDs = errors.New("the mailbox has used up its UIDs")

// room reports whether count messages more fit. The highest UID is left out, so
// that UIDNEXT is one too.
func (b *mailbox) room(op string, count int) error {
	if left := uint64(math.MaxUint32) - uint64(b.uidNext); uint64(count) > left {
		return fail(op, mailaccess.KindLimit, string(b.ID), errUIDs)
	}
	return nil
}

// add adds a message, whose UID, numbers and dates it sets. The one that had the
// key goes.
func (t *txn) add(x *boxTxn, e *entry) {
	if old := x.b.byKey[e.key]; old != nil {
		t.remove(x, old)
	}
	t.see(x)
	e.uid, e.modseq, e.created = x.head.uidNext, t.n, t.n
	x.head.uidNext++
	if e.received.IsZero() {
		e.received = t.now
	}
	e.received = wholeSeconds(e.received)
	e.saved = time.Unix(t.now.Unix(), 0).UTC()
	if e.content == nil {
		e.content = t.newContent()
	}
	x.added = append(x.added, e)
}

func (t *txn) newContent() *content {
	t.head.lastEmail++
	return &content{id: mailaccess.EmailID(t.head.id('m', t.head.lastEmail)), size: mailaccess.SizeUnknown}
}

func (t *txn) remove(x *boxTxn, e *entry) {
	t.see(x)
	x.gone = append(x.gone, e)
}

// flag gives a message other flags.
func (t *txn) flag(x *boxTxn, e *entry, f mailaccess.Flags) {
	t.see(x)
	changed := *e
	changed.flags, changed.modseq = f, t.n
	x.changed = append(x.changed, &changed)
}

// adopt notes what the application says of a message and clients do not see.
func (t *txn) adopt(x *boxTxn, e *entry) {
	t.quiet = true
	x.changed = append(x.changed, e)
}

// version notes up to which version the mailbox agrees with the application.
func (t *txn) version(x *boxTxn, version string) {
	if x.head.version != version {
		x.head.version, t.quiet = version, true
	}
}

// create makes a mailbox.
func (t *txn) create(op, name string, use mailaccess.SpecialUse) (*boxTxn, error) {
	if t.head.uidValidity == math.MaxUint32 {
		return nil, fail(op, mailaccess.KindLimit, name, errors.New("the account has used up its UIDVALIDITY values"))
	}
	t.head.lastBox++
	h := boxHead{
		Mailbox: mailaccess.Mailbox{
			ID:          mailaccess.MailboxID(t.head.id('b', t.head.lastBox)),
			Name:        name,
			UIDValidity: max(t.head.uidValidity, 1),
			Use:         use,
			Created:     t.n,
			Changed:     t.n,
		},
		appName: name,
		uidNext: 1,
		recent:  1,
	}
	t.head.uidValidity = h.UIDValidity + 1
	x := t.box(newMailbox(h))
	x.created = true
	t.rung = true
	t.see(x)
	return x, nil
}

// rename gives a mailbox another name.
func (t *txn) rename(x *boxTxn, name, appName string) {
	x.head.Name, x.head.appName, x.head.Changed = name, appName, t.n
	t.rung = true
	t.see(x)
}

func (t *txn) delete(x *boxTxn) {
	x.deleted = true
	t.rung = true
	t.see(x)
}

func (t *txn) subscribe(name string, on bool) {
	if t.subs == nil {
		t.subs = make(map[string]bool)
	}
	t.subs[name] = on
	t.head.subscribedAt = t.n
	t.rung, t.visible = true, true
}

// commit makes a transaction of what build puts together. build is called with the
// account's lock held; an error of it, or doing nothing, leaves all as it was.
// commit returns the number that was taken, or 0. It rings when w is done, or at
// once when that is nil.
//
// An error from the file means that nothing is changed here, and that the file
// takes no more changes until it is opened again.
func (a *account) commit(op string, w *work, build func(t *txn) error) (mailaccess.ModSeq, error) {
	t, err := a.transact(op, build)
	if err != nil || t == nil || !t.visible {
		return 0, err
	}
	if w == nil {
		w = &work{a: a}
		defer w.done()
	}
	w.rings = t.rings(w.rings)
	return t.n, nil
}

// transact returns the transaction, or nil when there was nothing to do.
func (a *account) transact(op string, build func(t *txn) error) (*txn, error) {
	a.committing.Lock()
	defer a.committing.Unlock()
	t, err := a.prepare(build)
	if err != nil || t == nil {
		return nil, err
	}
	if file := a.store.file; file != nil {
		if err := file.write(t); err != nil {
			return nil, fail(op, mailaccess.KindUnavailable, "", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	t.apply()
	return t, nil
}

func (a *account) prepare(build func(t *txn) error) (*txn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &txn{a: a, n: a.head.modseq + 1, now: time.Now(), head: a.head}
	if err := build(t); err != nil {
		return nil, err
	}
	if !t.visible && !t.quiet {
		return nil, nil
	}
	if t.visible {
		t.head.modseq = t.n
	}
	t.forget(a.store.opts.HistoryLimit)
	t.sized, a.sized = a.sized, nil
	return t, nil
}

// forget raises the floors where t would make more history than limit. Dropping
// half of it makes that rare.
func (t *txn) forget(limit int) {
	deleted := len(t.a.tombs)
	for _, x := range t.boxes {
		have := x.b.vanished
		if n := len(have) + len(x.gone); len(x.gone) > 0 && n > limit {
			x.head.floor = t.n
			if drop := max(n-limit, n/2); drop <= len(have) {
				x.head.floor = have[drop-1].ModSeq
			}
		}
		if x.deleted {
			deleted++
		}
	}
	if deleted > len(t.a.tombs) && deleted > limit {
		t.head.floor = t.n
		if drop := max(deleted-limit, deleted/2); drop <= len(t.a.tombs) {
			t.head.floor = t.a.tombs[drop-1].ModSeq
		}
	}
}

// apply does what t says. The account's lock is held.
func (t *txn) apply() {
	a := t.a
	a.head = t.head
	for _, x := range t.boxes {
		b := x.b
		recent := b.recent // may have been claimed meanwhile
		if !x.created && (x.head.Name != b.Name || x.deleted) && a.names[b.Name] == b {
			delete(a.names, b.Name)
		}
		b.update(&x.head)
		b.recent = max(b.recent, recent)
		b.recentDirty = b.recentDirty && b.recent != x.head.recent
		if x.deleted {
			a.bury(b, t.n)
			continue
		}
		a.boxes[b.ID] = b
		if len(x.gone) > 0 {
			slices.SortFunc(x.gone, func(p, q *entry) int { return int(int64(p.uid) - int64(q.uid)) })
			b.remove(x.gone, t.n)
			for _, e := range x.gone {
				a.leave(e.content)
			}
		}
		if len(x.changed) > 0 {
			b.replace(x.changed)
		}
		if len(x.added) > 0 {
			b.add(x.added)
			for _, e := range x.added {
				a.contents[e.content.id] = e.content
			}
		}
		for _, key := range x.unhide {
			delete(b.hidden, key)
		}
		for _, key := range x.hide {
			if b.hidden == nil {
				b.hidden = make(map[string]struct{})
			}
			b.hidden[key] = struct{}{}
		}
	}
	// Only now: a name may go from one mailbox to another.
	for _, x := range t.boxes {
		if !x.deleted {
			a.names[x.b.Name] = x.b
		}
	}
	if t.rung {
		a.sorted = nil
	}
	for name, on := range t.subs {
		if on {
			a.subscribed[name] = struct{}{}
		} else {
			delete(a.subscribed, name)
		}
	}
}

// bury makes b a deleted mailbox.
func (a *account) bury(b *mailbox, n mailaccess.ModSeq) {
	delete(a.boxes, b.ID)
	b.deleted = true
	for _, e := range b.list {
		e.dead = true
		e.content.remove(place{b, e.uid})
		a.leave(e.content)
	}
	b.byKey, b.list, b.log, b.hidden = nil, nil, nil, nil
	a.tombs = append(a.tombs, tombstone{mailaccess.DeletedMailbox{ID: b.ID, Name: b.Name, ModSeq: n}, b.Created})
	if i := slices.IndexFunc(a.tombs, func(t tombstone) bool { return t.ModSeq > a.head.floor }); i != 0 {
		a.tombs = slices.Clone(a.tombs[max(i, 0):])
		if i < 0 {
			a.tombs = nil
		}
	}
}

// leave lets go of a content that has no place left.
func (a *account) leave(c *content) {
	if c.first.box == nil {
		delete(a.contents, c.id)
		a.store.bodies.drop(bodyKey{a.name, c.id})
	}
}

// rings appends what tells of t.
func (t *txn) rings(all []mailaccess.Ring) []mailaccess.Ring {
	if t.rung {
		all = append(all, mailaccess.Ring{Account: t.a.name, ModSeq: t.n})
	}
	for _, x := range t.boxes {
		if x.visible {
			all = append(all, mailaccess.Ring{Account: t.a.name, Mailbox: x.b.ID, ModSeq: t.n})
		}
	}
	return all
}

// wholeSeconds returns t without fractions. Its zone has no name.
func wholeSeconds(t time.Time) time.Time {
	zone := time.UTC
	if _, offset := t.Zone(); offset != 0 {
		zone = time.FixedZone("", offset)
	}
	return time.Unix(t.Unix(), 0).In(zone)
}
