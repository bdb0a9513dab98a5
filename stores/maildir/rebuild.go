package maildir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"slices"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/takeover"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// damagedFile is what the account's file is called when it makes no sense.
const damagedFile = accountFile + ".damaged"

// loadMeta reads the account's file. Without it the account is new to us: what another server
// left is taken over.
func (a *account) loadMeta() error {
	b, err := readSmall(a.dir, accountFile)
	absent := errors.Is(err, fs.ErrNotExist)
	if onDisk(err) {
		return err
	}
	if err == nil {
		if a.meta, err = parseAccountMeta(b); err == nil {
			a.renaming = a.meta.unfinished
			return nil
		}
	}
	if !absent {
		a.store.log.Error("the account's file is damaged: it is put aside and made anew", zap.String("account", a.key), zap.String("file", damagedFile), zap.Error(err))
		if err := a.dir.Rename(accountFile, a.dir, damagedFile); err != nil {
			return err
		}
	}
	return a.newMeta(absent)
}

// newMeta makes the account's file of what is there.
func (a *account) newMeta(takeOver bool) error {
	a.fresh = true
	l, err := a.listFolders()
	if err != nil {
		return err
	}
	d := maildirname.Detect(slices.Values(l.dirs))
	if d.Mixed() {
		a.store.log.Warn("the names of folders are in modified UTF-7 and in UTF-8: some may come out wrong",
			zap.String("account", a.key), zap.Int("UTF-7", d.UTF7), zap.Int("UTF-8", d.UTF8))
	}
	meta := accountMeta{nextValidity: uint32(max(1, min(a.store.now().Unix(), 1<<32-1))), encoding: d.Encoding}
	a.meta = meta
	folders, err := a.survey(l)
	if err != nil {
		return err
	}
	for i := range folders {
		f := &folders[i]
		if f.known {
			meta.nextValidity = above(meta.nextValidity, f.meta.validity)
		}
		a.taking = a.taking || takeOver && f.list != ""
	}
	if takeOver {
		if meta.origin, err = a.recognize(); err != nil {
			return err
		}
	}
	if _, err := a.dir.Lstat(takeover.CourierSubscriptions); err == nil && takeOver {
		a.taking = true
	}
	a.meta = accountMeta{}
	return a.writeMeta(meta)
}

// survey looks into all folders, INBOX first.
func (a *account) survey(l folderList) ([]folder, error) {
	inbox := folder{Folder: maildirname.Folder{Name: mailaccess.Inbox, Exact: true}}
	if _, err := a.readFolder(&inbox); err != nil {
		return nil, err
	}
	found, err := a.folders(l, l.dirs, func(string) bool { return false })
	return append([]folder{inbox}, found...), err
}

// rebuildFolders makes the mailboxes from the directories. The log is not asked: the first
// checkpoint will hold them.
func (a *account) rebuildFolders() error {
	l, err := a.listFolders()
	if err != nil {
		return err
	}
	for _, name := range l.half {
		a.quietly("remove a folder that was never finished", a.removeFolder(name))
	}
	folders, err := a.survey(l)
	if err != nil && (a.taking || len(folders) == 0) {
		return err
	}
	a.quietly("look into a folder", err) // it is found later
	used := make(map[mailaccess.MailboxID]bool)
	lists := make([]*uidList, len(folders))
	for i := range folders {
		f := &folders[i]
		if a.taking && f.list != "" {
			if lists[i], err = a.readList(f); err != nil {
				return err
			}
		}
		if f.known && used[f.meta.id] {
			f.known = false // a copy
		}
		used[f.meta.id] = true
	}
	if err := a.giveIdentity("open", folders); err != nil {
		return err
	}
	for i := range folders {
		f := &folders[i]
		if lists[i] != nil {
			f.meta.validity = lists[i].Validity
		} else if err := a.writeIdentity(f); err != nil {
			if f.Dir == "" {
				return err
			}
			a.refuse(f.Dir, err)
			continue
		}
		reserved := f.meta.reserved
		if lists[i] != nil {
			reserved = 1 // the list knows
		}
		b := a.addBox(boxState{Box: f.meta.id, Name: f.Name, Dir: f.Dir, UIDValidity: f.meta.validity, Use: f.meta.use, Reserved: reserved}, a.anew(string(f.meta.id), reserved))
		if lists[i] != nil {
			if err := a.takeOverMailbox(b, lists[i]); err != nil {
				return err
			}
		}
	}
	meta := a.meta
	meta.nextValidity = a.aboveAll(meta.nextValidity)
	meta.reserved = max(meta.reserved, a.ModSeq+modSeqBlock)
	return a.writeMeta(meta)
}

// aboveAll returns the next UIDVALIDITY after those that mailboxes have.
func (a *account) aboveAll(next uint32) uint32 {
	for _, b := range a.boxes {
		next = above(next, b.UIDValidity)
	}
	return next
}

// newBoxID makes an id that no mailbox had: 119 bits of chance.
func (a *account) newBoxID() mailaccess.MailboxID {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id := make([]byte, 0, 20)
	var b [32]byte
	for len(id) < cap(id) {
		rand.Read(b[:]) //nolint:errcheck // it never fails
		for _, c := range b {
			// 248 is the highest multiple of 62 in an octet.
			if c < 248 && len(id) < cap(id) {
				id = append(id, letters[c%62])
			}
		}
	}
	return mailaccess.MailboxID(id)
}
