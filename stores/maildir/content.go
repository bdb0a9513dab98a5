package maildir

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// Content opens the file of a message. One place that holds it is enough; of a message
// that was expunged it is the file that is kept.
func (h *handle) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	const op = "content"
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	email := h.emailNumber(id)
	if email == 0 {
		return nil, fail(op, mailaccess.KindContentGone, "", nil)
	}
	at, f, err := h.openFile(op, email)
	if err != nil {
		return nil, err
	}
	opts := content.Options{Usable: h.store.readable}
	if at.size != mailaccess.SizeUnknown {
		if info, err := f.Info(); err == nil {
			opts.Known = content.Measured{FileSize: info.Size, Size: at.size}
		}
	}
	c, err := content.Open(ctx, f, &opts)
	if err != nil {
		return nil, err
	}
	if c.Size() != at.size && at.box != nil {
		h.noteSize(at, c.Size())
	}
	return c, nil
}

// place is where a message is.
type place struct {
	box  *mailbox // nil: among the expunged messages
	uid  mailaccess.UID
	size int64
}

// openFile opens the file of a content. A file that is not where the index says was
// renamed or removed by somebody else, or is just being placed: then the mailbox is scanned.
func (h *handle) openFile(op string, email uint32) (place, fsys.File, error) {
	for attempt := 0; ; attempt++ {
		at, dir, name, err := h.whereIs(op, email)
		if err != nil {
			return place{}, nil, err
		}
		if dir == nil {
			f, err := h.openKept(op, email)
			return place{size: mailaccess.SizeUnknown}, f, err
		}
		f, err := dir.Open(name)
		if err == nil {
			return at, f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrClosed) {
			if errors.Is(err, fsys.ErrNotRegular) {
				return place{}, nil, fail(op, mailaccess.KindCorrupt, string(at.box.ID), err)
			}
			return place{}, nil, failDisk(op, string(at.box.ID), err)
		}
		if attempt == 3 {
			return place{}, nil, fail(op, mailaccess.KindContentGone, string(at.box.ID), err)
		}
		if attempt > 0 {
			if err := h.rescan(op, at.box); err != nil {
				return place{}, nil, err
			}
		}
	}
}

// whereIs finds a place of a content and the file there; a nil directory when it has none.
func (h *handle) whereIs(op string, email uint32) (place, fsys.Dir, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, uid, err := h.findEmail(op, email)
	if err != nil || b == nil {
		return place{}, nil, "", err
	}
	row, _ := b.ix.Get(uid)
	name, err := b.ix.FileName(uid)
	if err != nil {
		return place{}, nil, "", failDisk(op, string(b.ID), err)
	}
	if err := h.openDirsLocked(b); err != nil {
		return place{}, nil, "", failDisk(op, string(b.ID), err)
	}
	at := place{box: b, uid: uid, size: row.Size}
	if name.Place != index.PlaceSpool {
		return at, b.at(name.Place), name.Base + name.Suffix, nil
	}
	for i := range h.pending {
		if t := &h.pending[i]; t.box == b && t.uid == uid {
			if t.from.Spool != "" {
				return at, h.store.spool, t.from.Spool, nil
			}
			if src := h.boxes[t.from.Box]; src != nil && src.cur != nil {
				return at, src.at(t.from.Place), t.from.Base + t.from.Suffix, nil
			}
		}
	}
	// It is on its way.
	return at, b.cur, name.Base + name.Suffix, nil
}

// findEmail returns a place of a content: in a mailbox that is loaded, else in any. a.mu is
// held.
func (a *account) findEmail(op string, email uint32) (*mailbox, mailaccess.UID, error) {
	for _, load := range []bool{false, true} {
		for _, b := range a.boxes {
			if b.ix.Loaded() == load {
				continue
			}
			if load {
				if _, err := a.loaded(op, b.ID); err != nil {
					return nil, 0, err
				}
			}
			for uid := range b.ix.FindEmail(email) {
				return b, uid, nil
			}
		}
	}
	return nil, 0, nil
}

// Locate yields every place of every message in ids.
func (h *handle) Locate(ctx context.Context, ids []mailaccess.EmailID) iter.Seq2[mailaccess.Location, error] {
	const op = "locate"
	return func(yield func(mailaccess.Location, error) bool) {
		for _, id := range ids {
			found, err := h.locate(ctx, op, id)
			if err != nil {
				yield(mailaccess.Location{}, err)
				return
			}
			for _, l := range found {
				if !yield(l, nil) {
					return
				}
			}
		}
	}
}

func (h *handle) locate(ctx context.Context, op string, id mailaccess.EmailID) (found []mailaccess.Location, err error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return nil, err
	}
	email := h.emailNumber(id)
	if email == 0 {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, b := range h.boxes {
		if _, err := h.loaded(op, b.ID); err != nil {
			return nil, err
		}
		for uid := range b.ix.FindEmail(email) {
			found = append(found, mailaccess.Location{ID: id, Mailbox: b.ID, UID: uid})
		}
	}
	return found, nil
}

// noteSize keeps what was measured. It takes no number, and need not survive.
func (a *account) noteSize(at place, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !at.box.deleted && at.box.ix.Loaded() {
		at.box.ix.SetSize(at.uid, size)
	}
}
