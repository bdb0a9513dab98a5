package maildir

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// reconcile makes ordinary changes of what other programs did: odd are files under names
// that were not known, missing are messages whose files were not seen. The lead is held.
func (a *account) reconcile(op string, b *mailbox, odd []found, missing mailaccess.UIDSet) error {
	if len(odd) == 0 && missing.IsEmpty() {
		return nil
	}
	d, err := a.difference(op, b, odd, missing)
	if err != nil {
		return err
	}
	if err := d.confirmGone(); err != nil {
		return failDisk(op, string(b.ID), err)
	}
	if len(d.names)+len(d.arrivals)+len(d.copies) > 0 {
		// Whoever changed names may have given letters too.
		a.mu.Lock()
		b.keywords = nil
		a.mu.Unlock()
		if d.keywords, err = a.readKeywords(b); err != nil {
			return failDisk(op, string(b.ID), err)
		}
	}
	d.rename()
	if err := d.changeKnown(); err != nil {
		return err
	}
	for len(d.arrivals) > 0 {
		n := min(len(d.arrivals), txnMax)
		if err := d.arrive(d.arrivals[:n]); err != nil {
			return err
		}
		d.arrivals = d.arrivals[n:]
	}
	return nil
}

// difference is what a scan found.
type difference struct {
	a        *account
	op       string
	b        *mailbox
	names    map[mailaccess.UID]index.FileName // messages whose files have another name
	gone     mailaccess.UIDSet
	arrivals []arrival
	copies   []arrival // other files with the base of a message or of an arrival
	keywords maildirname.Keywords
}

// arrival is a file that is no message yet.
type arrival struct {
	found
	info  fsys.Info
	old   mailaccess.UID   // the message whose file it was, when it has become another
	flags mailaccess.Flags // those that it had
}

func (a *account) difference(op string, b *mailbox, odd []found, missing mailaccess.UIDSet) (*difference, error) {
	d := &difference{a: a, op: op, b: b, names: make(map[mailaccess.UID]index.FileName)}
	bases := make(map[string]mailaccess.UID, len(odd))
	for _, f := range odd {
		if base := baseOf(f.name); base != "" {
			bases[base] = 0
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.deleted {
		return nil, fail(op, mailaccess.KindNotFound, string(b.ID), nil)
	}
	if _, err := a.loaded(op, b.ID); err != nil {
		return nil, err
	}
	if err := b.ix.FindBases(bases); err != nil {
		return nil, a.damaged(op, b, err)
	}
	working := make(map[string]bool, len(a.pending))
	for _, t := range a.pending {
		working[t.base] = t.box == b || working[t.base]
		if t.from.Base != "" {
			working[t.from.Base] = true
		}
	}
	taken := make(map[mailaccess.UID]fsys.Info) // the file that a message has now
	var renamed mailaccess.UIDSetBuilder
	for _, f := range odd {
		m, ok := maildirname.ParseMessage(f.name)
		if !ok || working[m.Base] {
			continue
		}
		info, err := b.at(f.place).Lstat(f.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it went on meanwhile
		}
		if err != nil {
			return nil, failDisk(op, string(b.ID), err)
		}
		if !info.Mode.IsRegular() {
			a.foreign(b, f.name)
			continue
		}
		uid := bases[m.Base]
		if uid == 0 {
			d.arrivals = append(d.arrivals, arrival{found: f, info: info})
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, a.damaged(op, b, err)
		}
		now := index.FileName{Base: m.Base, Suffix: f.name[len(m.Base):], Place: f.place}
		if have == now {
			continue
		}
		other, twice := taken[uid]
		if !twice && have.Place != index.PlaceSpool {
			other, err = b.at(have.Place).Lstat(have.Base + have.Suffix)
			twice = err == nil && other.Mode.IsRegular()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, failDisk(op, string(b.ID), err)
			}
		}
		switch {
		case !twice:
			d.names[uid], taken[uid] = now, info
			renamed.AddUID(uid)
		case other.Inode == info.Inode:
			// Two names of one file: whoever gives it another name may be half done.
			a.foreign(b, f.name)
		default:
			d.copies = append(d.copies, arrival{found: f, info: info})
		}
	}
	for uid := range missing.Minus(renamed.Set()).All() {
		if !b.ix.UIDs().Contains(uid) {
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, a.damaged(op, b, err)
		}
		if have.Place != index.PlaceSpool && !exists(b, have) {
			d.gone = d.gone.WithRange(uid, uid)
		}
	}
	d.sort()
	return d, nil
}

// sort brings arrivals into the order in which they came, as far as it can be known, and
// leaves one of each base among them.
func (d *difference) sort() {
	slices.SortFunc(d.arrivals, func(x, y arrival) int {
		return cmp.Or(x.info.ModTime.Truncate(time.Second).Compare(y.info.ModTime.Truncate(time.Second)), cmp.Compare(x.name, y.name))
	})
	first := make(map[string]fsys.Info, len(d.arrivals))
	d.arrivals = slices.DeleteFunc(d.arrivals, func(f arrival) bool {
		base := baseOf(f.name)
		other, twice := first[base]
		switch {
		case !twice:
			first[base] = f.info
		case other.Inode == f.info.Inode:
			d.a.foreign(d.b, f.name)
		default:
			d.copies = append(d.copies, f)
		}
		return twice
	})
}

// rename gives files bases of their own that have that of another message: somebody copied a
// file within the folder, or gave out a name twice. They arrive as messages.
func (d *difference) rename() {
	for _, f := range d.copies {
		base := baseOf(f.name)
		dir := d.b.at(f.place)
		name := d.a.baseLike(base) + f.name[len(base):]
		err := d.a.naming(func() error { return dir.Rename(f.name, dir, name) },
			naming{box: d.b, place: f.place, name: f.name}, naming{box: d.b, place: f.place, name: name, came: true})
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				d.leaveOut(f, err)
			}
			continue
		}
		d.a.store.log.Info("another file with the name of a message: it gets a name of its own", zap.String("account", d.a.key), zap.String("mailbox", d.b.Name), zap.String("file", f.name), zap.String("name", name))
		d.a.mu.Lock()
		d.a.dirtied(d.b, dir)
		d.a.mu.Unlock()
		f.name = name
		d.arrivals = append(d.arrivals, f)
	}
	d.copies = nil
}

// exists reports whether a message has its file, as far as can be known.
func exists(b *mailbox, name index.FileName) bool {
	info, err := b.at(name.Place).Lstat(name.Base + name.Suffix)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return info.Mode.IsRegular()
}

// foreign notes a file that is left alone.
func (a *account) foreign(b *mailbox, name string) {
	a.store.log.Debug("a file that is no message", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.String("file", name))
}

// confirmTries is how often directories are listed in which others are busy.
const confirmTries = 5

// confirmGone lists the directories once more, and again while their times go on: a file that
// is renamed while a directory is listed may not be seen at all (readdir(3)).
func (d *difference) confirmGone() error {
	if d.gone.IsEmpty() {
		return nil
	}
	bases := make(map[string]mailaccess.UID)
	d.a.mu.Lock()
	for uid := range d.gone.All() {
		name, err := d.b.ix.FileName(uid)
		if err != nil {
			defer d.a.mu.Unlock()
			return d.a.damaged(d.op, d.b, err)
		}
		bases[name.Base] = uid
	}
	d.a.mu.Unlock()
	for range confirmTries {
		before, err := d.b.dirTimes()
		if err != nil {
			return err
		}
		if err := d.look(bases); err != nil {
			return err
		}
		after, err := d.b.dirTimes()
		if err != nil || before == after || d.gone.IsEmpty() {
			return err
		}
	}
	return nil
}

// look takes those that are found from the messages that are gone.
func (d *difference) look(bases map[string]mailaccess.UID) error {
	for _, at := range []index.Place{index.PlaceNew, index.PlaceCur} {
		for e, err := range d.b.at(at).Names(0) {
			if err != nil {
				return err
			}
			base := baseOf(e.Name)
			if uid := bases[base]; uid != 0 && e.Type.IsRegular() {
				d.names[uid] = index.FileName{Base: base, Suffix: e.Name[len(base):], Place: at}
				d.gone = d.gone.Minus(mailaccess.UIDSetOf(uid))
			}
		}
	}
	return nil
}

// dirTimes are those of new and cur.
func (b *mailbox) dirTimes() (t [2]int64, err error) {
	for i, d := range []fsys.Dir{b.new, b.cur} {
		info, err := d.Stat()
		if err != nil {
			return t, err
		}
		t[i] = info.ModTime.UnixNano()
	}
	return t, nil
}

// changeKnown notes other names and other flags, and what is gone.
func (d *difference) changeKnown() error {
	if len(d.names) == 0 && d.gone.IsEmpty() {
		return nil
	}
	c := &change{op: d.op, boxes: []mailaccess.MailboxID{d.b.ID}, plan: d.planKnown}
	d.a.together([]*change{c})
	return c.err
}

func (d *difference) planKnown(p *planner) (*record, error) {
	b := d.b
	part := boxRecord{Box: b.ID}
	groups := make(map[mailaccess.Flags]*mailaccess.UIDSetBuilder)
	uids := make([]mailaccess.UID, 0, len(d.names))
	for uid := range d.names {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	for _, uid := range uids {
		row, ok := b.ix.Get(uid)
		if !ok {
			continue
		}
		name := d.names[uid]
		part.Names = append(part.Names, nameChange{UID: uid, Base: name.Base, Suffix: name.Suffix, Place: name.Place})
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, d.a.damaged(d.op, b, err)
		}
		if have.Place == index.PlaceSpool {
			continue // whatever the name says is ours
		}
		if names := b.adopt[uid]; len(names) > 0 {
			if slices.Contains(names, name) {
				continue
			}
			have = d.nearest(names, name)
		}
		if to := d.merged(row.Flags, have, name); to != row.Flags {
			if groups[to] == nil {
				groups[to] = new(mailaccess.UIDSetBuilder)
			}
			groups[to].AddUID(uid)
		}
	}
	for flags, set := range groups {
		part.Flags = append(part.Flags, flagGroup{UIDs: rangesOf(set.Set()), System: flags.System, Keywords: flags.Keywords.String()})
	}
	if gone := d.gone.Intersect(b.ix.UIDs()); !gone.IsEmpty() {
		part.Removed = append(part.Removed, removal{UIDs: rangesOf(gone)})
	}
	r := &record{Boxes: []boxRecord{part}}
	if len(part.Flags) > 0 || len(part.Removed) > 0 {
		r.ModSeq = p.number()
	}
	return r, nil
}

// merged returns flags after what another program did: the difference between the name that
// was seen last and the one that is there now. A keyword that has two letters is gone with
// either.
func (d *difference) merged(flags mailaccess.Flags, was, is index.FileName) mailaccess.Flags {
	before, after := lettersIn(was), lettersIn(is)
	added, _ := d.keywords.Flags(after.Minus(before))
	removed, _ := d.keywords.Flags(before.Minus(after))
	to := flags.Minus(removed).Union(added)
	if !to.Keywords.IsEmpty() && to.Keywords != flags.Keywords {
		if to.Keywords.Len() > mailaccess.MaxKeywords {
			to.Keywords = flags.Keywords
		}
		to.Keywords = d.b.ix.Spelled(to.Keywords)
	}
	return to
}

// lettersIn returns the letters of a name.
func lettersIn(name index.FileName) maildirname.Letters {
	m, _ := maildirname.ParseMessage(name.Base + name.Suffix)
	return m.Flags
}
