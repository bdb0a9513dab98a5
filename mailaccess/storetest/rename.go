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
	a := e.create("a")
	for _, n := range []string{"a/x", "a/y", "b", "c/y"} {
		e.create(n)
	}
	before := e.names()
	e.takesNone("a rename to a taken name", func() {
		for _, to := range []string{"b", mailaccess.Inbox, "c"} {
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

// A mailbox can take a name above its own. Here one below it gets the name that it
// leaves: a store may say that this one is taken, and then nothing happens.
func checkRenameUpwards(e *env) {
	b, err := e.caps.Mailboxes.CreateMailbox(e.ctx, "a/b", 0)
	e.supported("CreateMailbox", err)
	if mailaccess.KindOf(err) == mailaccess.KindInvalid && err != nil {
		e.Skip("needs levels that are no mailboxes")
	}
	if err != nil {
		e.Fatalf("CreateMailbox: %v", err)
	}
	e.create("a/b/b")
	before := e.names()
	err = e.caps.Mailboxes.RenameMailbox(e.ctx, b.ID, "a")
	e.supported("RenameMailbox", err)
	if err != nil {
		e.wantKind("RenameMailbox", err, mailaccess.KindExists)
		if got := e.names(); !slices.Equal(got, before) {
			e.Errorf("Mailboxes: %q, were %q", got, before)
		}
		return
	}
	if got := e.names(); !slices.Equal(got, []string{"INBOX", "a", "a/b"}) && len(got) == 3 {
		e.Errorf("Mailboxes: %q", got)
	}
	if m, err := e.acct.Lookup(e.ctx, "a"); err != nil || m.ID != b.ID {
		e.Errorf("Lookup(a) = %+v, %v; want id %s", m, err, b.ID)
	}
}
