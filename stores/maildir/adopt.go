package maildir

import (
	"errors"
	"io/fs"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

// ourNames are the names that the log says files had or were to get, by message, in their
// order. When the log is gone through again nobody knows which of our renames were done: a file
// with any of these names says nothing new. One with another name was renamed by another program.
type ourNames map[mailaccess.UID][]index.FileName

// note takes what a record says, which is not in the index yet. The account's lock is held.
func (o ourNames) note(b *mailbox, changes []nameChange) error {
	for _, c := range changes {
		if len(o[c.UID]) == 0 {
			have, err := b.ix.FileName(c.UID)
			if err == nil && have.Place != index.PlaceSpool {
				o[c.UID] = append(o[c.UID], have)
			} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		o[c.UID] = append(o[c.UID], index.FileName{Base: c.Base, Suffix: c.Suffix, Place: c.Place})
	}
	return nil
}

// nearest returns that of our names from which another program most likely went on: the last
// one of those from which the fewest flags differ.
func (d *difference) nearest(names []index.FileName, name index.FileName) (from index.FileName) {
	is, _ := d.keywords.Flags(lettersIn(name))
	least := -1
	for _, n := range names {
		was, _ := d.keywords.Flags(lettersIn(n))
		added, removed := is.Minus(was), was.Minus(is)
		differ := countFlags(added) + countFlags(removed)
		if least < 0 || differ <= least {
			from, least = n, differ
		}
	}
	return from
}

func countFlags(f mailaccess.Flags) int {
	n := f.Keywords.Len()
	for s := f.System; s != 0; s &= s - 1 {
		n++
	}
	return n
}

// adopt looks at the files of a mailbox of which the log has names.
func (a *account) adopt(b *mailbox, names ourNames) error {
	b.adopt = names
	defer func() { b.adopt = nil }()
	err := a.rescan("recover", b)
	if errors.Is(err, mailaccess.KindNotFound) {
		return nil
	}
	return err
}
