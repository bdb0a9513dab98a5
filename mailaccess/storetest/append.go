package storetest

import (
	"bytes"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func appendChecks() []check {
	return []check{
		{"One", "Append", checkAppendOne},
		{"Many", "Append AppendMany", checkAppendMany},
		{"ManyRefused", "Append", checkAppendManyRefused},
		{"Flags", "Append", checkAppendFlags},
		{"Received", "Append", checkAppendReceived},
		{"Bytes", "Append", checkAppendBytes},
		{"UnknownMailbox", "Append", checkAppendUnknown},
		{"AllOrNone", "Append AppendMany", checkAppendAllOrNone},
		{"TooBig", "Append MaxMessageSize", checkAppendTooBig},
		{"SeenByOthers", "Append", checkAppendSeen},
	}
}

// someDay is an internal date with a zone of its own.
var someDay = time.Date(2021, 3, 4, 5, 6, 7, 0, time.FixedZone("", 2*60*60))

func checkAppendOne(e *env) {
	box := e.inbox()
	before, status := e.state(), e.status(box.ID)
	body := e.letter()
	s := e.stage(body)
	if s.Size() != int64(len(body)) {
		e.Errorf("Staged.Size is %d, %d octets were written", s.Size(), len(body))
	}
	e.takesNone("staging", func() { e.stage(body) })
	res, err := e.caps.Append.Append(e.ctx, box.ID, []mailaccess.NewMessage{{Staged: s, Received: someDay}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	if res.UIDValidity != box.UIDValidity || len(res.Messages) != 1 {
		e.Fatalf("Append returned %+v; UIDVALIDITY is %d", res, box.UIDValidity)
	}
	m := res.Messages[0]
	if m.UID < status.UIDNext {
		e.Errorf("UID %d, UIDNEXT was %d", m.UID, status.UIDNext)
	}
	if m.ModSeq <= before.ModSeq || m.Created != m.ModSeq || m.ModSeq != e.state().ModSeq || m.ModSeq != e.status(box.ID).ModSeq {
		e.Errorf("number %d, created %d, mailbox %d, account %d: want one, above %d",
			m.ModSeq, m.Created, e.status(box.ID).ModSeq, e.state().ModSeq, before.ModSeq)
	}
	if m.Size != int64(len(body)) || !m.Flags.IsZero() {
		e.Errorf("message %+v: want size %d, no flags", m, len(body))
	}
	if now := e.message(box.ID, m.UID); !sameMessage(now, m) {
		e.Errorf("Append returned %+v, Messages has %+v", m, now)
	}
	e.contentIs(m.EmailID, body)
}

// Several messages are one transaction, in the order given.
func checkAppendMany(e *env) {
	box := e.inbox().ID
	e.fill(box, 1)
	before, status := e.state(), e.status(box)
	var msgs []mailaccess.NewMessage
	var bodies [][]byte
	for i := range 5 {
		bodies = append(bodies, e.letter())
		msgs = append(msgs, mailaccess.NewMessage{
			Staged: e.stage(bodies[i]), Flags: mailaccess.Flags{System: mailaccess.SystemFlags(1 << i)},
			Received: someDay.AddDate(0, 0, -i),
		})
	}
	res, err := e.caps.Append.Append(e.ctx, box, msgs)
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	if len(res.Messages) != len(msgs) {
		e.Fatalf("Append of %d returned %d", len(msgs), len(res.Messages))
	}
	next := status.UIDNext
	for i, m := range res.Messages {
		if m.UID < next {
			e.Errorf("message %d: UID %d, want at least %d", i, m.UID, next)
		}
		next = m.UID + 1
		if m.ModSeq <= before.ModSeq || m.Created != m.ModSeq || m.ModSeq != res.Messages[0].ModSeq {
			e.Errorf("message %d: number %d, created %d, want one for all, above %d", i, m.ModSeq, m.Created, before.ModSeq)
		}
		if m.Flags != e.kept(msgs[i].Flags) || !m.Received.Equal(msgs[i].Received) || m.Size != int64(len(bodies[i])) {
			e.Errorf("message %d: %+v, want flags %v, received %v, size %d", i, m, msgs[i].Flags, msgs[i].Received, len(bodies[i]))
		}
		if now := e.message(box, m.UID); !sameMessage(now, m) {
			e.Errorf("message %d: Append returned %+v, Messages has %+v", i, m, now)
		}
		e.contentIs(m.EmailID, bodies[i])
	}
}

func checkAppendManyRefused(e *env) {
	if e.caps.AppendMany {
		e.Skip("AppendMany is there")
	}
	msgs := []mailaccess.NewMessage{{Staged: e.stage(e.letter())}, {Staged: e.stage(e.letter())}}
	e.takesNone("Append of two", func() {
		_, err := e.caps.Append.Append(e.ctx, e.inbox().ID, msgs)
		e.wantKind("Append of two", err, mailaccess.KindUnsupported)
	})
}

func checkAppendFlags(e *env) {
	box := e.inbox().ID
	for _, f := range []mailaccess.Flags{
		{}, {System: mailaccess.FlagSeen}, {System: mailaccess.SystemFlagsAll},
		{Keywords: keywords("$Forwarded")}, {System: mailaccess.FlagFlagged, Keywords: keywords("Work", "$Junk", "later")},
	} {
		m := e.appendNew(box, e.letter(), f, time.Time{})
		if m.Flags != e.kept(f) {
			e.Errorf("appended with %v %q, got %v %q", f.System, f.Keywords, m.Flags.System, m.Flags.Keywords)
		}
	}
}

func checkAppendReceived(e *env) {
	box := e.inbox().ID
	for _, at := range []time.Time{
		someDay, someDay.Add(999 * time.Millisecond), time.Date(1996, 2, 29, 23, 59, 59, 0, time.UTC),
		time.Date(2030, 12, 31, 0, 0, 0, 0, time.FixedZone("", -12*60*60)),
	} {
		m := e.appendNew(box, e.letter(), mailaccess.Flags{}, at)
		if !m.Received.Equal(at.Truncate(time.Second)) {
			e.Errorf("received %v, got %v, want whole seconds", at, m.Received)
		}
	}
	m := e.appendNew(box, e.letter(), mailaccess.Flags{}, time.Time{})
	if d := time.Since(m.Received).Abs(); d > 24*time.Hour {
		e.Errorf("received at no time given: %v, want now", m.Received)
	}
}

// awkwardBodies are contents in canonical form that a careless store spoils.
func awkwardBodies() map[string][]byte {
	big := bytes.Repeat([]byte("0123456789abcdef0123456789abcdef0123456789abcdef\r\n"), 6000)
	return map[string][]byte{
		"plain":             letter(1),
		"no end of line":    []byte("Subject: x\r\n\r\nthe end"),
		"only a header":     []byte("Subject: x\r\n"),
		"one octet":         []byte("x"),
		"bare CR":           []byte("Subject: x\r\n\r\na\rb\r\r\nc\r"),
		"NUL":               []byte("Subject: x\r\n\r\na\x00b\x00\r\n"),
		"8 bit":             []byte("Subject: \xe4\xf6\xfc \xc3\xa4\r\n\r\n\xff\xfe\x80\r\n"),
		"dots and From":     []byte("Subject: x\r\n\r\n.\r\n..\r\nFrom here\r\n>From there\r\n"),
		"trailing blanks":   []byte("Subject: x  \r\n\t\r\n \r\n\r\n\r\n\r\n"),
		"mbox separator":    []byte("From sender@example.org Tue Jan  2 03:04:05 2024\r\nSubject: x\r\n\r\n"),
		"300 kB":            big,
		"a line of 100 kB":  bytes.Repeat([]byte("y"), 100_000),
		"end of file marks": []byte("Subject: x\r\n\r\n\x1a\x04\r\n"),
	}
}

func checkAppendBytes(e *env) {
	box := e.inbox().ID
	for name, body := range awkwardBodies() {
		m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
		if m.Size != int64(len(body)) {
			e.Errorf("%s: size %d, want %d", name, m.Size, len(body))
		}
		if got := e.read(m.EmailID); !bytes.Equal(got, body) {
			e.Errorf("%s: got %d octets that differ, want %d", name, len(got), len(body))
		}
	}
}

func checkAppendUnknown(e *env) {
	s := e.stage(e.letter())
	e.takesNone("Append to nowhere", func() {
		_, err := e.caps.Append.Append(e.ctx, "no-such-id", []mailaccess.NewMessage{{Staged: s}})
		e.wantKind("Append to nowhere", err, mailaccess.KindNotFound)
	})
	// The upload is still good.
	if _, err := e.caps.Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s}}); err != nil {
		e.Errorf("Append of the same upload to INBOX: %v", err)
	}
}

// One upload that cannot be appended stops all.
func checkAppendAllOrNone(e *env) {
	box := e.inbox().ID
	closed := e.stage(e.letter())
	closed.Close()
	before := e.snapshot(box)
	for at := range 3 {
		msgs := make([]mailaccess.NewMessage, 3)
		for i := range msgs {
			msgs[i].Staged = e.stage(e.letter())
		}
		msgs[at].Staged = closed
		e.takesNone("an append that failed", func() {
			res, err := e.caps.Append.Append(e.ctx, box, msgs)
			if err == nil {
				e.Errorf("Append of a closed upload worked: %+v", res)
			}
		})
		if now := e.snapshot(box); now.Status != before.Status || !now.UIDs.Equal(before.UIDs) {
			e.Errorf("an append that failed at %d left something: %+v, before %+v", at, now, before)
		}
	}
}

// Too big is refused at the latest by Append.
func checkAppendTooBig(e *env) {
	limit := e.caps.MaxMessageSize
	if limit > 64<<20 {
		limit = -1 // only what is announced can be tested
	}
	box := e.inbox().ID
	e.takesNone("a message that is too big", func() {
		s, err := e.caps.Append.Stage(e.ctx, e.caps.MaxMessageSize+1)
		if err != nil {
			e.wantKind("Stage", err, mailaccess.KindTooBig)
		} else {
			s.Close()
		}
		if limit < 0 {
			return
		}
		// It need not have been announced.
		if s, err = e.caps.Append.Stage(e.ctx, -1); err != nil {
			e.Fatalf("Stage: %v", err)
		}
		defer s.Close()
		chunk := bytes.Repeat([]byte("x"), 1<<16)
		for left := limit + 1; left > 0 && err == nil; {
			var n int
			n, err = s.Write(chunk[:min(left, int64(len(chunk)))])
			left -= int64(n)
		}
		if err == nil {
			_, err = e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s}})
		}
		e.wantKind("the message", err, mailaccess.KindTooBig)
	})
}

func checkAppendSeen(e *env) {
	box := e.inbox().ID
	other := e.openAgain()
	m := e.fill(box, 1)[0]
	got, err := collect(other.Messages(e.ctx, box, everyUID()))
	if err != nil || len(got) != 1 || !sameMessage(got[0], m) {
		e.Errorf("another session sees %+v, %v; want %+v", got, err, m)
	}
	if s, err := other.Status(e.ctx, box); err != nil || s != e.status(box) {
		e.Errorf("another session has status %+v, %v; want %+v", s, err, e.status(box))
	}
}
