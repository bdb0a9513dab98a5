// Package mailserver puts every protocol of this module in front of one store.
//
//	s, err := mailserver.New(store, authenticator, &mailserver.Options{TLSConfig: config})
//	...
//	go s.IMAP.Serve(plain)      // STARTTLS is possible, there being a TLSConfig
//	go s.IMAP.ServeTLS(secure)
//	go s.POP3.Serve(other)
//	...
//	err = s.Shutdown(ctx)
//
// Whoever wants another set of protocols builds it from the same parts: an
// [engine.Engine], and a [protocols.Server] for each.
package mailserver

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/pop3"
)

// Options say how to serve. A nil pointer, and the zero value of each field, mean
// the defaults.
type Options struct {
	// TLSConfig is for ServeTLS, STARTTLS and STLS; nil: none of these.
	TLSConfig *tls.Config
	// Limits bound what clients may take, over all protocols together; nil: the
	// defaults.
	Limits *protocols.Limits
	// AllowPlaintext permits passwords over a channel that others can listen to;
	// PlaintextOnLoopback permits them to clients on this machine.
	AllowPlaintext, PlaintextOnLoopback bool
	// Guard says how logins that fail slow down and ban who fails; nil: the defaults.
	// Its Logger, where it has none, is Logger.
	Guard *auth.GuardOptions
	// Namespace is how IMAP clients see the names of mailboxes; the zero value: as they
	// are in the store.
	Namespace imap.Namespace
	// NamespaceOf, if not nil, says so for each account instead; see [imap.Options].
	NamespaceOf func(ctx context.Context, account string) (imap.Namespace, error)
	// POP3 says what the maildrop of POP3 clients is, and what becomes of messages.
	POP3 pop3.Policy
	// MaxUpload is the largest message taken in, in octets; 0:
	// [engine.DefaultMaxUpload].
	MaxUpload int64
	// Version is what clients are told that this is; empty: nothing.
	Version string
	// Logger gets what no client can be told, and each login that was refused;
	// nil: silence.
	Logger *zap.Logger
}

// Server is an engine and its protocols. Each protocol serves any number of
// listeners and connections.
type Server struct {
	IMAP, POP3 *protocols.Server
	// Guard knows who is banned for failed logins.
	Guard *auth.Guarded

	engine *engine.Engine
}

// New makes a server over a store. The caller keeps the store, and closes it after
// the server. It fails when the store cannot be watched, or there can be no such
// namespace, policy or limits.
func New(store mailaccess.Store, a mailaccess.Authenticator, o *Options) (*Server, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.Namespace.Check(); err != nil {
		return nil, err
	}
	if err := o.POP3.Check(); err != nil {
		return nil, err
	}
	if err := o.Limits.Check(); err != nil {
		return nil, err
	}
	var guard auth.GuardOptions
	if o.Guard != nil {
		guard = *o.Guard
	}
	if guard.Logger == nil {
		guard.Logger = o.Logger
	}
	guarded := auth.Guard(a, &guard)
	e, err := engine.New(engine.Options{
		Store: store, Authenticator: auth.Logged(guarded, o.Logger), Logger: o.Logger, MaxUpload: o.MaxUpload,
	})
	if err != nil {
		return nil, err
	}
	// A user's connections count over all protocols.
	limiter := protocols.NewLimiter(o.Limits)
	serve := func(p protocols.Protocol) *protocols.Server {
		return &protocols.Server{Protocol: p, TLSConfig: o.TLSConfig, Limits: o.Limits, Limiter: limiter, Logger: o.Logger}
	}
	return &Server{
		Guard:  guarded,
		engine: e,
		IMAP: serve(imap.New(imap.Options{
			Engine: e, AllowPlaintext: o.AllowPlaintext, PlaintextOnLoopback: o.PlaintextOnLoopback,
			Namespace: o.Namespace, NamespaceOf: o.NamespaceOf, Version: o.Version, Logger: o.Logger,
		})),
		POP3: serve(pop3.New(pop3.Options{
			Engine: e, AllowPlaintext: o.AllowPlaintext, PlaintextOnLoopback: o.PlaintextOnLoopback,
			Policy: o.POP3, Version: o.Version, Logger: o.Logger,
		})),
	}, nil
}

// Shutdown ends all protocols in order, at the same time, and then the engine:
// nobody can connect any more, clients that wait are told, and commands that run
// may finish until ctx ends. Its error says what was cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	servers := [...]*protocols.Server{s.IMAP, s.POP3}
	var errs [len(servers) + 1]error
	var done sync.WaitGroup
	for i, p := range servers {
		done.Go(func() { errs[i] = p.Shutdown(ctx) })
	}
	done.Wait()
	errs[len(servers)] = s.engine.Close()
	return errors.Join(errs[:]...)
}

// Close ends everything at once.
func (s *Server) Close() error {
	return errors.Join(s.IMAP.Close(), s.POP3.Close(), s.engine.Close())
}
