package engine_test

import (
	"context"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// managing wraps the mailbox manager of a store: what before returns for a call on a
// name is its answer, unless that is nil.
type managing struct {
	mailaccess.MailboxManager
	before func(call, name string) error
	after  func(call, name string) error
}

func (m managing) do(call, name string, f func() error) error {
	if m.before != nil {
		if err := m.before(call, name); err != nil {
			return err
		}
	}
	if err := f(); err != nil || m.after == nil {
		return err
	}
	return m.after(call, name)
}

func (m managing) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (made mailaccess.Mailbox, err error) {
	err = m.do("create", name, func() error {
		made, err = m.MailboxManager.CreateMailbox(ctx, name, use)
		return err
	})
	return made, err
}

func (m managing) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	return m.do("rename", name, func() error { return m.MailboxManager.RenameMailbox(ctx, box, name) })
}

// made returns a world with mailboxes of these names and no levels above them.
func made(t *testing.T, m managing, names ...string) *world {
	t.Helper()
	w := newWorld(t, without(func(c *mailaccess.Capabilities) {
		inner := m
		inner.MailboxManager = c.Mailboxes
		c.Mailboxes = inner
	}))
	acct, err := w.mem.Open(w.ctx, "demo", mailaccess.Identity{User: "demo", Account: "demo"})
	w.check(err)
	defer acct.Close()
	for _, name := range names {
		_, err := acct.Capabilities().Mailboxes.CreateMailbox(w.ctx, name, 0)
		w.check(err)
	}
	return w
}

func failing(kind mailaccess.Kind, call, name string) func(string, string) error {
	return func(c, n string) error {
		if c == call && n == name {
			return &mailaccess.Error{Kind: kind, Op: call, Mailbox: name}
		}
		return nil
	}
}

// What is refused leaves nothing behind: no levels above, and no half of it.
func TestRefusedLeavesNothing(t *testing.T) {
	rename := func(from, to string) func(*engine.Session, context.Context) error {
		return func(s *engine.Session, ctx context.Context) error { return s.Rename(ctx, from, to) }
	}
	for name, test := range map[string]struct {
		store managing
		names []string
		do    func(*engine.Session, context.Context) error
		kind  mailaccess.Kind
	}{
		"a name below the new one is taken": {
			names: []string{"a", "a/x", "new/b/x"}, do: rename("a", "new/b"), kind: mailaccess.KindExists,
		},
		"the same of a level": {
			names: []string{"a/w", "a/x", "new/b/x"}, do: rename("a", "new/b"), kind: mailaccess.KindExists,
		},
		"a level to a name that what is below it has": {
			names: []string{"a/b/b/c", "a/b/c"}, do: rename("a/b", "a"), kind: mailaccess.KindExists,
		},
		"a level to its own name": {
			names: []string{"a/x"}, do: rename("a", "a"), kind: mailaccess.KindExists,
		},
		"a level below itself": {
			names: []string{"a/x"}, do: rename("a", "a/y"), kind: mailaccess.KindInvalid,
		},
		"the store refuses": {
			store: managing{before: failing(mailaccess.KindForbidden, "rename", "new/b")},
			names: []string{"a"}, do: rename("a", "new/b"), kind: mailaccess.KindForbidden,
		},
		"the store refuses in the middle of a level": {
			store: managing{before: failing(mailaccess.KindLimit, "rename", "new/b/y")},
			names: []string{"a/x", "a/x/x", "a/y", "a/z"}, do: rename("a", "new/b"), kind: mailaccess.KindLimit,
		},
		"nobody knows in the middle of a level, and it happened": {
			store: managing{after: failing(mailaccess.KindUncertain, "rename", "new/b/y")},
			names: []string{"a/x", "a/y"}, do: rename("a", "new/b"), kind: mailaccess.KindUncertain,
		},
		"the store refuses to create": {
			store: managing{before: failing(mailaccess.KindLimit, "create", "p/q/r")},
			do: func(s *engine.Session, ctx context.Context) error {
				_, err := s.Create(ctx, "p/q/r", 0)
				return err
			},
			kind: mailaccess.KindLimit,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := made(t, test.store, test.names...)
			s := w.session()
			before := names(w, s)
			if err := test.do(s, w.ctx); err == nil || mailaccess.KindOf(err) != test.kind {
				t.Errorf("error %v, want %v", err, test.kind)
			}
			if after := names(w, s); after != before {
				t.Errorf("mailboxes are %q, were %q", after, before)
			}
		})
	}
}

// A failure in the middle is undone also when the caller has gone, and the error
// names what could not be undone.
func TestRenameUndone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := made(t, managing{before: func(call, name string) error {
		if name == "b/y" {
			cancel()
		}
		return nil
	}}, "a/x", "a/y")
	s := w.session()
	if err := s.Rename(ctx, "a", "b"); mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		t.Errorf("error %v", err)
	}
	if got := names(w, s); got != "INBOX a/x a/y" {
		t.Errorf("mailboxes are %q", got)
	}

	w = made(t, managing{before: func(call, name string) error {
		if name == "b/y" || name == "a/x" {
			return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "rename", Mailbox: name}
		}
		return nil
	}}, "a/x", "a/y")
	err := w.session().Rename(w.ctx, "a", "b")
	const want = "rename b/y: limit exceeded\n\"a/x\" keeps its new name: rename a/x: limit exceeded"
	if err == nil || err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// What was asked for is done though a level above it cannot be made.
func TestLevelsAreACourtesy(t *testing.T) {
	w := made(t, managing{before: failing(mailaccess.KindLimit, "create", "new")}, "a")
	s := w.session()
	w.check(s.Rename(w.ctx, "a", "new/level/a"))
	_, err := s.Create(w.ctx, "new/b", 0)
	w.check(err)
	if got := names(w, s); got != "INBOX new/b new/level new/level/a" {
		t.Errorf("mailboxes are %q", got)
	}
}
