package memory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

func TestMessageSizeLimit(t *testing.T) {
	f := newFixture(t, &Options{MaxMessageSize: 100})
	if got := f.Capabilities().MaxMessageSize; got != 100 {
		t.Errorf("MaxMessageSize %d", got)
	}
	_, err := f.Stage(ctx, 101)
	f.wantKind(err, mailaccess.KindTooBig)

	s, err := f.Stage(ctx, -1)
	f.must(err)
	_, err = s.Write(make([]byte, 100))
	f.must(err)
	_, err = s.Write([]byte("x"))
	f.wantKind(err, mailaccess.KindTooBig)
	// Whoever overlooks that does not append half a message.
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: s}})
	f.wantKind(err, mailaccess.KindTooBig)
	if n := f.status(f.inbox).Messages; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestStagedRoom(t *testing.T) {
	f := newFixture(t, nil)
	for _, tt := range []struct{ hint, write, step, atMost int }{
		{hint: 5000, write: 5000, step: 100, atMost: 6144},        // the next size class
		{hint: 60 << 20, write: 10, step: 10, atMost: stageFirst}, // announced, not sent
		{hint: 3 << 20, write: 3 << 20, step: 1000, atMost: 3<<20 + 8192},
		{hint: 10, write: 5000, step: 7, atMost: 16 << 10},
		{hint: -1, write: 5000, step: 7, atMost: 16 << 10},
	} {
		s, err := f.Stage(ctx, int64(tt.hint))
		f.must(err)
		for left := tt.write; left > 0; left -= tt.step {
			_, err := s.Write(make([]byte, min(left, tt.step)))
			f.must(err)
		}
		if got := cap(s.(*staged).data); got > tt.atMost || s.Size() != int64(tt.write) {
			t.Errorf("%+v: room for %d, size %d", tt, got, s.Size())
		}
		s.Close()
	}
}

func TestQuota(t *testing.T) {
	f := newFixture(t, &Options{Quota: 100})
	other := f.box("Other")
	a, b := f.stage(strings.Repeat("a", 60)), f.stage(strings.Repeat("b", 60))
	put := func(s mailaccess.Staged) error {
		_, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: s}})
		return err
	}
	f.must(put(a))
	f.wantKind(put(b), mailaccess.KindOverQuota)
	_, err := f.Stage(ctx, 41)
	f.wantKind(err, mailaccess.KindOverQuota)
	// Copies cost nothing, however made.
	_, err = f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(1), other)
	f.must(err)
	f.must(put(a))
	f.expunge(f.inbox, mailaccess.UIDSetOf(1, 2))
	f.wantKind(put(b), mailaccess.KindOverQuota)
	f.must(f.DeleteMailbox(ctx, other))
	f.must(put(b))
	c := f.stage(strings.Repeat("c", 40))
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: c}, {Staged: c}})
	f.must(err)
	f.expunge(f.inbox, f.boxes[f.inbox].uids.Minus(mailaccess.UIDSetOf(3)))
	if f.used != 60 {
		t.Errorf("%d octets used, want 60", f.used)
	}
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage(strings.Repeat("c", 20))}, {Staged: f.stage(strings.Repeat("d", 21))}})
	f.wantKind(err, mailaccess.KindOverQuota)
	f.check(f.inbox)
}

func TestUIDsRunOut(t *testing.T) {
	f := newFixture(t, nil)
	other := f.box("Other")
	f.fill(other, 3)
	f.boxes[f.inbox].uidNext = math.MaxUint32 - 2
	f.append(f.inbox, "x", mailaccess.Flags{})
	_, err := f.Copy(ctx, other, mailaccess.UIDSetRange(1, 3), f.inbox)
	f.wantKind(err, mailaccess.KindLimit)
	_, err = f.Move(ctx, other, mailaccess.UIDSetRange(1, 3), f.inbox)
	f.wantKind(err, mailaccess.KindLimit)
	f.append(f.inbox, "x", mailaccess.Flags{})
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage("y")}})
	f.wantKind(err, mailaccess.KindLimit)
	s := f.status(f.inbox)
	if s.UIDNext != math.MaxUint32 || s.Messages != 2 {
		t.Errorf("UIDNEXT %d with %d messages", s.UIDNext, s.Messages)
	}
	if got := f.list(f.inbox, mailaccess.UIDSetRange(1, math.MaxUint32)); len(got) != 2 || got[1].UID != math.MaxUint32-1 {
		t.Errorf("listed %+v", got)
	}
	f.check(f.inbox)
	f.check(other)
}

func TestMailboxLimits(t *testing.T) {
	f := newFixture(t, &Options{MaxMailboxes: 3})
	f.box("A")
	b := f.box("B")
	_, err := f.CreateMailbox(ctx, "C", 0)
	f.wantKind(err, mailaccess.KindLimit)
	f.must(f.DeleteMailbox(ctx, b))
	f.box("C")
	_, err = f.CreateMailbox(ctx, "D", 1<<15)
	f.wantKind(err, mailaccess.KindUnsupported)
	for _, name := range []string{"a", "b", "c"} {
		f.must(f.Subscribe(ctx, name, true))
	}
	f.wantKind(f.Subscribe(ctx, "d", true), mailaccess.KindLimit)
	f.must(f.Subscribe(ctx, "a", true))

	f = newFixture(t, nil)
	f.uidValidity = math.MaxUint32
	_, err = f.CreateMailbox(ctx, "A", 0)
	f.wantKind(err, mailaccess.KindLimit)
}

func TestUIDValidityGrows(t *testing.T) {
	f := newFixture(t, nil)
	last := uint32(0)
	for range 3 {
		m, err := f.CreateMailbox(ctx, "Box", 0)
		f.must(err)
		if m.UIDValidity <= last {
			t.Errorf("UIDVALIDITY %d after %d", m.UIDValidity, last)
		}
		last = m.UIDValidity
		f.must(f.DeleteMailbox(ctx, m.ID))
	}
}

func words(t testing.TB, w ...string) mailaccess.Flags {
	t.Helper()
	k, err := mailaccess.NewKeywords(w...)
	if err != nil {
		t.Fatal(err)
	}
	return mailaccess.Flags{Keywords: k}
}

func TestKeywordLimit(t *testing.T) {
	f := newFixture(t, &Options{MaxKeywords: 3})
	f.fill(f.inbox, 2)
	one, two := mailaccess.UIDSetOf(1), mailaccess.UIDSetOf(2)
	f.set(f.inbox, one, words(t, "a", "b", "c"))
	_, err := f.SetFlags(ctx, f.inbox, two, mailaccess.FlagChange{Add: words(t, "d")}, mailaccess.AnyModSeq)
	f.wantKind(err, mailaccess.KindLimit)
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage("x"), Flags: words(t, "a", "d")}})
	f.wantKind(err, mailaccess.KindLimit)
	f.check(f.inbox)
	f.expunge(f.inbox, one)
	f.set(f.inbox, two, words(t, "d"))
	f.check(f.inbox)
	if got := f.status(f.inbox).Keywords.String(); got != "d" {
		t.Errorf("keywords %q, want d", got)
	}
	other := f.box("Other")
	f.set(other, mailaccess.UIDSet{}, words(t, "x"))
	f.append(other, "y", words(t, "x", "y", "z"))
	_, err = f.Copy(ctx, f.inbox, two, other)
	f.wantKind(err, mailaccess.KindLimit)
	f.check(other)
}

func TestKeywordsOfOneMessage(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 1)
	half := func(from int) (f mailaccess.Flags) {
		var w []string
		for i := range mailaccess.MaxKeywords/2 + 1 {
			w = append(w, fmt.Sprint("k", from+i))
		}
		return words(t, w...)
	}
	f.set(f.inbox, mailaccess.UIDSetOf(1), half(0))
	_, err := f.SetFlags(ctx, f.inbox, mailaccess.UIDSetOf(1), mailaccess.FlagChange{Add: half(1000)}, mailaccess.AnyModSeq)
	f.wantKind(err, mailaccess.KindLimit)
	f.check(f.inbox)
	// All of several sets go at once, more than a set may hold.
	f.append(f.inbox, "x", half(1000))
	f.append(f.inbox, "x", half(2000))
	f.expunge(f.inbox, mailaccess.UIDSetRange(1, 3))
	f.check(f.inbox)
}

// A keyword has one spelling within a mailbox, and writing it otherwise is no
// change.
func TestKeywordSpelling(t *testing.T) {
	f := newFixture(t, nil)
	f.fill(f.inbox, 2)
	f.set(f.inbox, mailaccess.UIDSetOf(1), words(t, "Work"))
	before := f.status(f.inbox).ModSeq
	res, err := f.SetFlags(ctx, f.inbox, mailaccess.UIDSetOf(1), mailaccess.FlagChange{Replace: true, Add: words(t, "WORK")}, mailaccess.AnyModSeq)
	f.must(err)
	if len(res.Changed) != 0 || f.status(f.inbox).ModSeq != before {
		t.Errorf("changed: %+v", res)
	}
	f.set(f.inbox, mailaccess.UIDSetOf(2), words(t, "work"))
	msgs := f.list(f.inbox, mailaccess.UIDSetRange(1, 2))
	if msgs[0].Flags != msgs[1].Flags || msgs[1].Flags.Keywords.String() != "Work" {
		t.Errorf("keywords %q and %q", msgs[0].Flags.Keywords, msgs[1].Flags.Keywords)
	}
}

func TestForeignStaged(t *testing.T) {
	f, g := newFixture(t, nil), newFixture(t, nil)
	_, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: g.stage("x")}})
	f.wantKind(err, mailaccess.KindInvalid)
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{}})
	f.wantKind(err, mailaccess.KindInvalid)
	s := f.stage("x")
	s.Close()
	_, err = f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: s}})
	f.wantKind(err, mailaccess.KindInvalid)
}

type shortWriter struct{ io.Writer }

func (w shortWriter) Write(p []byte) (int, error) { return w.Writer.Write(p[:len(p)/2]) }

func TestContentAfterClose(t *testing.T) {
	f := newFixture(t, nil)
	m := f.append(f.inbox, "some octets", mailaccess.Flags{})
	c, err := f.Content(ctx, m.EmailID)
	f.must(err)
	var buf bytes.Buffer
	if n, err := c.WriteRange(shortWriter{&buf}, 0, 4); n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a writer that writes half: %d, %v", n, err)
	}
	f.must(f.handle.Close())
	_, err = f.Content(ctx, m.EmailID)
	f.wantKind(err, mailaccess.KindUnavailable)
	if n, err := c.ReadAt(make([]byte, 4), 0); n != 4 || err != nil {
		t.Errorf("with the account closed: %d, %v", n, err)
	}
	f.must(f.store.Close())
	_, err = c.ReadAt(make([]byte, 4), 0)
	f.wantKind(err, mailaccess.KindUnavailable)
	_, err = f.store.Open(ctx, user, mailaccess.Identity{})
	f.wantKind(err, mailaccess.KindUnavailable)
	f.wantKind(f.store.AddAccount("new@example.org"), mailaccess.KindUnavailable)
}

// What is replaced makes room for what replaces it, also where there was too much
// already; a content that stays in another place does not.
func TestQuotaOfReplacement(t *testing.T) {
	f := newFixture(t, &Options{Quota: 100})
	put := func(text string) {
		t.Helper()
		_, err := f.Append(ctx, f.inbox, []mailaccess.NewMessage{{Staged: f.stage(text)}})
		f.must(err)
	}
	replace := func(uid mailaccess.UID, text string) error {
		t.Helper()
		s, err := f.Stage(ctx, -1)
		f.must(err)
		_, err = s.Write([]byte(text))
		f.must(err)
		_, err = f.Replace(ctx, f.inbox, uid, f.inbox, mailaccess.NewMessage{Staged: s})
		return err
	}
	put(strings.Repeat("a", 90))
	f.wantKind(replace(1, strings.Repeat("b", 101)), mailaccess.KindOverQuota)
	f.must(replace(1, strings.Repeat("c", 100)))
	if f.used != 100 {
		t.Errorf("%d octets used, want 100", f.used)
	}
	f.store.opts.Quota = 50
	f.must(replace(2, strings.Repeat("d", 60)))
	f.wantKind(replace(3, strings.Repeat("e", 61)), mailaccess.KindOverQuota)
	f.store.opts.Quota = 70
	_, err := f.Copy(ctx, f.inbox, mailaccess.UIDSetOf(3), f.inbox)
	f.must(err)
	f.wantKind(replace(3, strings.Repeat("f", 11)), mailaccess.KindOverQuota)
	f.must(replace(3, strings.Repeat("f", 10)))
	f.check(f.inbox)
}
