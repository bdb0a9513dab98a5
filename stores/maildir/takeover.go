package maildir

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/takeover"
)

// A Maildir that another server kept is taken over when it is opened for the first time:
// UIDVALIDITY, UIDs and keywords stay what the clients know. The order is such that the
// next open begins again if this one is broken off: the other server's lists are read and
// the index is written; then the account's file is, and from then on the index counts;
// then the lists are renamed.

// takenOver is what the names of lists end in that were taken over.
const takenOver = ".taken-over"

// uidLists are the names of the files with UIDs.
func uidLists() []string { return []string{takeover.DovecotUIDList, takeover.CourierUIDList} }

// newestList returns the name of the list of UIDs in a folder that was written last, or "".
func newestList(d fsys.Dir) (name string) {
	var newest time.Time
	for _, list := range uidLists() {
		info, err := d.Lstat(list)
		if err == nil && info.Mode.IsRegular() && (name == "" || info.ModTime.After(newest)) {
			name, newest = list, info.ModTime
		}
	}
	return name
}

// recognize tells which server kept the account: "dovecot", "courier" or "".
func (a *account) recognize() (string, error) {
	files := make(map[string]time.Time)
	for e, err := range a.dir.Names(0) {
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(e.Name, "dovecot") || strings.HasPrefix(e.Name, "courier") {
			if info, err := a.dir.Lstat(e.Name); err == nil {
				files[e.Name] = info.ModTime
			}
		}
	}
	switch takeover.Recognize(maps.All(files)) {
	case takeover.Dovecot:
		return "dovecot", nil
	case takeover.Courier:
		return "courier", nil
	}
	return "", nil
}

// Namespace tells the prefix and the separator under which clients know the mailboxes of an
// account that another server kept before, as that server has them unless it was configured
// otherwise: "INBOX." and . of Courier, . alone of Dovecot up to 2.3 over a Maildir. For
// others it is no prefix and /.
func (s *Store) Namespace(ctx context.Context, account string) (prefix string, separator rune, err error) {
	origin, err := s.Origin(ctx, account)
	server := takeover.Unknown
	switch origin {
	case "dovecot":
		server = takeover.Dovecot
	case "courier":
		server = takeover.Courier
	}
	b, prefix := server.Namespace()
	return prefix, rune(b), err
}

// Origin tells which server kept an account before: "dovecot", "courier", or "" when it was
// ours from the beginning. It says by which separator and prefix clients know mailboxes.
func (s *Store) Origin(ctx context.Context, account string) (origin string, err error) {
	const op = "origin"
	if err := s.usable(ctx, op); err != nil {
		return "", err
	}
	a, err := s.acquire(op, account, false)
	if err != nil {
		return "", err
	}
	defer s.letGo(a)
	return a.origin, nil
}

// uidList is what another server knows of a folder.
type uidList struct {
	takeover.UIDList
	messages map[string]takeover.UIDEntry // by base
	keywords map[string]mailaccess.Keywords
	unique   map[string]string // unique-ids of POP3 that were noted, by base
}

// readList reads the list of a folder; nil when it makes no sense, or is not the one by which
// clients know the folder.
func (a *account) readList(f *folder) (*uidList, error) {
	d, err := a.dir, error(nil)
	if f.Dir != "" {
		if d, err = a.dir.Sub(f.Dir); err != nil {
			return nil, err
		}
		defer d.Close()
	}
	file, err := d.Open(f.list)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	l := &uidList{messages: make(map[string]takeover.UIDEntry), keywords: make(map[string]mailaccess.Keywords), unique: make(map[string]string)}
	l.UIDList, err = takeover.ReadUIDList(readerOf(file), func(e takeover.UIDEntry) error {
		l.messages[e.Base] = e
		if e.UIDL != "" {
			l.unique[e.Base] = e.UIDL
		}
		return nil
	})
	where := []zap.Field{zap.String("account", a.key), zap.String("mailbox", f.Name), zap.String("file", f.list)}
	switch {
	case errors.Is(err, mailaccess.KindCorrupt):
		a.store.log.Error("another server's list makes no sense: the messages get new UIDs", append(where, zap.Error(err))...)
		return nil, nil
	case err != nil:
		return nil, err
	case f.known && f.meta.validity != l.Validity:
		a.store.log.Error("another server's list is not the one that the mailbox's UIDs come from: it is not used", where...)
		return nil, nil
	case l.Skipped > 0:
		a.store.log.Warn("lines of another server's list make no sense", append(where, zap.Int("lines", l.Skipped), zap.Strings("why", l.Reasons))...)
	}
	if f.list != takeover.CourierUIDList {
		return l, nil
	}
	// Courier's POP3 server numbers messages apart from IMAP.
	err = withFile(d, takeover.CourierPOP3List, func(r io.Reader) error {
		report, err := takeover.ReadCourierPOP3(r, func(e takeover.POP3Entry) error {
			l.unique[e.Base] = e.UIDL
			return nil
		})
		if err == nil && report.Skipped > 0 {
			a.store.log.Warn("lines of another server's list for POP3 make no sense", append(where, zap.Int("lines", report.Skipped), zap.Strings("why", report.Reasons))...)
		}
		if errors.Is(err, mailaccess.KindUnsupported) {
			a.store.log.Warn("another server's list for POP3 is not understood: its clients get other unique-ids", append(where, zap.Error(err))...)
			err = nil
		}
		return err
	})
	if err == nil {
		err = a.readCourierKeywords(d, l)
	}
	return l, err
}

// readCourierKeywords reads what Courier knows of keywords.
func (a *account) readCourierKeywords(folder fsys.Dir, l *uidList) error {
	d, err := folder.Sub(takeover.CourierKeywords)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = withFile(d, takeover.CourierKeywordList, func(r io.Reader) error {
		_, err := takeover.ReadCourierKeywords(r, func(base string, k mailaccess.Keywords) error {
			l.keywords[base] = k
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	var failed error
	updates := takeover.NewestCourierUpdates(func(yield func(string) bool) {
		for e, err := range d.Names(0) {
			if err != nil {
				failed = err
				return
			}
			if !yield(e.Name) {
				return
			}
		}
	})
	for base, name := range updates {
		err := withFile(d, name, func(r io.Reader) error {
			k, _, err := takeover.ReadCourierUpdate(r)
			if err == nil {
				l.keywords[base] = k
			}
			return err
		})
		failed = errors.Join(failed, err)
	}
	return failed
}

// withFile reads a file, if it is there.
func withFile(d fsys.Dir, name string, read func(io.Reader) error) error {
	f, err := d.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return read(readerOf(f))
}

func readerOf(f fsys.File) io.Reader { return io.NewSectionReader(f, 0, math.MaxInt64) }

// takeOverMailbox fills the index of a mailbox: messages that the list names keep their
// UIDs, the others get UIDs above.
func (a *account) takeOverMailbox(b *mailbox, l *uidList) error {
	k, err := a.readKeywords(b)
	if err != nil {
		return err
	}
	if err := a.loadThreads(); err != nil {
		return err
	}
	d := &difference{a: a, b: b, keywords: k}
	files, err := l.files(b)
	if err != nil {
		return err
	}
	next := l.Next
	for i := range files {
		if files[i].uid == 0 && next < math.MaxUint32 {
			files[i].uid = next
			next++
		}
	}
	slices.SortFunc(files, func(x, y listed) int { return cmp.Compare(x.uid, y.uid) })
	buf := make([]byte, headRead)
	recent := mailaccess.UID(1)
	unique := make(map[mailaccess.UID]string)
	for part := range slices.Chunk(files, txnMax) {
		var rows []index.Row
		var names []index.FileName
		for _, f := range part {
			if f.uid == 0 {
				continue
			}
			row, keys, err := d.read(f.arrival, buf)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				a.store.log.Warn("a message file cannot be read: it is left out", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.String("file", f.name), zap.Error(err))
				continue
			}
			base := baseOf(f.name)
			row.UID, row.ModSeq, row.Created = f.uid, a.ModSeq, a.ModSeq
			if e := l.messages[base]; row.Size == mailaccess.SizeUnknown && e.Size == f.info.Size && e.Wire >= e.Size {
				row.Size = e.Wire
			}
			if k := row.Flags.Keywords.Union(l.keywords[base]); k.Len() <= mailaccess.MaxKeywords {
				row.Flags.Keywords = b.ix.Spelled(k)
			}
			a.LastEmail++
			row.Email = a.LastEmail
			if row.Thread = a.threads.of(keys); row.Thread == 0 {
				a.LastThread++
				row.Thread = a.LastThread
			}
			a.threads.enter(row.Thread, keys)
			if id := l.unique[base]; id != "" {
				unique[f.uid] = id
			}
			rows = append(rows, row)
			names = append(names, index.FileName{Base: base, Suffix: f.name[len(base):], Place: f.place})
			if f.place == index.PlaceCur {
				recent = f.uid + 1 // those above it are in new: nobody was told of them
			}
			if f.place == index.PlaceNew || !row.Flags.Keywords.IsEmpty() {
				b.lazy, b.flagged = b.lazy.WithRange(f.uid, f.uid), a.store.now()
			}
		}
		b.ix.Arrive(rows, names)
	}
	if err := a.saveUniqueIDs(b, unique); err != nil {
		return err
	}
	b.ix.RaiseUIDNext(next)
	b.ix.SetRecent(recent)
	b.reserved = b.ix.UIDNext()
	meta := mailboxMeta{id: b.ID, validity: b.UIDValidity, reserved: b.reserved, use: b.Use}
	return a.store.writeSmall(b.dir, mailboxFile, meta.text())
}

// listed is a message file and its UID, or 0.
type listed struct {
	arrival
	uid mailaccess.UID
}

// files lists the message files of a mailbox: those without a UID in the order of arrival,
// as far as it can be known.
func (l *uidList) files(b *mailbox) ([]listed, error) {
	var files []listed
	seen := make(map[string]bool)
	for _, at := range []index.Place{index.PlaceCur, index.PlaceNew} {
		for e, err := range b.at(at).Names(0) {
			if err != nil {
				return nil, err
			}
			base := baseOf(e.Name)
			if base == "" || seen[base] || !e.Type.IsRegular() {
				continue
			}
			info, err := b.at(at).Lstat(e.Name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			seen[base] = true
			files = append(files, listed{arrival{found: found{e.Name, at}, info: info}, l.messages[base].UID})
		}
	}
	slices.SortFunc(files, func(x, y listed) int {
		return cmp.Or(x.info.ModTime.Truncate(time.Second).Compare(y.info.ModTime.Truncate(time.Second)), cmp.Compare(x.name, y.name))
	})
	return files, nil
}

// finishTakeover makes what was taken over count, and renames the lists.
func (a *account) finishTakeover() error {
	if a.taking {
		if err := a.writeSubscriptions(); err != nil {
			return err
		}
		if err := a.checkpoint(); err != nil {
			return err
		}
		a.taking = false
		meta := a.meta
		meta.unfinished, a.renaming = true, true
		a.meta = accountMeta{}
		if err := a.writeMeta(meta); err != nil {
			return err
		}
		a.store.log.Info("taken over", zap.String("account", a.key), zap.String("from", meta.origin), zap.Int("mailboxes", len(a.boxes)))
	}
	if !a.renaming {
		return nil
	}
	for _, b := range a.boxes {
		if err := a.renameLists(b); err != nil {
			return err
		}
	}
	meta := a.meta
	meta.unfinished, a.renaming = false, false
	return a.writeMeta(meta)
}

// renameLists puts the lists of a folder aside.
func (a *account) renameLists(b *mailbox) error {
	if err := a.openDirs(b); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	names := append(uidLists(), takeover.CourierKeywords)
	if b.dirName == "" {
		names = append(names, takeover.CourierSubscriptions)
	}
	some := false
	for _, name := range names {
		err := b.dir.Rename(name, b.dir, name+takenOver)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		some = some || err == nil
	}
	if !some {
		return nil
	}
	return b.dir.Sync()
}

// warnOfLists tells of a list that another server wrote after its mailbox was taken over: it
// is not merged, since both gave UIDs. a.mu is held.
func (a *account) warnOfLists(b *mailbox, d fsys.Dir) {
	if a.taking || a.renaming || b.warned {
		return
	}
	if list := newestList(d); list != "" {
		b.warned = true
		a.store.log.Warn("another server uses a mailbox too: its UIDs are not ours", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.String("file", list))
	}
}
