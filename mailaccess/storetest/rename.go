package storetest

import (
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func renameChecks() []check {
	return []check{
		{"Subtree", "Mailboxes", checkRenameSubtree},
		{"KeepsMessages", "Mailboxes Messages", checkRenameKeeps},
		{"Taken", "Mailboxes", checkRenameTaken},
		{"BelowItself", "Mailboxes", checkRenameBelowItself},
		{"Upwards", "Mailboxes", checkRenameUpwards},
		{"DoesNotMakeLevels", "Mailboxes", checkRenameNoLevels},
	}
}

// A rename takes along all that is below, and nothing beside, in one
// transaction; ids and UIDVALIDITY stay.
func checkRenameSubtree(e *env) {
	old := map[string]mailaccess.Mailbox{}
	for _, n := range []string{"a", "a/b", "a/b/c", "ab", "a b"} {
		old[n] = e.create(n)
	}
	before := e.state()
	number := e.takesOne("RenameMailbox", func() { e.rename(old["a"].ID, "new") })

	for from, to := range map[string]string{"a": "new", "a/b": "new/b", "a/b/c": "new/b/c"} {
		want := old[from]
		want.Name, want.Changed = to, number
		s := e.status(want.ID)
		if s.Mailbox != want {
			e.Errorf("%q is now %+v, want %+v", from, s.Mailbox, want)
		}
		if s.ModSeq != number {
			e.Errorf("%q: number %d, want %d, that of the rename", to, s.ModSeq, number)
		}
		_, err := e.acct.Lookup(e.ctx, from)
		e.wantKind("Lookup of the old name", err, mailaccess.KindNotFound)
	}
	for _, n := range []string{"ab", "a b"} {
		if s := e.status(old[n].ID); s.Mailbox != old[n] {
			e.Errorf("%q is not below a, was %+v, is %+v", n, old[n], s.Mailbox)
		}
	}
	c, err := e.acct.Changes(e.ctx, before)
	if e.forgotten(err) {
		return
	}
	if err != nil {
		e.Fatalf("Changes: %v", err)
	}
	if len(c.Mailboxes) != 3 || len(c.Deleted) != 0 {
		e.Errorf("Changes since before the rename: %+v, want the three that were renamed", c)
	}
}

func checkRenameKeeps(e *env) {
	m := e.create("a")
	msg := e.fill(m.ID, 1)[0]
	was := e.status(m.ID)
	e.rename(m.ID, "b")
	if got := e.message(m.ID, msg.UID); !sameMessage(got, msg) {
		e.Errorf("the message was %+v, is %+v", msg, got)
	}
	if s := e.status(m.ID); s.UIDNext != was.UIDNext || s.UIDValidity != was.UIDValidity {
		e.Errorf("status was %+v, is %+v", was, s)
	}
}

// A taken name among the new ones, the mailbox's own or one below it, stops the
// whole rename.
func checkRenameTaken(e *env) {
	a := e.create("a") // its own name is one of those
	for _, n := range []string{"a/x", "a/y", "b", "c/y"} {
		e.create(n)
	}
	before := e.names()
	e.takesNone("a rename to a taken name", func() {
		for _, to := range []string{"a", "b", mailaccess.Inbox, "c"} {
			err := e.caps.Mailboxes.RenameMailbox(e.ctx, a.ID, to)
			e.supported("RenameMailbox", err)
			e.wantKind("RenameMailbox(a, "+to+")", err, mailaccess.KindExists)
		}
	})
	if got := e.names(); !slices.Equal(got, before) {
		e.Errorf("Mailboxes: %q, were %q", got, before)
	}
}

func checkRenameBelowItself(e *env) {
	a := e.create("a")
	e.create("a/x")
	before := e.names()
	e.takesNone("a rename below itself", func() {
		for _, to := range []string{"a/b", "a/x/a"} {
			err := e.caps.Mailboxes.RenameMailbox(e.ctx, a.ID, to)
			e.supported("RenameMailbox", err)
			e.wantKind("RenameMailbox(a, "+to+")", err, mailaccess.KindInvalid)
		}
	})
	if got := e.names(); !slices.Equal(got, before) {
		e.Errorf("Mailboxes: %q, were %q", got, before)
	}
}

// A mailbox can take a name above its own. One below it gets the name that it
// leaves, which is free.
func checkRenameUpwards(e *env) {
	before := e.names()
	b := e.create("a/b")
	below := e.create("a/b/b")
	e.takesOne("a rename upwards", func() { e.rename(b.ID, "a") })
	e.namesAre(before, "a", "a/b")
	for name, id := range map[string]mailaccess.MailboxID{"a": b.ID, "a/b": below.ID} {
		if m, err := e.acct.Lookup(e.ctx, name); err != nil || m.ID != id {
			e.Errorf("Lookup(%s) = %+v, %v; want id %s", name, m, err, id)
		}
	}
}

// Levels above a new name need not exist, and are not made.
func checkRenameNoLevels(e *env) {
	before := e.names()
	a := e.create("a")
	e.takesOne("a rename to a name without levels above", func() { e.rename(a.ID, "x/y/z") })
	e.namesAre(before, "x/y/z")
}
