package hooks

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// entry is a message in a mailbox. But for dead and seen, which the account's lock
// guards, it is never changed: a change makes another one.
type entry struct {
	content  *content
	key      string
	revision string
	// claimed is the Size that the application gave, 0 when it did not.
	claimed int64

	uid             mailaccess.UID
	modseq, created mailaccess.ModSeq
	flags           mailaccess.Flags
	received, saved time.Time

	dead bool   // it was replaced or removed
	seen uint64 // the last scan that met it
}

// content is the bytes of a message, which never change, as far as they are known,
// and where the message is. All is guarded by the account's lock.
type content struct {
	id   mailaccess.EmailID
	size int64 // or SizeUnknown; as the application claims until measured
	sum  checksum
	// measured: size and sum are what the bytes really have.
	measured bool

	first place // the only one of most messages, if it has a box
	more  []place
}

// place is where a content is.
type place struct {
	box *mailbox
	uid mailaccess.UID
}

func (c *content) add(p place) {
	if c.first.box == nil {
		c.first = p
		return
	}
	c.more = append(c.more, p)
}

func (c *content) remove(p place) {
	if c.first != p {
		c.more = slices.DeleteFunc(c.more, func(have place) bool { return have == p })
		return
	}
	c.first = place{}
	if n := len(c.more); n > 0 {
		c.first, c.more = c.more[n-1], c.more[:n-1]
	}
}

// places appends all of them to buf.
func (c *content) places(buf []place) []place {
	if c.first.box == nil {
		return buf
	}
	return append(append(buf, c.first), c.more...)
}

// boxHead is what is kept of a mailbox beside its messages.
type boxHead struct {
	mailaccess.Mailbox // Rights are not set: they are the identity's

	appName string // the name as the application spells it
	appKey  string // Box.Key
	version string // Box.Version up to which the messages are compared

	modseq  mailaccess.ModSeq
	uidNext mailaccess.UID
	recent  mailaccess.UID    // from here on no session was told
	floor   mailaccess.ModSeq // removals at or below it may be forgotten
}

// update makes h what n is. What never changes is not written, so that it may be
// read without a lock: ID and UIDValidity.
func (h *boxHead) update(n *boxHead) {
	h.Name, h.Use, h.Created, h.Changed = n.Name, n.Use, n.Created, n.Changed
	h.appName, h.appKey, h.version = n.appName, n.appKey, n.version
	h.modseq, h.uidNext, h.recent, h.floor = n.modseq, n.uidNext, n.recent, n.floor
}

// mailbox is guarded by the account's lock.
type mailbox struct {
	boxHead
	// turn is taken by whoever compares the messages with the application or
	// changes them: nothing but who has it adds, replaces or removes entries.
	// No lock is held while waiting for it, and readers need it not.
	turn    turn
	deleted bool
	holds   int

	byKey  map[string]*entry
	list   []*entry // ascending by UID
	log    []*entry // ascending by number: every live entry, and some dead
	dead   int      // how many of log are
	hidden map[string]struct{}

	uids    mailaccess.UIDSet
	unseen  mailaccess.UIDSet // without \Seen
	trashed mailaccess.UIDSet // with \Deleted
	size    int64             // of the contents whose size is known
	unsized int               // how many contents have no known size

	spelling map[string]string // of each keyword, by the keyword in lower case
	keywords mailaccess.Keywords

	vanished []mailaccess.Vanished // ascending by number, then by UID

	fresh       freshness
	wanted      string // Box.Version when the application was last asked
	listed      bool   // the application names it
	suspect     bool   // to be compared even if the version is the same
	recentDirty bool   // recent differs from what the file has
}

func newMailbox(h boxHead) *mailbox {
	return &mailbox{boxHead: h, turn: newTurn(), byKey: make(map[string]*entry)}
}

// message is what the contract says of e. The account's lock is held.
func (e *entry) message() mailaccess.Message {
	return mailaccess.Message{
		UID:      e.uid,
		ModSeq:   e.modseq,
		Created:  e.created,
		Flags:    e.flags,
		Size:     e.content.size,
		Received: e.received,
		Saved:    e.saved,
		EmailID:  e.content.id,
	}
}

func (e *entry) vanished(n mailaccess.ModSeq) mailaccess.Vanished {
	return mailaccess.Vanished{UID: e.uid, Created: e.created, ModSeq: n, EmailID: e.content.id}
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
		Keywords:    b.keywords,
	}
	if b.unsized > 0 {
		s.Size = mailaccess.SizeUnknown
	}
	s.Rights = rights
	return s
}

// visible is the status as Changes shows it: without RightRead nothing of what is
// in the mailbox.
func (b *mailbox) visible(rights mailaccess.Rights) mailaccess.Status {
	if rights.Has(mailaccess.RightRead) {
		return b.status(rights)
	}
	s := mailaccess.Status{Mailbox: b.Mailbox, ModSeq: b.Changed}
	s.Rights = rights
	return s
}

// at returns the index of the first entry at or above u.
func (b *mailbox) at(u mailaccess.UID) int {
	return sort.Search(len(b.list), func(i int) bool { return b.list[i].uid >= u })
}

// find returns the entry with that UID, or nil.
func (b *mailbox) find(u mailaccess.UID) *entry {
	if i := b.at(u); i < len(b.list) && b.list[i].uid == u {
		return b.list[i]
	}
	return nil
}

// countSize adds a content's size to the mailbox's, or takes it off.
func (b *mailbox) countSize(size int64, sign int) {
	if size < 0 {
		b.unsized += sign
		return
	}
	b.size += size * int64(sign)
}

// add appends entries, ascending by UID and above all others.
func (b *mailbox) add(added []*entry) {
	var all, unseen, trashed mailaccess.UIDSetBuilder
	for _, e := range added {
		b.byKey[e.key] = e
		delete(b.hidden, e.key)
		e.content.add(place{b, e.uid})
		b.countSize(e.content.size, +1)
		all.AddUID(e.uid)
		if !e.flags.System.Has(mailaccess.FlagSeen) {
			unseen.AddUID(e.uid)
		}
		if e.flags.System.Has(mailaccess.FlagDeleted) {
			trashed.AddUID(e.uid)
		}
		b.noteKeywords(e.flags.Keywords)
	}
	b.list = append(b.list, added...)
	b.log = append(b.log, added...)
	b.uids = b.uids.Union(all.Set())
	b.unseen = b.unseen.Union(unseen.Set())
	b.trashed = b.trashed.Union(trashed.Set())
}

// replace puts entries in the place of those that have their UIDs. Unless they
// keep their number they go to the end of the log.
func (b *mailbox) replace(changed []*entry) {
	var read, unread, trash, untrash mailaccess.UIDSetBuilder
	for _, e := range changed {
		i := b.at(e.uid)
		old := b.list[i]
		b.list[i], b.byKey[e.key] = e, e
		e.seen = old.seen
		if e.modseq == old.modseq {
			b.relog(old, e)
		} else {
			old.dead = true
			b.dead++
			b.log = append(b.log, e)
		}
		switch gained, lost := e.flags.System&^old.flags.System, old.flags.System&^e.flags.System; {
		case gained.Has(mailaccess.FlagSeen):
			read.AddUID(e.uid)
		case lost.Has(mailaccess.FlagSeen):
			unread.AddUID(e.uid)
		}
		switch gained, lost := e.flags.System&^old.flags.System, old.flags.System&^e.flags.System; {
		case gained.Has(mailaccess.FlagDeleted):
			trash.AddUID(e.uid)
		case lost.Has(mailaccess.FlagDeleted):
			untrash.AddUID(e.uid)
		}
		b.noteKeywords(e.flags.Keywords)
	}
	b.unseen = b.unseen.Minus(read.Set()).Union(unread.Set())
	b.trashed = b.trashed.Minus(untrash.Set()).Union(trash.Set())
	b.tidyLog()
}

// relog puts e in old's place in the log.
func (b *mailbox) relog(old, e *entry) {
	i := sort.Search(len(b.log), func(i int) bool { return b.log[i].modseq >= old.modseq })
	for ; i < len(b.log) && b.log[i].modseq == old.modseq; i++ {
		if b.log[i] == old {
			b.log[i] = e
			return
		}
	}
}

// remove takes entries, ascending by UID, out as part of transaction n. What the
// floor says may be forgotten is.
func (b *mailbox) remove(gone []*entry, n mailaccess.ModSeq) {
	var all mailaccess.UIDSetBuilder
	for _, e := range gone {
		e.dead = true
		b.dead++
		delete(b.byKey, e.key)
		all.AddUID(e.uid)
		e.content.remove(place{b, e.uid})
		b.countSize(e.content.size, -1)
		b.vanished = append(b.vanished, e.vanished(n))
	}
	uids := all.Set()
	// Listings hold no part of list, so that it can be changed in place.
	from := b.at(uids.Min())
	kept := slices.DeleteFunc(b.list[from:], func(e *entry) bool { return e.dead })
	b.list = b.list[:from+len(kept)]
	b.uids = b.uids.Minus(uids)
	b.unseen = b.unseen.Minus(uids)
	b.trashed = b.trashed.Minus(uids)
	if b.vanished[0].ModSeq <= b.floor {
		// What was captured stays as it is.
		b.vanished = slices.Clone(removedSince(b.vanished, b.floor))
	}
	b.tidyLog()
}

// tidyLog takes dead entries out of the log when they are the greater part.
func (b *mailbox) tidyLog() {
	if b.dead > 512 && b.dead > len(b.log)/2 {
		b.log = slices.DeleteFunc(b.log, func(e *entry) bool { return e.dead })
		b.dead = 0
	}
}

// changedSince returns the UIDs of the live messages whose number is above since.
func (b *mailbox) changedSince(since mailaccess.ModSeq) mailaccess.UIDSet {
	i := sort.Search(len(b.log), func(i int) bool { return b.log[i].modseq > since })
	if i == 0 {
		return b.uids
	}
	var uids mailaccess.UIDSetBuilder
	for _, e := range b.log[i:] {
		if !e.dead {
			uids.AddUID(e.uid)
		}
	}
	return uids.Set()
}

// removedSince returns those of all, ascending by number, that were removed after
// since. They may be read after letting go of the lock.
func removedSince(all []mailaccess.Vanished, since mailaccess.ModSeq) []mailaccess.Vanished {
	i := sort.Search(len(all), func(i int) bool { return all[i].ModSeq > since })
	return all[i:len(all):len(all)]
}

// spell returns k as the mailbox spells its keywords, so that equal sets are so
// for ==. Keywords that are new are noted as they come. Those over the limit are
// left out, which the second result reports.
func (b *mailbox) spell(k mailaccess.Keywords, limit int) (_ mailaccess.Keywords, whole bool) {
	if k.IsEmpty() {
		return k, true
	}
	whole = true
	same := true
	var words []string
	for w := range k.All() {
		low := strings.ToLower(w)
		have, known := b.spelling[low]
		if !known && len(b.spelling) >= limit {
			b.forgetKeywords()
		}
		switch {
		case known && have != w:
			same = false
			w = have
		case known:
		case len(b.spelling) >= limit:
			same, whole = false, false
			continue
		default:
			if b.spelling == nil {
				b.spelling = make(map[string]string)
			}
			b.spelling[low] = w
		}
		words = append(words, w)
	}
	if same {
		return k, true
	}
	// They were a set before: nothing can be wrong with them.
	k, _ = mailaccess.NewKeywords(words...)
	return k, whole
}

// noteKeywords makes k part of the keywords in use.
func (b *mailbox) noteKeywords(k mailaccess.Keywords) {
	if k.IsEmpty() || k == b.keywords {
		return
	}
	for w := range k.All() {
		if !b.keywords.Has(w) {
			b.keywords = b.keywords.Union(k)
			return
		}
	}
}

// forgetKeywords drops the spellings of keywords that no message has.
func (b *mailbox) forgetKeywords() {
	b.spelling, b.keywords = make(map[string]string), mailaccess.Keywords{}
	sets := make(map[mailaccess.Keywords]struct{})
	for _, e := range b.list {
		if _, known := sets[e.flags.Keywords]; !known {
			sets[e.flags.Keywords] = struct{}{}
			b.noteKeywords(e.flags.Keywords)
		}
	}
	for w := range b.keywords.All() {
		b.spelling[strings.ToLower(w)] = w
	}
}

// load puts entries into an empty mailbox, whatever their order.
func (b *mailbox) load(entries []*entry) {
	byUID := func(x, y *entry) int { return cmp.Compare(x.uid, y.uid) }
	if !slices.IsSortedFunc(entries, byUID) {
		slices.SortFunc(entries, byUID)
	}
	b.byKey = make(map[string]*entry, len(entries))
	b.add(entries)
	slices.SortStableFunc(b.log, func(x, y *entry) int { return cmp.Compare(x.modseq, y.modseq) })
	b.forgetKeywords()
}
