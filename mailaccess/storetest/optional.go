package storetest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func derivedChecks() []check {
	return []check{
		{"WhatComesBackIsRight", "Messages Derived", checkDerived},
		{"Kinds", "Messages Derived", checkDerivedKinds},
		{"TooLong", "Messages Derived", checkDerivedLong},
		{"TakesNoNumber", "Messages Derived", checkDerivedNumber},
	}
}

func leaseChecks() []check {
	return []check{
		{"Exclusive", "Lease", checkLease},
		{"Names", "Lease", checkLeaseNames},
		{"RunsOut", "Lease", checkLeaseRunsOut},
		{"OneWins", "Lease", checkLeaseRace},
	}
}

func recentChecks() []check {
	return []check{
		{"Claim", "Messages Recent", checkRecent},
		{"ClaimedOnce", "Messages Recent", checkRecentRace},
	}
}

func locateChecks() []check {
	return []check{
		{"EveryPlace", "Messages Locate", checkLocate},
		{"AfterMove", "Messages Locate Move Mailboxes", checkLocateMoved},
	}
}

func uniqueIDChecks() []check {
	return []check{{"OfMessages", "Messages UniqueIDs", checkUniqueIDs}}
}

func holdChecks() []check {
	return []check{
		{"WhileWorking", "Messages Hold", checkHold},
		{"Deleted", "Hold Mailboxes", checkHoldDeleted},
	}
}

// derived returns what the cache has, each value copied while it is valid.
func (e *env) derived(kind mailaccess.DerivedKind, ids []mailaccess.EmailID) map[mailaccess.EmailID][]byte {
	e.Helper()
	got := map[mailaccess.EmailID][]byte{}
	for d, err := range e.caps.Derived.Derived(e.ctx, kind, ids) {
		if err != nil {
			e.Fatalf("Derived: %v", err)
		}
		if _, twice := got[d.ID]; twice {
			e.Errorf("Derived: %s twice", d.ID)
		}
		if !slices.Contains(ids, d.ID) {
			e.Errorf("Derived: %s was not asked for", d.ID)
		}
		got[d.ID] = bytes.Clone(d.Bytes)
	}
	return got
}

func (e *env) putDerived(kind mailaccess.DerivedKind, items ...mailaccess.Derived) {
	e.Helper()
	if err := e.caps.Derived.PutDerived(e.ctx, kind, items); err != nil {
		e.Fatalf("PutDerived: %v", err)
	}
}

func emailIDs(ms []mailaccess.Message) []mailaccess.EmailID {
	ids := make([]mailaccess.EmailID, len(ms))
	for i, m := range ms {
		ids[i] = m.EmailID
	}
	return ids
}

// The cache may lose anything; what it has is what was put last.
func checkDerived(e *env) {
	ids := emailIDs(e.fill(e.inbox().ID, 20))
	if got := e.derived("test/1", ids); len(got) != 0 {
		e.Errorf("Derived of nothing: %v", got)
	}
	want := map[mailaccess.EmailID][]byte{}
	for round := range 3 {
		var items []mailaccess.Derived
		for i, id := range ids[:15] {
			if i%(round+1) == 0 { // all, every second, every third
				want[id] = bytes.Repeat([]byte{byte(round), byte(i)}, 1+i*100)
				items = append(items, mailaccess.Derived{ID: id, Bytes: bytes.Clone(want[id])})
			}
		}
		e.putDerived("test/1", items...)
		for _, item := range items {
			clear(item.Bytes) // they are the caller's again
		}
		for id, got := range e.derived("test/1", ids) {
			if !bytes.Equal(got, want[id]) {
				e.Errorf("round %d: %d octets that are not the %d put last", round, len(got), len(want[id]))
			}
		}
	}
}

func checkDerivedKinds(e *env) {
	ids := emailIDs(e.fill(e.inbox().ID, 4))
	for _, kind := range []mailaccess.DerivedKind{"mime/1", "mime/2", "A-b_c/9"} {
		for _, id := range ids {
			e.putDerived(kind, mailaccess.Derived{ID: id, Bytes: []byte(string(kind) + string(id))})
		}
	}
	for _, kind := range []mailaccess.DerivedKind{"mime/1", "mime/2", "A-b_c/9"} {
		for id, b := range e.derived(kind, ids) {
			if string(b) != string(kind)+string(id) {
				e.Errorf("%s of %s is %q", kind, id, b)
			}
		}
	}
	if got := e.derived("other/1", ids); len(got) != 0 {
		e.Errorf("a kind that was never put has %v", got)
	}
	if got := e.derived("mime/1", nil); len(got) != 0 {
		e.Errorf("Derived of no ids: %v", got)
	}
}

// What is too long is dropped, and is no error.
func checkDerivedLong(e *env) {
	ids := emailIDs(e.fill(e.inbox().ID, 2))
	e.putDerived("test/1", mailaccess.Derived{ID: ids[0], Bytes: make([]byte, mailaccess.MaxDerived+1)}, mailaccess.Derived{ID: ids[1], Bytes: []byte("x")})
	if got := e.derived("test/1", ids); got[ids[0]] != nil {
		e.Errorf("%d octets were kept", len(got[ids[0]]))
	}
}

func checkDerivedNumber(e *env) {
	ids := emailIDs(e.fill(e.inbox().ID, 1))
	e.takesNone("PutDerived", func() { e.putDerived("test/1", mailaccess.Derived{ID: ids[0], Bytes: []byte("x")}) })
}

func (e *env) lease(a mailaccess.Account, name string, ttl time.Duration) (mailaccess.Lease, error) {
	l, err := a.Capabilities().Lease.Lease(e.ctx, name, ttl)
	if err == nil {
		e.Cleanup(func() { l.Release() })
	}
	return l, err
}

// One holds it, in whatever session, until it is given up.
func checkLease(e *env) {
	other := e.openAgain()
	for _, a := range []mailaccess.Account{e.acct, other} {
		l, err := e.lease(a, "maildrop", time.Hour)
		if err != nil {
			e.Fatalf("Lease: %v", err)
		}
		for _, b := range []mailaccess.Account{e.acct, other} {
			_, err := e.lease(b, "maildrop", time.Hour)
			e.wantKind("Lease of what is held", err, mailaccess.KindInUse)
		}
		if err := l.Refresh(e.ctx); err != nil {
			e.Errorf("Refresh: %v", err)
		}
		e.takesNone("a lease stops other leases and nothing else", func() { e.status(e.inbox().ID) })
		for range 2 {
			if err := l.Release(); err != nil {
				e.Errorf("Release: %v", err)
			}
		}
	}
	// Releasing once more does not release somebody else's.
	old, err := e.lease(e.acct, "maildrop", time.Hour)
	if err != nil {
		e.Fatalf("Lease: %v", err)
	}
	old.Release()
	if _, err := e.lease(other, "maildrop", time.Hour); err != nil {
		e.Fatalf("Lease: %v", err)
	}
	old.Release()
	_, err = e.lease(e.acct, "maildrop", time.Hour)
	e.wantKind("Lease after a stale release", err, mailaccess.KindInUse)
}

func checkLeaseNames(e *env) {
	for _, name := range []string{"maildrop", "other", "Maildrop"} {
		if _, err := e.lease(e.acct, name, time.Hour); err != nil {
			e.Errorf("Lease(%q): %v", name, err)
		}
	}
}

// A lease that is not refreshed ends by itself, and its holder is told.
func checkLeaseRunsOut(e *env) {
	l, err := e.lease(e.acct, "maildrop", time.Nanosecond)
	if err != nil {
		e.Fatalf("Lease: %v", err)
	}
	other := e.openAgain()
	var next mailaccess.Lease
	e.eventually("a lease that ran out", func() bool {
		var err error
		if next, err = e.lease(other, "maildrop", time.Hour); err != nil {
			e.wantKind("Lease", err, mailaccess.KindInUse)
		}
		return err == nil
	})
	e.wantKind("Refresh of a lease that ran out", l.Refresh(e.ctx), mailaccess.KindNotFound)
	if err := l.Release(); err != nil {
		e.Errorf("Release of a lease that ran out: %v", err)
	}
	if err := next.Refresh(e.ctx); err != nil {
		e.Errorf("Refresh by the new holder: %v", err)
	}
}

func checkLeaseRace(e *env) {
	var mu sync.Mutex
	won := 0
	e.parallel(8, func(int) error {
		_, err := e.lease(e.acct, "maildrop", time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			won++
			return nil
		}
		e.wantKind("Lease", err, mailaccess.KindInUse)
		return nil
	})
	if won != 1 {
		e.Errorf("%d hold the lease", won)
	}
}

func (e *env) claim(box mailaccess.MailboxID) mailaccess.UID {
	e.Helper()
	u, err := e.caps.Recent.ClaimRecent(e.ctx, box)
	if err != nil {
		e.Fatalf("ClaimRecent: %v", err)
	}
	return u
}

func (e *env) recent(box mailaccess.MailboxID) mailaccess.UID {
	e.Helper()
	u, err := e.caps.Recent.Recent(e.ctx, box)
	if err != nil {
		e.Fatalf("Recent: %v", err)
	}
	return u
}

func checkRecent(e *env) {
	box := e.inbox().ID
	e.claim(box)
	first := e.fill(box, 3)[0].UID
	e.takesNone("claiming", func() {
		for range 2 {
			if got := e.recent(box); got > first {
				e.Errorf("Recent is %d, UID %d was told to nobody", got, first)
			}
		}
		if got := e.claim(box); got > first {
			e.Errorf("ClaimRecent returned %d, UID %d was told to nobody", got, first)
		}
		next := e.status(box).UIDNext
		if got := e.recent(box); got != next {
			e.Errorf("Recent after the claim is %d, UIDNEXT %d", got, next)
		}
		if got := e.claim(box); got != next {
			e.Errorf("ClaimRecent after the claim returned %d, UIDNEXT is %d", got, next)
		}
	})
	_, err := e.caps.Recent.Recent(e.ctx, "no-such-id")
	e.wantKind("Recent", err, mailaccess.KindNotFound)
	_, err = e.caps.Recent.ClaimRecent(e.ctx, "no-such-id")
	e.wantKind("ClaimRecent", err, mailaccess.KindNotFound)
}

// Of several sessions that claim, one gets each message: all but one are
// returned UIDNEXT.
func checkRecentRace(e *env) {
	box := e.inbox().ID
	e.claim(box)
	first := e.fill(box, 1)[0].UID
	var mu sync.Mutex
	won := 0
	e.parallel(8, func(int) error {
		u, err := e.caps.Recent.ClaimRecent(e.ctx, box)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && u <= first {
			won++
		}
		return err
	})
	if won != 1 {
		e.Errorf("UID %d was recent for %d sessions", first, won)
	}
}

func (e *env) locate(ids ...mailaccess.EmailID) []mailaccess.Location {
	e.Helper()
	all, err := collect(e.caps.Locate.Locate(e.ctx, ids))
	if err != nil {
		e.Fatalf("Locate: %v", err)
	}
	return all
}

// located checks that the places of ids are exactly those that listings show.
func (e *env) located(ids ...mailaccess.EmailID) {
	e.Helper()
	var want []mailaccess.Location
	for _, mb := range e.mailboxes() {
		for _, m := range e.list(mb.ID) {
			if slices.Contains(ids, m.EmailID) {
				want = append(want, mailaccess.Location{ID: m.EmailID, Mailbox: mb.ID, UID: m.UID})
			}
		}
	}
	got := e.locate(ids...)
	for _, l := range want {
		if !slices.Contains(got, l) {
			e.Errorf("Locate left out %+v", l)
		}
	}
	if len(got) != len(want) {
		e.Errorf("Locate: %+v, want %+v", got, want)
	}
}

// checkUniqueIDs asks for all and for some, of messages that are there and that are not.
func checkUniqueIDs(e *env) {
	box := e.inbox().ID
	e.fill(box, 3)
	all := e.uniqueIDs(box, mailaccess.UIDSet{}.WithRange(1, 1<<32-1))
	known := make(map[mailaccess.UID]bool)
	for _, m := range e.list(box) {
		known[m.UID] = true
	}
	seen := make(map[string]bool)
	for i, id := range all {
		switch {
		case !known[id.UID]:
			e.Errorf("there is a unique-id of message %d, which is not there", id.UID)
		case i > 0 && id.UID <= all[i-1].UID:
			e.Errorf("message %d follows %d", id.UID, all[i-1].UID)
		case seen[id.ID]:
			e.Errorf("two messages have the unique-id %q", id.ID)
		case len(id.ID) == 0 || len(id.ID) > 70 || strings.ContainsFunc(id.ID, func(r rune) bool { return r < 0x21 || r > 0x7e }):
			e.Errorf("%q is no unique-id", id.ID)
		}
		seen[id.ID] = true
		if got := e.uniqueIDs(box, mailaccess.UIDSetOf(id.UID)); len(got) != 1 || got[0] != id {
			e.Errorf("asked for message %d alone: %+v, want %+v", id.UID, got, id)
		}
	}
	if got := e.uniqueIDs(box, mailaccess.UIDSet{}); len(got) != 0 {
		e.Errorf("of no messages: %+v", got)
	}
	if _, err := collect(e.caps.UniqueIDs.UniqueIDs(e.ctx, "nosuch", mailaccess.UIDSetOf(1))); !errors.Is(err, mailaccess.KindNotFound) {
		e.Errorf("of a mailbox that is not there: %v, want KindNotFound", err)
	}
}

func (e *env) uniqueIDs(box mailaccess.MailboxID, uids mailaccess.UIDSet) []mailaccess.UniqueID {
	e.Helper()
	ids, err := collect(e.caps.UniqueIDs.UniqueIDs(e.ctx, box, uids))
	if err != nil {
		e.Fatalf("UniqueIDs: %v", err)
	}
	return ids
}

func checkLocate(e *env) {
	box := e.inbox().ID
	ms := e.fill(box, 4)
	ids := emailIDs(ms)
	e.located(ids...)
	if e.caps.Copy != nil {
		if _, err := e.caps.Copy.Copy(e.ctx, box, mailaccess.UIDSetOf(ms[0].UID), box); err != nil {
			e.Fatalf("Copy: %v", err)
		}
		e.located(ids[0])
	}
	if e.caps.Expunge != nil {
		e.expunge(box, ms[0].UID, ms[1].UID)
		e.located(ids...)
	}
	if got := e.locate("no-such-id"); len(got) != 0 {
		e.Errorf("Locate of an unknown id: %+v", got)
	}
	if got := e.locate(); len(got) != 0 {
		e.Errorf("Locate of no ids: %+v", got)
	}
}

func checkLocateMoved(e *env) {
	src, dst := e.inbox().ID, e.create("Papers").ID
	m := e.fill(src, 1)[0]
	if _, err := e.move(src, mailaccess.UIDSetOf(m.UID), dst); err != nil {
		e.Fatalf("Move: %v", err)
	}
	e.located(m.EmailID)
	e.remove(dst)
	if got := e.locate(m.EmailID); len(got) != 0 {
		e.Errorf("Locate finds %+v in a deleted mailbox", got)
	}
}

func checkHold(e *env) {
	box := e.inbox().ID
	var releases []func()
	e.takesNone("holding", func() {
		for range 3 {
			release, err := e.caps.Hold.Hold(e.ctx, box)
			if err != nil {
				e.Fatalf("Hold: %v", err)
			}
			releases = append(releases, release)
		}
	})
	for _, release := range releases {
		e.fill(box, 1)
		release()
	}
	e.fill(box, 1)
}

// Holding a mailbox does not keep it from being deleted.
func checkHoldDeleted(e *env) {
	m := e.create("Papers")
	release, err := e.caps.Hold.Hold(e.ctx, m.ID)
	if err != nil {
		e.Fatalf("Hold: %v", err)
	}
	e.remove(m.ID)
	e.notFound(m.ID)
	release()
}
