package engine_test

import (
	"context"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// claimHook keeps \Recent and calls before ahead of each claim.
type claimHook struct {
	mailaccess.RecentKeeper
	before *func()
}

func (c claimHook) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	(*c.before)()
	return c.RecentKeeper.ClaimRecent(ctx, box)
}

// RFC 3501, section 2.3.2: what arrives while a session claims is \Recent in some
// session, whatever the order.
func TestArrivalWhileClaiming(t *testing.T) {
	before := func() {}
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.Recent = claimHook{c.Recent, &before} }))
	w.deliver(1)
	before = func() { before = func() {}; w.deliver(1) }
	v := w.open(w.session(), engine.ViewOptions{})
	update := func() {
		w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
		w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	}
	update()
	if got := v.Recent().String(); got != "1:2" {
		t.Errorf("recent after opening: %q, want 1:2", got)
	}
	before = func() { before = func() {}; w.deliver(1) }
	w.deliver(1)
	update()
	if got := v.Recent().String(); got != "1:4" {
		t.Errorf("recent after an update: %q, want 1:4", got)
	}
	// What somebody else claimed meanwhile stays his.
	w.open(w.session(), engine.ViewOptions{})
	w.deliver(1)
	other := w.open(w.session(), engine.ViewOptions{})
	update()
	if got := v.Recent().String() + " " + other.Recent().String(); got != "1:4 5" {
		t.Errorf("recent in both sessions: %q, want 1:4 and 5", got)
	}
}

// A message that arrives between the look at the status and that at the messages is
// claimed as well.
func TestArrivalAfterStatus(t *testing.T) {
	hook := func() {}
	w := newWorld(t, func(s mailaccess.Store) mailaccess.Store { return afterStatus{s, &hook} })
	w.deliver(1)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	_, err := other.SetFlags(w.ctx, other.UIDs(), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
	w.check(err)
	hook = func() { hook = func() {}; w.deliver(1) }
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
	if got := v.Recent().String() + " " + other.Recent().String(); got != "1:2 " {
		t.Errorf("recent in both sessions: %q, want 1:2 and none", got)
	}
}

type afterStatus struct {
	mailaccess.Store
	hook *func()
}

func (s afterStatus) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return afterStatusAccount{a, s.hook}, err
}

type afterStatusAccount struct {
	mailaccess.Account
	hook *func()
}

func (a afterStatusAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	st, err := a.Account.Status(ctx, box)
	(*a.hook)()
	return st, err
}

// The emulated \Recent begins with the first session that opens the mailbox: to ask
// for a status begins nothing.
func TestRecentOfUnopened(t *testing.T) {
	w := newWorld(t, without(func(c *mailaccess.Capabilities) { c.Recent = nil }))
	s := w.session()
	other, err := s.Create(w.ctx, "Other", 0)
	w.check(err)
	v, err := s.OpenView(w.ctx, other.ID, engine.ViewOptions{})
	w.check(err)
	defer v.Close()
	inbox, err := s.Lookup(w.ctx, mailaccess.Inbox)
	w.check(err)
	for range 2 {
		n, err := s.Recent(w.ctx, inbox.ID)
		w.check(err)
		if n != 0 {
			t.Errorf("%d recent in a mailbox that nobody has open", n)
		}
		w.deliver(1)
	}
}

// shaky sets some flags and then fails.
type shaky struct{ mailaccess.FlagSetter }

func (s shaky) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, change mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	res, err := s.FlagSetter.SetFlags(ctx, box, uids, change, since)
	if err == nil {
		err = &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "set flags"}
	}
	return res, err
}

// An unconditional change has no conflicts, not even when it fails half way.
func TestNoConflictWithoutCondition(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(2)
	s := w.session()
	seen := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
	inbox := w.open(s, engine.ViewOptions{}).Status().ID

	e, err := engine.New(engine.Options{Store: without(func(c *mailaccess.Capabilities) { c.Flags = shaky{c.Flags} })(w.mem), Authenticator: w.e.Authenticator()})
	w.check(err)
	defer e.Close()
	bad, err := e.Open(w.ctx, s.Identity())
	w.check(err)
	defer bad.Close()
	v, err := bad.OpenView(w.ctx, inbox, engine.ViewOptions{})
	w.check(err)
	defer v.Close()

	other := w.open(s, engine.ViewOptions{})
	_, err = other.SetFlags(w.ctx, mailaccess.UIDSetOf(1), seen, mailaccess.AnyModSeq)
	w.check(err)
	res, err := v.SetFlags(w.ctx, v.UIDs(), mailaccess.FlagChange{Replace: true}, mailaccess.AnyModSeq)
	if mailaccess.KindOf(err) != mailaccess.KindUnavailable || !res.Conflict.IsEmpty() {
		t.Errorf("conflicts with %q, %v", res.Conflict, err)
	}
}

// A mailbox that the identity may read no longer is gone for a view.
func TestReadRevoked(t *testing.T) {
	hook := func() error { return nil }
	w := newWorld(t, func(s mailaccess.Store) mailaccess.Store { return guarded{s, &hook} })
	v := w.open(w.session(), engine.ViewOptions{})
	hook = func() error { return &mailaccess.Error{Kind: mailaccess.KindForbidden, Op: "status"} }
	if err := v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)); err != engine.ErrViewInvalid {
		t.Errorf("Update: %v", err)
	}
}

type guarded struct {
	mailaccess.Store
	hook *func() error
}

func (s guarded) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return guardedAccount{a, s.hook}, err
}

type guardedAccount struct {
	mailaccess.Account
	hook *func() error
}

func (a guardedAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	if err := (*a.hook)(); err != nil {
		return mailaccess.Status{}, err
	}
	return a.Account.Status(ctx, box)
}
