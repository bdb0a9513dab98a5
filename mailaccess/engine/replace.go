package engine

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
)

// NewReplacement is [Session.NewUpload] for a message that Replace is to put in the
// place of another. Where the store does that as one, the size is not announced: what
// the old message takes up counts for the new one (RFC 8508, section 3.4), which
// staging cannot know.
func (v *View) NewReplacement(ctx context.Context, size int64) (*Upload, error) {
	if most := v.s.Can().MaxUpload; size > most {
		return nil, tooBig(most)
	}
	if v.s.caps.Replace != nil {
		size = -1
	}
	return v.s.NewUpload(ctx, size)
}

// Replace appends m to dst and removes uid from the view's mailbox, which the next
// Update shows. On an error nothing was done, unless a message is returned with it:
// then the new one is there and the old one may be.
func (v *View) Replace(ctx context.Context, uid mailaccess.UID, dst mailaccess.MailboxID, m NewMessage) (mailaccess.Appended, error) {
	if !v.s.Can().Replace || v.readOnly {
		return mailaccess.Appended{}, v.refused("replace", v.s.Can().Replace)
	}
	if m.Upload.err != nil {
		return mailaccess.Appended{}, m.Upload.err
	}
	if r := v.s.caps.Replace; r != nil {
		work := v.s.resting()
		done, err := r.Replace(ctx, v.at.ID, uid, dst, m.staged(v.s))
		work()
		v.s.e.changed(v.s.id.Account, dst)
		v.s.e.changed(v.s.id.Account, v.at.ID)
		if !errors.Is(err, mailaccess.ErrSkip) {
			return done, err
		}
	}
	if v.s.caps.Expunge == nil {
		return mailaccess.Appended{}, unsupported("replace")
	}
	return v.s.replaceByAppend(ctx, v.at.ID, uid, dst, m)
}

// replaceByAppend appends first: at any time at least one of the two is there. When the
// old message cannot be removed, the new one is taken back, so that a client that
// tries again does not leave one after another.
func (s *Session) replaceByAppend(ctx context.Context, src mailaccess.MailboxID, uid mailaccess.UID, dst mailaccess.MailboxID, m NewMessage) (mailaccess.Appended, error) {
	done, err := s.Append(ctx, dst, m)
	if err != nil {
		return mailaccess.Appended{}, err
	}
	gone, err := s.expungeOne(ctx, src, uid)
	switch {
	case gone:
		return done, nil
	case err == nil: // by somebody else, meanwhile
		err = &mailaccess.Error{Kind: mailaccess.KindContentGone, Op: "replace", Mailbox: string(src)}
	case mailaccess.KindOf(err) == mailaccess.KindUncertain:
		return done, err // the old one may be gone: the new one stays
	}
	if back, _ := s.expungeOne(ctx, dst, done.Messages[0].UID); back {
		return mailaccess.Appended{}, err
	}
	return done, err
}

// expungeOne removes a message and says whether it was this that removed it.
func (s *Session) expungeOne(ctx context.Context, box mailaccess.MailboxID, uid mailaccess.UID) (bool, error) {
	defer s.resting()()
	done, err := s.caps.Expunge.Expunge(ctx, box, mailaccess.UIDSetOf(uid), 0)
	s.e.changed(s.id.Account, box)
	return len(done) > 0, err
}
