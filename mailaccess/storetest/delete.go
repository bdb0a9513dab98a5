package storetest

import (
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func deleteChecks() []check {
	return []check{
		{"Gone", "Mailboxes", checkDeleteGone},
		{"ChildrenStay", "Mailboxes", checkDeleteChildren},
		{"Recreate", "Mailboxes", checkRecreate},
		{"WithMessages", "Mailboxes Messages", checkDeleteMessages},
		{"Vanish", "Mailboxes Messages", checkDeleteVanish},
		{"CopiesStay", "Mailboxes Messages Copy", checkDeleteCopies},
	}
}

// A deleted mailbox is nowhere, and leaves a tombstone with its last name.
func checkDeleteGone(e *env) {
	m := e.create("Papers")
	e.rename(m.ID, "Letters")
	before := e.state()
	number := e.takesOne("DeleteMailbox", func() { e.remove(m.ID) })
	if slices.Contains(e.names(), "Letters") {
		e.Error("Mailboxes still lists it")
	}
	_, err := e.acct.Lookup(e.ctx, "Letters")
	e.wantKind("Lookup", err, mailaccess.KindNotFound)
	e.notFound(m.ID)

	c, err := e.acct.Changes(e.ctx, before)
	if e.forgotten(err) {
		return
	}
	if err != nil {
		e.Fatalf("Changes: %v", err)
	}
	want := mailaccess.DeletedMailbox{ID: m.ID, Name: "Letters", ModSeq: number}
	if len(c.Deleted) != 1 || c.Deleted[0] != want {
		e.Errorf("Changes: deleted %+v, want %+v", c.Deleted, want)
	}
}

// The messages of a deleted mailbox have vanished with it, for a store that remembers
// them; one that does not has no such mailbox.
func checkDeleteVanish(e *env) {
	m := e.create("Papers")
	msgs := e.fill(m.ID, 3)
	since := e.state().ModSeq
	number := e.takesOne("DeleteMailbox", func() { e.remove(m.ID) })
	c, err := e.mailboxChanges(e.acct, m.ID, since)
	if err != nil {
		e.wantKind("MailboxChanges of a deleted mailbox", err, mailaccess.KindNotFound)
		return
	}
	if len(c.messages) != 0 || c.upTo < number {
		e.Errorf("MailboxChanges of a deleted mailbox: messages %+v, up to %d, deleted at %d", c.messages, c.upTo, number)
	}
	if since < c.floor {
		return
	}
	var want []mailaccess.Vanished
	for _, msg := range msgs {
		want = append(want, mailaccess.Vanished{UID: msg.UID, Created: msg.Created, ModSeq: number, EmailID: msg.EmailID, ThreadID: msg.ThreadID})
	}
	if !slices.Equal(c.vanished, want) {
		e.Errorf("MailboxChanges of a deleted mailbox: vanished %+v, want %+v", c.vanished, want)
	}
}

func checkDeleteChildren(e *env) {
	a := e.create("a")
	below := e.create("a/b")
	e.remove(a.ID)
	if got, err := e.acct.Lookup(e.ctx, "a/b"); err != nil || got != below {
		e.Errorf("Lookup(a/b) = %+v, %v; want %+v", got, err, below)
	}
}

// A name that is used again is another mailbox: another id, another UIDVALIDITY.
func checkRecreate(e *env) {
	ids := map[mailaccess.MailboxID]bool{}
	validities := map[uint32]bool{}
	for range 4 {
		m := e.create("Papers")
		if ids[m.ID] || validities[m.UIDValidity] {
			e.Fatalf("id %s, UIDVALIDITY %d were used before under this name", m.ID, m.UIDValidity)
		}
		ids[m.ID], validities[m.UIDValidity] = true, true
		e.remove(m.ID)
	}
	// Nor by way of another name.
	m := e.create("Letters")
	e.rename(m.ID, "Papers")
	if m = e.status(m.ID).Mailbox; ids[m.ID] || validities[m.UIDValidity] {
		e.Errorf("id %s, UIDVALIDITY %d were used before under this name", m.ID, m.UIDValidity)
	}
}

func checkDeleteMessages(e *env) {
	m := e.create("Papers")
	msgs := e.fill(m.ID, 3)
	e.remove(m.ID)
	e.notFound(m.ID)
	e.goneOrSame(msgs[0].EmailID, nil)
	if m = e.create("Papers"); e.status(m.ID).Messages != 0 {
		e.Error("the mailbox that was made again is not empty")
	}
}

func checkDeleteCopies(e *env) {
	m := e.create("Papers")
	body := e.letter()
	msg := e.appendNew(m.ID, body, mailaccess.Flags{}, someDay)
	if _, err := e.caps.Copy.Copy(e.ctx, m.ID, mailaccess.UIDSetOf(msg.UID), e.inbox().ID); err != nil {
		e.Fatalf("Copy: %v", err)
	}
	e.remove(m.ID)
	e.contentIs(msg.EmailID, body)
}
