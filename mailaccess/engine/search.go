package engine

import (
	"context"
	"errors"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
)

// Search returns the messages of the view that match e. A store that searches
// better narrows down which messages are looked at; what it may have missed since,
// or found too much, is evaluated here.
func (v *View) Search(ctx context.Context, e mailaccess.Expr) (mailaccess.UIDSet, error) {
	m, err := query.Compile(e, nil)
	if err != nil {
		return mailaccess.UIDSet{}, err
	}
	look, sure, err := v.candidates(ctx, e)
	if err != nil {
		return mailaccess.UIDSet{}, err
	}
	found := mailaccess.UIDSetBuilder{}
	for msg, err := range v.s.acct.Messages(ctx, v.at.ID, look) {
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		matches, err := m.Match(ctx, &msg, &subject{v.s, msg.EmailID})
		if err != nil {
			return mailaccess.UIDSet{}, err
		}
		if matches {
			found.AddUID(msg.UID)
		}
	}
	return found.Set().Union(sure), nil
}

// candidates asks the store's search, if it has one. look are the messages that
// must be looked at, sure those that are known to match.
func (v *View) candidates(ctx context.Context, e mailaccess.Expr) (look, sure mailaccess.UIDSet, err error) {
	if v.s.caps.Search == nil {
		return v.uids, sure, nil
	}
	found, err := v.s.caps.Search.Search(ctx, v.at.ID, e)
	switch {
	case errors.Is(err, mailaccess.ErrSkip):
		return v.uids, sure, nil
	case err != nil:
		return look, sure, err
	}
	may := found.UIDs.Intersect(v.uids)
	// The answer holds up to some change; what changed after it is looked at.
	var later mailaccess.UIDSetBuilder
	changes, err := v.s.acct.MailboxChanges(ctx, v.at.ID, found.UpTo)
	if err != nil {
		return look, sure, err
	}
	for msg, err := range changes.Messages {
		if err != nil {
			return look, sure, err
		}
		later.AddUID(msg.UID)
	}
	changedUIDs := later.Set().Intersect(v.uids)
	if found.Exact {
		return changedUIDs, may.Minus(changedUIDs), nil
	}
	return may.Union(changedUIDs), sure, nil
}

// subject is a message whose content is opened only when the question needs it.
type subject struct {
	s  *Session
	id mailaccess.EmailID
}

func (s *subject) Content(ctx context.Context) (mailaccess.Content, error) {
	return s.s.Content(ctx, s.id)
}

func (s *subject) Structure(ctx context.Context, c mailaccess.Content) (*message.Part, error) {
	return s.s.Structure(ctx, s.id, c)
}
