package hooks

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// scan is one comparison of a mailbox with MailItems.
type scan struct {
	a       *account
	b       *mailbox
	name    string // as the application spells it
	id      uint64
	parser  flagParser
	limit   int // of keywords
	stopped bool
	partial bool // the answer has only what changed
	met     int  // entries that were yielded
	awkward int  // items that cannot be shown

	arrived  []*entry
	keys     map[string]struct{} // of arrived
	changed  []flagged
	adopted  []*entry // what is to be noted, and clients do not see
	gone     []string
	unhide   []string
	hiddenOK map[string]struct{} // hidden keys that were yielded with the mark
}

// flagged is a message and the flags that it has now.
type flagged struct {
	e *entry
	f mailaccess.Flags
}

// scan asks the application for the messages of b, for all of them if whole, and
// makes one transaction of the differences. The turn of b is taken. version is that
// of the mailbox when it was last listed.
func (a *account) scan(ctx context.Context, w *work, b *mailbox, version string, whole bool) error {
	const op = "list items"
	a.mu.Lock()
	a.scans++
	s := &scan{a: a, b: b, id: a.scans, name: b.appName, limit: a.store.opts.MaxKeywords}
	q := ItemQuery{Mailbox: s.name, Fields: FieldFlags | FieldReceived | FieldRevision}
	if version != "" && !whole {
		q.Since = b.version
	}
	listed := b.listed
	a.mu.Unlock()

	finished, err := a.ask(ctx, op, func(ctx context.Context, k *call) error {
		seq := a.store.app.MailItems(ctx, a.name, q)
		if seq == nil {
			return nil
		}
		first := true
		for item, err := range seq {
			if err != nil {
				return appError(op, s.name, err)
			}
			k.progress()
			if first && item.changesOnly {
				s.partial = q.Since != ""
				first = false
				continue
			}
			first = false
			if err := s.item(&item); err != nil {
				return err
			}
		}
		return nil
	})
	if !finished {
		a.mu.Lock()
		s.stopped = true
		a.mu.Unlock()
		return err
	}
	if err != nil {
		if mailaccess.KindOf(err) != mailaccess.KindNotFound {
			return err
		}
		if listed {
			// It has gone since it was listed; the list will tell.
			a.mu.Lock()
			a.fresh.must = a.hint()
			a.mu.Unlock()
			return err
		}
		// An INBOX that the application does not have is empty.
		a.mu.Lock()
		a.scans++
		*s = scan{a: a, b: b, id: a.scans, name: s.name}
		a.mu.Unlock()
	}
	if s.awkward > 0 {
		a.store.log.Warn("hooks: items cannot be shown: their keys are empty, too long or there twice, or their revisions too long",
			zap.String("mailbox", string(b.ID)), zap.Int("items", s.awkward))
	}
	_, err = a.commit("reconcile", w, func(t *txn) error { return s.settle(t, version) })
	return err
}

var errScanStopped = errors.New("the comparison was given up")

// item compares one item with what is known.
func (s *scan) item(item *Item) error {
	a, b := s.a, s.b
	if item.Key == "" || len(item.Key) > maxText || len(item.Revision) > maxText {
		s.awkward++
		return nil
	}
	flags := s.parser.parse(item.Flags)

	a.mu.Lock()
	defer a.mu.Unlock()
	if s.stopped {
		return errScanStopped
	}
	e := b.byKey[item.Key]
	var sum measure
	if item.Body != nil && !item.Gone && (e == nil || item.Revision == "" || item.Revision != e.revision || !e.content.measured) {
		a.mu.Unlock()
		sum = measureBytes(item.Body)
		a.mu.Lock()
		if s.stopped {
			return errScanStopped
		}
	}
	switch {
	case item.Gone && s.partial:
		s.gone = append(s.gone, item.Key)
		return nil
	case item.Gone:
		return nil
	case e == nil:
		return s.unknown(item, flags, sum)
	case e.seen == s.id:
		s.awkward++
		return nil
	}
	e.seen = s.id
	s.met++
	if flags != e.flags {
		flags.Keywords, _ = b.spell(flags.Keywords, s.limit)
	}
	switch {
	case item.Revision != "" && e.revision != "" && item.Revision != e.revision,
		item.Size > 0 && e.claimed > 0 && item.Size != e.claimed,
		sum.is && e.content.measured && sum.sum != e.content.sum:
		// Other bytes: another message.
		s.arrived = append(s.arrived, s.entry(item, flags, sum))
		return nil
	case flags != e.flags:
		s.changed = append(s.changed, flagged{e, flags})
	}
	if item.Revision != "" && e.revision == "" || item.Size > 0 && e.claimed == 0 || sum.is && !e.content.measured {
		s.adopted = append(s.adopted, s.entry(item, flags, sum))
	}
	return nil
}

// unknown notes an item that was not there before.
func (s *scan) unknown(item *Item, flags mailaccess.Flags, sum measure) error {
	if _, hidden := s.b.hidden[item.Key]; hidden {
		if flags.System.Has(mailaccess.FlagDeleted) {
			if s.hiddenOK == nil {
				s.hiddenOK = make(map[string]struct{})
			}
			s.hiddenOK[item.Key] = struct{}{}
			return nil
		}
		s.unhide = append(s.unhide, item.Key)
	}
	if _, twice := s.keys[item.Key]; twice {
		s.awkward++
		return nil
	}
	if s.keys == nil {
		s.keys = make(map[string]struct{})
	}
	if s.met+len(s.arrived) >= s.a.store.opts.MaxItems {
		return fail("list items", mailaccess.KindLimit, s.name, fmt.Errorf("more than %d messages", s.a.store.opts.MaxItems))
	}
	s.keys[item.Key] = struct{}{}
	flags.Keywords, _ = s.b.spell(flags.Keywords, s.limit)
	s.arrived = append(s.arrived, s.entry(item, flags, sum))
	return nil
}

// entry makes an entry of an item. Its content has only what the item says.
func (s *scan) entry(item *Item, flags mailaccess.Flags, sum measure) *entry {
	e := &entry{key: item.Key, revision: item.Revision, claimed: max(item.Size, 0), flags: flags, received: item.Received}
	e.content = &content{size: mailaccess.SizeUnknown}
	if item.Size > 0 {
		e.content.size = item.Size
	}
	if sum.is {
		e.content.size, e.content.sum, e.content.measured = sum.size, sum.sum, true
	}
	return e
}

// settle makes a transaction of the differences.
func (s *scan) settle(t *txn, version string) error {
	b := s.b
	if b.deleted {
		return nil
	}
	if b.appName != s.name {
		return fail("list items", mailaccess.KindUnavailable, string(b.ID), errors.New("the mailbox was renamed meanwhile"))
	}
	if err := b.room("list items", len(s.arrived)); err != nil {
		return err
	}
	x := t.box(b)
	if s.partial {
		for _, key := range s.gone {
			if e := b.byKey[key]; e != nil && e.seen != s.id {
				e.seen = s.id // it may be named twice
				t.remove(x, e)
			}
			if _, hidden := b.hidden[key]; hidden {
				s.unhide = append(s.unhide, key)
			}
		}
	} else {
		if s.met < len(b.list) {
			for _, e := range b.list {
				if e.seen != s.id {
					t.remove(x, e)
				}
			}
		}
		for key := range b.hidden {
			if _, there := s.hiddenOK[key]; !there {
				s.unhide = append(s.unhide, key)
			}
		}
	}
	for _, c := range s.changed {
		t.flag(x, c.e, c.f)
	}
	s.adopt(t, x)
	for _, e := range s.arrived {
		c := e.content
		c.id = t.newContent().id
		t.add(x, e)
	}
	if len(s.unhide) > 0 {
		x.unhide, t.quiet = s.unhide, true
	}
	t.version(x, version)
	return nil
}

// adopt notes what the application now says of messages and did not say before.
func (s *scan) adopt(t *txn, x *boxTxn) {
	if len(s.adopted) == 0 {
		return
	}
	// Those whose flags change too are changed already.
	later := make(map[string]*entry, len(x.changed))
	for _, e := range x.changed {
		later[e.key] = e
	}
	for _, said := range s.adopted {
		e := later[said.key]
		if e == nil {
			e = new(entry)
			*e = *s.b.byKey[said.key]
			t.adopt(x, e)
		}
		if e.revision == "" {
			e.revision = said.revision
		}
		if e.claimed == 0 {
			e.claimed = said.claimed
		}
		switch c := e.content; {
		case c.measured:
		case said.content.measured:
			t.a.measured(c, said.content.size, said.content.sum)
		case c.size < 0 && said.claimed > 0:
			c.resize(said.claimed)
		}
	}
}
