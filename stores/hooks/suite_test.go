package hooks_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

const user = "user@example.org"

// variants are applications that can do more or less.
var variants = map[string]func(h *hooks.Handlers){
	"everything": func(h *hooks.Handlers) {},
	"five functions": func(h *hooks.Handlers) {
		h.AddMailItems, h.RemoveMailItem, h.MoveMailItem, h.OpenMailItem = nil, nil, nil, nil
		h.CreateMailBox, h.RenameMailBox, h.DeleteMailBox = nil, nil, nil
	},
	"read only": func(h *hooks.Handlers) {
		*h = hooks.Handlers{Authenticate: h.Authenticate, MailBoxes: h.MailBoxes, MailItems: h.MailItems}
	},
	"batches only": func(h *hooks.Handlers) { h.AddMailItem, h.UpdateMailItem = nil, nil },
	"no rename":    func(h *hooks.Handlers) { h.RenameMailBox, h.MoveMailItem, h.RemoveMailItem = nil, nil, nil },
}

// fixture is an application and the store over it.
type fixture struct {
	testing.TB
	app   *hookstest.App
	h     hooks.Handlers
	opts  hooks.Options
	store *hooks.Store
}

func newFixture(t testing.TB, style hookstest.Style, reduce func(*hooks.Handlers), opts hooks.Options) *fixture {
	t.Helper()
	f := &fixture{TB: t, app: hookstest.New(style), opts: opts}
	f.app.AddUser(user, "secret")
	f.h = f.app.Handlers()
	if reduce != nil {
		reduce(&f.h)
	}
	f.open(t)
	return f
}

func (f *fixture) open(t testing.TB) mailaccess.Store {
	t.Helper()
	var err error
	if f.store, err = hooks.New(f.h, &f.opts); err != nil {
		t.Fatal(err)
	}
	s := f.store
	t.Cleanup(func() { s.Close() })
	return s
}

// stateFile returns where a small state file may be: in memory where that is
// possible, since most of these tests would wait for nothing but the disk.
func stateFile(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "mailaccess-*")
	if err != nil {
		return filepath.Join(t.TempDir(), "state")
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "state")
}

func (f *fixture) harness() storetest.Harness {
	return storetest.Harness{
		Store:      f.store,
		Account:    user,
		Reopen:     f.open,
		LowerFloor: func(account string, box mailaccess.MailboxID) { f.store.DropHistory(account, box) },
		Deliver:    f.deliver,
	}
}

// deliver puts a message into the application and has the store compare.
func (f *fixture) deliver(ctx context.Context, box mailaccess.MailboxID, content []byte, flags mailaccess.Flags, received time.Time) (mailaccess.UID, error) {
	acc, err := f.store.Open(ctx, user, mailaccess.Identity{User: user, Account: user})
	if err != nil {
		return 0, err
	}
	defer acc.Close()
	s, err := acc.Snapshot(ctx, box)
	if err != nil {
		return 0, err
	}
	if received.IsZero() {
		received = time.Now()
	}
	if _, err := f.app.Put(user, s.Name, hookstest.Message{Flags: hooks.Words(flags), Received: received, Body: content}); err != nil {
		return 0, err
	}
	if err := f.store.Sync(ctx, user); err != nil {
		return 0, err
	}
	now, err := acc.Snapshot(ctx, box)
	if err != nil {
		return 0, err
	}
	if fresh := now.UIDs.Minus(s.UIDs); fresh.Len() == 1 {
		return fresh.Min(), nil
	}
	return 0, errors.New("the message did not arrive")
}

func TestSuite(t *testing.T) {
	for name, reduce := range variants {
		for _, where := range []string{"memory", "file"} {
			t.Run(name+" in "+where, func(t *testing.T) {
				t.Parallel()
				storetest.Run(t, func(t testing.TB) storetest.Harness {
					opts := hooks.Options{MaxMessageSize: 1 << 20}
					if where == "file" {
						opts.SyncState, opts.Durable = stateFile(t), true
					}
					// The suite takes sizes for known that a delivery brings.
					return newFixture(t, hookstest.Style{Sizes: true}, reduce, opts).harness()
				})
			})
		}
	}
}

// The store keeps the contract as well where everything is awkward.
func TestSuiteHostile(t *testing.T) {
	for _, name := range []string{"everything", "five functions"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t testing.TB) storetest.Harness {
				f := newFixture(t, hookstest.Style{Sizes: true}, variants[name], hooks.Options{MaxMessageSize: 1 << 20, CacheBytes: -1})
				h := f.harness()
				h.Store = storetest.Hostile(f.store, &storetest.HostileOptions{KnownSizes: true})
				h.ShortHistory, h.LowerFloor = true, nil
				return h
			})
		})
	}
}

// One that forgets early keeps it too.
func TestSuiteShortHistory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Harness {
		f := newFixture(t, hookstest.Style{}, nil, hooks.Options{HistoryLimit: 3, SyncState: stateFile(t), Durable: true})
		h := f.harness()
		h.ShortHistory = true
		return h
	})
}
