package hooks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

func (f *fixture) sync(mailboxes ...string) {
	f.Helper()
	if err := f.store.Sync(f.Context(), user, mailboxes...); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) messages(acc mailaccess.Account, box mailaccess.MailboxID) []mailaccess.Message {
	f.Helper()
	var all []mailaccess.Message
	for m, err := range acc.Messages(f.Context(), box, mailaccess.UIDSetRange(1, 1<<32-1)) {
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func (f *fixture) read(acc mailaccess.Account, id mailaccess.EmailID) (string, error) {
	c, err := acc.Content(f.Context(), id)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return string(b), err
}

// changes returns the UIDs that changed and that vanished in INBOX after since.
func (f *fixture) changes(acc mailaccess.Account, box mailaccess.MailboxID, since mailaccess.ModSeq) (changed, vanished string) {
	f.Helper()
	c, err := acc.MailboxChanges(f.Context(), box, since)
	if err != nil {
		f.Fatal(err)
	}
	var live, gone mailaccess.UIDSetBuilder
	for m, err := range c.Messages {
		if err != nil {
			f.Fatal(err)
		}
		live.AddUID(m.UID)
	}
	for v, err := range c.Vanished {
		if err != nil {
			f.Fatal(err)
		}
		gone.AddUID(v.UID)
	}
	return live.Set().String(), gone.Set().String()
}

// What changed in the application is one transaction, and nothing is none.
func TestReconcile(t *testing.T) {
	for _, style := range []hookstest.Style{{}, {Whole: true}, {Versions: true}, {Versions: true, Changes: true, Revisions: true}} {
		t.Run(fmt.Sprintf("%+v", style), func(t *testing.T) {
			f := newFixture(t, style, nil, hooks.Options{})
			var keys []string
			for range 4 {
				keys = append(keys, f.put(mailaccess.Inbox, hookstest.Message{}))
			}
			acc := f.session()
			first := f.inbox(acc)
			if first.UIDs.String() != "1:4" || first.ModSeq != first.Created+1 {
				t.Fatalf("at first %+v", first)
			}
			f.sync()
			if now := f.inbox(acc); now.Status != first.Status {
				t.Errorf("nothing changed, and the status is %+v, was %+v", now.Status, first.Status)
			}

			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			must(f.app.Remove(user, mailaccess.Inbox, keys[1]))
			must(f.app.SetFlags(user, mailaccess.Inbox, keys[2], hooks.Seen, "$Forwarded"))
			f.put(mailaccess.Inbox, hookstest.Message{Flags: []string{hooks.Flagged}})
			f.sync()
			now := f.inbox(acc)
			if now.ModSeq != first.ModSeq+1 || now.UIDs.String() != "1,3:5" || now.Unseen != 3 || !now.Keywords.Has("$forwarded") {
				t.Errorf("then %+v", now)
			}
			if changed, vanished := f.changes(acc, now.ID, first.ModSeq); changed != "3,5" || vanished != "2" {
				t.Errorf("changed %s, vanished %s", changed, vanished)
			}
		})
	}
}

// An unchanged mailbox is not written again, and one with an unchanged version not
// even listed.
func TestUnchangedCostsNothing(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 1000
	}
	for _, versions := range []bool{false, true} {
		t.Run(fmt.Sprint("versions=", versions), func(t *testing.T) {
			app := manyItems(n)
			if versions {
				app.version = "1"
			}
			f := &fixture{TB: t, h: app.handlers(), opts: hooks.Options{SyncState: filepath.Join(t.TempDir(), "state")}}
			f.open(t)
			f.sync()
			writes, before := f.store.Writes(), app.listed.Load()
			for range 3 {
				f.sync()
			}
			if got := f.store.Writes() - writes; got != 0 {
				t.Errorf("%d transactions for nothing", got)
			}
			want := int64(3)
			if versions {
				want = 0
			}
			if got := app.listed.Load() - before; got != want {
				t.Errorf("listed %d times, want %d", got, want)
			}
			// What it allocates is for the calls, and not for the messages.
			if got := testing.AllocsPerRun(2, func() { f.sync() }); got > 500 {
				t.Errorf("%v allocations for nothing", got)
			}
			// The same after a restart.
			file := f.fileOf()
			f.restart()
			writes, before = f.store.Writes(), app.listed.Load()
			acc := f.session()
			if s := f.inbox(acc); s.Messages != n {
				t.Errorf("%d messages", s.Messages)
			}
			if got := f.store.Writes() - writes; got != 0 {
				t.Errorf("%d transactions after a restart", got)
			}
			if got := app.listed.Load() - before; got != want/3 {
				t.Errorf("listed %d times after a restart", got)
			}
			// Not an octet of the file was touched by all that.
			if err := acc.Close(); err != nil {
				t.Error(err)
			}
			if err := f.store.Close(); err != nil {
				t.Error(err)
			}
			if f.fileOf() != file {
				t.Error("the file is another one")
			}
		})
	}
}

// fileOf is what the state file has, as a checksum.
func (f *fixture) fileOf() [sha256.Size]byte {
	f.Helper()
	b, err := os.ReadFile(f.opts.SyncState)
	if err != nil {
		f.Fatal(err)
	}
	return sha256.Sum256(b)
}

// itemList is an application that has an INBOX and only reads.
type itemList struct {
	items   []hooks.Item
	version string
	listed  atomic.Int64
}

func manyItems(n int) *itemList {
	l := &itemList{items: make([]hooks.Item, n)}
	for i := range l.items {
		l.items[i] = hooks.Item{Key: fmt.Sprint("key", i), Received: someDay, Revision: "1", Size: 100}
		if i%2 == 0 {
			l.items[i].Flags = []string{hooks.Seen, "$Forwarded"}
		}
	}
	return l
}

func (l *itemList) handlers() hooks.Handlers {
	return hooks.Handlers{
		MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) {
			return []hooks.Box{{Name: mailaccess.Inbox, Version: l.version}}, nil
		},
		MailItems: func(context.Context, string, hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			l.listed.Add(1)
			return hooks.Items(l.items)
		},
	}
}

// fill puts n messages into INBOX.
func (f *fixture) fill(n int) {
	f.Helper()
	body := []byte("Subject: x\n\ntext\n")
	for range n {
		f.put(mailaccess.Inbox, hookstest.Message{Body: body, Received: someDay})
	}
}

var someDay = time.Date(2021, 3, 4, 5, 6, 7, 0, time.FixedZone("", 2*60*60))

// restart closes the store and opens it again, over the same file.
func (f *fixture) restart() {
	f.Helper()
	if err := f.store.Close(); err != nil {
		f.Fatal(err)
	}
	f.open(f)
}

// Other bytes under a key are another message, however that is found out.
func TestChangedBytes(t *testing.T) {
	const before, after = "Subject: before\n\ntext\n", "Subject: after\n\nother text\n"
	for name, test := range map[string]struct {
		style  hookstest.Style
		reduce func(*hooks.Handlers)
		reads  bool // only reading finds out
		second string
	}{
		"revision":     {style: hookstest.Style{Revisions: true}, second: after},
		"size":         {style: hookstest.Style{Sizes: true}, second: after},
		"bytes listed": {style: hookstest.Style{Whole: true}, second: after},
		"same size":    {style: hookstest.Style{Whole: true}, second: "Subject: BEFORE\n\ntext\n"},
		"read":         {reads: true, second: after},
		"read by MailItems": {reads: true, second: after, reduce: func(h *hooks.Handlers) {
			h.OpenMailItem = nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, test.style, test.reduce, hooks.Options{CacheBytes: -1})
			key := f.put(mailaccess.Inbox, hookstest.Message{Body: []byte(before), Flags: []string{hooks.Flagged}})
			acc := f.session()
			s := f.inbox(acc)
			old := f.messages(acc, s.ID)[0]
			if got, err := f.read(acc, old.EmailID); err != nil || got != crlf(before) {
				t.Fatalf("%q, %v", got, err)
			}
			if m := f.messages(acc, s.ID)[0]; m.Size != int64(len(crlf(before))) || m.ModSeq != old.ModSeq {
				t.Errorf("after reading %+v", m)
			}
			if err := f.app.SetBody(user, mailaccess.Inbox, key, []byte(test.second)); err != nil {
				t.Fatal(err)
			}
			f.sync()
			if test.reads {
				if now := f.inbox(acc); now.Status.ModSeq != s.ModSeq {
					t.Errorf("found out without reading: %+v", now)
				}
			}
			_, err := f.read(acc, old.EmailID)
			wantKind(t, "the old content", err, mailaccess.KindContentGone)
			now := f.messages(acc, s.ID)
			if len(now) != 1 || now[0].UID != 2 || now[0].EmailID == old.EmailID || now[0].Flags != old.Flags {
				t.Fatalf("now %+v, was %+v", now, old)
			}
			if changed, vanished := f.changes(acc, s.ID, s.ModSeq); changed != "2" || vanished != "1" {
				t.Errorf("changed %s, vanished %s", changed, vanished)
			}
			if got, err := f.read(acc, now[0].EmailID); err != nil || got != crlf(test.second) {
				t.Errorf("%q, %v", got, err)
			}
			f.sync()
			if again := f.inbox(acc); again.UIDNext != 3 {
				t.Errorf("changed once more: %+v", again)
			}
		})
	}
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// A size that the application gives is believed until the bytes have another.
func TestWrongSize(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
		items := h.MailItems
		h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return func(yield func(hooks.Item, error) bool) {
				for item, err := range items(ctx, email, q) {
					item.Size = 5
					if !yield(item, err) {
						return
					}
				}
			}
		}
	}, hooks.Options{})
	f.put(mailaccess.Inbox, hookstest.Message{Body: []byte("longer than that\n")})
	acc := f.session()
	s := f.inbox(acc)
	m := f.messages(acc, s.ID)[0]
	if m.Size != 5 || s.Size != 5 {
		t.Errorf("sizes %d and %d, want 5", m.Size, s.Size)
	}
	_, err := f.read(acc, m.EmailID)
	wantKind(t, "Content", err, mailaccess.KindContentGone)
	for range 2 {
		now := f.messages(acc, s.ID)
		if len(now) != 1 || now[0].UID != 2 || now[0].Size != 18 {
			t.Fatalf("now %+v", now)
		}
		if _, err := f.read(acc, now[0].EmailID); err != nil {
			t.Error(err)
		}
		f.sync()
	}
}

// Bodies are bytes, a reader, or something to be opened.
func TestBodies(t *testing.T) {
	body := "Subject: x\n\n" + strings.Repeat("0123456789\n", 60_000)
	for name, give := range map[string]func(*hooks.Item){
		"bytes":  func(i *hooks.Item) { i.Body = []byte(body) },
		"reader": func(i *hooks.Item) { i.Reader = strings.NewReader(body) },
		"open": func(i *hooks.Item) {
			i.Open = func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
		},
		"canonical": func(i *hooks.Item) { i.Body = []byte(crlf(body)) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := hooks.New(hooks.Handlers{
				MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) { return nil, nil },
				MailItems: func(context.Context, string, hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
					return func(yield func(hooks.Item, error) bool) {
						for _, key := range []string{"a", "b"} {
							i := hooks.Item{Key: key}
							give(&i)
							if !yield(i, nil) {
								return
							}
						}
					}
				},
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			f := &fixture{TB: t, store: s}
			acc := f.session()
			box := f.inbox(acc)
			for _, m := range f.messages(acc, box.ID) {
				for range 2 { // the second time from the cache
					if got, err := f.read(acc, m.EmailID); err != nil || got != crlf(body) {
						t.Errorf("%d octets, %v; want %d", len(got), err, len(crlf(body)))
					}
				}
			}
			if s := f.inbox(acc); s.Messages != 2 || s.Size != 2*int64(len(crlf(body))) {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// A body over the limit is not read, and none is an error.
func TestAwkwardBodies(t *testing.T) {
	items := map[string]hooks.Item{
		"too big": {Key: "k", Reader: bytes.NewReader(make([]byte, 2000))},
		"none":    {Key: "k"},
		"fails":   {Key: "k", Open: func(context.Context) (io.ReadCloser, error) { return nil, errors.New("no") }},
		"nil":     {Key: "k", Open: func(context.Context) (io.ReadCloser, error) { return nil, nil }},
		"gone":    {Key: "k", Open: func(context.Context) (io.ReadCloser, error) { return nil, mailaccess.KindNotFound }},
	}
	want := map[string]mailaccess.Kind{
		"too big": mailaccess.KindTooBig, "none": mailaccess.KindInternal, "fails": mailaccess.KindUnavailable,
		"nil": mailaccess.KindInternal, "gone": mailaccess.KindContentGone,
	}
	for name, item := range items {
		s, err := hooks.New(hooks.Handlers{
			MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) { return nil, nil },
			MailItems: func(context.Context, string, hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
				return hooks.Items([]hooks.Item{item})
			},
		}, &hooks.Options{MaxMessageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		f := &fixture{TB: t, store: s}
		acc := f.session()
		_, err = f.read(acc, f.messages(acc, f.inbox(acc).ID)[0].EmailID)
		wantKind(t, name, err, want[name])
		s.Close()
	}
}

// Items and boxes that cannot be shown do not keep the others from being shown.
func TestAwkwardItems(t *testing.T) {
	long := strings.Repeat("k", 1025)
	s, err := hooks.New(hooks.Handlers{
		MailBoxes: func(context.Context, string, hooks.BoxQuery) ([]hooks.Box, error) {
			return []hooks.Box{
				{Name: "a//b"}, {Name: ""}, {Name: "inbox"}, {Name: "x\x00"}, {Name: "long", Key: long},
				{Name: "Entwu\u0308rfe", Use: mailaccess.UseDrafts}, {Name: "Entw\u00fcrfe"}, {Name: "Work", Use: 1 << 15}, {Name: "Work"},
			}, nil
		},
		MailItems: func(_ context.Context, _ string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return hooks.Items([]hooks.Item{
				{Key: ""}, {Key: long}, {Key: "1"}, {Key: "1"}, {Key: "2", Revision: long},
				{Key: "3", Flags: []string{"", `\Recent`, `\seen`, "a b", "(", "$OK", "$ok", hooks.Seen, strings.Repeat("w", 300)}},
				{Key: q.Mailbox},
			})
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := &fixture{TB: t, store: s}
	acc := f.session()
	var names []string
	for m, err := range acc.Mailboxes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Name)
		if m.Name == "Entw\u00fcrfe" && m.Use != mailaccess.UseDrafts || m.Name == "Work" && m.Use != 0 {
			t.Errorf("%+v", m)
		}
		if s := f.snapshot(acc, m.Name); s.Messages != 3 {
			t.Errorf("%q has %d messages, want 3", m.Name, s.Messages)
		}
	}
	if want := []string{"Entw\u00fcrfe", mailaccess.Inbox, "Work"}; !slices.Equal(names, want) {
		t.Errorf("mailboxes %q, want %q", names, want)
	}
	flags := f.messages(acc, f.inbox(acc).ID)[1].Flags
	if flags.System != mailaccess.FlagSeen || flags.Keywords.String() != "$OK" {
		t.Errorf("flags %+v %q", flags.System, flags.Keywords)
	}
}

// A listing that fails changes nothing, however much it yielded.
func TestListingFails(t *testing.T) {
	var fail atomic.Bool
	f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
		items := h.MailItems
		h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return func(yield func(hooks.Item, error) bool) {
				for item, err := range items(ctx, email, q) {
					if !yield(item, err) {
						return
					}
					if fail.Load() {
						yield(hooks.Item{}, errors.New("the connection broke"))
						return
					}
				}
			}
		}
	}, hooks.Options{})
	f.fill(3)
	acc := f.session()
	before := f.inbox(acc)
	fail.Store(true)
	f.fill(1)
	wantKind(t, "Sync", f.store.Sync(t.Context(), user), mailaccess.KindUnavailable)
	if now := f.inbox(acc); now.Status != before.Status {
		t.Errorf("status %+v, was %+v", now.Status, before.Status)
	}
	fail.Store(false)
	f.sync()
	if n := f.inbox(acc).Messages; n != 4 {
		t.Errorf("%d messages, want 4", n)
	}
}

// An application that keeps what was expunged with \Deleted need not remove it.
func TestDeletedMark(t *testing.T) {
	for _, durable := range []bool{false, true} {
		opts := hooks.Options{}
		if durable {
			opts.SyncState = stateFile(t)
		}
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			h.RemoveMailItem = nil
			update := h.UpdateMailItem
			h.UpdateMailItem = func(ctx context.Context, email string, c hooks.Change) error {
				c.Expunge = false
				return update(ctx, email, c)
			}
		}, opts)
		key := f.put(mailaccess.Inbox, hookstest.Message{})
		f.put(mailaccess.Inbox, hookstest.Message{})
		acc := f.session()
		s := f.inbox(acc)
		if _, err := acc.Capabilities().Expunge.Expunge(t.Context(), s.ID, mailaccess.UIDSetOf(1), 0); err != nil {
			t.Fatal(err)
		}
		if got := f.app.Messages(user, mailaccess.Inbox); len(got) != 2 || !slices.Contains(got[0].Flags, hooks.Deleted) {
			t.Fatalf("the application has %+v", got)
		}
		f.sync()
		if uids := f.inbox(acc).UIDs.String(); uids != "2" {
			t.Errorf("UIDs %s, want 2", uids)
		}
		if durable {
			f.restart()
			acc = f.session()
			if uids := f.inbox(acc).UIDs.String(); uids != "2" {
				t.Errorf("after a restart UIDs %s, want 2", uids)
			}
		}
		// Without the mark it is there again, as a new message.
		if err := f.app.SetFlags(user, mailaccess.Inbox, key); err != nil {
			t.Fatal(err)
		}
		f.sync()
		if uids := f.inbox(acc).UIDs.String(); uids != "2:3" {
			t.Errorf("UIDs %s, want 2:3", uids)
		}
		f.sync()
		if uids := f.inbox(acc).UIDs.String(); uids != "2:3" {
			t.Errorf("once more: UIDs %s", uids)
		}
	}
}

// What the application renames keeps its id if it has a key; else it is another
// mailbox.
func TestRenamedBehind(t *testing.T) {
	for _, keys := range []bool{true, false} {
		f := newFixture(t, hookstest.Style{BoxKeys: keys}, nil, hooks.Options{SyncState: stateFile(t)})
		if err := f.app.Create(user, "Old", 0); err != nil {
			t.Fatal(err)
		}
		f.put("Old", hookstest.Message{})
		acc := f.session()
		before := f.snapshot(acc, "Old")
		state, err := acc.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := f.app.Rename(user, "Old", "New"); err != nil {
			t.Fatal(err)
		}
		f.sync()
		if keys {
			f.restart()
			acc = f.session()
		}
		after := f.snapshot(acc, "New")
		if same := after.ID == before.ID && after.UIDValidity == before.UIDValidity; same != keys {
			t.Errorf("keys %v: %+v became %+v", keys, before.Mailbox, after.Mailbox)
		}
		if after.Messages != 1 {
			t.Errorf("%d messages", after.Messages)
		}
		c, err := acc.Changes(t.Context(), state)
		if err != nil || keys && len(c.Deleted) != 0 || !keys && (len(c.Deleted) != 1 || c.Deleted[0].ID != before.ID) {
			t.Errorf("keys %v: changes %+v, %v", keys, c, err)
		}
	}
}

// Push has the application asked, and rings for what is new.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, hookstest.Style{}, nil, hooks.Options{Reconcile: -1})
		defer f.store.Close()
		if err := f.app.Create(user, "Work", 0); err != nil {
			t.Fatal(err)
		}
		f.store.Push(user) // nobody has it open
		acc := f.session()
		inbox, work := f.inbox(acc), f.snapshot(acc, "Work")
		rings := make(chan mailaccess.Ring, 10)
		stop, err := f.store.Watch(t.Context(), func(r mailaccess.Ring) { rings <- r })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		f.store.Push(user, mailaccess.Inbox, "Work")
		synctest.Wait()
		if len(rings) != 0 {
			t.Errorf("nothing is new, and it rang: %+v", <-rings)
		}
		f.put("Work", hookstest.Message{})
		synctest.Wait()
		if f.snapshot(acc, "Work").Messages != 0 || len(rings) != 0 {
			t.Error("seen before it was pushed")
		}
		f.store.Push(user, "Work")
		synctest.Wait()
		now := f.snapshot(acc, "Work")
		if now.Messages != 1 || len(rings) != 1 {
			t.Fatalf("%d messages, %d rings", now.Messages, len(rings))
		}
		if r := <-rings; r != (mailaccess.Ring{Account: user, Mailbox: work.ID, ModSeq: now.ModSeq}) {
			t.Errorf("ring %+v", r)
		}
		f.put(mailaccess.Inbox, hookstest.Message{})
		f.store.Push(user)
		synctest.Wait()
		if r := <-rings; r.Mailbox != inbox.ID {
			t.Errorf("ring %+v", r)
		}
		// A mailbox that nobody knows yet.
		if err := f.app.Create(user, "New", 0); err != nil {
			t.Fatal(err)
		}
		f.put("New", hookstest.Message{})
		f.store.Push(user, "New")
		synctest.Wait()
		if r := <-rings; r.Mailbox != "" {
			t.Errorf("ring %+v, want one of the account", r)
		}
		if n := f.snapshot(acc, "New").Messages; n != 1 {
			t.Errorf("%d messages in the new mailbox", n)
		}
	})
}

// Without Push a mailbox that is held is looked at now and then, and another one
// when somebody looks.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := newFixture(t, hookstest.Style{}, func(h *hooks.Handlers) {
			items := h.MailItems
			h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
				asked.Add(1)
				return items(ctx, email, q)
			}
		}, hooks.Options{Reconcile: time.Minute})
		defer f.store.Close()
		if err := f.app.Create(user, "Work", 0); err != nil {
			t.Fatal(err)
		}
		acc := f.session()
		inbox := f.inbox(acc)
		f.snapshot(acc, "Work")
		rings := make(chan mailaccess.Ring, 10)
		stop, err := f.store.Watch(t.Context(), func(r mailaccess.Ring) { rings <- r })
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		before := asked.Load()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := asked.Load() - before; n != 0 {
			t.Errorf("asked %d times with nobody looking", n)
		}
		release, err := acc.Capabilities().Hold.Hold(t.Context(), inbox.ID)
		if err != nil {
			t.Fatal(err)
		}
		f.put(mailaccess.Inbox, hookstest.Message{})
		f.put("Work", hookstest.Message{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(rings) != 1 || (<-rings).Mailbox != inbox.ID {
			t.Error("the mailbox that is held did not ring, or another one did")
		}
		if n := f.snapshot(acc, "Work").Messages; n != 1 {
			t.Errorf("%d messages in the other mailbox", n)
		}
		<-rings
		release()
		f.put(mailaccess.Inbox, hookstest.Message{})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if len(rings) != 0 {
			t.Error("it rang after it was released")
		}
	})
}

// After a restart everything is as it was; what happened meanwhile is a change.
func TestRestart(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{SyncState: stateFile(t)})
	f.fill(3)
	acc := f.session()
	s := f.inbox(acc)
	msgs := f.messages(acc, s.ID)
	if _, err := f.read(acc, msgs[0].EmailID); err != nil {
		t.Fatal(err)
	}
	if _, err := acc.Capabilities().Recent.ClaimRecent(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	state, err := acc.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.restart()
	if err := f.app.Remove(user, mailaccess.Inbox, f.app.Messages(user, mailaccess.Inbox)[1].Key); err != nil {
		t.Fatal(err)
	}
	f.fill(1)
	acc = f.session()
	now := f.inbox(acc)
	if now.ID != s.ID || now.UIDValidity != s.UIDValidity || now.UIDs.String() != "1,3:4" || now.ModSeq != s.ModSeq+1 {
		t.Errorf("now %+v, was %+v", now, s)
	}
	if changed, vanished := f.changes(acc, s.ID, s.ModSeq); changed != "4" || vanished != "2" {
		t.Errorf("changed %s, vanished %s", changed, vanished)
	}
	if m := f.messages(acc, s.ID)[0]; m.EmailID != msgs[0].EmailID || m.Size != 20 {
		t.Errorf("the first is %+v, was %+v and was read", m, msgs[0])
	}
	if u, err := acc.Capabilities().Recent.Recent(t.Context(), s.ID); err != nil || u != 4 {
		t.Errorf("recent from %d, %v; want 4", u, err)
	}
	if c, err := acc.Changes(t.Context(), state); err != nil || len(c.Mailboxes) != 1 {
		t.Errorf("changes %+v, %v", c, err)
	}
	_, err = hooks.New(f.h, &f.opts)
	wantKind(t, "a second store over the file", err, mailaccess.KindInUse)
}

// With memory alone a restart is another epoch, and no old number is right.
func TestRestartInMemory(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{})
	f.fill(3)
	acc := f.session()
	s := f.inbox(acc)
	state, err := acc.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.restart()
	acc = f.session()
	now := f.inbox(acc)
	if now.ID == s.ID || now.Created <= s.ModSeq {
		t.Errorf("now %+v, was %+v", now, s)
	}
	_, err = acc.Changes(t.Context(), state)
	wantKind(t, "Changes since before", err, mailaccess.KindHistoryGone)
}

// When the file fails, nobody knows what of a change it has. It takes no more until
// it is opened again; what the application has done then shows.
func TestFileFails(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{SyncState: stateFile(t)})
	f.fill(2)
	acc := f.session()
	s := f.inbox(acc)
	if err := f.store.BreakFile(); err != nil {
		t.Fatal(err)
	}
	seen := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}
	res, err := acc.Capabilities().Flags.SetFlags(t.Context(), s.ID, mailaccess.UIDSetOf(1), seen, mailaccess.AnyModSeq)
	wantKind(t, "SetFlags", err, mailaccess.KindUncertain)
	if len(res.Changed) != 0 {
		t.Errorf("changed %+v", res.Changed)
	}
	_, err = acc.Snapshot(t.Context(), s.ID)
	wantKind(t, "Snapshot of what cannot be compared", err, mailaccess.KindUnavailable)
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.open(t)
	now := f.inbox(f.session())
	if now.UIDs.String() != "1:2" || now.Unseen != 1 || now.ModSeq <= s.ModSeq {
		t.Errorf("now %+v, was %+v", now, s)
	}
}

// An application need not keep every flag.
func TestKeptFlags(t *testing.T) {
	f := newFixture(t, hookstest.Style{}, nil, hooks.Options{Flags: []string{hooks.Seen, "$Junk"}})
	f.fill(1)
	acc := f.session()
	caps := acc.Capabilities()
	if caps.SystemFlags != mailaccess.FlagSeen || caps.NewKeywords {
		t.Errorf("flags %v, keywords %v", caps.SystemFlags, caps.NewKeywords)
	}
	words, err := mailaccess.NewKeywords("$Junk", "work")
	if err != nil {
		t.Fatal(err)
	}
	s := f.inbox(acc)
	all := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.SystemFlagsAll, Keywords: words}}
	if _, err := caps.Flags.SetFlags(t.Context(), s.ID, s.UIDs, all, mailaccess.AnyModSeq); err != nil {
		t.Fatal(err)
	}
	if got := f.app.Messages(user, mailaccess.Inbox)[0].Flags; !slices.Equal(got, []string{"$Junk", hooks.Seen}) {
		t.Errorf("the application got %q", got)
	}
}
