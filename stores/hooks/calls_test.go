package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

func wantKind(t testing.TB, what string, err error, kind mailaccess.Kind) {
	t.Helper()
	if err == nil || mailaccess.KindOf(err) != kind {
		t.Errorf("%s: error %v, want %q", what, err, kind)
	}
}

func (f *fixture) session() mailaccess.Account {
	f.Helper()
	acc, err := f.store.Open(f.Context(), user, mailaccess.Identity{User: user, Account: user})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { acc.Close() })
	return acc
}

func (f *fixture) inbox(acc mailaccess.Account) mailaccess.Snapshot {
	f.Helper()
	return f.snapshot(acc, mailaccess.Inbox)
}

func (f *fixture) snapshot(acc mailaccess.Account, name string) mailaccess.Snapshot {
	f.Helper()
	m, err := acc.Lookup(f.Context(), name)
	if err != nil {
		f.Fatal(err)
	}
	s, err := acc.Snapshot(f.Context(), m.ID)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

func (f *fixture) put(mailbox string, m hookstest.Message) string {
	f.Helper()
	if m.Body == nil {
		m.Body = []byte("Subject: x\n\ntext\n")
	}
	key, err := f.app.Put(user, mailbox, m)
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// Errors of the application become those of the contract.
func TestErrors(t *testing.T) {
	plain := errors.New("the database is away")
	for _, test := range []struct {
		err  error
		want mailaccess.Kind
	}{
		{plain, mailaccess.KindUnavailable},
		{mailaccess.KindOverQuota, mailaccess.KindOverQuota},
		{fmt.Errorf("adding: %w", mailaccess.KindTooBig), mailaccess.KindTooBig},
		{&mailaccess.Error{Kind: mailaccess.KindForbidden, Err: plain}, mailaccess.KindForbidden},
		{context.DeadlineExceeded, mailaccess.KindUnavailable},
		{mailaccess.ErrSkip, mailaccess.KindUnavailable},
	} {
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			h.AddMailItem = func(context.Context, string, hooks.NewItem) (string, error) { return "", test.err }
		}, hooks.Options{})
		acc := f.session()
		before := f.inbox(acc)
		err := f.append(acc, before.ID, "Subject: x\r\n\r\n")
		wantKind(t, fmt.Sprint("Append with ", test.err), err, test.want)
		if errors.Is(err, mailaccess.ErrSkip) {
			t.Errorf("%v gets out", err)
		}
		if now := f.inbox(acc); now.Status != before.Status {
			t.Errorf("%v: the mailbox is %+v, was %+v", test.err, now.Status, before.Status)
		}
	}
}

func (f *fixture) append(acc mailaccess.Account, box mailaccess.MailboxID, raw string) error {
	f.Helper()
	to := acc.Capabilities().Append
	s, err := to.Stage(f.Context(), int64(len(raw)))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write([]byte(raw)); err != nil {
		f.Fatal(err)
	}
	_, err = to.Append(f.Context(), box, []mailaccess.NewMessage{{Staged: s}})
	return err
}

// A function that panics, or ends its goroutine, fails alone. What it panicked with
// may be content and is not logged; the stack is.
func TestPanics(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"value":  func() { panic("the secret content") },
		"nil":    func() { var p *hooks.Item; p.Key = "x" },
		"Goexit": func() { t := &testing.T{}; t.SkipNow() },
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			bad := true
			f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
				update := h.UpdateMailItem
				h.UpdateMailItem = func(ctx context.Context, email string, c hooks.Change) error {
					if bad {
						misbehave()
					}
					return update(ctx, email, c)
				}
			}, hooks.Options{Logger: zap.New(core)})
			f.put(mailaccess.Inbox, hookstest.Message{})
			acc := f.session()
			s := f.inbox(acc)
			change := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
			res, err := acc.Capabilities().Flags.SetFlags(t.Context(), s.ID, s.UIDs, change, mailaccess.AnyModSeq)
			wantKind(t, "SetFlags", err, mailaccess.KindInternal)
			if len(res.Changed) > 0 {
				t.Errorf("changed %v", res.Changed)
			}
			stack := false
			for _, e := range logs.All() {
				text := fmt.Sprint(e.Message, e.ContextMap())
				if strings.Contains(text, "secret") {
					t.Errorf("logged: %s", text)
				}
				stack = stack || strings.Contains(text, "calls_test.go")
			}
			if !stack {
				t.Error("no stack was logged")
			}
			bad = false
			if _, err := acc.Capabilities().Flags.SetFlags(t.Context(), s.ID, s.UIDs, change, mailaccess.AnyModSeq); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
}

// gate lets calls of a function through, or not.
type gate struct {
	shut    atomic.Bool
	entered atomic.Int32 // while it was shut
	open    chan struct{}
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) pass() {
	if g.shut.Load() {
		g.entered.Add(1)
		<-g.open
	}
}

// A function that hangs is abandoned. So many of one account may; then the account
// refuses at once, others do not, and when they return it works again.
func TestHangingReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			items := h.MailItems
			h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
				if email == user {
					g.pass()
				}
				return items(ctx, email, q)
			}
		}, hooks.Options{Timeout: 10 * time.Second, MaxAccountCalls: 3, Reconcile: -1})
		f.app.AddUser("other@example.org", "secret")
		defer f.store.Close()
		acc := f.session()
		m, err := acc.Lookup(t.Context(), mailaccess.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		g.shut.Store(true)
		for i := range 3 {
			start := time.Now()
			_, err := acc.Status(t.Context(), m.ID)
			wantKind(t, "Status while the application hangs", err, mailaccess.KindUnavailable)
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("call %d was abandoned after %v", i, d)
			}
		}
		start := time.Now()
		_, err = acc.Status(t.Context(), m.ID)
		wantKind(t, "Status when too many calls hang", err, mailaccess.KindUnavailable)
		if d := time.Since(start); d != 0 || g.entered.Load() != 3 {
			t.Errorf("refused after %v, %d calls are under way", d, g.entered.Load())
		}
		if err := f.store.Sync(t.Context(), "other@example.org"); err != nil {
			t.Errorf("another account: %v", err)
		}
		close(g.open)
		g.shut.Store(false)
		synctest.Wait()
		if _, err := acc.Status(t.Context(), m.ID); err != nil {
			t.Errorf("after they returned: %v", err)
		}
	})
}

// A listing that goes on is not abandoned, however long it takes.
func TestSlowListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			items := h.MailItems
			h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
				return func(yield func(hooks.Item, error) bool) {
					for item, err := range items(ctx, email, q) {
						time.Sleep(9 * time.Second)
						if !yield(item, err) {
							return
						}
					}
				}
			}
		}, hooks.Options{Timeout: 10 * time.Second, Reconcile: -1})
		defer f.store.Close()
		for range 10 {
			f.put(mailaccess.Inbox, hookstest.Message{})
		}
		if n := f.inbox(f.session()).Messages; n != 10 {
			t.Errorf("%d messages, want 10", n)
		}
	})
}

// The outcome of a change that hangs is not known. It is when the function returns,
// and then everybody is told.
func TestHangingChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			add := h.AddMailItem
			h.AddMailItem = func(ctx context.Context, email string, n hooks.NewItem) (string, error) {
				g.pass()
				return add(ctx, email, n)
			}
		}, hooks.Options{Timeout: 10 * time.Second, Reconcile: -1})
		defer f.store.Close()
		acc := f.session()
		s := f.inbox(acc)
		rings := make(chan mailaccess.Ring, 10)
		stop, err := f.store.Watch(t.Context(), func(r mailaccess.Ring) { rings <- r })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()

		g.shut.Store(true)
		wantKind(t, "Append", f.append(acc, s.ID, "Subject: late\r\n\r\n"), mailaccess.KindUncertain)
		synctest.Wait()
		if n := f.inbox(acc).Messages; n != 0 || len(rings) != 0 {
			t.Errorf("%d messages, %d rings", n, len(rings))
		}
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
		if n := f.inbox(acc).Messages; n != 1 || len(rings) == 0 {
			t.Errorf("after it returned: %d messages, %d rings", n, len(rings))
		}
		// The upload was read after the session that made it had closed it.
		if got := f.app.Messages(user, mailaccess.Inbox); len(got) != 1 || string(got[0].Body) != "Subject: late\r\n\r\n" {
			t.Errorf("the application has %+v", got)
		}
	})
}

// What a change that hangs has done shows at once.
func TestHangingAfterChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			add := h.AddMailItem
			h.AddMailItem = func(ctx context.Context, email string, n hooks.NewItem) (string, error) {
				defer g.pass()
				return add(ctx, email, n)
			}
		}, hooks.Options{Timeout: 10 * time.Second, Reconcile: -1})
		defer f.store.Close()
		acc := f.session()
		s := f.inbox(acc)
		g.shut.Store(true)
		wantKind(t, "Append", f.append(acc, s.ID, "Subject: x\r\n\r\n"), mailaccess.KindUncertain)
		if n := f.inbox(acc).Messages; n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		close(g.open)
		synctest.Wait()
		if n := f.inbox(acc).Messages; n != 1 {
			t.Errorf("when it returned: %d messages, want 1", n)
		}
	})
}

// A client that goes away does not keep a change from being finished.
func TestCancelledChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			update := h.UpdateMailItem
			h.UpdateMailItem = func(ctx context.Context, email string, c hooks.Change) error {
				g.pass()
				if err := ctx.Err(); err != nil {
					return err
				}
				return update(ctx, email, c)
			}
		}, hooks.Options{Reconcile: -1})
		defer f.store.Close()
		f.put(mailaccess.Inbox, hookstest.Message{})
		f.put(mailaccess.Inbox, hookstest.Message{})
		acc := f.session()
		s := f.inbox(acc)
		g.shut.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			cancel()
			synctest.Wait()
			close(g.open)
		}()
		res, err := acc.Capabilities().Flags.SetFlags(ctx, s.ID, s.UIDs, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
		wantKind(t, "SetFlags", err, mailaccess.KindUnavailable)
		if len(res.Changed) != 1 || res.Changed[0].UIDs.String() != "1" {
			t.Errorf("changed %+v, want the first message", res.Changed)
		}
		if now := f.inbox(acc); now.Unseen != 1 {
			t.Errorf("%d unseen, want 1", now.Unseen)
		}
	})
}

func TestAuthenticate(t *testing.T) {
	var fail error
	f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
		authenticate := h.Authenticate
		h.Authenticate = func(ctx context.Context, username, password string) (string, error) {
			if fail != nil {
				return "", fail
			}
			return authenticate(ctx, username, password)
		}
	}, hooks.Options{})
	login := mailaccess.Login{Username: user, Password: "secret"}
	who, err := f.store.Authenticate(t.Context(), login)
	if err != nil || who.Account != user || who.User != user || who.Without != 0 {
		t.Errorf("Authenticate: %+v, %v", who, err)
	}
	if _, err := f.store.Authenticate(t.Context(), mailaccess.Login{Username: user, Password: "secret", Authzid: user}); err != nil {
		t.Errorf("Authenticate as oneself: %v", err)
	}
	_, err = f.store.Authenticate(t.Context(), mailaccess.Login{Username: user, Password: "secret", Authzid: "other"})
	wantKind(t, "Authenticate as another", err, mailaccess.KindForbidden)
	_, err = f.store.Authenticate(t.Context(), mailaccess.Login{Username: user, Password: "wrong"})
	wantKind(t, "a wrong password", err, mailaccess.KindAuthFailed)
	_, err = f.store.Authenticate(t.Context(), mailaccess.Login{Username: "nobody", Password: "secret"})
	wantKind(t, "an unknown user", err, mailaccess.KindAuthFailed)

	fail = fmt.Errorf("locked: %w", mailaccess.KindAuthExpired)
	_, err = f.store.Authenticate(t.Context(), login)
	wantKind(t, "an error with a kind", err, mailaccess.KindAuthExpired)
	fail = errors.New("select where password = 'secret': connection lost")
	_, err = f.store.Authenticate(t.Context(), login)
	wantKind(t, "an error without a kind", err, mailaccess.KindUnavailable)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the password: %v", err)
	}
}

func TestUnknownAccount(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{SyncState: t.TempDir() + "/state"})
	writes := f.store.Writes()
	_, err := f.store.Open(t.Context(), "nobody@example.org", mailaccess.Identity{})
	wantKind(t, "Open", err, mailaccess.KindNotFound)
	if n := f.store.Writes() - writes; n != 0 {
		t.Errorf("%d transactions for an account that does not exist", n)
	}
}

func TestNewFails(t *testing.T) {
	whole := hookstest.New(hookstest.Style{}).Handlers()
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage\n"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*hooks.Handlers)
		opts   hooks.Options
		want   mailaccess.Kind
	}{
		"no MailBoxes": {func(h *hooks.Handlers) { h.MailBoxes = nil }, hooks.Options{}, mailaccess.KindInvalid},
		"no MailItems": {func(h *hooks.Handlers) { h.MailItems = nil }, hooks.Options{}, mailaccess.KindInvalid},
		"no flag":      {func(*hooks.Handlers) {}, hooks.Options{Flags: []string{`\Sean`}}, mailaccess.KindInvalid},
		"another file": {func(*hooks.Handlers) {}, hooks.Options{SyncState: garbage}, mailaccess.KindCorrupt},
		"no file":      {func(*hooks.Handlers) {}, hooks.Options{SyncState: t.TempDir() + "/none/state"}, mailaccess.KindUnavailable},
	} {
		h := whole
		test.change(&h)
		_, err := hooks.New(h, &test.opts)
		wantKind(t, name, err, test.want)
	}
}
