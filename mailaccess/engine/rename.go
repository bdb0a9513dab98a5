package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// undoTime bounds how long a failed rename takes to put back what it had done; the
// caller's context may have ended by then.
const undoTime = 10 * time.Second

// Rename gives a mailbox, and all below it, another name, and then makes the levels
// above the new name that do not exist. A rename that is refused leaves nothing
// behind. Renaming INBOX makes a new mailbox and moves INBOX's messages there; what
// is below INBOX stays (RFC 3501, section 6.3.5). A name that is only a level above
// others is renamed by renaming those, one after another.
func (s *Session) Rename(ctx context.Context, from, to string) error {
	if s.caps.Mailboxes == nil {
		return unsupported("rename")
	}
	from, err := NormalizeName(from)
	if err != nil {
		return &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "rename", Mailbox: from}
	}
	if to, err = newName(to); err != nil {
		return err
	}
	if from == mailaccess.Inbox {
		return s.renameInbox(ctx, to)
	}
	m, err := s.acct.Lookup(ctx, from)
	level := err != nil && mailaccess.KindOf(err) == mailaccess.KindNotFound
	if err != nil && !level {
		return err
	}
	defer s.e.changed(s.id.Account, "")
	if level {
		err = s.renameLevel(ctx, from, to)
	} else {
		err = s.caps.Mailboxes.RenameMailbox(ctx, m.ID, to)
	}
	if err == nil {
		s.createAbove(ctx, to)
	}
	return err
}

// renameLevel renames what is below a name that is no mailbox itself. As that takes
// several transactions, no new name may be in use, and a failure in the middle is
// undone; what could not be undone is part of the error.
func (s *Session) renameLevel(ctx context.Context, from, to string) error {
	roots, err := s.renameRoots(ctx, from, to)
	if err != nil {
		return err
	}
	for i, m := range roots {
		if err := s.caps.Mailboxes.RenameMailbox(ctx, m.ID, to+strings.TrimPrefix(m.Name, from)); err != nil {
			return errors.Join(err, s.renameBack(ctx, roots[:i+1]))
		}
	}
	return nil
}

// renameRoots returns the topmost mailboxes below the level from, whose renaming
// renames all, if nothing speaks against it.
func (s *Session) renameRoots(ctx context.Context, from, to string) ([]mailaccess.Mailbox, error) {
	var boxes []mailaccess.Mailbox // below from
	names := make(map[string]bool)
	for m, err := range s.acct.Mailboxes(ctx) {
		if err != nil {
			return nil, err
		}
		names[m.Name] = true
		if strings.HasPrefix(m.Name, from+"/") {
			boxes = append(boxes, m)
		}
	}
	refuse := func(kind mailaccess.Kind, name string) error {
		return &mailaccess.Error{Kind: kind, Op: "rename", Mailbox: name}
	}
	switch {
	case len(boxes) == 0:
		return nil, refuse(mailaccess.KindNotFound, from)
	case to == from || names[to]:
		return nil, refuse(mailaccess.KindExists, to)
	case strings.HasPrefix(to, from+"/"):
		return nil, refuse(mailaccess.KindInvalid, to)
	}
	for _, m := range boxes {
		name := to + strings.TrimPrefix(m.Name, from)
		if err := mailaccess.CheckMailboxName(name); err != nil {
			return nil, err
		}
		if names[name] {
			return nil, refuse(mailaccess.KindExists, name)
		}
	}
	return slices.DeleteFunc(boxes, func(m mailaccess.Mailbox) bool {
		for above := m.Name; ; {
			i := strings.LastIndexByte(above, '/')
			if i <= len(from) {
				return false
			}
			if above = above[:i]; names[above] {
				return true
			}
		}
	}), nil
}

// renameBack gives mailboxes their old names again. Of the last it is not known
// whether it was renamed: one that was not has its name already.
func (s *Session) renameBack(ctx context.Context, boxes []mailaccess.Mailbox) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for i, m := range slices.Backward(boxes) {
		err := s.caps.Mailboxes.RenameMailbox(ctx, m.ID, m.Name)
		if err != nil && (i < len(boxes)-1 || mailaccess.KindOf(err) != mailaccess.KindExists) {
			errs = append(errs, fmt.Errorf("%q keeps its new name: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// renameInbox moves INBOX's messages to a new mailbox. When that fails in the middle
// they are in both: the error says how many went.
func (s *Session) renameInbox(ctx context.Context, to string) error {
	if !s.Can().Move {
		return unsupported("rename INBOX")
	}
	inbox, err := s.acct.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		return err
	}
	snap, err := s.acct.Snapshot(ctx, inbox.ID)
	if err != nil {
		return err
	}
	dst, err := s.Create(ctx, to, 0)
	if err != nil {
		return err
	}
	done, err := s.move(ctx, inbox.ID, snap.UIDs, dst.ID, nil)
	if err != nil {
		return &mailaccess.Error{
			Kind: mailaccess.KindOf(err), Op: "rename", Mailbox: mailaccess.Inbox,
			Err: fmt.Errorf("%q was made, and has %d of %d messages: %w", to, done.Source.Len(), snap.UIDs.Len(), err),
		}
	}
	return nil
}
