package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

var ctx = context.Background()

// fixture is an account of a store, opened with all rights.
type fixture struct {
	testing.TB
	store *Store
	*handle
	inbox mailaccess.MailboxID
}

const user = "ann@example.org"

func newFixture(t testing.TB, opts *Options) *fixture {
	t.Helper()
	s := New(opts)
	t.Cleanup(func() { s.Close() })
	f := &fixture{TB: t, store: s}
	f.handle = f.as(0)
	m, err := f.Lookup(ctx, mailaccess.Inbox)
	f.must(err)
	f.inbox = m.ID
	return f
}

// as opens the account with other rights; 0 stands for all.
func (f *fixture) as(rights mailaccess.Rights) *handle {
	f.Helper()
	who := mailaccess.Identity{User: user, Account: user}
	if rights != 0 {
		who.Without = mailaccess.RightsAll &^ rights
	}
	acc, err := f.store.Open(ctx, user, who)
	f.must(err)
	return acc.(*handle)
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantKind(err error, kind mailaccess.Kind) {
	f.Helper()
	if !errors.Is(err, kind) {
		f.Errorf("got error %v, want kind %q", err, kind)
	}
}

func (f *fixture) box(name string) mailaccess.MailboxID {
	f.Helper()
	m, err := f.CreateMailbox(ctx, name, 0)
	f.must(err)
	return m.ID
}

func (f *fixture) stage(raw string) mailaccess.Staged {
	f.Helper()
	s, err := f.Stage(ctx, int64(len(raw)))
	f.must(err)
	f.Cleanup(func() { s.Close() })
	_, err = s.Write([]byte(raw))
	f.must(err)
	return s
}

func (f *fixture) append(box mailaccess.MailboxID, raw string, flags mailaccess.Flags) mailaccess.Message {
	f.Helper()
	done, err := f.Append(ctx, box, []mailaccess.NewMessage{{Staged: f.stage(raw), Flags: flags}})
	f.must(err)
	return done.Messages[0]
}

// fill appends n messages in one transaction.
func (f *fixture) fill(box mailaccess.MailboxID, n int) []mailaccess.Message {
	f.Helper()
	msgs := make([]mailaccess.NewMessage, n)
	for i := range msgs {
		msgs[i].Staged = f.stage(fmt.Sprintf("Subject: %d\r\n\r\n", i))
	}
	done, err := f.Append(ctx, box, msgs)
	f.must(err)
	return done.Messages
}

func (f *fixture) status(box mailaccess.MailboxID) mailaccess.Status {
	f.Helper()
	s, err := f.Status(ctx, box)
	f.must(err)
	return s
}

func (f *fixture) list(box mailaccess.MailboxID, uids mailaccess.UIDSet) []mailaccess.Message {
	f.Helper()
	var msgs []mailaccess.Message
	for m, err := range f.Messages(ctx, box, uids) {
		f.must(err)
		msgs = append(msgs, m)
	}
	return msgs
}

func uidsIn(msgs []mailaccess.Message) mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	for _, m := range msgs {
		b.AddUID(m.UID)
	}
	return b.Set()
}

func (f *fixture) set(box mailaccess.MailboxID, uids mailaccess.UIDSet, add mailaccess.Flags) {
	f.Helper()
	_, err := f.SetFlags(ctx, box, uids, mailaccess.FlagChange{Add: add}, mailaccess.AnyModSeq)
	f.must(err)
}

func (f *fixture) expunge(box mailaccess.MailboxID, uids mailaccess.UIDSet) {
	f.Helper()
	_, err := f.Expunge(ctx, box, uids, 0)
	f.must(err)
}

// changes returns the UIDs that changed and those that vanished since.
func (f *fixture) changesSince(box mailaccess.MailboxID, since mailaccess.ModSeq) (changed, vanished mailaccess.UIDSet) {
	f.Helper()
	c, err := f.MailboxChanges(ctx, box, since)
	f.must(err)
	var msgs []mailaccess.Message
	for m, err := range c.Messages {
		f.must(err)
		if m.ModSeq <= since {
			f.Errorf("UID %d has number %d, not above %d", m.UID, m.ModSeq, since)
		}
		msgs = append(msgs, m)
	}
	var gone []mailaccess.UID
	for v, err := range c.Vanished {
		f.must(err)
		gone = append(gone, v.UID)
	}
	if !slices.IsSorted(gone) {
		f.Errorf("vanished not ascending: %v", gone)
	}
	return uidsIn(msgs), mailaccess.UIDSetOf(gone...)
}

// check compares what the mailbox keeps up to date with what its messages say.
func (f *fixture) check(box mailaccess.MailboxID) {
	f.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.boxes[box]
	var all, unseen, trashed mailaccess.UIDSetBuilder
	var size int64
	words := map[string]bool{}
	last := mailaccess.UID(0)
	for i := range b.messages.chunks {
		c := &b.messages.chunks[i]
		if len(c.msgs) == 0 || len(c.msgs) > chunkLen || c.first != c.msgs[0].UID {
			f.Fatalf("chunk %d of %d messages begins at %d", i, len(c.msgs), c.first)
		}
		for _, m := range c.msgs {
			if m.UID <= last || m.UID >= b.uidNext || m.ModSeq > c.max || m.ModSeq > b.modseq || m.Created > m.ModSeq {
				f.Fatalf("message %+v after UID %d, chunk's number %d, mailbox's %d", m, last, c.max, b.modseq)
			}
			last = m.UID
			all.AddUID(m.UID)
			add(&unseen, !m.Flags.System.Has(mailaccess.FlagSeen), m.UID)
			add(&trashed, m.Flags.System.Has(mailaccess.FlagDeleted), m.UID)
			size += m.Size
			for w := range m.Flags.Keywords.All() {
				words[w] = true
			}
			content := f.contents[m.EmailID]
			p, ok := place{b, m.UID}, false
			if content != nil {
				_, ok = content.others[p]
				ok = ok || content.first == p
			}
			if !ok {
				f.Fatalf("the content of UID %d does not know its place", m.UID)
			}
		}
	}
	if !b.uids.Equal(all.Set()) || !b.unseen.Equal(unseen.Set()) || !b.trashed.Equal(trashed.Set()) || b.size != size {
		f.Errorf("sets %v, unseen %v, deleted %v, size %d; messages say %v, %v, %v, %d",
			b.uids, b.unseen, b.trashed, b.size, all.Set(), unseen.Set(), trashed.Set(), size)
	}
	if b.keywords.all.Len() != len(words) {
		f.Errorf("keywords %q, messages have %v", b.keywords.all, words)
	}
	for w := range words {
		if !b.keywords.all.Has(w) {
			f.Errorf("keyword %q is not in %q", w, b.keywords.all)
		}
	}
}

// belowFloor expects that removals since n may be forgotten.
func (f *fixture) belowFloor(box mailaccess.MailboxID, n mailaccess.ModSeq) {
	f.Helper()
	c, err := f.MailboxChanges(ctx, box, n)
	f.must(err)
	if c.Floor <= n {
		f.Errorf("the floor is %d, want it above %d", c.Floor, n)
	}
}
