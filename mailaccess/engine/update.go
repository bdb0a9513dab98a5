package engine

import (
	"context"
	"errors"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Sink is told what changed in a view, in the order in which a client must hear
// it. An error that a method returns ends the update and is returned by it.
type Sink interface {
	// Gone says that messages went. before is the numbering until now.
	Gone(gone Gone) error
	// Exists says how many messages there are now, and which of them are
	// \Recent; it is called when messages arrived.
	Exists(n int, recent mailaccess.UIDSet) error
	// Keywords says that the keywords in use changed.
	Keywords(k mailaccess.Keywords) error
	// Flags says that the flags of a message, told before, changed. m is
	// valid until Flags returns.
	Flags(m *Numbered) error
}

// Gone are messages that went.
type Gone struct {
	UIDs   mailaccess.UIDSet
	before mailaccess.UIDSet
}

// Before returns all messages of the view as they were numbered until now.
func (g Gone) Before() mailaccess.UIDSet { return g.before }

// Numbers yields the messages' numbers, from the highest on, so that each is
// right after those before it have gone (RFC 3501, section 7.4.1).
func (g Gone) Numbers() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := g.UIDs.Len(); i > 0; i-- {
			if !yield(g.before.Rank(g.UIDs.Select(i))) {
				return
			}
		}
	}
}

// UpdateOptions say what a client may be told now.
type UpdateOptions struct {
	// NoExpunge keeps removals back: during FETCH, STORE and SEARCH numbers
	// must not change (RFC 3501, section 7.4.1).
	NoExpunge bool
}

// ErrViewInvalid is returned by Update when the mailbox is not what it was:
// deleted, with another UIDVALIDITY, or closed to this identity. The view is of no
// use any more.
var ErrViewInvalid = errors.New("engine: the mailbox of the view is gone")

// Update brings the view up to date and tells sink what the client must hear. It
// costs what changed. When the store fails in the middle, what was not told is told
// by the next Update, and perhaps something twice. When sink fails, that of which it
// was just told counts as told, but for flags.
func (v *View) Update(ctx context.Context, o UpdateOptions, sink Sink) error {
	if v.frozen {
		return nil
	}
	v.stopRetry()
	v.listener.heard()
	err := v.update(ctx, o, sink)
	switch {
	case err == nil:
		v.failures = 0
	case mailaccess.KindOf(err) == mailaccess.KindNotFound, mailaccess.KindOf(err) == mailaccess.KindForbidden:
		return ErrViewInvalid
	case err != ErrViewInvalid:
		v.failures++
	}
	return err
}

func (v *View) update(ctx context.Context, o UpdateOptions, sink Sink) error {
	// The status is cheaper than a snapshot, and mostly there is nothing new.
	st, err := v.s.acct.Status(ctx, v.at.ID)
	if err != nil {
		return err
	}
	if st.UIDValidity != v.at.UIDValidity {
		return ErrViewInvalid
	}
	if st.ModSeq == v.applied && (v.gone.IsEmpty() || o.NoExpunge) {
		return nil
	}
	snap, err := v.look(ctx, st.UIDNext > v.at.UIDNext)
	if err != nil {
		return err
	}
	if snap.UIDValidity != v.at.UIDValidity {
		return ErrViewInvalid
	}
	if err := v.updateGone(snap, o, sink); err != nil {
		return err
	}
	known := v.uids.Max()
	if err := v.updateArrived(ctx, &snap, sink); err != nil {
		return err
	}
	if snap.Keywords != v.at.Keywords {
		if err := sink.Keywords(snap.Keywords); err != nil {
			return err
		}
	}
	v.at = snap.Status
	if err := v.updateFlags(ctx, known, snap.ModSeq, sink); err != nil {
		return err
	}
	v.applied = snap.ModSeq
	return nil
}

func (v *View) updateGone(snap mailaccess.Snapshot, o UpdateOptions, sink Sink) error {
	gone := v.uids.Minus(snap.UIDs)
	if gone.IsEmpty() {
		return nil
	}
	if o.NoExpunge {
		if v.gone.IsEmpty() {
			v.told = v.applied
		}
		v.gone = gone
		return nil
	}
	before := v.uids
	v.uids = v.uids.Minus(gone)
	v.recent = v.recent.Minus(gone)
	v.gone = mailaccess.UIDSet{}
	return sink.Gone(Gone{UIDs: gone, before: before})
}

func (v *View) updateArrived(ctx context.Context, snap *mailaccess.Snapshot, sink Sink) error {
	arrived := snap.UIDs.Minus(v.uids)
	if !arrived.IsEmpty() {
		if err := v.addRecent(ctx, snap, arrived); err != nil {
			return err
		}
	}
	v.claimed = 0
	// The store's set and not one of the view's own: all views share it.
	v.uids = snap.UIDs.Union(v.gone)
	if arrived.IsEmpty() {
		return nil
	}
	return sink.Exists(v.uids.Len(), v.recent)
}

// updateFlags tells the flags of messages up to the UID known that changed after
// applied, up to upTo: later changes are left for the next update, or they would
// be told twice.
func (v *View) updateFlags(ctx context.Context, known mailaccess.UID, upTo mailaccess.ModSeq, sink Sink) error {
	changes, err := v.s.acct.MailboxChanges(ctx, v.at.ID, v.applied)
	if err != nil {
		return err
	}
	numbers := numberer{uids: v.uids}
	var n Numbered
	for m, err := range changes.Messages {
		if err != nil {
			return err
		}
		if m.UID > known {
			break // arrivals are no flag changes: the client asks for them
		}
		if m.ModSeq > upTo || v.isOwn(&m) {
			continue
		}
		if n.Number = numbers.of(m.UID); n.Number == 0 {
			continue
		}
		n.Message = m
		if err := sink.Flags(&n); err != nil {
			return err
		}
	}
	v.own = nil
	return nil
}

// isOwn reports whether m is as this view's own change left it.
func (v *View) isOwn(m *mailaccess.Message) bool {
	for i := range v.own {
		if c := &v.own[i]; c.ModSeq == m.ModSeq && c.UIDs.Contains(m.UID) {
			// Messages come by UID, and so did the changes: the next one is
			// most likely of the same change.
			v.own[0], v.own[i] = v.own[i], v.own[0]
			return true
		}
	}
	return false
}
