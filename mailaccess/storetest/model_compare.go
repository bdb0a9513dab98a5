package storetest

import (
	"maps"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// compare reads the account whole and compares it with the model.
func (m *model) compare() {
	e := m.e
	if now := e.state(); now != m.state {
		e.Errorf("the state is %+v, want %+v", now, m.state)
	}
	if m.past[len(m.past)-1] != m.state.ModSeq {
		m.past = append(m.past, m.state.ModSeq)
	}
	boxes := e.mailboxes()
	if len(boxes) != len(m.boxes) {
		e.Errorf("Mailboxes: %d, want %d", len(boxes), len(m.boxes))
	}
	for _, mb := range boxes {
		b := m.boxes[mb.ID]
		if b == nil {
			e.Errorf("Mailboxes: %+v, which is not in the model", mb)
			continue
		}
		if mb != b.Mailbox {
			e.Errorf("Mailboxes: %+v, want %+v", mb, b.Mailbox)
		}
		m.compareBox(b)
	}
	if e.caps.Subscriptions == nil {
		return
	}
	var want []string
	for _, n := range slices.Sorted(maps.Keys(m.subs)) {
		if m.subs[n] {
			want = append(want, n)
		}
	}
	if got := e.subscriptions(); !slices.Equal(got, want) {
		e.Errorf("Subscriptions: %q, want %q", got, want)
	}
}

func (m *model) compareBox(b *modelBox) {
	e := m.e
	snap, list := e.snapshot(b.ID), e.list(b.ID)
	e.countsAddUp(b.Name, snap, list)
	e.sameMessages(b.Name, list, b.in(everyUID()))
	if snap.ModSeq != b.modSeq {
		e.Errorf("%q is at %d, want %d", b.Name, snap.ModSeq, b.modSeq)
	}
	if snap.UIDNext < b.uidNext {
		e.Errorf("%q: UIDNEXT %d, want at least %d", b.Name, snap.UIDNext, b.uidNext)
	}
	b.uidNext = snap.UIDNext
}

// compareChanges asks the account and every mailbox what changed after since.
func (m *model) compareChanges(since mailaccess.ModSeq) {
	e := m.e
	for _, b := range m.boxes {
		c, ok := e.changesSince(b.ID, since)
		if !ok {
			if since >= b.modSeq {
				e.Errorf("%q: the history since %d is gone, the mailbox is at %d", b.Name, since, b.modSeq)
			}
			continue
		}
		m.compareMailboxChanges(b, since, c)
	}
	m.compareAccountChanges(mailaccess.State{Epoch: m.state.Epoch, ModSeq: since})
	m.compareAccountChanges(mailaccess.State{})
}

func (m *model) compareMailboxChanges(b *modelBox, since mailaccess.ModSeq, c changes) {
	e := m.e
	if want := max(since, b.modSeq); c.upTo != want {
		e.Errorf("%q since %d: up to %d, want %d", b.Name, since, c.upTo, want)
	}
	want := slices.DeleteFunc(b.in(everyUID()), func(msg mailaccess.Message) bool { return msg.ModSeq <= since })
	e.sameMessages(b.Name+" changed", c.messages, want)
	got := slices.Clone(c.vanished)
	for _, v := range b.vanished {
		i := slices.Index(got, v)
		if i >= 0 {
			got = slices.Delete(got, i, i+1)
		}
		if v.ModSeq > since != (i >= 0) {
			e.Errorf("%q since %d: vanished %+v, %+v is wrong or missing", b.Name, since, c.vanished, v)
		}
	}
	if len(got) != 0 {
		e.Errorf("%q since %d: vanished %+v, which never did so", b.Name, since, got)
	}
}

func (m *model) compareAccountChanges(since mailaccess.State) {
	e := m.e
	zero := since == mailaccess.State{}
	c, err := e.acct.Changes(e.ctx, since)
	if !zero && e.forgotten(err) {
		return
	}
	if err != nil {
		e.Fatalf("Changes since %+v: %v", since, err)
	}
	if c.UpTo != m.state {
		e.Errorf("Changes since %+v: up to %+v, want %+v", since, c.UpTo, m.state)
	}
	got := e.statusesOf(c)
	for _, b := range m.boxes {
		s, listed := got[b.ID]
		if want := b.modSeq > since.ModSeq; listed != want || want && s != e.status(b.ID) {
			e.Errorf("Changes since %+v: %q is at %d, the answer has %+v", since, b.Name, b.modSeq, s)
		}
		delete(got, b.ID)
	}
	if len(got) != 0 {
		e.Errorf("Changes since %+v has %+v", since, got)
	}
	left := slices.Clone(c.Deleted)
	for _, d := range m.deleted {
		i := slices.Index(left, d.DeletedMailbox)
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
		must := d.ModSeq > since.ModSeq && d.created <= since.ModSeq && !zero
		if must && i < 0 || d.ModSeq <= since.ModSeq && i >= 0 {
			e.Errorf("Changes since %+v: deleted %+v; %+v (created %d) is wrong or missing", since, c.Deleted, d.DeletedMailbox, d.created)
		}
	}
	if len(left) != 0 {
		e.Errorf("Changes since %+v: deleted %+v, which never were", since, left)
	}
	if changed := m.subsAt > since.ModSeq; c.Subscriptions != changed && !zero {
		e.Errorf("Changes since %+v: subscriptions %t, they changed at %d", since, c.Subscriptions, m.subsAt)
	}
}
