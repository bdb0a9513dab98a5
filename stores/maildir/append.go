package maildir

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/internal/flagrights"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// staged is an upload: a file in the spool. It is a content once it was appended.
type staged struct {
	*content.Staged
	a    *account
	name string   // in the spool
	keys []uint64 // of threads; once sealed
	// done says that Close leaves the file alone: a commit has it, or may have it.
	done bool
	// email and thread are those that the message got, guarded by the account's lock.
	email, thread uint32
}

// Stage begins an upload.
func (h *handle) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	const op = "stage"
	if err := h.begin(ctx, op, mailaccess.RightInsert); err != nil {
		return nil, err
	}
	limit := h.store.opts.MaxMessageSize
	if size > limit {
		return nil, fail(op, mailaccess.KindTooBig, "", fmt.Errorf("more than %d octets", limit))
	}
	name := h.store.unique.Next()
	f, err := h.store.spool.Create(name)
	if err != nil {
		return nil, failDisk(op, "", err)
	}
	s := &staged{a: h.account, name: name}
	// It outlasts the session, and so does the account that it is of.
	h.store.keep(h.account)
	h.mu.Lock()
	h.uploads[name] = struct{}{}
	h.mu.Unlock()
	s.Staged = content.NewStaged(f, &content.StagedOptions{Limit: limit, Discard: s.discard, Usable: h.store.readable})
	return s, nil
}

// discard removes the file of an upload that was closed, unless a commit has it: then it
// goes with a checkpoint.
func (s *staged) discard() error {
	defer s.a.store.letGo(s.a)
	s.a.mu.Lock()
	delete(s.a.uploads, s.name)
	s.a.mu.Unlock()
	if s.done {
		return nil
	}
	return s.a.store.spool.Remove(s.name)
}

// Append puts messages into a mailbox.
func (h *handle) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	const op = "append"
	if err := h.begin(ctx, op, mailaccess.RightInsert); err != nil {
		return mailaccess.Appended{}, err
	}
	return h.append(ctx, op, box, msgs, nil)
}

// append does it. old is what goes in the same transaction, or nil.
func (h *handle) append(ctx context.Context, op string, box mailaccess.MailboxID, msgs []mailaccess.NewMessage, old *replaced) (mailaccess.Appended, error) {
	uploads, err := h.seal(op, box, msgs)
	if err != nil {
		return mailaccess.Appended{}, err
	}
	ap := appending{h: h, op: op, box: box, msgs: msgs, uploads: uploads, old: old}
	c := &change{op: op, ctx: ctx, boxes: []mailaccess.MailboxID{box}, adds: old == nil, plan: ap.plan}
	if old != nil {
		c.boxes = append(c.boxes, old.box)
	}
	if len(msgs) == 0 {
		c.adds = true
	}
	err = h.do(c)
	for _, s := range uploads {
		// After an uncertain end the file may be needed.
		s.done = s.done || c.record != nil || errors.Is(err, mailaccess.KindUncertain)
	}
	if err != nil {
		// Their numbers may be somebody else's now.
		for _, s := range ap.fresh {
			s.email, s.thread = 0, 0
		}
		return mailaccess.Appended{}, err
	}
	return ap.done, nil
}

// seal ends writing to the uploads, each of which is on disk afterwards.
func (h *handle) seal(op string, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) ([]*staged, error) {
	uploads := make([]*staged, len(msgs))
	for i, m := range msgs {
		s, ok := m.Staged.(*staged)
		if !ok || s.a != h.account {
			return nil, fail(op, mailaccess.KindInvalid, string(box), errors.New("the message was not staged here"))
		}
		if s.keys == nil {
			if err := s.seal(m.Received, h.store.opts.Sync != SyncOff); err != nil {
				return nil, failDisk(op, string(box), err)
			}
		}
		uploads[i] = s
	}
	return uploads, nil
}

// seal reads the thread's keys, which ends writing, and brings the file to the disk. Its
// time is the received date, for whoever rebuilds the index.
func (s *staged) seal(received time.Time, sync bool) error {
	keys, err := s.threadKeys()
	if err != nil {
		return err
	}
	if !received.IsZero() {
		if err := s.File().SetModTime(received); err != nil {
			return err
		}
	}
	if sync {
		if err := s.Sync(); err != nil {
			return err
		}
	}
	s.keys = keys
	return nil
}

// appending is a call of Append or Replace.
type appending struct {
	h       *handle
	op      string
	box     mailaccess.MailboxID
	msgs    []mailaccess.NewMessage
	uploads []*staged
	old     *replaced
	done    mailaccess.Appended
	fresh   []*staged // those that got their numbers here
}

func (ap *appending) plan(p *planner) (*record, error) {
	a := p.a
	b, err := a.loaded(ap.op, ap.box)
	if err != nil {
		return nil, err
	}
	ap.done = mailaccess.Appended{UIDValidity: b.UIDValidity}
	if len(ap.msgs) == 0 {
		return nil, nil
	}
	uid, err := p.uids(ap.op, b, len(ap.msgs))
	if err != nil {
		return nil, err
	}
	if err := a.loadThreads(); err != nil {
		return nil, failDisk(ap.op, string(ap.box), err)
	}
	now := a.store.now()
	n := p.number()
	r := &record{ModSeq: n, Boxes: []boxRecord{{Box: ap.box}}}
	into := &r.Boxes[0]
	if ap.old != nil {
		if err := ap.old.plan(p, ap.op, now, r); err != nil {
			return nil, err
		}
		into = &r.Boxes[0]
	}
	allowed := flagrights.Of(ap.h.rights)
	for i, m := range ap.msgs {
		s := ap.uploads[i]
		// RFC 4314, section 4: flags that may not be set are left out.
		flags := mailaccess.Flags{System: m.Flags.System & allowed.System}
		if allowed.Keywords {
			if flags.Keywords, err = a.keywords(ap.op, b, m.Flags.Keywords); err != nil {
				return nil, err
			}
		}
		received := m.Received
		if received.IsZero() {
			received = now
		}
		row := index.Row{
			UID: uid, ModSeq: n, Created: n, Flags: flags, Size: s.Size(),
			Received: wholeSeconds(received), Saved: time.Unix(now.Unix(), 0).UTC(),
		}
		if row.Email, row.Thread, err = ap.identify(p, s); err != nil {
			return nil, err
		}
		name := index.FileName{Base: maildirname.WithSizes(a.store.unique.Next(), s.Size(), s.Size()), Suffix: a.suffix(b, flags), Place: index.PlaceSpool}
		into.Rows = index.AppendRow(into.Rows, row, name)
		into.Sources = append(into.Sources, source{Spool: s.name})
		into.Threads = append(into.Threads, threadKeys{Thread: row.Thread, Keys: s.keys})
		ap.done.Messages = append(ap.done.Messages, a.message(row))
		uid++
	}
	return r, nil
}

// identify returns the numbers of the content and of its thread. An upload that was
// appended before keeps them, as long as some place is left.
func (ap *appending) identify(p *planner, s *staged) (email, thread uint32, err error) {
	if s.email == 0 {
		if s.email, err = p.email(ap.op); err != nil {
			return 0, 0, err
		}
		if s.thread = p.a.threads.of(s.keys); s.thread == 0 {
			p.lastThread++
			s.thread = p.lastThread
		}
		ap.fresh = append(ap.fresh, s)
	}
	return s.email, s.thread, nil
}

// keywords returns k as b spells them. It fails with KindLimit when b would have too many.
// a.mu is held.
func (a *account) keywords(op string, b *mailbox, k mailaccess.Keywords) (mailaccess.Keywords, error) {
	if k.IsEmpty() {
		return k, nil
	}
	if n := k.Len(); n > mailaccess.MaxKeywords {
		return k, fail(op, mailaccess.KindLimit, string(b.ID), fmt.Errorf("%d keywords, a message has at most %d", n, mailaccess.MaxKeywords))
	}
	have := b.ix.Keywords()
	if fresh := k.Minus(have).Len(); fresh > 0 && have.Len()+fresh > a.store.opts.MaxKeywords {
		return k, fail(op, mailaccess.KindLimit, string(b.ID), fmt.Errorf("a mailbox has at most %d keywords", a.store.opts.MaxKeywords))
	}
	return b.ix.Spelled(k), nil
}

// loaded returns a mailbox with its rows. a.mu is held.
func (a *account) loaded(op string, id mailaccess.MailboxID) (*mailbox, error) {
	b, err := a.box(op, id)
	if err != nil {
		return nil, err
	}
	if !b.ix.Loaded() {
		if err := b.ix.Load(); err != nil {
			if errors.Is(err, index.ErrCorrupt) {
				a.distrust(b)
				return nil, fail(op, mailaccess.KindCorrupt, string(id), err)
			}
			return nil, failDisk(op, string(id), err)
		}
		a.stir() // it takes more memory now
	}
	b.used = a.store.now()
	return b, nil
}

// wholeSeconds returns t without fractions. Its zone has no name, so that all messages
// share the zones of whole hours.
func wholeSeconds(t time.Time) time.Time {
	zone := time.UTC
	if _, offset := t.Zone(); offset != 0 {
		zone = time.FixedZone("", offset)
	}
	return time.Unix(t.Unix(), 0).In(zone)
}
