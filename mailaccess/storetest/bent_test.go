package storetest

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// recorder is a testing.TB that remembers what it is told.
type recorder struct {
	testing.TB

	mu       sync.Mutex
	failures []string
	skipped  string
	cleanups []func()
}

func (r *recorder) Helper()                      {}
func (r *recorder) Log(...any)                   {}
func (r *recorder) Logf(string, ...any)          {}
func (r *recorder) Error(args ...any)            { r.fail(fmt.Sprint(args...)) }
func (r *recorder) Fail()                        { r.fail("") }
func (r *recorder) FailNow()                     { r.fail(""); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)            { r.fail(fmt.Sprint(args...)); runtime.Goexit() }
func (r *recorder) Skip(args ...any)             { r.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (r *recorder) Errorf(f string, args ...any) { r.fail(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatalf(f string, args ...any) { r.fail(fmt.Sprintf(f, args...)); runtime.Goexit() }
func (r *recorder) Skipf(f string, args ...any)  { r.Skip(fmt.Sprintf(f, args...)) }

func (r *recorder) Skipped() bool { return r.skipped != "" }
func (r *recorder) SkipNow()      { runtime.Goexit() }

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

// lastCleanup takes the cleanup that is due next, nil when none is left.
func (r *recorder) lastCleanup() (f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.cleanups); n > 0 {
		f, r.cleanups = r.cleanups[n-1], r.cleanups[:n-1]
	}
	return f
}

func (r *recorder) fail(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, why)
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

// record runs a check to its end and returns what it said.
func record(t testing.TB, c check, newStore func(testing.TB) Harness) *recorder {
	r := &recorder{TB: t}
	run := func(f func()) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	run(func() { c.test(r, newStore) })
	for f := r.lastCleanup(); f != nil; f = r.lastCleanup() {
		run(f)
	}
	return r
}

// find returns the check called group/name.
func find(t testing.TB, path string) check {
	group, name, _ := strings.Cut(path, "/")
	for _, g := range suite() {
		for _, c := range g.checks {
			if g.name == group && c.name == name {
				return c
			}
		}
	}
	t.Fatalf("there is no check %s", path)
	return check{}
}

// bent is a store that breaks the contract in one place.
type bent struct {
	mailaccess.Store
	watch func(inner mailaccess.Store, ctx context.Context, ring func(mailaccess.Ring)) (func(), error)
	open  func(inner mailaccess.Store, who mailaccess.Identity) mailaccess.Identity
	// account bends each account that is opened.
	account func(a *bentAccount)
}

func (s bent) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	if s.open != nil {
		who = s.open(s.Store, who)
	}
	a, err := s.Store.Open(ctx, account, who)
	if err != nil || s.account == nil {
		return a, err
	}
	b := &bentAccount{Account: a, caps: a.Capabilities()}
	s.account(b)
	return b, nil
}

func (s bent) Watch(ctx context.Context, ring func(mailaccess.Ring)) (func(), error) {
	if s.watch != nil {
		return s.watch(s.Store, ctx, ring)
	}
	return s.Store.Watch(ctx, ring)
}

// bentAccount is an account of it; each function that is set changes an answer.
type bentAccount struct {
	mailaccess.Account
	caps      mailaccess.Capabilities
	boxes     func([]mailaccess.Mailbox) []mailaccess.Mailbox
	lookup    func(name string) string
	status    func(*mailaccess.Status)
	snapshot  func(*mailaccess.Snapshot)
	messages  func(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error]
	message   func(*mailaccess.Message)
	since     func(mailaccess.ModSeq) mailaccess.ModSeq
	changes   func(*mailaccess.MailboxChanges)
	all       func(*mailaccess.AccountChanges)
	allSince  func(mailaccess.State) mailaccess.State
	content   func(mailaccess.Content) mailaccess.Content
	contentOf func(id mailaccess.EmailID) error
}

func (a *bentAccount) Capabilities() mailaccess.Capabilities { return a.caps }

func (a *bentAccount) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	if a.boxes == nil {
		return a.Account.Mailboxes(ctx)
	}
	all, err := collect(a.Account.Mailboxes(ctx))
	return listed(a.boxes(all), err)
}

// listed yields what is in all, and then err.
func listed[T any](all []T, err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
		if err != nil {
			var zero T
			yield(zero, err)
		}
	}
}

func (a *bentAccount) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	if a.lookup != nil {
		name = a.lookup(name)
	}
	return a.Account.Lookup(ctx, name)
}

func (a *bentAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	s, err := a.Account.Status(ctx, box)
	if err == nil && a.status != nil {
		a.status(&s)
	}
	return s, err
}

func (a *bentAccount) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	s, err := a.Account.Snapshot(ctx, box)
	if err == nil && a.status != nil {
		a.status(&s.Status)
	}
	if err == nil && a.snapshot != nil {
		a.snapshot(&s)
	}
	return s, err
}

func (a *bentAccount) Messages(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	if a.messages != nil {
		return a.messages(ctx, box, uids)
	}
	if a.message == nil {
		return a.Account.Messages(ctx, box, uids)
	}
	return func(yield func(mailaccess.Message, error) bool) {
		for m, err := range a.Account.Messages(ctx, box, uids) {
			if a.message(&m); !yield(m, err) {
				return
			}
		}
	}
}

func (a *bentAccount) MailboxChanges(ctx context.Context, box mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	if a.since != nil {
		since = a.since(since)
	}
	c, err := a.Account.MailboxChanges(ctx, box, since)
	if err == nil && a.changes != nil {
		a.changes(&c)
	}
	return c, err
}

func (a *bentAccount) State(ctx context.Context) (mailaccess.State, error) {
	c, err := a.Changes(ctx, mailaccess.State{})
	return c.UpTo, err
}

func (a *bentAccount) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	if a.allSince != nil {
		since = a.allSince(since)
	}
	c, err := a.Account.Changes(ctx, since)
	if err == nil && a.all != nil {
		a.all(&c)
	}
	return c, err
}

func (a *bentAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	if a.contentOf != nil {
		if err := a.contentOf(id); err != nil {
			return nil, err
		}
	}
	c, err := a.Account.Content(ctx, id)
	if err == nil && a.content != nil {
		c = a.content(c)
	}
	return c, err
}

// One-method capabilities as functions.
type (
	appendFunc  func(context.Context, mailaccess.MailboxID, []mailaccess.NewMessage) (mailaccess.Appended, error)
	flagsFunc   func(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.FlagChange, mailaccess.ModSeq) (mailaccess.FlagResult, error)
	expungeFunc func(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.SystemFlags) ([]mailaccess.Commit, error)
	copyFunc    func(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.MailboxID) (mailaccess.Copied, error)
	replaceFunc func(context.Context, mailaccess.MailboxID, mailaccess.UID, mailaccess.MailboxID, mailaccess.NewMessage) (mailaccess.Appended, error)
	searchFunc  func(context.Context, mailaccess.MailboxID, mailaccess.Expr) (mailaccess.Found, error)
	leaseFunc   func(context.Context, string, time.Duration) (mailaccess.Lease, error)
	locateFunc  func(context.Context, []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error]
)

func (f flagsFunc) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange, since mailaccess.ModSeq) (mailaccess.FlagResult, error) {
	return f(ctx, box, uids, c, since)
}

func (f expungeFunc) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	return f(ctx, box, uids, need)
}

func (f copyFunc) Copy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	return f(ctx, src, uids, dst)
}

func (f copyFunc) Move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	return f(ctx, src, uids, dst)
}

func (f replaceFunc) Replace(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m mailaccess.NewMessage) (mailaccess.Appended, error) {
	return f(ctx, src, uid, dst, m)
}

func (f searchFunc) Search(ctx context.Context, box mailaccess.MailboxID, x mailaccess.Expr) (mailaccess.Found, error) {
	return f(ctx, box, x)
}

func (f leaseFunc) Lease(ctx context.Context, name string, ttl time.Duration) (mailaccess.Lease, error) {
	return f(ctx, name, ttl)
}

func (f locateFunc) Locate(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	return f(ctx, ids)
}

// bentAppender appends, or stages, in another way.
type bentAppender struct {
	mailaccess.Appender
	append appendFunc
}

func (b bentAppender) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	if b.append == nil {
		return b.Appender.Append(ctx, box, msgs)
	}
	return b.append(ctx, box, msgs)
}

// bentMailboxes changes mailboxes in another way.
type bentMailboxes struct {
	mailaccess.MailboxManager
	create func(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error)
	rename func(ctx context.Context, box mailaccess.MailboxID, name string) error
	remove func(ctx context.Context, box mailaccess.MailboxID) error
}

func (b bentMailboxes) CreateMailbox(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	if b.create == nil {
		return b.MailboxManager.CreateMailbox(ctx, name, use)
	}
	return b.create(ctx, name, use)
}

func (b bentMailboxes) RenameMailbox(ctx context.Context, box mailaccess.MailboxID, name string) error {
	if b.rename == nil {
		return b.MailboxManager.RenameMailbox(ctx, box, name)
	}
	return b.rename(ctx, box, name)
}

func (b bentMailboxes) DeleteMailbox(ctx context.Context, box mailaccess.MailboxID) error {
	if b.remove == nil {
		return b.MailboxManager.DeleteMailbox(ctx, box)
	}
	return b.remove(ctx, box)
}

// harnessOf is the memory store, bent.
func harnessOf(t testing.TB, bend func(*bent)) Harness {
	s := memory.New(&memory.Options{RetainExpunged: true})
	b := &bent{Store: s}
	if bend != nil {
		bend(b)
	}
	return Harness{
		Store: b, Account: "user@example.org", Patience: time.Second / 4,
		LowerFloor: func(account string, box mailaccess.MailboxID) { s.DropHistory(account, box) },
	}
}
