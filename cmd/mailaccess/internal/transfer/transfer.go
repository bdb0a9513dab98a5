// Package transfer carries mail from one place to another: all mailboxes with what is in
// them, flags, keywords, dates, subscriptions and special uses.
//
// A place is a [Source], and a [Destination] when mail can be put there; the packages below
// this one are the kinds of places. [Run] compares what the source has with a [Journal] of
// what was carried before, and carries the difference. Whatever interrupts it, the next run
// goes on: a message of which nobody knows whether it arrived is looked for at the
// destination, by its content, before it is carried again. A lost connection is no other
// case: the mailbox is begun anew.
//
// The source is only read. At the destination only what was carried is changed, and only
// by what changed at the source since.
package transfer

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Mailbox is a mailbox of a place.
type Mailbox struct {
	// Name has / between levels. Sources show it as [CleanName] makes it.
	Name string
	// ID stays the same as long as the keys of messages mean the same (RFC 3501, section
	// 2.3.1.1: UIDVALIDITY).
	ID string
	// Ref is the place's own name of it, for the place itself.
	Ref string
	Use mailaccess.SpecialUse
	// State is equal to that of another time when nothing in it changed; empty when that
	// is not known.
	State string
	// Messages is how many there are, or -1.
	Messages int
}

// Message is a message of a mailbox, apart from its content.
type Message struct {
	// Key names it in its mailbox for good.
	Key      string
	Flags    mailaccess.Flags
	Received time.Time // whole seconds; zero when not known
	Size     int64     // of the content in canonical form, or -1
}

// Body is the content of a message in canonical form (see [mailaccess.Content]).
type Body struct {
	// N says of which of the messages that were asked for.
	N int
	// Size is how many octets Reader yields.
	Size   int64
	Reader io.Reader
	// Err is why this one cannot be read; there is no Reader then.
	Err error
}

// Source is a place from which mail is read. Its methods are used by one goroutine.
//
// One that has a method Notes() []string tells with it what else there is to know in the end.
// One that has a method Unreadable() []string tells with it what lies there, seems to be mail, and
// cannot be listed: a run that has met any was not all of it.
//
// Errors are of the kinds of [mailaccess.Kind]: KindUnavailable for what may pass, a
// connection that was lost above all.
type Source interface {
	// Mailboxes lists the mailboxes that can hold messages, ascending by name.
	Mailboxes(ctx context.Context) ([]Mailbox, error)
	// Subscriptions lists the names that are subscribed to. KindUnsupported when the place
	// knows of none.
	Subscriptions(ctx context.Context) ([]string, error)
	// Messages lists what is in a mailbox. Each key comes once.
	Messages(ctx context.Context, box Mailbox) iter.Seq2[Message, error]
	// Read yields the contents of messages of a mailbox, each valid until the next step. Of
	// a message that is no more there, or that the place does not give, there may be none.
	Read(ctx context.Context, box Mailbox, msgs []Message) iter.Seq2[Body, error]
	// Close ends it. What was put into a destination and not flushed may be lost.
	Close() error
}

// Destination is a place into which mail is put.
type Destination interface {
	Source
	// Name returns what a mailbox would be called that another place calls name.
	Name(name string) string
	// Create makes a mailbox, whose name was returned by Name, and returns it. A use
	// that the place does not keep is passed over.
	Create(ctx context.Context, name string, use mailaccess.SpecialUse) (Mailbox, error)
	// Append puts a message into a mailbox. It reads b to its end, but an error about this
	// message alone may be told by Flush.
	Append(ctx context.Context, box Mailbox, m Message, b Body) error
	// Flush brings to the disk what was appended to box since the last call, and returns what
	// became of each, in order. After an error nobody knows what became of them; they are
	// no longer waited for in any case.
	Flush(ctx context.Context, box Mailbox) ([]Appended, error)
	// SetFlags changes the flags of messages. Messages that are no more there are passed over.
	SetFlags(ctx context.Context, box Mailbox, keys []string, change mailaccess.FlagChange) error
	// Remove removes messages. KindUnsupported when the place cannot.
	Remove(ctx context.Context, box Mailbox, keys []string) error
	// Subscribe adds a name to those that are subscribed to. KindUnsupported when the
	// place keeps none.
	Subscribe(ctx context.Context, name string) error
	// Finish brings all to the disk, in its final place.
	Finish(ctx context.Context) error
}

// ErrOver is among the errors of a destination into which nothing more can be put.
var ErrOver = errors.New("the destination cannot be written any more")

// Appended is what became of a message: an error, or its key, which is empty when the place
// does not say.
type Appended struct {
	Key string
	Err error
}
