package engine

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
)

// NormalizeName turns the name of a mailbox as a client sent it into the one that
// the contract knows: NFC, and INBOX in capitals as the first level (RFC 3501,
// section 5.1). It fails with KindInvalid on what can be no name.
func NormalizeName(name string) (string, error) {
	name = norm.NFC.String(name)
	first, rest, below := strings.Cut(name, "/")
	if strings.EqualFold(first, mailaccess.Inbox) {
		name = mailaccess.Inbox
		if below {
			name += "/" + rest
		}
	}
	return name, mailaccess.CheckMailboxName(name)
}

// Mailboxes lists the mailboxes, ascending by name in byte order.
func (s *Session) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return s.acct.Mailboxes(ctx)
}

// Lookup finds a mailbox by name, normalised or not. A name that cannot be one is
// KindNotFound: there is no such mailbox.
func (s *Session) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	norm, err := NormalizeName(name)
	if err != nil {
		return mailaccess.Mailbox{}, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "lookup", Mailbox: name}
	}
	return s.acct.Lookup(ctx, norm)
}

// Status returns a mailbox with its counts.
func (s *Session) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	return s.acct.Status(ctx, box)
}

// Recent returns how many messages of a mailbox no session was told of yet. It
// claims none of them.
func (s *Session) Recent(ctx context.Context, box mailaccess.MailboxID) (int, error) {
	snap, err := s.acct.Snapshot(ctx, box)
	if err != nil {
		return 0, err
	}
	from, err := s.recentFrom(ctx, &snap, false)
	if err != nil {
		return 0, err
	}
	return snap.UIDs.Intersect(mailaccess.UIDSetRange(from, snap.UIDs.Max())).Len(), nil
}

// recentFrom returns the UID from which on messages are \Recent, and moves the
// watermark when told to claim.
func (s *Session) recentFrom(ctx context.Context, snap *mailaccess.Snapshot, claim bool) (mailaccess.UID, error) {
	if s.caps.Recent == nil {
		return s.e.hub.claimRecent(s.id.Account, snap.ID, snap.UIDNext, claim), nil
	}
	if claim {
		return s.caps.Recent.ClaimRecent(ctx, snap.ID)
	}
	return s.caps.Recent.Recent(ctx, snap.ID)
}

// Create makes a mailbox and the levels above it that do not exist (RFC 3501,
// section 6.3.3).
func (s *Session) Create(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	if s.caps.Mailboxes == nil {
		return mailaccess.Mailbox{}, unsupported("create")
	}
	name, err := NormalizeName(name)
	if err != nil {
		return mailaccess.Mailbox{}, err
	}
	if _, err := s.acct.Lookup(ctx, name); err == nil {
		return mailaccess.Mailbox{}, &mailaccess.Error{Kind: mailaccess.KindExists, Op: "create", Mailbox: name}
	} else if mailaccess.KindOf(err) != mailaccess.KindNotFound {
		return mailaccess.Mailbox{}, err
	}
	if err := s.createAbove(ctx, name); err != nil {
		return mailaccess.Mailbox{}, err
	}
	m, err := s.caps.Mailboxes.CreateMailbox(ctx, name, use)
	s.e.changed(s.id.Account, "")
	return m, err
}

// createAbove makes the missing levels above name.
func (s *Session) createAbove(ctx context.Context, name string) error {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		_, err := s.caps.Mailboxes.CreateMailbox(ctx, name[:i], 0)
		if err != nil && mailaccess.KindOf(err) != mailaccess.KindExists {
			return err
		}
	}
	return nil
}

// Delete removes a mailbox. Those below it stay (RFC 3501, section 6.3.4). A name
// that is only a level above others is KindHasChildren.
func (s *Session) Delete(ctx context.Context, name string) error {
	if s.caps.Mailboxes == nil {
		return unsupported("delete")
	}
	m, err := s.Lookup(ctx, name)
	if mailaccess.KindOf(err) == mailaccess.KindNotFound && err != nil {
		switch children, cerr := s.below(ctx, name); {
		case cerr != nil:
			return cerr
		case len(children) > 0:
			return &mailaccess.Error{Kind: mailaccess.KindHasChildren, Op: "delete", Mailbox: name}
		}
	}
	if err != nil {
		return err
	}
	err = s.caps.Mailboxes.DeleteMailbox(ctx, m.ID)
	s.e.changed(s.id.Account, "")
	return err
}

// below lists the mailboxes below a name.
func (s *Session) below(ctx context.Context, name string) ([]mailaccess.Mailbox, error) {
	name, err := NormalizeName(name)
	if err != nil {
		return nil, nil // no such name, so nothing below it
	}
	var found []mailaccess.Mailbox
	for m, err := range s.acct.Mailboxes(ctx) {
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(m.Name, name+"/") {
			found = append(found, m)
		}
	}
	return found, nil
}

// Rename gives a mailbox, and all below it, another name; missing levels above
// the new name are made. Renaming INBOX makes a new mailbox and moves INBOX's
// messages there; what is below INBOX stays (RFC 3501, section 6.3.5). A name
// that is only a level above others is renamed by renaming those, one after
// another.
func (s *Session) Rename(ctx context.Context, from, to string) error {
	if s.caps.Mailboxes == nil {
		return unsupported("rename")
	}
	from, err := NormalizeName(from)
	if err != nil {
		return &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "rename", Mailbox: from}
	}
	if to, err = NormalizeName(to); err != nil {
		return err
	}
	if from == mailaccess.Inbox {
		return s.renameInbox(ctx, to)
	}
	if strings.HasPrefix(to, from+"/") {
		return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "rename", Mailbox: from, Err: errors.New("the new name is below the old one")}
	}
	if _, err := s.acct.Lookup(ctx, to); err == nil {
		return &mailaccess.Error{Kind: mailaccess.KindExists, Op: "rename", Mailbox: to}
	}
	roots, err := s.renameRoots(ctx, from)
	if err != nil {
		return err
	}
	if err := s.createAbove(ctx, to); err != nil {
		return err
	}
	defer s.e.changed(s.id.Account, "")
	for _, m := range roots {
		if err := s.caps.Mailboxes.RenameMailbox(ctx, m.ID, to+strings.TrimPrefix(m.Name, from)); err != nil {
			return err
		}
	}
	return nil
}

// renameRoots returns the mailboxes whose renaming renames all of name: the one
// called so, or the topmost ones below it.
func (s *Session) renameRoots(ctx context.Context, name string) ([]mailaccess.Mailbox, error) {
	m, err := s.acct.Lookup(ctx, name)
	if err == nil {
		return []mailaccess.Mailbox{m}, nil
	}
	notFound := err
	if mailaccess.KindOf(err) != mailaccess.KindNotFound {
		return nil, err
	}
	boxes, err := s.below(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(boxes) == 0 {
		return nil, notFound
	}
	names := make(map[string]bool, len(boxes))
	for _, m := range boxes {
		names[m.Name] = true
	}
	return slices.DeleteFunc(boxes, func(m mailaccess.Mailbox) bool {
		for above := m.Name; ; {
			i := strings.LastIndexByte(above, '/')
			if i <= len(name) {
				return false
			}
			if above = above[:i]; names[above] {
				return true
			}
		}
	}), nil
}

func (s *Session) renameInbox(ctx context.Context, to string) error {
	inbox, err := s.acct.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		return err
	}
	if !s.Can().Move {
		return unsupported("rename INBOX")
	}
	dst, err := s.Create(ctx, to, 0)
	if err != nil {
		return err
	}
	snap, err := s.acct.Snapshot(ctx, inbox.ID)
	if err != nil {
		return err
	}
	_, err = s.move(ctx, inbox.ID, snap.UIDs, dst.ID)
	return err
}

// Subscriptions lists the subscribed names, ascending in byte order; all
// mailboxes when the store keeps no subscriptions.
func (s *Session) Subscriptions(ctx context.Context) iter.Seq2[string, error] {
	if s.caps.Subscriptions != nil {
		return s.caps.Subscriptions.Subscriptions(ctx)
	}
	return func(yield func(string, error) bool) {
		for m, err := range s.acct.Mailboxes(ctx) {
			if !yield(m.Name, err) || err != nil {
				return
			}
		}
	}
}

// Subscribe adds a name to the subscribed ones, or takes it out. The name need
// not be that of a mailbox (RFC 3501, section 6.3.6).
func (s *Session) Subscribe(ctx context.Context, name string, on bool) error {
	if s.caps.Subscriptions == nil {
		return unsupported("subscribe")
	}
	name, err := NormalizeName(name)
	if err != nil {
		return err
	}
	err = s.caps.Subscriptions.Subscribe(ctx, name, on)
	s.e.changed(s.id.Account, "")
	return err
}
