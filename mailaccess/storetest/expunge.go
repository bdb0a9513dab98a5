package storetest

import (
	"github.com/hashmail/mailaccess/mailaccess"
)

func expungeChecks() []check {
	return []check{
		{"Removes", "Messages Expunge", checkExpunge},
		{"NeedsFlags", "Messages Expunge Flags", checkExpungeNeed},
		{"MissingUIDs", "Messages Expunge", checkExpungeMissing},
		{"Vanished", "Messages Expunge", checkExpungeVanished},
		{"UIDsNeverReused", "Messages Expunge", checkUIDsNeverReused},
		{"CopiesStay", "Messages Expunge Copy", checkExpungeCopies},
	}
}

func checkExpunge(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 5)
	before := e.state()
	gone := mailaccess.UIDSetOf(ms[0].UID, ms[2].UID, ms[4].UID)
	commits, err := e.caps.Expunge.Expunge(e.ctx, box, gone, 0)
	if err != nil {
		e.Fatalf("Expunge: %v", err)
	}
	e.changed("Expunge", commits, gone, before.ModSeq)
	if s := e.status(box); s.ModSeq != commits[len(commits)-1].ModSeq || s.Messages != 2 {
		e.Errorf("status %+v after commits %+v", s, commits)
	}
	left := e.list(box)
	if len(left) != 2 || !sameMessage(left[0], ms[1]) || !sameMessage(left[1], ms[3]) {
		e.Errorf("left are %+v, want %+v and %+v as they were", left, ms[1], ms[3])
	}
}

// Only messages that have all the flags asked for go.
func checkExpungeNeed(e *env) {
	f := e.somethingKept()
	g := e.caps.SystemFlags &^ f
	if g &= -g; g == 0 {
		e.Skip("needs two SystemFlags")
	}
	box := e.inbox().ID
	ms := e.fill(box, 4)
	e.setFlags(box, mailaccess.UIDSetOf(ms[0].UID, ms[1].UID), add(f))
	e.setFlags(box, mailaccess.UIDSetOf(ms[1].UID, ms[2].UID), add(g))
	all := uidsOf(ms)
	for _, step := range []struct {
		need mailaccess.SystemFlags
		want mailaccess.UIDSet
	}{
		{f | g, mailaccess.UIDSetOf(ms[1].UID)}, {f | g, mailaccess.UIDSet{}}, {f, mailaccess.UIDSetOf(ms[0].UID)}, {g, mailaccess.UIDSetOf(ms[2].UID)}, {0, mailaccess.UIDSetOf(ms[3].UID)},
	} {
		before := e.state()
		commits, err := e.caps.Expunge.Expunge(e.ctx, box, all, step.need)
		if err != nil {
			e.Fatalf("Expunge: %v", err)
		}
		e.changed("Expunge", commits, step.want, before.ModSeq)
		if step.want.IsEmpty() && e.state() != before {
			e.Error("an expunge of nothing took a number")
		}
		all = all.Minus(step.want)
		if got := e.snapshot(box).UIDs; !got.Equal(all) {
			e.Errorf("left are %s, want %s", got, all)
		}
	}
}

func checkExpungeMissing(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 2)
	e.expunge(box, ms[0].UID)
	e.takesNone("an expunge of missing UIDs", func() {
		if commits := e.expunge(box, ms[0].UID, ms[1].UID+1, ms[1].UID+100); len(commits) != 0 {
			e.Errorf("returned %+v", commits)
		}
		e.expunge(box)
	})
	before := e.state()
	commits, err := e.caps.Expunge.Expunge(e.ctx, box, everyUID(), 0)
	if err != nil {
		e.Fatalf("Expunge(1:*): %v", err)
	}
	e.changed("Expunge(1:*)", commits, mailaccess.UIDSetOf(ms[1].UID), before.ModSeq)
}

// Each removed message leaves an entry with its number and its content's id.
func checkExpungeVanished(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 4)
	since := e.status(box).ModSeq
	first := e.expunge(box, ms[1].UID)
	second := e.expunge(box, ms[0].UID, ms[3].UID)
	c, ok := e.changesSince(box, since)
	if !ok {
		return
	}
	numbers := map[mailaccess.UID]mailaccess.ModSeq{}
	for _, commit := range append(first, second...) {
		for u := range commit.UIDs.All() {
			numbers[u] = commit.ModSeq
		}
	}
	if len(c.vanished) != 3 || len(c.messages) != 0 {
		e.Fatalf("changes since %d: %+v, want three vanished and nothing else", since, c)
	}
	for i, m := range []mailaccess.Message{ms[0], ms[1], ms[3]} {
		want := mailaccess.Vanished{UID: m.UID, Created: m.Created, ThreadID: m.ThreadID, ModSeq: numbers[m.UID], EmailID: m.EmailID}
		if c.vanished[i] != want {
			e.Errorf("vanished %+v, want %+v", c.vanished[i], want)
		}
	}
}

// RFC 3501, section 2.3.1.1: a UID is never used twice, the highest included.
func checkUIDsNeverReused(e *env) {
	box := e.inbox().ID
	last, next := mailaccess.UID(0), mailaccess.UID(0)
	for range 5 {
		m := e.fill(box, 1)[0]
		if m.UID <= last {
			e.Fatalf("UID %d after %d", m.UID, last)
		}
		last = m.UID
		e.expunge(box, last)
		s := e.status(box)
		if s.UIDNext <= last || s.UIDNext < next {
			e.Fatalf("UIDNEXT is %d, was %d, UID %d was used", s.UIDNext, next, last)
		}
		next = s.UIDNext
	}
}

func checkExpungeCopies(e *env) {
	box := e.inbox().ID
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	if _, err := e.caps.Copy.Copy(e.ctx, box, mailaccess.UIDSetOf(m.UID), box); err != nil {
		e.Fatalf("Copy: %v", err)
	}
	e.expunge(box, m.UID)
	e.contentIs(m.EmailID, body)
}
