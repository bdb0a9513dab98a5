package hooks

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
)

// chunk is how many messages are changed before they are recorded, and before
// others get their turn.
const chunk = 64

// record commits what the application has agreed to. When that fails, nobody can
// say what will be remembered: the application is right.
func (a *account) record(op string, w *work, boxes []*mailbox, build func(t *txn) error) (mailaccess.ModSeq, error) {
	n, err := a.commit(op, w, build)
	if err == nil {
		return n, nil
	}
	a.doubt(boxes...)
	if errors.Is(err, mailaccess.KindNotFound) {
		return 0, err
	}
	return 0, fail(op, mailaccess.KindUncertain, "", err)
}

// SetFlags changes flags: the application is told message by message.
func (h *handle) SetFlags(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, change mailaccess.FlagChange, unchangedSince mailaccess.ModSeq) (res mailaccess.FlagResult, err error) {
	const op = "set flags"
	b, err := h.look(ctx, op, box, 0)
	if err != nil {
		return res, err
	}
	s := flagSetting{handle: h, op: op, b: b, uids: uids, change: change, unchangedSince: unchangedSince, rights: flagrights.Of(h.rights)}
	if !s.rights.Allow(change) {
		return res, fail(op, mailaccess.KindForbidden, string(box), nil)
	}
	for s.next = 1; s.next != 0 && err == nil; {
		if err = h.begin(ctx, op, 0); err != nil {
			break
		}
		var c mailaccess.Commit
		if c, err = s.transaction(ctx); c.ModSeq != 0 {
			res.Changed = append(res.Changed, c)
		}
	}
	res.Conflict = s.conflict.Set()
	return res, err
}

// flagSetting is a call of SetFlags.
type flagSetting struct {
	*handle
	op             string
	b              *mailbox
	uids           mailaccess.UIDSet
	change         mailaccess.FlagChange
	unchangedSince mailaccess.ModSeq
	rights         flagrights.Flags

	next     mailaccess.UID // where the next transaction begins; 0: it is done
	conflict mailaccess.UIDSetBuilder
}

// transaction changes the next messages. On an error those before the one that it
// concerns are done.
func (s *flagSetting) transaction(ctx context.Context) (done mailaccess.Commit, err error) {
	w, err := s.work(ctx, s.op, s.b)
	if err != nil {
		return done, err
	}
	defer w.done()
	todo, name, err := s.plan()
	var agreed []flagged
	for _, c := range todo {
		if e := ctx.Err(); e != nil {
			err = fail(s.op, mailaccess.KindUnavailable, string(s.b.ID), e)
			break
		}
		u := Change{
			Ref:    Ref{Mailbox: name, Key: c.e.key},
			Add:    words(c.f.Minus(c.e.flags)),
			Remove: words(c.e.flags.Minus(c.f)),
		}
		e := s.tell(ctx, s.op, func(ctx context.Context) error {
			return appError(s.op, name, s.store.app.UpdateMailItem(ctx, s.name, u))
		}, s.b)
		if errors.Is(e, mailaccess.KindNotFound) {
			s.doubt(s.b) // it has just gone
			continue
		}
		if e != nil {
			err = e
			break
		}
		agreed = append(agreed, c)
	}
	if len(agreed) == 0 {
		return done, err
	}
	var changed mailaccess.UIDSetBuilder
	n, e := s.record(s.op, w, []*mailbox{s.b}, func(t *txn) error {
		if s.b.deleted {
			return notFound(s.op, s.b.ID)
		}
		x := t.box(s.b)
		for _, c := range agreed {
			t.flag(x, c.e, c.f)
			changed.AddUID(c.e.uid)
		}
		return nil
	})
	if e != nil {
		return done, e
	}
	return mailaccess.Commit{ModSeq: n, UIDs: changed.Set()}, err
}

// plan returns what the next transaction shall do, and the mailbox's name. An
// error concerns the message after those returned.
func (s *flagSetting) plan() (todo []flagged, name string, err error) {
	if err := s.begun(s.op, s.b); err != nil {
		s.next = 0
		return nil, "", err
	}
	defer s.mu.Unlock()
	from := s.next
	s.next = 0
	s.b.walk(s.uids, from, func(e *entry) bool {
		if len(todo) == chunk {
			s.next = e.uid
			return false
		}
		if e.modseq > s.unchangedSince {
			s.conflict.AddUID(e.uid)
			return true
		}
		f := s.apply(s.rights, s.change, e.flags)
		if n := f.Keywords.Len(); n > mailaccess.MaxKeywords {
			err = fail(s.op, mailaccess.KindLimit, string(s.b.ID), errors.New("too many keywords for a message"))
			return false
		}
		k, whole := s.b.spell(f.Keywords, s.store.opts.MaxKeywords)
		if !whole {
			err = fail(s.op, mailaccess.KindLimit, string(s.b.ID), errors.New("too many keywords for a mailbox"))
			return false
		}
		if f.Keywords = k; f != e.flags {
			todo = append(todo, flagged{e, f})
		}
		return true
	})
	return todo, s.b.appName, err
}

// walk calls visit with each entry in uids at or above from, ascending, until it
// returns false. The account's lock is held.
func (b *mailbox) walk(uids mailaccess.UIDSet, from mailaccess.UID, visit func(e *entry) bool) {
	for r := range uids.RangesFrom(from) {
		i := b.at(max(r.First, from))
		if i == len(b.list) {
			return
		}
		for ; i < len(b.list) && b.list[i].uid <= r.Last; i++ {
			if !visit(b.list[i]) {
				return
			}
		}
	}
}

// Expunge removes messages. Without RemoveMailItem the application is asked to
// mark them, and they are shown no longer.
func (h *handle) Expunge(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet, need mailaccess.SystemFlags) (done []mailaccess.Commit, err error) {
	const op = "expunge"
	b, err := h.look(ctx, op, box, mailaccess.RightExpunge)
	if err != nil {
		return nil, err
	}
	for next := mailaccess.UID(1); next != 0 && err == nil; {
		if err = h.begin(ctx, op, mailaccess.RightExpunge); err != nil {
			break
		}
		var c mailaccess.Commit
		if c, next, err = h.expunge(ctx, op, b, uids, need, next); c.ModSeq != 0 {
			done = append(done, c)
		}
	}
	return done, err
}

// expunge is one transaction over messages at or above from. It returns where the
// next one begins, or 0.
func (h *handle) expunge(ctx context.Context, op string, b *mailbox, uids mailaccess.UIDSet, need mailaccess.SystemFlags, from mailaccess.UID) (done mailaccess.Commit, next mailaccess.UID, err error) {
	w, err := h.work(ctx, op, b)
	if err != nil {
		return done, 0, err
	}
	defer w.done()
	if err := h.begun(op, b); err != nil {
		return done, 0, err
	}
	if need.Has(mailaccess.FlagDeleted) {
		uids = uids.Intersect(b.trashed) // mostly far fewer
	}
	var todo []*entry
	b.walk(uids, from, func(e *entry) bool {
		if len(todo) == chunk {
			next = e.uid
			return false
		}
		if e.flags.System.Has(need) {
			todo = append(todo, e)
		}
		return true
	})
	name := b.appName
	h.mu.Unlock()

	var agreed []*entry
	for _, e := range todo {
		if x := ctx.Err(); x != nil {
			err = fail(op, mailaccess.KindUnavailable, string(b.ID), x)
			break
		}
		if x := h.tellRemove(ctx, op, b, name, e); x != nil && !errors.Is(x, mailaccess.KindNotFound) {
			err = x
			break
		}
		agreed = append(agreed, e)
	}
	if len(agreed) == 0 {
		return done, next, err
	}
	var gone mailaccess.UIDSetBuilder
	n, x := h.record(op, w, []*mailbox{b}, func(t *txn) error {
		if b.deleted {
			return notFound(op, b.ID)
		}
		x := t.box(b)
		for _, e := range agreed {
			t.remove(x, e)
			gone.AddUID(e.uid)
			if h.store.app.RemoveMailItem == nil {
				x.hide = append(x.hide, e.key)
			}
		}
		return nil
	})
	if x != nil {
		return done, next, x
	}
	return mailaccess.Commit{ModSeq: n, UIDs: gone.Set()}, next, err
}

func (h *handle) tellRemove(ctx context.Context, op string, b *mailbox, name string, e *entry) error {
	app := &h.store.app
	ref := Ref{Mailbox: name, Key: e.key}
	return h.tell(ctx, op, func(ctx context.Context) error {
		if app.RemoveMailItem != nil {
			return appError(op, name, app.RemoveMailItem(ctx, h.name, ref))
		}
		c := Change{Ref: ref, Expunge: true}
		if !e.flags.System.Has(mailaccess.FlagDeleted) {
			c.Add = []string{Deleted}
		}
		return appError(op, name, app.UpdateMailItem(ctx, h.name, c))
	}, b)
}
