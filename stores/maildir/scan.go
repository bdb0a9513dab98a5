package maildir

import (
	"cmp"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/maildirname"
)

// scanState is what is known of a mailbox's directories.
type scanState struct {
	forced  bool      // they have to be listed, whatever their times are
	watched bool      // whatever happens in them is told
	unseen  bool      // they were not compared since the watch began
	looked  time.Time // when they were compared last
	// cur and new are the times of the directories with which the index agrees; zero: not
	// trusted.
	cur, new time.Time
	ours     int // counts what we did in them
}

// settled is how old a directory's time has to be before it is trusted: what happens within
// the resolution of the clock does not change it.
const settled = 2 * time.Second

// refresh looks whether other programs changed a mailbox, unless that is told anyway.
func (a *account) refresh(op string, box mailaccess.MailboxID) error {
	a.mu.Lock()
	b, err := a.box(op, box)
	known := err == nil && b.scan.watched && !b.scan.unseen && !b.scan.forced
	a.mu.Unlock()
	if err != nil || known {
		return err
	}
	return a.look(op, b)
}

// look compares the times of a mailbox's directories, and scans them when they differ.
func (a *account) look(op string, b *mailbox) error {
	if err := a.openDirs(b); err != nil {
		return a.lost(op, b, err)
	}
	cur, fresh, err := b.times()
	if err != nil {
		return a.lost(op, b, err)
	}
	a.mu.Lock()
	b.scan.looked = a.store.now()
	same := !b.scan.forced && !b.scan.cur.IsZero() && b.scan.cur.Equal(cur) && b.scan.new.Equal(fresh)
	if !same && !b.scan.forced && b.scan.cur.IsZero() {
		// Cold: the index says with which times it agrees.
		c, n := b.ix.DirTimes()
		same = c != 0 && n != 0 && c == cur.UnixNano() && n == fresh.UnixNano()
		if same {
			b.scan.cur, b.scan.new = cur, fresh
		}
	}
	if same {
		b.scan.unseen = false
	}
	a.mu.Unlock()
	if same {
		return nil
	}
	return a.rescan(op, b)
}

// lost turns an error of a mailbox's directories into one of the call: a mailbox whose
// directory is gone is gone.
func (a *account) lost(op string, b *mailbox, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		a.mu.Lock()
		a.listed = time.Time{}
		a.mu.Unlock()
		if err := a.lookForFolders(op); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if b.deleted {
			return fail(op, mailaccess.KindNotFound, string(b.ID), nil)
		}
	}
	return failDisk(op, string(b.ID), err)
}

// times returns those of the directories.
func (b *mailbox) times() (cur, fresh time.Time, err error) {
	c, err := b.cur.Stat()
	if err != nil {
		return cur, fresh, err
	}
	n, err := b.new.Stat()
	return c.ModTime, n.ModTime, err
}

// found is a file that the index does not know under that name.
type found struct {
	name  string
	place index.Place
}

// rescan lists a mailbox's directories and brings the index in line with them. Listing
// happens while others go on.
func (a *account) rescan(op string, b *mailbox) error {
	a.watch(b)
	l, err := a.listing(op, b)
	if err != nil {
		return err
	}
	odd, missing, err := l.compare(b)
	if err != nil {
		return a.lost(op, b, err)
	}
	err = a.do(&change{op: op, boxes: []mailaccess.MailboxID{b.ID}, alone: func() error {
		return a.reconcile(op, b, odd, missing)
	}})
	if err != nil {
		return a.lost(op, b, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.scan.forced, b.scan.unseen = false, false
	b.scan.cur, b.scan.new = time.Time{}, time.Time{}
	if b.scan.ours == l.ours && l.begun.Sub(l.cur) >= settled && l.begun.Sub(l.new) >= settled {
		b.scan.cur, b.scan.new = l.cur, l.new
		b.ix.SetDirTimes(l.cur.UnixNano(), l.new.UnixNano())
	}
	return nil
}

// listing is a mailbox before its directories are listed.
type listing struct {
	begun    time.Time
	cur, new time.Time
	ours     int
	seed     maphash.Seed
	known    []knownName // ascending by hash
}

type knownName struct {
	hash uint64
	uid  mailaccess.UID
}

func (a *account) listing(op string, b *mailbox) (*listing, error) {
	if err := a.openDirs(b); err != nil {
		return nil, a.lost(op, b, err)
	}
	l := &listing{begun: a.store.now(), seed: maphash.MakeSeed()}
	a.mu.Lock()
	l.ours = b.scan.ours
	if b.deleted {
		a.mu.Unlock()
		return nil, fail(op, mailaccess.KindNotFound, string(b.ID), nil)
	}
	_, err := a.loaded(op, b.ID)
	var names *index.FileNames
	if err == nil {
		names, err = b.ix.FileNames()
	}
	a.mu.Unlock()
	if err != nil {
		return nil, failDisk(op, string(b.ID), err)
	}
	defer names.Close()
	for e, err := range names.All() {
		if err != nil {
			return nil, failDisk(op, string(b.ID), err)
		}
		if e.Place != index.PlaceSpool {
			l.known = append(l.known, knownName{l.hash(e.Place, e.Base, e.Suffix), e.UID})
		}
	}
	slices.SortFunc(l.known, func(x, y knownName) int { return cmp.Compare(x.hash, y.hash) })
	if l.cur, l.new, err = b.times(); err != nil {
		return nil, a.lost(op, b, err)
	}
	return l, nil
}

func (l *listing) hash(p index.Place, parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	h.WriteByte(byte(p)) //nolint:errcheck // a hash takes everything
	for _, s := range parts {
		h.WriteString(s) //nolint:errcheck // likewise
	}
	return h.Sum64()
}

// compare lists the directories: what is in them that was not known, and which messages were
// not seen.
func (l *listing) compare(b *mailbox) (odd []found, missing mailaccess.UIDSet, err error) {
	seen := make([]bool, len(l.known))
	// new before cur: what is moved meanwhile is seen at least once.
	for _, at := range []index.Place{index.PlaceNew, index.PlaceCur} {
		for e, err := range b.at(at).Names(0) {
			if err != nil {
				return nil, missing, err
			}
			h := l.hash(at, e.Name)
			i, ok := slices.BinarySearchFunc(l.known, h, func(k knownName, h uint64) int { return cmp.Compare(k.hash, h) })
			if ok {
				seen[i] = true
				continue
			}
			odd = append(odd, found{e.Name, at})
		}
	}
	var gone []mailaccess.UID
	for i, k := range l.known {
		if !seen[i] {
			gone = append(gone, k.uid)
		}
	}
	slices.Sort(gone)
	var set mailaccess.UIDSetBuilder
	for _, uid := range gone {
		set.AddUID(uid)
	}
	return odd, set.Set(), nil
}

// reconcile makes ordinary changes of what other programs did: odd are files under names
// that were not known, missing are messages whose files were not seen. The lead is held.
func (a *account) reconcile(op string, b *mailbox, odd []found, missing mailaccess.UIDSet) error {
	if len(odd) == 0 && missing.IsEmpty() {
		return nil
	}
	a.mu.Lock()
	b.keywords = nil // whoever changed names may have given letters too
	a.mu.Unlock()
	if err := a.loadKeywords(b); err != nil {
		return failDisk(op, string(b.ID), err)
	}
	d, err := a.difference(op, b, odd, missing)
	if err != nil {
		return err
	}
	if err := d.confirmGone(); err != nil {
		return failDisk(op, string(b.ID), err)
	}
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
}

// arrival is a file that is no message yet.
type arrival struct {
	found
	info fsys.Info
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
		return nil, failDisk(op, string(b.ID), err)
	}
	working := make(map[string]bool, len(a.pending))
	for _, t := range a.pending {
		working[t.base] = t.box == b || working[t.base]
		if t.from.Base != "" {
			working[t.from.Base] = true
		}
	}
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
			d.arrivals = append(d.arrivals, arrival{f, info})
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, failDisk(op, string(b.ID), err)
		}
		now := index.FileName{Base: m.Base, Suffix: f.name[len(m.Base):], Place: f.place}
		if have == now {
			continue
		}
		if _, twice := d.names[uid]; twice || have.Place != index.PlaceSpool && exists(b, have) {
			// Two files of one base: somebody copied one. The other stays as it is.
			a.foreign(b, f.name)
			continue
		}
		d.names[uid] = now
		renamed.AddUID(uid)
	}
	for uid := range missing.Minus(renamed.Set()).All() {
		if !b.ix.UIDs().Contains(uid) {
			continue
		}
		have, err := b.ix.FileName(uid)
		if err != nil {
			return nil, failDisk(op, string(b.ID), err)
		}
		if have.Place != index.PlaceSpool && !exists(b, have) {
			d.gone = d.gone.WithRange(uid, uid)
		}
	}
	// In the order of arrival, as far as it can be known.
	slices.SortFunc(d.arrivals, func(x, y arrival) int {
		return cmp.Or(x.info.ModTime.Truncate(time.Second).Compare(y.info.ModTime.Truncate(time.Second)), cmp.Compare(x.name, y.name))
	})
	d.arrivals = slices.CompactFunc(d.arrivals, func(x, y arrival) bool { return baseOf(x.name) == baseOf(y.name) })
	return d, nil
}

func exists(b *mailbox, name index.FileName) bool {
	_, err := b.at(name.Place).Lstat(name.Base + name.Suffix)
	return err == nil
}

// foreign notes a file that is left alone.
func (a *account) foreign(b *mailbox, name string) {
	a.store.log.Debug("a file that is no message", zap.String("account", a.key), zap.String("mailbox", b.Name), zap.String("file", name))
}

// confirmGone lists the directories once more: one that is renamed while a directory is
// listed may not be seen at all (readdir(3)).
func (d *difference) confirmGone() error {
	if d.gone.IsEmpty() {
		return nil
	}
	bases := make(map[string]mailaccess.UID)
	d.a.mu.Lock()
	for uid := range d.gone.All() {
		name, err := d.b.ix.FileName(uid)
		if err != nil {
			d.a.mu.Unlock()
			return err
		}
		bases[name.Base] = uid
	}
	d.a.mu.Unlock()
	for _, at := range []index.Place{index.PlaceNew, index.PlaceCur} {
		for e, err := range d.b.at(at).Names(0) {
			if err != nil {
				return err
			}
			base := baseOf(e.Name)
			if uid := bases[base]; uid != 0 {
				d.names[uid] = index.FileName{Base: base, Suffix: e.Name[len(base):], Place: at}
				d.gone = d.gone.Minus(mailaccess.UIDSetOf(uid))
			}
		}
	}
	return nil
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
			return nil, failDisk(d.op, string(b.ID), err)
		}
		if b.adopt.Contains(uid) || have.Place == index.PlaceSpool {
			continue // whatever the name says is ours
		}
		if to := b.merged(row.Flags, have, name); to != row.Flags {
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
// was seen last and the one that is there now.
func (b *mailbox) merged(flags mailaccess.Flags, was, is index.FileName) mailaccess.Flags {
	before, after := b.flagsIn(was), b.flagsIn(is)
	added, removed := after.Minus(before), before.Minus(after)
	to := flags.Minus(removed).Union(added)
	if !to.Keywords.IsEmpty() && to.Keywords != flags.Keywords {
		if to.Keywords.Len() > mailaccess.MaxKeywords {
			to.Keywords = flags.Keywords
		}
		to.Keywords = b.ix.Spelled(to.Keywords)
	}
	return to
}

// flagsIn returns the flags that a name tells.
func (b *mailbox) flagsIn(name index.FileName) mailaccess.Flags {
	m, ok := maildirname.ParseMessage(name.Base + name.Suffix)
	if !ok {
		return mailaccess.Flags{}
	}
	flags, _ := b.keywords.Flags(m.Flags)
	return flags
}

// headRead is how much of a file that arrives is read at once, in octets: most headers, and
// all of a short message.
const headRead = 32 << 10

// arrive makes files messages, in one transaction.
func (d *difference) arrive(files []arrival) error {
	rows := make([]index.Row, 0, len(files))
	keys := make([][]uint64, 0, len(files))
	names := make([]index.FileName, 0, len(files))
	buf := make([]byte, headRead)
	for _, f := range files {
		row, k, err := d.read(f, buf)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			d.a.store.log.Warn("a message file cannot be read: it is left out", zap.String("account", d.a.key), zap.String("mailbox", d.b.Name), zap.String("file", f.name), zap.Error(err))
			continue
		}
		base := baseOf(f.name)
		rows, keys = append(rows, row), append(keys, k)
		names = append(names, index.FileName{Base: base, Suffix: f.name[len(base):], Place: f.place})
	}
	if len(rows) == 0 {
		return nil
	}
	c := &change{op: d.op, boxes: []mailaccess.MailboxID{d.b.ID}, adds: true, plan: func(p *planner) (*record, error) {
		return d.planArrive(p, rows, names, keys)
	}}
	d.a.together([]*change{c})
	return c.err
}

func (d *difference) planArrive(p *planner, rows []index.Row, names []index.FileName, keys [][]uint64) (*record, error) {
	a, b := d.a, d.b
	if err := a.loadThreads(); err != nil {
		return nil, failDisk(d.op, string(b.ID), err)
	}
	uid, err := p.uids(d.op, b, len(rows))
	if err != nil {
		return nil, err
	}
	n := p.number()
	part := boxRecord{Box: b.ID}
	began := make(map[uint64]uint32) // threads that begin in this transaction
	for i := range rows {
		row := &rows[i]
		row.UID, row.ModSeq, row.Created = uid+mailaccess.UID(i), n, n
		row.Flags.Keywords = b.ix.Spelled(row.Flags.Keywords)
		if row.Email, err = p.email(d.op); err != nil {
			return nil, err
		}
		row.Thread = a.threads.of(keys[i])
		for _, k := range keys[i] {
			if row.Thread == 0 {
				row.Thread = began[k]
			}
		}
		if row.Thread == 0 {
			p.lastThread++
			row.Thread = p.lastThread
		}
		for _, k := range keys[i] {
			if began[k] == 0 {
				began[k] = row.Thread
			}
		}
		part.Rows = index.AppendRow(part.Rows, *row, names[i])
		part.Threads = append(part.Threads, threadKeys{Thread: row.Thread, Keys: keys[i]})
	}
	return &record{ModSeq: n, Boxes: []boxRecord{part}}, nil
}

// read looks into a file: what the index keeps of it. Its size in canonical form is known
// when its name tells, or when it was read whole.
func (d *difference) read(f arrival, buf []byte) (row index.Row, keys []uint64, err error) {
	file, err := d.b.at(f.place).Open(f.name)
	if err != nil {
		return row, nil, err
	}
	defer file.Close()
	n, err := file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return row, nil, err
	}
	head := buf[:n]
	m, _ := maildirname.ParseMessage(f.name)
	row = index.Row{
		Size:     mailaccess.SizeUnknown,
		Received: time.Unix(f.info.ModTime.Unix(), 0).UTC(),
		Saved:    time.Unix(d.a.store.now().Unix(), 0).UTC(),
	}
	row.Flags, _ = d.b.keywords.Flags(m.Flags)
	if int64(n) == f.info.Size && n < len(buf) {
		row.Size = canonicalSize(head)
	} else if m.Size == f.info.Size && m.Wire >= m.Size {
		row.Size = m.Wire
	}
	if n < len(buf) {
		keys, err = threadKeysOf(bytesAt(head), int64(len(head)))
	} else {
		keys, err = threadKeysOf(file, f.info.Size)
	}
	return row, keys, err
}

// canonicalSize is the length of a message in canonical form.
func canonicalSize(b []byte) int64 {
	w := message.NewCanonicalWriter(io.Discard)
	w.Write(b) //nolint:errcheck // nothing is written anywhere
	return w.Size()
}

// adopt takes the names of files that we renamed, or were about to, for ours, whatever
// they are. It is for going through the log again.
func (a *account) adopt(b *mailbox, uids mailaccess.UIDSet) error {
	b.adopt = uids
	defer func() { b.adopt = mailaccess.UIDSet{} }()
	err := a.rescan("recover", b)
	if errors.Is(err, mailaccess.KindNotFound) {
		return nil
	}
	return err
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
