package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/hashmail/mailaccess/mailaccess"
)

// account is the mail as somebody has opened it.
type account struct {
	*archive
	rights mailaccess.Rights
	closed atomic.Bool
}

// begin is what every method begins with.
func (a *account) begin(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed.Load() || a.archive.closed {
		return &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: op, Err: errors.New("closed")}
	}
	return nil
}

// now returns all mailboxes and the account's number, of one instant.
func (a *account) now(ctx context.Context, op string) ([]*mailbox, mailaccess.ModSeq, error) {
	if err := a.begin(ctx, op); err != nil {
		return nil, 0, err
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.boxes, a.modseq, nil
}

// find returns the mailbox of which is is true.
func (a *account) find(ctx context.Context, op, what string, is func(*mailbox) bool) (*mailbox, mailaccess.ModSeq, error) {
	boxes, number, err := a.now(ctx, op)
	if err != nil {
		return nil, 0, err
	}
	if i := slices.IndexFunc(boxes, is); i >= 0 {
		return boxes[i], number, nil
	}
	return nil, 0, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: op, Mailbox: what}
}

func (a *account) box(ctx context.Context, op string, id mailaccess.MailboxID) (*mailbox, mailaccess.ModSeq, error) {
	return a.find(ctx, op, string(id), func(b *mailbox) bool { return b.ID == id })
}

func (a *account) visible(b *mailbox) mailaccess.Mailbox {
	m := b.Mailbox
	m.Rights = a.rights
	return m
}

func (a *account) status(b *mailbox) mailaccess.Status {
	n := len(b.messages)
	return mailaccess.Status{Mailbox: a.visible(b), ModSeq: b.modseq, UIDNext: mailaccess.UID(n + 1),
		Messages: n, Unseen: n, Size: b.size, FirstUnseen: mailaccess.UID(min(n, 1))}
}

// Capabilities are none: mail is read, and that is all.
func (a *account) Capabilities() mailaccess.Capabilities { return mailaccess.Capabilities{} }

// State returns the number of the last message that came.
func (a *account) State(ctx context.Context) (mailaccess.State, error) {
	_, number, err := a.now(ctx, "state")
	if err != nil {
		return mailaccess.State{}, err
	}
	return mailaccess.State{Epoch: a.epoch, ModSeq: number}, nil
}

// Mailboxes lists the files.
func (a *account) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return func(yield func(mailaccess.Mailbox, error) bool) {
		boxes, _, err := a.now(ctx, "list mailboxes")
		for _, b := range boxes {
			if err = a.begin(ctx, "list mailboxes"); err != nil {
				break
			}
			if !yield(a.visible(b), nil) {
				return
			}
		}
		if err != nil {
			yield(mailaccess.Mailbox{}, err)
		}
	}
}

// Lookup finds a mailbox by name.
func (a *account) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	b, _, err := a.find(ctx, "lookup", name, func(b *mailbox) bool { return b.Name == name })
	if err != nil {
		return mailaccess.Mailbox{}, err
	}
	return a.visible(b), nil
}

// Status counts.
func (a *account) Status(ctx context.Context, id mailaccess.MailboxID) (mailaccess.Status, error) {
	b, _, err := a.box(ctx, "status", id)
	if err != nil {
		return mailaccess.Status{}, err
	}
	return a.status(b), nil
}

// Snapshot counts: the UIDs are those from 1 on.
func (a *account) Snapshot(ctx context.Context, id mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	b, _, err := a.box(ctx, "snapshot", id)
	if err != nil {
		return mailaccess.Snapshot{}, err
	}
	return mailaccess.Snapshot{Status: a.status(b), UIDs: mailaccess.UIDSetRange(1, mailaccess.UID(len(b.messages)))}, nil
}

// Messages lists messages as they were when the loop began, which is as they will always be.
func (a *account) Messages(ctx context.Context, id mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		b, _, err := a.box(ctx, "list messages", id)
		if err != nil {
			yield(mailaccess.Message{}, err)
			return
		}
		for uid := range uids.Intersect(mailaccess.UIDSetRange(1, mailaccess.UID(len(b.messages)))).All() {
			if err := a.begin(ctx, "list messages"); err != nil {
				yield(mailaccess.Message{}, err)
				return
			}
			m := &b.messages[uid-1]
			if !yield(mailaccess.Message{UID: uid, ModSeq: m.modseq, Created: m.modseq, Size: m.size,
				Received: m.received, EmailID: emailID(b, uid)}, nil) {
				return
			}
		}
	}
}

// MailboxChanges are the messages that came. None has ever gone, so that there is no floor.
func (a *account) MailboxChanges(ctx context.Context, id mailaccess.MailboxID, since mailaccess.ModSeq) (mailaccess.MailboxChanges, error) {
	b, number, err := a.box(ctx, "mailbox changes", id)
	if err != nil {
		return mailaccess.MailboxChanges{}, err
	}
	if since > number {
		return mailaccess.MailboxChanges{}, neverReached("mailbox changes")
	}
	old := sort.Search(len(b.messages), func(i int) bool { return b.messages[i].modseq > since })
	return mailaccess.MailboxChanges{
		UpTo:     max(since, b.modseq),
		Messages: a.Messages(ctx, id, mailaccess.UIDSetRange(mailaccess.UID(old+1), mailaccess.UID(len(b.messages)))),
		Vanished: func(func(mailaccess.Vanished, error) bool) {},
	}, nil
}

// Changes are the mailboxes to which something came.
func (a *account) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	boxes, number, err := a.now(ctx, "changes")
	if err != nil {
		return mailaccess.AccountChanges{}, err
	}
	if since != (mailaccess.State{}) {
		if since.Epoch != a.epoch {
			return mailaccess.AccountChanges{}, &mailaccess.Error{Kind: mailaccess.KindHistoryGone, Op: "changes"}
		}
		if since.ModSeq > number {
			return mailaccess.AccountChanges{}, neverReached("changes")
		}
	}
	c := mailaccess.AccountChanges{UpTo: mailaccess.State{Epoch: a.epoch, ModSeq: number}}
	for _, b := range boxes {
		if b.modseq > since.ModSeq {
			c.Mailboxes = append(c.Mailboxes, a.status(b))
		}
	}
	return c, nil
}

func neverReached(op string) error {
	return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: op, Err: errors.New("that number was never reached")}
}

// emailID names a message by its place, as no other ever has it.
func emailID(b *mailbox, uid mailaccess.UID) mailaccess.EmailID {
	return mailaccess.EmailID(fmt.Sprintf("%s-%d", b.ID, uid))
}

// Content opens the file that a message is in.
func (a *account) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	box, number, _ := strings.Cut(string(id), "-")
	n, err := strconv.ParseUint(number, 10, 32)
	gone := &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "content"}
	b, _, missing := a.box(ctx, "content", mailaccess.MailboxID(box))
	if err := a.begin(ctx, "content"); err != nil {
		return nil, err
	}
	if err != nil || missing != nil || n < 1 || n > uint64(len(b.messages)) || id != emailID(b, mailaccess.UID(n)) {
		return nil, gone
	}
	e := b.messages[n-1].entry
	f, err := a.root.Open(b.path)
	if err != nil {
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "content", Mailbox: b.Name, Err: err}
	}
	if info, err := f.Stat(); err != nil || !os.SameFile(b.file, info) || info.Size() < e.off+e.len {
		f.Close() //nolint:errcheck // it was only read
		return nil, &mailaccess.Error{Kind: mailaccess.KindCorrupt, Op: "content", Mailbox: b.Name, Err: err}
	}
	return &content{file: f, entry: e, archive: a.archive}, nil
}

// Close gives up the account.
func (a *account) Close() error {
	a.closed.Store(true)
	return nil
}
