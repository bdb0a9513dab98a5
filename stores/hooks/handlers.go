package hooks

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Handlers are the functions with which an application serves its mail. MailBoxes
// and MailItems must be there; with Authenticate they make a server that reads.
// Each further function switches on what it makes possible; what is left out is
// not offered to clients.
//
// email is what Authenticate returned: the name of an account. The functions are
// called from several goroutines at once, though never twice at a time to change
// the same mailbox (unless the first was abandoned). They must not call the [Store],
// but for Push.
//
// # Errors
//
// An error that is or wraps a [mailaccess.Kind] keeps its kind, and clients get
// the answer that belongs to it: mailaccess.KindNotFound for what is not there,
// KindForbidden, KindOverQuota, KindTooBig and so on. Any other error counts as
// [mailaccess.KindUnavailable]: not now. A function that changes something returns
// an error only when nothing was changed, or mailaccess.KindUncertain when it
// cannot tell. Errors may be logged: they should hold no content.
//
// A function that panics fails with [mailaccess.KindInternal], and harms nothing
// else. One that takes longer than [Options].Timeout is abandoned: its context
// ends, its result is not waited for, and while too many such calls of an account
// have not returned, the account refuses further ones.
type Handlers struct {
	// Authenticate returns the name of the account, usually a mail address,
	// that belongs to a user name and a password. An empty name without an
	// error refuses them, as does an error that is mailaccess.KindAuthFailed;
	// any other error means that it cannot be found out now, and clients do not
	// ask for another password. The name should be normalised: the same account always has the same
	// name. Without this function nobody is let in.
	Authenticate func(ctx context.Context, username, password string) (email string, err error)

	// MailBoxes returns the mailboxes of an account, in any order. INBOX need
	// not be among them: every account has one. An account that does not exist
	// is mailaccess.KindNotFound.
	MailBoxes func(ctx context.Context, email string, q BoxQuery) ([]Box, error)

	// MailItems yields the messages of one mailbox, in the order in which they
	// arrived as far as that is known: clients show new ones in this order. It
	// is the truth: what it does not yield any more has been removed. It may
	// read as it goes; it is ranged over once. An error ends it, and then
	// nothing that was yielded counts.
	//
	// The query says what is wanted. It may be ignored: yielding too much is
	// never wrong.
	MailItems func(ctx context.Context, email string, q ItemQuery) iter.Seq2[Item, error]

	// AddMailItem keeps a message and returns its key. It makes possible:
	// APPEND, delivery, and copying messages one by one.
	AddMailItem func(ctx context.Context, email string, item NewItem) (key string, err error)

	// UpdateMailItem changes the flags of a message. It makes possible: setting
	// flags, and, when RemoveMailItem is missing, removing messages.
	UpdateMailItem func(ctx context.Context, email string, c Change) error

	// AddMailItems keeps several messages of one mailbox, all or none, and
	// returns their keys in the same order. It makes possible: appending and
	// copying several messages at once.
	AddMailItems func(ctx context.Context, email string, items []NewItem) (keys []string, err error)

	// RemoveMailItem removes a message for good. One that is not there any more
	// is no error.
	RemoveMailItem func(ctx context.Context, email string, item Ref) error

	// MoveMailItem moves a message to the mailbox called to and returns its key
	// there, which may be the same. Without it moving is copying and removing.
	MoveMailItem func(ctx context.Context, email string, item Ref, to string) (key string, err error)

	// OpenMailItem opens the bytes of a message, as [Item].Open would. With it
	// MailItems need not give bodies.
	OpenMailItem func(ctx context.Context, email string, item Ref) (io.ReadCloser, error)

	// CreateMailBox makes an empty mailbox: b has its name and use.
	CreateMailBox func(ctx context.Context, email string, b Box) error
	// RenameMailBox gives another name to a mailbox, and with it to every
	// mailbox below it (those whose names begin with from and a /).
	RenameMailBox func(ctx context.Context, email, from, to string) error
	// DeleteMailBox removes a mailbox and all messages in it. Those below it
	// stay.
	DeleteMailBox func(ctx context.Context, email, name string) error
}

// Box is a mailbox as the application has it.
type Box struct {
	// Name is UTF-8 with / between levels, as mailaccess.CheckMailboxName says;
	// INBOX is in capitals. Boxes with other names are left out.
	Name string
	// Use says what the mailbox is for, as mailaccess.UseSent; 0 for most.
	Use mailaccess.SpecialUse
	// Key, if given, names the mailbox for ever, so that a rename by the
	// application is one to clients too. Otherwise it is a removal and a new
	// mailbox. At most 1024 octets.
	Key string
	// Version, if given, is another one whenever anything in the mailbox has
	// changed: a counter, a time, a hash. As long as it stays the same,
	// MailItems is not asked again. At most 1024 octets.
	Version string
}

// BoxQuery says which mailboxes are wanted. At present all are, always.
type BoxQuery struct{}

// Ref names a message: by its mailbox and its key there.
type Ref struct {
	Mailbox string
	Key     string
}

// Item is a message as the application has it.
type Item struct {
	// Key names the message in its mailbox, as long as it is there: a row's id,
	// a file's name. 1 to 1024 octets of any kind.
	Key string
	// Flags are the message's flags, in any order and any case: [Seen],
	// [Answered], [Flagged], [Deleted], [Draft], and keywords such as
	// $Forwarded. What cannot be a flag is left out.
	Flags []string
	// Received is when the message came in; zero: when it was first seen. It
	// is remembered: a later change of it is ignored.
	Received time.Time

	// Revision, if given, changes when the bytes of the message do, and only
	// then: a hash, an ETag. Bytes that have changed make a new message. Without
	// a Revision that is noticed by another Size, by a Body that a listing gives
	// unasked, or only when the bytes are asked for again: an application whose
	// messages may change gives one. At most 1024 octets.
	Revision string
	// Size, if known, is the length of the message with CRLF at the end of each
	// line, in octets; 0: not known, and it is measured when the message is
	// first read. Clients of POP3 want all sizes at once.
	Size int64

	// The bytes of the message, as one of these; the first that is not nil
	// counts. Lines may end in LF or CRLF. They are asked for only by queries
	// with [FieldBody]. Reader is read before the loop goes on; Open may be
	// called after it, and what it returned is closed.
	Body   []byte
	Reader io.Reader
	Open   func(ctx context.Context) (io.ReadCloser, error)

	// Gone, in an answer that began with [ChangesOnly]: the message is not there
	// any more. Of its other fields only Key counts.
	Gone bool

	changesOnly bool
}

// The system flags, as [Item], [NewItem] and [Change] have them. Any other word
// is a keyword.
const (
	Seen     = `\Seen`
	Answered = `\Answered`
	Flagged  = `\Flagged`
	Deleted  = `\Deleted`
	Draft    = `\Draft`
)

// ItemQuery says which messages are wanted, and what of them.
type ItemQuery struct {
	// Mailbox is the name of the mailbox, as MailBoxes gave it; INBOX also
	// when MailBoxes did not name it.
	Mailbox string
	// Keys, if not empty, are the only messages that are wanted.
	Keys []string
	// Fields are what is wanted besides the keys. Whatever else is there does no
	// harm.
	Fields Fields
	// Since, if not empty, is the Version of the mailbox up to which everything
	// is known. An application that can tell what has changed since may answer
	// with that alone, if it says so: see [ChangesOnly].
	Since string
}

// Fields is a set of fields of an [Item].
type Fields uint8

// The fields.
const (
	FieldFlags    Fields = 1 << iota
	FieldReceived        // and Size
	FieldRevision
	FieldBody // Body, Reader or Open
)

// Has reports whether f holds all of want.
func (f Fields) Has(want Fields) bool { return f&want == want }

// ChangesOnly returns the item with which an answer to a query with Since begins
// that has only what changed since: new and changed items, and those that were
// removed, with Gone. Yielding too many is no harm.
func ChangesOnly() Item { return Item{changesOnly: true} }

// NewItem is a message to be added.
type NewItem struct {
	Mailbox  string
	Flags    []string
	Received time.Time // never zero
	// Body is the message. Each line ends in CRLF; the length is Body.Size().
	// It can be read until the function returns.
	Body *io.SectionReader
	// CopyOf names the message of which this is a copy; its Key is empty for
	// any other.
	CopyOf Ref
}

// Change is a change of a message's flags.
type Change struct {
	Ref
	// Add and Remove are flags as in [Item]. Add has none that the message had,
	// Remove none that it had not, as far as the adapter knew.
	Add, Remove []string
	// Expunge says that the message shall be gone for good. \Deleted has been
	// added then. An application may remove it, or keep it with that flag: as
	// long as MailItems yields it with \Deleted it is not shown again.
	Expunge bool
}
