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
	found := mailaccess.Found{Exact: true}
	var uids mailaccess.UIDSet
	var match mailaccess.UIDSetBuilder
	rows := make([]index.Message, listLen)
	since := changedSince(e)
	for from, first, more := mailaccess.UID(1), true, true; more; first = false {
		var n int
		// What changes between two batches has a number above that of the first, and is
		// looked at by whoever asked.
		n, more, err = h.batch(ctx, op, box, &uids, func(b *mailbox) mailaccess.UIDSet {
			found.UpTo = b.ix.ModSeq()
			return query.Among(e, b.ix.UIDs())
		}, first, from, since, rows)
		if err != nil {
			return mailaccess.Found{}, err
		}
		for i := range rows[:n] {
			switch yes, decided := m.Decide(&rows[i].Message); {
			case !decided: // its size is not known yet
				found.Exact = false
				fallthrough
			case yes:
				match.AddUID(rows[i].UID)
			}
		}
		if n > 0 {
			from = rows[n-1].UID + 1
			more = more && from != 0
		}
	}
	found.UIDs = match.Set()
	return found, nil
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
