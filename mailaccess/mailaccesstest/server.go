package mailaccesstest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/protocols/tap"
	"github.com/hashmail/mailaccess/stores/memory"
)

// Options say how to serve. A nil pointer, and the zero value of each field, mean the
// defaults.
type Options struct {
	// Users are the passwords of those who can log in, by name; nil: ann, whose
	// password is secret.
	Users map[string]string
	// Store holds the mail, and stays the caller's, who closes it after the server;
	// nil: one in memory. A user's account has the user's name.
	Store mailaccess.Store
	// Authenticator decides who can log in; nil: Users.
	Authenticator mailaccess.Authenticator
	// Pipes: connections are in memory, and opened with [Server.Dial] only.
	Pipes bool
	// Configure changes how the server is set up: its limits, namespaces, policies.
	Configure func(*mailserver.Options)
	// Logger gets what the server logs; nil: silence.
	Logger *zap.Logger
	// AllowErrors: the server may log errors, as it does when a store fails; though
	// no panic.
	AllowErrors bool
}

// Server is a mail server for tests. Its methods may be called from any goroutine,
// but those that fail the test from the test's own.
type Server struct {
	// IMAP, IMAPS, POP3 and POP3S are the addresses, host:port; empty with Pipes.
	IMAP, IMAPS, POP3, POP3S string

	t        testing.TB
	opts     Options
	store    *watched
	owned    mailaccess.Store // the store if it is to be closed
	cert     tls.Certificate
	mail     *mailserver.Server
	errors   errorLog
	services map[string]*service
	serving  sync.WaitGroup
	close    func() error

	opening  sync.Mutex // guards accounts; the store may ring while one is opened
	accounts map[string]mailaccess.Account

	mu       sync.Mutex
	changed  chan struct{} // closed, and replaced, when something happened
	log      []entry
	commands []*Command
	faults   []*Injection
	conns    int
	caFile   string
	failed   error // the first failure to serve
}

// New starts a server that ends with the test. What the server was told and answered is
// in the test's log when the test has failed.
func New(t testing.TB, opts *Options) *Server {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			said := s.Transcript()
			t.Logf("what was said last:\n%s", said[max(0, len(said)-maxShown):])
		}
	})
	return s
}

// Start starts a server, which the caller closes.
func Start(opts *Options) (*Server, error) {
	s := &Server{t: untested{}, changed: make(chan struct{}), accounts: make(map[string]mailaccess.Account), services: make(map[string]*service)}
	if opts != nil {
		s.opts = *opts
	}
	s.close = sync.OnceValue(s.end)
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start() (err error) {
	inner := s.opts.Store
	if inner == nil {
		s.owned = memory.New(nil)
		inner = s.owned
	}
	s.store = &watched{Store: inner, rang: s.ring}
	if s.opts.Users == nil {
		s.opts.Users = map[string]string{"ann": "secret"}
	}
	authenticator := s.opts.Authenticator
	if authenticator == nil {
		authenticator = auth.Static(s.opts.Users)
	}
	if s.cert, err = protocols.SelfSigned(); err != nil {
		return err
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"}), &s.errors, zapcore.ErrorLevel)
	log := zap.New(core)
	if s.opts.Logger != nil {
		log = zap.New(zapcore.NewTee(core, s.opts.Logger.Core()))
	}
	config := &tls.Config{Certificates: []tls.Certificate{s.cert}}
	mo := &mailserver.Options{TLSConfig: config, PlaintextOnLoopback: true, Logger: log}
	if s.opts.Configure != nil {
		s.opts.Configure(mo)
	}
	if s.mail, err = mailserver.New(s.store, authenticator, mo); err != nil {
		return err
	}
	for _, v := range []*service{
		{name: "imap", address: &s.IMAP, server: s.mail.IMAP},
		{name: "imaps", address: &s.IMAPS, server: s.mail.IMAP, implicit: true},
		{name: "pop3", address: &s.POP3, server: s.mail.POP3, syntax: tap.POP3},
		{name: "pop3s", address: &s.POP3S, server: s.mail.POP3, syntax: tap.POP3, implicit: true},
	} {
		if err := s.open(v, mo.TLSConfig); err != nil {
			return err
		}
	}
	return nil
}

// A service is one way to the server.
type service struct {
	name     string
	address  *string
	server   *protocols.Server
	syntax   tap.Syntax
	implicit bool // TLS

	pipes *tap.Pipes
	cut   func()
}

func (s *Server) open(v *service, config *tls.Config) error {
	o := tap.Options{Syntax: v.syntax, TLS: config, Implicit: v.implicit, Open: func(net.Addr) tap.Handler { return s.connected(v) }}
	s.services[v.name] = v
	if s.opts.Pipes {
		v.pipes = tap.NewPipes(o)
		v.cut = v.pipes.Cut
		return nil
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	*v.address = inner.Addr().String()
	l := tap.Listen(inner, o)
	v.cut = l.Cut
	serve := v.server.Serve
	if v.implicit {
		serve = v.server.ServeTLS
	}
	s.serving.Go(func() { s.served(serve(l)) })
	return nil
}

// served notes how serving has ended.
func (s *Server) served(err error) {
	if err == nil || errors.Is(err, protocols.ErrServerClosed) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = errors.Join(s.failed, err)
}

// Dial opens a connection to a service: imap, imaps, pop3 or pop3s. Those that end in s
// are TLS already.
func (s *Server) Dial(name string) (net.Conn, error) {
	v := s.services[name]
	if v == nil {
		return nil, fmt.Errorf("mailaccesstest: no service %q", name)
	}
	var client net.Conn
	if v.pipes != nil {
		var server net.Conn
		client, server = v.pipes.Dial()
		s.serving.Go(func() {
			if v.implicit {
				s.served(v.server.ServeConnTLS(server))
			} else {
				v.server.ServeConn(server)
			}
		})
	} else {
		var err error
		if client, err = net.Dial("tcp", *v.address); err != nil {
			return nil, err
		}
	}
	if v.implicit {
		return tls.Client(client, s.ClientTLS()), nil
	}
	return client, nil
}

// Close ends the server at once. Its error says what has gone wrong meanwhile: what the
// server has logged as an error, and what could not be closed. Further calls return the
// same. After [New] the test calls it.
func (s *Server) Close() error { return s.close() }

func (s *Server) end() error {
	var errs []error
	if s.mail != nil {
		errs = append(errs, s.mail.Close())
	}
	for _, v := range s.services {
		if v.cut != nil {
			v.cut()
		}
	}
	s.serving.Wait()
	s.opening.Lock()
	defer s.opening.Unlock()
	for _, a := range s.accounts {
		errs = append(errs, a.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owned != nil {
		errs = append(errs, s.owned.Close())
	}
	if s.caFile != "" {
		errs = append(errs, os.RemoveAll(filepath.Dir(s.caFile)))
	}
	errs = append(errs, s.failed)
	for _, line := range s.errors.all() {
		if !s.opts.AllowErrors || strings.HasPrefix(line, `{"msg":"panic"`) {
			errs = append(errs, fmt.Errorf("mailaccesstest: the server logged: %s", line))
		}
	}
	return errors.Join(errs...)
}

// errorLog keeps what the server has logged, line by line: fields may stand for something
// else afterwards.
type errorLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *errorLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(string(line)))
	return len(line), nil
}

func (l *errorLog) Sync() error { return nil }

func (l *errorLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// CertPool returns the authority that has signed the server's certificate, which is for
// localhost, 127.0.0.1 and ::1.
func (s *Server) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.cert.Leaf)
	return pool
}

// ClientTLS returns settings with which a client trusts the server.
func (s *Server) ClientTLS() *tls.Config {
	return &tls.Config{RootCAs: s.CertPool(), ServerName: "localhost"}
}

// CAFile returns the name of a file with the authority in PEM, for clients in other
// processes. It is removed when the server is closed.
func (s *Server) CAFile() string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caFile == "" {
		dir, err := os.MkdirTemp("", "mailaccesstest")
		if err == nil {
			s.caFile = filepath.Join(dir, "ca.pem")
			err = os.WriteFile(s.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Certificate[0]}), 0o600)
		}
		s.must(err)
	}
	return s.caFile
}

// must fails the test when there is an error.
func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal("mailaccesstest: ", err)
	}
}

// untested stands for the test when there is none.
type untested struct{ testing.TB }

func (untested) Helper() {}

func (untested) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// watched is a store whose rings are heard twice: by the one listener that a store has,
// and here.
type watched struct {
	mailaccess.Store
	rang func()
}

func (w *watched) Watch(ctx context.Context, ring func(mailaccess.Ring)) (stop func(), err error) {
	return w.Store.Watch(ctx, func(r mailaccess.Ring) {
		ring(r)
		w.rang()
	})
}
