package maildir

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// txnMax is how many messages a transaction handles where the contract lets a change be
// done in several: it bounds how long the account waits for one change.
const txnMax = 4096

// batchLen is how many rows are read at a time.
const batchLen = 256

// SetFlags changes flags, some thousand messages in a transaction. No file is touched
// before it returns: the names follow (see names.go).
func (h *handle) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, change mailaccess.FlagChange, unchangedSince mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	s := flagSetting{op: "set flags", box: box, uids: uids, change: change, unchangedSince: unchangedSince, rights: flagrights.Of(h.rights)}
	var result mailaccess.FlagResult
	var err error
	for s.next = 1; s.next != 0 && err == nil; {
		if err = h.begin(ctx, s.op, 0); err != nil {
			break
		}
		if !s.rights.Allow(change) {
			err = fail(s.op, mailaccess.KindForbidden, string(box), nil)
			break
		}
		s.done, s.limit = mailaccess.Commit{}, nil
		conflicts := s.conflict
		if err = h.do(s.transaction(ctx)); err != nil {
			s.conflict = conflicts
			break
		}
		if s.done.ModSeq != 0 {
			result.Changed = append(result.Changed, s.done)
		}
		err = s.limit
	}
	result.Conflict = s.conflict
	return result, err
}

// flagSetting is a call of SetFlags.
type flagSetting struct {
	op             string
	box            mailaccess.MailboxID
	uids           mailaccess.UIDSet
	change         mailaccess.FlagChange
	unchangedSince mailaccess.ModSeq
	rights         flagrights.Flags

	next     mailaccess.UID // where the next transaction begins; 0: it is done
	conflict mailaccess.UIDSet
	done     mailaccess.Commit
	limit    error // why the rest is not done
}

func (s *flagSetting) transaction(ctx context.Context) *change {
	return &change{op: s.op, ctx: ctx, boxes: []mailaccess.MailboxID{s.box}, plan: s.plan}
}

// plan changes the next messages. When one would have too many keywords, those before it
// are done.
func (s *flagSetting) plan(p *planner) (*record, error) {
	b, err := p.a.loaded(s.op, s.box)
	if err != nil {
		return nil, err
	}
	from := s.next
	s.next = 0
	groups := make(map[mailaccess.Flags]*mailaccess.UIDSetBuilder)
	known := make(map[mailaccess.Flags]mailaccess.Flags) // what becomes of flags
	var changed, conflict mailaccess.UIDSetBuilder
	seen := 0
	var buf [batchLen]index.Row
	for n := b.ix.Next(from, s.uids, 0, buf[:]); n > 0 && s.limit == nil; n = b.ix.Next(from, s.uids, 0, buf[:]) {
		for i := range buf[:n] {
			row := &buf[i]
			if seen++; seen > txnMax {
				s.next = row.UID
				break
			}
			if row.ModSeq > s.unchangedSince {
				conflict.AddUID(row.UID)
				continue
			}
			to, ok := known[row.Flags]
			if !ok {
				to = s.rights.Apply(s.change, row.Flags)
				if to.Keywords != row.Flags.Keywords {
					if to.Keywords, s.limit = p.a.keywords(s.op, b, to.Keywords); s.limit != nil {
						break
					}
				}
				known[row.Flags] = to
			}
			if to == row.Flags {
				continue
			}
			if groups[to] == nil {
				groups[to] = new(mailaccess.UIDSetBuilder)
			}
			groups[to].AddUID(row.UID)
			changed.AddUID(row.UID)
		}
		if s.next != 0 {
			break
		}
		from = buf[n-1].UID + 1
	}
	s.conflict = s.conflict.Union(conflict.Set())
	if len(groups) == 0 {
		return nil, nil
	}
	s.done = mailaccess.Commit{ModSeq: p.number(), UIDs: changed.Set()}
	into := boxRecord{Box: s.box}
	for flags, uids := range groups {
		into.Flags = append(into.Flags, flagGroup{UIDs: rangesOf(uids.Set()), System: flags.System, Keywords: flags.Keywords.String()})
	}
	return &record{ModSeq: s.done.ModSeq, Boxes: []boxRecord{into}}, nil
}
