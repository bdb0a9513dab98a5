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
// use, and without a SyncState as long as the Store is. A body is asked for when a client reads it, brought into canonical form,
// and kept for a while. Its size and a hash are remembered: bytes that differ
// under the same key are a new message.
package hooks

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/bell"
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
	app       Handlers
	opts      Options
	log       *zap.Logger
	abilities abilities
	calls     *calls
	file      *stateFile // nil: memory

	bell    bell.Bell
	bodies  lru[bodyKey, *body]
	derived lru[derivedKey, []byte]
	closing chan struct{} // closed when the store is
	keepers sync.WaitGroup

	mu       sync.Mutex // guards what follows
	ended    bool
	accounts map[string]*account
	loading  map[string]chan struct{} // closed when that account is in accounts, or is not
	idle     []*account               // those that nobody has open, if they could go
}

var (
	_ mailaccess.Store         = (*Store)(nil)
	_ mailaccess.Authenticator = (*Store)(nil)
)

// New returns a Store over h. opts may be nil. It fails with KindInvalid when
// MailBoxes or MailItems is missing or a flag in the options is none, with
// KindInUse when another process has the SyncState open, and with KindUnavailable
// or KindCorrupt when it cannot be read.
func New(h Handlers, opts *Options) (*Store, error) {
	const op = "new store"
	if h.MailBoxes == nil || h.MailItems == nil {
		return nil, fail(op, mailaccess.KindInvalid, "", errors.New("MailBoxes and MailItems must be there"))
	}
	s := &Store{
		app:      h,
		closing:  make(chan struct{}),
		accounts: make(map[string]*account),
		loading:  make(map[string]chan struct{}),
	}
	if opts != nil {
		s.opts = *opts
	}
	s.opts.setDefaults()
	s.log = s.opts.Logger
	var err error
	if s.abilities, err = abilitiesOf(&h, &s.opts); err != nil {
		return nil, err
	}
	s.calls = newCalls(&s.opts, s.closing)
	s.derived.limit = derivedBytes
	s.bodies.limit = s.opts.CacheBytes
	s.bodies.dropped = func(b *body) { b.drop() }
	if s.opts.SyncState != "" {
		if s.file, err = openStateFile(s.opts.SyncState); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (o *Options) setDefaults() {
	setDefault(&o.MaxMessageSize, 64<<20)
	setDefault(&o.MaxItems, 1_000_000)
	setDefault(&o.MaxMailboxes, 10_000)
	setDefault(&o.MaxKeywords, 1_000)
	setDefault(&o.HistoryLimit, 100_000)
	setDefault(&o.Timeout, 30*time.Second)
	setDefault(&o.MaxCalls, 256)
	setDefault(&o.MaxAccountCalls, 8)
	if o.Reconcile == 0 {
		o.Reconcile = time.Minute
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Authenticate asks the application. Acting as somebody else is refused.
func (s *Store) Authenticate(ctx context.Context, l mailaccess.Login) (who mailaccess.Identity, err error) {
	const op = "authenticate"
	if err := s.usable(ctx, op); err != nil {
		return who, err
	}
	if l.Authzid != "" && l.Authzid != l.Username {
		return who, fail(op, mailaccess.KindForbidden, "", nil)
	}
	if s.app.Authenticate == nil {
		return who, fail(op, mailaccess.KindAuthFailed, "", nil)
	}
	var email string
	// A login has its own places: one that is tried over and over does not keep
	// the account's owner from working.
	_, err = s.calls.do(ctx, "login "+l.Username, &call{op: op}, func(ctx context.Context) (err error) {
		email, err = s.app.Authenticate(ctx, l.Username, l.Password)
		if err != nil && l.Password != "" && strings.Contains(err.Error(), l.Password) {
			return fail(op, mailaccess.KindOf(appError(op, "", err)), "", nil)
		}
		return appError(op, "", err)
	})
	switch {
	case err != nil:
		return who, err
	case email == "" || len(email) > maxText:
		return who, fail(op, mailaccess.KindAuthFailed, "", nil)
	}
	return mailaccess.Identity{User: l.Username, Account: email}, nil
}

// Open opens the account of that name, which is what Handlers.Authenticate
// returned, and compares its list of mailboxes with the application.
func (s *Store) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	const op = "open"
	if err := s.usable(ctx, op); err != nil {
		return nil, err
	}
	a, err := s.acquire(ctx, op, account)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	n := a.hint()
	a.mu.Unlock()
	if err := a.freshenList(ctx, op, n); err != nil {
		s.release(a)
		return nil, err
	}
	return a.open(who, n), nil
}

// Watch registers a listener. There may be several. It rings for what was done
// through the store, and for what comparing with the application has found.
func (s *Store) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	if err := s.usable(ctx, "watch"); err != nil {
		return nil, err
	}
	return s.bell.Add(ring), nil
}

// Push is a hint that something has changed in an account: in the mailboxes of
// these names, or, when there are none, anywhere. It returns at once and may be
// called from within any function of the application. What has changed is
// whatever MailItems then says. An account that nobody has open needs no hint.
func (s *Store) Push(email string, mailboxes ...string) {
	s.mu.Lock()
	a := s.accounts[email]
	if a != nil && a.refs == 0 {
		a = nil
	}
	s.mu.Unlock()
	if a != nil {
		a.pushed(mailboxes)
	}
}

// Sync compares mailboxes with the application, as Push makes happen, and returns
// when that is done. Without names it compares all. Unlike Push it must not be
// called from within a function of the application.
func (s *Store) Sync(ctx context.Context, email string, mailboxes ...string) error {
	const op = "sync"
	acc, err := s.Open(ctx, email, mailaccess.Identity{User: email, Account: email})
	if err != nil {
		return err
	}
	defer acc.Close()
	h := acc.(*handle)
	wanted := func(name string) bool {
		return len(mailboxes) == 0 || slices.ContainsFunc(mailboxes, func(w string) bool { return norm.NFC.String(w) == name })
	}
	for m, err := range h.Mailboxes(ctx) {
		if err != nil {
			return err
		}
		if !wanted(m.Name) {
			continue
		}
		if _, err := h.look(ctx, op, m.ID, 0); err != nil && !errors.Is(err, mailaccess.KindNotFound) {
			return err
		}
	}
	return nil
}

// Close gives up what the store holds. It does not wait for functions of the
// application that do not return.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return nil
	}
	s.ended = true
	close(s.closing)
	accounts := slices.Collect(maps.Values(s.accounts))
	for _, a := range accounts {
		if a.stop != nil {
			a.stop()
		}
	}
	s.mu.Unlock()
	s.keepers.Wait()
	s.bodies.clear()
	s.derived.clear()
	if s.file == nil {
		return nil
	}
	var errs []error
	for _, a := range accounts {
		errs = append(errs, a.flush())
	}
	return errors.Join(append(errs, s.file.close())...)
}

var errStoreClosed = errors.New("the store is closed")

func errClosed(op string) error {
	return fail(op, mailaccess.KindUnavailable, "", errStoreClosed)
}

func (s *Store) closed() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// usable reports why nothing can be begun now, if so.
func (s *Store) usable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, mailaccess.KindUnavailable, "", err)
	}
	if s.closed() {
		return errClosed(op)
	}
	return nil
}
