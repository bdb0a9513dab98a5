package engine

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

// copyTo copies messages: all or none.
func (s *Session) copyTo(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID) (mailaccess.Copied, error) {
	if s.caps.Copy == nil || uids.Len() > 1 && !s.caps.CopyMany {
		return mailaccess.Copied{}, unsupported("copy")
	}
	defer s.resting()()
	done, err := s.caps.Copy.Copy(ctx, src, uids, dst)
	s.e.changed(s.id.Account, dst)
	return done, err
}

// move moves messages, each whole; on an error the result says what was done.
func (s *Session) move(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID, progress Progress) (mailaccess.Copied, error) {
	defer s.e.changed(s.id.Account, src)
	defer s.e.changed(s.id.Account, dst)
	// RFC 6851, section 3.3: a move to the mailbox itself is allowed when a copy
	// to it is, and has the effect of a copy and an expunge. A Mover takes two
	// different mailboxes.
	if s.caps.Move != nil && src != dst {
		work := s.resting()
		done, err := s.caps.Move.Move(ctx, src, uids, dst)
		work()
		if !errors.Is(err, mailaccess.ErrSkip) {
			return done, err
		}
	}
	if s.caps.Copy == nil || s.caps.Expunge == nil {
		return mailaccess.Copied{}, unsupported("move")
	}
	return s.moveByCopy(ctx, src, uids, dst, progress)
}

// moveByCopy moves one message after another. A failure between a copy and its
// expunge leaves the message in both mailboxes, never in none.
func (s *Session) moveByCopy(ctx context.Context, src mailaccess.MailboxID, uids mailaccess.UIDSet, dst mailaccess.MailboxID, progress Progress) (mailaccess.Copied, error) {
	var done mailaccess.Copied
	var from, to mailaccess.UIDSetBuilder
	moved, total := 0, uids.Len()
	for uid := range uids.All() {
		one := mailaccess.UIDSetOf(uid)
		work := s.resting()
		c, err := s.caps.Copy.Copy(ctx, src, one, dst)
		if err == nil && !c.Source.IsEmpty() {
			done.UIDValidity = c.UIDValidity
			from.AddUID(uid)
			to.AddUID(c.Dest.Min())
			_, err = s.caps.Expunge.Expunge(ctx, src, one, 0)
		}
		work()
		if moved++; err == nil {
			err = progress.tell(moved, total)
		}
		if err != nil {
			done.Source, done.Dest = from.Set(), to.Set()
			return done, err
		}
	}
	done.Source, done.Dest = from.Set(), to.Set()
	return done, nil
}
