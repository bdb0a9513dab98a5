package maildir

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// The unique-ids by which POP3 clients know single messages, where the server that kept the
// Maildir before had noted them, stand beside the mailbox's index in ID.uidl. They are
// written when the mailbox is taken over, and not changed afterwards.

func uniqueIDFile(box mailaccess.MailboxID) string { return string(box) + ".uidl" }

// saveUniqueIDs writes those of the messages that were taken over.
func (a *account) saveUniqueIDs(b *mailbox, ids map[mailaccess.UID]string) error {
	if len(ids) == 0 {
		return nil
	}
	inner, err := a.store.codec.enc.Marshal(ids)
	if err != nil {
		return err
	}
	outer, err := a.store.codec.enc.Marshal(&accountCheckpoint{Sum: checksum(inner), State: inner})
	if err != nil {
		return err
	}
	return a.store.writeSmall(a.indexDir, uniqueIDFile(b.ID), outer)
}

// readUniqueIDs reads them; none when there is no file, or one that is damaged.
func (a *account) readUniqueIDs(box mailaccess.MailboxID) (ids map[mailaccess.UID]string, err error) {
	text, err := readAll(a.indexDir, uniqueIDFile(box))
	if errors.Is(err, fs.ErrNotExist) {
		return map[mailaccess.UID]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	var outer accountCheckpoint
	dec := a.store.codec.dec
	err = dec.Unmarshal(text, &outer)
	if err == nil && outer.Sum != checksum(outer.State) {
		err = index.ErrCorrupt
	}
	if err == nil {
		err = dec.Unmarshal(outer.State, &ids)
	}
	if err != nil {
		a.store.log.Error("the unique-ids that were taken over are damaged: POP3 clients get others", zap.String("account", a.key), zap.String("mailbox", string(box)), zap.Error(err))
		return map[mailaccess.UID]string{}, nil
	}
	return ids, nil
}

// UniqueIDs yields the unique-ids that another server had noted.
func (h *handle) UniqueIDs(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) iter.Seq2[mailaccess.UniqueID, error] {
	return func(yield func(mailaccess.UniqueID, error) bool) {
		found, err := h.uniqueIDs(ctx, box, uids)
		if err != nil {
			yield(mailaccess.UniqueID{}, err)
			return
		}
		for _, id := range found {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (h *handle) uniqueIDs(ctx context.Context, box mailaccess.MailboxID, uids mailaccess.UIDSet) (found []mailaccess.UniqueID, err error) {
	const op = "list unique-ids"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return nil, err
	}
	if b.uniqueIDs == nil {
		if b.uniqueIDs, err = h.readUniqueIDs(box); err != nil {
			return nil, failDisk(op, string(box), err)
		}
	}
	for uid, id := range b.uniqueIDs {
		if uids.Contains(uid) && b.ix.UIDs().Contains(uid) {
			found = append(found, mailaccess.UniqueID{UID: uid, ID: id})
		}
	}
	slices.SortFunc(found, func(x, y mailaccess.UniqueID) int { return int(int64(x.UID) - int64(y.UID)) })
	return found, nil
}

// takenOver reports whether another server kept the account before.
func (h *handle) takenOver() bool { return h.origin != "" }
