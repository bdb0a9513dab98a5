package pop3_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/pop3"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
	"github.com/hashmail/mailaccess/stores/maildir"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server over a store that holds what a fixture asks for.
//
// Options of the header:
//
//	tcp=yes          connect over TCP on loopback, which others could listen to
//	tls=yes          the server has a certificate
//	tls=first        the same, and speaks TLS over TCP from the first byte on
//	plaintext=no     no passwords without TLS (the default; in-memory
//	                 connections are private)
//	plaintext=yes    passwords without TLS
//	plaintext=local  passwords without TLS on loopback
//	bad=N line=N user=N
//	                 Limits.BadCommands, MaxLine, PerUser
//	digests=yes      passwords are stored as they are, and APOP is offered
//	rights=read      whoever logs in may only read
//	version=TEXT     Options.Version
//	boxes=A,B uidl=FORM lock=no seen=yes delete=trash|flag
//	keep=N expire=N older=TIME larger=N delay=TIME
//	                 Options.Policy
//	saved=no         the store does not know when a message came into its mailbox
type world struct {
	store    mailaccess.Store
	deliver  deliver
	faults   *faults
	engine   *engine.Engine
	server   *protocols.Server
	listener net.Listener // nil: connections are in memory
	served   chan error
}

// wrap makes something else of a store before it is served.
type wrap func(mailaccess.Store) mailaccess.Store

// deliver puts a message into a mailbox as another program does.
type deliver func(ctx context.Context, m prototest.Message) error

func newWorld(t testing.TB, fx prototest.Fixture, w wrap) *world {
	t.Helper()
	store := memory.New(nil)
	return newWorldOver(t, fx, w, store, func(ctx context.Context, m prototest.Message) error {
		_, err := store.Deliver(ctx, m.User, m.Mailbox, m.Content, mailaccess.Flags{}, m.Date)
		return err
	})
}

// newHookedWorld is one over an application's functions.
func newHookedWorld(t testing.TB, fx prototest.Fixture, style hookstest.Style) *world {
	t.Helper()
	app := hookstest.New(style)
	for _, u := range fx.Users {
		app.AddUser(u.Name, u.Password)
	}
	store, err := hooks.New(app.Handlers(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOver(t, fx, nil, store, func(ctx context.Context, m prototest.Message) error {
		_, err := app.Put(m.User, m.Mailbox, hookstest.Message{Received: m.Date, Body: m.Content})
		return errors.Join(err, store.Sync(ctx, m.User, m.Mailbox))
	})
}

// newFiledWorld is one over Maildirs, into which a delivery agent writes files whose lines
// end in lineEnd, unless they would mean another message.
func newFiledWorld(t testing.TB, fx prototest.Fixture, lineEnd string) *world {
	t.Helper()
	dir := memoryDir(t)
	store, err := maildir.New(dir, &maildir.Options{Sync: maildir.SyncOff})
	if err != nil {
		t.Fatal(err)
	}
	var h *world
	// The store looks of its own accord when it opens a mailbox for the first time.
	seen := &world{store: store}
	delivered := make(map[[2]string]int)
	deliver := func(_ context.Context, m prototest.Message) error {
		at := [2]string{m.User, m.Mailbox}
		delivered[at]++
		n := delivered[at]
		content := bytes.ReplaceAll(m.Content, []byte("\r\n"), []byte(lineEnd))
		if bytes.Contains(m.Content, []byte("\r\r\n")) {
			content = m.Content
		}
		box := filepath.Join(dir, m.User)
		if m.Mailbox != mailaccess.Inbox {
			box = filepath.Join(box, "."+m.Mailbox)
		}
		err := putFile(box, fmt.Sprintf("8374%05d.M1.example", n), content, m.Date)
		if err != nil || h == nil && len(fx.Mailboxes) == 0 {
			return err
		}
		return seen.until(m.User, m.Mailbox, n)
	}
	h = newWorldOver(t, fx, nil, store, deliver)
	return h
}

// memoryDir is a directory that is gone after the test, in memory where the system has file
// systems there: many stores are made, and each waits for the disk.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "mailaccess")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// putFile delivers a message: it is written into tmp, and then it is in new.
func putFile(dir, name string, content []byte, received time.Time) error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	tmp := filepath.Join(dir, "tmp", name)
	return errors.Join(os.WriteFile(tmp, content, 0o600), os.Chtimes(tmp, received, received), os.Rename(tmp, filepath.Join(dir, "new", name)))
}

// until waits until the store has noticed n messages, of which some may be gone again.
func (h *world) until(user, mailbox string, n int) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		seen := false
		err := h.mailbox(user, mailbox, func(_ mailaccess.Account, snap mailaccess.Snapshot) error {
			seen = int(snap.UIDNext) > n
			return nil
		})
		if err != nil || seen {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("message %d was not noticed", n)
		}
	}
}

func newWorldOver(t testing.TB, fx prototest.Fixture, w wrap, store mailaccess.Store, d deliver) *world {
	t.Helper()
	h := &world{store: store, deliver: d}
	h.faults = &faults{Store: h.store, noSavedDates: fx.Options["saved"] == "no"}
	var served mailaccess.Store = h.faults
	if w != nil {
		served = w(served)
	}
	users := make(map[string]string)
	for _, u := range fx.Users {
		users[u.Name] = u.Password
	}
	var who mailaccess.Authenticator = auth.Static(users)
	if fx.Options["digests"] == "yes" {
		who = plainUsers(t, fx.Users)
	}
	if fx.Options["rights"] == "read" {
		who = readOnly{who}
	}
	e, err := engine.New(engine.Options{Store: served, Authenticator: who})
	if err != nil {
		t.Fatal(err)
	}
	h.engine = e
	h.server = &protocols.Server{
		Protocol: pop3.New(pop3.Options{
			Engine:              e,
			AllowPlaintext:      fx.Options["plaintext"] == "yes",
			PlaintextOnLoopback: fx.Options["plaintext"] == "local",
			Policy:              policy(t, fx.Options),
			Version:             fx.Options["version"],
		}),
		Limits: &protocols.Limits{
			BadCommands: number(t, fx.Options["bad"]),
			MaxLine:     int64(number(t, fx.Options["line"])),
			PerUser:     number(t, fx.Options["user"]),
		},
	}
	if fx.Options["tls"] != "" {
		cert, err := protocols.SelfSigned()
		if err != nil {
			t.Fatal(err)
		}
		h.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	}
	if fx.Options["tcp"] == "yes" || fx.Options["tls"] == "first" {
		if h.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		h.served = make(chan error, 1)
		serve := h.server.Serve
		if fx.Options["tls"] == "first" {
			serve = h.server.ServeTLS
		}
		go func() { h.served <- serve(h.listener) }()
	}
	for _, m := range fx.Mailboxes {
		if err := h.create(m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range fx.Messages {
		if err := h.Deliver(t, m); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// plainUsers are the users of a file that has their passwords as they are, of whom one may
// not use POP3: imaponly.
func plainUsers(t testing.TB, users []prototest.User) mailaccess.Authenticator {
	t.Helper()
	var text strings.Builder
	for _, u := range users {
		fmt.Fprintf(&text, "%s:{PLAIN}%s", u.Name, u.Password)
		if u.Name == "imaponly" {
			text.WriteString(":protocols=imap")
		}
		text.WriteString("\n")
	}
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := auth.OpenUsersFile(path, &auth.UsersFileOptions{Digests: true})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// policy reads the options that are its.
func policy(t testing.TB, options map[string]string) pop3.Policy {
	t.Helper()
	p := pop3.Policy{
		NoLock:     options["lock"] == "no",
		MarkSeen:   options["seen"] == "yes",
		KeepDays:   number(t, options["keep"]),
		ExpireDays: number(t, options["expire"]),
		HideLarger: int64(number(t, options["larger"])),
		HideOlder:  duration(t, options["older"]),
		LoginDelay: duration(t, options["delay"]),
	}
	if boxes := options["boxes"]; boxes != "" {
		p.Mailboxes = strings.Split(boxes, ",")
	}
	switch options["delete"] {
	case "trash":
		p.Delete = pop3.DeleteToTrash
	case "flag":
		p.Delete = pop3.DeleteFlag
	}
	if form := options["uidl"]; form != "" {
		var err error
		if p.UIDL, err = pop3.ParseUIDLFormat(form); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	return p
}

func duration(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(cmp.Or(s, "0s"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(s, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *world) Dial() (net.Conn, error) {
	if h.listener != nil {
		return net.Dial("tcp", h.listener.Addr().String())
	}
	client, server := net.Pipe()
	go h.server.ServeConn(server)
	return client, nil
}

func (h *world) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if h.served != nil {
		if serr := <-h.served; !errors.Is(serr, protocols.ErrServerClosed) {
			err = errors.Join(err, serr)
		}
	}
	return errors.Join(err, h.engine.Close(), h.store.Close())
}

// Deliver puts a message into a mailbox as another program does.
func (h *world) Deliver(_ testing.TB, m prototest.Message) error {
	return h.deliver(context.Background(), m)
}

// Do knows these actions:
//
//	do expunge USER N      another program removes the N-th message of INBOX
//	do count USER N [BOX]  fails unless INBOX, or another mailbox, has N messages
//	do flags USER [N ...]  fails unless these messages of INBOX have \Seen or
//	                       \Deleted, as the line says with a letter behind each
//	do fail WHAT KIND N    see faults
//	do mend                nothing fails any more
func (h *world) Do(_ testing.TB, args []string) error {
	switch {
	case args[0] == "expunge" && len(args) == 3:
		return h.inbox(args[1], func(a mailaccess.Account, snap mailaccess.Snapshot) error {
			n, err := strconv.Atoi(args[2])
			if err != nil {
				return err
			}
			_, err = a.Capabilities().Expunge.Expunge(context.Background(), snap.ID, mailaccess.UIDSetOf(snap.UIDs.Select(n)), 0)
			return err
		})
	case args[0] == "count" && (len(args) == 3 || len(args) == 4):
		box := append(args, mailaccess.Inbox)[3]
		return h.mailbox(args[1], box, func(_ mailaccess.Account, snap mailaccess.Snapshot) error {
			if got := strconv.Itoa(snap.Messages); got != args[2] {
				return fmt.Errorf("%s has %s messages, want %s", box, got, args[2])
			}
			return nil
		})
	case args[0] == "flags" && len(args) >= 2:
		return h.inbox(args[1], func(a mailaccess.Account, snap mailaccess.Snapshot) error {
			return wantFlags(a, snap, strings.Join(args[2:], " "))
		})
	case args[0] == "fail" && len(args) == 4:
		kind := slices.IndexFunc(mailaccess.Kinds(), func(k mailaccess.Kind) bool { return k.Error() == args[2] })
		if kind < 0 {
			return fmt.Errorf("no kind %q", args[2])
		}
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return h.faults.set(args[1], mailaccess.Kinds()[kind], n)
	case args[0] == "mend":
		return h.faults.set("", 0, 0)
	}
	return fmt.Errorf("no action %q", strings.Join(args, " "))
}

// inbox looks at somebody's INBOX beside the server.
func (h *world) inbox(user string, f func(mailaccess.Account, mailaccess.Snapshot) error) error {
	return h.mailbox(user, mailaccess.Inbox, f)
}

// mailbox looks at a mailbox of somebody beside the server.
func (h *world) mailbox(user, name string, f func(mailaccess.Account, mailaccess.Snapshot) error) (err error) {
	ctx := context.Background()
	a, err := h.store.Open(ctx, user, mailaccess.Identity{User: user, Account: user})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	box, err := a.Lookup(ctx, name)
	if err != nil {
		return err
	}
	snap, err := a.Snapshot(ctx, box.ID)
	if err != nil {
		return err
	}
	return f(a, snap)
}

// create makes a mailbox that a fixture names.
func (h *world) create(m prototest.Mailbox) error {
	if m.Name == mailaccess.Inbox {
		return nil
	}
	var use mailaccess.SpecialUse
	if slices.Contains(m.Attributes, `\Trash`) {
		use = mailaccess.UseTrash
	}
	return h.inbox(m.User, func(a mailaccess.Account, _ mailaccess.Snapshot) error {
		_, err := a.Capabilities().Mailboxes.CreateMailbox(context.Background(), m.Name, use)
		return err
	})
}

// wantFlags compares flags with what is written as "1s 3sd".
func wantFlags(a mailaccess.Account, snap mailaccess.Snapshot, want string) error {
	var got []string
	n := 0
	for m, err := range a.Messages(context.Background(), snap.ID, snap.UIDs) {
		if err != nil {
			return err
		}
		n++
		letters := ""
		if m.Flags.System.Has(mailaccess.FlagSeen) {
			letters += "s"
		}
		if m.Flags.System.Has(mailaccess.FlagDeleted) {
			letters += "d"
		}
		if letters != "" {
			got = append(got, strconv.Itoa(n)+letters)
		}
	}
	if strings.Join(got, " ") != want {
		return fmt.Errorf("flags are %q, want %q", strings.Join(got, " "), want)
	}
	return nil
}

// readOnly lets everybody read and nothing else.
type readOnly struct{ mailaccess.Authenticator }

func (r readOnly) Authenticate(ctx context.Context, l mailaccess.Login) (mailaccess.Identity, error) {
	id, err := r.Authenticator.Authenticate(ctx, l)
	id.Without = mailaccess.RightsAll &^ mailaccess.RightsReadOnly
	return id, err
}
