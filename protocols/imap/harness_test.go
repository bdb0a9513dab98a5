package imap_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
	"github.com/hashmail/mailaccess/stores/maildir"
	"github.com/hashmail/mailaccess/stores/memory"
)

// testStore is a store under a server of a test.
type testStore struct {
	// base is where fixtures are laid and other programs change the mail.
	base mailaccess.Store
	// served is base as the server sees it.
	served mailaccess.Store
	// forget lowers the floor of a mailbox's history; nil: nobody can.
	forget func(account string, box mailaccess.MailboxID) error
	// join makes an account, if opening it is not enough.
	join func(account, password string)
	// deliver is how other programs deliver; nil: they do so through base.
	deliver func(ctx context.Context, account string, m prototest.Message) error
	// dir is where accounts are Maildirs, into which other programs reach too.
	dir string
}

func inMemory(s *memory.Store) testStore {
	return testStore{base: s, served: s, forget: s.DropHistory}
}

// hostile is a store that keeps the contract and no more. Transcripts hold over
// it too: what the server says may not hang on a store's good will.
func hostile(s *memory.Store) testStore {
	return testStore{base: s, served: storetest.Hostile(s, nil), forget: s.DropHistory}
}

// hooked is a store over an application's functions, into which other programs put
// mail behind the store's back.
func hooked(t testing.TB) testStore {
	app := hookstest.New(hookstest.Style{Versions: true, Revisions: true})
	s, err := hooks.New(app.Handlers(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return testStore{base: s, served: s, join: app.AddUser,
		deliver: func(ctx context.Context, account string, m prototest.Message) error {
			_, err := app.Put(account, m.Mailbox, hookstest.Message{Flags: m.Flags, Received: m.Date, Body: m.Content})
			return errors.Join(err, s.Sync(ctx, account, m.Mailbox))
		}}
}

// filed is a store of Maildirs.
func filed(t testing.TB) testStore { return filedIn(t, t.TempDir(), nil) }

func filedIn(t testing.TB, dir string, opts *maildir.Options) testStore {
	s, err := maildir.New(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return testStore{base: s, served: s, forget: s.DropHistory, dir: dir}
}

// filedInMemory is a store of Maildirs in memory, where the system has file systems there: for
// tests that make many stores, of which each waits for the disk.
func filedInMemory(t testing.TB) testStore {
	dir, err := os.MkdirTemp("/dev/shm", "mailaccess")
	if err != nil {
		return filedIn(t, t.TempDir(), &maildir.Options{Sync: maildir.SyncOff})
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return filedIn(t, dir, &maildir.Options{Sync: maildir.SyncOff})
}

// server is an IMAP server with the store that a fixture describes. The options
// of a transcript are:
//
//	from=ADDRESS          where clients appear to be; without it the channel is
//	                      in memory and private
//	plaintext=yes         passwords may cross any channel
//	loopback=yes          passwords may cross the loopback interface
//	tls=yes, tls=first    STARTTLS is possible; TLS from the first byte on
//	rights=read           users may only read
//	unauthenticate=yes    UNAUTHENTICATE is possible
//	version=TEXT          what ID answers
//	literal-minus=yes     LITERAL- is offered and not LITERAL+
//	max-line=N max-literal=N max-string=N max-command=N max-depth=N max-items=N max-set=N
//	bad-commands=N per-user=N connections=N memory=N per-connection=N
//	                      the limits of the server
//	message-limit=N       how many messages one command processes
//	prefix=TEXT separator=C
//	                      how clients see names
//	max-upload=N          the largest message, in octets
//	errors=yes            the log may hold errors, though no panic
//
// and the actions of other programs, in the first user's account:
//
//	do create NAME        do subscribe NAME
//	do delete NAME        do unsubscribe NAME
//	do rename OLD NEW     do floor NAME (forget the mailbox's history; of * the account's)
//	do flags NAME UIDS +|-|= FLAG...
//	do expunge NAME UIDS
//	do move NAME UIDS NAME
//	do shutdown           (begins to; what is under way goes on)
type server struct {
	fx       prototest.Fixture
	store    testStore
	accounts map[string]mailaccess.Account // by user, of base
	engine   *engine.Engine
	srv      *protocols.Server
	errors   *observer.ObservedLogs
	wg       sync.WaitGroup

	mu    sync.Mutex
	heard []*heard // what was said on each connection that began without TLS
}

var (
	_ prototest.Deliverer = (*server)(nil)
	_ prototest.Doer      = (*server)(nil)
)

// startServer lays the fixture and starts a server.
func startServer(t testing.TB, fx prototest.Fixture, store testStore) *server {
	t.Helper()
	s := &server{fx: fx, store: store, accounts: make(map[string]mailaccess.Account)}
	passwords := make(map[string]string)
	for _, u := range fx.Users {
		passwords[u.Name] = u.Password
		if store.join != nil {
			store.join(u.Name, u.Password)
		}
		acct, err := store.base.Open(t.Context(), u.Name, mailaccess.Identity{User: u.Name, Account: u.Name})
		if err != nil {
			t.Fatal(err)
		}
		s.accounts[u.Name] = acct
	}
	for _, m := range fx.Mailboxes {
		if err := s.makeMailbox(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range fx.Messages {
		if err := s.Deliver(t, m); err != nil {
			t.Fatal(err)
		}
	}
	core, logs := observer.New(zapcore.ErrorLevel)
	s.errors = logs
	log := zap.New(core)
	authenticator := auth.Static(passwords)
	if fx.Options["rights"] == "read" {
		authenticator = readOnly{authenticator}
	}
	ns := imap.Namespace{Prefix: fx.Options["prefix"]}
	ns.Separator, _ = utf8.DecodeRuneInString(fx.Options["separator"])
	if fx.Options["separator"] == "" {
		ns.Separator = 0
	}
	err := ns.Check()
	if err != nil {
		t.Fatal(err)
	}
	s.engine, err = engine.New(engine.Options{
		Store: store.served, Authenticator: authenticator, Logger: log, MaxUpload: s.number(t, "max-upload"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.srv = &protocols.Server{
		Protocol: imap.New(imap.Options{
			Engine:              s.engine,
			AllowPlaintext:      fx.Options["plaintext"] == "yes",
			PlaintextOnLoopback: fx.Options["loopback"] == "yes",
			Unauthenticate:      fx.Options["unauthenticate"] == "yes",
			Namespace:           ns,
			NamespaceOf:         namespaceOf(fx.Options["courier"]),
			Adjustments:         []imap.Adjustment{{Client: "broken mail", Without: []string{"IDLE", "esearch"}}},
			Version:             fx.Options["version"],
			LiteralMinus:        fx.Options["literal-minus"] == "yes",
			MessageLimit:        int(s.number(t, "message-limit")),
			Logger:              log,
		}),
		Limits: &protocols.Limits{
			MaxLine:       s.number(t, "max-line"),
			MaxLiteral:    s.number(t, "max-literal"),
			MaxString:     s.number(t, "max-string"),
			MaxCommand:    s.number(t, "max-command"),
			MaxDepth:      int(s.number(t, "max-depth")),
			MaxItems:      int(s.number(t, "max-items")),
			MaxSet:        int(s.number(t, "max-set")),
			Memory:        s.number(t, "memory"),
			PerConnection: s.number(t, "per-connection"),
			BadCommands:   int(s.number(t, "bad-commands")),
			PerUser:       int(s.number(t, "per-user")),
			Connections:   int(s.number(t, "connections")),
		},
		Logger: log,
	}
	if fx.Options["tls"] != "" {
		cert, err := protocols.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		s.srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	return s
}

// number is an option that is a number; 0 when it is not given.
func (s *server) number(t testing.TB, name string) int64 {
	text, ok := s.fx.Options[name]
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("option %s: %v", name, err)
	}
	return n
}

// readOnly is an authenticator whose users read and do nothing else.
type readOnly struct{ mailaccess.Authenticator }

func (r readOnly) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	id, err := r.Authenticator.Authenticate(ctx, l)
	id.Without = mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	return id, err
}

// Dial opens a connection in memory, from where the fixture says.
func (s *server) Dial() (net.Conn, error) {
	client, nc := net.Pipe()
	if from := s.fx.Options["from"]; from != "" {
		nc = addressed{nc, &net.TCPAddr{IP: net.ParseIP(from), Port: 40000}}
	}
	if s.fx.Options["tls"] == "first" {
		s.wg.Go(func() { s.srv.ServeConnTLS(nc) })
		return client, nil
	}
	h := &heard{Conn: nc}
	s.mu.Lock()
	s.heard = append(s.heard, h)
	s.mu.Unlock()
	s.wg.Go(func() { s.srv.ServeConn(h) })
	return client, nil
}

// addressed is a connection from elsewhere.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// Close stops everything, and fails when something was logged that no transcript
// may cause, or said that is not in the grammar.
func (s *server) Close() error {
	err := s.shutdown()
	s.wg.Wait()
	for _, acct := range s.accounts {
		err = errors.Join(err, acct.Close())
	}
	err = errors.Join(err, s.engine.Close(), s.store.served.Close())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		err = errors.Join(err, h.check())
	}
	for _, e := range s.errors.All() {
		if s.fx.Options["errors"] != "yes" || e.Message == "panic" {
			err = errors.Join(err, fmt.Errorf("logged: %s %v", e.Message, e.ContextMap()))
		}
	}
	return err
}

func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.srv.Shutdown(ctx)
}

// specialUses are the attributes of RFC 6154, section 2.
var specialUses = map[string]mailaccess.SpecialUse{
	`\All`: mailaccess.UseAll, `\Archive`: mailaccess.UseArchive, `\Drafts`: mailaccess.UseDrafts,
	`\Flagged`: mailaccess.UseFlagged, `\Junk`: mailaccess.UseJunk, `\Sent`: mailaccess.UseSent,
	`\Trash`: mailaccess.UseTrash, `\Important`: mailaccess.UseImportant,
}

func (s *server) makeMailbox(ctx context.Context, m prototest.Mailbox) error {
	var use mailaccess.SpecialUse
	for _, a := range m.Attributes {
		bit, ok := specialUses[a]
		if !ok {
			return fmt.Errorf("mailbox %s: no special use %s", m.Name, a)
		}
		use |= bit
	}
	caps := s.accounts[m.User].Capabilities()
	if m.Name != mailaccess.Inbox {
		if _, err := caps.Mailboxes.CreateMailbox(ctx, m.Name, use); err != nil {
			return err
		}
	}
	if !m.Subscribed {
		return nil
	}
	return caps.Subscriptions.Subscribe(ctx, m.Name, true)
}

// Deliver puts a message into a mailbox, as another program would.
func (s *server) Deliver(t testing.TB, m prototest.Message) error {
	if s.store.deliver != nil {
		return s.store.deliver(t.Context(), m.User, m)
	}
	acct := s.accounts[m.User]
	box, err := acct.Lookup(t.Context(), m.Mailbox)
	if err != nil {
		return err
	}
	flags, err := parseFlags(m.Flags)
	if err != nil {
		return err
	}
	appender := acct.Capabilities().Append
	staged, err := appender.Stage(t.Context(), -1)
	if err != nil {
		return err
	}
	defer staged.Close()
	if _, err := message.NewCanonicalWriter(staged).Write(m.Content); err != nil {
		return err
	}
	_, err = appender.Append(t.Context(), box.ID, []mailaccess.NewMessage{{Staged: staged, Flags: flags, Received: m.Date}})
	return err
}

// Do does what another program does to the first user's mail.
func (s *server) Do(t testing.TB, args []string) error {
	if slices.Equal(args, []string{"shutdown"}) {
		s.wg.Go(func() {
			if err := s.shutdown(); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		return nil
	}
	want := map[string]int{"create": 2, "delete": 2, "subscribe": 2, "unsubscribe": 2, "floor": 2, "rename": 3, "expunge": 3, "move": 4}
	if n, known := want[args[0]]; !known && args[0] != "flags" || known && len(args) != n || args[0] == "flags" && len(args) < 4 {
		return errors.New("no such action, or not so many arguments")
	}
	user := s.fx.Users[0].Name
	acct := s.accounts[user]
	caps := acct.Capabilities()
	ctx, name := t.Context(), args[1]
	switch args[0] {
	case "create":
		_, err := caps.Mailboxes.CreateMailbox(ctx, name, 0)
		return err
	case "subscribe", "unsubscribe":
		return caps.Subscriptions.Subscribe(ctx, name, args[0] == "subscribe")
	}
	if args[0] == "floor" && name == "*" {
		return s.store.forget(user, "")
	}
	box, err := acct.Lookup(ctx, name)
	if err != nil {
		return err
	}
	switch args[0] {
	case "delete":
		return caps.Mailboxes.DeleteMailbox(ctx, box.ID)
	case "rename":
		return caps.Mailboxes.RenameMailbox(ctx, box.ID, args[2])
	case "floor":
		return s.store.forget(user, box.ID)
	}
	uids, err := parseUIDs(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case "expunge":
		_, err = caps.Expunge.Expunge(ctx, box.ID, uids, 0)
	case "move":
		dst, lookupErr := acct.Lookup(ctx, args[3])
		if lookupErr != nil {
			return lookupErr
		}
		_, err = caps.Move.Move(ctx, box.ID, uids, dst.ID)
	case "flags":
		change, parseErr := parseFlagChange(args[3], args[4:])
		if parseErr != nil {
			return parseErr
		}
		_, err = caps.Flags.SetFlags(ctx, box.ID, uids, change, mailaccess.AnyModSeq)
	}
	return err
}

func parseFlagChange(how string, names []string) (mailaccess.FlagChange, error) {
	flags, err := parseFlags(names)
	switch how {
	case "+":
		return mailaccess.FlagChange{Add: flags}, err
	case "-":
		return mailaccess.FlagChange{Remove: flags}, err
	case "=":
		return mailaccess.FlagChange{Replace: true, Add: flags}, err
	}
	return mailaccess.FlagChange{}, errors.New("flags are changed with +, - or =")
}

func parseFlags(names []string) (mailaccess.Flags, error) {
	system := map[string]mailaccess.SystemFlags{
		`\Seen`: mailaccess.FlagSeen, `\Answered`: mailaccess.FlagAnswered, `\Flagged`: mailaccess.FlagFlagged,
		`\Deleted`: mailaccess.FlagDeleted, `\Draft`: mailaccess.FlagDraft,
	}
	var f mailaccess.Flags
	for _, name := range names {
		f.System |= system[name]
	}
	keywords := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return system[name] != 0 })
	var err error
	f.Keywords, err = mailaccess.NewKeywords(keywords...)
	return f, err
}

// parseUIDs reads a set such as 1:3,7.
func parseUIDs(s string) (mailaccess.UIDSet, error) {
	var b mailaccess.UIDSetBuilder
	for _, part := range strings.Split(s, ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 32)
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		last, err := strconv.ParseUint(to, 10, 32)
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		b.AddRange(mailaccess.UID(first), mailaccess.UID(last))
	}
	return b.Set(), nil
}

// namespaceOf gives the namespace of Courier to one account; nil when account is empty.
func namespaceOf(account string) func(context.Context, string) (imap.Namespace, error) {
	if account == "" {
		return nil
	}
	return func(_ context.Context, of string) (imap.Namespace, error) {
		if of != account {
			return imap.Namespace{}, nil
		}
		return imap.Namespace{Prefix: "INBOX.", Separator: '.'}, nil
	}
}
