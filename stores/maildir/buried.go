package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// Messages of a mailbox that is deleted stay readable for who had the account open before,
// as expunged ones do. Their files do not tell which content they are, and the index goes with
// the next checkpoint: a list in the deleted folder says it. A first line has the tag of the
// epoch, to which the numbers belong; each other has the number of a content, in base 36, a
// space and, as a Go string, the part of the file's name that does not change. It is of use only while the
// process lives, and so it is not synced.
const buriedList = "mailaccess-messages"

// listBuried writes the list of a mailbox that was deleted into its folder. The lead is held.
func (a *account) listBuried(b *mailbox, folder fsys.Dir) error {
	if a.store.opts.KeepExpunged < 0 || a.inventory != nil {
		return nil // nothing is kept, or nobody has had the account open
	}
	a.mu.Lock()
	err := b.ix.Load()
	a.mu.Unlock()
	if err != nil {
		a.quietly("load the index of a mailbox that goes", err)
		return nil // its messages cannot be told apart
	}
	a.mu.Lock()
	names, err := b.ix.FileNames()
	a.mu.Unlock()
	if err != nil {
		a.quietly("read the names of files of a mailbox that goes", err)
		return nil
	}
	defer names.Close()
	if err := folder.Remove(buriedList); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := folder.Create(buriedList)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 64<<10)
	_, err = fmt.Fprintln(w, a.Tag)
	for e, listErr := range names.All() {
		if listErr != nil {
			a.quietly("read the names of files of a mailbox that goes", listErr)
			break
		}
		a.mu.Lock()
		row, ok := b.ix.Get(e.UID)
		a.mu.Unlock()
		if !ok || err != nil {
			continue
		}
		_, err = fmt.Fprintf(w, "%s %q\n", strconv.FormatUint(uint64(row.Email), 36), e.Base)
	}
	return errors.Join(err, w.Flush(), f.Close())
}

// openBuried opens the file of a content in a mailbox that was deleted; nil when it is not there.
func (a *account) openBuried(all fsys.Dir, name, tag string, email uint32) (fsys.File, error) {
	folder, err := all.Sub(name)
	if err != nil {
		return nil, nil //nolint:nilerr // no directory of ours, or swept
	}
	defer folder.Close()
	base, err := buriedBase(folder, tag, email)
	if err != nil || base == "" {
		return nil, err
	}
	for _, sub := range []string{"cur", "new"} {
		f, err := openBase(folder, sub, base)
		if f != nil || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// buriedBase looks a content up in the list of a deleted mailbox; "" when that does not have it.
func buriedBase(folder fsys.Dir, tag string, email uint32) (string, error) {
	f, err := folder.Open(buriedList)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsys.ErrNotRegular) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(readerOf(f))
	if !lines.Scan() || lines.Text() != tag {
		return "", lines.Err()
	}
	want := strconv.FormatUint(uint64(email), 36)
	for lines.Scan() {
		n, quoted, _ := strings.Cut(lines.Text(), " ")
		if n == want {
			return strconv.Unquote(quoted)
		}
	}
	return "", lines.Err()
}

// openBase opens the file in a subdirectory of a folder that has this base; nil when there is
// none.
func openBase(folder fsys.Dir, sub, base string) (fsys.File, error) {
	d, err := folder.Sub(sub)
	if err != nil {
		return nil, nil //nolint:nilerr // swept
	}
	defer d.Close()
	for e, err := range d.Names(0) {
		if err != nil {
			return nil, err
		}
		if baseOf(e.Name) != base {
			continue
		}
		f, err := d.Open(e.Name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return f, err
	}
	return nil, nil
}
