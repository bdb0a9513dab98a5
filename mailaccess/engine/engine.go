package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Options configure an [Engine]. Store and Authenticator are needed.
type Options struct {
	Store         mailaccess.Store
	Authenticator mailaccess.Authenticator
	// Logger gets what no client can be told; nil: silence.
	Logger *zap.Logger
	// PollInterval is how often to look for changes in a store that cannot
	// watch; 0: 30 seconds.
	PollInterval time.Duration
	// MaxUpload is the largest message taken in, in octets, where the store
	// names no smaller limit; 0: 64 MiB.
	MaxUpload int64
}

// DefaultMaxUpload is the largest message taken in unless said otherwise.
const DefaultMaxUpload = 64 << 20

// Engine serves one store to any number of protocols. It is safe for concurrent
// use.
type Engine struct {
	store     mailaccess.Store
	auth      mailaccess.Authenticator
	log       *zap.Logger
	maxUpload int64

	hub    hub
	leases leaseTable
	orders orders

	// selfRing: the store does not watch, so the engine rings for what
	// passes through it.
	selfRing  bool
	stop      context.CancelFunc
	stopWatch func()
	polling   sync.WaitGroup
}

// New makes an engine and begins to watch the store. The caller keeps the store
// and closes it after the engine.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Authenticator == nil {
		return nil, &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "new engine", Err: errors.New("Store and Authenticator are needed")}
	}
	e := &Engine{store: o.Store, auth: o.Authenticator, log: o.Logger, maxUpload: o.MaxUpload}
	if e.log == nil {
		e.log = zap.NewNop()
	}
	if e.maxUpload <= 0 {
		e.maxUpload = DefaultMaxUpload
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.stop = cancel
	stopWatch, err := o.Store.Watch(ctx, e.hub.ring)
	switch {
	case errors.Is(err, mailaccess.ErrSkip):
		e.selfRing = true
		interval := o.PollInterval
		if interval <= 0 {
			interval = 30 * time.Second
		}
		e.polling.Go(func() { e.poll(ctx, interval) })
	case err != nil:
		cancel()
		return nil, err
	default:
		e.stopWatch = sync.OnceFunc(stopWatch)
	}
	return e, nil
}

// changed rings for a change made through the engine when the store will not.
func (e *Engine) changed(account string, box mailaccess.MailboxID) {
	if e.selfRing {
		e.hub.ring(mailaccess.Ring{Account: account, Mailbox: box})
	}
}

// Close stops watching. Sessions should have been closed before. It may be called
// more than once.
func (e *Engine) Close() error {
	e.stop()
	if e.stopWatch != nil {
		e.stopWatch()
	}
	e.polling.Wait()
	return nil
}

// Authenticator returns the authenticator, for a protocol that drives SASL.
func (e *Engine) Authenticator() mailaccess.Authenticator { return e.auth }

// Login authenticates and opens the account.
func (e *Engine) Login(ctx context.Context, l mailaccess.Login) (*Session, error) {
	id, err := e.auth.Authenticate(ctx, l)
	if err != nil {
		return nil, err
	}
	return e.Open(ctx, id)
}

// Open opens the account of somebody who has been authenticated.
func (e *Engine) Open(ctx context.Context, id mailaccess.Identity) (*Session, error) {
	acct, err := e.store.Open(ctx, id.Account, id)
	if err != nil {
		return nil, err
	}
	return &Session{e: e, id: id, acct: acct, caps: acct.Capabilities()}, nil
}
