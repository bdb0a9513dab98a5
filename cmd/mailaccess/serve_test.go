package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/stores/memory"
)

// cheap are the least costs that a hash can have.
func cheap() auth.Argon2id { return auth.Argon2id{Memory: 8, Time: 1, Threads: 1} }

func addUser(t *testing.T, file, name, password string) {
	t.Helper()
	if err := auth.SetUser(file, name, password, &auth.SetUserOptions{Replace: true, Argon2id: cheap()}); err != nil {
		t.Fatal(err)
	}
}

// served reads from the log where "serve" listens.
func (p *program) served(name string) string {
	p.t.Helper()
	for {
		l, err := p.lines.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%s is not served: %v", name, err)
		}
		var entry struct{ Msg, Protocol, Address string }
		if err := json.Unmarshal([]byte(l), &entry); err != nil {
			p.t.Fatalf("log line %q: %v", l, err)
		}
		if entry.Msg == "serving" && entry.Protocol == name {
			return entry.Address
		}
	}
}

func TestServeOverTLS(t *testing.T) {
	dir := t.TempDir()
	users, cert, key := filepath.Join(dir, "users"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	addUser(t, users, "alice", "sesame")
	if err := writeKeyPair(dir, "cert.pem", "key.pem"); err != nil {
		t.Fatal(err)
	}
	p := start(t, true, "serve", "--store", "memory:", "--users", users, "--tls-cert", cert, "--tls-key", key,
		"--imap", "127.0.0.1:0", "--imaps", "127.0.0.1:0", "--pop3", "127.0.0.1:0", "--pop3s", "127.0.0.1:0")
	at := addresses{imap: p.served("imap"), imaps: p.served("imaps"), pop3: p.served("pop3"), pop3s: p.served("pop3s")}
	config := trust(t, cert)

	// No password crosses an open channel, not even on this machine.
	c := dial(t, at.imap, nil)
	c.expect(`\* OK .*LOGINDISABLED`)
	c.do("a login alice sesame", `a NO`)
	c.do("b starttls", `b OK`)
	c.upgrade(config)
	c.do("c login alice sesame", `c OK`)
	c.do("d select inbox", `\* 0 EXISTS`)
	pop := dial(t, at.pop3, nil)
	pop.expect(`\+OK`)
	pop.do("USER alice", `-ERR`)

	c = dial(t, at.imaps, config)
	c.expect(`\* OK`)
	c.do("a login alice wrong", `a NO`)
	c.do("b login Alice sesame", `b OK`)
	pop = dial(t, at.pop3s, config)
	pop.expect(`\+OK`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS sesame", `\+OK`)

	// Somebody new can log in at once; a changed password counts at once too,
	// although the old one was found right a moment ago.
	addUser(t, users, "bob", "barley")
	addUser(t, users, "alice", "changed")
	c = dial(t, at.imaps, config)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a NO`)
	c.do("b login bob barley", `b OK`)

	p.cancel()
	c.expect(`\* BYE`)
	pop.expect(`-ERR`)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestServeWithoutTLS(t *testing.T) {
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	t.Run("plaintext allowed", func(t *testing.T) {
		p := start(t, true, "serve", "--store", "memory:", "--users", users, "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "", "--pop3s", "",
			"--allow-plaintext-auth")
		c := dial(t, p.served("imap"), nil)
		c.expect(`\* OK`)
		c.do("a starttls", `a (NO|BAD)`)
		c.do("b login alice sesame", `b OK`)
	})
	t.Run("plaintext refused", func(t *testing.T) {
		p := start(t, true, "serve", "--store", "memory:", "--users", users, "--imap", "", "--imaps", "", "--pop3", "127.0.0.1:0", "--pop3s", "")
		p.line(`nobody can log in: there is no certificate for TLS`)
		pop := dial(t, p.served("pop3"), nil)
		pop.expect(`\+OK`)
		pop.do("USER alice", `-ERR`)
	})
}

// The log has no password, even at its most talkative and when the client errs.
func TestServeLogsNoPasswords(t *testing.T) {
	users := tempFile(t, "users")
	addUser(t, users, "alice", "sesame")
	p := start(t, true, "serve", "--store", "memory:", "--users", users, "--imap", "127.0.0.1:0", "--imaps", "", "--pop3", "127.0.0.1:0", "--pop3s", "",
		"--allow-plaintext-auth", "--log-level", "debug")
	c, pop := dial(t, p.served("imap"), nil), dial(t, p.served("pop3"), nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame2", `a NO`)
	c.do("b login alice sesame sesame", `b BAD`)
	c.do("c logln alice sesame", `c BAD`)
	c.do("d login alice sesame", `d OK`)
	c.do("e logout", `\* BYE`)
	pop.expect(`\+OK`)
	pop.do("USER alice", `\+OK`)
	pop.do("PASS sesame2", `-ERR`)
	pop.do("PSS sesame", `-ERR`)
	pop.do("QUIT", `\+OK`)
	pop.expectEnd()
	p.cancel()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	logged, err := io.ReadAll(p.lines)
	if err != nil {
		t.Fatal(err)
	}
	switch text := string(logged); {
	case strings.Contains(text, "sesame"):
		t.Errorf("the password stands in the log:\n%s", text)
	case !strings.Contains(text, `"user":"alice"`):
		t.Errorf("the log does not say who logged in:\n%s", text)
	case strings.Count(text, `"login refused","protocol":"imap","remote":"127.0.0.1:`) != 1,
		strings.Count(text, `"login refused","protocol":"pop3","remote":"127.0.0.1:`) != 1:
		t.Errorf("the log does not say once for each protocol from where a login was refused:\n%s", text)
	}
}

// A client opens many connections with one password: it is hashed once. The pool that hashing needs is taken after the first login,
// so that a login that hashed again would wait for ever.
func TestServeHashesOnce(t *testing.T) {
	file := tempFile(t, "users")
	addUser(t, file, "alice", "sesame")
	pool := auth.NewPool(1)
	users, err := (&authentication{users: file, cache: time.Minute}).authenticator(zap.NewNop(), pool, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := memory.New(nil)
	defer store.Close()
	s, err := openServer(serverConfig{
		store: store, authenticator: users, plaintextOnLoopback: true,
		addresses: addresses{imap: "127.0.0.1:0"}, logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx, func() {}) }()
	login := func() {
		c := dial(t, s.addr("imap"), nil)
		c.expect(`\* OK`)
		c.do("a login alice sesame", `a OK`)
	}
	login()
	free, taken, given := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		given <- pool.Do(context.Background(), func() {
			close(taken)
			<-free
		})
	}()
	<-taken
	defer func() {
		close(free)
		cancel()
		if err := errors.Join(<-given, <-served); err != nil {
			t.Error(err)
		}
	}()
	for range 9 {
		login()
	}
	// That logins hash in this pool shows in one that has to: it is not answered
	// while the pool is taken, however long it waits.
	waits, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := users.Authenticate(waits, loginOf("alice", "wrong")); !errors.Is(err, mailaccess.KindUnavailable) {
		t.Errorf("a login without the pool: %v", err)
	}
}

func TestPortsFromEnvironment(t *testing.T) {
	variables := map[string]string{"IMAP_PORT": "1143", "IMAPS_PORT": "", "POP3_PORT": "1110", "POP3S_PORT": "0"}
	a := addresses{imap: ":143", imaps: ":993", pop3: ":110", pop3s: ":995"}
	f := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	a.register(f)
	if err := f.Parse([]string{"--pop3", "127.0.0.1:110"}); err != nil {
		t.Fatal(err)
	}
	if err := portsFromEnvironment(f, func(v string) string { return variables[v] }); err != nil {
		t.Fatal(err)
	}
	if want := (addresses{imap: ":1143", imaps: ":993", pop3: "127.0.0.1:110", pop3s: ":0"}); a != want {
		t.Errorf("addresses %+v, want %+v", a, want)
	}
}

// A listener that cannot be opened takes those with it that could.
func TestOpenServerOpensAllOrNothing(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0") // to learn of a free port
	if err != nil {
		t.Fatal(err)
	}
	free := first.Addr().String()
	first.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	store := &watchedStore{Store: memory.New(nil)}
	defer store.Close()
	c := serverConfig{
		store:         store,
		authenticator: auth.Static(nil),
		addresses:     addresses{imap: free, pop3: taken.Addr().String()},
		logger:        zap.NewNop(),
	}
	if _, err := openServer(c); err == nil || !strings.HasPrefix(err.Error(), "pop3: ") {
		t.Fatalf("error %v, want one of pop3", err)
	}
	if n := store.watchers.Load(); n != 0 {
		t.Errorf("the store has %d watchers after the failure", n)
	}
	c.addresses.pop3 = ""
	s, err := openServer(c)
	if err != nil {
		t.Fatalf("the port was not given back: %v", err)
	}
	if got := s.endpoints[0].listener.Addr().String(); got != free {
		t.Errorf("imap on %s, want %s", got, free)
	}
	if n := store.watchers.Load(); n != 1 {
		t.Errorf("the store has %d watchers, want 1", n)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if n := store.watchers.Load(); n != 0 {
		t.Errorf("the store has %d watchers after the end", n)
	}
}

// A watchedStore counts who watches it.
type watchedStore struct {
	mailaccess.Store
	watchers atomic.Int32
}

func (s *watchedStore) Watch(ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
	stop, err := s.Store.Watch(ctx, ring)
	if err != nil {
		return nil, err
	}
	s.watchers.Add(1)
	return func() { stop(); s.watchers.Add(-1) }, nil
}

func TestOpenServerWantsACertificate(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	_, err := openServer(serverConfig{
		store: store, authenticator: auth.Static(nil), addresses: addresses{imaps: "127.0.0.1:0"}, logger: zap.NewNop(),
	})
	if err == nil || !strings.Contains(err.Error(), protocols.ErrNoTLS.Error()) {
		t.Errorf("error %v, want %v", err, protocols.ErrNoTLS)
	}
}

// A listener that fails ends the whole server, with an error.
func TestServeEndsWhenAListenerFails(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	s, err := openServer(serverConfig{
		store: store, authenticator: auth.Static(nil), logger: zap.NewNop(),
		addresses: addresses{imap: "127.0.0.1:0", pop3: "127.0.0.1:0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.endpoints[1].listener.Close()
	stopped := false
	if err := s.serve(t.Context(), func() { stopped = true }); err == nil || !stopped {
		t.Errorf("error %v, stopping was told: %v", err, stopped)
	}
	if _, err := net.Dial("tcp", s.endpoints[0].listener.Addr().String()); err == nil {
		t.Error("the other listener is still open")
	}
}

// A command that does not finish within the grace period is cut off, and the log
// says so.
func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	core, logged := observer.New(zap.WarnLevel)
	s, err := openServer(serverConfig{
		store: store, authenticator: auth.Static(map[string]string{"alice": "sesame"}), plaintextOnLoopback: true,
		addresses: addresses{imap: "127.0.0.1:0"}, logger: zap.New(core),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.endpoints[0].serve() }()
	c := dial(t, s.endpoints[0].listener.Addr().String(), nil)
	c.expect(`\* OK`)
	c.do("a login alice sesame", `a OK`)
	c.do("b append INBOX {100}", `\+ `)
	s.shutdown(0)
	if n := logged.FilterMessage("shutdown cut off what was left").Len(); n != 1 {
		t.Errorf("%d log lines about what was cut off: %v", n, logged.All())
	}
	if err := <-served; !errors.Is(err, protocols.ErrServerClosed) {
		t.Error(err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
