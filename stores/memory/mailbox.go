package memory

import (
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
)

// txnMax is how many messages a transaction handles where the contract lets a
// change be done in several: it bounds how long the account's lock is held.
const txnMax = 4096

// mailbox is guarded by the lock of its account.
type mailbox struct {
	mailaccess.Mailbox // Rights are not set: they are the identity's
	deleted            bool
	holds              int

	modseq  mailaccess.ModSeq
	uidNext mailaccess.UID
	recent  mailaccess.UID // from here on no session was told

	messages table
	uids     mailaccess.UIDSet
	unseen   mailaccess.UIDSet // without \Seen
	trashed  mailaccess.UIDSet // with \Deleted
	size     int64
	keywords keywordIndex

	changed  []change              // ascending by number
	changes  mailaccess.ModSeq     // changed tells everything after this number
	vanished []mailaccess.Vanished // ascending by number, then by UID
	floor    mailaccess.ModSeq     // vanished tells everything after this number
}

// change is one transaction's entry in the log of what arrived or changed: the
// UIDs from first to last, or those in more when they are not consecutive.
type change struct {
	modseq      mailaccess.ModSeq
	first, last mailaccess.UID
	more        mailaccess.UIDSet
}

// newMailbox adds a mailbox as part of the transaction n. a.mu is held.
func (a *account) newMailbox(name string, use mailaccess.SpecialUse, n mailaccess.ModSeq) *mailbox {
	a.lastBox++
	b := &mailbox{
		Mailbox: mailaccess.Mailbox{
			ID:          mailaccess.MailboxID(a.newID(a.lastBox)),
			Name:        name,
			UIDValidity: max(a.uidValidity, 1),
			Use:         use,
			Created:     n,
			Changed:     n,
		},
		modseq:  n,
		uidNext: 1,
		recent:  1,
	}
	a.uidValidity = b.UIDValidity + 1
	a.boxes[b.ID] = b
	a.names[name] = b
	a.sorted = nil
	return b
}

func (b *mailbox) status(rights mailaccess.Rights) mailaccess.Status {
	s := mailaccess.Status{
		Mailbox:     b.Mailbox,
		ModSeq:      b.modseq,
		UIDNext:     b.uidNext,
		Messages:    b.uids.Len(),
		Unseen:      b.unseen.Len(),
		Deleted:     b.trashed.Len(),
		Size:        b.size,
		FirstUnseen: b.unseen.Min(),
		Keywords:    b.keywords.all,
	}
	s.Rights = rights
	return s
}

// visible is what somebody may know of the mailbox who may see it: all, or, without
// the right to read, only what the mailbox itself is.
func (b *mailbox) visible(rights mailaccess.Rights) mailaccess.Status {
	if rights.Has(mailaccess.RightRead) {
		return b.status(rights)
	}
	s := mailaccess.Status{Mailbox: b.Mailbox, ModSeq: b.Changed}
	s.Rights = rights
	return s
}

// arrivals adds messages to a mailbox within one transaction. First room is
// asked for, which may fail; what is added then cannot fail.
type arrivals struct {
	b               *mailbox
	n               mailaccess.ModSeq
	first           mailaccess.UID
	unseen, trashed mailaccess.UIDSetBuilder
}

// room reports whether count messages fit.
func (b *mailbox) room(op string, count int) error {
	// The highest UID is left out, so that UIDNEXT is one too.
	if left := uint64(1<<32-1) - uint64(b.uidNext); uint64(count) > left {
		return fail(op, mailaccess.KindLimit, string(b.ID), errUIDs)
	}
	return nil
}

func (b *mailbox) arrive(n mailaccess.ModSeq) arrivals {
	return arrivals{b: b, n: n, first: b.uidNext}
}

// add sets the UID and the numbers of m and puts it into the mailbox. ks are its
// keywords in the mailbox's index, c is its content.
func (r *arrivals) add(m *mailaccess.Message, ks *keywordSet, c *content) {
	b := r.b
	m.UID, m.ModSeq, m.Created = b.uidNext, r.n, r.n
	b.uidNext++
	if ks != nil {
		m.Flags.Keywords = ks.keywords
		b.keywords.count(ks, 1)
	}
	if !m.Flags.System.Has(mailaccess.FlagSeen) {
		r.unseen.AddUID(m.UID)
	}
	if m.Flags.System.Has(mailaccess.FlagDeleted) {
		r.trashed.AddUID(m.UID)
	}
	b.size += m.Size
	b.messages.append(m)
	c.add(place{b, m.UID})
}

// done makes what was added visible.
func (r *arrivals) done() {
	b := r.b
	last := b.uidNext - 1
	b.uids = b.uids.WithRange(r.first, last)
	b.unseen = b.unseen.Union(r.unseen.Set())
	b.trashed = b.trashed.Union(r.trashed.Set())
	b.log(change{modseq: r.n, first: r.first, last: last})
}

// log notes what arrived or changed, and the mailbox's new number.
func (b *mailbox) log(c change) {
	b.modseq = c.modseq
	// Whoever asks for more than the log tells gets a look at every chunk. As
	// at least as many changes happened since, the work is still in
	// proportion to them.
	if limit := max(512, 2*len(b.messages.chunks)); len(b.changed) >= limit {
		drop := len(b.changed) / 2
		b.changes = b.changed[drop-1].modseq
		b.changed = append(make([]change, 0, limit), b.changed[drop:]...)
	}
	b.changed = append(b.changed, c)
}

// logSet is log for any set of UIDs but the empty one.
func (b *mailbox) logSet(n mailaccess.ModSeq, uids mailaccess.UIDSet) {
	c := change{modseq: n, first: uids.Min(), last: uids.Max()}
	if int(c.last-c.first)+1 != uids.Len() {
		c.more = uids
	}
	b.log(c)
}

// changedSince returns the log after since, and whether it tells everything. It
// may be read after letting go of the lock.
func (b *mailbox) changedSince(since mailaccess.ModSeq) ([]change, bool) {
	if since < b.changes {
		return nil, false
	}
	i := sort.Search(len(b.changed), func(i int) bool { return b.changed[i].modseq > since })
	return b.changed[i:len(b.changed):len(b.changed)], true
}

// uidsOf returns the UIDs in log entries.
func uidsOf(log []change) mailaccess.UIDSet {
	if len(log) == 1 && !log[0].more.IsEmpty() {
		return log[0].more
	}
	var uids mailaccess.UIDSetBuilder
	for _, c := range log {
		if c.more.IsEmpty() {
			uids.AddRange(c.first, c.last)
			continue
		}
		for r := range c.more.Ranges() {
			uids.AddRange(r.First, r.Last)
		}
	}
	return uids.Set()
}

// removal collects what a transaction takes out of a mailbox.
type removal struct {
	uids mailaccess.UIDSetBuilder
	gone []mailaccess.Vanished // in UID order, their numbers not set yet
}

func (r *removal) add(m *mailaccess.Message) {
	r.uids.AddUID(m.UID)
	r.gone = append(r.gone, vanished(m, 0))
}

// vanished is what is left to say of m once it was removed.
func vanished(m *mailaccess.Message, n mailaccess.ModSeq) mailaccess.Vanished {
	return mailaccess.Vanished{UID: m.UID, Created: m.Created, ModSeq: n, EmailID: m.EmailID, ThreadID: m.ThreadID}
}

// remove takes r out of b within transaction n and returns its UIDs. Contents
// that have no place afterwards go. a.mu is held.
func (a *account) remove(b *mailbox, r *removal, n mailaccess.ModSeq) mailaccess.UIDSet {
	uids := r.uids.Set()
	b.messages.walk(uids, 1, func(c *chunk, j int) bool {
		m := &c.msgs[j]
		b.size -= m.Size
		if !m.Flags.Keywords.IsEmpty() {
			b.keywords.count(b.keywords.sets[m.Flags.Keywords], -1)
		}
		return true
	})
	b.keywords.sweep()
	b.messages.remove(uids)
	b.uids = b.uids.Minus(uids)
	b.unseen = b.unseen.Minus(uids)
	b.trashed = b.trashed.Minus(uids)
	for i := range r.gone {
		r.gone[i].ModSeq = n
		a.leave(r.gone[i].EmailID, place{b, r.gone[i].UID}, n)
	}
	b.vanished = append(b.vanished, r.gone...)
	if over := len(b.vanished) - a.store.opts.HistoryLimit; over > 0 {
		// Dropping half makes it rare. What was captured stays as it is.
		drop := max(over, len(b.vanished)/2)
		b.floor = b.vanished[drop-1].ModSeq
		b.vanished = append([]mailaccess.Vanished(nil), b.vanished[drop:]...)
	}
	b.modseq = n
	return uids
}

// removedSince returns those of all, ascending by number, that were removed after
// since. They may be read after letting go of the lock.
func removedSince(all []mailaccess.Vanished, since mailaccess.ModSeq) []mailaccess.Vanished {
	i := sort.Search(len(all), func(i int) bool { return all[i].ModSeq > since })
	return all[i:len(all):len(all)]
}
