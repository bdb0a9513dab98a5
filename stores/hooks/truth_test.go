package hooks_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// TestTruth changes the application's data at random, behind the adapter and through
// it. A consumer that follows the account by Changes and MailboxChanges, and one that
// looks afresh, end with exactly what the application has; and whoever follows never
// finds a change at or below a number that it has seen.
func TestTruth(t *testing.T) {
	for _, style := range []hookstest.Style{
		{}, {Whole: true}, {Versions: true, Revisions: true}, {BoxKeys: true, Sizes: true},
		{Versions: true, Changes: true, BoxKeys: true, Revisions: true},
	} {
		t.Run(fmt.Sprintf("%+v", style), func(t *testing.T) {
			dir, n := filepath.Dir(stateFile(t)), 0
			rapid.Check(t, func(rt *rapid.T) {
				opts := hooks.Options{Reconcile: -1, CacheBytes: -1, HistoryLimit: rapid.SampledFrom([]int{1000, 2}).Draw(rt, "history")}
				if rapid.Bool().Draw(rt, "file") {
					n++
					opts.SyncState = filepath.Join(dir, fmt.Sprint("state", n))
				}
				checkTruth(t, rt, style, opts)
			})
		})
	}
}

func checkTruth(t *testing.T, rt *rapid.T, style hookstest.Style, opts hooks.Options) {
	app := hookstest.New(style)
	app.AddUser(user, "secret")
	f := &fixture{TB: t, app: app, h: app.Handlers(), opts: opts}
	f.openOnce(rt)
	defer func() { f.store.Close() }()
	w := &truth{fixture: f, rt: rt, style: style}
	follower := &consumer{}
	for range rapid.IntRange(1, 6).Draw(rt, "rounds") {
		for range rapid.IntRange(0, 6).Draw(rt, "changes") {
			w.change()
		}
		switch rapid.IntRange(0, 5).Draw(rt, "then") {
		case 0:
			w.restart()
			if opts.SyncState == "" {
				follower = &consumer{} // its numbers are of another epoch
			}
		case 1:
			w.write()
		}
		f.store.Push(user)
		w.settle()
		follower.follow(w)
		follower.compare(w, "who follows")
		fresh := &consumer{}
		fresh.follow(w)
		fresh.compare(w, "who looks afresh")
		follower.same(rt, fresh)
	}
}

// truth is an application that is changed at random.
type truth struct {
	*fixture
	rt    *rapid.T
	style hookstest.Style
	body  int
}

func (f *fixture) openOnce(t interface{ Fatal(...any) }) {
	var err error
	if f.store, err = hooks.New(f.h, &f.opts); err != nil {
		t.Fatal(err)
	}
}

func (w *truth) restart() {
	if err := w.store.Close(); err != nil {
		w.rt.Fatal(err)
	}
	w.openOnce(w.rt)
}

func (w *truth) mailbox() string {
	return rapid.SampledFrom(w.app.Mailboxes(user)).Draw(w.rt, "mailbox")
}

func (w *truth) message(box string) (hookstest.Message, bool) {
	all := w.app.Messages(user, box)
	if len(all) == 0 {
		return hookstest.Message{}, false
	}
	return rapid.SampledFrom(all).Draw(w.rt, "message"), true
}

func (w *truth) flags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{hooks.Seen, hooks.Deleted, hooks.Flagged, "work", "$MDNSent"}), 0, 3, strings.ToLower).Draw(w.rt, "flags")
}

func (w *truth) bytes() []byte {
	w.body++
	return fmt.Appendf(nil, "Subject: %d\n\n%s", w.body, strings.Repeat("x\n", w.body%5))
}

// change does something to the application.
func (w *truth) change() {
	box := w.mailbox()
	m, any := w.message(box)
	must := func(err error) {
		if err != nil {
			w.rt.Fatal(err)
		}
	}
	name := rapid.SampledFrom([]string{"a", "b", "a/x"}).Draw(w.rt, "name")
	taken := slices.Contains(w.app.Mailboxes(user), name)
	switch rapid.IntRange(0, 8).Draw(w.rt, "change") {
	case 0, 1, 2:
		_, err := w.app.Put(user, box, hookstest.Message{Flags: w.flags(), Body: w.bytes(), Received: someDay})
		must(err)
	case 3:
		if any {
			must(w.app.Remove(user, box, m.Key))
		}
	case 4:
		if any {
			must(w.app.SetFlags(user, box, m.Key, w.flags()...))
		}
	case 5:
		if any {
			must(w.app.SetBody(user, box, m.Key, w.bytes()))
		}
	case 6:
		if any { // the key comes back with something else
			must(w.app.Remove(user, box, m.Key))
			_, err := w.app.Put(user, box, hookstest.Message{Key: m.Key, Body: w.bytes(), Received: someDay})
			must(err)
		}
	case 7:
		if taken {
			must(w.app.Delete(user, name))
		} else {
			must(w.app.Create(user, name, 0))
		}
	case 8:
		if box != mailaccess.Inbox && !taken && !strings.HasPrefix(name, box+"/") {
			_ = w.app.Rename(user, box, name) // what is below may be in the way
		}
	}
}

// write changes something through the adapter.
func (w *truth) write() {
	acc := w.session()
	defer acc.Close()
	s := w.snapshot(acc, w.mailbox())
	caps := acc.Capabilities()
	if s.UIDs.IsEmpty() {
		if err := w.append(acc, s.ID, "Subject: new\r\n\r\n"); err != nil {
			w.rt.Fatal(err)
		}
		return
	}
	uids := mailaccess.UIDSetOf(s.UIDs.Select(rapid.IntRange(0, s.UIDs.Len()-1).Draw(w.rt, "index")))
	var err error
	switch rapid.IntRange(0, 3).Draw(w.rt, "write") {
	case 0:
		_, err = caps.Flags.SetFlags(w.Context(), s.ID, uids, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagAnswered}}, mailaccess.AnyModSeq)
	case 1:
		_, err = caps.Expunge.Expunge(w.Context(), s.ID, uids, 0)
	case 2:
		_, err = caps.Copy.Copy(w.Context(), s.ID, uids, w.snapshot(acc, w.mailbox()).ID)
		if errors.Is(err, mailaccess.KindContentGone) {
			err = nil // the bytes have changed, which nobody knew
		}
	case 3:
		if to := w.snapshot(acc, w.mailbox()); to.ID != s.ID {
			_, err = caps.Move.Move(w.Context(), s.ID, uids, to.ID)
		}
	}
	if err != nil {
		w.rt.Fatal(err)
	}
}

// settle has the adapter find out everything. Where the application says nothing of
// bytes that changed, only reading does.
func (w *truth) settle() {
	w.sync()
	if w.style.Revisions || w.style.Whole {
		return
	}
	acc := w.session()
	defer acc.Close()
	for again := true; again; {
		again = false
		for _, name := range w.app.Mailboxes(user) {
			for _, m := range w.messages(acc, w.snapshot(acc, name).ID) {
				// Of a message that was copied one place is read at a time.
				for range acc.Capabilities().Locate.Locate(w.Context(), []mailaccess.EmailID{m.EmailID}) {
					if _, err := w.read(acc, m.EmailID); err != nil {
						again = true
					}
				}
			}
		}
	}
}

// consumer follows an account as a client would, from numbers alone.
type consumer struct {
	state mailaccess.State
	boxes map[mailaccess.MailboxID]*followed
}

type followed struct {
	mailaccess.Mailbox
	upTo     mailaccess.ModSeq
	messages map[mailaccess.UID]mailaccess.Message
}

func (c *consumer) follow(w *truth) {
	acc := w.session()
	defer acc.Close()
	changes, err := acc.Changes(w.Context(), c.state)
	if mailaccess.KindOf(err) == mailaccess.KindHistoryGone && err != nil {
		*c = consumer{}
		changes, err = acc.Changes(w.Context(), c.state)
	}
	if err != nil {
		w.rt.Fatal(err)
	}
	if c.boxes == nil {
		c.boxes = make(map[mailaccess.MailboxID]*followed)
	}
	for _, d := range changes.Deleted {
		delete(c.boxes, d.ID)
	}
	for _, s := range changes.Mailboxes {
		b := c.boxes[s.ID]
		if b == nil {
			b = &followed{messages: make(map[mailaccess.UID]mailaccess.Message)}
			c.boxes[s.ID] = b
		}
		b.Mailbox = s.Mailbox
		b.follow(w, acc)
	}
	c.state = changes.UpTo
}

func (b *followed) follow(w *truth, acc mailaccess.Account) {
	changes, err := acc.MailboxChanges(w.Context(), b.ID, b.upTo)
	if err != nil {
		w.rt.Fatal(err)
	}
	for m, err := range changes.Messages {
		if err != nil {
			w.rt.Fatal(err)
		}
		if m.ModSeq <= b.upTo {
			w.rt.Errorf("UID %d has number %d, %d was seen", m.UID, m.ModSeq, b.upTo)
		}
		b.messages[m.UID] = m
	}
	for v, err := range changes.Vanished {
		if err != nil {
			w.rt.Fatal(err)
		}
		delete(b.messages, v.UID)
	}
	if b.upTo < changes.Floor {
		s, err := acc.Snapshot(w.Context(), b.ID)
		if err != nil {
			w.rt.Fatal(err)
		}
		maps.DeleteFunc(b.messages, func(u mailaccess.UID, _ mailaccess.Message) bool { return !s.UIDs.Contains(u) })
	}
	b.upTo = changes.UpTo
}

// compare compares what the consumer has with the application.
func (c *consumer) compare(w *truth, who string) {
	acc := w.session()
	defer acc.Close()
	var names []string
	for _, b := range c.boxes {
		names = append(names, b.Name)
		var want, got []string
		for _, m := range w.app.Messages(user, b.Name) {
			want = append(want, fmt.Sprintf("%q %q", lowered(m.Flags), crlf(strings.ReplaceAll(string(m.Body), "\r\n", "\n"))))
		}
		for _, m := range b.messages {
			body, err := w.read(acc, m.EmailID)
			if err != nil {
				w.rt.Errorf("%s: UID %d of %q: %v", who, m.UID, b.Name, err)
			}
			got = append(got, fmt.Sprintf("%q %q", lowered(hooks.Words(m.Flags)), body))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			w.rt.Errorf("%s has in %q\n%s\nthe application\n%s", who, b.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	slices.Sort(names)
	if want := w.app.Mailboxes(user); !slices.Equal(names, want) {
		w.rt.Errorf("%s has mailboxes %q, the application %q", who, names, want)
	}
}

func lowered(flags []string) []string {
	var all []string
	for _, f := range flags {
		all = append(all, strings.ToLower(f))
	}
	slices.Sort(all)
	return all
}

// same compares two consumers, UIDs and numbers too.
func (c *consumer) same(rt *rapid.T, o *consumer) {
	for id, b := range o.boxes {
		have := c.boxes[id]
		if have == nil || have.Mailbox != b.Mailbox {
			rt.Fatalf("who follows has %+v, who looks afresh %+v", have, b)
		}
		for u, m := range b.messages {
			got := have.messages[u]
			got.Size, m.Size = 0, 0 // it becomes known without a change
			if got.ModSeq != m.ModSeq || got.Flags != m.Flags || got.EmailID != m.EmailID || got.Created != m.Created {
				rt.Errorf("who follows has %+v, who looks afresh %+v", got, m)
			}
		}
	}
}
