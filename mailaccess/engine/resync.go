package engine

import (
	"context"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
)

// fewMessages is how many messages are looked at one by one to find out which of
// them changed: cheaper than all that changed in the mailbox may be.
const fewMessages = 256

// Changed lists those messages of uids that the client was told of whose change number
// is above since, ascending, as they are now. It costs what changed. A client
// relies on [View.Told] alone: what is listed may have changed later still.
func (v *View) Changed(ctx context.Context, uids mailaccess.UIDSet, since mailaccess.ModSeq) iter.Seq2[*Numbered, error] {
	uids = uids.Intersect(v.uids)
	if uids.Len() <= fewMessages {
		return v.changedOf(v.Messages(ctx, uids), since)
	}
	return func(yield func(*Numbered, error) bool) {
		changes, err := v.s.acct.MailboxChanges(ctx, v.at.ID, since)
		if mailaccess.KindOf(err) == mailaccess.KindInvalid {
			return // since is yet to come: nothing is above it
		}
		if err != nil {
			yield(nil, err)
			return
		}
		numbers := numberer{uids: v.uids}
		var n Numbered // one for the whole listing
		for m, err := range changes.Messages {
			if err != nil {
				yield(nil, err)
				return
			}
			if !uids.Contains(m.UID) {
				continue
			}
			n.Number, n.Message = numbers.of(m.UID), m
			if !yield(&n, nil) {
				return
			}
		}
	}
}

// changedOf leaves of messages those above since.
func (v *View) changedOf(messages iter.Seq2[*Numbered, error], since mailaccess.ModSeq) iter.Seq2[*Numbered, error] {
	return func(yield func(*Numbered, error) bool) {
		for m, err := range messages {
			if (err != nil || m.ModSeq > since) && !yield(m, err) {
				return
			}
		}
	}
}

// Vanished returns those of uids that were removed after since, whenever they had
// come, and are no part of the view: removals that the next Update tells are not among
// them, nor are UIDs that were never given. It costs what was removed. Where removals
// since then are not known (the store forgot some, or never reached since) it returns
// all of uids that are not there, whenever they went (RFC 7162, section 3.2.6).
func (v *View) Vanished(ctx context.Context, uids mailaccess.UIDSet, since mailaccess.ModSeq) (mailaccess.UIDSet, error) {
	uids = uids.Intersect(mailaccess.UIDSetRange(1, v.at.UIDNext-1))
	if uids.IsEmpty() {
		return uids, nil
	}
	if since > v.applied {
		return uids.Minus(v.uids), nil
	}
	changes, err := v.s.acct.MailboxChanges(ctx, v.at.ID, since)
	if err != nil {
		return mailaccess.UIDSet{}, err
	}
	if since < changes.Floor {
		return uids.Minus(v.uids), nil
	}
	var gone mailaccess.UIDSetBuilder
	for m, err := range changes.Vanished {
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		if uids.Contains(m.UID) && !v.uids.Contains(m.UID) {
			gone.AddUID(m.UID)
		}
	}
	return gone.Set(), nil
}
