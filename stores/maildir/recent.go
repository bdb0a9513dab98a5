package maildir

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Recent returns the UID from which on no session was told.
func (h *handle) Recent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "recent", box, false)
}

// ClaimRecent returns it and moves it up. Reading is all the right that it takes: it changes
// nothing that anybody but sessions of the same mailbox sees. A loss of power may take it
// back, so that a message is new to two sessions.
func (h *handle) ClaimRecent(ctx context.Context, box mailaccess.MailboxID) (mailaccess.UID, error) {
	return h.recent(ctx, "claim recent", box, true)
}

func (h *handle) recent(ctx context.Context, op string, box mailaccess.MailboxID, claim bool) (mailaccess.UID, error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return 0, err
	}
	h.mu.Lock()
	b, err := h.box(op, box)
	if err != nil {
		h.mu.Unlock()
		return 0, err
	}
	from, to := b.ix.Recent(), b.ix.UIDNext()
	claim = claim && from < to
	if claim {
		b.ix.SetRecent(to)
	}
	h.mu.Unlock()
	if claim {
		h.quietly("note what is recent", h.logRecent(box, to))
	}
	return from, nil
}

// logRecent writes it to the log and waits for nothing. Records say to where it was moved up
// at least, so that their order does not matter.
func (a *account) logRecent(box mailaccess.MailboxID, uid mailaccess.UID) error {
	e := entry{Account: a.key, Records: []record{{Boxes: []boxRecord{{Box: box, Recent: uid}}}}}
	payload, err := a.store.codec.enc.Marshal(&e)
	if err != nil {
		return err
	}
	a.logged(a.store.commits.End())
	_, err = a.store.commits.Append(payload)
	return err
}
