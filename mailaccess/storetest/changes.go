package storetest

import (
	"github.com/hashmail/mailaccess/mailaccess"
	"slices"
)

func numberChecks() []check {
	return []check{
		{"EachAboveAllBefore", "Messages", checkNumbersAscend},
		{"MailboxNeverFalls", "Messages Expunge Mailboxes", checkMailboxNumber},
	}
}

func mailboxChangesChecks() []check {
	return []check{
		{"FromEveryPoint", "Messages Flags Expunge", checkChangesFromEveryPoint},
		{"NothingNew", "Messages", checkChangesNothing},
		{"SinceTheAccountsNumber", "Messages Mailboxes", checkChangesSinceAccount},
		{"NeverReached", "", checkChangesFuture},
		{"Floor", "Messages LowerFloor", checkFloor},
		{"NotRanged", "Messages", checkChangesNotRanged},
		{"CallsFromInside", "Messages Flags", checkChangesInside},
	}
}

func accountChangesChecks() []check {
	return []check{
		{"FromZero", "Messages Mailboxes", checkAccountFromZero},
		{"FromEveryPoint", "Messages Mailboxes", checkAccountFromEveryPoint},
		{"Epoch", "", checkEpoch},
		{"NeverReached", "", checkAccountFuture},
		{"Floor", "Messages LowerFloor", checkAccountFloor},
		{"FloorOfDeleted", "Mailboxes LowerFloor", checkDeletedFloor},
	}
}

// changes are MailboxChanges, ranged over.
type changes struct {
	floor    mailaccess.ModSeq
	upTo     mailaccess.ModSeq
	messages []mailaccess.Message
	vanished []mailaccess.Vanished
}

// mailboxChanges asks and ranges over everything.
func (e *env) mailboxChanges(a mailaccess.Account, box mailaccess.MailboxID, since mailaccess.ModSeq) (changes, error) {
	c, err := a.MailboxChanges(e.ctx, box, since)
	if err != nil {
		return changes{}, err
	}
	all := changes{floor: c.Floor, upTo: c.UpTo}
	if all.messages, err = collect(c.Messages); err != nil {
		return changes{}, err
	}
	all.vanished, err = collect(c.Vanished)
	return all, err
}

// changesSince returns the changes, and false when the store has forgotten some of
// the removals, as the harness says it may.
func (e *env) changesSince(box mailaccess.MailboxID, since mailaccess.ModSeq) (changes, bool) {
	e.Helper()
	c, err := e.mailboxChanges(e.acct, box, since)
	if err != nil {
		e.Fatalf("MailboxChanges(%s, %d): %v", box, since, err)
	}
	if since < c.floor && !e.h.ShortHistory {
		e.Errorf("MailboxChanges(%s, %d): the floor is %d already", box, since, c.floor)
	}
	if c.floor > c.upTo {
		e.Errorf("MailboxChanges(%s, %d): the floor is %d, above %d, up to which it answers", box, since, c.floor, c.upTo)
	}
	last := mailaccess.UID(0)
	for _, m := range c.messages {
		if m.UID <= last {
			e.Errorf("MailboxChanges: message %d after %d", m.UID, last)
		}
		last = m.UID
	}
	last = 0
	for _, v := range c.vanished {
		if v.UID <= last {
			e.Errorf("MailboxChanges: vanished %d after %d", v.UID, last)
		}
		last = v.UID
	}
	return c, since >= c.floor
}

// forgotten reports whether err says that the history is gone and the harness
// that this may be.
func (e *env) forgotten(err error) bool {
	return e.h.ShortHistory && err != nil && mailaccess.KindOf(err) == mailaccess.KindHistoryGone
}

// Whatever changes something takes a number above all before it, whichever
// mailbox it is in, and the mailbox and what changed in it show it.
func checkNumbersAscend(e *env) {
	boxes := []mailaccess.MailboxID{e.inbox().ID}
	if e.caps.Mailboxes != nil {
		boxes = append(boxes, e.create("Papers").ID)
	}
	for i := range 6 {
		box := boxes[i%len(boxes)]
		var m mailaccess.Message
		number := e.takesOne("Append", func() { m = e.fill(box, 1)[0] })
		if m.ModSeq != number || e.status(box).ModSeq != number {
			e.Errorf("Append: message %d, mailbox %d, account %d", m.ModSeq, e.status(box).ModSeq, number)
		}
		if e.caps.Flags != nil && e.caps.SystemFlags != 0 {
			number = e.takesOne("SetFlags", func() { e.setFlags(box, mailaccess.UIDSetOf(m.UID), add(e.somethingKept())) })
			if m = e.message(box, m.UID); m.ModSeq != number || e.status(box).ModSeq != number {
				e.Errorf("SetFlags: message %d, mailbox %d, account %d", m.ModSeq, e.status(box).ModSeq, number)
			}
		}
		if e.caps.Expunge != nil && i%2 == 0 {
			number = e.takesOne("Expunge", func() { e.expunge(box, m.UID) })
			if e.status(box).ModSeq != number {
				e.Errorf("Expunge: mailbox %d, account %d", e.status(box).ModSeq, number)
			}
		}
	}
}

// Removing the message with the highest number does not lower the mailbox's, nor
// does another mailbox's change raise it.
func checkMailboxNumber(e *env) {
	box, other := e.inbox().ID, e.create("Papers").ID
	m := e.fill(box, 2)[1]
	n := e.status(box).ModSeq
	e.fill(other, 1)
	if got := e.status(box).ModSeq; got != n {
		e.Errorf("number %d, was %d; only another mailbox changed", got, n)
	}
	e.expunge(box, m.UID)
	if got := e.status(box).ModSeq; got <= n {
		e.Errorf("number %d after the expunge, was %d", got, n)
	}
	n = e.status(other).ModSeq
	e.rename(other, "Letters")
	if got := e.status(other).ModSeq; got <= n {
		e.Errorf("number %d after the rename, was %d", got, n)
	}
}

// From every earlier point come exactly the differences.
func checkChangesFromEveryPoint(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	type point struct {
		since mailaccess.ModSeq
		uids  mailaccess.UIDSet
	}
	points := []point{{0, mailaccess.UIDSet{}}}
	at := func() {
		s := e.snapshot(box)
		points = append(points, point{s.ModSeq, s.UIDs})
	}
	at()
	ms := e.fill(box, 3)
	at()
	e.setFlags(box, mailaccess.UIDSetOf(ms[1].UID), add(f))
	at()
	e.expunge(box, ms[0].UID)
	at()
	more := e.fill(box, 1)
	at()
	e.setFlags(box, mailaccess.UIDSetOf(more[0].UID, ms[2].UID), add(f))
	at()
	e.expunge(box, ms[1].UID, more[0].UID)
	at()
	e.fill(box, 1)
	at()
	now := e.snapshot(box)
	list := e.list(box)
	for i, p := range points {
		c, ok := e.changesSince(box, p.since)
		if !ok {
			continue
		}
		if c.upTo != now.ModSeq {
			e.Errorf("since %d: up to %d, the mailbox is at %d", p.since, c.upTo, now.ModSeq)
		}
		var want []mailaccess.Message
		for _, m := range list {
			if m.ModSeq > p.since {
				want = append(want, m)
			}
		}
		e.sameMessages("changes", c.messages, want)
		var gone mailaccess.UIDSetBuilder
		for _, v := range c.vanished {
			if v.ModSeq <= p.since || now.UIDs.Contains(v.UID) {
				e.Errorf("since %d: vanished %+v", p.since, v)
			}
			gone.AddUID(v.UID)
		}
		// What came after the point and went again is shown too.
		for _, later := range points[i+1:] {
			p.uids = p.uids.Union(later.uids)
		}
		if must := p.uids.Minus(now.UIDs); !must.Minus(gone.Set()).IsEmpty() {
			e.Errorf("since %d: vanished %s, want at least %s", p.since, gone.Set(), must)
		}
	}
}

func (e *env) sameMessages(what string, got, want []mailaccess.Message) {
	e.Helper()
	if !uidsOf(got).Equal(uidsOf(want)) || len(got) != len(want) {
		e.Errorf("%s: UIDs %s, want %s", what, uidsOf(got), uidsOf(want))
		return
	}
	for i := range got {
		if !sameMessage(got[i], want[i]) {
			e.Errorf("%s: %+v, want %+v", what, got[i], want[i])
		}
	}
}

func checkChangesNothing(e *env) {
	box := e.inbox().ID
	e.fill(box, 3)
	s := e.status(box)
	c, err := e.mailboxChanges(e.acct, box, s.ModSeq)
	if err != nil || c.upTo != s.ModSeq || len(c.messages) != 0 || len(c.vanished) != 0 {
		e.Errorf("changes since now: %+v, %v", c, err)
	}
}

// A number that another mailbox took has been reached in this one too; the
// answer does not go back behind it.
func checkChangesSinceAccount(e *env) {
	box := e.inbox().ID
	e.fill(e.create("Papers").ID, 2)
	since := e.state().ModSeq
	c, err := e.mailboxChanges(e.acct, box, since)
	if err != nil || c.upTo < since || len(c.messages) != 0 || len(c.vanished) != 0 {
		e.Errorf("changes since %d, the account's number: %+v, %v", since, c, err)
	}
}

func checkChangesFuture(e *env) {
	box := e.inbox().ID
	for _, since := range []mailaccess.ModSeq{e.state().ModSeq + 1, e.state().ModSeq + 1_000_000, mailaccess.MaxModSeq} {
		_, err := e.mailboxChanges(e.acct, box, since)
		e.wantKind("MailboxChanges since a number that was never reached", err, mailaccess.KindInvalid)
	}
}

// Below the floor removals may be missing and the store says so; what is live is
// whole at any time.
func checkFloor(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 3)
	old := e.status(box).ModSeq
	if e.caps.Expunge != nil {
		e.expunge(box, ms[0].UID)
	}
	e.fill(box, 1)
	e.h.LowerFloor(e.h.Account, box)
	live := e.list(box)
	for _, since := range []mailaccess.ModSeq{0, ms[0].ModSeq, old} {
		c, err := e.mailboxChanges(e.acct, box, since)
		if err != nil || c.floor <= since {
			e.Errorf("MailboxChanges since %d, below the floor: floor %d, %v", since, c.floor, err)
		}
		want := slices.DeleteFunc(slices.Clone(live), func(m mailaccess.Message) bool { return m.ModSeq <= since })
		e.sameMessages("changed since what is below the floor", c.messages, want)
	}
	now := e.status(box).ModSeq
	if c, err := e.mailboxChanges(e.acct, box, now); err != nil || c.floor > now {
		e.Errorf("MailboxChanges since now, %d: floor %d, %v", now, c.floor, err)
	}
	m := e.fill(box, 1)[0]
	c, err := e.mailboxChanges(e.acct, box, now)
	if err != nil || len(c.messages) != 1 || c.messages[0].UID != m.UID {
		e.Errorf("MailboxChanges since the floor: %+v, %v; want UID %d", c, err, m.UID)
	}
}

// Whoever does not range over the listings loses nothing and blocks nobody.
func checkChangesNotRanged(e *env) {
	box := e.inbox().ID
	e.fill(box, 3)
	e.within("changes that nobody ranges over", func() {
		since := e.status(box).ModSeq
		e.fill(box, 1)
		for range 3 {
			if _, err := e.acct.MailboxChanges(e.ctx, box, since); err != nil {
				e.Errorf("MailboxChanges: %v", err)
			}
		}
		e.fill(box, 1)
	})
}

// The listings of an answer are listings: the loop may call the store, and what
// changes meanwhile may show, in order and once.
func checkChangesInside(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	since := e.status(box).ModSeq
	all := uidsOf(e.fill(box, 6))
	e.within("changes of the store while its changes are listed", func() {
		c, err := e.acct.MailboxChanges(e.ctx, box, since)
		if err != nil {
			e.Errorf("MailboxChanges: %v", err)
			return
		}
		seen := mailaccess.UIDSet{}
		for m, err := range c.Messages {
			if err != nil {
				e.Errorf("Messages: %v", err)
				return
			}
			if m.UID <= seen.Max() {
				e.Errorf("UID %d after %d", m.UID, seen.Max())
			}
			seen = seen.With(m.UID)
			if _, err := e.caps.Flags.SetFlags(e.ctx, box, all, mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{System: f * mailaccess.SystemFlags(m.UID%2)}}, mailaccess.AnyModSeq); err != nil {
				e.Errorf("SetFlags inside: %v", err)
			}
			if _, err := e.acct.Status(e.ctx, box); err != nil {
				e.Errorf("Status inside: %v", err)
			}
		}
		if !all.Minus(seen).IsEmpty() {
			e.Errorf("listed %s, want all of %s", seen, all)
		}
		// What changed meanwhile comes from UpTo on.
		if e.snapshot(box).ModSeq > c.UpTo {
			if next, ok := e.changesSince(box, c.UpTo); ok && len(next.messages) == 0 {
				e.Errorf("nothing since %d, the mailbox is at %d", c.UpTo, e.snapshot(box).ModSeq)
			}
		}
	})
}

func checkAccountFromZero(e *env) {
	e.fill(e.create("Papers").ID, 1)
	gone := e.create("Old").ID
	e.remove(gone)
	c, err := e.acct.Changes(e.ctx, mailaccess.State{})
	if err != nil {
		e.Fatalf("Changes: %v", err)
	}
	got := e.statusesOf(c)
	for _, m := range e.mailboxes() {
		if s, ok := got[m.ID]; !ok || s != e.status(m.ID) {
			e.Errorf("%q: Changes has %+v, Status %+v", m.Name, s, e.status(m.ID))
		}
		delete(got, m.ID)
	}
	if len(got) != 0 {
		e.Errorf("Changes has mailboxes that are not there: %+v", got)
	}
}

func (e *env) statusesOf(c mailaccess.AccountChanges) map[mailaccess.MailboxID]mailaccess.Status {
	e.Helper()
	all := map[mailaccess.MailboxID]mailaccess.Status{}
	for _, s := range c.Mailboxes {
		if _, twice := all[s.ID]; twice {
			e.Errorf("Changes: %q twice", s.Name)
		}
		all[s.ID] = s
	}
	return all
}

func checkAccountFromEveryPoint(e *env) {
	points := []mailaccess.State{e.state()}
	at := func() { points = append(points, e.state()) }
	a, b := e.create("a").ID, e.create("b").ID
	at()
	e.fill(a, 1)
	at()
	e.fill(b, 1)
	at()
	e.rename(a, "c")
	at()
	old := e.status(b)
	e.remove(b)
	deleted := e.state().ModSeq
	at()
	e.fill(e.inbox().ID, 1)
	at()
	for _, since := range points {
		c, err := e.acct.Changes(e.ctx, since)
		if e.forgotten(err) {
			continue
		}
		if err != nil {
			e.Fatalf("Changes since %+v: %v", since, err)
		}
		if c.UpTo != points[len(points)-1] {
			e.Errorf("up to %+v, want %+v", c.UpTo, points[len(points)-1])
		}
		got := e.statusesOf(c)
		for _, m := range e.mailboxes() {
			s := e.status(m.ID)
			if want := s.ModSeq > since.ModSeq; want != (got[m.ID].ID != "") || want && got[m.ID] != s {
				e.Errorf("since %d: %q is at %d, the answer has %+v", since.ModSeq, m.Name, s.ModSeq, got[m.ID])
			}
		}
		want := mailaccess.DeletedMailbox{ID: b, Name: "b", ModSeq: deleted}
		switch {
		case len(c.Deleted) == 1 && c.Deleted[0] == want && since.ModSeq < deleted:
		case len(c.Deleted) == 0 && (since.ModSeq >= deleted || since.ModSeq < old.Created):
		default:
			e.Errorf("since %d: deleted %+v; %+v was", since.ModSeq, c.Deleted, want)
		}
	}
}

func checkEpoch(e *env) {
	s := e.state()
	if s.Epoch == "" || s.ModSeq == 0 {
		e.Errorf("state %+v: neither may be zero", s)
	}
	_, err := e.acct.Changes(e.ctx, mailaccess.State{Epoch: s.Epoch + "x", ModSeq: s.ModSeq})
	e.wantKind("Changes since another epoch", err, mailaccess.KindHistoryGone)
	if all, err := e.acct.Changes(e.ctx, mailaccess.State{}); err != nil || all.UpTo != s {
		e.Errorf("Changes: up to %+v, %v; State is %+v", all.UpTo, err, s)
	}
	if c, err := e.acct.Changes(e.ctx, s); err != nil || c.UpTo != s || len(c.Mailboxes)+len(c.Deleted) != 0 || c.Subscriptions {
		e.Errorf("Changes since now: %+v, %v", c, err)
	}
}

// A number that the account never reached cannot be answered.
func checkAccountFuture(e *env) {
	s := e.state()
	s.ModSeq += 1000
	_, err := e.acct.Changes(e.ctx, s)
	e.wantKind("Changes since a number that was never reached", err, mailaccess.KindInvalid)
}

// A mailbox's lost history does not keep the account from saying that the mailbox
// changed, or it says that it does not know.
func checkAccountFloor(e *env) {
	box := e.inbox().ID
	since := e.state()
	e.fill(box, 2)
	e.h.LowerFloor(e.h.Account, box)
	c, err := e.acct.Changes(e.ctx, since)
	if err != nil {
		e.wantKind("Changes", err, mailaccess.KindHistoryGone)
	} else if len(c.Mailboxes) != 1 || c.Mailboxes[0].ID != box {
		e.Errorf("Changes: %+v, want INBOX", c)
	}
	if _, err := e.acct.Changes(e.ctx, mailaccess.State{}); err != nil {
		e.Errorf("Changes since the zero state: %v", err)
	}
}

// A store that has forgotten which mailboxes were deleted says so, and does not
// leave them out.
func checkDeletedFloor(e *env) {
	m := e.create("Papers")
	since := e.state()
	e.remove(m.ID)
	e.h.LowerFloor(e.h.Account, "")
	c, err := e.acct.Changes(e.ctx, since)
	if err != nil {
		e.wantKind("Changes", err, mailaccess.KindHistoryGone)
	} else if len(c.Deleted) != 1 || c.Deleted[0].ID != m.ID {
		e.Errorf("Changes: %+v, want the mailbox that was deleted", c)
	}
	if _, err := e.acct.Changes(e.ctx, mailaccess.State{}); err != nil {
		e.Errorf("Changes since the zero state: %v", err)
	}
	since = e.state()
	m = e.create("Papers")
	if c, err := e.acct.Changes(e.ctx, since); err != nil || len(c.Mailboxes) != 1 || c.Mailboxes[0].ID != m.ID {
		e.Errorf("Changes since the floor: %+v, %v", c, err)
	}
}
