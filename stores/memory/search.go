package memory

import (
	"context"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Search answers from what is known without reading contents. The parts of an
// expression that compare flags or UIDs with sets that the mailbox keeps come
// first; what is left is asked of each remaining message, in three values: yes,
// no, and only the content can tell.
func (h *handle) Search(ctx context.Context, box mailaccess.MailboxID, e mailaccess.Expr) (mailaccess.Found, error) {
	const op = "search"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return mailaccess.Found{}, err
	}
	parts := conjuncts(nil, e)
	h.mu.Lock()
	b, err := h.box(op, box)
	if err != nil {
		h.mu.Unlock()
		return mailaccess.Found{}, err
	}
	s := searching{all: b.uids, unseen: b.unseen, trashed: b.trashed}
	found := mailaccess.Found{UIDs: b.uids, Exact: true, UpTo: b.modseq}
	for _, p := range parts {
		found.UIDs = found.UIDs.Intersect(h.bound(b, p))
	}
	h.mu.Unlock()

	parts = slices.DeleteFunc(parts, func(p mailaccess.Expr) bool {
		uids, ok := s.set(p)
		if ok {
			found.UIDs = found.UIDs.Intersect(uids)
		}
		return ok
	})
	switch {
	case len(parts) == 0:
		return found, nil
	case knows(mailaccess.And(parts)):
		var uids mailaccess.UIDSetBuilder
		for m, err := range h.list(op, box).messages(ctx, found.UIDs, 0) {
			if err != nil {
				return mailaccess.Found{}, err
			}
			switch match(parts, &m) {
			case unknown:
				found.Exact = false
				uids.AddUID(m.UID)
			case yes:
				uids.AddUID(m.UID)
			}
		}
		found.UIDs = uids.Set()
	default:
		found.Exact = false
	}
	if !found.Exact && found.UIDs.Len() == s.all.Len() && !s.all.IsEmpty() {
		return mailaccess.Found{}, mailaccess.ErrSkip
	}
	return found, nil
}

// conjuncts appends the parts of e that must all match to parts.
func conjuncts(parts []mailaccess.Expr, e mailaccess.Expr) []mailaccess.Expr {
	if and, ok := e.(mailaccess.And); ok {
		for _, x := range and {
			parts = conjuncts(parts, x)
		}
		return parts
	}
	return append(parts, e)
}

// bound returns a set outside of which nothing matches e, when the account has
// one at hand; else all messages. a.mu is held.
func (a *account) bound(b *mailbox, e mailaccess.Expr) mailaccess.UIDSet {
	switch e := e.(type) {
	case mailaccess.ModSeqFrom:
		if e.Min > 0 {
			if log, whole := b.changedSince(e.Min - 1); whole {
				return uidsOf(log)
			}
		}
	case mailaccess.EmailIs:
		var uids mailaccess.UIDSetBuilder
		if c := a.contents[e.ID]; c != nil {
			for _, l := range c.locations(nil) {
				if l.Mailbox == b.ID {
					uids.AddUID(l.UID)
				}
			}
		}
		return uids.Set()
	case mailaccess.Or:
		// RFC 8474, section 8.3: clients look for several at once.
		var uids mailaccess.UIDSet
		for _, x := range e {
			if uids = uids.Union(a.bound(b, x)); uids.Len() == b.uids.Len() {
				break
			}
		}
		return uids
	}
	return b.uids
}

// searching has the sets of a mailbox from one instant.
type searching struct {
	all, unseen, trashed mailaccess.UIDSet
}

// set returns exactly the messages that match e, if sets can tell.
func (s *searching) set(e mailaccess.Expr) (mailaccess.UIDSet, bool) {
	switch e := e.(type) {
	case mailaccess.UIDIn:
		return s.all.Intersect(e.UIDs), true
	case mailaccess.HasFlags:
		const known = mailaccess.FlagSeen | mailaccess.FlagDeleted
		if e.Flags.System&^known != 0 || !e.Flags.Keywords.IsEmpty() {
			return mailaccess.UIDSet{}, false
		}
		uids := s.all
		if e.Flags.System.Has(mailaccess.FlagSeen) {
			uids = uids.Minus(s.unseen)
		}
		if e.Flags.System.Has(mailaccess.FlagDeleted) {
			uids = uids.Intersect(s.trashed)
		}
		return uids, true
	case mailaccess.Not:
		uids, ok := s.set(e.X)
		return s.all.Minus(uids), ok
	case mailaccess.And:
		uids := s.all
		for _, x := range e {
			more, ok := s.set(x)
			if !ok {
				return mailaccess.UIDSet{}, false
			}
			uids = uids.Intersect(more)
		}
		return uids, true
	case mailaccess.Or:
		var uids mailaccess.UIDSet
		for _, x := range e {
			more, ok := s.set(x)
			if !ok {
				return mailaccess.UIDSet{}, false
			}
			uids = uids.Union(more)
		}
		return uids, true
	}
	return mailaccess.UIDSet{}, false
}

// answer is what can be said of a message. The order makes And the minimum and
// Or the maximum of its parts.
type answer int8

const (
	no answer = iota
	unknown
	yes
)

func answerOf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// knows reports whether any part of e can be answered without the content.
func knows(e mailaccess.Expr) bool {
	switch e := e.(type) {
	case mailaccess.And:
		return slices.ContainsFunc(e, knows)
	case mailaccess.Or:
		// One part that only the content can answer leaves all open, but for
		// those messages that another part answers with yes.
		return slices.ContainsFunc(e, knows)
	case mailaccess.Not:
		return knows(e.X)
	case mailaccess.OnDay:
		return e.Date != mailaccess.DateSent
	case mailaccess.Between:
		return e.Date != mailaccess.DateSent
	case mailaccess.UIDIn, mailaccess.HasFlags, mailaccess.Larger, mailaccess.Smaller,
		mailaccess.ModSeqFrom, mailaccess.EmailIs, mailaccess.ThreadIs:
		return true
	}
	return false
}

// match asks m whether it matches all of parts.
func match(parts []mailaccess.Expr, m *mailaccess.Message) answer {
	a := yes
	for _, p := range parts {
		if a = min(a, ask(p, m)); a == no {
			break
		}
	}
	return a
}

func ask(e mailaccess.Expr, m *mailaccess.Message) answer {
	switch e := e.(type) {
	case mailaccess.And:
		return match(e, m)
	case mailaccess.Or:
		a := no
		for _, x := range e {
			if a = max(a, ask(x, m)); a == yes {
				break
			}
		}
		return a
	case mailaccess.Not:
		return yes - ask(e.X, m)
	case mailaccess.UIDIn:
		return answerOf(e.UIDs.Contains(m.UID))
	case mailaccess.HasFlags:
		return answerOf(hasFlags(m.Flags, e.Flags))
	case mailaccess.Larger:
		return answerOf(m.Size > e.Than)
	case mailaccess.Smaller:
		return answerOf(m.Size < e.Than)
	case mailaccess.ModSeqFrom:
		return answerOf(m.ModSeq >= e.Min)
	case mailaccess.EmailIs:
		return answerOf(m.EmailID == e.ID)
	case mailaccess.ThreadIs:
		return answerOf(m.ThreadID == e.ID)
	case mailaccess.OnDay:
		switch e.Date {
		case mailaccess.DateReceived:
			return onDay(e, mailaccess.DayOf(m.Received))
		case mailaccess.DateSaved:
			return onDay(e, mailaccess.DayOf(m.Saved))
		}
	case mailaccess.Between:
		t := m.Received
		switch e.Date {
		case mailaccess.DateSent:
			return unknown
		case mailaccess.DateSaved:
			t = m.Saved
		}
		return answerOf((e.From.IsZero() || !t.Before(e.From)) && (e.Until.IsZero() || t.Before(e.Until)))
	}
	return unknown
}

func hasFlags(have, want mailaccess.Flags) bool {
	if !have.System.Has(want.System) {
		return false
	}
	if have.Keywords == want.Keywords {
		return true
	}
	for w := range want.Keywords.All() {
		if !have.Keywords.Has(w) {
			return false
		}
	}
	return true
}

func onDay(e mailaccess.OnDay, day mailaccess.Day) answer {
	switch c := day.Compare(e.Day); e.Op {
	case mailaccess.DayBefore:
		return answerOf(c < 0)
	case mailaccess.DayOn:
		return answerOf(c == 0)
	default:
		return answerOf(c >= 0)
	}
}
