package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/bell"
	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Options say how a Store behaves. The zero value of each field is its default.
type Options struct {
	// Sync says when a change is on disk; see [Sync].
	Sync Sync
	// KeepExpunged is how long messages that were expunged can be brought back
	// ([Undelete]); 0: 7 days, negative: not at all.
	KeepExpunged time.Duration
	// MaxMessageSize is the largest message that is taken in, in octets; 0: 1 GiB.
	// What other programs deliver is not limited.
	MaxMessageSize int64
	// MaxMailboxes is how many mailboxes an account has, and also how many
	// subscriptions; 0: 10,000.
	MaxMailboxes int
	// MaxKeywords is how many different keywords a mailbox has; 0: 1,000.
	MaxKeywords int
	// HistoryLimit is how many removals a mailbox remembers, and how many deleted
	// mailboxes an account; 0: 65,536. When there are more, the older half is forgotten.
	HistoryLimit int
	// Memory is how many octets accounts and mailboxes that are loaded may take before
	// those that nobody uses are put away; 0: 256 MiB.
	Memory int64
	// DerivedBytes is how much an account keeps on disk of what front-ends derived from
	// its messages, in octets; 0: 1 GiB.
	DerivedBytes int64
	// LogBytes is how long the commit log may get before what is in it is written to the
	// indexes, in octets; 0: 16 MiB. It bounds the work of the next start after a crash.
	LogBytes int64
	// Logger hears of what an operator should know; nil: silence.
	Logger *zap.Logger
}

// Sync says when a change is on disk.
type Sync uint8

const (
	// SyncFull: when a change returned it survives a loss of power.
	SyncFull Sync = iota
	// SyncNormal: it survives the end of the process, and a loss of power after about
	// a second.
	SyncNormal
	// SyncOff: it survives the end of the process. What a loss of power leaves is up to
	// the file system.
	SyncOff
)

func (s Sync) mode() commitlog.Mode {
	switch s {
	case SyncNormal:
		return commitlog.Normal
	case SyncOff:
		return commitlog.Off
	}
	return commitlog.Full
}

// ownDir is where the store keeps what belongs to no account. Accounts do not begin with
// a dot.
const ownDir = ".mailaccess"

// OwnDir returns the directory where the store at path keeps what belongs to no account.
// Whoever serves the store may keep a socket in it whose name ends in ".sock".
func OwnDir(path string) (string, error) {
	p, err := parsePattern(path)
	if err != nil {
		return "", fail("open store", mailaccess.KindInvalid, "", err)
	}
	return filepath.Join(p.root, ownDir), nil
}

// AccountDir returns the directory of an account in the store at path, which need not be
// there: opening an account makes it. KindNotFound for a name that cannot be an account's.
func AccountDir(path, account string) (string, error) {
	const op = "open account"
	p, err := parsePattern(path)
	if err != nil {
		return "", fail(op, mailaccess.KindInvalid, "", err)
	}
	parts, err := p.account(account)
	if err != nil {
		return "", fail(op, mailaccess.KindNotFound, "", err)
	}
	return filepath.Join(append([]string{p.root}, parts...)...), nil
}

// Store is a store of Maildirs.
type Store struct {
	opts Options
	path pattern
	log  *zap.Logger
	now  func() time.Time

	root, own, spool fsys.Dir
	lock             io.Closer
	commits          *commitlog.Log
	spoolSync        *sharedSync
	codec            codec
	unique           *maildirname.Generator // of names in the spool and of messages
	bell             bell.Bell
	notify           *notifier // nil where the system has none
	state            storeState
	folds            bool         // the file system takes upper and lower case for one
	readable         func() error // stillUsable, which is given to each content

	closed     atomic.Bool
	openBoxes  atomic.Int64 // mailboxes whose directories are open
	openLimit  int64        // from how many on they are opened for those alone who need them open
	unwritten  atomic.Bool  // see writeLate
	late       sync.Mutex   // held by writeLate
	discarded  atomic.Bool  // the commit log lost what nobody waited for
	upkeeping  sync.Mutex   // held during upkeep, of which there is one at a time
	shortenDue time.Time    // see upkeep, which alone uses it
	stop       chan struct{}
	work       sync.WaitGroup // what runs in the background

	mu       sync.Mutex // guards what follows
	accounts map[string]*account
	behind   map[string][]loggedEntry // accounts that could not be brought forward yet
}

var _ mailaccess.Store = (*Store)(nil)

// New opens the store at path, which may hold %u, %n and %d, for the user, the local part
// and the domain; without them it is path/%u. opts may be nil.
//
// It fails with KindInUse when another process has the store open. After a stop that was
// not clean it first does again what is in the commit log.
func New(path string, opts *Options) (*Store, error) {
	p, err := parsePattern(path)
	if err != nil {
		return nil, fail("open store", mailaccess.KindInvalid, "", err)
	}
	root, err := fsys.CreateRoot(p.root)
	if err != nil {
		return nil, failDisk("open store", "", err)
	}
	s, err := open(root, p, opts, time.Now)
	if err != nil {
		root.Close()
		return nil, err
	}
	return s, nil
}

// open takes over root.
func open(root fsys.Dir, p pattern, opts *Options, now func() time.Time) (*Store, error) {
	s, err := openQuiet(root, p, opts, now)
	if err != nil {
		return nil, err
	}
	s.startWatching()
	s.startUpkeep()
	s.startRounds()
	return s, nil
}

// openQuiet is open without what goes on in the background.
func openQuiet(root fsys.Dir, p pattern, opts *Options, now func() time.Time) (*Store, error) {
	const op = "open store"
	s := &Store{path: p, root: root, now: now, stop: make(chan struct{}), openLimit: 1000, accounts: make(map[string]*account)}
	s.readable = s.stillUsable
	if opts != nil {
		s.opts = *opts
	}
	setDefault(&s.opts.KeepExpunged, 7*24*time.Hour)
	setDefault(&s.opts.MaxMessageSize, 1<<30)
	setDefault(&s.opts.MaxMailboxes, 10_000)
	setDefault(&s.opts.MaxKeywords, 1_000)
	setDefault(&s.opts.HistoryLimit, 1<<16)
	setDefault(&s.opts.Memory, 256<<20)
	setDefault(&s.opts.DerivedBytes, 1<<30)
	setDefault(&s.opts.LogBytes, 16<<20)
	if s.log = s.opts.Logger; s.log == nil {
		s.log = zap.NewNop()
	}
	var err error
	if s.codec, err = newCodec(); err != nil {
		return nil, fail(op, mailaccess.KindInternal, "", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "" // only part of unique names
	}
	s.unique = maildirname.NewGenerator(host, os.Getpid(), now)
	if err := s.openOwn(op); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// openOwn takes the lock and goes through the commit log.
func (s *Store) openOwn(op string) error {
	var err error
	if s.own, err = subdir(s.root, ownDir); err != nil {
		return failDisk(op, "", err)
	}
	if here, err := s.own.Stat(); err == nil {
		other, err := s.root.Lstat(strings.ToUpper(ownDir))
		s.folds = err == nil && other.Inode == here.Inode
	}
	if s.lock, err = s.own.Lock("lock"); err != nil {
		if errors.Is(err, fsys.ErrLocked) {
			return fail(op, mailaccess.KindInUse, "", fmt.Errorf("another process serves %s", s.root.Path()))
		}
		return failDisk(op, "", err)
	}
	if s.spool, err = subdir(s.own, "spool"); err != nil {
		return failDisk(op, "", err)
	}
	s.spoolSync = newSharedSync(s.spool.Sync)
	if err := s.recover(); err != nil {
		return err
	}
	return nil
}

// Watch registers a listener. There may be several.
func (s *Store) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	if err := s.usable(ctx, "watch"); err != nil {
		return nil, err
	}
	return s.bell.Add(ring), nil
}

// Open opens an account; one that is not there is made, with an INBOX. A name that cannot
// be an account's (see the package comment) is KindNotFound.
func (s *Store) Open(ctx context.Context, name string, who mailaccess.Identity) (mailaccess.Account, error) {
	const op = "open"
	if err := s.usable(ctx, op); err != nil {
		return nil, err
	}
	a, err := s.acquire(op, name, true)
	if err != nil {
		return nil, err
	}
	return a.handle(who), nil
}

// Close puts everything away: names of files are brought in line with the flags, the
// indexes are written, and the commit log is empty afterwards.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.stop)
	s.work.Wait()
	err := s.putAwayAll()
	if s.notify != nil {
		s.notify.close() // until here, so that what others do meanwhile is found next time: see takeTimes
	}
	err = errors.Join(err, s.release())
	if err != nil {
		return failDisk("close store", "", err)
	}
	return nil
}

// release closes what is open.
func (s *Store) release() error {
	var errs []error
	if s.commits != nil {
		errs = append(errs, s.commits.Close())
	}
	for _, c := range []io.Closer{s.spool, s.own, s.lock} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	errs = append(errs, s.root.Close())
	return errors.Join(errs...)
}

// usable reports why nothing can be begun now, if so.
func (s *Store) usable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, mailaccess.KindUnavailable, "", err)
	}
	if s.closed.Load() {
		return fail(op, mailaccess.KindUnavailable, "", errors.New("the store is closed"))
	}
	return nil
}

// stillUsable reports why what was opened cannot be used any more, if so.
func (s *Store) stillUsable() error { return s.usable(context.Background(), "read content") }

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func fail(op string, kind mailaccess.Kind, box string, cause error) error {
	return &mailaccess.Error{Kind: kind, Op: op, Mailbox: box, Err: cause}
}

// failDisk is fail for what the file system said.
func failDisk(op, box string, err error) error {
	var e *mailaccess.Error
	if errors.As(err, &e) {
		return err
	}
	kind := mailaccess.KindUnavailable
	switch {
	case errors.Is(err, commitlog.ErrUncertain):
		kind = mailaccess.KindUncertain
	case fsys.IsFull(err):
		kind = mailaccess.KindOverQuota
	case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, fs.ErrInvalid):
		kind = mailaccess.KindInvalid
	}
	return fail(op, kind, box, err)
}

// subdir opens a subdirectory, which is made if it is not there.
func subdir(d fsys.Dir, name string) (fsys.Dir, error) {
	sub, err := d.Sub(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return sub, err
	}
	if err := d.Mkdir(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := d.Sync(); err != nil {
		// Or whoever finds it next would take it for durable.
		return nil, errors.Join(err, d.RemoveDir(name))
	}
	return d.Sub(name)
}
