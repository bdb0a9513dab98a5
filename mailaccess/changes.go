package mailaccess

import "iter"

// MailboxChanges is what changed in a mailbox after some change number.
//
// Messages and Vanished may each be ranged over once, or not at all; the work
// happens while ranging. Both cover every change up to and including UpTo, and
// may show later ones: a message is given in its latest state, and one that
// went after UpTo may be missing from both. A consumer that continues from UpTo
// misses nothing.
type MailboxChanges struct {
	// Floor is from where on Vanished is whole: removals at or below it may have
	// been forgotten. Whoever asked for changes since a lower number compares
	// the UIDs that it knew with those of a snapshot. Messages needs no history
	// and is whole in any case.
	Floor ModSeq
	// UpTo is the mailbox's highest change number at one instant during the
	// call, at least the since that was asked for.
	UpTo ModSeq
	// Messages yields each live message whose number is above since, once,
	// ascending by UID.
	Messages iter.Seq2[Message, error]
	// Vanished yields each message that left after since (and after Floor),
	// ascending by UID, those that came after since too: a client may know of
	// more than the number that it comes back with says.
	Vanished iter.Seq2[Vanished, error]
}

// Vanished is a message that is no longer in a mailbox: expunged or moved.
type Vanished struct {
	UID      UID
	Created  ModSeq // the number of its arrival
	ModSeq   ModSeq // the number of its removal
	EmailID  EmailID
	ThreadID ThreadID
}

// AccountChanges is what changed in an account after some state. A client of
// the whole account (RFC 5465; RFC 8620, section 5.2) asks MailboxChanges of
// each mailbox named here for the messages.
type AccountChanges struct {
	UpTo State
	// Mailboxes are the live ones with any change after since, in no order.
	Mailboxes []Status
	// Deleted are those that were deleted after since, or that the identity may
	// see no longer; those that were created after since too may be left out.
	Deleted []DeletedMailbox
	// Subscriptions reports whether the set of subscribed names changed.
	Subscriptions bool
}

// DeletedMailbox is the tombstone of a mailbox.
type DeletedMailbox struct {
	ID     MailboxID
	Name   string // its last name
	ModSeq ModSeq // the number of its deletion
}

// Commit is one transaction's part of the answer to a change: the messages that
// it changed and the number that they share.
type Commit struct {
	ModSeq ModSeq
	UIDs   UIDSet
}
