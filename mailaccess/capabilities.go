package mailaccess

import (
	"context"
	"io"
	"iter"
	"time"
)

// Capabilities is what an account can do beyond [Account]. The store fills it
// in when the account opens; nobody type-asserts. A nil field means that the
// store cannot, and front-ends do not offer it or answer with a clear refusal.
//
// A store that wraps another one builds its own value and names each field that
// it lets pass; it never copies the inner value whole, or an inner way around
// the wrapper would show through.
type Capabilities struct {
	// Durable: when a change returned nil it survives a crash and, as far as
	// the store's documentation promises, a loss of power.
	Durable bool
	// RetainsExpunged: the content of a message that was expunged, or went with its
	// mailbox, stays readable, by its EmailID, for every account that was opened
	// before, until that is closed. Of what somebody restores or takes away behind
	// the contract's back nothing is promised.
	RetainsExpunged bool

	// MaxMessageSize is the largest message that the store takes, in octets;
	// 0 when there is no limit but what fits.
	MaxMessageSize int64
	// SystemFlags are the system flags that can be changed and are kept.
	SystemFlags SystemFlags
	// NewKeywords: keywords can be changed and are kept.
	NewKeywords bool
	// SavedDates: every message has the date at which it came into its mailbox
	// ([Message.Saved]). Otherwise nobody looks at those that there may be.
	SavedDates bool
	// Threads: every message has a thread ([Message.ThreadID]). Otherwise nobody
	// looks at those that there may be.
	Threads bool

	Append     Appender
	AppendMany bool // Append takes more than one message at once
	Flags      FlagSetter
	Expunge    Expunger
	Copy       Copier
	CopyMany   bool // Copy takes more than one message at once
	Move       Mover
	Replace    Replacer

	Mailboxes     MailboxManager
	Subscriptions Subscriber

	Search  Searcher
	Derived DerivedCache
	Lease   Leaser
	Recent  RecentKeeper
	Locate  Locator
	// UniqueIDs is there where another server kept the mail before.
	UniqueIDs UniqueIDKeeper
	Hold      Holder
}

// Appender takes messages in. Upload and commit are apart: what was staged and
// not committed vanishes.
type Appender interface {
	// Stage begins an upload. size is the expected length in octets, or -1;
	// a store may refuse early with KindTooBig or KindOverQuota. No lock is
	// held while the upload lasts; ctx bounds the call, not the upload.
	Stage(ctx context.Context, size int64) (Staged, error)

	// Append puts messages into box: all or none, in one transaction, with
	// ascending UIDs in the order given. It returns them as they now are.
	// More than one is taken only with [Capabilities.AppendMany], else
	// KindUnsupported. A Staged that stands in msgs twice becomes two messages
	// with one EmailID. Flags that the identity may not set are left out
	// (RFC 4314, section 4). Errors: KindNotFound (the mailbox), KindForbidden,
	// KindOverQuota, KindTooBig, KindLimit, KindUncertain.
	Append(ctx context.Context, box MailboxID, msgs []NewMessage) (Appended, error)
}

// Staged is an upload. It is used by one goroutine at a time, belongs to the
// account (by any session of it), and lasts until closed: it may be appended again,
// to another mailbox or after an error, and is one content with one EmailID.
type Staged interface {
	// Write adds octets, which the caller has made canonical.
	io.Writer
	// Size is how many octets were written.
	Size() int64
	// Content opens what was written so far for reading. Writing after it is
	// KindInvalid.
	Content() (Content, error)
	// Close discards the upload unless it was appended. It may be called more
	// than once, and must be called in the end even after an append.
	Close() error
}

// NewMessage is a message to append.
type NewMessage struct {
	Staged Staged
	Flags  Flags
	// Received is the internal date; zero: now.
	Received time.Time
}

// Appended is the outcome of an append.
type Appended struct {
	UIDValidity uint32
	Messages    []Message
}

// FlagSetter changes flags.
type FlagSetter interface {
	// SetFlags applies change to each message of box in uids. UIDs without a
	// message are passed over. A message whose flags would not differ is left
	// alone and takes no number. When unchangedSince is not [AnyModSeq], a
	// message whose number is above it is left alone and reported in
	// Conflict (RFC 7162, section 3.1.3).
	//
	// Each message is changed whole; many may be done in several
	// transactions with others in between. On an error the result says what
	// was done, and names among the conflicts only those that were found.
	// Flags that the store does not keep are passed over, also when there are
	// no others: nil, and nothing done. Of the rest, flags that the identity
	// may not change are passed over too, unless that is all of them:
	// KindForbidden (RFC 4314, section 4). Keywords over a limit of the store
	// are KindLimit.
	// Errors: KindNotFound (the mailbox), KindForbidden, KindLimit,
	// KindUncertain.
	SetFlags(ctx context.Context, box MailboxID, uids UIDSet, change FlagChange, unchangedSince ModSeq) (FlagResult, error)
}

// AnyModSeq as unchangedSince makes a change unconditional.
const AnyModSeq = MaxModSeq + 1

// FlagResult is the outcome of a flag change.
type FlagResult struct {
	// Changed are the messages whose flags now differ, by transaction.
	Changed []Commit
	// Conflict are those that had changed since unchangedSince.
	Conflict UIDSet
}

// Expunger removes messages for good.
type Expunger interface {
	// Expunge removes from box each message in uids that has all flags of
	// need (0: whatever flags it has), tested in the same transaction. UIDs
	// without a message are passed over. Many may be done in several
	// transactions; on an error the result says what was done. Errors:
	// KindNotFound (the mailbox), KindForbidden, KindUncertain.
	Expunge(ctx context.Context, box MailboxID, uids UIDSet, need SystemFlags) ([]Commit, error)
}

// Copier copies messages within the account.
type Copier interface {
	// Copy copies the messages of src in uids to dst: all or none, in one
	// transaction, flags and received date kept, with ascending UIDs in the
	// order of the source. UIDs without a message are passed over; when none
	// is left nothing happens. More than one message is taken only with
	// [Capabilities.CopyMany], else KindUnsupported. src and dst may be the
	// same. Errors: KindNotFound with Mailbox the one that is missing,
	// KindForbidden, KindOverQuota, KindLimit, KindUncertain.
	Copy(ctx context.Context, src MailboxID, uids UIDSet, dst MailboxID) (Copied, error)
}

// Copied is the outcome of a copy or a move: the n-th UID of Source became the
// n-th UID of Dest.
type Copied struct {
	UIDValidity  uint32 // of the destination
	Source, Dest UIDSet
}

// Mover moves messages within the account, which without it is done by copying
// and expunging one after another.
type Mover interface {
	// Move is Copy and removal from src as one: each message is at any
	// instant in exactly one of the two. src and dst must differ, else
	// KindInvalid. Many may be done in several transactions; on an error the
	// result says what was done. It may return ErrSkip before anything was
	// done.
	Move(ctx context.Context, src MailboxID, uids UIDSet, dst MailboxID) (Copied, error)
}

// Replacer puts a message in the place of another, which without it is done by
// appending and expunging one after the other.
type Replacer interface {
	// Replace appends m to dst and removes uid from src as one transaction, under one
	// number: both or neither. Nothing of the old message passes to the new one. What
	// the old one took up counts for the new one where there is a quota. src and dst
	// may be the same. Errors: KindContentGone when src has no such message (any
	// more), and those of Append; of KindNotFound with Mailbox the one that is
	// missing. It may return ErrSkip before anything was done.
	Replace(ctx context.Context, src MailboxID, uid UID, dst MailboxID, m NewMessage) (Appended, error)
}

// MailboxManager changes the set of mailboxes. A store that can do only some of
// it answers the rest with KindUnsupported.
type MailboxManager interface {
	// CreateMailbox makes an empty mailbox. Levels above it need not exist and
	// are not made; front-ends make them, one by one and after it, where their
	// protocol says so. Errors: KindExists, KindInvalid (a name that the store cannot
	// keep), KindUnsupported (the use), KindForbidden, KindLimit.
	CreateMailbox(ctx context.Context, name string, use SpecialUse) (Mailbox, error)
	// RenameMailbox gives a mailbox another name, and with it every mailbox
	// below it, in one transaction; ids and UIDVALIDITY stay. Levels above the
	// new name need not exist and are not made. INBOX is KindForbidden; a taken
	// name among the new ones is KindExists, and so is the mailbox's own; a name
	// that the same rename leaves is free (a/b to a, where there is a/b/b). A new
	// name below the old one is KindInvalid.
	RenameMailbox(ctx context.Context, box MailboxID, name string) error
	// DeleteMailbox removes a mailbox and all messages in it; those below it
	// stay. INBOX is KindForbidden. Subscriptions are not touched (RFC 3501,
	// section 6.3.6).
	DeleteMailbox(ctx context.Context, box MailboxID) error
}

// Subscriber keeps the set of names that the user subscribed to. A name outlives
// its mailbox, and need not have one.
type Subscriber interface {
	// Subscriptions lists the names, ascending in byte order.
	Subscriptions(ctx context.Context) iter.Seq2[string, error]
	// Subscribe adds a name to the set or takes it out. Doing so twice is no
	// error and takes no change number.
	Subscribe(ctx context.Context, name string, on bool) error
}

// Searcher searches faster than reading every message would be.
type Searcher interface {
	// Search returns UIDs of messages of box that may match e, or ErrSkip; that
	// is the answer to a type of expression that it does not know, anywhere in
	// e. It may return more than those that match (unless Exact), never fewer among
	// the messages that did not change after UpTo.
	Search(ctx context.Context, box MailboxID, e Expr) (Found, error)
}

// Found is the outcome of a search.
type Found struct {
	UIDs  UIDSet
	Exact bool
	// UpTo is the mailbox's change number to which the answer holds.
	UpTo ModSeq
}

// DerivedCache keeps bytes that front-ends derived from contents. The store does
// not look into them, may lose any of them at any time, and never syncs them.
type DerivedCache interface {
	// Derived yields what is kept under kind for those of ids that have it, in
	// any order. The bytes are valid until the next step of the loop.
	Derived(ctx context.Context, kind DerivedKind, ids []EmailID) iter.Seq2[Derived, error]
	// PutDerived keeps items under kind, replacing what was there.
	PutDerived(ctx context.Context, kind DerivedKind, items []Derived) error
}

// DerivedKind names what was derived and by which version of the code, as
// "mime/1": another version is another kind. 1 to 32 octets of A-Z a-z 0-9 / _ -.
type DerivedKind string

// Valid reports whether k has that form.
func (k DerivedKind) Valid() bool {
	if len(k) < 1 || len(k) > 32 {
		return false
	}
	for i := range len(k) {
		switch c := k[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '/', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Derived is a derived value, at most [MaxDerived] octets.
type Derived struct {
	ID    EmailID
	Bytes []byte
}

// MaxDerived is the longest derived value, in octets. Longer ones are dropped.
const MaxDerived = 1 << 20

// Leaser gives out exclusive leases across processes. Without it the engine
// keeps them within the process.
type Leaser interface {
	// Lease takes the lease called name on this account for ttl, or fails with
	// KindInUse. A lease is advice: it stops other leases and nothing else.
	Lease(ctx context.Context, name string, ttl time.Duration) (Lease, error)
}

// Lease is an exclusive right for some time.
type Lease interface {
	// Refresh makes the lease last for its ttl from now; KindNotFound when it
	// ran out meanwhile.
	Refresh(ctx context.Context) error
	// Release gives it up. It may be called more than once.
	Release() error
}

// RecentKeeper keeps, for each mailbox, the UID from which on no session was told
// of a message yet (RFC 3501, section 2.3.2: \Recent).
type RecentKeeper interface {
	// Recent returns that UID.
	Recent(ctx context.Context, box MailboxID) (UID, error)
	// ClaimRecent returns it and moves it up to UIDNEXT, as one. It takes no
	// change number. Whoever claims looks afterwards: what it sees from the
	// returned UID on is its own.
	ClaimRecent(ctx context.Context, box MailboxID) (UID, error)
}

// Locator finds messages by content, for protocols that name messages so
// (RFC 8621, section 4).
type Locator interface {
	// Locate yields every place of every message in ids, in any order.
	Locate(ctx context.Context, ids []EmailID) iter.Seq2[Location, error]
}

// Location is a place of a message.
type Location struct {
	ID      EmailID
	Mailbox MailboxID
	UID     UID
}

// UniqueIDKeeper knows the unique-ids (RFC 1939, section 7) of messages that POP3 clients
// know from a server that kept the mail before. Other messages have none of their own.
type UniqueIDKeeper interface {
	// UniqueIDs yields those of the messages of box in uids that have one, ascending by
	// UID. No two messages of a mailbox have the same.
	UniqueIDs(ctx context.Context, box MailboxID, uids UIDSet) iter.Seq2[UniqueID, error]
}

// UniqueID is the unique-id of a message: 1 to 70 octets from 0x21 to 0x7E.
type UniqueID struct {
	UID UID
	ID  string
}

// Holder is told which mailboxes are in use, so that the store may watch them
// closely and keep them loaded.
type Holder interface {
	// Hold says that box is in use until release is called, once.
	Hold(ctx context.Context, box MailboxID) (release func(), err error)
}
