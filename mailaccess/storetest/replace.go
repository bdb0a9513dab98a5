package storetest

import (
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

func replaceChecks() []check {
	return []check{
		{"Message", "Append Replace", checkReplace},
		{"Elsewhere", "Append Replace Mailboxes", checkReplaceElsewhere},
		{"Gone", "Append Expunge Replace", checkReplaceGone},
		{"Nowhere", "Append Replace", checkReplaceNowhere},
		{"ByItself", "Append Replace", checkReplaceByItself},
		{"OfACopy", "Append Copy Replace", checkReplaceCopy},
		{"Rights", "Append Replace", checkReplaceRights},
		{"Ring", "Append Replace Mailboxes", checkReplaceRing},
	}
}

// replace asks until the store does not decline, which it may do at any time.
func (e *env) replace(src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, body []byte) (mailaccess.Appended, error) {
	e.Helper()
	return e.replaceWith(src, uid, dst, mailaccess.NewMessage{Staged: e.stage(body), Received: someDay})
}

func (e *env) replaceWith(src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
	e.Helper()
	for range 100 {
		before := e.state()
		res, err := e.caps.Replace.Replace(e.ctx, src, uid, dst, m)
		if !errors.Is(err, mailaccess.ErrSkip) {
			return res, err
		}
		if e.state() != before {
			e.Fatal("Replace declined after it had changed something")
		}
	}
	e.Skip("Replace declines")
	return mailaccess.Appended{}, nil
}

// Old and new pass in one transaction, and nothing of the old one stays.
func checkReplace(e *env) {
	box := e.inbox().ID
	ms := e.flagged(box, 4)
	status := e.status(box)
	body := e.letter()
	var res mailaccess.Appended
	n := e.takesOne("Replace", func() {
		var err error
		if res, err = e.replace(box, ms[1].UID, box, body); err != nil {
			e.Fatalf("Replace: %v", err)
		}
	})
	if res.UIDValidity != status.UIDValidity || len(res.Messages) != 1 {
		e.Fatalf("Replace returned %+v; UIDVALIDITY is %d", res, status.UIDValidity)
	}
	m := res.Messages[0]
	if m.UID < status.UIDNext || m.ModSeq != n || m.Created != n || !m.Flags.IsZero() || m.Size != int64(len(body)) || m.EmailID == ms[1].EmailID {
		e.Errorf("Replace returned %+v: want UID %d or above, number %d, no flags, %d octets, an id of its own", m, status.UIDNext, n, len(body))
	}
	e.contentIs(m.EmailID, body)
	left := e.list(box)
	if len(left) != 4 || !sameMessage(left[0], ms[0]) || !sameMessage(left[1], ms[2]) || !sameMessage(left[2], ms[3]) || !sameMessage(left[3], m) {
		e.Errorf("there are %+v; want %+v without the second, and %+v", left, ms, m)
	}
	c, ok := e.changesSince(box, status.ModSeq)
	if !ok {
		return
	}
	want := mailaccess.Vanished{UID: ms[1].UID, Created: ms[1].Created, ThreadID: ms[1].ThreadID, ModSeq: n, EmailID: ms[1].EmailID}
	if len(c.vanished) != 1 || c.vanished[0] != want {
		e.Errorf("vanished %+v, want %+v", c.vanished, want)
	}
}

func checkReplaceElsewhere(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.fill(src, 3)
	there := e.fill(dst, 1)
	n := e.takesOne("Replace", func() {
		if _, err := e.replace(src, ms[2].UID, dst, e.letter()); err != nil {
			e.Fatalf("Replace: %v", err)
		}
	})
	left, came := e.list(src), e.list(dst)
	if len(left) != 2 || !sameMessage(left[0], ms[0]) || !sameMessage(left[1], ms[1]) {
		e.Errorf("left are %+v, want %+v", left, ms[:2])
	}
	if len(came) != 2 || !sameMessage(came[0], there[0]) || came[1].Created != n {
		e.Errorf("there are %+v; want %+v and one of number %d", came, there, n)
	}
	for _, box := range []mailaccess.MailboxID{src, dst} {
		if s := e.status(box); s.ModSeq != n {
			e.Errorf("%q has number %d, want %d", s.Name, s.ModSeq, n)
		}
	}
}

// What is not there is not replaced, and the new message does not come.
func checkReplaceGone(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 2)
	e.expunge(box, ms[0].UID)
	for _, uid := range []mailaccess.UID{ms[0].UID, ms[1].UID + 7} {
		e.takesNone("Replace of a message that is not there", func() {
			_, err := e.replace(box, uid, box, e.letter())
			e.wantKind("Replace", err, mailaccess.KindContentGone)
		})
	}
	if left := e.list(box); len(left) != 1 || !sameMessage(left[0], ms[1]) {
		e.Errorf("left are %+v, want %+v", left, ms[1:])
	}
}

// The error names the mailbox that is missing.
func checkReplaceNowhere(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	for _, ends := range [][2]mailaccess.MailboxID{{box, "no-such-id"}, {"no-such-id", box}} {
		e.takesNone("Replace that failed", func() {
			_, err := e.replace(ends[0], m.UID, ends[1], e.letter())
			e.wantKind("Replace", err, mailaccess.KindNotFound)
			var me *mailaccess.Error
			if errors.As(err, &me) && me.Mailbox != "no-such-id" {
				e.Errorf("the error names mailbox %q, no-such-id is missing", me.Mailbox)
			}
		})
	}
	if left := e.list(box); len(left) != 1 || !sameMessage(left[0], m) {
		e.Errorf("left are %+v, want %+v", left, m)
	}
}

// An upload that was appended may replace what it became.
func checkReplaceByItself(e *env) {
	box := e.inbox().ID
	body := e.letter()
	s := e.stage(body)
	res, err := e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	old := res.Messages[0]
	if res, err = e.replaceWith(box, old.UID, box, mailaccess.NewMessage{Staged: s}); err != nil {
		e.Fatalf("Replace: %v", err)
	}
	if m := res.Messages[0]; m.UID == old.UID || m.EmailID != old.EmailID {
		e.Errorf("Replace of %+v by itself: %+v; want another UID, the same id", old, m)
	}
	e.contentIs(old.EmailID, body)
}

// The other places of the old message are left alone.
func checkReplaceCopy(e *env) {
	box := e.inbox().ID
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	done, err := e.caps.Copy.Copy(e.ctx, box, mailaccess.UIDSetOf(m.UID), box)
	if err != nil {
		e.Fatalf("Copy: %v", err)
	}
	if _, err := e.replace(box, m.UID, box, e.letter()); err != nil {
		e.Fatalf("Replace: %v", err)
	}
	if c := e.message(box, done.Dest.Min()); c.EmailID != m.EmailID {
		e.Errorf("the copy is %+v, want that of %+v", c, m)
	}
	e.contentIs(m.EmailID, body)
}

// RFC 8508, section 4.1: what appending and expunging need together.
func checkReplaceRights(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	for _, right := range []mailaccess.Rights{mailaccess.RightInsert, mailaccess.RightDeleted, mailaccess.RightExpunge} {
		a := e.openWith(mailaccess.RightsAll &^ right)
		for what, try := range e.attempts(a, box, box, m.UID, mailaccess.RightExpunge) {
			if what != "Replace" {
				continue
			}
			e.takesNone("Replace without a right", func() {
				e.wantKind("Replace without a right", try(), mailaccess.KindForbidden, mailaccess.KindUnsupported)
			})
		}
	}
}

func checkReplaceRing(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	ms := e.fill(src, 3)
	b := e.watch()
	for _, m := range ms {
		replaced := false
		b.after("Replace", func() {
			_, err := e.replace(src, m.UID, dst, e.letter())
			if replaced = err == nil; !replaced {
				e.Errorf("Replace: %v", err)
			}
		}, src, dst)
		if !replaced {
			return
		}
	}
}
