package maildir

import (
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// visit finds out what other programs did with folders.
type visit struct {
	a    *account
	op   string
	list folderList

	// The account as we know it.
	byDir map[string]*mailbox
	ids   map[mailaccess.MailboxID]bool // of mailboxes there are, and that there were
	names map[string]bool               // of the mailboxes that are in their places

	unsure  bool                              // not all could be looked at
	unknown map[mailaccess.MailboxID]bool     // nobody can tell where they are now
	astray  map[mailaccess.MailboxID]*mailbox // not where they were

	created []createdBox
	renamed []renamedBox
	gone    []*mailbox
}

// look compares the folders with the mailboxes. The lead is held.
func (v *visit) look() error {
	a := v.a
	a.mu.Lock()
	v.unsure = len(a.pending) > 0 // directories may not be where they belong
	a.mu.Unlock()
	if v.unsure {
		return nil
	}
	var err error
	if v.list, err = a.listFolders(); err != nil {
		return err
	}
	for _, name := range v.list.half {
		a.quietly("remove a folder that was never finished", a.removeFolder(name))
	}
	v.remember()
	dirs := v.strays()
	found, failed := a.folders(v.list, dirs, func(name string) bool { return v.names[name] })
	fresh := v.sort(found)
	if failed == nil {
		v.gone = slices.Collect(maps.Values(v.astray))
	} else {
		// One of those that could not be looked into may be one of these.
		v.unsure = true
	}
	return v.identify(fresh)
}

func (v *visit) remember() {
	a := v.a
	v.byDir = make(map[string]*mailbox)
	v.ids = make(map[mailaccess.MailboxID]bool)
	v.names = make(map[string]bool)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.boxes {
		v.byDir[b.dirName] = b
		v.ids[b.ID] = true
		v.names[b.Name] = true
	}
	for i := range a.Tombstones {
		v.ids[a.Tombstones[i].Box] = true
	}
}

// strays finds the mailboxes that are not where they were, and returns the directories that
// are not known to be anybody's.
func (v *visit) strays() (dirs []string) {
	v.astray = make(map[mailaccess.MailboxID]*mailbox)
	v.unknown = make(map[mailaccess.MailboxID]bool)
	for _, dir := range v.list.dirs {
		if v.byDir[dir] == nil {
			dirs = append(dirs, dir)
		}
	}
	for dir, b := range v.byDir {
		if dir == "" {
			continue
		}
		id, err := v.a.folderID(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			v.unsure, v.unknown[b.ID] = true, true // it stays what it was
			continue
		case id == "" || id == b.ID:
			continue
		default:
			dirs = append(dirs, dir)
		}
		v.astray[b.ID] = b
		delete(v.names, b.Name)
	}
	return dirs
}

// sort tells folders that were renamed from those that are new.
func (v *visit) sort(found []folder) (fresh []folder) {
	for _, f := range found {
		b := v.astray[f.meta.id]
		switch {
		case !f.known:
			fresh = append(fresh, f)
		case v.unknown[f.meta.id]:
		case b != nil:
			v.renamed = append(v.renamed, renamedBox{Box: b.ID, Name: f.Name, Dir: f.Dir})
			delete(v.astray, b.ID)
		default:
			f.known = !v.ids[f.meta.id] // else it is a copy, or came back
			v.ids[f.meta.id] = true
			fresh = append(fresh, f)
		}
	}
	return fresh
}

// identify makes new folders mailboxes, each with its file.
func (v *visit) identify(fresh []folder) error {
	a := v.a
	if err := a.giveIdentity(v.op, fresh); err != nil {
		return err
	}
	for i := range fresh {
		f := &fresh[i]
		if err := a.writeIdentity(f); err != nil {
			v.unsure = true
			a.refuse(f.Dir, err)
			continue
		}
		a.mu.Lock()
		delete(a.refused, f.Dir)
		a.mu.Unlock()
		v.created = append(v.created, createdBox{Box: f.meta.id, Name: f.Name, Dir: f.Dir, UIDValidity: f.meta.validity, UIDNext: f.meta.reserved, Use: f.meta.use})
	}
	return nil
}

// plan makes what was found a change.
func (v *visit) plan(p *planner) (*record, error) {
	a := v.a
	if len(v.created)+len(v.renamed)+len(v.gone) == 0 {
		if !v.unsure {
			a.trust(v.list)
		}
		return nil, nil
	}
	r := &record{ModSeq: p.number(), Created: v.created, Renamed: v.renamed}
	for _, b := range v.gone {
		a.loadToBury(b)
		r.Deleted = append(r.Deleted, deletedBox{Box: b.ID, Time: a.store.now().Unix(), Gone: true})
	}
	return r, nil
}
