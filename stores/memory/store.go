// Package memory is a mail store that keeps everything in memory and forgets it
// when the process ends. It is the reference for the contract: it implements
// every capability, and is meant for tests, demonstrations and as an example of
// what other stores do with files or tables.
//
// # How it is kept
//
// One mutex per account guards everything in the account and is held for short
// and bounded times: a large change is done in transactions of a few thousand
// messages where the contract allows it, and a listing takes its messages in
// batches. A transaction takes its number and becomes visible under that mutex,
// so that numbers become visible in order; it rings after letting go of it.
//
// Each mailbox keeps its messages in UID order in chunks (see table), its sets of
// UIDs as immutable sets that snapshots share, and a short log of changes.
//
// # A restart
//
// All is lost in a restart, so that a new Store has a new epoch, starts change
// numbers from the microseconds since 1970 and UIDVALIDITY from the seconds:
// a client that remembers something finds out that it is over.
package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/internal/bell"
)

// Options say how a Store behaves. The zero value of each field is its default.
type Options struct {
	// KnownAccountsOnly makes Open fail with KindNotFound for an account that
	// [Store.AddAccount] did not add. Otherwise the first Open creates it.
	KnownAccountsOnly bool
	// RetainExpunged keeps the content of a removed message readable for as
	// long as any Account is open that was opened before the removal. It
	// costs the memory of all that is removed while somebody stays.
	RetainExpunged bool

	// MaxMessageSize is the largest message, in octets; 0: 64 MiB.
	MaxMessageSize int64
	// Quota is how many octets of content an account holds, copies counted
	// once; 0: no limit.
	Quota int64
	// MaxMailboxes is how many mailboxes an account has, and also how many
	// subscriptions; 0: 10,000.
	MaxMailboxes int
	// MaxKeywords is how many different keywords a mailbox has; 0: 1,000.
	MaxKeywords int
	// HistoryLimit is how many removals a mailbox remembers, and how many
	// deleted mailboxes an account; 0: 100,000. When there are more, the
	// older half is forgotten.
	HistoryLimit int
	// DerivedBytes is how much an account keeps of what front-ends derived,
	// in octets; 0: 256 MiB, which hold the envelopes, structures, sort and
	// thread keys and previews of 170,000 messages of some parts, of 1.6 KB each.
	DerivedBytes int64
}

// Store is a mail store in memory.
type Store struct {
	opts  Options
	epoch string
	tag   string // part of every id, so that ids differ between runs

	closed atomic.Bool
	bell   bell.Bell

	mu       sync.Mutex // guards accounts
	accounts map[string]*account
}

var _ mailaccess.Store = (*Store)(nil)

// New returns an empty store. opts may be nil.
func New(opts *Options) *Store {
	s := &Store{epoch: rand.Text(), accounts: make(map[string]*account)}
	s.tag = s.epoch[:8]
	if opts != nil {
		s.opts = *opts
	}
	setDefault(&s.opts.MaxMessageSize, 64<<20)
	setDefault(&s.opts.MaxMailboxes, 10_000)
	setDefault(&s.opts.MaxKeywords, 1_000)
	setDefault(&s.opts.HistoryLimit, 100_000)
	setDefault(&s.opts.DerivedBytes, 256<<20)
	return s
}

func setDefault[T int | int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Open opens an account, and creates it with an INBOX unless the options say
// otherwise.
func (s *Store) Open(ctx context.Context, name string, who mailaccess.Identity) (mailaccess.Account, error) {
	const op = "open"
	if err := s.usable(ctx, op); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.accounts == nil {
		s.mu.Unlock()
		return nil, errClosed(op)
	}
	a := s.accounts[name]
	if a == nil && name != "" && !s.opts.KnownAccountsOnly {
		a = s.create(name)
	}
	s.mu.Unlock()
	if a == nil {
		return nil, fail(op, mailaccess.KindNotFound, "", nil)
	}
	return a.open(who), nil
}

// AddAccount creates an account with an INBOX. It fails with KindExists when
// there is one, and with KindInvalid for an empty name.
func (s *Store) AddAccount(name string) error {
	const op = "add account"
	if err := s.usable(context.Background(), op); err != nil {
		return err
	}
	if name == "" {
		return fail(op, mailaccess.KindInvalid, "", errors.New("the name is empty"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts == nil {
		return errClosed(op)
	}
	if s.accounts[name] != nil {
		return fail(op, mailaccess.KindExists, "", nil)
	}
	s.create(name)
	return nil
}

// create makes an account. s.mu is held.
func (s *Store) create(name string) *account {
	a := newAccount(s, name, time.Now())
	s.accounts[name] = a
	return a
}

// find returns an account that exists.
func (s *Store) find(op, name string) (*account, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.accounts[name]; a != nil {
		return a, nil
	}
	return nil, fail(op, mailaccess.KindNotFound, "", nil)
}

// Watch registers a listener. There may be several.
func (s *Store) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	if err := s.usable(ctx, "watch"); err != nil {
		return nil, err
	}
	return s.bell.Add(ring), nil
}

// Close forgets everything.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = nil
	return nil
}

// usable reports why nothing can be begun now, if so.
func (s *Store) usable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, mailaccess.KindUnavailable, "", err)
	}
	if s.closed.Load() {
		return errClosed(op)
	}
	return nil
}

func errClosed(op string) error {
	return fail(op, mailaccess.KindUnavailable, "", errors.New("the store is closed"))
}

// Deliver puts a message into the mailbox of that name, as a delivery agent
// would. raw may have any line ends. A zero received means now. The account is
// opened as by [Store.Open].
func (s *Store) Deliver(ctx context.Context, account, mailbox string, raw []byte, flags mailaccess.Flags, received time.Time) (mailaccess.Message, error) {
	acc, err := s.Open(ctx, account, mailaccess.Identity{User: account, Account: account})
	if err != nil {
		return mailaccess.Message{}, err
	}
	defer acc.Close()
	box, err := acc.Lookup(ctx, mailbox)
	if err != nil {
		return mailaccess.Message{}, err
	}
	to := acc.Capabilities().Append
	size := len(raw) + bytes.Count(raw, []byte("\n")) - bytes.Count(raw, []byte("\r\n"))
	staged, err := to.Stage(ctx, int64(size))
	if err != nil {
		return mailaccess.Message{}, err
	}
	defer staged.Close()
	if _, err := message.NewCanonicalWriter(staged).Write(raw); err != nil {
		return mailaccess.Message{}, err
	}
	done, err := to.Append(ctx, box.ID, []mailaccess.NewMessage{{Staged: staged, Flags: flags, Received: received}})
	if err != nil {
		return mailaccess.Message{}, err
	}
	return done.Messages[0], nil
}

// DropHistory forgets which messages were removed from a mailbox, or, when box is
// empty, which mailboxes were deleted: whoever asks for changes since an earlier
// number finds it below the floor. It is there for tests.
func (s *Store) DropHistory(account string, box mailaccess.MailboxID) error {
	const op = "drop history"
	a, err := s.find(op, account)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if box == "" {
		a.tombstones, a.floor = nil, a.modseq
		return nil
	}
	b, err := a.box(op, box)
	if err != nil {
		return err
	}
	b.vanished, b.floor = nil, b.modseq
	return nil
}

// Holds returns how often the mailbox is held at this moment, 0 when there is
// no such mailbox. It is there for tests.
func (s *Store) Holds(account string, box mailaccess.MailboxID) int {
	a, err := s.find("holds", account)
	if err != nil {
		return 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b := a.boxes[box]; b != nil {
		return b.holds
	}
	return 0
}

func fail(op string, kind mailaccess.Kind, box string, cause error) error {
	return &mailaccess.Error{Kind: kind, Op: op, Mailbox: box, Err: cause}
}
