package engine

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"go.uber.org/zap"
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

// maxLevels is how many levels a new name may have: each is a name of its own in every
// listing. A store may show more.
const maxLevels = 64

// newName is [NormalizeName] for a name that is to be given.
func newName(name string) (string, error) {
	name, err := NormalizeName(name)
	if err == nil && strings.Count(name, "/") >= maxLevels {
		err = &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "mailbox name", Mailbox: name, Err: fmt.Errorf("more than %d levels", maxLevels)}
	}
	return name, err
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

// Create makes a mailbox, and then the levels above it that do not exist (RFC 3501,
// section 6.3.3). The levels come last, so that a name that is refused leaves
// nothing behind.
func (s *Session) Create(ctx context.Context, name string, use mailaccess.SpecialUse) (mailaccess.Mailbox, error) {
	if s.caps.Mailboxes == nil {
		return mailaccess.Mailbox{}, unsupported("create")
	}
	name, err := newName(name)
	if err != nil {
		return mailaccess.Mailbox{}, err
	}
	defer s.e.changed(s.id.Account, "")
	m, err := s.caps.Mailboxes.CreateMailbox(ctx, name, use)
	if err == nil {
		s.createAbove(ctx, name)
	}
	return m, err
}

// createAbove makes the missing levels above name, which exists. That is a courtesy
// (RFC 3501, sections 6.3.3 and 6.3.5: SHOULD): what was asked for is done, and
// does not fail when a level cannot be made.
func (s *Session) createAbove(ctx context.Context, name string) {
	for i := range len(name) {
		if name[i] != '/' {
			continue
		}
		_, err := s.caps.Mailboxes.CreateMailbox(ctx, name[:i], 0)
		switch mailaccess.KindOf(err) {
		case mailaccess.KindExists, mailaccess.KindForbidden:
		default:
			if err != nil {
				s.e.log.Warn("a level above a new mailbox was not made", zap.Error(err))
			}
		}
	}
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
	check := NormalizeName
	if on {
		check = newName
	}
	name, err := check(name)
	if err != nil {
		return err
	}
	err = s.caps.Subscriptions.Subscribe(ctx, name, on)
	s.e.changed(s.id.Account, "")
	return err
}
