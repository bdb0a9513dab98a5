package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// modelChecks do random things to the account and to a model of it, and compare
// the two after each step.
func modelChecks() []check {
	var all []check
	for seed := range uint64(8) {
		all = append(all, check{
			name: fmt.Sprintf("Seed%d", seed+1), needs: "Append",
			run: func(e *env) { runModel(e, seed+1, 80) },
		})
	}
	return all
}

// model is an account as it should be.
type model struct {
	e       *env
	rng     *rand.Rand
	boxes   map[mailaccess.MailboxID]*modelBox
	deleted []modelDeleted
	subs    map[string]bool
	subsAt  mailaccess.ModSeq
	state   mailaccess.State
	past    []mailaccess.ModSeq // every number that was the account's at some time
}

type modelBox struct {
	mailaccess.Mailbox
	modSeq   mailaccess.ModSeq
	uidNext  mailaccess.UID
	messages map[mailaccess.UID]mailaccess.Message
	vanished []mailaccess.Vanished
}

type modelDeleted struct {
	mailaccess.DeletedMailbox
	created mailaccess.ModSeq
}

func runModel(e *env, seed uint64, steps int) {
	m := &model{e: e, rng: rand.New(rand.NewPCG(seed, 0)), boxes: map[mailaccess.MailboxID]*modelBox{}, subs: map[string]bool{}}
	for _, mb := range e.mailboxes() {
		s := e.status(mb.ID)
		b := &modelBox{Mailbox: mb, modSeq: s.ModSeq, uidNext: s.UIDNext, messages: map[mailaccess.UID]mailaccess.Message{}}
		for _, msg := range e.list(mb.ID) {
			b.messages[msg.UID] = msg
		}
		m.boxes[mb.ID] = b
	}
	if e.caps.Subscriptions != nil {
		for _, n := range e.subscriptions() {
			m.subs[n] = true
		}
	}
	m.state = e.state()
	m.past = append(m.past, m.state.ModSeq)
	for i := range steps {
		what := m.step()
		e.Logf("step %d: %s, now at %d", i, what, m.state.ModSeq)
		m.compare()
		m.compareChanges(m.past[m.rng.IntN(len(m.past))])
		if e.Failed() {
			e.FailNow()
		}
	}
	for _, since := range m.past {
		m.compareChanges(since)
	}
}

// step does one random thing that the store can do.
func (m *model) step() string {
	caps := &m.e.caps
	actions := []struct {
		weight int
		can    bool
		do     func() string
	}{
		{6, true, m.append},
		{6, caps.Flags != nil, m.setFlags},
		{3, caps.Expunge != nil, m.expunge},
		{3, caps.Copy != nil, m.copy},
		{3, caps.Move != nil && len(m.boxes) > 1, m.move},
		{2, caps.Mailboxes != nil && len(m.boxes) < 6, m.create},
		{1, caps.Mailboxes != nil && len(m.boxes) > 1, m.rename},
		{1, caps.Mailboxes != nil && len(m.boxes) > 2, m.remove},
		{1, caps.Subscriptions != nil, m.subscribe},
	}
	total := 0
	for _, a := range actions {
		if a.can {
			total += a.weight
		}
	}
	n := m.rng.IntN(total)
	for _, a := range actions {
		if !a.can {
			continue
		}
		if n -= a.weight; n < 0 {
			return a.do()
		}
	}
	return "nothing"
}

// box returns a random mailbox.
func (m *model) box() *modelBox {
	ids := slices.Sorted(maps.Keys(m.boxes))
	return m.boxes[ids[m.rng.IntN(len(ids))]]
}

// some returns a random set of UIDs: those of messages, and others.
func (m *model) some(b *modelBox, most int) mailaccess.UIDSet {
	var set mailaccess.UIDSet
	for range m.rng.IntN(most + 1) {
		set = set.With(mailaccess.UID(m.rng.IntN(int(b.uidNext) + 2)))
	}
	return set
}

// in returns the messages of b in uids, ascending.
func (b *modelBox) in(uids mailaccess.UIDSet) []mailaccess.Message {
	var ms []mailaccess.Message
	for _, u := range slices.Sorted(maps.Keys(b.messages)) {
		if uids.Contains(u) {
			ms = append(ms, b.messages[u])
		}
	}
	return ms
}

func (m *model) flags() mailaccess.Flags {
	f := mailaccess.Flags{System: mailaccess.SystemFlags(m.rng.IntN(32))}
	for _, w := range []string{"Work", "$Forwarded", "later"} {
		if m.rng.IntN(4) == 0 {
			f.Keywords = f.Keywords.Union(keywords(w))
		}
	}
	return m.e.kept(f)
}

// reached says that box was changed by number n.
func (m *model) reached(b *modelBox, n mailaccess.ModSeq) {
	b.modSeq = max(b.modSeq, n)
	m.state.ModSeq = max(m.state.ModSeq, n)
}

func (m *model) arrived(b *modelBox, ms []mailaccess.Message) {
	for _, msg := range ms {
		if msg.UID < b.uidNext {
			m.e.Errorf("UID %d, UIDNEXT was %d", msg.UID, b.uidNext)
		}
		b.uidNext = msg.UID + 1
		b.messages[msg.UID] = msg
		m.reached(b, msg.ModSeq)
	}
}

func (m *model) left(b *modelBox, uid mailaccess.UID, n mailaccess.ModSeq) {
	msg := b.messages[uid]
	b.vanished = append(b.vanished, mailaccess.Vanished{UID: uid, Created: msg.Created, ModSeq: n, EmailID: msg.EmailID, ThreadID: msg.ThreadID})
	delete(b.messages, uid)
	m.reached(b, n)
}

func (m *model) append() string {
	e, b := m.e, m.box()
	n := 1
	if e.caps.AppendMany {
		n += m.rng.IntN(3)
	}
	msgs := make([]mailaccess.NewMessage, n)
	for i := range msgs {
		msgs[i] = mailaccess.NewMessage{Staged: e.stage(e.letter()), Flags: m.flags(), Received: someDay.Add(time.Duration(m.rng.IntN(1e6)) * time.Second)}
	}
	before := m.state.ModSeq
	res, err := e.caps.Append.Append(e.ctx, b.ID, msgs)
	if err != nil || len(res.Messages) != n {
		e.Fatalf("Append of %d: %+v, %v", n, res, err)
	}
	for i, msg := range res.Messages {
		want := mailaccess.Message{
			UID: msg.UID, ModSeq: res.Messages[0].ModSeq, Created: res.Messages[0].ModSeq, Flags: msgs[i].Flags, Size: msgs[i].Staged.Size(),
			Received: msgs[i].Received, Saved: msg.Saved, EmailID: msg.EmailID, ThreadID: msg.ThreadID,
		}
		if !sameMessage(msg, want) || msg.ModSeq <= before {
			e.Errorf("Append returned %+v, want %+v, above %d", msg, want, before)
		}
	}
	m.arrived(b, res.Messages)
	return fmt.Sprintf("append %d to %q", n, b.Name)
}

func (m *model) setFlags() string {
	e, b := m.e, m.box()
	uids := m.some(b, 8)
	change := mailaccess.FlagChange{Replace: m.rng.IntN(4) == 0, Add: m.flags(), Remove: m.flags()}
	if change.Replace {
		change.Remove = mailaccess.Flags{}
	}
	since := mailaccess.AnyModSeq
	if m.rng.IntN(3) == 0 {
		since = m.past[m.rng.IntN(len(m.past))]
	}
	before := m.state.ModSeq
	res, err := e.caps.Flags.SetFlags(e.ctx, b.ID, uids, change, since)
	if err != nil {
		e.Fatalf("SetFlags: %v", err)
	}
	var want, conflict mailaccess.UIDSetBuilder
	for _, msg := range b.in(uids) {
		switch {
		case msg.ModSeq > since:
			conflict.AddUID(msg.UID)
		case change.Apply(msg.Flags) != msg.Flags:
			want.AddUID(msg.UID)
		}
	}
	if !res.Conflict.Equal(conflict.Set()) {
		e.Errorf("SetFlags(%s, %+v, %d): conflict %s, want %s", uids, change, since, res.Conflict, conflict.Set())
	}
	for uid, n := range e.changed("SetFlags", res.Changed, want.Set(), before) {
		msg := b.messages[uid]
		msg.Flags, msg.ModSeq = change.Apply(msg.Flags), n
		b.messages[uid] = msg
		m.reached(b, n)
	}
	return fmt.Sprintf("flags of %s in %q", uids, b.Name)
}

func (m *model) expunge() string {
	e, b := m.e, m.box()
	uids := m.some(b, 5)
	var need mailaccess.SystemFlags
	if m.rng.IntN(2) == 0 {
		need = e.caps.SystemFlags & mailaccess.FlagDeleted
	}
	before := m.state.ModSeq
	commits, err := e.caps.Expunge.Expunge(e.ctx, b.ID, uids, need)
	if err != nil {
		e.Fatalf("Expunge: %v", err)
	}
	var want mailaccess.UIDSetBuilder
	for _, msg := range b.in(uids) {
		if msg.Flags.System.Has(need) {
			want.AddUID(msg.UID)
		}
	}
	for uid, n := range e.changed("Expunge", commits, want.Set(), before) {
		m.left(b, uid, n)
	}
	return fmt.Sprintf("expunge %s, those with %b, from %q", uids, need, b.Name)
}

// came checks a copy or a move and returns what is now in dst.
func (m *model) came(what string, res mailaccess.Copied, from []mailaccess.Message, dst *modelBox) []mailaccess.Message {
	before := mailaccess.Status{Mailbox: dst.Mailbox, UIDNext: dst.uidNext}
	m.e.copied(what, res, from, dst.ID, before)
	if len(from) == 0 {
		return nil
	}
	ms := m.e.listOf(dst.ID, res.Dest)
	for _, msg := range ms {
		if msg.ModSeq <= m.state.ModSeq {
			m.e.Errorf("%s: number %d, the account was at %d", what, msg.ModSeq, m.state.ModSeq)
		}
	}
	return ms
}

func (m *model) copy() string {
	e, src, dst := m.e, m.box(), m.box()
	uids := m.some(src, 4)
	if from := src.in(uids); !e.caps.CopyMany && len(from) > 1 {
		uids = mailaccess.UIDSetOf(from[0].UID)
	}
	res, err := e.caps.Copy.Copy(e.ctx, src.ID, uids, dst.ID)
	if err != nil {
		e.Fatalf("Copy: %v", err)
	}
	ms := m.came("Copy", res, src.in(uids), dst)
	for _, msg := range ms {
		if msg.ModSeq != ms[0].ModSeq {
			e.Errorf("Copy: numbers %d and %d, want one", ms[0].ModSeq, msg.ModSeq)
		}
	}
	m.arrived(dst, ms)
	return fmt.Sprintf("copy %s from %q to %q", uids, src.Name, dst.Name)
}

func (m *model) move() string {
	e, src, dst := m.e, m.box(), m.box()
	for dst == src {
		dst = m.box()
	}
	uids := m.some(src, 4)
	res, err := e.move(src.ID, uids, dst.ID)
	if err != nil {
		e.Fatalf("Move: %v", err)
	}
	from := src.in(uids)
	ms := m.came("Move", res, from, dst)
	m.arrived(dst, ms)
	for i, msg := range ms {
		m.left(src, from[i].UID, msg.ModSeq) // one transaction, one number
	}
	return fmt.Sprintf("move %s from %q to %q", uids, src.Name, dst.Name)
}

func (m *model) name() string {
	names := []string{"a", "b", "c", "a/x", "a/y", "b/x", "a/x/1", "ab"}
	return names[m.rng.IntN(len(names))]
}

func (m *model) taken(name string) bool {
	for _, b := range m.boxes {
		if b.Name == name {
			return true
		}
	}
	return false
}

// account says that the account itself has changed, and returns the number.
func (m *model) account() mailaccess.ModSeq {
	m.e.Helper()
	now := m.e.state()
	if now.Epoch != m.state.Epoch || now.ModSeq <= m.state.ModSeq {
		m.e.Errorf("the state is %+v, was %+v", now, m.state)
	}
	m.state = now
	return now.ModSeq
}

// refused checks an error and that it came for one of the right reasons.
func (m *model) refused(what string, err error, kind mailaccess.Kind) string {
	m.e.Helper()
	m.e.supported(what, err)
	m.e.wantKind(what, err, kind)
	return what + " (refused)"
}

func (m *model) create() string {
	e, name := m.e, m.name()
	what := fmt.Sprintf("create %q", name)
	mb, err := e.caps.Mailboxes.CreateMailbox(e.ctx, name, 0)
	if m.taken(name) {
		return m.refused(what, err, mailaccess.KindExists)
	}
	if err != nil {
		return m.refused(what, err, mailaccess.KindInvalid) // a name that the store cannot keep
	}
	n := m.account()
	if mb.Name != name || mb.Created != n || mb.Changed != n || m.boxes[mb.ID] != nil {
		e.Errorf("CreateMailbox(%q) = %+v, the account is at %d", name, mb, n)
	}
	for _, d := range m.deleted {
		if d.ID == mb.ID {
			e.Errorf("CreateMailbox(%q): id %s was that of %q", name, mb.ID, d.Name)
		}
	}
	m.boxes[mb.ID] = &modelBox{Mailbox: mb, modSeq: n, uidNext: e.status(mb.ID).UIDNext, messages: map[mailaccess.UID]mailaccess.Message{}}
	return what
}

func (m *model) rename() string {
	e, b, to := m.e, m.box(), m.name()
	for b.Name == mailaccess.Inbox {
		b = m.box()
	}
	if b.Name == to {
		return "rename to the same name (not tried)"
	}
	from := b.Name
	what := fmt.Sprintf("rename %q to %q", from, to)
	err := e.caps.Mailboxes.RenameMailbox(e.ctx, b.ID, to)
	moved := map[*modelBox]string{b: to}
	for _, o := range m.boxes {
		if rest, ok := strings.CutPrefix(o.Name, from+"/"); ok {
			moved[o] = to + "/" + rest
		}
	}
	if strings.HasPrefix(to, from+"/") {
		return m.refused(what, err, mailaccess.KindInvalid)
	}
	for _, o := range m.boxes {
		if _, moves := moved[o]; !moves && slices.Contains(slices.Collect(maps.Values(moved)), o.Name) {
			return m.refused(what, err, mailaccess.KindExists)
		}
	}
	if err != nil {
		return m.refused(what, err, mailaccess.KindInvalid) // a name that the store cannot keep
	}
	n := m.account()
	for o, name := range moved {
		o.Name, o.Changed = name, n
		m.reached(o, n)
	}
	return what
}

func (m *model) remove() string {
	e, b := m.e, m.box()
	for b.Name == mailaccess.Inbox {
		b = m.box()
	}
	e.remove(b.ID)
	n := m.account()
	m.deleted = append(m.deleted, modelDeleted{mailaccess.DeletedMailbox{ID: b.ID, Name: b.Name, ModSeq: n}, b.Created})
	delete(m.boxes, b.ID)
	return fmt.Sprintf("delete %q", b.Name)
}

func (m *model) subscribe() string {
	name, on := m.name(), m.rng.IntN(2) == 0
	m.e.subscribe(name, on)
	if m.subs[name] != on {
		m.subsAt = m.account()
	}
	m.subs[name] = on
	return fmt.Sprintf("subscribe %q %t", name, on)
}
