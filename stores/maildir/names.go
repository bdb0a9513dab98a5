package maildir

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/maildirname"
)

// The flags in the names of files follow those in the index, for whoever reads the Maildir
// besides us. That is never waited for: renames are collected, and done when a mailbox has
// been quiet for a moment or is closed.

const (
	keywordsFile = "dovecot-keywords"

	// quiet is how long after the last change of flags names follow.
	quiet = 2 * time.Second
	// renameMax is how many files are renamed while others wait.
	renameMax = 256
)

// suffix returns what follows the base in the name of a new file: the flags that have
// letters already. a.mu is held.
func (a *account) suffix(b *mailbox, flags mailaccess.Flags) string {
	var k maildirname.Keywords
	if b.keywords != nil {
		k = *b.keywords
	}
	l, _ := k.Letters(flags)
	return maildirname.Message{}.WithFlags(l)
}

// baseLike returns a fresh base with the sizes that an old one tells.
func (a *account) baseLike(old string) string {
	base := a.store.unique.Next()
	if m, ok := maildirname.ParseMessage(old); ok && m.Size != maildirname.SizeUnknown && m.Wire != maildirname.SizeUnknown {
		base = maildirname.WithSizes(base, m.Size, m.Wire)
	}
	return base
}

func baseOf(name string) string {
	m, _ := maildirname.ParseMessage(name)
	return m.Base
}

// loadKeywords reads the letters of a mailbox. The lead is held.
func (a *account) loadKeywords(b *mailbox) error {
	if b.keywords != nil {
		return nil
	}
	if err := a.openDirs(b); err != nil {
		return err
	}
	text, err := readSmall(b.dir, keywordsFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	k, skipped, err := maildirname.ReadKeywords(bytes.NewReader(text))
	if err != nil {
		return err
	}
	if skipped > 0 {
		a.store.log.Info("lines of the keywords' file make no sense", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.Int("lines", skipped))
	}
	a.mu.Lock()
	b.keywords = &k
	a.mu.Unlock()
	return nil
}

// upkeep does what is due in an account: names of files, and looking for what others did
// where nobody tells.
func (a *account) upkeep(now time.Time) {
	a.mu.Lock()
	var lazy, look []*mailbox
	for _, b := range a.boxes {
		if !b.lazy.IsEmpty() && now.Sub(b.flagged) >= quiet {
			lazy = append(lazy, b)
		}
		if b.holds > 0 && (b.scan.forced || now.Sub(b.scan.looked) >= a.lookEvery(b)) {
			look = append(look, b)
		}
	}
	sweep := now.Sub(a.swept) >= sweepEvery
	if sweep {
		a.swept = now
	}
	a.mu.Unlock()
	for _, b := range lazy {
		if err := a.renameSome(b); err != nil {
			a.quietly("rename files", err)
		}
	}
	for _, b := range look {
		if err := a.look("look", b); err != nil {
			a.quietly("look for changes", err)
		}
	}
	a.unwatchUnused(now)
	if sweep {
		a.sweep(now)
	}
}

// finishNames brings all names in line.
func (a *account) finishNames() error {
	a.mu.Lock()
	boxes := make([]*mailbox, 0, len(a.boxes))
	for _, b := range a.boxes {
		boxes = append(boxes, b)
	}
	a.mu.Unlock()
	for _, b := range boxes {
		for a.behind(b) {
			if err := a.renameSome(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *account) behind(b *mailbox) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !b.deleted && !b.lazy.IsEmpty()
}

// renameSome renames files of a mailbox whose names lag behind, renameMax at most.
func (a *account) renameSome(b *mailbox) error {
	return a.do(&change{op: "rename files", boxes: []mailaccess.MailboxID{b.ID}, alone: func() error { return a.renameLed(b) }})
}

// renaming is a file that gets another name.
type renaming struct {
	uid      mailaccess.UID
	from, to index.FileName
}

func (a *account) renameLed(b *mailbox) error {
	if err := a.loadKeywords(b); err != nil {
		return err
	}
	a.mu.Lock()
	if b.deleted {
		a.mu.Unlock()
		return nil
	}
	k := *b.keywords
	todo, err := a.renamings(b, &k)
	a.mu.Unlock()
	if err != nil || len(todo) == 0 {
		return err
	}
	if k != *b.keywords {
		// Before there are files with its letters.
		if err := a.store.writeSmall(b.dir, keywordsFile, k.Append(nil)); err != nil {
			return err
		}
		a.mu.Lock()
		b.keywords = &k
		a.mu.Unlock()
	}
	// The log knows of the names before they are there, and so does the index: neither a
	// crash nor a scan takes them for somebody else's change.
	part := boxRecord{Box: b.ID}
	for _, r := range todo {
		part.Names = append(part.Names, nameChange{UID: r.uid, Base: r.to.Base, Suffix: r.to.Suffix, Place: r.to.Place})
	}
	if err := a.note(&record{Boxes: []boxRecord{part}}); err != nil {
		return err
	}
	for _, r := range todo {
		a.mu.Lock()
		b.ix.SetFileName(r.uid, r.to)
		a.mu.Unlock()
		from := b.at(r.from.Place)
		err := from.Rename(r.from.Base+r.from.Suffix, b.cur, r.to.Base+r.to.Suffix)
		a.mu.Lock()
		a.dirtied(b, b.cur)
		a.dirtied(b, from)
		if err != nil {
			// Somebody else was faster, or the disk fails: what is there is found by a scan.
			b.ix.SetFileName(r.uid, r.from)
			b.scan.forced = true
		}
		a.mu.Unlock()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// renamings takes messages from those that lag behind, and gives letters to keywords that
// have none. a.mu is held.
func (a *account) renamings(b *mailbox, k *maildirname.Keywords) (todo []renaming, err error) {
	if err := b.ix.Load(); err != nil {
		return nil, err
	}
	var done mailaccess.UIDSetBuilder
	var taken uint32
	n := 0
	for uid := range b.lazy.All() {
		if n++; n > renameMax {
			break
		}
		done.AddUID(uid)
		row, ok := b.ix.Get(uid)
		if !ok {
			continue
		}
		from, err := b.ix.FileName(uid)
		if err != nil {
			return nil, err
		}
		if from.Place == index.PlaceSpool {
			continue // it is placed under another name, or not yet
		}
		_, without := k.Letters(row.Flags)
		for w := range without.All() {
			k.Add(w, taken)
		}
		letters, _ := k.Letters(row.Flags)
		m, ok := maildirname.ParseMessage(from.Base + from.Suffix)
		if !ok {
			continue
		}
		// Letters that mean nothing to us are another program's.
		_, unknown := k.Flags(m.Flags)
		letters.Keywords |= unknown
		to := index.FileName{Base: from.Base, Suffix: m.WithFlags(letters)[len(from.Base):], Place: index.PlaceCur}
		if to != from {
			todo = append(todo, renaming{uid, from, to})
		}
	}
	b.lazy = b.lazy.Minus(done.Set())
	return todo, nil
}

// note writes a record that takes no number to the log and does not wait for the disk: it
// is there before whatever is committed later.
func (a *account) note(r *record) error {
	payload, err := a.store.codec.enc.Marshal(&entry{Account: a.key, Records: []record{*r}})
	if err != nil {
		return err
	}
	a.logged(a.store.commits.End())
	_, err = a.store.commits.Append(payload)
	return err
}
