package hooks_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// gated is a body that cannot be read while the gate is shut.
type gated struct {
	io.ReadCloser
	g *gate
}

func (r gated) Read(p []byte) (int, error) {
	r.g.pass()
	return r.ReadCloser.Read(p)
}

// gateBodies puts g before every body that h opens.
func gateBodies(h *hooks.Handlers, g *gate) {
	open := h.OpenMailItem
	h.OpenMailItem = func(ctx context.Context, email string, ref hooks.Ref) (io.ReadCloser, error) {
		r, err := open(ctx, email, ref)
		return gated{r, g}, err
	}
}

// A body that cannot be read on is abandoned, whoever opened it.
func TestHangingBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) { gateBodies(h, g) },
			hooks.Options{Timeout: 10 * time.Second, Reconcile: -1, CacheBytes: -1})
		defer f.store.Close()
		f.put(mailaccess.Inbox, hookstest.Message{})
		acc := f.session()
		id := f.messages(acc, f.inbox(acc).ID)[0].EmailID
		g.shut.Store(true)
		start := time.Now()
		_, err := f.read(acc, id)
		wantKind(t, "Content that hangs", err, mailaccess.KindUnavailable)
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("abandoned after %v", d)
		}
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
		if _, err := f.read(acc, id); err != nil {
			t.Errorf("after it returned: %v", err)
		}
	})
}

// A copy whose bytes cannot be read is abandoned like any other change, and leaves
// the mailboxes to others.
func TestHangingCopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) { gateBodies(h, g) },
			hooks.Options{Timeout: 10 * time.Second, Reconcile: -1, CacheBytes: -1})
		defer f.store.Close()
		f.put(mailaccess.Inbox, hookstest.Message{})
		acc := f.session()
		s := f.inbox(acc)
		if _, err := f.read(acc, f.messages(acc, s.ID)[0].EmailID); err != nil {
			t.Fatal(err) // its size is known now, and nothing but the application reads it
		}
		g.shut.Store(true)
		start := time.Now()
		_, err := acc.Capabilities().Copy.Copy(t.Context(), s.ID, s.UIDs, s.ID)
		wantKind(t, "Copy", err, mailaccess.KindUncertain)
		if d := time.Since(start); d != 10*time.Second || g.entered.Load() != 1 {
			t.Errorf("abandoned after %v, %d readers", d, g.entered.Load())
		}
		if n := f.inbox(acc).Messages; n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
		// The application was told that the copy has ended, and added nothing.
		if n := f.inbox(acc).Messages; n != 1 {
			t.Errorf("after it returned: %d messages, want 1", n)
		}
		if _, err := acc.Capabilities().Copy.Copy(t.Context(), s.ID, s.UIDs, s.ID); err != nil {
			t.Errorf("the next copy: %v", err)
		}
	})
}

// No more calls run than all accounts together may have, those that hang included. A
// login that hangs has its own places.
func TestHangingEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			authenticate := h.Authenticate
			h.Authenticate = func(ctx context.Context, username, password string) (string, error) {
				g.pass()
				return authenticate(ctx, username, password)
			}
		}, hooks.Options{Timeout: 10 * time.Second, MaxCalls: 3, MaxAccountCalls: 2, Reconcile: -1})
		defer f.store.Close()
		login := func(name string) error {
			_, err := f.store.Authenticate(t.Context(), mailaccess.Login{Username: name, Password: "secret"})
			return err
		}
		g.shut.Store(true)
		for range 2 {
			wantKind(t, "a login that hangs", login(user), mailaccess.KindUnavailable)
		}
		start := time.Now()
		wantKind(t, "one more", login(user), mailaccess.KindUnavailable)
		if d := time.Since(start); d != 0 {
			t.Errorf("refused after %v", d)
		}
		if err := f.store.Sync(t.Context(), user); err != nil {
			t.Errorf("the account itself: %v", err)
		}
		wantKind(t, "another user's login", login("other"), mailaccess.KindUnavailable)
		// Now there is no place left for anybody.
		start = time.Now()
		wantKind(t, "the account itself", f.store.Sync(t.Context(), user), mailaccess.KindUnavailable)
		if d := time.Since(start); d != 10*time.Second || g.entered.Load() != 3 {
			t.Errorf("refused after %v, %d calls are under way", d, g.entered.Load())
		}
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
		if err := errors.Join(login(user), f.store.Sync(t.Context(), user)); err != nil {
			t.Errorf("after they returned: %v", err)
		}
	})
}

// A mailbox that was made by a call that hung shows when the call returns.
func TestHangingCreate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			create := h.CreateMailBox
			h.CreateMailBox = func(ctx context.Context, email string, b hooks.Box) error {
				g.pass()
				return create(ctx, email, b)
			}
		}, hooks.Options{Timeout: 10 * time.Second, Reconcile: -1})
		defer f.store.Close()
		acc := f.session()
		f.inbox(acc)
		rings := make(chan mailaccess.Ring, 10)
		stop, err := f.store.Watch(t.Context(), func(r mailaccess.Ring) { rings <- r })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		g.shut.Store(true)
		_, err = acc.Capabilities().Mailboxes.CreateMailbox(t.Context(), "Work", 0)
		wantKind(t, "CreateMailbox", err, mailaccess.KindUncertain)
		synctest.Wait()
		if len(rings) != 0 {
			t.Errorf("it rang before there was anything: %+v", <-rings)
		}
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
		if len(rings) == 0 {
			t.Error("nobody was told of the mailbox")
		}
		f.snapshot(acc, "Work")
	})
}

// An upload that the application never got is let go of, and its file with it.
func TestRefusedUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			add := h.AddMailItem
			h.AddMailItem = func(ctx context.Context, email string, n hooks.NewItem) (string, error) {
				g.pass()
				return add(ctx, email, n)
			}
		}, hooks.Options{Timeout: 10 * time.Second, MaxAccountCalls: 1, Reconcile: -1, CacheBytes: -1})
		defer f.store.Close()
		if err := f.app.Create(user, "Work", 0); err != nil {
			t.Fatal(err)
		}
		acc := f.session()
		to := acc.Capabilities().Append
		upload := func(box mailaccess.MailboxID) (held int32, err error) {
			staged, err := to.Stage(t.Context(), 10)
			if err != nil {
				t.Error(err)
			}
			defer staged.Close()
			_, err = to.Append(t.Context(), box, []mailaccess.NewMessage{{Staged: staged}})
			return hooks.BodyRefs(staged), err
		}
		inbox, work := f.inbox(acc).ID, f.snapshot(acc, "Work").ID
		g.shut.Store(true)
		go func() {
			held, err := upload(inbox)
			wantKind(t, "an Append that hangs", err, mailaccess.KindUncertain)
			if held != 2 {
				t.Errorf("the upload is held %d times, want 2: the application reads it", held)
			}
		}()
		synctest.Wait()
		held, err := upload(work)
		wantKind(t, "one for which there is no place", err, mailaccess.KindUnavailable)
		if held != 1 || g.entered.Load() != 1 {
			t.Errorf("the upload is held %d times, want 1; %d calls", held, g.entered.Load())
		}
		synctest.Wait() // until the first is abandoned too
		g.shut.Store(false)
		close(g.open)
		synctest.Wait()
	})
}
