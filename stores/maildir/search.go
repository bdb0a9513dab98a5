package maildir

import (
	"context"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Search answers whatever the index tells without the messages' ids: flags, dates, sizes,
// UIDs, change numbers. What takes the header or the content is left to the engine.
func (h *handle) Search(ctx context.Context, box mailaccess.MailboxID, e mailaccess.Expr) (mailaccess.Found, error) {
	const op = "search"
	m, err := query.Compile(e, nil)
	if err != nil || m.NeedsContent() || asksIDs(e) {
		return mailaccess.Found{}, mailaccess.ErrSkip
	}
	s := metaSearch{since: changedSince(e), found: mailaccess.Found{Exact: true}}
	sets, err := h.sets(ctx, op, box, &s.found)
	if err != nil {
		return mailaccess.Found{}, err
	}
	s.among, e = sets.Narrow(e)
	if s.m, err = query.Compile(e, nil); err != nil {
		return mailaccess.Found{}, err
	}
	if s.m.MatchesAll() {
		s.found.UIDs = s.among
		return s.found, nil
	}
	look := s.metadata
	if s.m.NeedsFlagsOnly() {
		look = s.flags
	}
	for s.from = 1; s.from != 0; s.from = s.next {
		s.next = 0
		if err := h.piece(ctx, op, box, &s.among, nil, look); err != nil {
			return mailaccess.Found{}, err
		}
		s.decide()
	}
	s.found.UIDs = s.match.Set()
	return s.found, nil
}

// sets returns what the index knows of a mailbox without its rows, and notes up to which
// change. What changes after that, while a search goes through rows, has a higher number, and is
// looked at by whoever asked.
func (h *handle) sets(ctx context.Context, op string, box mailaccess.MailboxID, found *mailaccess.Found) (*query.Sets, error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return nil, err
	}
	found.UpTo = b.ix.ModSeq()
	return &query.Sets{UIDs: b.ix.UIDs(), Flags: []query.FlagSet{
		{Flag: mailaccess.FlagSeen, Lack: true, UIDs: b.ix.Unseen()},
		{Flag: mailaccess.FlagDeleted, UIDs: b.ix.Trashed()},
	}}, nil
}

// metaSearch is a search under way in what the index has.
type metaSearch struct {
	m     *query.Matcher
	since mailaccess.ModSeq
	among mailaccess.UIDSet
	from  mailaccess.UID
	next  mailaccess.UID // where the next piece begins; 0: there is none
	rows  []index.Message
	n     int // of rows, not decided yet
	match mailaccess.UIDSetBuilder
	found mailaccess.Found
}

// flagsLen is how many rows are asked for their flags while the account is locked: it
// takes a few dozen microseconds.
const flagsLen = 16 << 10

// flags looks at flags, in the index itself.
func (s *metaSearch) flags(b *mailbox) {
	s.next = b.ix.FindFlags(s.from, s.among, s.since, flagsLen, s.m.MatchFlags, &s.match)
}

// metadata takes rows out of the index, to be looked at when the account is not locked any more.
func (s *metaSearch) metadata(b *mailbox) {
	if s.rows == nil {
		s.rows = make([]index.Message, listLen)
	}
	if s.n = b.ix.NextMessages(s.from, s.among, s.since, s.rows); s.n == len(s.rows) {
		s.next = s.rows[s.n-1].UID + 1
	}
}

// decide looks at the rows that were taken.
func (s *metaSearch) decide() {
	for i := range s.rows[:s.n] {
		switch yes, decided := s.m.Decide(&s.rows[i].Message); {
		case !decided: // its size is not known yet
			s.found.Exact = false
			fallthrough
		case yes:
			s.match.AddUID(s.rows[i].UID)
		}
	}
	s.n = 0
}

// changedSince returns a change number at or below which nothing matches e.
func changedSince(e mailaccess.Expr) (since mailaccess.ModSeq) {
	switch e := e.(type) {
	case mailaccess.ModSeqFrom:
		return max(e.Min, 1) - 1
	case mailaccess.And:
		for _, x := range e {
			since = max(since, changedSince(x))
		}
	}
	return since
}

// asksIDs reports whether e compares ids, for which the store has other ways.
func asksIDs(e mailaccess.Expr) bool {
	switch e := e.(type) {
	case mailaccess.And:
		return slices.ContainsFunc(e, asksIDs)
	case mailaccess.Or:
		return slices.ContainsFunc(e, asksIDs)
	case mailaccess.Not:
		return asksIDs(e.X)
	case mailaccess.EmailIs, mailaccess.ThreadIs:
		return true
	}
	return false
}
