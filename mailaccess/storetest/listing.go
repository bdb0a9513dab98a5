package storetest

import (
	"fmt"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func listingChecks() []check {
	return []check{
		{"Subset", "Messages", checkListSubset},
		{"Break", "Messages", checkListBreak},
		{"Nested", "Messages", checkListNested},
		{"ChangesInside", "Messages Flags", checkListChangesInside},
		{"ExpungeInside", "Messages Expunge", checkListExpungeInside},
		{"AppendInside", "Messages", checkListAppendInside},
		{"MailboxesInside", "Mailboxes", checkListMailboxesInside},
		{"MailboxDeletedInside", "Messages Mailboxes", checkListDeletedInside},
		{"SubscriptionsInside", "Subscriptions", checkListSubscriptionsInside},
		{"OpenWhileOthersWork", "Append", checkListOpen},
	}
}

// longListing is how many messages a listing needs to be read in batches.
const longListing = 300

// long returns a mailbox with that many messages.
func (e *env) long() (mailaccess.MailboxID, []mailaccess.Message) {
	e.Helper()
	box := e.inbox().ID
	return box, e.fill(box, longListing)
}

func checkListSubset(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 10)
	for _, pick := range [][]int{{}, {0}, {9}, {1, 3, 5}, {2, 3, 4, 8}} {
		var want []mailaccess.Message
		uids := mailaccess.UIDSetOf(ms[9].UID+1, 4_000_000_000) // without a message
		for _, i := range pick {
			want = append(want, ms[i])
			uids = uids.With(ms[i].UID)
		}
		e.sameMessages("Messages", e.listOf(box, uids), want)
	}
	if got := e.listOf(box, mailaccess.UIDSet{}); len(got) != 0 {
		e.Errorf("Messages of no UIDs: %+v", got)
	}
	e.sameMessages("Messages(1:*)", e.list(box), ms)
}

// A loop may stop at any point, and leaves nothing behind.
func checkListBreak(e *env) {
	box, ms := e.long()
	e.within("work after loops that stopped", func() {
		for _, stop := range []int{0, 1, 100} {
			n := 0
			for _, err := range e.acct.Messages(e.ctx, box, everyUID()) {
				if err != nil {
					e.Errorf("Messages: %v", err)
				}
				if n++; n > stop {
					break
				}
			}
			for range e.acct.Mailboxes(e.ctx) {
				break
			}
			if c, err := e.acct.MailboxChanges(e.ctx, box, ms[len(ms)-2].ModSeq); err == nil {
				for range c.Messages {
					break
				}
				for range c.Vanished {
					break
				}
			}
			e.fill(box, 1)
		}
	})
}

func checkListNested(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 20)
	e.within("reading inside a listing", func() {
		n := 0
		for m, err := range e.acct.Messages(e.ctx, box, everyUID()) {
			if err != nil {
				e.Errorf("Messages: %v", err)
				return
			}
			inner, err := collect(e.acct.Messages(e.ctx, box, mailaccess.UIDSetRange(m.UID, m.UID+3)))
			if err != nil || len(inner) == 0 || !sameMessage(inner[0], m) {
				e.Errorf("Messages inside Messages: %d, %v", len(inner), err)
			}
			if b, err := readContent(e, m.EmailID); err != nil || int64(len(b)) != m.Size {
				e.Errorf("Content inside Messages: %d octets, %v", len(b), err)
			}
			if _, err := e.acct.Snapshot(e.ctx, box); err != nil {
				e.Errorf("Snapshot inside Messages: %v", err)
			}
			if _, err := collect(e.acct.Mailboxes(e.ctx)); err != nil {
				e.Errorf("Mailboxes inside Messages: %v", err)
			}
			n++
		}
		if n != len(ms) {
			e.Errorf("%d of %d messages", n, len(ms))
		}
	})
}

// ascending ranges over a listing, checks the order, and calls inside.
func (e *env) ascending(seq iter.Seq2[mailaccess.Message, error], inside func(i int, m mailaccess.Message)) mailaccess.UIDSet {
	e.Helper()
	seen := mailaccess.UIDSet{}
	for m, err := range seq {
		if err != nil {
			e.Errorf("after UID %d: %v", seen.Max(), err)
			break
		}
		if m.UID <= seen.Max() {
			e.Errorf("UID %d after %d", m.UID, seen.Max())
		}
		seen = seen.With(m.UID)
		inside(seen.Len(), m)
	}
	return seen
}

// Changing flags of what is being listed is no reason to list it twice or not.
func checkListChangesInside(e *env) {
	box, ms := e.long()
	f := e.somethingKept()
	all := uidsOf(ms)
	e.within("changes inside a listing", func() {
		seen := e.ascending(e.acct.Messages(e.ctx, box, everyUID()), func(i int, m mailaccess.Message) {
			if i%50 != 1 {
				return
			}
			c := add(f)
			if i%100 == 1 {
				c = remove(f)
			}
			if _, err := e.caps.Flags.SetFlags(e.ctx, box, all, c, mailaccess.AnyModSeq); err != nil {
				e.Errorf("SetFlags inside: %v", err)
			}
		})
		if !seen.Equal(all) {
			e.Errorf("listed %s, want %s", seen, all)
		}
	})
}

// What is removed meanwhile may be missing; what stays is listed.
func checkListExpungeInside(e *env) {
	box, ms := e.long()
	all := uidsOf(ms)
	e.within("expunges inside a listing", func() {
		gone := mailaccess.UIDSet{}
		seen := e.ascending(e.acct.Messages(e.ctx, box, everyUID()), func(i int, m mailaccess.Message) {
			if i%40 != 1 {
				return
			}
			// The one at hand, one before, some far ahead.
			some := mailaccess.UIDSetOf(m.UID, m.UID-1, m.UID+1, m.UID+90, m.UID+91).Intersect(all)
			if _, err := e.caps.Expunge.Expunge(e.ctx, box, some, 0); err != nil {
				e.Errorf("Expunge inside: %v", err)
			}
			gone = gone.Union(some)
		})
		if stay := all.Minus(gone); !stay.Minus(seen).IsEmpty() {
			e.Errorf("not listed: %s, which stayed", stay.Minus(seen))
		}
		if !seen.Minus(all).IsEmpty() {
			e.Errorf("listed %s, which never were", seen.Minus(all))
		}
	})
}

// What comes meanwhile may be listed or not; the loop must end either way.
func checkListAppendInside(e *env) {
	box, ms := e.long()
	e.within("appends inside a listing", func() {
		n := 0
		seen := e.ascending(e.acct.Messages(e.ctx, box, everyUID()), func(i int, m mailaccess.Message) {
			if i%50 != 0 || n > 20 {
				return
			}
			n++
			e.fill(box, 1)
		})
		if !uidsOf(ms).Minus(seen).IsEmpty() {
			e.Errorf("not listed: %s", uidsOf(ms).Minus(seen))
		}
	})
}

func checkListMailboxesInside(e *env) {
	stay := []string{mailaccess.Inbox}
	for i := range 20 {
		name := fmt.Sprintf("m%02d", i)
		e.create(name)
		if i%4 == 0 {
			stay = append(stay, name)
		}
	}
	e.within("changes of mailboxes inside their listing", func() {
		var seen []string
		for m, err := range e.acct.Mailboxes(e.ctx) {
			if err != nil {
				e.Errorf("Mailboxes: %v", err)
				return
			}
			if n := len(seen); n > 0 && seen[n-1] >= m.Name {
				e.Errorf("Mailboxes: %q after %q", m.Name, seen[n-1])
			}
			seen = append(seen, m.Name)
			var i int
			if n, _ := fmt.Sscanf(m.Name, "m%02d", &i); n != 1 || i%4 == 0 {
				continue
			}
			if i%4 == 1 {
				err = e.caps.Mailboxes.DeleteMailbox(e.ctx, m.ID)
			} else {
				err = e.caps.Mailboxes.RenameMailbox(e.ctx, m.ID, "a renamed "+m.Name)
			}
			if err != nil && mailaccess.KindOf(err) != mailaccess.KindUnsupported {
				e.Errorf("%q: %v", m.Name, err)
			}
		}
		for _, name := range stay {
			if !slices.Contains(seen, name) {
				e.Errorf("Mailboxes left out %q, which stayed", name)
			}
		}
	})
}

// When the mailbox itself goes, its listing ends, with or without an error.
func checkListDeletedInside(e *env) {
	m := e.create("Papers")
	e.fill(m.ID, 30)
	var failed error
	e.within("deletion of the mailbox that is being listed", func() {
		n, last := 0, error(nil)
		for _, err := range e.acct.Messages(e.ctx, m.ID, everyUID()) {
			if last != nil {
				e.Errorf("the listing went on after its error %v", last)
			}
			last = err
			if n++; n == 3 {
				failed = e.caps.Mailboxes.DeleteMailbox(e.ctx, m.ID)
			}
		}
		if last != nil {
			e.wantKind("Messages", last, mailaccess.KindNotFound)
		}
	})
	e.supported("DeleteMailbox", failed)
	if failed != nil {
		e.Errorf("DeleteMailbox inside: %v", failed)
	}
}

func checkListSubscriptionsInside(e *env) {
	for i := range 20 {
		e.subscribe(fmt.Sprintf("m%02d", i), true)
	}
	e.within("changes of subscriptions inside their listing", func() {
		n := 0
		for name, err := range e.caps.Subscriptions.Subscriptions(e.ctx) {
			if err != nil {
				e.Errorf("Subscriptions: %v", err)
				return
			}
			n++
			if err := e.caps.Subscriptions.Subscribe(e.ctx, name, n%2 == 0); err != nil {
				e.Errorf("Subscribe inside: %v", err)
			}
		}
		if n < 20 {
			e.Errorf("Subscriptions: %d names, want at least 20", n)
		}
	})
	if got := len(e.subscriptions()); got > 10 {
		e.Errorf("%d names are left", got)
	}
}

// A listing that waits for a slow client keeps nobody else waiting.
func checkListOpen(e *env) {
	box, ms := e.long()
	next, stop := iter.Pull2(e.acct.Messages(e.ctx, box, everyUID()))
	defer stop()
	if m, err, ok := next(); !ok || err != nil || m.UID != ms[0].UID {
		e.Fatalf("the first message: %+v, %v, %t", m, err, ok)
	}
	e.within("work beside an open listing", func() {
		a := e.openAgain()
		for range 5 {
			if _, err := appendTo(e, a, box, letter(1)); err != nil {
				e.Error(err)
			}
		}
		if got, err := collect(a.Messages(e.ctx, box, everyUID())); err != nil || len(got) != len(ms)+5 {
			e.Errorf("Messages: %d, %v; want %d", len(got), err, len(ms)+5)
		}
	})
	n := 1
	for {
		_, err, ok := next()
		if !ok {
			break
		}
		if err != nil {
			e.Fatalf("after %d messages: %v", n, err)
		}
		n++
	}
	if n < len(ms) {
		e.Errorf("%d messages, want at least %d", n, len(ms))
	}
}
