package storetest

import (
	"errors"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func copyChecks() []check {
	return []check{
		{"One", "Messages Copy Mailboxes", checkCopyOne},
		{"Many", "Messages Copy CopyMany Mailboxes", checkCopyMany},
		{"ManyRefused", "Messages Copy", checkCopyManyRefused},
		{"SameMailbox", "Messages Copy", checkCopySame},
		{"MissingUIDs", "Messages Copy Expunge", checkCopyMissing},
		{"MissingMailbox", "Messages Copy", checkCopyNowhere},
	}
}

func moveChecks() []check {
	return []check{
		{"Messages", "Messages Move Mailboxes", checkMove},
		{"MissingUIDs", "Messages Move Mailboxes", checkMoveMissing},
		{"SameMailbox", "Messages Move", checkMoveSame},
		{"MissingMailbox", "Messages Move", checkMoveNowhere},
		{"Vanished", "Messages Move Mailboxes", checkMoveVanished},
	}
}

// move moves, and when the store declines now and then, as it may, asks again;
// declining must have done nothing.
func (e *env) move(src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	e.Helper()
	for range 100 {
		before := e.state()
		res, err := e.caps.Move.Move(e.ctx, src, uids, dst)
		if !errors.Is(err, mailaccess.ErrSkip) {
			return res, err
		}
		if after := e.state(); after != before {
			e.Fatalf("Move declined and did something: %+v, before %+v", after, before)
		}
	}
	e.Skip("Move declines")
	return mailaccess.Copied{}, nil
}

// flagged appends n letters with different flags and dates.
func (e *env) flagged(box mailaccess.MailboxID, n int) []mailaccess.Message {
	e.Helper()
	ms := make([]mailaccess.Message, n)
	for i := range ms {
		f := mailaccess.Flags{System: mailaccess.SystemFlags(i) & mailaccess.SystemFlagsAll}
		if i%3 == 0 {
			f.Keywords = keywords("Work")
		}
		ms[i] = e.appendNew(box, e.letter(), f, someDay.Add(time.Duration(-i)*time.Hour))
	}
	return ms
}

// copied checks that the messages of dst that res names are those in from, as
// they were before, in their order.
func (e *env) copied(what string, res mailaccess.Copied, from []mailaccess.Message, dst mailaccess.MailboxID, before mailaccess.Status) {
	e.Helper()
	if !res.Source.Equal(uidsOf(from)) {
		e.Errorf("%s: source %s, want %s", what, res.Source, uidsOf(from))
	}
	if res.Dest.Len() != len(from) {
		e.Fatalf("%s: destination %s, want %d UIDs", what, res.Dest, len(from))
	}
	if len(from) == 0 {
		return
	}
	if res.UIDValidity != before.UIDValidity {
		e.Errorf("%s: UIDVALIDITY %d, want %d, the destination's", what, res.UIDValidity, before.UIDValidity)
	}
	if res.Dest.Min() < before.UIDNext {
		e.Errorf("%s: UID %d, UIDNEXT was %d", what, res.Dest.Min(), before.UIDNext)
	}
	got := e.listOf(dst, res.Dest)
	if len(got) != len(from) {
		e.Fatalf("%s: the destination has %d of %d", what, len(got), len(from))
	}
	for i, m := range got {
		if m.EmailID != from[i].EmailID || m.ThreadID != from[i].ThreadID || m.Flags != from[i].Flags || m.Size != from[i].Size || !m.Received.Equal(from[i].Received) {
			e.Errorf("%s: %+v became %+v", what, from[i], m)
		}
		if m.Created != m.ModSeq || m.ModSeq <= from[i].ModSeq {
			e.Errorf("%s: number %d, created %d: want one, above %d", what, m.ModSeq, m.Created, from[i].ModSeq)
		}
	}
}

func checkCopyOne(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.flagged(src, 4)
	source := e.status(src)
	for _, m := range ms {
		before, status := e.state(), e.status(dst)
		res, err := e.caps.Copy.Copy(e.ctx, src, mailaccess.UIDSetOf(m.UID), dst)
		if err != nil {
			e.Fatalf("Copy: %v", err)
		}
		e.copied("Copy", res, []mailaccess.Message{m}, dst, status)
		if s := e.status(dst); s.ModSeq <= before.ModSeq || s.ModSeq != e.state().ModSeq {
			e.Errorf("number %d, account %d, was %d", s.ModSeq, e.state().ModSeq, before.ModSeq)
		}
	}
	if now := e.status(src); now != source {
		e.Errorf("the source is %+v, was %+v", now, source)
	}
}

// Many are one transaction, in the order of the source.
func checkCopyMany(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	e.fill(dst, 2)
	ms := e.flagged(src, 12)
	status := e.status(dst)
	var res mailaccess.Copied
	number := e.takesOne("Copy", func() {
		var err error
		if res, err = e.caps.Copy.Copy(e.ctx, src, uidsOf(ms), dst); err != nil {
			e.Fatalf("Copy: %v", err)
		}
	})
	e.copied("Copy", res, ms, dst, status)
	for _, m := range e.listOf(dst, res.Dest) {
		if m.ModSeq != number {
			e.Errorf("UID %d has number %d, want %d, as all", m.UID, m.ModSeq, number)
		}
	}
	for i, m := range e.list(src) {
		if !sameMessage(m, ms[i]) {
			e.Errorf("in the source %+v became %+v", ms[i], m)
		}
	}
}

func checkCopyManyRefused(e *env) {
	if e.caps.CopyMany {
		e.Skip("CopyMany is there")
	}
	box := e.inbox().ID
	ms := e.fill(box, 2)
	e.takesNone("Copy of two", func() {
		_, err := e.caps.Copy.Copy(e.ctx, box, uidsOf(ms), box)
		e.wantKind("Copy of two", err, mailaccess.KindUnsupported)
	})
}

func checkCopySame(e *env) {
	box := e.inbox().ID
	ms := e.flagged(box, 3)
	if !e.caps.CopyMany {
		ms = ms[:1]
	}
	status := e.status(box)
	res, err := e.caps.Copy.Copy(e.ctx, box, uidsOf(ms), box)
	if err != nil {
		e.Fatalf("Copy: %v", err)
	}
	e.copied("Copy", res, ms, box, status)
	if s := e.status(box); s.Messages != status.Messages+len(ms) {
		e.Errorf("%d messages, were %d, %d copied", s.Messages, status.Messages, len(ms))
	}
}

func checkCopyMissing(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 3)
	e.expunge(box, ms[0].UID, ms[1].UID)
	e.takesNone("a copy of missing UIDs", func() {
		res, err := e.caps.Copy.Copy(e.ctx, box, mailaccess.UIDSetOf(ms[0].UID, ms[2].UID+7), box)
		if err != nil || !res.Source.IsEmpty() || !res.Dest.IsEmpty() {
			e.Errorf("Copy: %+v, %v; want nothing", res, err)
		}
	})
	status := e.status(box)
	res, err := e.caps.Copy.Copy(e.ctx, box, everyUID(), box)
	if err != nil {
		e.Fatalf("Copy(1:*), of which one is there: %v", err)
	}
	e.copied("Copy", res, ms[2:], box, status)
}

// The error names the mailbox that is missing.
func checkCopyNowhere(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	for _, ends := range [][2]mailaccess.MailboxID{{box, "no-such-id"}, {"no-such-id", box}} {
		e.takesNone("a copy that failed", func() {
			_, err := e.caps.Copy.Copy(e.ctx, ends[0], mailaccess.UIDSetOf(m.UID), ends[1])
			e.wantKind("Copy", err, mailaccess.KindNotFound)
			var me *mailaccess.Error
			if errors.As(err, &me) && me.Mailbox != "no-such-id" {
				e.Errorf("the error names mailbox %q, no-such-id is missing", me.Mailbox)
			}
		})
	}
}

func checkMove(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.flagged(src, 9)
	before, status := e.state(), e.status(dst)
	moved := append(ms[:3:3], ms[5:]...)
	res, err := e.move(src, uidsOf(moved), dst)
	if err != nil {
		e.Fatalf("Move: %v", err)
	}
	e.copied("Move", res, moved, dst, status)
	left := e.list(src)
	if len(left) != 2 || !sameMessage(left[0], ms[3]) || !sameMessage(left[1], ms[4]) {
		e.Errorf("left are %+v, want %+v as they were", left, ms[3:5])
	}
	for _, box := range []mailaccess.MailboxID{src, dst} {
		if s := e.status(box); s.ModSeq <= before.ModSeq {
			e.Errorf("%q has number %d, was the account's %d before", s.Name, s.ModSeq, before.ModSeq)
		}
	}
}

func checkMoveMissing(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.fill(src, 2)
	status := e.status(dst)
	res, err := e.move(src, everyUID(), dst)
	if err != nil {
		e.Fatalf("Move(1:*): %v", err)
	}
	e.copied("Move", res, ms, dst, status)
	e.takesNone("a move of missing UIDs", func() {
		res, err := e.move(src, everyUID(), dst)
		if err != nil || !res.Source.IsEmpty() || !res.Dest.IsEmpty() {
			e.Errorf("Move: %+v, %v; want nothing", res, err)
		}
	})
	if got := e.fill(src, 1)[0]; got.UID <= ms[1].UID {
		e.Errorf("UID %d after %d was moved away", got.UID, ms[1].UID)
	}
}

func checkMoveSame(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	e.takesNone("a move to the same mailbox", func() {
		_, err := e.move(box, mailaccess.UIDSetOf(m.UID), box)
		e.wantKind("Move", err, mailaccess.KindInvalid)
	})
}

func checkMoveNowhere(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	for _, ends := range [][2]mailaccess.MailboxID{{box, "no-such-id"}, {"no-such-id", box}} {
		e.takesNone("a move that failed", func() {
			_, err := e.move(ends[0], mailaccess.UIDSetOf(m.UID), ends[1])
			e.wantKind("Move", err, mailaccess.KindNotFound)
		})
	}
}

// What was moved away vanished from the source; its content is still there.
func checkMoveVanished(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	body := e.letter()
	m := e.appendNew(src, body, mailaccess.Flags{}, someDay)
	since := e.status(src).ModSeq
	if _, err := e.move(src, mailaccess.UIDSetOf(m.UID), dst); err != nil {
		e.Fatalf("Move: %v", err)
	}
	e.contentIs(m.EmailID, body)
	c, ok := e.changesSince(src, since)
	if !ok {
		return
	}
	want := mailaccess.Vanished{UID: m.UID, Created: m.Created, ThreadID: m.ThreadID, ModSeq: e.status(src).ModSeq, EmailID: m.EmailID}
	if len(c.vanished) != 1 || c.vanished[0] != want {
		e.Errorf("vanished %+v, want %+v", c.vanished, want)
	}
}
