package storetest

import (
	"bytes"
	"runtime"

	"github.com/hashmail/mailaccess/mailaccess"
)

func closeChecks() []check {
	return []check{
		{"Account", "Messages", checkAccountClose},
		{"Store", "", checkStoreClose},
		{"StoreWithContents", "Messages", checkStoreCloseContents},
		{"NoGoroutines", "Messages", checkNoGoroutines},
	}
}

// A closed account refuses; what it opened stays readable, what was staged in it
// can be appended by another session of it, and those notice nothing else.
func checkAccountClose(e *env) {
	body := e.letter()
	m := e.appendNew(e.inbox().ID, body, mailaccess.Flags{}, someDay)
	a := e.open(e.h.Identity)
	c, err := a.Content(e.ctx, m.EmailID)
	if err != nil {
		e.Fatalf("Content: %v", err)
	}
	caps := a.Capabilities()
	var staged mailaccess.Staged
	if caps.Append != nil {
		if staged, err = caps.Append.Stage(e.ctx, -1); err != nil {
			e.Fatalf("Stage: %v", err)
		}
		defer staged.Close()
	}
	for range 2 {
		if err := a.Close(); err != nil {
			e.Errorf("Account.Close: %v", err)
		}
	}
	if got, err := readAll(c); err != nil || !bytes.Equal(got, body) {
		e.Errorf("Content after Account.Close: %d octets, %v", len(got), err)
	}
	if err := c.Close(); err != nil {
		e.Errorf("Content.Close: %v", err)
	}
	_, err = a.Lookup(e.ctx, mailaccess.Inbox)
	e.wantKind("Lookup after Account.Close", err, mailaccess.KindUnavailable)
	_, err = collect(a.Mailboxes(e.ctx))
	e.wantKind("Mailboxes after Account.Close", err, mailaccess.KindUnavailable)
	_, err = a.Content(e.ctx, m.EmailID)
	e.wantKind("Content after Account.Close", err, mailaccess.KindUnavailable)
	if caps.Append != nil {
		if _, err := staged.Write(body); err != nil {
			e.Errorf("Staged.Write after Account.Close: %v", err)
		}
		msgs := []mailaccess.NewMessage{{Staged: staged}}
		_, err = caps.Append.Append(e.ctx, e.inbox().ID, msgs)
		e.wantKind("Append after Account.Close", err, mailaccess.KindUnavailable)
		if _, err := e.caps.Append.Append(e.ctx, e.inbox().ID, msgs); err != nil {
			e.Errorf("Append in another session: %v", err)
		}
	}
	e.contentIs(m.EmailID, body)
}

// After the store is closed everything is KindUnavailable.
func checkStoreClose(e *env) {
	box := e.inbox().ID
	e.closed = true
	if err := e.store.Close(); err != nil {
		e.Errorf("Store.Close: %v", err)
	}
	want := func(what string, err error) {
		e.Helper()
		e.wantKind(what+" after Store.Close", err, mailaccess.KindUnavailable)
	}
	_, err := e.acct.Lookup(e.ctx, mailaccess.Inbox)
	want("Lookup", err)
	_, err = e.acct.Status(e.ctx, box)
	want("Status", err)
	_, err = e.acct.Snapshot(e.ctx, box)
	want("Snapshot", err)
	_, err = e.acct.Changes(e.ctx, mailaccess.State{})
	want("Changes", err)
	_, err = e.acct.MailboxChanges(e.ctx, box, 0)
	want("MailboxChanges", err)
	_, err = collect(e.acct.Mailboxes(e.ctx))
	want("Mailboxes", err)
	_, err = collect(e.acct.Messages(e.ctx, box, everyUID()))
	want("Messages", err)
	_, err = e.store.Open(e.ctx, e.h.Account, e.h.Identity)
	want("Open", err)
	if c := e.caps.Mailboxes; c != nil {
		_, err := c.CreateMailbox(e.ctx, "Papers", 0)
		want("CreateMailbox", err)
	}
	if c := e.caps.Append; c != nil {
		s, err := c.Stage(e.ctx, -1)
		if err == nil {
			s.Write([]byte("x"))
			_, err = c.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s}})
			s.Close()
		}
		want("Append", err)
	}
	e.acct.Close() // does no harm
}

func checkStoreCloseContents(e *env) {
	c := e.opened(awkwardBodies()["300 kB"])
	e.close()
	_, err := readAll(c)
	e.wantKind("WriteRange after Store.Close", err, mailaccess.KindUnavailable)
	_, err = c.ReadAt(make([]byte, 10), 0)
	e.wantKind("ReadAt after Store.Close", err, mailaccess.KindUnavailable)
}

// When all is closed no goroutine is left that was not there before.
func checkNoGoroutines(e *env) {
	box := e.inbox().ID
	ids := goroutines()
	stop, err := e.store.Watch(e.ctx, func(mailaccess.Ring) {})
	a := e.open(e.h.Identity)
	for m, err := range a.Messages(e.ctx, box, uidsOf(e.fill(box, 20))) {
		if err != nil || m.UID > 0 {
			break
		}
	}
	if err == nil {
		stop()
	}
	if err := a.Close(); err != nil {
		e.Errorf("Account.Close: %v", err)
	}
	e.close()
	var left map[string]string
	e.eventually("the end of goroutines that were started", func() bool {
		left = goroutines()
		for id := range ids {
			delete(left, id)
		}
		return len(left) == 0
	})
}

// goroutines returns the stack of each goroutine under its first line's number.
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	all := map[string]string{}
	for g := range bytes.SplitSeq(buf, []byte("\n\n")) {
		head, rest, _ := bytes.Cut(g, []byte("["))
		all[string(head)] = string(rest)
	}
	return all
}
