package memory

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

// SetFlags changes flags, some thousand messages in a transaction.
func (h *handle) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, change mailaccess.FlagChange, unchangedSince mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	s := flagSetting{op: "set flags", handle: h, box: box, uids: uids, change: change, unchangedSince: unchangedSince, rights: flagrights.Of(h.rights)}
	var changed []mailaccess.Commit
	var err error
	for s.next = 1; s.next != 0; {
		if err = h.begin(ctx, s.op, 0); err != nil {
			break
		}
		if !s.rights.Allow(change) {
			err = fail(s.op, mailaccess.KindForbidden, string(box), nil)
			break
		}
		var c mailaccess.Commit
		c, err = s.transaction()
		if c.ModSeq != 0 {
			changed = append(changed, c)
			h.ring(box, c.ModSeq)
		}
		if err != nil {
			break
		}
	}
	return mailaccess.FlagResult{Changed: changed, Conflict: s.conflict.Set()}, err
}

// flagSetting is a call of SetFlags.
type flagSetting struct {
	*handle
	op             string
	box            mailaccess.MailboxID
	uids           mailaccess.UIDSet
	change         mailaccess.FlagChange
	unchangedSince mailaccess.ModSeq
	rights         flagrights.Flags

	next     mailaccess.UID // where the next transaction begins; 0: it is done
	conflict mailaccess.UIDSetBuilder
}

// transition is what becomes of messages that have certain flags. Most messages
// of a transaction share one.
type transition struct {
	from, to       mailaccess.Flags
	leaves, joins  *keywordSet
	read, unread   bool
	trash, untrash bool
	different      bool
}

func (s *flagSetting) transition(b *mailbox, from mailaccess.Flags) (*transition, error) {
	t := &transition{from: from, to: s.rights.Apply(s.change, from)}
	if t.to.Keywords != from.Keywords {
		var err error
		if t.joins, err = b.keywords.intern(s.op, t.to.Keywords, s.store.opts.MaxKeywords); err != nil {
			return nil, err
		}
		t.to.Keywords = mailaccess.Keywords{}
		if t.joins != nil {
			t.to.Keywords = t.joins.keywords
		}
		t.leaves = b.keywords.sets[from.Keywords]
	}
	gained, lost := t.to.System&^from.System, from.System&^t.to.System
	t.read, t.unread = gained.Has(mailaccess.FlagSeen), lost.Has(mailaccess.FlagSeen)
	t.trash, t.untrash = gained.Has(mailaccess.FlagDeleted), lost.Has(mailaccess.FlagDeleted)
	t.different = t.to != from
	return t, nil
}

// transaction changes the next messages. On an error those before the one that
// it concerns are done.
func (s *flagSetting) transaction() (done mailaccess.Commit, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.handle.box(s.op, s.box)
	if err != nil {
		return done, err
	}
	defer b.keywords.sweep()
	var changed, read, unread, trash, untrash mailaccess.UIDSetBuilder
	var t *transition
	known := make(map[mailaccess.Flags]*transition)
	n, seen, count := s.modseq+1, 0, 0
	from := s.next
	s.next = 0
	b.messages.walk(s.uids, from, func(c *chunk, j int) bool {
		m := &c.msgs[j]
		if seen++; seen > txnMax {
			s.next = m.UID
			return false
		}
		if m.ModSeq > s.unchangedSince {
			s.conflict.AddUID(m.UID)
			return true
		}
		if t == nil || m.Flags != t.from {
			if t = known[m.Flags]; t == nil {
				if t, err = s.transition(b, m.Flags); err != nil {
					return false
				}
				known[t.from] = t
			}
		}
		if !t.different {
			return true
		}
		c.writable()
		m = &c.msgs[j]
		m.Flags, m.ModSeq, c.max = t.to, n, n
		if t.joins != t.leaves {
			b.keywords.count(t.leaves, -1)
			b.keywords.count(t.joins, 1)
		}
		add(&read, t.read, m.UID)
		add(&unread, t.unread, m.UID)
		add(&trash, t.trash, m.UID)
		add(&untrash, t.untrash, m.UID)
		changed.AddUID(m.UID)
		count++
		return true
	})
	if count == 0 {
		return done, err
	}
	s.modseq = n
	b.unseen = b.unseen.Minus(read.Set()).Union(unread.Set())
	b.trashed = b.trashed.Minus(untrash.Set()).Union(trash.Set())
	done = mailaccess.Commit{ModSeq: n, UIDs: changed.Set()}
	b.logSet(n, done.UIDs)
	return done, err
}

func add(set *mailaccess.UIDSetBuilder, on bool, u mailaccess.UID) {
	if on {
		set.AddUID(u)
	}
}
