package storetest

import (
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func savedChecks() []check {
	return []check{
		{"Arrival", "Messages SavedDates", checkSaved},
		{"Transfer", "Messages SavedDates Mailboxes", checkSavedAnew},
	}
}

// Whatever the internal date, the saved date is that of the arrival.
func checkSaved(e *env) {
	m := e.appendNew(e.inbox().ID, e.letter(), mailaccess.Flags{}, someDay)
	// The store's clock may be another one.
	if d := time.Since(m.Saved).Abs(); d > 24*time.Hour {
		e.Errorf("received %v, saved %v, want now", m.Received, m.Saved)
	}
	if e.caps.Flags == nil {
		return
	}
	if _, err := e.caps.Flags.SetFlags(e.ctx, e.inbox().ID, everyUID(), mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq); err != nil {
		e.Fatalf("SetFlags: %v", err)
	}
	if now := e.message(e.inbox().ID, m.UID); !now.Saved.Equal(m.Saved) {
		e.Errorf("a change of flags: saved %v, was %v", now.Saved, m.Saved)
	}
}

// A copy, and what was moved, is saved anew; the source of a copy stays as it is (RFC
// 8514, section 3).
func checkSavedAnew(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	copied, moved := e.fill(src, 1)[0], e.fill(src, 1)[0]
	// Dates are whole seconds: the clock has to show another one.
	time.Sleep(1100 * time.Millisecond)
	later := func(what string, from mailaccess.Message, dest mailaccess.UIDSet) {
		e.Helper()
		if to := e.message(dst, dest.Min()); !to.Saved.After(from.Saved) || !to.Received.Equal(from.Received) {
			e.Errorf("%s: saved %v, received %v; was saved %v, received %v", what, to.Saved, to.Received, from.Saved, from.Received)
		}
	}
	if e.caps.Copy != nil {
		res, err := e.caps.Copy.Copy(e.ctx, src, mailaccess.UIDSetOf(copied.UID), dst)
		if err != nil {
			e.Fatalf("Copy: %v", err)
		}
		later("a copy", copied, res.Dest)
		if now := e.message(src, copied.UID); !sameMessage(now, copied) {
			e.Errorf("the source of a copy is %+v, was %+v", now, copied)
		}
	}
	if e.caps.Move != nil {
		res, err := e.move(src, mailaccess.UIDSetOf(moved.UID), dst)
		if err != nil {
			e.Fatalf("Move: %v", err)
		}
		later("a move", moved, res.Dest)
	}
}
