package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// letter makes up a message that nobody has sent before.
func (e *env) letter() []byte {
	e.serial++
	return letter(e.serial)
}

func letter(n int) []byte {
	return fmt.Appendf(nil, "From: sender@example.org\r\nTo: user@example.org\r\n"+
		"Subject: letter %d\r\nMessage-ID: <letter.%d@example.org>\r\n"+
		"Date: Tue, 02 Jan 2024 03:04:05 +0000\r\n\r\nThis is letter %d.\r\n%s", n, n, n,
		strings.Repeat("All is well.\r\n", n%7))
}

// inbox returns the mailbox that is always there.
func (e *env) inbox() mailaccess.Mailbox {
	e.Helper()
	m, err := e.acct.Lookup(e.ctx, mailaccess.Inbox)
	if err != nil {
		e.Fatalf("Lookup(INBOX): %v", err)
	}
	return m
}

// create makes a mailbox; the check is skipped when the store cannot.
func (e *env) create(name string) mailaccess.Mailbox {
	e.Helper()
	e.need("Mailboxes")
	m, err := e.caps.Mailboxes.CreateMailbox(e.ctx, name, 0)
	e.supported("CreateMailbox", err)
	if err != nil {
		e.Fatalf("CreateMailbox(%q): %v", name, err)
	}
	return m
}

// rename renames a mailbox; the check is skipped when the store cannot.
func (e *env) rename(box mailaccess.MailboxID, name string) {
	e.Helper()
	err := e.caps.Mailboxes.RenameMailbox(e.ctx, box, name)
	e.supported("RenameMailbox", err)
	if err != nil {
		e.Fatalf("RenameMailbox(%q): %v", name, err)
	}
}

// remove deletes a mailbox; the check is skipped when the store cannot.
func (e *env) remove(box mailaccess.MailboxID) {
	e.Helper()
	err := e.caps.Mailboxes.DeleteMailbox(e.ctx, box)
	e.supported("DeleteMailbox", err)
	if err != nil {
		e.Fatalf("DeleteMailbox(%s): %v", box, err)
	}
}

// supported skips the check when err says that the store can do only some of
// what the interface has.
func (e *env) supported(op string, err error) {
	e.Helper()
	if mailaccess.KindOf(err) == mailaccess.KindUnsupported && err != nil {
		e.Skipf("needs %s", op)
	}
}

// stage uploads content.
func (e *env) stage(content []byte) mailaccess.Staged {
	e.Helper()
	s, err := e.caps.Append.Stage(e.ctx, int64(len(content)))
	if err != nil {
		e.Fatalf("Stage: %v", err)
	}
	e.Cleanup(func() { s.Close() })
	if n, err := s.Write(content); n != len(content) || err != nil {
		e.Fatalf("Staged.Write of %d octets: %d, %v", len(content), n, err)
	}
	return s
}

// appendNew stages content and appends it to box, or has it delivered.
func (e *env) appendNew(box mailaccess.MailboxID, content []byte, flags mailaccess.Flags, received time.Time) mailaccess.Message {
	e.Helper()
	if e.caps.Append == nil {
		uid, err := e.h.Deliver(e.ctx, box, content, flags, received)
		if err != nil {
			e.Fatalf("Deliver: %v", err)
		}
		return e.message(box, uid)
	}
	s := e.stage(content)
	res, err := e.caps.Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s, Flags: flags, Received: received}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	if len(res.Messages) != 1 {
		e.Fatalf("Append of one message returned %d", len(res.Messages))
	}
	if err := s.Close(); err != nil {
		e.Fatalf("Staged.Close after Append: %v", err)
	}
	return res.Messages[0]
}

// fill appends n letters without flags, one after another.
func (e *env) fill(box mailaccess.MailboxID, n int) []mailaccess.Message {
	e.Helper()
	ms := make([]mailaccess.Message, 0, n)
	for range n {
		ms = append(ms, e.appendNew(box, e.letter(), mailaccess.Flags{}, time.Time{}))
	}
	return ms
}

func (e *env) status(box mailaccess.MailboxID) mailaccess.Status {
	e.Helper()
	s, err := e.acct.Status(e.ctx, box)
	if err != nil {
		e.Fatalf("Status(%s): %v", box, err)
	}
	return s
}

func (e *env) snapshot(box mailaccess.MailboxID) mailaccess.Snapshot {
	e.Helper()
	s, err := e.acct.Snapshot(e.ctx, box)
	if err != nil {
		e.Fatalf("Snapshot(%s): %v", box, err)
	}
	return s
}

// list returns all messages of box.
func (e *env) list(box mailaccess.MailboxID) []mailaccess.Message {
	e.Helper()
	return e.listOf(box, everyUID())
}

func (e *env) listOf(box mailaccess.MailboxID, uids mailaccess.UIDSet) []mailaccess.Message {
	e.Helper()
	ms, err := collect(e.acct.Messages(e.ctx, box, uids))
	if err != nil {
		e.Fatalf("Messages(%s, %s): %v", box, uids, err)
	}
	return ms
}

// message returns one message as it is now.
func (e *env) message(box mailaccess.MailboxID, uid mailaccess.UID) mailaccess.Message {
	e.Helper()
	ms := e.listOf(box, mailaccess.UIDSetOf(uid))
	if len(ms) != 1 {
		e.Fatalf("Messages(%s, %d) yielded %d messages", box, uid, len(ms))
	}
	return ms[0]
}

func (e *env) mailboxes() []mailaccess.Mailbox {
	e.Helper()
	ms, err := collect(e.acct.Mailboxes(e.ctx))
	if err != nil {
		e.Fatalf("Mailboxes: %v", err)
	}
	return ms
}

func (e *env) names() []string {
	e.Helper()
	var names []string
	for _, m := range e.mailboxes() {
		names = append(names, m.Name)
	}
	return names
}

// namesAre checks that there are the mailboxes that were there before, and more.
func (e *env) namesAre(before []string, more ...string) {
	e.Helper()
	want := slices.Sorted(slices.Values(slices.Concat(before, more)))
	if got := e.names(); !slices.Equal(got, want) {
		e.Errorf("Mailboxes: %q, want %q", got, want)
	}
}

// state returns the account's state as it is now.
func (e *env) state() mailaccess.State {
	e.Helper()
	s, err := e.acct.State(e.ctx)
	if err != nil {
		e.Fatalf("State: %v", err)
	}
	return s
}

// takesNone runs f, which must take no change number.
func (e *env) takesNone(what string, f func()) {
	e.Helper()
	before := e.state()
	f()
	if after := e.state(); after != before {
		e.Errorf("%s: the state went from %+v to %+v, want no new number", what, before, after)
	}
}

// takesOne runs f, which must be one transaction, and returns its number.
func (e *env) takesOne(what string, f func()) mailaccess.ModSeq {
	e.Helper()
	before := e.state()
	f()
	after := e.state()
	if after.Epoch != before.Epoch || after.ModSeq <= before.ModSeq {
		e.Fatalf("%s: the state went from %+v to %+v, want a new number", what, before, after)
	}
	return after.ModSeq
}

// read returns the whole content of a message.
func (e *env) read(id mailaccess.EmailID) []byte {
	e.Helper()
	b, err := readContent(e, id)
	if err != nil {
		e.Fatalf("Content(%s): %v", id, err)
	}
	return b
}

func readContent(e *env, id mailaccess.EmailID) ([]byte, error) {
	c, err := e.acct.Content(e.ctx, id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return readAll(c)
}

func readAll(c mailaccess.Content) ([]byte, error) {
	var buf bytes.Buffer
	n, err := c.WriteRange(&buf, 0, c.Size())
	if err == nil && n != c.Size() {
		err = fmt.Errorf("WriteRange of %d octets wrote %d without an error", c.Size(), n)
	}
	if err == nil && int64(buf.Len()) != n {
		err = fmt.Errorf("WriteRange returned %d, wrote %d octets", n, buf.Len())
	}
	return buf.Bytes(), err
}

// setFlags changes flags and expects it to work.
func (e *env) setFlags(box mailaccess.MailboxID, uids mailaccess.UIDSet, c mailaccess.FlagChange) mailaccess.FlagResult {
	e.Helper()
	res, err := e.caps.Flags.SetFlags(e.ctx, box, uids, c, mailaccess.AnyModSeq)
	if err != nil {
		e.Fatalf("SetFlags(%s): %v", uids, err)
	}
	return res
}

// expunge removes messages and expects it to work.
func (e *env) expunge(box mailaccess.MailboxID, uids ...mailaccess.UID) []mailaccess.Commit {
	e.Helper()
	commits, err := e.caps.Expunge.Expunge(e.ctx, box, mailaccess.UIDSetOf(uids...), 0)
	if err != nil {
		e.Fatalf("Expunge(%v): %v", uids, err)
	}
	return commits
}

// changed checks commits against the set that should have changed and returns
// the number that each UID got. Numbers must ascend and lie above before.
func (e *env) changed(what string, commits []mailaccess.Commit, want mailaccess.UIDSet, before mailaccess.ModSeq) map[mailaccess.UID]mailaccess.ModSeq {
	e.Helper()
	got := map[mailaccess.UID]mailaccess.ModSeq{}
	var all mailaccess.UIDSetBuilder
	for _, c := range commits {
		if c.ModSeq <= before {
			e.Errorf("%s: number %d is not above %d", what, c.ModSeq, before)
		}
		before = c.ModSeq
		if c.UIDs.IsEmpty() {
			e.Errorf("%s: number %d was taken for nothing", what, c.ModSeq)
		}
		for u := range c.UIDs.All() {
			if _, twice := got[u]; twice {
				e.Errorf("%s: UID %d is in two commits", what, u)
			}
			got[u] = c.ModSeq
			all.AddUID(u)
		}
	}
	if !all.Set().Equal(want) {
		e.Errorf("%s: commits name %q, want %q", what, all.Set(), want)
	}
	return got
}

// kept returns what the store keeps of flags.
func (e *env) kept(f mailaccess.Flags) mailaccess.Flags {
	f.System &= e.caps.SystemFlags
	if !e.caps.NewKeywords {
		f.Keywords = mailaccess.Keywords{}
	}
	return f
}

// wantKind fails the check unless err is of one of the kinds.
func (e *env) wantKind(what string, err error, kinds ...mailaccess.Kind) {
	e.Helper()
	if err == nil {
		e.Errorf("%s: no error, want %v", what, kinds)
		return
	}
	if !slices.Contains(kinds, mailaccess.KindOf(err)) {
		e.Errorf("%s: %v (kind %v), want %v", what, err, mailaccess.KindOf(err), kinds)
	}
}

// within runs f and fails the check when f does not come back: a store that
// holds a lock while it calls back.
func (e *env) within(what string, f func()) {
	e.Helper()
	done := make(chan struct{})
	returned := false
	go func() {
		defer close(done)
		f()
		returned = true
	}()
	if waitFor(done, e.h.Patience) {
		if !returned { // it gave up the check, which ended its goroutine only
			if e.Skipped() {
				e.SkipNow()
			}
			e.FailNow()
		}
		return
	}
	// Perhaps it does when the context ends; nothing may be closed under it.
	e.Cleanup(func() {
		e.cancel()
		waitFor(done, e.h.Patience)
	})
	e.Fatalf("%s: did not return", what)
}

// parallel runs f n times at once and reports every error.
func (e *env) parallel(n int, f func(i int) error) {
	e.Helper()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- f(i) }()
	}
	for range n {
		if err := <-errs; err != nil {
			e.Error(err)
		}
	}
}

// eventually asks until ok, and fails the check when that takes too long.
func (e *env) eventually(what string, ok func() bool) {
	e.Helper()
	if ok() {
		return
	}
	deadline := time.NewTimer(e.h.Patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if ok() {
				return
			}
		case <-deadline.C:
			e.Fatalf("%s: did not happen", what)
		}
	}
}

// collect ranges over a listing to its end. An error must come last.
func collect[T any](seq iter.Seq2[T, error]) ([]T, error) {
	var all []T
	var failed error
	for v, err := range seq {
		if failed != nil {
			return all, errors.Join(failed, errors.New("storetest: the listing went on after its error"))
		}
		if failed = err; err == nil {
			all = append(all, v)
		}
	}
	return all, failed
}

func everyUID() mailaccess.UIDSet { return mailaccess.UIDSetRange(1, 1<<32-1) }

func uidsOf(ms []mailaccess.Message) mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	for _, m := range ms {
		b.AddUID(m.UID)
	}
	return b.Set()
}

func keywords(words ...string) mailaccess.Keywords {
	k, err := mailaccess.NewKeywords(words...)
	if err != nil {
		panic(err) // a word written in this package is no keyword
	}
	return k
}

// add and remove are the two simple changes of flags.
func add(f mailaccess.SystemFlags, words ...string) mailaccess.FlagChange {
	return mailaccess.FlagChange{Add: mailaccess.Flags{System: f, Keywords: keywords(words...)}}
}

func remove(f mailaccess.SystemFlags, words ...string) mailaccess.FlagChange {
	return mailaccess.FlagChange{Remove: mailaccess.Flags{System: f, Keywords: keywords(words...)}}
}

// sameMessage compares what two descriptions of a message say, dates as
// instants.
func sameMessage(a, b mailaccess.Message) bool {
	if !a.Received.Equal(b.Received) || !a.Saved.Equal(b.Saved) {
		return false
	}
	a.Received, b.Received, a.Saved, b.Saved = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return a == b
}

// failingWriter takes some octets and then fails.
type failingWriter struct {
	left int
	got  int
	err  error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	w.got += n
	if n < len(p) {
		return n, w.err
	}
	return n, nil
}

var _ io.Writer = (*failingWriter)(nil)

// waitFor waits for c to be closed, but not for ever.
func waitFor(c <-chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}
