package engine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/stores/memory"
)

func addFlag(f mailaccess.SystemFlags) mailaccess.FlagChange {
	return mailaccess.FlagChange{Add: mailaccess.Flags{System: f}}
}

// changed returns the UIDs that Changed lists.
func (w *world) changed(v *engine.View, uids mailaccess.UIDSet, since mailaccess.ModSeq) string {
	w.t.Helper()
	var b mailaccess.UIDSetBuilder
	for m, err := range v.Changed(w.ctx, uids, since) {
		w.check(err)
		if m.Number != v.Number(m.UID) || m.ModSeq <= since {
			w.t.Errorf("UID %d: number %d, mod-sequence %d; want number %d and above %d", m.UID, m.Number, m.ModSeq, v.Number(m.UID), since)
		}
		b.AddUID(m.UID)
	}
	return b.Set().String()
}

func (w *world) vanished(v *engine.View, uids mailaccess.UIDSet, since mailaccess.ModSeq) string {
	w.t.Helper()
	gone, err := v.Vanished(w.ctx, uids, since)
	w.check(err)
	return gone.String()
}

// RFC 7162, section 3.2: a client to which a removal could not be told may know of what
// arrived after the number that it comes back with. When that is gone too, it is told.
func TestNoGhostOfArrival(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(3)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	since := v.Told()
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(2), 0))
	w.deliver(1)
	c := newClient(v)
	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	expect(t, c.take(), "exists 4 recent 4")
	if v.Told() != since {
		t.Fatalf("told is %d, want %d as before the removal", v.Told(), since)
	}
	// The client fetches message 4 and is cut off.
	w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(4), 0))
	back := w.open(w.session(), engine.ViewOptions{})
	if got := w.vanished(back, mailaccess.UIDSetRange(1, 4), since); got != "2,4" {
		t.Fatalf("vanished since %d: %q, want 2,4", since, got)
	}
}

// What the view does not know yet is told by the next update, once: neither as vanished
// earlier nor, when it came later, at all.
func TestVanishedBesideUpdate(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(5)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	all, since := mailaccess.UIDSetRange(1, 1000), v.Told()
	c := newClient(v)

	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(5), 0))
	w.deliver(1)
	w.check(other.Update(w.ctx, engine.UpdateOptions{}, newClient(other)))
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(6), 0))
	if got := w.vanished(v, all, since); got != "" {
		t.Errorf("vanished, though the view knows of no removal: %q", got)
	}
	w.check(v.Update(w.ctx, engine.UpdateOptions{NoExpunge: true}, c))
	if got := w.vanished(v, all, since); got != "6" {
		t.Errorf("vanished while the removal of 5 waits: %q, want 6", got)
	}
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, c))
	expect(t, c.take(), "gone 5")
	if got := w.vanished(v, all, since); got != "5:6" {
		t.Errorf("vanished after the update: %q, want 5:6", got)
	}
	if got := w.vanished(v, all, v.Told()); got != "" {
		t.Errorf("vanished since now: %q", got)
	}
}

// Where the history is gone, or never was, sets of UIDs are compared (RFC 7162, section
// 3.2.6).
func TestVanishedWithoutHistory(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(6)
	v := w.open(w.session(), engine.ViewOptions{})
	since := v.Told()
	w.check(v.Expunge(w.ctx, mailaccess.UIDSetOf(2), 0))
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	known := v.Told()
	w.check(v.Expunge(w.ctx, mailaccess.UIDSetOf(4, 6), 0))
	w.check(v.Update(w.ctx, engine.UpdateOptions{}, newClient(v)))
	for _, test := range []struct {
		uids  mailaccess.UIDSet
		since mailaccess.ModSeq
		want  string
	}{
		{mailaccess.UIDSetRange(1, 1000), since, "2,4,6"},
		{mailaccess.UIDSetRange(1, 1000), known, "4,6"},
		{mailaccess.UIDSetRange(3, 5), since, "4"},
		{mailaccess.UIDSet{}, since, ""},
		{mailaccess.UIDSetRange(7, 1000), 0, ""},
		{mailaccess.UIDSetRange(1, 1000), mailaccess.MaxModSeq, "2,4,6"},
	} {
		if got := w.vanished(v, test.uids, test.since); got != test.want {
			t.Errorf("of %s since %d vanished %q, want %q", test.uids, test.since, got, test.want)
		}
	}
	w.check(w.mem.DropHistory("demo", v.Status().ID))
	if got := w.vanished(v, mailaccess.UIDSetRange(1, 5), known); got != "2,4" {
		t.Errorf("without history: vanished %q, want 2,4", got)
	}
	if got := w.vanished(v, mailaccess.UIDSetRange(1, 5), v.Told()); got != "" {
		t.Errorf("since now, without history: vanished %q", got)
	}
}

// Few messages are looked at one by one, of many what changed is asked for; either way
// the same is told.
func TestChanged(t *testing.T) {
	w := newWorld(t, nil)
	w.deliver(600)
	v, other := w.open(w.session(), engine.ViewOptions{}), w.open(w.session(), engine.ViewOptions{})
	since := v.Told()
	_, err := other.SetFlags(w.ctx, mailaccess.UIDSetOf(3, 300, 599), addFlag(mailaccess.FlagSeen), mailaccess.AnyModSeq)
	w.check(err)
	w.check(other.Expunge(w.ctx, mailaccess.UIDSetOf(300), 0))
	w.deliver(1) // the view was not told of it
	for _, test := range []struct {
		uids  mailaccess.UIDSet
		since mailaccess.ModSeq
		want  string
	}{
		{v.UIDs(), since, "3,599"},
		{mailaccess.UIDSetRange(1, 1000), since, "3,599"},
		{mailaccess.UIDSetRange(2, 10), since, "3"},
		{mailaccess.UIDSetRange(4, 599), since, "599"},
		{mailaccess.UIDSetOf(700), since, ""},
		{mailaccess.UIDSetRange(1, 4), 0, "1:4"},
		{v.UIDs(), 0, "1:299,301:600"},
		{v.UIDs(), mailaccess.MaxModSeq, ""},
		{mailaccess.UIDSetOf(3), mailaccess.MaxModSeq, ""},
	} {
		if got := w.changed(v, test.uids, test.since); got != test.want {
			t.Errorf("of %s since %d changed %q, want %q", test.uids, test.since, got, test.want)
		}
	}
}

// synced is a client as RFC 7162, section 6 has it: it knows flags by UID, and a number
// to come back with.
type synced struct {
	t     *rapid.T
	ctx   context.Context
	view  *engine.View
	known map[mailaccess.UID]mailaccess.Flags
	since mailaccess.ModSeq
}

func (s *synced) Gone(g engine.Gone) error {
	for uid := range g.UIDs.All() {
		delete(s.known, uid)
	}
	return nil
}

func (s *synced) Exists(int, mailaccess.UIDSet) error { return nil }
func (s *synced) Keywords(mailaccess.Keywords) error  { return nil }

func (s *synced) Flags(m *engine.Numbered) error {
	if s.view.UID(m.Number) != m.UID {
		s.t.Fatalf("message %d has UID %d, told as %d", m.Number, s.view.UID(m.Number), m.UID)
	}
	s.known[m.UID] = m.Flags
	return nil
}

// fetch takes in the flags of messages.
func (s *synced) fetch(uids mailaccess.UIDSet) {
	for m, err := range s.view.Messages(s.ctx, uids) {
		must(s.t, err)
		s.known[m.UID] = m.Flags
	}
}

func (s *synced) uids() mailaccess.UIDSet {
	return mailaccess.UIDSetOf(slices.Collect(maps.Keys(s.known))...)
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// TestResyncFromAnyPoint: whatever a client was told, and whenever it is cut off, what
// changed and vanished since its number makes what it knows what there is.
func TestResyncFromAnyPoint(t *testing.T) {
	for name, over := range map[string]func(*memory.Store) mailaccess.Store{
		"memory": func(s *memory.Store) mailaccess.Store { return s },
		"hostile": func(s *memory.Store) mailaccess.Store {
			return storetest.Hostile(s, &storetest.HostileOptions{History: 4})
		},
	} {
		t.Run(name, func(t *testing.T) { rapid.Check(t, func(t *rapid.T) { checkResync(t, over) }) })
	}
}

func checkResync(t *rapid.T, over func(*memory.Store) mailaccess.Store) {
	ctx := context.Background()
	mem := memory.New(nil)
	store := over(mem)
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"demo": "secret"})})
	must(t, err)
	defer func() {
		must(t, e.Close())
		must(t, store.Close())
	}()
	s, err := e.Login(ctx, mailaccess.Login{Username: "demo", Password: "secret", Private: true})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	deliver := func() {
		_, err := mem.Deliver(ctx, "demo", mailaccess.Inbox, []byte("Subject: x\n\nx\n"), mailaccess.Flags{}, time.Time{})
		must(t, err)
	}
	for range 4 {
		deliver()
	}
	inbox, err := s.Lookup(ctx, mailaccess.Inbox)
	must(t, err)
	open := func() *synced {
		v, err := s.OpenView(ctx, inbox.ID, engine.ViewOptions{})
		must(t, err)
		c := &synced{t: t, ctx: ctx, view: v, known: map[mailaccess.UID]mailaccess.Flags{}}
		return c
	}
	clients := []*synced{open(), open()}
	var points []synced
	for _, c := range clients {
		defer c.view.Close()
		c.fetch(c.view.UIDs())
	}
	uids := rapid.Custom(func(t *rapid.T) mailaccess.UIDSet {
		first := rapid.IntRange(1, 12).Draw(t, "first")
		return mailaccess.UIDSetRange(mailaccess.UID(first), mailaccess.UID(first+rapid.IntRange(0, 3).Draw(t, "more")))
	})
	flag := rapid.SampledFrom([]mailaccess.SystemFlags{mailaccess.FlagSeen, mailaccess.FlagFlagged})
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		c := rapid.SampledFrom(clients).Draw(t, "client")
		switch rapid.IntRange(0, 5).Draw(t, "step") {
		case 0:
			deliver()
		case 1:
			must(t, c.view.Expunge(ctx, uids.Draw(t, "expunge"), 0))
		case 2:
			change := addFlag(flag.Draw(t, "flag"))
			if rapid.Bool().Draw(t, "remove") {
				change = mailaccess.FlagChange{Remove: change.Add}
			}
			res, err := c.view.SetFlags(ctx, uids.Draw(t, "flagged"), change, mailaccess.AnyModSeq)
			must(t, err)
			for _, commit := range res.Changed {
				c.fetch(commit.UIDs)
			}
		}
		must(t, c.view.Update(ctx, engine.UpdateOptions{NoExpunge: rapid.Bool().Draw(t, "noExpunge")}, c))
		// The client asks for what is new, and is answered: it may be cut off here.
		c.fetch(c.view.UIDs().Minus(c.uids()))
		points = append(points, synced{known: maps.Clone(c.known), since: c.view.Told()})
	}
	for _, p := range points {
		back := open()
		back.known = p.known
		before := p.since
		top := back.uids().Max()
		gone, err := back.view.Vanished(ctx, back.uids(), before)
		must(t, err)
		for uid := range gone.All() {
			delete(back.known, uid)
		}
		for m, err := range back.view.Changed(ctx, back.uids(), before) {
			must(t, err)
			back.known[m.UID] = m.Flags
		}
		must(t, back.compare(top))
		back.view.Close()
	}
}

// compare compares what the client knows with what there is, up to a UID.
func (s *synced) compare(top mailaccess.UID) error {
	there := map[mailaccess.UID]mailaccess.Flags{}
	for m, err := range s.view.Messages(s.ctx, mailaccess.UIDSetRange(1, top)) {
		must(s.t, err)
		there[m.UID] = m.Flags
	}
	if top > 0 && !maps.Equal(there, s.known) {
		return fmt.Errorf("knows %v, there is %v", s.known, there)
	}
	return nil
}
