package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
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
	opts.Known, opts.Table = h.measured.get(email, f.Opened())
	if opts.Known == (content.Measured{}) {
		opts.Known = at.measured(f.Opened())
	}
	c, err := content.Open(ctx, f, &opts)
	if err != nil {
		return nil, err
	}
	if at.box != nil && c.Size() != at.row.Size {
		if at.row.Size != mailaccess.SizeUnknown {
			c.Close() //nolint:errcheck // it was only read
			return nil, h.another(op, at, c.Measured())
		}
		h.noteSize(at.box, at.row.UID, c.Size())
	}
	return &openContent{Content: c, a: h.account, op: op, at: at, email: email, learned: c.Measured() != opts.Known}, nil
}

// openContent is a content that somebody has open.
type openContent struct {
	*content.Content
	a     *account
	op    string
	at    place
	email uint32
	// learned: what was measured was not known before.
	learned bool
}

// ReadAt implements io.ReaderAt.
func (o *openContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.Content.ReadAt(p, off)
	o.look(err)
	return n, err
}

// WriteRange implements mailaccess.Content.
func (o *openContent) WriteRange(w io.Writer, off, n int64) (int64, error) {
	n, err := o.Content.WriteRange(w, off, n)
	o.look(err)
	return n, err
}

// look measures a file that turned out to be another than it was: the next time it is known
// for what it is.
func (o *openContent) look(err error) {
	if !errors.Is(err, mailaccess.KindCorrupt) || o.at.box == nil {
		return
	}
	o.a.measured.forget(o.email)
	if o.at.dir == nil {
		return
	}
	f, err := o.at.dir.Open(o.at.name)
	if err != nil {
		return // whoever opens it again finds out why
	}
	defer f.Close()
	m, err := content.Measure(context.Background(), f)
	if err == nil && m.Size != o.at.row.Size {
		o.a.another(o.op, o.at, m) //nolint:errcheck // the caller is told of err
	}
}

// Close closes the file.
func (o *openContent) Close() error {
	if table := o.Table(); o.learned || table != nil {
		o.a.measured.put(o.email, o.Measured(), table)
	}
	return o.Content.Close()
}

// place is where a message is.
type place struct {
	box  *mailbox // nil: among the expunged messages
	row  index.Row
	dir  fsys.Dir // nil: where expunged messages are
	name string   // of its file
	ours bool     // it is in the spool
}

// measured returns what is known of a file that has not been measured lately. That it is the
// one whose size the index has is told by its time, which is that of its arrival, or by the
// size in its name if it is not younger.
func (at *place) measured(info fsys.Info) content.Measured {
	if at.box == nil || at.row.Size == mailaccess.SizeUnknown {
		return content.Measured{}
	}
	m, _ := maildirname.ParseMessage(at.name)
	modified, received := info.ModTime.Unix(), at.row.Received.Unix()
	if !at.ours && modified != received && (m.Size != info.Size || modified > received) {
		return content.Measured{}
	}
	return content.Measured{FileSize: info.Size, Size: at.row.Size, ModTime: modified}
}

// another makes a message whose file has become another a message of its own, and tells the
// caller that the one that there was is gone.
func (a *account) another(op string, at place, m content.Measured) error {
	gone := fail(op, mailaccess.KindContentGone, string(at.box.ID), errors.New("its file has become another"))
	err := a.do(&change{op: op, boxes: []mailaccess.MailboxID{at.box.ID}, alone: func() error {
		a.mu.Lock()
		b := at.box
		row, ok := index.Row{}, false
		var name index.FileName
		var err error
		if !b.deleted {
			if _, err = a.loaded(op, b.ID); err == nil {
				row, ok = b.ix.Get(at.row.UID)
			}
			if ok {
				name, err = b.ix.FileName(row.UID)
			}
		}
		a.mu.Unlock()
		if err != nil || !ok || row.Email != at.row.Email || name.Place == index.PlaceSpool {
			return err
		}
		f := arrival{found: found{name.Base + name.Suffix, name.Place}, old: row.UID, flags: row.Flags}
		if f.info, err = b.at(f.place).Lstat(f.name); err != nil {
			return err
		}
		if f.info.Size != m.FileSize {
			return nil // it goes on changing
		}
		a.store.log.Warn("the file of a message has become another: it is a new message", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.String("file", f.name), zap.Uint32("uid", uint32(row.UID)))
		d := &difference{a: a, op: op, b: b}
		return d.arrive([]arrival{f})
	}})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failDisk(op, string(at.box.ID), err)
	}
	return gone
}

// openFile opens the file of a content. A file that is not where the index says was
// renamed or removed by somebody else, or is just being placed: then the mailbox is scanned.
func (h *handle) openFile(op string, email uint32) (place, fsys.File, error) {
	for attempt := 0; ; attempt++ {
		at, coming, err := h.whereIs(op, email)
		if err != nil {
			return place{}, nil, err
		}
		if at.dir == nil {
			f, err := h.openKept(op, email)
			if attempt > 0 || h.store.opts.KeepExpunged < 0 || !errors.Is(err, mailaccess.KindContentGone) {
				return place{}, f, err
			}
			// Whoever has the lead may just be moving it there.
			if err := h.do(&change{op: op, alone: func() error { return nil }}); err != nil {
				return place{}, nil, err
			}
			continue
		}
		f, err := at.dir.Open(at.name)
		if err == nil {
			return at, f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrClosed) && !errors.Is(err, fsys.ErrNotRegular) {
			return place{}, nil, failDisk(op, at.boxID(), err)
		}
		switch {
		case attempt == 3:
			return place{}, nil, fail(op, mailaccess.KindContentGone, at.boxID(), err)
		case attempt == 0:
		case coming || at.box == nil:
			// Whoever has the lead is just placing it.
			err = h.do(&change{op: op, alone: func() error { return nil }})
		default:
			err = h.rescan(op, at.box)
		}
		if attempt > 0 && err != nil {
			return place{}, nil, err
		}
	}
}

func (at *place) boxID() string {
	if at.box == nil {
		return ""
	}
	return string(at.box.ID)
}

// whereIs finds a place of a content and the file there; a nil directory when it has none.
// coming says that the file may be on its way there.
func (h *handle) whereIs(op string, email uint32) (at place, coming bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, uid, err := h.findEmail(op, email)
	if err != nil {
		return place{}, false, err
	}
	if b == nil {
		return h.onItsWayOut(email), false, nil
	}
	row, _ := b.ix.Get(uid)
	name, err := b.ix.FileName(uid)
	if err != nil {
		return place{}, false, h.damaged(op, b, err)
	}
	at = place{box: b, row: row, name: name.Base + name.Suffix}
	if name.Place != index.PlaceSpool {
		if err := h.openDirsLocked(b); err != nil {
			return place{}, false, failDisk(op, string(b.ID), err)
		}
		at.dir = b.at(name.Place)
		return at, false, nil
	}
	for i := range h.pending {
		if t := &h.pending[i]; t.kind == placeFile && t.box == b && t.uid == uid {
			if t.from.Spool != "" {
				at.dir, at.name, at.ours = h.store.spool, t.from.Spool, true
				return at, false, nil
			}
			if src := h.boxes[t.from.Box]; src != nil && h.openDirsLocked(src) == nil {
				at.dir, at.name = src.at(t.from.Place), t.from.Base+t.from.Suffix
				return at, false, nil
			}
		}
	}
	if err := h.openDirsLocked(b); err != nil {
		return place{}, false, failDisk(op, string(b.ID), err)
	}
	at.dir = b.cur
	return at, true, nil
}

// onItsWayOut is where the file is of a message that was expunged, or of a mailbox that was
// deleted, and that was not moved yet to where those are kept. a.mu is held.
func (a *account) onItsWayOut(email uint32) place {
	for i := range a.pending {
		if t := &a.pending[i]; t.kind == keepFile && t.email == email && t.box.cur != nil {
			return place{dir: t.box.at(t.place), name: t.base + t.suffix}
		}
	}
	for _, b := range a.buried {
		if !b.ix.Loaded() {
			continue // it was moved
		}
		for uid := range b.ix.FindEmail(email) {
			name, err := b.ix.FileName(uid)
			if err == nil && name.Place != index.PlaceSpool && a.openDirsLocked(b) == nil {
				return place{dir: b.at(name.Place), name: name.Base + name.Suffix}
			}
		}
	}
	return place{}
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
			if uid, ok := b.ix.OneOfEmail(email); ok {
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
func (a *account) noteSize(b *mailbox, uid mailaccess.UID, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !b.deleted && b.ix.Loaded() {
		b.ix.SetSize(uid, size)
	}
}
