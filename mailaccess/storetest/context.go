package storetest

import (
	"context"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

func contextChecks() []check {
	return []check{
		{"EndedBefore", "", checkContextReads},
		{"EndedBeforeListing", "Messages", checkContextListing},
		{"EndedDuringListing", "Messages", checkContextDuring},
		{"EndedBeforeChange", "Append", checkContextChanges},
		{"EndsLater", "Append", checkContextLater},
	}
}

func (e *env) ended() context.Context {
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	return ctx
}

// Reading with an ended context either works or is KindUnavailable.
func checkContextReads(e *env) {
	box := e.inbox().ID
	ctx := e.ended()
	ok := func(what string, err error) {
		e.Helper()
		if err != nil {
			e.wantKind(what, err, mailaccess.KindUnavailable)
		}
	}
	_, err := e.acct.Lookup(ctx, mailaccess.Inbox)
	ok("Lookup", err)
	_, err = e.acct.Status(ctx, box)
	ok("Status", err)
	_, err = e.acct.Snapshot(ctx, box)
	ok("Snapshot", err)
	_, err = e.acct.MailboxChanges(ctx, box, e.status(box).ModSeq)
	ok("MailboxChanges", err)
	_, err = e.acct.Changes(ctx, mailaccess.State{})
	ok("Changes", err)
	_, err = collect(e.acct.Mailboxes(ctx))
	ok("Mailboxes", err)
	a, err := e.store.Open(ctx, e.h.Account, e.h.Identity)
	ok("Open", err)
	if err == nil {
		a.Close()
	}
}

// A listing with an ended context yields the error, once, with a zero value, or
// all there is.
func checkContextListing(e *env) {
	box := e.inbox().ID
	all := len(e.fill(box, 5))
	e.endsEarly(e.ended(), box, all, func(int) {})
}

func checkContextDuring(e *env) {
	box, ms := e.long()
	for _, at := range []int{1, 2, len(ms) / 2, len(ms)} {
		ctx, cancel := context.WithCancel(e.ctx)
		e.endsEarly(ctx, box, len(ms), func(n int) {
			if n == at {
				cancel()
			}
		})
		cancel()
	}
}

// endsEarly lists box under a context that ends before or meanwhile.
func (e *env) endsEarly(ctx context.Context, box mailaccess.MailboxID, all int, inside func(n int)) {
	e.Helper()
	n, errs := 0, 0
	for m, err := range e.acct.Messages(ctx, box, everyUID()) {
		if errs > 0 {
			e.Error("the listing went on after its error")
			break
		}
		if err != nil {
			errs++
			e.wantKind("Messages", err, mailaccess.KindUnavailable)
			if m != (mailaccess.Message{}) {
				e.Errorf("an error came with %+v, want a zero value", m)
			}
			continue
		}
		n++
		inside(n)
	}
	if errs == 0 && n != all {
		e.Errorf("the listing ended after %d of %d messages without an error", n, all)
	}
}

// A change under an ended context happened and returns nil, or it did not.
func checkContextChanges(e *env) {
	box := e.inbox().ID
	m := e.fill(box, 1)[0]
	ctx := e.ended()
	try := func(what string, change func() error) {
		e.Helper()
		before := e.state()
		err := change()
		if err == nil {
			return
		}
		e.wantKind(what, err, mailaccess.KindUnavailable)
		if after := e.state(); after != before {
			e.Errorf("%s: failed with %v and took number %d", what, err, after.ModSeq)
		}
	}
	s := e.stage(e.letter())
	try("Append", func() error {
		_, err := e.caps.Append.Append(ctx, box, []mailaccess.NewMessage{{Staged: s}})
		return err
	})
	if c := e.caps.Flags; c != nil {
		try("SetFlags", func() error {
			_, err := c.SetFlags(ctx, box, mailaccess.UIDSetOf(m.UID), add(mailaccess.FlagFlagged), mailaccess.AnyModSeq)
			return err
		})
	}
	if c := e.caps.Copy; c != nil {
		try("Copy", func() error {
			_, err := c.Copy(ctx, box, mailaccess.UIDSetOf(m.UID), box)
			return err
		})
	}
	if c := e.caps.Expunge; c != nil {
		try("Expunge", func() error {
			_, err := c.Expunge(ctx, box, mailaccess.UIDSetOf(m.UID), 0)
			return err
		})
	}
	if c := e.caps.Mailboxes; c != nil {
		before := e.state()
		if _, err := c.CreateMailbox(ctx, "Papers", 0); err != nil {
			e.wantKind("CreateMailbox", err, mailaccess.KindUnavailable, mailaccess.KindUnsupported)
			if e.state() != before {
				e.Error("CreateMailbox failed and took a number")
			}
		}
	}
}

// What a call returned is not bound to the call's context, unless it is a
// listing: a watch, an upload, an account.
func checkContextLater(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	a, err := e.store.Open(ctx, e.h.Account, e.h.Identity)
	if err != nil {
		e.Fatalf("Open: %v", err)
	}
	defer a.Close()
	body := e.letter()
	s, err := a.Capabilities().Append.Stage(ctx, -1)
	if err != nil {
		e.Fatalf("Stage: %v", err)
	}
	defer s.Close()
	cancel()
	if _, err := s.Write(body); err != nil {
		e.Fatalf("Write after the context of Stage ended: %v", err)
	}
	res, err := a.Capabilities().Append.Append(e.ctx, e.inbox().ID, []mailaccess.NewMessage{{Staged: s, Received: time.Unix(1e9, 0)}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	e.contentIs(res.Messages[0].EmailID, body)
}
