package mailaccess

import (
	"context"
	"iter"
)

// Store is a place where mail lives. All methods of a Store, and of the
// accounts it opens, are safe for concurrent use.
type Store interface {
	// Open opens an account on behalf of who. The returned Account carries
	// who's rights: two sessions of one account may see different rights.
	//
	// An account that the store does not know is KindNotFound, unless the
	// store creates accounts on first use. Errors: KindNotFound,
	// KindForbidden, KindUnavailable, KindCorrupt.
	Open(ctx context.Context, account string, who Identity) (Account, error)

	// Watch registers the one listener of this process. It returns once the
	// watch is in force: every commit that becomes visible after Watch
	// returned is followed by a ring. ring never blocks, may be called from
	// several goroutines at once, and must be called after the commit and
	// without any lock held. stop ends the watch and returns when ring will
	// not be called again, so that ring must not call it. ctx bounds the call to
	// Watch, not the watch.
	//
	// A store that cannot notice changes returns ErrSkip; the engine then
	// rings for what it does itself and looks for the rest now and then.
	Watch(ctx context.Context, ring func(Ring)) (stop func(), err error)

	// Close gives up everything the store holds. Accounts and contents that
	// are still open fail with KindUnavailable afterwards.
	Close() error
}

// Ring says that something changed; what it was is asked with Changes and
// MailboxChanges. Ringing twice, late or for nothing is harmless; not ringing
// after a change is a defect.
type Ring struct {
	// Account is the name given to [Store.Open]; empty: anything may have
	// changed (after an overflow or a reconnect).
	Account string
	// Mailbox is the mailbox that changed; empty: the account itself did
	// (mailboxes created, renamed or deleted, subscriptions).
	Mailbox MailboxID
	// ModSeq is the number of the change, or 0 when not known.
	ModSeq ModSeq
}

// Account is one user's mail, as one identity may use it.
//
// These are the methods every store has; they are enough to serve mail read
// only. Whatever else a store can do stands in its [Capabilities].
//
// Of a mailbox that the identity may see but not read ([RightRead]), Snapshot,
// Messages and MailboxChanges are KindForbidden, and Status may be; State and
// Changes are not. One that it may not see is, for every method, as if it were not
// there.
type Account interface {
	// Capabilities returns what this account can do for this identity. The
	// value does not change while the account is open.
	Capabilities() Capabilities

	// State returns the account's present epoch and change number.
	State(ctx context.Context) (State, error)

	// Mailboxes lists the mailboxes that the identity may see, ascending by
	// name in byte order, as they were at one instant. INBOX is always among
	// them.
	Mailboxes(ctx context.Context) iter.Seq2[Mailbox, error]

	// Lookup finds a mailbox by name, compared byte for byte. KindNotFound
	// when there is none that the identity may see.
	Lookup(ctx context.Context, name string) (Mailbox, error)

	// Status returns a mailbox with its counts, all from one instant.
	// KindNotFound when the mailbox was deleted.
	Status(ctx context.Context, box MailboxID) (Status, error)

	// Snapshot returns the status and the set of UIDs from one instant. Its
	// cost should not grow with the number of messages: a store keeps the
	// set and shares it.
	Snapshot(ctx context.Context, box MailboxID) (Snapshot, error)

	// Messages lists the messages of box whose UID is in uids, ascending by
	// UID; UIDs without a message are passed over. It is a listing, not a
	// snapshot: each message is as it was at some instant after the call.
	Messages(ctx context.Context, box MailboxID, uids UIDSet) iter.Seq2[Message, error]

	// MailboxChanges returns what changed in box after since, a number of the
	// account; any since below the mailbox's creation stands for that. How far
	// back removals are known is part of the answer. It fails with KindInvalid
	// when the account never reached since.
	//
	// Of a mailbox that was deleted all messages have vanished, at the number of
	// the deletion, for as long as the store knows of it; later, or in a store
	// that does not keep that, it is KindNotFound.
	MailboxChanges(ctx context.Context, box MailboxID, since ModSeq) (MailboxChanges, error)

	// Changes returns what changed in the account after since. It fails with
	// KindHistoryGone when since is of another epoch or below the floor, and
	// with KindInvalid when since was never reached. The zero State asks for
	// everything and never fails in either way. Of a mailbox that the identity
	// may see but not read it shows only changes of the mailbox itself: it is
	// named when [Mailbox.Changed] is above since, with that as its ModSeq, no
	// counts and UIDNext 0.
	Changes(ctx context.Context, since State) (AccountChanges, error)

	// Content opens the bytes of a message, for an identity that may read it in
	// one of its places. ctx bounds the call, not the use of what was opened.
	// KindContentGone when no mailbox holds the message any more and the store
	// has let go of it, or when there never was such a message; KindForbidden,
	// or KindContentGone too, when the identity may read none of its places.
	// What was opened stays readable until closed, whatever happens to the
	// message.
	Content(ctx context.Context, id EmailID) (Content, error)

	// Close releases the account. Afterwards every method fails with
	// KindUnavailable, those of its capabilities too, except Capabilities and
	// Close itself, which may be called again; listings in progress may end so.
	// Contents that were opened, uploads, leases and holds are released by
	// their own means: they outlast the account.
	Close() error
}
