package maildir

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
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
	// followFor is how long files are renamed in each second. Of 100,000 that takes some.
	followFor = 250 * time.Millisecond
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

// readKeywords returns the letters of a mailbox. While their file cannot be read there are
// none. The lead is held.
func (a *account) readKeywords(b *mailbox) (maildirname.Keywords, error) {
	if err := a.openDirs(b); err != nil {
		return maildirname.Keywords{}, err
	}
	if err := a.loadKeywords(b); err != nil {
		a.mu.Lock()
		told := b.lettersLost
		b.lettersLost = true
		a.mu.Unlock()
		if !told {
			a.store.log.Warn("the keywords' file of a mailbox cannot be read: letters mean nothing until it can", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.Error(err))
		}
		return maildirname.Keywords{}, nil
	}
	return *b.keywords, nil
}

// loadKeywords reads the letters of a mailbox, if they were not read. The lead is held.
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
	b.keywords, b.lettersLost = &k, false
	a.mu.Unlock()
	return nil
}

// upkeep does what is due in an account: names of files, and looking for what others did
// where nobody tells. Files are renamed until then, by the clock, and some in any case.
func (a *account) upkeep(now, renaming time.Time) {
	calm := a.calm.Swap(true) // what happens from here on is for the next time
	a.mu.Lock()
	if calm && now.Before(a.due) {
		a.mu.Unlock()
		return
	}
	var lazy, look []*mailbox
	a.due = now.Add(sweepEvery)
	// isDue reports whether a time has come, and else notes when it comes.
	isDue := func(t time.Time) bool {
		if t.After(now) && t.Before(a.due) {
			a.due = t
		}
		return !t.After(now)
	}
	for _, b := range a.boxes {
		if !b.lazy.IsEmpty() && isDue(b.flagged.Add(quiet)) {
			lazy = append(lazy, b)
		}
		if b.holds > 0 && (b.scan.forced || isDue(b.scan.looked.Add(a.lookEvery(b)))) {
			look = append(look, b)
		}
	}
	unused := false // some watched mailbox is
	for _, b := range a.boxes {
		unused = b.scan.watched && b.holds == 0 && isDue(b.used.Add(watchFor)) || unused
	}
	var rest []*mailbox
	for _, b := range a.boxes {
		if b.cur != nil && !b.rested && b.holds == 0 && !b.scan.watched && isDue(b.opened.Add(restAfter)) {
			rest = append(rest, b)
		}
	}
	pending := len(a.pending) > 0
	sweep := isDue(a.swept.Add(sweepEvery))
	if sweep {
		a.swept = now
	}
	a.mu.Unlock()
	a.size.Store(a.resident())
	if len(lazy) > 0 || len(look) > 0 || unused || sweep || pending {
		defer a.stir() // one more look at what came of it
	}
	if pending {
		a.quietly("do again what failed", a.do(&change{op: "look", alone: func() error { a.redoPending(); return nil }}))
	}
	for _, b := range lazy {
		a.quietly("rename files", a.followUntil(b, renaming))
	}
	for _, b := range look {
		a.watch(b)
		if err := a.look("look", b); err != nil {
			a.quietly("look for changes", err)
		}
	}
	if unused {
		a.unwatchUnused(now)
	}
	for _, b := range rest {
		a.quietly("close directories", a.rest(b, now))
	}
	if sweep {
		a.sweep(now)
	}
}

// finishNames brings all names in line, as far as the disk and other programs let it: what
// the index says holds in any case.
func (a *account) finishNames() error {
	var errs []error
	a.mu.Lock()
	boxes := make([]*mailbox, 0, len(a.boxes))
	for _, b := range a.boxes {
		boxes = append(boxes, b)
	}
	a.mu.Unlock()
	for _, b := range boxes {
		for n, idle := a.behind(b), 0; n > 0 && idle < 3; {
			if err := a.follow(b); err != nil {
				errs = append(errs, err)
				break
			}
			before := n
			if n = a.behind(b); n >= before {
				idle++
			}
		}
	}
	return errors.Join(errs...)
}

// behind returns how many names lag behind.
func (a *account) behind(b *mailbox) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.deleted {
		return 0
	}
	return b.lazy.Len()
}

func (a *account) isForced(b *mailbox) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return b.scan.forced
}

// follow renames files of a mailbox, after a look at what others did if that is due.
func (a *account) follow(b *mailbox) error {
	if a.isForced(b) {
		if err := a.look("rename files", b); err != nil {
			return err
		}
	}
	return a.renameSome(b)
}

// followUntil is follow, again and again until then, while names lag behind and no flags change.
// Others change the mailbox in between.
func (a *account) followUntil(b *mailbox, then time.Time) error {
	a.mu.Lock()
	flagged := b.flagged
	a.mu.Unlock()
	for {
		if err := a.follow(b); err != nil {
			return err
		}
		a.mu.Lock()
		more := !b.lazy.IsEmpty() && b.flagged.Equal(flagged) && !b.deleted
		a.mu.Unlock()
		if !more || time.Now().After(then) || a.store.closed.Load() {
			return nil
		}
	}
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
	k, err := a.readKeywords(b)
	if err != nil {
		return err
	}
	a.mu.Lock()
	if b.deleted {
		a.mu.Unlock()
		return nil
	}
	if !b.lettersLost {
		err = a.giveLetters(b, &k)
	}
	if err != nil {
		a.mu.Unlock()
		return err
	}
	todo, err := a.renamings(b, k)
	a.mu.Unlock()
	if err != nil || len(todo) == 0 {
		return err
	}
	if b.keywords != nil && k != *b.keywords {
		// Before there are files with its letters.
		if err := a.store.writeSmall(b.dir, keywordsFile, k.Append(nil)); err != nil {
			a.again(b, todo)
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
		a.again(b, todo)
		return err
	}
	for i, r := range todo {
		err := a.rename(b, r)
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			// Somebody else was faster: a scan finds what is there.
			a.mu.Lock()
			b.scan.force()
			a.mu.Unlock()
			a.again(b, todo[i:i+1])
		case errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, fs.ErrExist):
			a.quietly("rename a file: its name stays as it is", err)
		default:
			a.again(b, todo[i:])
			return err
		}
	}
	return nil
}

// rename gives a file another name.
func (a *account) rename(b *mailbox, r renaming) error {
	from, old, name := b.at(r.from.Place), r.from.Base+r.from.Suffix, r.to.Base+r.to.Suffix
	a.mu.Lock()
	b.ix.SetFileName(r.uid, r.to)
	a.mu.Unlock()
	err := a.naming(func() error { return from.RenameNew(old, b.cur, name) },
		naming{box: b, place: r.from.Place, name: old}, naming{box: b, place: index.PlaceCur, name: name, came: true})
	if errors.Is(err, fs.ErrExist) {
		// Another one's: the scan that finds it gives it another name. Or the file's own, where the
		// system takes upper and lower case for one.
		if same, other := sameFile(from, old, b.cur, name); other == nil && same {
			err = from.Rename(old, b.cur, name)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		b.ix.SetFileName(r.uid, r.from)
		return err
	}
	a.dirtied(b, b.cur)
	if from != b.cur {
		a.dirtied(b, from)
	}
	return nil
}

// again notes that files have yet to be renamed.
func (a *account) again(b *mailbox, todo []renaming) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range todo {
		b.lazy = b.lazy.WithRange(r.uid, r.uid)
	}
	b.lazy = b.lazy.Intersect(b.ix.UIDs())
	b.flagged = a.store.now()
}

// first returns the messages that are renamed next: renameMax of those that lag behind.
func (b *mailbox) first() mailaccess.UIDSet {
	var set mailaccess.UIDSetBuilder
	n := 0
	for uid := range b.lazy.All() {
		if n++; n > renameMax {
			break
		}
		set.AddUID(uid)
	}
	return set.Set()
}

// giveLetters gives letters to keywords that have none, of messages whose files are renamed
// next. Letters that files have already, and whose meaning nobody knows, are not given. a.mu is
// held.
func (a *account) giveLetters(b *mailbox, k *maildirname.Keywords) error {
	if err := b.ix.Load(); err != nil {
		return a.damaged("rename files", b, err)
	}
	var words mailaccess.Keywords
	for uid := range b.first().All() {
		if row, ok := b.ix.Get(uid); ok {
			_, without := k.Letters(row.Flags)
			words = words.Union(without)
		}
	}
	room := *k
	if words.IsEmpty() || !slices.ContainsFunc(slices.Collect(words.All()), func(w string) bool { return room.Add(w, 0) }) {
		return nil
	}
	names, err := b.ix.FileNames()
	if err != nil {
		return a.damaged("rename files", b, err)
	}
	defer names.Close()
	var taken uint32
	for e, err := range names.All() {
		if err != nil {
			return a.damaged("rename files", b, err)
		}
		if m, ok := maildirname.ParseMessage(e.Base + e.Suffix); ok {
			_, unknown := k.Flags(m.Flags)
			taken |= unknown
		}
	}
	for w := range words.All() {
		k.Add(w, taken)
	}
	return nil
}

// renamings takes messages from those that lag behind. a.mu is held.
func (a *account) renamings(b *mailbox, k maildirname.Keywords) (todo []renaming, err error) {
	if err := b.ix.Load(); err != nil {
		return nil, a.damaged("rename files", b, err)
	}
	done := b.first()
	for uid := range done.All() {
		row, ok := b.ix.Get(uid)
		if !ok {
			continue
		}
		from, err := b.ix.FileName(uid)
		if err != nil {
			return nil, a.damaged("rename files", b, err)
		}
		if from.Place == index.PlaceSpool {
			continue // it is placed under another name, or not yet
		}
		m, ok := maildirname.ParseMessage(from.Base + from.Suffix)
		if !ok {
			continue
		}
		letters, _ := k.Letters(row.Flags)
		// Letters that mean nothing to us are another program's.
		_, unknown := k.Flags(m.Flags)
		letters.Keywords |= unknown
		to := index.FileName{Base: from.Base, Suffix: m.WithFlags(letters)[len(from.Base):], Place: index.PlaceCur}
		if to != from {
			todo = append(todo, renaming{uid, from, to})
		}
	}
	b.lazy = b.lazy.Minus(done)
	return todo, nil
}

// note writes a record that takes no number to the log and does not wait for the disk: it
// is there before whatever is committed later.
func (a *account) note(r *record) error {
	payload, err := a.store.codec.enc.Marshal(&entry{Account: a.key, Records: []record{*r}})
	if err != nil {
		return err
	}
	if err := a.store.writeLate(); err != nil {
		return err
	}
	a.logged(a.store.commits.End())
	_, err = a.store.commits.Append(payload)
	return err
}
