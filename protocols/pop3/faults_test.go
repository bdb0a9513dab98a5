package pop3_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// faults is a store in which one thing fails:
//
//	open     opening an account
//	expunge  removing messages, N of them having been removed
//	content  opening a content
//	range    writing a content, N octets of it having been written
//	short    nothing fails, but only N octets of a content are written
//	size     nothing fails, but contents are N octets longer than told
//	lease    refreshing a lease
type faults struct {
	mailaccess.Store
	noSavedDates bool

	mu   sync.Mutex
	what string
	kind mailaccess.Kind
	n    int
}

func (f *faults) set(what string, kind mailaccess.Kind, n int) error {
	switch what {
	case "", "open", "expunge", "content", "range", "short", "size", "lease":
	default:
		return fmt.Errorf("no fault %q", what)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.what, f.kind, f.n = what, kind, n
	return nil
}

// fails returns the error of what, if that is what fails.
func (f *faults) fails(what string) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.what != what {
		return 0, nil
	}
	return f.n, &mailaccess.Error{Kind: f.kind, Op: what}
}

func (f *faults) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	if _, err := f.fails("open"); err != nil {
		return nil, err
	}
	a, err := f.Store.Open(ctx, account, who)
	if err != nil {
		return nil, err
	}
	return &faultyAccount{a, f}, nil
}

type faultyAccount struct {
	mailaccess.Account
	f *faults
}

func (a *faultyAccount) Capabilities() mailaccess.Capabilities {
	inner := a.Account.Capabilities()
	caps := mailaccess.Capabilities{
		RetainsExpunged: inner.RetainsExpunged,
		SystemFlags:     inner.SystemFlags,
		SavedDates:      inner.SavedDates && !a.f.noSavedDates,
		Flags:           inner.Flags,
		UniqueIDs:       inner.UniqueIDs,
		Copy:            inner.Copy,
		Move:            inner.Move,
		Mailboxes:       inner.Mailboxes,
		Derived:         inner.Derived,
		Hold:            inner.Hold,
	}
	if inner.Lease != nil {
		caps.Lease = &faultyLeaser{inner.Lease, a.f}
	}
	if inner.Expunge != nil {
		caps.Expunge = &faultyExpunger{inner.Expunge, a.f}
	}
	return caps
}

func (a *faultyAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	if _, err := a.f.fails("content"); err != nil {
		return nil, err
	}
	c, err := a.Account.Content(ctx, id)
	if err != nil {
		return nil, err
	}
	return &faultyContent{c, a.f}, nil
}

type faultyExpunger struct {
	mailaccess.Expunger
	f *faults
}

func (x *faultyExpunger) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	n, fault := x.f.fails("expunge")
	if fault != nil {
		uids = firstOf(uids, n)
	}
	commits, err := x.Expunger.Expunge(ctx, box, uids, need)
	if err == nil {
		err = fault
	}
	return commits, err
}

func firstOf(uids mailaccess.UIDSet, n int) mailaccess.UIDSet {
	if n >= uids.Len() {
		return uids
	}
	return uids.Intersect(mailaccess.UIDSetRange(1, uids.Select(n+1)-1))
}

type faultyLeaser struct {
	mailaccess.Leaser
	f *faults
}

func (l *faultyLeaser) Lease(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
	held, err := l.Leaser.Lease(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return &faultyLease{held, l.f}, nil
}

type faultyLease struct {
	mailaccess.Lease
	f *faults
}

func (l *faultyLease) Refresh(ctx context.Context) error {
	if _, err := l.f.fails("lease"); err != nil {
		return err
	}
	return l.Lease.Refresh(ctx)
}

type faultyContent struct {
	mailaccess.Content
	f *faults
}

func (c *faultyContent) Size() int64 {
	n, _ := c.f.fails("size")
	return c.Content.Size() + int64(n)
}

func (c *faultyContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	limit, fault := c.f.fails("range")
	if fault == nil {
		if limit, short := c.f.fails("short"); short != nil {
			n = min(n, int64(limit))
		}
		return c.Content.WriteRange(w, off, n)
	}
	written, err := c.Content.WriteRange(w, off, min(n, int64(limit)))
	if err == nil {
		err = fault
	}
	return written, err
}
