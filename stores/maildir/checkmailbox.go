package maildir

import (
	"errors"
	"hash/maphash"
	"io/fs"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/content"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// mailbox checks one mailbox.
func (c *checking) mailbox(a *account, b *mailbox) error {
	for _, step := range []func(*account, *mailbox) error{
		c.gone, c.files, c.rows, c.bases, c.sizes, c.identity, c.keywords,
	} {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := step(a, b); err != nil {
			return err
		}
		c.tell()
	}
	return c.leftOvers(a, b.dirName)
}

// gone looks for messages without a file, before a scan takes them out.
func (c *checking) gone(a *account, b *mailbox) error {
	l, err := a.listing(c.op, b)
	if err != nil {
		return err
	}
	odd, missing, err := l.compare(b)
	if err != nil {
		return a.lost(c.op, b, err)
	}
	elsewhere := make(map[string]bool, len(odd))
	for _, f := range odd {
		elsewhere[baseOf(f.name)] = true
	}
	return a.do(&change{op: c.op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		for uid := range missing.All() {
			name, ok, err := c.fileName(a, b, uid)
			if err != nil {
				return err
			}
			if ok && name.Place != index.PlaceSpool && !elsewhere[name.Base] && !exists(b, name) {
				c.found(uid, false, "its file is gone, and so is the message: %q", name.Base)
			}
		}
		return nil
	}})
}

// fileName returns the name of a message's file; false when there is no such message.
func (c *checking) fileName(a *account, b *mailbox, uid mailaccess.UID) (index.FileName, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.loaded(c.op, b.ID); err != nil {
		return index.FileName{}, false, err
	}
	if !b.ix.UIDs().Contains(uid) {
		return index.FileName{}, false, nil
	}
	name, err := b.ix.FileName(uid)
	return name, err == nil, err
}

// files compares the directories with the index, after a fresh scan.
func (c *checking) files(a *account, b *mailbox) error {
	if err := a.rescan(c.op, b); err != nil {
		return err
	}
	l, err := a.listing(c.op, b)
	if err != nil {
		return err
	}
	odd, missing, err := l.compare(b)
	if err != nil {
		return a.lost(c.op, b, err)
	}
	return a.do(&change{op: c.op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		// What came since the scan is no finding.
		if err := a.reconcile(c.op, b, odd, missing); err != nil {
			return err
		}
		for _, f := range odd {
			if err := c.file(a, b, f); err != nil {
				return err
			}
		}
		for uid := range missing.All() {
			name, ok, err := c.fileName(a, b, uid)
			if err != nil {
				return err
			}
			if ok && name.Place != index.PlaceSpool && !exists(b, name) {
				c.found(uid, false, "it has no file %q", name.Base+name.Suffix)
			}
		}
		return c.unplaced(a, b)
	}})
}

// file tells what is wrong about a file that the index does not have under its name. The
// lead is held.
func (c *checking) file(a *account, b *mailbox, f found) error {
	m, ok := maildirname.ParseMessage(f.name)
	if !ok {
		return nil // no message's name: other programs may keep what they like
	}
	info, err := b.at(f.place).Lstat(f.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode.IsRegular() {
		c.found(0, false, "not a regular file: %q", f.name)
		return nil
	}
	bases := map[string]mailaccess.UID{m.Base: 0}
	a.mu.Lock()
	_, err = a.loaded(c.op, b.ID)
	if err == nil {
		err = b.ix.FindBases(bases)
	}
	a.mu.Unlock()
	if err != nil {
		return err
	}
	uid := bases[m.Base]
	if uid == 0 {
		c.found(0, false, "a file that could not be made a message: %q", f.name)
		return nil
	}
	have, ok, err := c.fileName(a, b, uid)
	if err != nil || !ok {
		return err
	}
	switch now := (index.FileName{Base: m.Base, Suffix: f.name[len(m.Base):], Place: f.place}); {
	case have == now:
	case have.Place != index.PlaceSpool && exists(b, have):
		c.found(uid, false, "a second file of the same name: %q", f.name)
	default:
		c.found(uid, false, "its file is called %q, not %q", f.name, have.Base+have.Suffix)
	}
	return nil
}

// unplaced looks for messages whose files never came into the folder, and that no work is
// left for. The lead is held.
func (c *checking) unplaced(a *account, b *mailbox) error {
	names, err := c.fileNames(a, b)
	if err != nil {
		return err
	}
	defer names.Close()
	waiting := make(map[mailaccess.UID]bool)
	a.mu.Lock()
	for i := range a.pending {
		if t := &a.pending[i]; t.box == b {
			waiting[t.uid] = true
		}
	}
	a.mu.Unlock()
	for e, err := range names.All() {
		if err != nil {
			return err
		}
		if e.Place == index.PlaceSpool && !waiting[e.UID] {
			c.found(e.UID, false, "its file was never put into the folder: %q", e.Base)
		}
	}
	return nil
}

func (c *checking) fileNames(a *account, b *mailbox) (*index.FileNames, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.loaded(c.op, b.ID); err != nil {
		return nil, err
	}
	return b.ix.FileNames()
}

// rows checks that the index agrees with itself.
func (c *checking) rows(a *account, b *mailbox) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.loaded(c.op, b.ID); err != nil {
		return err
	}
	ix := b.ix
	if ix.ModSeq() > a.ModSeq {
		c.found(0, false, "change number %d is above the account's, %d", ix.ModSeq(), a.ModSeq)
	}
	if b.Created > ix.ModSeq() || b.Changed > ix.ModSeq() {
		c.found(0, false, "created at %d, changed at %d: after its last change number, %d", b.Created, b.Changed, ix.ModSeq())
	}
	if ix.UIDNext() > b.reserved {
		c.found(0, false, "UIDNEXT is %d, above the UIDs that are reserved, %d", ix.UIDNext(), b.reserved)
	}
	var seen, unseen, trashed mailaccess.UIDSetBuilder
	var size int64
	unknown := 0
	last := mailaccess.UID(0)
	var buf [batchLen]index.Row
	for n := ix.Next(1, ix.UIDs(), 0, buf[:]); n > 0; n = ix.Next(last+1, ix.UIDs(), 0, buf[:]) {
		for i := range buf[:n] {
			r := &buf[i]
			if r.UID <= last {
				c.found(r.UID, false, "its UID is there twice, or out of order")
			}
			c.row(a, b, r)
			last = max(last, r.UID)
			seen.AddUID(r.UID)
			if !r.Flags.System.Has(mailaccess.FlagSeen) {
				unseen.AddUID(r.UID)
			}
			if r.Flags.System.Has(mailaccess.FlagDeleted) {
				trashed.AddUID(r.UID)
			}
			if r.Size == mailaccess.SizeUnknown {
				unknown++
			} else {
				size += r.Size
			}
		}
		if last == 1<<32-1 {
			break
		}
	}
	for _, set := range []struct {
		what       string
		have, want mailaccess.UIDSet
	}{{"messages", ix.UIDs(), seen.Set()}, {"unseen messages", ix.Unseen(), unseen.Set()}, {"deleted messages", ix.Trashed(), trashed.Set()}} {
		if !set.have.Equal(set.want) {
			c.found(0, false, "the index counts %d %s, and there are %d", set.have.Len(), set.what, set.want.Len())
		}
	}
	if s, n := ix.Size(); s != size || n != unknown {
		c.found(0, false, "the index counts %d octets, and there are %d", s, size)
	}
	return nil
}

// row checks one message. a.mu is held.
func (c *checking) row(a *account, b *mailbox, r *index.Row) {
	if r.UID >= b.ix.UIDNext() {
		c.found(r.UID, false, "its UID is not below UIDNEXT, %d", b.ix.UIDNext())
	}
	if r.Created == 0 || r.Created > r.ModSeq || r.ModSeq > b.ix.ModSeq() {
		c.found(r.UID, false, "change numbers out of order: created %d, changed %d, mailbox %d", r.Created, r.ModSeq, b.ix.ModSeq())
	}
	if r.Email > a.LastEmail || r.Thread > a.LastThread {
		c.found(r.UID, false, "message or thread number above the last one: %d of %d, %d of %d", r.Email, a.LastEmail, r.Thread, a.LastThread)
	}
}

// bases looks for two messages of one file.
func (c *checking) bases(a *account, b *mailbox) error {
	names, err := c.fileNames(a, b)
	if err != nil {
		return err
	}
	defer names.Close()
	l := listing{seed: maphash.MakeSeed()}
	known := make(map[uint64]mailaccess.UID)
	twice := make(map[uint64]bool) // or two names of one hash
	for e, err := range names.All() {
		if err != nil {
			return err
		}
		h := l.hash(0, e.Base)
		if known[h] != 0 {
			twice[h] = true
		}
		known[h] = e.UID
	}
	if len(twice) == 0 {
		return nil
	}
	first := make(map[string]mailaccess.UID)
	for e, err := range names.All() {
		if err != nil {
			return err
		}
		if !twice[l.hash(0, e.Base)] {
			continue
		}
		if uid := first[e.Base]; uid != 0 {
			c.found(e.UID, false, "it has the file of UID %d: %q", uid, e.Base)
		}
		first[e.Base] = e.UID
	}
	return nil
}

// sizes reads all messages.
func (c *checking) sizes(a *account, b *mailbox) error {
	a.mu.Lock()
	uids := b.ix.UIDs()
	a.mu.Unlock()
	for uid := range uids.All() {
		if err := c.size(a, b, uid); err != nil {
			return err
		}
		c.tell()
	}
	return nil
}

func (c *checking) size(a *account, b *mailbox, uid mailaccess.UID) error {
	name, f, err := c.open(a, b, uid)
	if err != nil || f == nil {
		return err
	}
	defer f.Close()
	info, err := f.Info()
	if err != nil {
		return err
	}
	measured, err := content.Measure(c.ctx, f)
	if ctxErr := c.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if err != nil {
		c.found(uid, false, "its file cannot be read: %v", err)
		return nil
	}
	a.mu.Lock()
	var row index.Row
	_, err = a.loaded(c.op, b.ID)
	ok := false
	if err == nil {
		row, ok = b.ix.Get(uid)
	}
	a.mu.Unlock()
	if err != nil || !ok {
		return err
	}
	switch same := arrivedAs(name, info, row); {
	case row.Size == measured.Size:
	case row.Size == mailaccess.SizeUnknown:
		if c.repair {
			a.noteSize(b, uid, measured.Size)
		}
	case same:
		if c.repair {
			a.measured.forget(row.Email) // it may come from the index
			a.noteSize(b, uid, measured.Size)
		}
		c.found(uid, c.repair, "its size is %d octets, and the index says %d", measured.Size, row.Size)
	default:
		repaired := false
		if c.repair {
			if repaired, err = c.another(a, b, row, measured); err != nil {
				return err
			}
		}
		c.found(uid, repaired, "its file has become another message: it has %d octets, and had %d", measured.Size, row.Size)
	}
	m, _ := maildirname.ParseMessage(name)
	if m.Size != maildirname.SizeUnknown && m.Size != measured.FileSize || m.Wire != maildirname.SizeUnknown && m.Wire != measured.Size {
		c.found(uid, false, "its file has %d octets, %d with CRLF, and is called %q", measured.FileSize, measured.Size, name)
	}
	return nil
}

// arrivedAs reports whether a file is the one that became the message, by its time and by
// the size in its name. A name without one does not tell.
func arrivedAs(name string, info fsys.Info, row index.Row) bool {
	m, _ := maildirname.ParseMessage(name)
	return m.Size == info.Size && info.ModTime.Unix() <= row.Received.Unix()
}

// another makes a message of its own of a file that took the place of another's, whose UID,
// EmailID and what was derived from it must not stand for these octets. It reports whether
// the message that was there is gone.
func (c *checking) another(a *account, b *mailbox, row index.Row, m content.Measured) (bool, error) {
	if err := a.another(c.op, place{box: b, row: row}, m); !errors.Is(err, mailaccess.KindContentGone) {
		return false, err
	}
	_, still, err := c.fileName(a, b, row.UID)
	return err == nil && !still, err
}

// open opens the file of a message; nil when it has none now.
func (c *checking) open(a *account, b *mailbox, uid mailaccess.UID) (string, fsys.File, error) {
	for range 3 { // it may be renamed meanwhile
		if err := a.openDirs(b); err != nil {
			return "", nil, a.lost(c.op, b, err)
		}
		name, ok, err := c.fileName(a, b, uid)
		if err != nil || !ok || name.Place == index.PlaceSpool {
			return "", nil, err
		}
		a.mu.Lock()
		dir := b.at(name.Place)
		a.mu.Unlock()
		f, err := dir.Open(name.Base + name.Suffix)
		switch {
		case err == nil:
			return name.Base + name.Suffix, f, nil
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrClosed):
			continue
		}
		c.found(uid, false, "its file cannot be opened: %v", err)
		return "", nil, nil
	}
	return "", nil, nil
}

// identity checks the file that tells which mailbox the folder is.
func (c *checking) identity(a *account, b *mailbox) error {
	return a.do(&change{op: c.op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		if err := a.openDirs(b); err != nil {
			return a.lost(c.op, b, err)
		}
		a.mu.Lock()
		want := mailboxMeta{id: b.ID, validity: b.UIDValidity, reserved: b.reserved, use: b.Use}
		next := b.ix.UIDNext()
		a.mu.Unlock()
		text, err := readSmall(b.dir, mailboxFile)
		var have mailboxMeta
		if err == nil {
			have, err = parseMailboxMeta(text)
		}
		if err == nil && have == want && want.reserved >= next {
			return nil
		}
		what := "it says something else than the index"
		if err != nil {
			what = err.Error()
		}
		repaired := false
		if c.repair && want.reserved >= next {
			want.reserved = max(want.reserved, have.reserved)
			if err := a.store.writeSmall(b.dir, mailboxFile, want.text()); err != nil {
				return err
			}
			a.mu.Lock()
			b.reserved = want.reserved
			a.mu.Unlock()
			repaired = true
		}
		c.found(0, repaired, "%s: %s", mailboxFile, what)
		return nil
	}})
}

// keywords checks the file that says what the letters mean.
func (c *checking) keywords(a *account, b *mailbox) error {
	if err := a.openDirs(b); err != nil {
		return a.lost(c.op, b, err)
	}
	f, err := b.dir.Open(keywordsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.found(0, false, "%s cannot be read: %v", keywordsFile, err)
		return nil
	}
	_, skipped, err := maildirname.ReadKeywords(readerOf(f))
	if err = errors.Join(err, f.Close()); err != nil {
		c.found(0, false, "%s cannot be read: %v", keywordsFile, err)
	} else if skipped > 0 {
		c.found(0, false, "%s has %d lines that make no sense", keywordsFile, skipped)
	}
	return nil
}
