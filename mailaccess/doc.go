// Package mailaccess is the contract between mail and the protocols that serve
// it. Whoever has mail somewhere implements it once and gets IMAP, POP3 and
// whatever comes next; package engine builds on it what protocols share.
//
// # What to implement
//
// A [Store] opens an [Account] for an [Identity]. An Account lists mailboxes and
// messages, says what changed since some number, and opens contents: those
// fourteen methods are all that a store must have, and make a mail server that
// reads. Whatever else it can do it names in [Capabilities], one small interface
// each:
//
//	Append         Appender        take messages in
//	Flags          FlagSetter      change flags
//	Expunge        Expunger        remove messages
//	Copy, Move     Copier, Mover   copy and move within the account
//	Replace        Replacer        put a message in the place of another
//	Mailboxes      MailboxManager  create, rename and delete mailboxes
//	Subscriptions  Subscriber      the user's subscribed names
//	Search         Searcher        find faster than by reading everything
//	Derived        DerivedCache    keep what front-ends derived from contents
//	Lease          Leaser          exclusive leases across processes
//	Recent         RecentKeeper    what no session was told of yet
//	Locate         Locator         find messages by content
//	UniqueIDs      UniqueIDKeeper  unique-ids of a server before
//	Hold           Holder          be told which mailboxes are in use
//
// Package storetest proves a store: storetest.Run(t, newStore).
//
// # Numbers
//
// Each account has one counter of change numbers ([ModSeq]). A transaction takes
// one number, above all earlier ones, and everything that it changes shares it; a
// transaction that changes nothing takes none. Commits become visible in the
// order of their numbers: whoever has seen N (in a status, a message, a ring, an
// answer) never later finds a new change at or below N. A store that hands out
// numbers before it commits must therefore commit in order, or hold back what it
// shows until all lower numbers are in.
//
// A mailbox's number is that of its last change: a flag, an arrival, a removal,
// its own name. Removed messages leave [Vanished] entries, deleted mailboxes
// [DeletedMailbox] entries. A store may forget old ones and says up to where: below
// that floor consumers compare sets of UIDs ([MailboxChanges]), or begin anew
// ([Account].Changes: KindHistoryGone).
//
// UIDs ascend strictly within a mailbox in the order of arrival and are never
// used twice, whatever crashed (RFC 3501, section 2.3.1.1). A store that cannot
// keep that promise gives the mailbox a new UIDVALIDITY. A store that lost its
// history takes a new epoch ([State]): its counter goes on above every number
// that was ever shown (when that is lost too: from the microseconds since 1970),
// every message takes a new number, and the floor is there.
//
// # Promises
//
// A nil error means done, and durable where [Capabilities] says so.
//
//	Append, Copy               all or none, in one transaction
//	SetFlags, Expunge, Move    each message whole; perhaps several transactions;
//	                           the result says what was done, error or not
//	mailbox changes            one transaction
//
// KindUncertain means that it happened whole or not at all, and that nobody
// knows; the caller reads again. Any other error of an all-or-none call means
// that nothing happened. Ending a context stops waiting and reading (the error
// is the context's, or KindUnavailable), but has no effect on a commit that has
// begun. Whoever made a change sees it in every call that starts after it
// returned; so does everybody else after the ring.
//
// # Listings
//
// Listings are iterators. A store reads them in batches and yields outside its
// locks and transactions: the loop may take as long as a slow client, may call
// any method of the account, and may stop at any point. An error ends a listing:
// it is yielded once, with a zero value, last.
//
// # Rings
//
// A store rings after the commit ([Store.Watch]), holding no lock. A ring carries
// no change, only that there is one. The order for every consumer is: watch,
// snapshot, work, then again and again the changes since the snapshot.
//
// # Rights and limits
//
// The store enforces what the [Identity] may do ([Rights]) and answers
// KindForbidden; front-ends only show it. Quotas and limits on size are the
// store's as well.
package mailaccess
