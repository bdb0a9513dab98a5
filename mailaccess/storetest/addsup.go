package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// addsUp reads the whole account, with nobody else at work, and checks that
// every answer agrees with every other.
func (e *env) addsUp() {
	e.Helper()
	boxes := e.mailboxes()
	state := e.state()
	if state.Epoch == "" {
		e.Error("the epoch is empty")
	}
	ids := map[mailaccess.MailboxID]bool{}
	inbox := false
	for i, m := range boxes {
		if i > 0 && strings.Compare(boxes[i-1].Name, m.Name) >= 0 {
			e.Errorf("Mailboxes: %q before %q, want ascending byte order", boxes[i-1].Name, m.Name)
		}
		if ids[m.ID] {
			e.Errorf("Mailboxes: id %s twice", m.ID)
		}
		ids[m.ID] = true
		inbox = inbox || m.Name == mailaccess.Inbox
		if got, err := e.acct.Lookup(e.ctx, m.Name); err != nil || got != m {
			e.Errorf("Lookup(%q) = %+v, %v; Mailboxes has %+v", m.Name, got, err, m)
		}
		e.mailboxAddsUp(m, state)
	}
	if !inbox {
		e.Error("Mailboxes: INBOX is not there")
	}
}

// mailboxAddsUp counts one mailbox by listing it.
func (e *env) mailboxAddsUp(m mailaccess.Mailbox, state mailaccess.State) {
	e.Helper()
	if err := mailaccess.CheckMailboxName(m.Name); err != nil {
		e.Errorf("mailbox %s: %v", m.ID, err)
	}
	if !validID(string(m.ID)) {
		e.Errorf("mailbox %q: id %q is not of the allowed form", m.Name, m.ID)
	}
	if m.UIDValidity == 0 {
		e.Errorf("mailbox %q: UIDVALIDITY is 0", m.Name)
	}
	if !m.Rights.Has(mailaccess.RightRead) {
		e.Errorf("mailbox %q: rights %b, want RightRead", m.Name, m.Rights)
	}
	snap := e.snapshot(m.ID)
	if s := e.status(m.ID); s != snap.Status {
		e.Errorf("mailbox %q: Status %+v, Snapshot %+v", m.Name, s, snap.Status)
	}
	if snap.Mailbox != m {
		e.Errorf("mailbox %q: Snapshot has %+v, Mailboxes %+v", m.Name, snap.Mailbox, m)
	}
	if m.Created == 0 || m.Changed < m.Created || snap.ModSeq < m.Changed || state.ModSeq < snap.ModSeq {
		e.Errorf("mailbox %q: want 0 < created %d <= changed %d <= mailbox %d <= account %d",
			m.Name, m.Created, m.Changed, snap.ModSeq, state.ModSeq)
	}
	e.countsAddUp(m.Name, snap, e.list(m.ID))
}

// countsAddUp compares a snapshot with the messages that were listed.
func (e *env) countsAddUp(name string, snap mailaccess.Snapshot, ms []mailaccess.Message) {
	e.Helper()
	want := mailaccess.Status{
		Mailbox: snap.Mailbox, ModSeq: snap.ModSeq, UIDNext: snap.UIDNext, Keywords: snap.Keywords,
	}
	last := mailaccess.UID(0)
	for _, m := range ms {
		if m.UID <= last || m.UID >= snap.UIDNext {
			e.Errorf("mailbox %q: UID %d after %d, UIDNEXT %d", name, m.UID, last, snap.UIDNext)
		}
		last = m.UID
		if m.Created == 0 || m.ModSeq < m.Created || m.ModSeq > snap.ModSeq {
			e.Errorf("mailbox %q, UID %d: want 0 < created %d <= message %d <= mailbox %d", name, m.UID, m.Created, m.ModSeq, snap.ModSeq)
		}
		if !validID(string(m.EmailID)) || m.ThreadID != "" && !validID(string(m.ThreadID)) {
			e.Errorf("mailbox %q, UID %d: ids %q, %q are not of the allowed form", name, m.UID, m.EmailID, m.ThreadID)
		}
		if e.caps.Threads && m.ThreadID == "" {
			e.Errorf("mailbox %q, UID %d has no thread", name, m.UID)
		}
		if m.Received.IsZero() || !m.Received.Equal(m.Received.Truncate(time.Second)) {
			e.Errorf("mailbox %q, UID %d: received %v, want whole seconds", name, m.UID, m.Received)
		}
		if e.caps.SavedDates && (m.Saved.IsZero() || !m.Saved.Equal(m.Saved.Truncate(time.Second))) {
			e.Errorf("mailbox %q, UID %d: saved %v, want whole seconds", name, m.UID, m.Saved)
		}
		if !m.Flags.Keywords.Minus(snap.Keywords).IsEmpty() {
			e.Errorf("mailbox %q, UID %d: keywords %q, the mailbox names %q", name, m.UID, m.Flags.Keywords, snap.Keywords)
		}
		want.Messages++
		want.Size += m.Size
		if !m.Flags.System.Has(mailaccess.FlagSeen) {
			want.Unseen++
			if want.FirstUnseen == 0 {
				want.FirstUnseen = m.UID
			}
		}
		if m.Flags.System.Has(mailaccess.FlagDeleted) {
			want.Deleted++
		}
	}
	if snap.Status != want {
		e.Errorf("mailbox %q: status %+v, counted %+v", name, snap.Status, want)
	}
	if !snap.UIDs.Equal(uidsOf(ms)) {
		e.Errorf("mailbox %q: Snapshot has UIDs %s, Messages %s", name, snap.UIDs, uidsOf(ms))
	}
}

// validID reports whether id has the form of RFC 8474, section 4.
func validID(id string) bool {
	return id != "" && len(id) <= 255 && !slices.ContainsFunc([]byte(id), func(c byte) bool {
		return !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-')
	})
}
