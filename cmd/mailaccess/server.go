package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/protocols/pop3"
)

// shutdownGrace is how long commands that run may take to finish when the server
// is told to end.
const shutdownGrace = 10 * time.Second

// serverConfig is what a server is made of. Store and authenticator are needed.
type serverConfig struct {
	store         mailaccess.Store // stays the caller's, who closes it after the server
	authenticator mailaccess.Authenticator
	guard         *auth.GuardOptions // nil: the defaults
	addresses     addresses
	tls           *tls.Config                          // nil: no TLS, neither at once nor later
	proxies       func(listener string) []netip.Prefix // from where proxies connect to it, who tell for whom; nil: none
	namespace     imap.Namespace
	namespaceOf   func(ctx context.Context, account string) (imap.Namespace, error) // nil: namespace
	pop3          pop3.Policy
	limits        *protocols.Limits // nil: the defaults
	logger        *zap.Logger

	allowPlaintext      bool // passwords may cross an open channel
	plaintextOnLoopback bool // they may on this machine
}

// A server is a mail server and its listeners: the one assembly that every command
// that serves uses.
type server struct {
	log       *zap.Logger
	mail      *mailserver.Server
	endpoints []*endpoint
}

// An endpoint is one listener and what it is for.
type endpoint struct {
	name     string         // as the flag: imap, imaps, pop3, pop3s
	address  string         // as it was asked for
	tls      bool           // from the first byte
	proxies  []netip.Prefix // from where proxies connect; nil: clients do
	server   *protocols.Server
	listener net.Listener
}

// openServer opens all listeners, or none. Clients can connect from then on, and
// are answered when serve is called. The caller calls serve or close.
func openServer(c serverConfig) (_ *server, err error) {
	var guard auth.GuardOptions
	if c.guard != nil {
		guard = *c.guard
	}
	var maxUpload int64
	if c.limits != nil {
		guard.Trusted, maxUpload = c.limits.Trusted, c.limits.MaxLiteral
	}
	mail, err := mailserver.New(c.store, c.authenticator, &mailserver.Options{
		TLSConfig: c.tls, Limits: c.limits, Guard: &guard, MaxUpload: maxUpload,
		AllowPlaintext: c.allowPlaintext, PlaintextOnLoopback: c.plaintextOnLoopback,
		Namespace: c.namespace, NamespaceOf: c.namespaceOf, POP3: c.pop3, Version: buildVersion(), Logger: c.logger,
	})
	if err != nil {
		return nil, err
	}
	s := &server{log: c.logger, mail: mail}
	defer func() {
		if err != nil {
			s.close() //nolint:errcheck // the other error is the one to report
		}
	}()
	for _, p := range []*endpoint{
		{name: "imap", address: c.addresses.imap, server: mail.IMAP},
		{name: "imaps", address: c.addresses.imaps, server: mail.IMAP, tls: true},
		{name: "pop3", address: c.addresses.pop3, server: mail.POP3},
		{name: "pop3s", address: c.addresses.pop3s, server: mail.POP3, tls: true},
	} {
		if p.address == "" {
			continue
		}
		if c.proxies != nil {
			p.proxies = c.proxies(p.name)
		}
		if err := s.listen(p, c.tls != nil); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if len(s.endpoints) == 0 {
		return nil, errors.New("nothing to serve: all four addresses are empty")
	}
	return s, nil
}

func (s *server) listen(p *endpoint, haveTLS bool) (err error) {
	if p.tls && !haveTLS {
		return protocols.ErrNoTLS
	}
	if p.listener, err = net.Listen("tcp", p.address); err != nil {
		return err
	}
	if len(p.proxies) > 0 {
		p.listener = &protocols.ProxyListener{Listener: p.listener, From: p.proxies}
	}
	s.endpoints = append(s.endpoints, p)
	return nil
}

// addr returns where the endpoint of that name listens; "" when it does not.
func (s *server) addr(name string) string {
	for _, p := range s.endpoints {
		if p.name == name {
			return p.listener.Addr().String()
		}
	}
	return ""
}

// serve serves until ctx ends, or a listener fails. Then it calls stopping, and
// ends in order: nobody can connect any more, clients that wait are told, and
// commands that run have a while to finish. Everything is closed when it
// returns.
func (s *server) serve(ctx context.Context, stopping func()) error {
	failed := make(chan error, len(s.endpoints))
	var serving sync.WaitGroup
	for _, p := range s.endpoints {
		fields := []zap.Field{zap.String("protocol", p.name), zap.Stringer("address", p.listener.Addr())}
		if len(p.proxies) > 0 {
			fields = append(fields, zap.Stringers("proxies", p.proxies))
		}
		s.log.Info("serving", fields...)
		serving.Go(func() {
			if err := p.serve(); !errors.Is(err, protocols.ErrServerClosed) {
				failed <- err
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopping()
	s.shutdown(shutdownGrace)
	serving.Wait()
	return errors.Join(err, s.close())
}

func (p *endpoint) serve() error {
	if p.tls {
		return p.server.ServeTLS(p.listener)
	}
	return p.server.Serve(p.listener)
}

// shutdown ends all protocols at the same time.
func (s *server) shutdown(grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := s.mail.Shutdown(ctx); err != nil {
		s.log.Warn("shutdown cut off what was left", zap.Error(err))
	}
}

// close gives up what openServer opened. After serve it does nothing more.
func (s *server) close() error {
	var errs []error
	for _, p := range s.endpoints {
		if err := p.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.mail.Close())...)
}
