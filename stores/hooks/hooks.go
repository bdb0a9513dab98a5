// Package hooks serves an application's own mail: fill in [Handlers], and [New]
// makes of them a store and an authenticator for any protocol. Nothing in what an
// application writes mentions a protocol.
//
//	store, err := hooks.New(hooks.Handlers{
//		Authenticate: func(ctx context.Context, username, password string) (email string, err error) { ... },
//		MailBoxes:    func(ctx context.Context, email string, q hooks.BoxQuery) ([]hooks.Box, error) { ... },
//		MailItems:    func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] { ... },
//	}, nil)
//
// # What the application need not know
//
// It names messages by keys of its own. UIDs, UIDVALIDITY, change numbers, what
// has vanished, subscriptions and what is recent are kept by the Store, in memory
// or in a file ([Options].SyncState). The Store compares what it keeps with what
// MailBoxes and MailItems say: when an account is opened, after [Store.Push], and
// at intervals while somebody looks at a mailbox. Differences become changes with
// a number, all of one comparison together; no difference costs nothing.
//
// What clients change is told to the application first, message by message, and
// recorded when it has agreed.
//
// # What it costs
//
// Of each message about 300 octets are kept in memory while its account is in
// use. A body is asked for when a client reads it, brought into canonical form,
// and kept for a while. Its size and a hash are remembered: bytes that differ
// under the same key are a new message.
package hooks

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Options say how a Store behaves. The zero value of each field is its default.
type Options struct {
	// SyncState is the path of the file that keeps what the application does
	// not know. Empty: memory, and after a restart every client begins anew.
	// One process has it open at a time.
	SyncState string
	// Durable says that what the application's functions did survives a crash
	// when they returned nil. With a SyncState the store then promises the same.
	Durable bool

	// Flags are those that the application keeps, as in [Item]; * stands for
	// any keyword. nil: all system flags and any keyword.
	Flags []string
	// MaxMessageSize is the largest message that is taken or read, in octets; 0:
	// 64 MiB.
	MaxMessageSize int64
	// MaxItems is how many messages a mailbox has at most; 0: 1,000,000. A
	// mailbox with more cannot be read.
	MaxItems int
	// MaxMailboxes is how many mailboxes an account has at most, and how many
	// subscriptions; 0: 10,000.
	MaxMailboxes int
	// MaxKeywords is how many different keywords a mailbox has; 0: 1,000.
	MaxKeywords int
	// HistoryLimit is how many removals a mailbox remembers, and how many
	// deleted mailboxes an account; 0: 100,000. When there are more, the older
	// half is forgotten.
	HistoryLimit int

	// Reconcile is how often a mailbox that somebody looks at is compared with
	// the application, which finds what was changed without a Push; 0: one
	// minute; below 0: never.
	Reconcile time.Duration
	// Timeout is how long a function of the application may take, and how long
	// MailItems may take from one item to the next; 0: 30 seconds.
	Timeout time.Duration
	// MaxCalls is how many functions of the application run at the same time,
	// MaxAccountCalls how many of them for one account, those included that
	// were abandoned and have not returned; 0: 256 and 8. Further calls wait.
	MaxCalls, MaxAccountCalls int

	// CacheBytes is how many octets of bodies are kept after use, the small ones
	// in memory, the others in files; 0: 64 MiB; below 0: none.
	CacheBytes int64
	// TempDir is where large bodies lie while they are used; empty: the
	// directory of the operating system.
	TempDir string

	// Logger gets what an application's author should know: panics with their
	// stack, calls that were abandoned, items that cannot be shown. Never
	// content or passwords. nil: silence.
	Logger *zap.Logger
}

// Store is a mail store and an authenticator over an application's functions.
type Store struct {
	app  Handlers
	opts Options
}

var (
	_ mailaccess.Store         = (*Store)(nil)
	_ mailaccess.Authenticator = (*Store)(nil)
)

// New returns a Store over h. opts may be nil. It fails with KindInvalid when
// MailBoxes or MailItems is missing or a flag in the options is none, and when
// SyncState cannot be opened.
func New(h Handlers, opts *Options) (*Store, error) {
	s := &Store{app: h}
	if opts != nil {
		s.opts = *opts
	}
	if h.MailBoxes == nil || h.MailItems == nil {
		return nil, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "new store", Err: errors.New("MailBoxes and MailItems must be there")}
	}
	return s, nil
}

// Authenticate asks the application. Acting as somebody else is refused.
func (s *Store) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	return mailaccess.Identity{}, errLater
}

// Open opens the account of that name, which is what Handlers.Authenticate
// returned.
func (s *Store) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	return nil, errLater
}

// Watch registers a listener. There may be several.
func (s *Store) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	return nil, errLater
}

// Push is a hint that something has changed in an account: in the mailboxes of
// these names, or, when there are none, anywhere. It returns at once and may be
// called from within any function of the application. What has changed is
// whatever MailItems then says. An account that nobody has open needs no hint.
func (s *Store) Push(email string, mailboxes ...string) {}

// Sync compares mailboxes with the application, as Push makes happen, and returns
// when that is done. Without names it compares all.
func (s *Store) Sync(ctx context.Context, email string, mailboxes ...string) error { return errLater }

// Close gives up what the store holds. It does not wait for functions of the
// application that do not return.
func (s *Store) Close() error { return nil }

var errLater = &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "hooks"}
