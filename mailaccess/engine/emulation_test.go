package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/stores/memory"
)

// without wraps a store so that its accounts lack something.
func without(take func(*mailaccess.Capabilities)) func(mailaccess.Store) mailaccess.Store {
	return func(s mailaccess.Store) mailaccess.Store { return lacking{s, take} }
}

type lacking struct {
	mailaccess.Store
	take func(*mailaccess.Capabilities)
}

func (s lacking) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	caps := a.Capabilities()
	s.take(&caps)
	return lackingAccount{a, caps}, nil
}

type lackingAccount struct {
	mailaccess.Account
	caps mailaccess.Capabilities
}

func (a lackingAccount) Capabilities() mailaccess.Capabilities { return a.caps }

// A store that cannot move moves by copying and expunging; the pairs are right.
func TestMoveByCopy(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.Move = nil }))
	w.deliver(4)
	s := w.session()
	v := w.open(s, engine.ViewOptions{})
	dst, err := s.Create(w.ctx, "Done", 0)
	w.check(err)
	done, err := v.Move(w.ctx, mailaccess.UIDSetOf(2, 4, 9), dst.ID, nil)
	w.check(err)
	if done.Source.String() != "2,4" || done.Dest.Len() != 2 || done.UIDValidity != dst.UIDValidity {
		t.Fatalf("moved %s to %s under %d", done.Source, done.Dest, done.UIDValidity)
	}
	c := newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), "gone 4", "gone 2")
}

// To move messages to the mailbox that they are in gives them new UIDs, whether the
// store can move or not (RFC 6851, section 3.3).
func TestMoveToItself(t *testing.T) {
	for name, wrap := range map[string]func(mailaccess.Store) mailaccess.Store{
		"by the store": nil,
		"by copies":    without(func(c *mailaccess.Capabilities) { c.Move = nil }),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wrap)
			w.deliver(3)
			v := w.open(w.session(), engine.ViewOptions{})
			done, err := v.Move(w.ctx, mailaccess.UIDSetOf(1, 3), v.Status().ID, nil)
			w.check(err)
			if done.Source.String() != "1,3" || done.Dest.String() != "4:5" || done.UIDValidity != v.Status().UIDValidity {
				t.Fatalf("moved %s to %s under %d", done.Source, done.Dest, done.UIDValidity)
			}
			w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
			if got := v.UIDs().String(); got != "2,4:5" {
				t.Errorf("the mailbox holds %s", got)
			}
		})
	}
}

// What a store lacks and nobody can make up for is said, and refused.
func TestCannot(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) {
		*c = mailaccess.Capabilities{}
	}))
	w.deliver(2)
	s := w.session()
	can := s.Can()
	can.MaxUpload = 0
	if can != (engine.Can{}) {
		t.Fatalf("a store without anything can %+v", can)
	}
	v := w.open(s, engine.ViewOptions{})
	if !v.ReadOnly() {
		t.Fatal("the view can be written to")
	}
	_, uploadErr := s.NewUpload(w.ctx, 1)
	_, createErr := s.Create(w.ctx, "x", 0)
	_, copyErr := v.Copy(w.ctx, v.UIDs(), v.Status().ID)
	_, moveErr := s.Lookup(w.ctx, mailaccess.Inbox)
	if moveErr != nil {
		t.Fatal(moveErr)
	}
	for what, err := range map[string]error{
		"upload": uploadErr, "create": createErr, "copy": copyErr,
		"delete":    s.Delete(w.ctx, "x"),
		"rename":    s.Rename(w.ctx, "x", "y"),
		"subscribe": s.Subscribe(w.ctx, "x", true),
		"expunge":   v.Expunge(w.ctx, v.UIDs(), 0),
	} {
		if mailaccess.KindOf(err) != mailaccess.KindUnsupported {
			t.Errorf("%s: %v", what, err)
		}
	}
	names, err := collect(s.Subscriptions(w.ctx))
	w.check(err)
	if !slices.Equal(names, []string{mailaccess.Inbox}) {
		t.Errorf("without subscriptions every mailbox is subscribed; got %q", names)
	}
}

func collect[T any](seq func(func(T, error) bool)) ([]T, error) {
	var all []T
	for x, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, x)
	}
	return all, nil
}

// Without many-at-once copies, one is copied and more are refused whole.
func TestCopyOne(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.CopyMany, c.AppendMany = false, false }))
	w.deliver(2)
	s := w.session()
	v := w.open(s, engine.ViewOptions{})
	if _, err := v.Copy(w.ctx, mailaccess.UIDSetOf(1, 2), v.Status().ID); mailaccess.KindOf(err) != mailaccess.KindUnsupported {
		t.Fatalf("copying two: %v", err)
	}
	done, err := v.Copy(w.ctx, mailaccess.UIDSetOf(2), v.Status().ID)
	w.check(err)
	if done.Source.String() != "2" || done.Dest.String() != "3" {
		t.Fatalf("copied %s to %s", done.Source, done.Dest)
	}
}

// A store that cannot watch: what passes through the engine rings at once, the rest
// is looked for at intervals.
func TestNoWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(nil)
		e, err := engine.New(engine.Options{
			Store:         blind{mem},
			Authenticator: auth.Static(map[string]string{"demo": "secret"}),
			PollInterval:  time.Hour,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, ctx: t.Context(), store: mem, mem: mem, e: e}
		s := w.session()
		v, other := w.open(s, engine.ViewOptions{}), w.open(s, engine.ViewOptions{})
		woken := make(chan time.Duration, 1)
		start := time.Now()
		v.AfterRing(func() { woken <- time.Since(start) })
		w.deliver(1)
		if after := <-woken; after != time.Hour {
			t.Errorf("an arrival from outside was noticed after %v", after)
		}
		w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
		start = time.Now()
		v.AfterRing(func() { woken <- time.Since(start) })
		w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(1), 0))
		if after := <-woken; after != 0 {
			t.Errorf("our own expunge was noticed after %v", after)
		}
		v.Close()
		other.Close()
		w.check(e.Close())
		w.check(mem.Close())
	})
}

type blind struct{ *memory.Store }

func (blind) Watch(context.Context, func(mailaccess.Ring)) (func(), error) {
	return nil, mailaccess.ErrSkip
}

// When the store has forgotten what was removed the view compares sets.
func TestHistoryGone(t *testing.T) {
	w := newWorld(t, func(s mailaccess.Store) mailaccess.Store { return forgetful{s} })
	w.deliver(4)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	_, err := other.SetFlags(w.ctx, mailaccess.UIDSetOf(3), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
	w.check(err)
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(1), 0))
	w.deliver(1)
	c := newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), "gone 1", "exists 4 recent 4", fmt.Sprint("flags 2 ", mailaccess.FlagSeen))
}

type forgetful struct{ mailaccess.Store }

func (s forgetful) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return forgetfulAccount{a}, err
}

type forgetfulAccount struct{ mailaccess.Account }

func (a forgetfulAccount) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	c, err := a.Account.MailboxChanges(ctx, box, since)
	c.Floor = c.UpTo
	c.Vanished = func(func(mailaccess.Vanished, error) bool) {}
	return c, err
}

// The answer of a commit is lost: the engine passes on that nobody knows, and the
// next update shows what really happened.
func TestUncertain(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.Expunge = lostAnswer{c.Expunge} }))
	w.deliver(2)
	v := w.open(w.session(), engine.ViewOptions{})
	if err := v.Expunge(w.ctx, mailaccess.UIDSetOf(1), 0); mailaccess.KindOf(err) != mailaccess.KindUncertain {
		t.Fatalf("Expunge: %v", err)
	}
	c := newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), "gone 1")
}

type lostAnswer struct{ mailaccess.Expunger }

func (l lostAnswer) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	if _, err := l.Expunger.Expunge(ctx, box, uids, need); err != nil {
		return nil, err
	}
	return nil, &mailaccess.Error{Kind: mailaccess.KindUncertain, Op: "expunge", Err: errors.New("connection lost")}
}

// Leases exclude sessions of one process whether the store keeps leases or not.
func TestLease(t *testing.T) {
	for _, keeps := range []bool{true, false} {
		t.Run(fmt.Sprint("leaser ", keeps), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memory.New(nil)
				var store mailaccess.Store = mem
				if !keeps {
					store = without(func(c *mailaccess.Capabilities) { c.Lease = nil })(mem)
				}
				e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"demo": "secret"})})
				if err != nil {
					t.Fatal(err)
				}
				w := &world{t: t, ctx: t.Context(), store: store, mem: mem, e: e}
				a, b := w.session(), w.session()
				l, err := a.Lease(w.ctx, "pop3")
				w.check(err)
				// Far longer than any time to live: it is refreshed.
				time.Sleep(time.Hour)
				if _, err := b.Lease(w.ctx, "pop3"); mailaccess.KindOf(err) != mailaccess.KindInUse {
					t.Fatalf("the lease was given twice: %v", err)
				}
				other, err := b.Lease(w.ctx, "other")
				w.check(err)
				w.check(other.Release())
				w.check(l.Release())
				w.check(l.Release())
				again, err := b.Lease(w.ctx, "pop3")
				w.check(err)
				w.check(again.Release())
				select {
				case <-l.Lost():
					t.Error("a lease that was released counts as lost")
				default:
				}
				w.check(e.Close())
			})
		})
	}
}

// What is taken in becomes canonical, and is limited in that form.
func TestUpload(t *testing.T) {
	mem := memory.New(nil)
	e, err := engine.New(engine.Options{Store: mem, Authenticator: auth.Static(map[string]string{"demo": "secret"}), MaxUpload: 10})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: t.Context(), store: mem, mem: mem, e: e}
	t.Cleanup(func() { w.check(e.Close()) })
	s := w.session()
	inbox, err := s.Lookup(w.ctx, "InBoX")
	w.check(err)

	up, err := s.NewUpload(w.ctx, -1)
	w.check(err)
	defer up.Close()
	for _, piece := range []string{"a\r", "\nb\n", "\rc"} {
		_, err := io.WriteString(up, piece)
		w.check(err)
	}
	done, err := s.Append(w.ctx, inbox.ID, engine.NewMessage{Upload: up})
	w.check(err)
	content, err := s.Content(w.ctx, done.Messages[0].EmailID)
	w.check(err)
	defer content.Close()
	var got bytes.Buffer
	_, err = content.WriteRange(&got, 0, content.Size())
	w.check(err)
	if got.String() != "a\r\nb\r\n\rc" {
		t.Errorf("content is %q", got.String())
	}

	if _, err := s.NewUpload(w.ctx, 11); mailaccess.KindOf(err) != mailaccess.KindTooBig {
		t.Errorf("an upload announced too big: %v", err)
	}
	big, err := s.NewUpload(w.ctx, -1)
	w.check(err)
	defer big.Close()
	// Ten octets as they come, eleven in canonical form.
	if _, err := io.WriteString(big, strings.Repeat("x", 9)+"\n"); mailaccess.KindOf(err) != mailaccess.KindTooBig {
		t.Errorf("an upload that became too big: %v", err)
	}
	if _, err := s.Append(w.ctx, inbox.ID, engine.NewMessage{Upload: big}); mailaccess.KindOf(err) != mailaccess.KindTooBig {
		t.Errorf("appending what was too big: %v", err)
	}
}
