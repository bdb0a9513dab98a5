package storetest

import (
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

func mailboxChecks() []check {
	return []check{
		{"Inbox", "", checkInbox},
		{"Missing", "", checkMissing},
		{"UnknownAccount", "", checkUnknownAccount},
		{"Create", "Mailboxes", checkCreate},
		{"CreateTaken", "Mailboxes", checkCreateTaken},
		{"CreateDoesNotMakeLevels", "Mailboxes", checkCreateLevels},
		{"Order", "Mailboxes", checkMailboxOrder},
		{"Names", "Mailboxes", checkNames},
		{"SpecialUse", "Mailboxes", checkSpecialUse},
		{"CreateSeenByOthers", "Mailboxes", checkCreateSeen},
	}
}

// INBOX is always there, under that spelling only.
func checkInbox(e *env) {
	m := e.inbox()
	if m.Name != mailaccess.Inbox {
		e.Errorf("Lookup(INBOX) is called %q", m.Name)
	}
	_, err := e.acct.Lookup(e.ctx, "inbox")
	e.wantKind("Lookup(inbox)", err, mailaccess.KindNotFound)
	if s := e.status(m.ID); s.UIDNext == 0 || s.ModSeq == 0 {
		e.Errorf("INBOX: UIDNEXT %d, number %d; neither may be 0", s.UIDNext, s.ModSeq)
	}
	if e.caps.Mailboxes == nil {
		return
	}
	e.takesNone("what INBOX refuses", func() {
		err := e.caps.Mailboxes.DeleteMailbox(e.ctx, m.ID)
		e.wantKind("DeleteMailbox(INBOX)", err, mailaccess.KindForbidden, mailaccess.KindUnsupported)
		err = e.caps.Mailboxes.RenameMailbox(e.ctx, m.ID, "Old")
		e.wantKind("RenameMailbox(INBOX)", err, mailaccess.KindForbidden, mailaccess.KindUnsupported)
		_, err = e.caps.Mailboxes.CreateMailbox(e.ctx, mailaccess.Inbox, 0)
		e.wantKind("CreateMailbox(INBOX)", err, mailaccess.KindExists, mailaccess.KindUnsupported)
	})
	if again := e.inbox(); again != m {
		e.Errorf("INBOX was %+v, is %+v", m, again)
	}
}

// Whatever names a mailbox that is not there answers KindNotFound.
func checkMissing(e *env) {
	_, err := e.acct.Lookup(e.ctx, "No such mailbox")
	e.wantKind("Lookup", err, mailaccess.KindNotFound)
	e.notFound("no-such-id")
	_, err = e.acct.MailboxChanges(e.ctx, "no-such-id", 0)
	e.wantKind("MailboxChanges", err, mailaccess.KindNotFound)
}

// notFound checks that every method finds no mailbox under box. MailboxChanges may
// remember one that was deleted.
func (e *env) notFound(box mailaccess.MailboxID) {
	e.Helper()
	_, err := e.acct.Status(e.ctx, box)
	e.wantKind("Status", err, mailaccess.KindNotFound)
	_, err = e.acct.Snapshot(e.ctx, box)
	e.wantKind("Snapshot", err, mailaccess.KindNotFound)
	_, err = collect(e.acct.Messages(e.ctx, box, everyUID()))
	e.wantKind("Messages", err, mailaccess.KindNotFound)
	inbox, one := e.inbox().ID, mailaccess.UIDSetOf(1)
	e.takesNone("changes of a mailbox that is not there", func() {
		if c := e.caps.Flags; c != nil {
			_, err := c.SetFlags(e.ctx, box, one, add(mailaccess.FlagSeen), mailaccess.AnyModSeq)
			e.wantKind("SetFlags", err, mailaccess.KindNotFound)
		}
		if c := e.caps.Expunge; c != nil {
			_, err := c.Expunge(e.ctx, box, one, 0)
			e.wantKind("Expunge", err, mailaccess.KindNotFound)
		}
		if c := e.caps.Copy; c != nil {
			_, err := c.Copy(e.ctx, box, one, inbox)
			e.wantKind("Copy from", err, mailaccess.KindNotFound)
		}
		if c := e.caps.Move; c != nil {
			_, err := e.move(box, one, inbox)
			e.wantKind("Move from", err, mailaccess.KindNotFound)
		}
		if e.caps.Replace != nil {
			_, err := e.replace(box, 1, inbox, e.letter())
			e.wantKind("Replace from", err, mailaccess.KindNotFound)
		}
		if c := e.caps.Mailboxes; c != nil {
			err := c.RenameMailbox(e.ctx, box, "New")
			e.wantKind("RenameMailbox", err, mailaccess.KindNotFound, mailaccess.KindUnsupported)
			err = c.DeleteMailbox(e.ctx, box)
			e.wantKind("DeleteMailbox", err, mailaccess.KindNotFound, mailaccess.KindUnsupported)
		}
	})
}

func checkUnknownAccount(e *env) {
	who := e.h.Identity
	who.Account = "nobody-has-this-account@example.net"
	a, err := e.store.Open(e.ctx, who.Account, who)
	if err != nil {
		e.wantKind("Open", err, mailaccess.KindNotFound, mailaccess.KindForbidden)
		return
	}
	a.Close() // made on first use
}

// A new mailbox is empty, has the number of its creation, and an own id.
func checkCreate(e *env) {
	before := e.state()
	m := e.create("Papers")
	if m.Name != "Papers" || m.Use != 0 {
		e.Errorf("CreateMailbox returned %+v", m)
	}
	s := e.status(m.ID)
	if s.Mailbox != m {
		e.Errorf("CreateMailbox returned %+v, Status has %+v", m, s.Mailbox)
	}
	if m.Created <= before.ModSeq || m.Changed != m.Created || s.ModSeq != m.Created || e.state().ModSeq != m.Created {
		e.Errorf("created %d, changed %d, mailbox %d, account %d, before %d: want one number above all before",
			m.Created, m.Changed, s.ModSeq, e.state().ModSeq, before.ModSeq)
	}
	if s.Messages != 0 || s.Unseen != 0 || s.Deleted != 0 || s.Size != 0 || s.FirstUnseen != 0 || s.UIDNext == 0 {
		e.Errorf("a new mailbox has status %+v", s)
	}
	if other := e.create("Letters"); other.ID == m.ID || other.Created <= m.Created {
		e.Errorf("two mailboxes, ids %s and %s, created %d and %d", m.ID, other.ID, m.Created, other.Created)
	}
}

func checkCreateTaken(e *env) {
	m := e.create("Papers")
	e.takesNone("creating a name that is taken", func() {
		_, err := e.caps.Mailboxes.CreateMailbox(e.ctx, "Papers", 0)
		e.wantKind("CreateMailbox", err, mailaccess.KindExists)
	})
	if got, err := e.acct.Lookup(e.ctx, "Papers"); err != nil || got != m {
		e.Errorf("Lookup = %+v, %v; was %+v", got, err, m)
	}
}

// Levels above a name need not exist, and are not made.
func checkCreateLevels(e *env) {
	before := e.names()
	e.create("Years/2024/May")
	for _, name := range []string{"Years", "Years/2024"} {
		_, err := e.acct.Lookup(e.ctx, name)
		e.wantKind("Lookup of "+name+", which nobody made,", err, mailaccess.KindNotFound)
	}
	// The levels can be made afterwards.
	e.create("Years")
	e.namesAre(before, "Years", "Years/2024/May")
}

// The order is that of bytes: neither that of letters nor level by level.
func checkMailboxOrder(e *env) {
	names := []string{"b", "a", "a/x", "a b", "a-b", "a0", "Z", "INBOX/x", "ä", "日本", "Ab"}
	want := e.names()
	for _, n := range names {
		_, err := e.caps.Mailboxes.CreateMailbox(e.ctx, n, 0)
		e.supported("CreateMailbox", err)
		if err != nil {
			e.wantKind("CreateMailbox", err, mailaccess.KindInvalid) // a store may refuse more
			continue
		}
		want = append(want, n)
	}
	slices.Sort(want)
	if got := e.names(); !slices.Equal(got, want) {
		e.Errorf("Mailboxes:\n got %q\nwant %q", got, want)
	}
}

// What CheckMailboxName refuses no store takes.
func checkNames(e *env) {
	m := e.create("Papers")
	before := e.names()
	for _, name := range []string{
		"", "/", "a/", "/a", "a//b", "inbox", "Inbox", "iNBOX/a", "a\x00b", "a\rb", "a\nb", "a\x7fb", "a\u0085b",
		"a\u2028b", "a\u2029b", "a\xffb", strings.Repeat("x", mailaccess.MaxMailboxName+1),
	} {
		_, err := e.caps.Mailboxes.CreateMailbox(e.ctx, name, 0)
		e.supported("CreateMailbox", err)
		e.wantKind("CreateMailbox of a bad name", err, mailaccess.KindInvalid)
		err = e.caps.Mailboxes.RenameMailbox(e.ctx, m.ID, name)
		e.wantKind("RenameMailbox to a bad name", err, mailaccess.KindInvalid, mailaccess.KindUnsupported)
		if e.Failed() {
			e.Fatalf("the name is %q", name)
		}
	}
	if got := e.names(); !slices.Equal(got, before) {
		e.Errorf("Mailboxes: %q, were %q", got, before)
	}
}

func checkSpecialUse(e *env) {
	m, err := e.caps.Mailboxes.CreateMailbox(e.ctx, "Sent Mail", mailaccess.UseSent)
	e.supported("special use", err)
	if err != nil {
		e.Fatalf("CreateMailbox: %v", err)
	}
	if m.Use != mailaccess.UseSent {
		e.Errorf("use is %b, want %b", m.Use, mailaccess.UseSent)
	}
	e.rename(m.ID, "Sent")
	if got := e.status(m.ID); got.Use != mailaccess.UseSent {
		e.Errorf("after a rename the use is %b, want %b", got.Use, mailaccess.UseSent)
	}
}

// What one session did every session sees.
func checkCreateSeen(e *env) {
	other := e.openAgain()
	m := e.create("Papers")
	if got, err := other.Lookup(e.ctx, "Papers"); err != nil || got != m {
		e.Errorf("another session's Lookup = %+v, %v; want %+v", got, err, m)
	}
	e.rename(m.ID, "Letters")
	if got, err := other.Status(e.ctx, m.ID); err != nil || got.Name != "Letters" {
		e.Errorf("another session's Status = %+v, %v; want the new name", got, err)
	}
}
