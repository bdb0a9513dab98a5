package storetest

import (
	"github.com/hashmail/mailaccess/mailaccess"
)

func flagChecks() []check {
	return []check{
		{"AddRemoveReplace", "Messages Flags", checkSetFlags},
		{"Keywords", "Messages Flags NewKeywords", checkKeywords},
		{"KeywordSpelling", "Messages Flags NewKeywords", checkKeywordSpelling},
		{"NoOpTakesNoNumber", "Messages Flags", checkFlagsNoOp},
		{"OnlyThoseThatDiffer", "Messages Flags", checkFlagsPartly},
		{"MissingUIDs", "Messages Flags", checkFlagsMissing},
		{"UnchangedSince", "Messages Flags", checkUnchangedSince},
		{"UnchangedSinceZero", "Messages Flags", checkUnchangedSinceZero},
		{"NotKept", "Messages Flags", checkFlagsNotKept},
		{"Commits", "Messages Flags", checkFlagCommits},
	}
}

// somethingKept returns a system flag that the store keeps.
func (e *env) somethingKept() mailaccess.SystemFlags {
	e.Helper()
	kept := e.caps.SystemFlags
	if kept == 0 {
		e.Skip("needs SystemFlags")
	}
	return kept & -kept
}

func checkSetFlags(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	uid := mailaccess.UIDSetOf(m.UID)
	want := mailaccess.Flags{}
	for _, c := range []mailaccess.FlagChange{
		add(mailaccess.FlagSeen), add(mailaccess.FlagAnswered | mailaccess.FlagFlagged), remove(mailaccess.FlagSeen),
		{Replace: true, Add: mailaccess.Flags{System: mailaccess.FlagDeleted | mailaccess.FlagDraft}},
		{Add: mailaccess.Flags{System: mailaccess.FlagSeen}, Remove: mailaccess.Flags{System: mailaccess.FlagDraft}},
		// What is in both comes: those in Remove go, those in Add come.
		{Add: mailaccess.Flags{System: mailaccess.FlagFlagged}, Remove: mailaccess.Flags{System: mailaccess.FlagFlagged}},
		add(mailaccess.SystemFlagsAll), remove(mailaccess.SystemFlagsAll), {Replace: true},
		{Replace: true, Add: mailaccess.Flags{System: mailaccess.FlagSeen}},
	} {
		before, was := e.state(), want
		want = e.kept(c.Apply(want))
		res := e.setFlags(box, uid, c)
		expect := uid
		if want == was {
			expect = mailaccess.UIDSet{}
		}
		e.changed("SetFlags", res.Changed, expect, before.ModSeq)
		if got := e.message(box, m.UID).Flags; got != want {
			e.Errorf("%+v: flags %05b, want %05b", c, got.System, want.System)
		}
	}
}

func checkKeywords(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	uid := mailaccess.UIDSetOf(m.UID)
	for _, step := range []struct {
		change mailaccess.FlagChange
		want   mailaccess.Keywords
	}{
		{add(0, "Work", "$Forwarded"), keywords("$Forwarded", "Work")},
		{add(0, "later"), keywords("$Forwarded", "Work", "later")},
		{remove(0, "Work", "nothing"), keywords("$Forwarded", "later")},
		{remove(0, "LATER"), keywords("$Forwarded")},
		{mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{Keywords: keywords("a", "b!#$'+,-./:;<=>?@[^_`|}~")}}, keywords("a", "b!#$'+,-./:;<=>?@[^_`|}~")},
		{mailaccess.FlagChange{Replace: true}, keywords()},
	} {
		e.setFlags(box, uid, step.change)
		if got := e.message(box, m.UID).Flags.Keywords; got != step.want {
			e.Errorf("keywords %q, want %q", got, step.want)
		}
	}
}

// Keywords are one whatever their case, and stay as first written.
func checkKeywordSpelling(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	uid := mailaccess.UIDSetOf(m.UID)
	e.setFlags(box, uid, add(0, "ProjectX"))
	e.takesNone("adding a keyword in another case", func() {
		res := e.setFlags(box, uid, add(0, "projectx"))
		if len(res.Changed) != 0 {
			e.Errorf("changed: %+v", res.Changed)
		}
	})
	if got := e.message(box, m.UID).Flags.Keywords; got != keywords("ProjectX") {
		e.Errorf("keywords %q, want it as first written", got)
	}
	if k := e.status(box).Keywords; !k.Has("PROJECTX") {
		e.Errorf("the mailbox's keywords %q do not have it", k)
	}
	e.takesNone("replacing by the same in another case", func() {
		e.setFlags(box, uid, mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{Keywords: keywords("PROJECTX")}})
	})
	// One spelling serves the whole mailbox.
	others := e.fill(box, 1)
	e.setFlags(box, uidsOf(others), add(0, "projectX"))
	others = append(others, e.appendNew(box, e.letter(), mailaccess.Flags{Keywords: keywords("PROJECTx")}, someDay))
	for _, m := range others {
		if got := e.message(box, m.UID).Flags.Keywords; got != keywords("ProjectX") {
			e.Errorf("another message has keywords %q, the mailbox began with ProjectX", got)
		}
	}
	e.setFlags(box, uid, remove(0, "PROJECTX"))
	if got := e.message(box, m.UID).Flags.Keywords; !got.IsEmpty() {
		e.Errorf("keywords %q after removing it in another case", got)
	}
}

func checkFlagsNoOp(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	e.fill(box, 3)
	all := e.snapshot(box).UIDs
	e.setFlags(box, all, add(f))
	before := e.list(box)
	for _, c := range []mailaccess.FlagChange{
		add(f), remove(mailaccess.SystemFlagsAll &^ f), {}, {Replace: true, Add: mailaccess.Flags{System: f}}, remove(0, "nothing"),
	} {
		e.takesNone("a change that changes nothing", func() {
			if res := e.setFlags(box, all, c); len(res.Changed) != 0 || !res.Conflict.IsEmpty() {
				e.Errorf("%+v returned %+v", c, res)
			}
		})
	}
	for i, m := range e.list(box) {
		if !sameMessage(m, before[i]) {
			e.Errorf("the message was %+v, is %+v", before[i], m)
		}
	}
	e.takesNone("a change of no message", func() {
		if res := e.setFlags(box, mailaccess.UIDSet{}, add(f)); len(res.Changed) != 0 {
			e.Errorf("returned %+v", res)
		}
	})
}

// Messages that have the flags already keep their numbers.
func checkFlagsPartly(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	ms := e.fill(box, 4)
	some := mailaccess.UIDSetOf(ms[1].UID, ms[3].UID)
	e.setFlags(box, some, add(f))
	before, list := e.state(), e.list(box)
	all := uidsOf(ms)
	res := e.setFlags(box, all, add(f))
	numbers := e.changed("SetFlags", res.Changed, all.Minus(some), before.ModSeq)
	for i, m := range e.list(box) {
		want := list[i]
		if n, ok := numbers[m.UID]; ok {
			want.ModSeq, want.Flags.System = n, f
		}
		if !sameMessage(m, want) {
			e.Errorf("UID %d is %+v, want %+v", m.UID, m, want)
		}
	}
}

func checkFlagsMissing(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	ms := e.fill(box, 3)
	uids := everyUID()
	if e.caps.Expunge != nil {
		e.expunge(box, ms[1].UID)
		ms = append(ms[:1], ms[2])
	}
	before := e.state()
	res := e.setFlags(box, uids, add(f))
	e.changed("SetFlags(1:*)", res.Changed, uidsOf(ms), before.ModSeq)
	e.takesNone("a change of missing UIDs", func() {
		beyond := mailaccess.UIDSetOf(e.status(box).UIDNext, e.status(box).UIDNext+100)
		if res := e.setFlags(box, beyond, remove(f)); len(res.Changed) != 0 || !res.Conflict.IsEmpty() {
			e.Errorf("returned %+v", res)
		}
	})
}

// RFC 7162, section 3.1.3: what changed since is left alone and reported.
func checkUnchangedSince(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	ms := e.fill(box, 4)
	e.setFlags(box, mailaccess.UIDSetOf(ms[1].UID), add(f)) // now above all others
	e.setFlags(box, mailaccess.UIDSetOf(ms[1].UID), remove(f))
	since := ms[2].ModSeq // that of the third, which is therefore not above it
	before := e.state()
	res, err := e.caps.Flags.SetFlags(e.ctx, box, uidsOf(ms), add(f), since)
	if err != nil {
		e.Fatalf("SetFlags: %v", err)
	}
	conflict := mailaccess.UIDSetOf(ms[1].UID, ms[3].UID)
	if !res.Conflict.Equal(conflict) {
		e.Errorf("conflict %s, want %s", res.Conflict, conflict)
	}
	e.changed("SetFlags", res.Changed, mailaccess.UIDSetOf(ms[0].UID, ms[2].UID), before.ModSeq)
	for _, m := range e.list(box) {
		if has := m.Flags.System.Has(f); has == conflict.Contains(m.UID) {
			e.Errorf("UID %d: has the flag: %t", m.UID, has)
		}
	}
	// With the number as it is now nothing conflicts.
	res, err = e.caps.Flags.SetFlags(e.ctx, box, uidsOf(ms), add(f), e.status(box).ModSeq)
	if err != nil || !res.Conflict.IsEmpty() {
		e.Errorf("SetFlags unchanged since now: %+v, %v", res, err)
	}
}

func checkUnchangedSinceZero(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	all := uidsOf(e.fill(box, 2))
	e.takesNone("unchanged since 0", func() {
		res, err := e.caps.Flags.SetFlags(e.ctx, box, all.With(1000), add(f), 0)
		if err != nil || len(res.Changed) != 0 || !res.Conflict.Equal(all) {
			e.Errorf("SetFlags: %+v, %v; want all in conflict, UIDs without a message not", res, err)
		}
	})
}

// Flags that the store does not keep are passed over, also when there are no others.
func checkFlagsNotKept(e *env) {
	lost := mailaccess.SystemFlagsAll &^ e.caps.SystemFlags
	if lost == 0 && e.caps.NewKeywords {
		e.Skip("every flag is kept")
	}
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	c := add(lost)
	if !e.caps.NewKeywords {
		c.Add.Keywords = keywords("Work")
	}
	e.takesNone("flags that are not kept", func() {
		res, err := e.caps.Flags.SetFlags(e.ctx, box, mailaccess.UIDSetOf(m.UID), c, mailaccess.AnyModSeq)
		if err != nil || len(res.Changed) != 0 {
			e.Errorf("SetFlags: %+v, %v; want nothing done and no error", res, err)
		}
	})
	if got := e.message(box, m.UID); !sameMessage(got, m) {
		e.Errorf("the message was %+v, is %+v", m, got)
	}
}

// What the result says is what the messages show, commit by commit.
func checkFlagCommits(e *env) {
	box := e.inbox().ID
	f := e.somethingKept()
	ms := e.fill(box, 20)
	before := e.state()
	res := e.setFlags(box, uidsOf(ms), add(f))
	numbers := e.changed("SetFlags", res.Changed, uidsOf(ms), before.ModSeq)
	for _, m := range e.list(box) {
		if m.ModSeq != numbers[m.UID] || m.Created >= m.ModSeq {
			e.Errorf("UID %d: number %d, created %d; the result says %d", m.UID, m.ModSeq, m.Created, numbers[m.UID])
		}
	}
	last := res.Changed[len(res.Changed)-1].ModSeq
	if s := e.status(box); s.ModSeq != last || e.state().ModSeq != last {
		e.Errorf("mailbox %d, account %d, want %d", s.ModSeq, e.state().ModSeq, last)
	}
}
