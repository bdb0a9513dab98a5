package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// Other programs make folders, rename them and remove them. What they did is found by the
// time of the account's directory, and becomes ordinary changes: a directory that is not
// known is a mailbox that was created, and one that is gone was deleted, unless its id turns
// up in another directory.

// lookAround notices what other programs did with folders and with the file of
// subscriptions. It costs two system calls when they did nothing.
func (a *account) lookAround(op string) error {
	if err := a.lookForFolders(op); err != nil {
		return err
	}
	return a.lookAtSubscriptions(op)
}

// lookForFolders notices what other programs did with folders. It costs one system call when
// they did nothing.
func (a *account) lookForFolders(op string) error {
	info, err := a.dir.Stat()
	if err != nil {
		return failDisk(op, "", err)
	}
	a.mu.Lock()
	trusted := !a.listed.IsZero() && a.listed.Equal(info.ModTime)
	a.mu.Unlock()
	if !trusted {
		l, err := a.listFolders()
		if err != nil {
			return failDisk(op, "", err)
		}
		if !a.agrees(l) {
			v := visit{a: a, op: op}
			if err := a.do(&change{op: op, before: v.look, plan: v.plan}); err != nil {
				return failDisk(op, "", err)
			}
		}
	}
	return nil
}

// folderList is what an account's directory holds besides INBOX.
type folderList struct {
	info  fsys.Info // of the directory, before it was listed
	dirs  []string  // directories that may be mailboxes'
	links []string  // what would be one if it were a directory
	half  []string  // folders that were never finished
}

func (a *account) listFolders() (l folderList, err error) {
	if l.info, err = a.dir.Stat(); err != nil {
		return l, err
	}
	for e, err := range a.dir.Names(0) {
		switch {
		case err != nil:
			return l, err
		case strings.HasPrefix(e.Name, halfFolder):
			l.half = append(l.half, e.Name)
		case !strings.HasPrefix(e.Name, "."):
		case e.Type.IsDir():
			l.dirs = append(l.dirs, e.Name)
		case e.Type&fs.ModeSymlink != 0:
			l.links = append(l.links, e.Name)
		}
	}
	return l, nil
}

// agrees reports whether the mailboxes are those in the list, and if so takes the time of
// the directory for one at which they were.
func (a *account) agrees(l folderList) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := make(map[string]bool, len(a.boxes)+len(a.refused))
	for _, b := range a.boxes {
		if b.dirName != "" {
			known[b.dirName] = true
		}
	}
	n := len(known)
	for _, dir := range l.dirs {
		if known[dir] {
			n--
		} else if !a.refused[dir].final {
			return false
		}
	}
	for _, link := range l.links {
		if !a.refused[link].final {
			return false
		}
	}
	if n != 0 || len(l.half) > 0 {
		return false
	}
	a.trust(l)
	return true
}

// trust notes that the mailboxes are those in the list. a.mu is held.
func (a *account) trust(l folderList) {
	a.listed = l.info.ModTime
	if a.store.now().Sub(l.info.ModTime) < settled {
		// Something may happen yet that leaves the time as it is.
		a.listed = time.Time{}
	}
}

// folder is a mailbox's directory as it was found.
type folder struct {
	maildirname.Folder
	meta  mailboxMeta
	known bool   // meta was there
	list  string // of another server; see takeover.go
}

// readFolder looks into a directory; false when it is none of a mailbox.
func (a *account) readFolder(f *folder) (bool, error) {
	d := a.dir
	if f.Dir != "" {
		var err error
		if d, err = a.dir.Sub(f.Dir); err != nil {
			return false, err
		}
		defer d.Close()
		is := false
		for _, name := range []string{"cur", "new", folderMark} {
			if _, err := d.Lstat(name); err == nil {
				is = true
			} else if !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		if !is {
			return false, nil
		}
	}
	f.list = newestList(d)
	m, err := readMailboxMeta(d)
	switch {
	case err == nil:
		f.meta, f.known = m, true
	case onDisk(err):
		return false, err
	case !errors.Is(err, fs.ErrNotExist):
		a.store.log.Warn("the file that says which mailbox a folder is cannot be read: it becomes another", zap.String("account", a.key), zap.String("folder", f.Dir), zap.Error(err))
	}
	return true, nil
}

func readMailboxMeta(d fsys.Dir) (mailboxMeta, error) {
	b, err := readSmall(d, mailboxFile)
	if err != nil {
		return mailboxMeta{}, err
	}
	return parseMailboxMeta(b)
}

// folders returns the mailboxes that directories are, and refuses the others. The error is
// of those that could not be looked into, but may be next time. The lead is held, or nobody
// else knows the account.
func (a *account) folders(l folderList, dirs []string, taken func(name string) bool) (found []folder, failed error) {
	why := make(map[string]refusal)
	for _, link := range l.links {
		if _, err := a.meta.encoding.Decode(link); err == nil {
			why[link] = refusal{"a symbolic link", true}
		} else {
			why[link] = refusal{"not a mailbox's directory", true}
		}
	}
	names, _ := a.meta.encoding.Folders(slices.Values(dirs))
	left := make(map[string]bool, len(dirs))
	for _, dir := range dirs {
		left[dir] = true
	}
	for _, n := range names {
		f := folder{Folder: n}
		delete(left, n.Dir)
		is, err := a.readFolder(&f)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			final := errors.Is(err, fs.ErrPermission)
			why[f.Dir] = refusal{err.Error(), final}
			if !final {
				failed = errors.Join(failed, err)
			}
		case !is: // not yet, perhaps
		case taken(f.Name):
			why[f.Dir] = refusal{"there is another of the same name", true}
		default:
			found = append(found, f)
		}
	}
	for dir := range left {
		why[dir] = refusal{"there is another of the same name", true}
		if _, err := a.meta.encoding.Decode(dir); err != nil {
			why[dir] = refusal{err.Error(), true}
		}
	}
	a.mu.Lock()
	was := a.refused
	for _, f := range found {
		if old, ok := was[f.Dir]; ok {
			why[f.Dir] = refusal{old.why, false} // told before, if it is refused once more
		}
	}
	a.refused = why
	a.mu.Unlock()
	for _, dir := range slices.Sorted(maps.Keys(why)) {
		if was[dir].why == "" {
			a.store.log.Warn("a folder is left alone", zap.String("account", a.key), zap.String("folder", dir), zap.String("why", why[dir].why))
		}
	}
	return found, failed
}

// giveIdentity gives those that have none an id and a UIDVALIDITY. The lead is held.
func (a *account) giveIdentity(op string, folders []folder) error {
	meta := a.meta
	for i := range folders {
		f := &folders[i]
		if !f.known {
			if meta.nextValidity == 0 {
				return errNoValidity(op)
			}
			f.meta = mailboxMeta{id: a.newBoxID(), validity: meta.nextValidity, reserved: 1, use: f.meta.use}
		}
		meta.nextValidity = above(meta.nextValidity, f.meta.validity)
	}
	return a.writeMeta(meta)
}

// above returns next, or what follows validity if that is higher; 0 when there is nothing.
func above(next, validity uint32) uint32 {
	if next != 0 && validity >= next {
		return validity + 1
	}
	return next
}

func errNoValidity(op string) error {
	return fail(op, mailaccess.KindLimit, "", errors.New("the account has used up its UIDVALIDITY values"))
}

// writeMeta puts another account's file in the place of the one there is, unless they are
// the same. The lead is held.
func (a *account) writeMeta(meta accountMeta) error {
	if meta == a.meta || a.taking {
		a.meta = meta
		return nil
	}
	if err := a.store.writeSmall(a.dir, accountFile, meta.text()); err != nil {
		return err
	}
	a.meta = meta
	return nil
}

// writeIdentity writes the mailbox's file, unless it is there.
func (a *account) writeIdentity(f *folder) error {
	if f.known {
		return nil
	}
	d := a.dir
	if f.Dir != "" {
		var err error
		if d, err = a.dir.Sub(f.Dir); err != nil {
			return err
		}
		defer d.Close()
	}
	return a.store.writeSmall(d, mailboxFile, f.meta.text())
}

// refusal says why a folder is left alone, and whether that will be so the next time.
type refusal struct {
	why   string
	final bool
}

// refuse leaves a folder alone that cannot be made a mailbox now.
func (a *account) refuse(dir string, err error) {
	a.mu.Lock()
	if a.refused == nil {
		a.refused = make(map[string]refusal)
	}
	told := a.refused[dir].why != ""
	a.refused[dir] = refusal{err.Error(), false}
	a.mu.Unlock()
	if !told {
		a.store.log.Warn("a folder is left alone", zap.String("account", a.key), zap.String("folder", dir), zap.Error(err))
	}
}

// folderID returns the id in a folder; "" when there is none that makes sense. What is no
// directory is fs.ErrNotExist too.
func (a *account) folderID(dir string) (mailaccess.MailboxID, error) {
	d, err := a.dir.Sub(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return "", fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return "", err
	}
	defer d.Close()
	m, err := readMailboxMeta(d)
	switch {
	case err == nil:
		return m.id, nil
	case onDisk(err):
		return "", err
	}
	return "", nil
}

// onDisk reports whether an error is the disk's, and not that of what is on it.
func onDisk(err error) bool {
	var disk *fs.PathError
	return errors.As(err, &disk) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fsys.ErrNotRegular)
}

// openFolder opens the directory of a mailbox. A directory of that name that is another
// mailbox's is fs.ErrNotExist: that happens while the log is gone through again. a.mu is held.
func (a *account) openFolder(b *mailbox) (fsys.Dir, error) {
	if b.dirName == "" {
		return a.dir, nil
	}
	d, err := a.dir.Sub(b.dirName)
	if err != nil {
		return nil, err
	}
	if m, err := readMailboxMeta(d); err == nil && m.id != b.ID {
		return nil, errors.Join(fmt.Errorf("%s is another mailbox: %w", b.dirName, fs.ErrNotExist), d.Close())
	}
	return d, nil
}

func (a *account) closeFolder(d fsys.Dir) error {
	if d == a.dir {
		return nil
	}
	return d.Close()
}
