package storetest

import (
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func durableChecks() []check {
	return []check{
		{"Everything", "Durable Reopen Messages", checkReopen},
		{"UIDsNeverReused", "Durable Reopen Messages Expunge", checkReopenUIDs},
		{"UIDValidity", "Durable Reopen Mailboxes", checkReopenValidity},
		{"StagedVanishes", "Durable Reopen Append", checkReopenStaged},
	}
}

// reopen closes all and opens it again, over the same data.
func (e *env) reopen() {
	e.Helper()
	e.close()
	e.store = e.h.Reopen(e)
	e.acct = e.open(e.h.Identity)
	e.caps = e.acct.Capabilities()
	e.closed = false
}

// image is all that an account shows.
type image struct {
	mailboxes     []mailaccess.Mailbox
	statuses      []mailaccess.Status
	messages      [][]mailaccess.Message
	subscriptions []string
	state         mailaccess.State
}

func (e *env) image() image {
	e.Helper()
	i := image{mailboxes: e.mailboxes(), state: e.state()}
	for _, m := range i.mailboxes {
		i.statuses = append(i.statuses, e.status(m.ID))
		i.messages = append(i.messages, e.list(m.ID))
	}
	if e.caps.Subscriptions != nil {
		i.subscriptions = e.subscriptions()
	}
	return i
}

// What returned nil is there again, with all its numbers, and so is its history.
func checkReopen(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 5)
	start := e.state()
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{System: mailaccess.SystemFlagsAll, Keywords: keywords("Work")}, someDay)
	if e.caps.Flags != nil {
		e.setFlags(box, mailaccess.UIDSetOf(ms[0].UID, ms[1].UID), add(mailaccess.FlagSeen|mailaccess.FlagFlagged))
	}
	if e.caps.Expunge != nil {
		e.expunge(box, ms[2].UID)
	}
	if e.caps.Mailboxes != nil {
		e.rename(e.create("Papers").ID, "Letters")
		e.remove(e.create("Old").ID)
	}
	if e.caps.Subscriptions != nil {
		e.subscribe("lists", true)
	}
	want := e.image()
	before, beforeErr := e.mailboxChanges(e.acct, box, start.ModSeq)
	for range 2 {
		e.reopen()
		got := e.image()
		if got.state != want.state {
			e.Errorf("state %+v, was %+v", got.state, want.state)
		}
		if !slices.Equal(got.mailboxes, want.mailboxes) || !slices.Equal(got.statuses, want.statuses) || !slices.Equal(got.subscriptions, want.subscriptions) {
			e.Errorf("got %+v\nwant %+v", got, want)
		}
		for i := range min(len(got.messages), len(want.messages)) {
			e.sameMessages("after reopening", got.messages[i], want.messages[i])
		}
		e.contentIs(m.EmailID, body)
		after, err := e.mailboxChanges(e.acct, box, start.ModSeq)
		if (err == nil) != (beforeErr == nil) {
			e.Errorf("changes since before: %v, was %v", err, beforeErr)
		} else if err == nil {
			e.sameMessages("changes", after.messages, before.messages)
			if after.floor <= start.ModSeq && !slices.Equal(after.vanished, before.vanished) {
				e.Errorf("vanished %+v, was %+v", after.vanished, before.vanished)
			}
		}
	}
	if n := e.fill(box, 1)[0]; n.UID < want.statuses[slices.IndexFunc(want.statuses, func(s mailaccess.Status) bool { return s.ID == box })].UIDNext || n.ModSeq <= want.state.ModSeq {
		e.Errorf("a new message has UID %d, number %d; the state was %+v", n.UID, n.ModSeq, want.state)
	}
}

func checkReopenUIDs(e *env) {
	box := e.inbox().ID
	last := mailaccess.UID(0)
	for range 3 {
		m := e.fill(box, 1)[0]
		if m.UID <= last {
			e.Errorf("UID %d after %d", m.UID, last)
		}
		last = m.UID
		e.expunge(box, last)
		e.reopen()
		if next := e.status(box).UIDNext; next <= last {
			e.Errorf("UIDNEXT %d, UID %d was used", next, last)
		}
	}
}

func checkReopenValidity(e *env) {
	seen := map[uint32]bool{}
	for range 3 {
		m := e.create("Papers")
		if seen[m.UIDValidity] {
			e.Errorf("UIDVALIDITY %d again", m.UIDValidity)
		}
		seen[m.UIDValidity] = true
		e.remove(m.ID)
		e.reopen()
	}
}

func checkReopenStaged(e *env) {
	want := e.image()
	e.stage(e.letter())
	e.reopen()
	if got := e.image(); got.state != want.state || !slices.Equal(got.statuses, want.statuses) {
		e.Errorf("got %+v, want %+v", got, want)
	}
}
