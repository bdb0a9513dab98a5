package storetest

import (
	"bytes"
	"io"
	"testing/iotest"

	"github.com/hashmail/mailaccess/mailaccess"
)

func stagedChecks() []check {
	return []check{
		{"Vanishes", "Append", checkStagedVanishes},
		{"Twice", "Append Mailboxes", checkStagedTwice},
		{"TwiceAtOnce", "Append AppendMany", checkStagedTwiceAtOnce},
		{"CloseAfterAppend", "Append", checkStagedClose},
		{"Content", "Append", checkStagedContent},
		{"WriteAfterContent", "Append", checkStagedWrite},
		{"Pieces", "Append", checkStagedPieces},
		{"HoldsNoLock", "Append", checkStagedNoLock},
	}
}

// What was staged and not appended leaves nothing.
func checkStagedVanishes(e *env) {
	before := e.status(e.inbox().ID)
	e.takesNone("an upload that was given up", func() {
		s := e.stage(e.letter())
		for range 2 {
			if err := s.Close(); err != nil {
				e.Errorf("Staged.Close: %v", err)
			}
		}
	})
	if now := e.status(e.inbox().ID); now != before {
		e.Errorf("status %+v, was %+v", now, before)
	}
}

// One upload may go to several mailboxes, one after another.
func checkStagedTwice(e *env) {
	body := e.letter()
	s := e.stage(body)
	var got []mailaccess.Message
	for _, box := range []mailaccess.MailboxID{e.inbox().ID, e.create("Papers").ID} {
		res, err := e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s, Received: someDay}})
		if err != nil {
			e.Fatalf("Append: %v", err)
		}
		got = append(got, res.Messages...)
	}
	if err := s.Close(); err != nil {
		e.Errorf("Staged.Close: %v", err)
	}
	for _, m := range got {
		e.contentIs(m.EmailID, body)
	}
	if got[0].EmailID != got[1].EmailID {
		e.Errorf("one upload is %s and %s", got[0].EmailID, got[1].EmailID)
	}
	if got[0].ModSeq >= got[1].ModSeq {
		e.Errorf("numbers %d and %d, want ascending", got[0].ModSeq, got[1].ModSeq)
	}
}

// One upload may stand in an append twice.
func checkStagedTwiceAtOnce(e *env) {
	body := e.letter()
	s := e.stage(body)
	var got []mailaccess.Message
	e.takesOne("Append", func() {
		res, err := e.caps.Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s}, {Staged: s}})
		if err != nil {
			e.Fatalf("Append: %v", err)
		}
		got = res.Messages
	})
	if len(got) != 2 || got[0].EmailID != got[1].EmailID || got[0].UID >= got[1].UID {
		e.Fatalf("Append returned %+v, want two messages of one content", got)
	}
	if err := s.Close(); err != nil {
		e.Errorf("Staged.Close: %v", err)
	}
	e.contentIs(got[0].EmailID, body)
	if n := len(e.list(e.inbox().ID)); n != 2 {
		e.Errorf("%d messages, want 2", n)
	}
}

// Close after an append takes nothing away.
func checkStagedClose(e *env) {
	body := e.letter()
	s := e.stage(body)
	res, err := e.caps.Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			e.Errorf("Staged.Close: %v", err)
		}
	}
	e.contentIs(res.Messages[0].EmailID, body)
}

func checkStagedContent(e *env) {
	body := e.letter()
	s := e.stage(body)
	c, err := s.Content()
	if err != nil {
		e.Fatalf("Staged.Content: %v", err)
	}
	if c.Size() != int64(len(body)) {
		e.Errorf("size %d, want %d", c.Size(), len(body))
	}
	if err := iotest.TestReader(io.NewSectionReader(c, 0, c.Size()), body); err != nil {
		e.Error(err)
	}
	if got, err := readAll(c); err != nil || !bytes.Equal(got, body) {
		e.Errorf("WriteRange: %q, %v; want %q", got, err, body)
	}
	res, err := e.caps.Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		e.Fatalf("Append after Content: %v", err)
	}
	e.contentIs(res.Messages[0].EmailID, body)
	if err := c.Close(); err != nil {
		e.Errorf("Content.Close: %v", err)
	}
}

func checkStagedWrite(e *env) {
	body := e.letter()
	s := e.stage(body)
	c, err := s.Content()
	if err != nil {
		e.Fatalf("Staged.Content: %v", err)
	}
	defer c.Close()
	_, err = s.Write([]byte("more"))
	e.wantKind("Write after Content", err, mailaccess.KindInvalid)
	if s.Size() != int64(len(body)) {
		e.Errorf("size %d, want %d", s.Size(), len(body))
	}
}

// The length announced is a hint: none, and octets one by one, do as well.
func checkStagedPieces(e *env) {
	body := e.letter()
	s, err := e.caps.Append.Stage(e.ctx, -1)
	if err != nil {
		e.Fatalf("Stage: %v", err)
	}
	defer s.Close()
	one := make([]byte, 1)
	for _, one[0] = range body {
		if n, err := s.Write(one); n != 1 || err != nil {
			e.Fatalf("Write: %d, %v", n, err)
		}
	}
	one[0] = '!' // the buffer is the caller's again
	res, err := e.caps.Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	e.contentIs(res.Messages[0].EmailID, body)
}

// While an upload lasts, others work, in other uploads too.
func checkStagedNoLock(e *env) {
	box := e.inbox().ID
	body := e.letter()
	s := e.stage(body[:10])
	e.within("an append beside an upload", func() {
		other := e.openAgain()
		ms, err := collect(other.Messages(e.ctx, box, everyUID()))
		if err != nil || len(ms) != 0 {
			e.Errorf("Messages: %d, %v", len(ms), err)
		}
		t, err := other.Capabilities().Append.Stage(e.ctx, -1)
		if err != nil {
			e.Errorf("Stage: %v", err)
			return
		}
		defer t.Close()
		if _, err := t.Write(body); err != nil {
			e.Errorf("Write: %v", err)
		}
		if _, err := other.Capabilities().Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: t}}); err != nil {
			e.Errorf("Append: %v", err)
		}
	})
	if _, err := s.Write(body[10:]); err != nil {
		e.Fatalf("Write: %v", err)
	}
	res, err := e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	e.contentIs(res.Messages[0].EmailID, body)
}
