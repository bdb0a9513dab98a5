package storetest

import (
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

func rightsChecks() []check {
	return []check{
		{"ReadOnly", "Append", checkReadOnly},
		{"ReadOnlyReads", "Messages", checkReadOnlyReads},
		{"Seen", "Append Flags", checkRightSeen},
		{"Deleted", "Append Flags", checkRightDeleted},
		{"Insert", "Append", checkRightInsert},
		{"FlagsPassedOver", "Messages Flags", checkFlagsPassedOver},
		{"AppendWithoutFlags", "Append", checkAppendWithoutFlags},
		{"NoRead", "Messages", checkNoRead},
		{"TwoSessions", "Append", checkRightsTwoSessions},
	}
}

// attempts are all the ways to change something in box and around it, as an
// account offers them.
func (e *env) attempts(a mailaccess.Account, box, other mailaccess.MailboxID, uid mailaccess.UID, needed mailaccess.Rights) map[string]func() error {
	caps := a.Capabilities()
	one := mailaccess.UIDSetOf(uid)
	all := map[string]func() error{}
	try := func(what string, right mailaccess.Rights, has bool, f func() error) {
		if has && needed&right != 0 {
			all[what] = f
		}
	}
	flag := func(f mailaccess.SystemFlags) func() error {
		return func() error {
			_, err := caps.Flags.SetFlags(e.ctx, box, one, add(f), mailaccess.AnyModSeq)
			return err
		}
	}
	try("Append", mailaccess.RightInsert, caps.Append != nil, func() error {
		_, err := appendTo(e, a, box, letter(1))
		return err
	})
	flags := caps.Flags != nil
	try("SetFlags(Seen)", mailaccess.RightSeen, flags && caps.SystemFlags.Has(mailaccess.FlagSeen), flag(mailaccess.FlagSeen))
	try("SetFlags(Deleted)", mailaccess.RightDeleted, flags && caps.SystemFlags.Has(mailaccess.FlagDeleted), flag(mailaccess.FlagDeleted))
	try("SetFlags(Flagged)", mailaccess.RightFlags, flags && caps.SystemFlags.Has(mailaccess.FlagFlagged), flag(mailaccess.FlagFlagged))
	try("SetFlags(keyword)", mailaccess.RightFlags, flags && caps.NewKeywords, func() error {
		_, err := caps.Flags.SetFlags(e.ctx, box, one, add(0, "Work"), mailaccess.AnyModSeq)
		return err
	})
	try("Expunge", mailaccess.RightExpunge, caps.Expunge != nil, func() error {
		_, err := caps.Expunge.Expunge(e.ctx, box, one, 0)
		return err
	})
	try("Copy", mailaccess.RightInsert, caps.Copy != nil, func() error {
		_, err := caps.Copy.Copy(e.ctx, box, one, other)
		return err
	})
	try("Move", mailaccess.RightInsert|mailaccess.RightExpunge, caps.Move != nil && box != other, func() error {
		for range 100 {
			if _, err := caps.Move.Move(e.ctx, box, one, other); err != mailaccess.ErrSkip {
				return err
			}
		}
		return mailaccess.KindForbidden // declined for good
	})
	try("Replace", mailaccess.RightExpunge, caps.Replace != nil, func() error {
		s, err := caps.Append.Stage(e.ctx, -1)
		if err != nil {
			return err
		}
		defer s.Close()
		if _, err := s.Write(letter(1)); err != nil {
			return err
		}
		for range 100 {
			if _, err := caps.Replace.Replace(e.ctx, box, uid, other, mailaccess.NewMessage{Staged: s}); err != mailaccess.ErrSkip {
				return err
			}
		}
		return mailaccess.KindForbidden // declined for good
	})
	try("CreateMailbox", mailaccess.RightCreate, caps.Mailboxes != nil, func() error {
		_, err := caps.Mailboxes.CreateMailbox(e.ctx, "Made by nobody", 0)
		return err
	})
	try("RenameMailbox", mailaccess.RightRemove, caps.Mailboxes != nil && box != other, func() error {
		return caps.Mailboxes.RenameMailbox(e.ctx, other, "Renamed by nobody")
	})
	try("DeleteMailbox", mailaccess.RightRemove, caps.Mailboxes != nil && box != other, func() error {
		return caps.Mailboxes.DeleteMailbox(e.ctx, other)
	})
	return all
}

// second returns a second mailbox, or INBOX when there is none to be had.
func (e *env) second() mailaccess.MailboxID {
	e.Helper()
	if e.caps.Mailboxes != nil {
		if m, err := e.caps.Mailboxes.CreateMailbox(e.ctx, "Papers", 0); err == nil {
			return m.ID
		}
	}
	return e.inbox().ID
}

// Whoever may only read is told so, by the store, whatever he tries.
func checkReadOnly(e *env) {
	box, other := e.inbox().ID, e.second()
	m := e.fill(box, 1)[0]
	names := e.names()
	a := e.openWith(mailaccess.RightsReadOnly)
	for what, try := range e.attempts(a, box, other, m.UID, mailaccess.RightsAll) {
		e.takesNone(what+" by one who may only read", func() {
			e.wantKind(what+" by one who may only read", try(), mailaccess.KindForbidden, mailaccess.KindUnsupported)
		})
	}
	if got := e.names(); !slices.Equal(got, names) {
		e.Errorf("Mailboxes: %q, were %q", got, names)
	}
	if got := e.message(box, m.UID); !sameMessage(got, m) {
		e.Errorf("the message was %+v, is %+v", m, got)
	}
}

func checkReadOnlyReads(e *env) {
	box := e.inbox().ID
	body := e.letter()
	m := e.appendNew(box, body, mailaccess.Flags{}, someDay)
	a := e.openWith(mailaccess.RightsReadOnly)
	mb, err := a.Lookup(e.ctx, mailaccess.Inbox)
	if err != nil || mb.Rights != mailaccess.RightsReadOnly {
		e.Errorf("Lookup: %v, rights %b, want %b", err, mb.Rights, mailaccess.RightsReadOnly)
	}
	for mb, err := range a.Mailboxes(e.ctx) {
		if err != nil || mb.Rights != mailaccess.RightsReadOnly {
			e.Errorf("Mailboxes: %v, %q has rights %b, want %b", err, mb.Name, mb.Rights, mailaccess.RightsReadOnly)
		}
	}
	if s, err := a.Status(e.ctx, box); err != nil || s.Rights != mailaccess.RightsReadOnly {
		e.Errorf("Status: %v, rights %b", err, s.Rights)
	}
	ms, err := collect(a.Messages(e.ctx, box, everyUID()))
	if err != nil || len(ms) != 1 || !sameMessage(ms[0], m) {
		e.Errorf("Messages: %+v, %v", ms, err)
	}
	c, err := a.Content(e.ctx, m.EmailID)
	if err != nil {
		e.Fatalf("Content: %v", err)
	}
	defer c.Close()
	if got, err := readAll(c); err != nil || string(got) != string(body) {
		e.Errorf("Content: %q, %v", got, err)
	}
}

// limited checks that with rights on top of reading what needs them works and
// what needs others does not.
func (e *env) limited(rights mailaccess.Rights) {
	e.Helper()
	box := e.inbox().ID
	a := e.openWith(mailaccess.RightRead | rights)
	m := e.fill(box, 1)[0]
	for what, try := range e.attempts(a, box, box, m.UID, mailaccess.RightsAll&^rights) {
		e.takesNone(what+" without the right", func() {
			e.wantKind(what+" without the right", try(), mailaccess.KindForbidden, mailaccess.KindUnsupported)
		})
	}
	for what, try := range e.attempts(a, box, box, m.UID, rights) {
		e.takesOne(what+" with the right", func() {
			if err := try(); err != nil {
				e.Errorf("%s with the right: %v", what, err)
			}
		})
	}
}

func checkRightSeen(e *env)    { e.limited(mailaccess.RightSeen) }
func checkRightDeleted(e *env) { e.limited(mailaccess.RightDeleted) }
func checkRightInsert(e *env)  { e.limited(mailaccess.RightInsert) }

// Rights are the session's, not the account's.
func checkRightsTwoSessions(e *env) {
	box := e.inbox().ID
	limited := e.openWith(mailaccess.RightsReadOnly)
	full := e.openAgain()
	if _, err := appendTo(e, full, box, e.letter()); err != nil {
		e.Errorf("Append by the owner: %v", err)
	}
	if limited.Capabilities().Append != nil {
		_, err := appendTo(e, limited, box, e.letter())
		e.wantKind("Append by one who may only read", err, mailaccess.KindForbidden)
	}
	if s, err := full.Status(e.ctx, box); err != nil || s.Rights == mailaccess.RightsReadOnly {
		e.Errorf("the owner's rights are %b, %v", s.Rights, err)
	}
}

// RFC 4314, section 4: flags that the identity may not change are passed over as
// long as there is one that it may.
func checkFlagsPassedOver(e *env) {
	seen, flagged := mailaccess.FlagSeen, mailaccess.FlagFlagged
	if !e.caps.SystemFlags.Has(seen | flagged) {
		e.Skip("needs SystemFlags")
	}
	box := e.inbox().ID
	f := e.openWith(mailaccess.RightRead | mailaccess.RightSeen).Capabilities().Flags
	if f == nil {
		e.Skip("needs Flags for one who may change some")
	}
	for _, step := range []struct {
		was    mailaccess.SystemFlags
		change mailaccess.FlagChange
		want   mailaccess.SystemFlags
	}{
		{0, add(seen | flagged), seen},
		{seen | flagged, remove(seen | flagged), flagged},
		{flagged, mailaccess.FlagChange{Replace: true, Add: mailaccess.Flags{System: seen}}, seen | flagged},
	} {
		m := e.fill(box, 1)[0]
		one := mailaccess.UIDSetOf(m.UID)
		e.setFlags(box, one, add(step.was))
		if _, err := f.SetFlags(e.ctx, box, one, step.change, mailaccess.AnyModSeq); err != nil {
			e.Errorf("SetFlags(%+v): %v", step.change, err)
		}
		if got := e.message(box, m.UID).Flags.System; got != step.want {
			e.Errorf("%05b became %05b by %+v, want %05b", step.was, got, step.change, step.want)
		}
	}
}

// RFC 4314, section 4: a message is appended without the flags that the identity
// may not set.
func checkAppendWithoutFlags(e *env) {
	a := e.openWith(mailaccess.RightRead | mailaccess.RightInsert | mailaccess.RightSeen)
	if a.Capabilities().Append == nil {
		e.Skip("needs Append for one who may insert")
	}
	box := e.inbox().ID
	s, err := a.Capabilities().Append.Stage(e.ctx, -1)
	if err != nil {
		e.Fatalf("Stage: %v", err)
	}
	defer s.Close()
	if _, err := s.Write(e.letter()); err != nil {
		e.Fatalf("Write: %v", err)
	}
	flags := mailaccess.Flags{System: mailaccess.SystemFlagsAll, Keywords: keywords("Work")}
	res, err := a.Capabilities().Append.Append(e.ctx, box, []mailaccess.NewMessage{{Staged: s, Flags: flags}})
	if err != nil {
		e.Fatalf("Append: %v", err)
	}
	want := e.kept(mailaccess.Flags{System: mailaccess.FlagSeen})
	if got := res.Messages[0].Flags; got != want || e.message(box, res.Messages[0].UID).Flags != want {
		e.Errorf("appended with %05b %q, want what may be set, %05b", got.System, got.Keywords, want.System)
	}
}

// Without RightRead a mailbox is listed and not looked into, or the account does
// not open.
func checkNoRead(e *env) {
	box := e.inbox().ID
	e.fill(box, 1)
	who := e.h.Identity
	who.Without |= mailaccess.RightsAll &^ mailaccess.RightInsert
	a, err := e.store.Open(e.ctx, e.h.Account, who)
	if err != nil {
		e.wantKind("Open by one who may not read", err, mailaccess.KindForbidden)
		return
	}
	defer a.Close()
	if m, err := a.Lookup(e.ctx, mailaccess.Inbox); err != nil || m.ID != box || m.Rights.Has(mailaccess.RightRead) {
		e.Errorf("Lookup: %+v, %v; want it, without RightRead", m, err)
	}
	_, err = a.Snapshot(e.ctx, box)
	e.wantKind("Snapshot", err, mailaccess.KindForbidden)
	_, err = collect(a.Messages(e.ctx, box, everyUID()))
	e.wantKind("Messages", err, mailaccess.KindForbidden)
	_, err = a.MailboxChanges(e.ctx, box, 0)
	e.wantKind("MailboxChanges", err, mailaccess.KindForbidden)

	if _, err := a.State(e.ctx); err != nil {
		e.Errorf("State: %v", err)
	}
	// Changes name it, and show nothing of what is in it.
	c, err := a.Changes(e.ctx, mailaccess.State{})
	if err != nil {
		e.Fatalf("Changes: %v", err)
	}
	i := slices.IndexFunc(c.Mailboxes, func(s mailaccess.Status) bool { return s.ID == box })
	if i < 0 {
		e.Fatalf("Changes: %+v, INBOX is missing", c.Mailboxes)
	}
	m := c.Mailboxes[i].Mailbox
	if got, want := c.Mailboxes[i], (mailaccess.Status{Mailbox: m, ModSeq: m.Changed}); got != want {
		e.Errorf("Changes: %+v, want %+v", got, want)
	}
	e.fill(box, 1)
	switch c, err := a.Changes(e.ctx, c.UpTo); {
	case e.forgotten(err):
	case err != nil:
		e.Errorf("Changes: %v", err)
	case len(c.Mailboxes) != 0:
		e.Errorf("Changes after an arrival: %+v, want nothing", c.Mailboxes)
	}
}
