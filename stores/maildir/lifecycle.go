package maildir

import (
	"crypto/rand"
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
)

const (
	indexDir       = "mailaccess-index"
	checkpointFile = "account"
)

// acquire returns an account, loaded, and counts its user: letGo takes that back. One that
// is not there is made if create is set.
func (s *Store) acquire(op, name string, create bool) (*account, error) {
	parts, err := s.path.account(name)
	if err != nil {
		return nil, fail(op, mailaccess.KindNotFound, "", err)
	}
	key := strings.Join(parts, "/")
	for {
		s.mu.Lock()
		if s.closed.Load() {
			s.mu.Unlock()
			return nil, fail(op, mailaccess.KindUnavailable, "", errors.New("the store is closed"))
		}
		a := s.accounts[key]
		if a == nil {
			a = &account{store: s, key: key, loading: make(chan struct{}), users: 1}
			s.accounts[key] = a
			s.mu.Unlock()
			if a.loadErr = s.catchUp(op, key); a.loadErr == nil {
				a.loadErr = a.load(op, parts, create)
			}
			if a.loadErr == nil && a.fresh {
				// What it is called from now on, and its epoch, must not depend on the log.
				if err := a.checkpoint(); err != nil {
					a.loadErr = failDisk(op, "", err)
				}
			}
			if a.loadErr != nil {
				a.closeDirs()
				s.mu.Lock()
				delete(s.accounts, key)
				s.mu.Unlock()
			}
			close(a.loading)
		} else if a.leaving != nil {
			// It is being put away.
			leaving := a.leaving
			s.mu.Unlock()
			<-leaving
			continue
		} else {
			a.users++
			s.mu.Unlock()
			<-a.loading
		}
		if a.loadErr != nil {
			return nil, a.loadErr
		}
		a.mu.Lock()
		if !slices.Contains(a.aliases, name) {
			a.aliases = append(slices.Clip(a.aliases), name)
		}
		a.mu.Unlock()
		return a, nil
	}
}

// letGo takes back an acquire.
func (s *Store) letGo(a *account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.users--; a.users == 0 {
		a.idleSince = s.now()
	}
}

// load opens the directory and reads the account's checkpoint, and those of its mailboxes.
func (a *account) load(op string, parts []string, create bool) error {
	if err := a.openMaildir(parts, create); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !create || errors.Is(err, errSpelling) {
			return fail(op, mailaccess.KindNotFound, "", err)
		}
		return failDisk(op, "", err)
	}
	a.boxes = make(map[mailaccess.MailboxID]*mailbox)
	a.names = make(map[string]*mailbox)
	a.opened = make(map[*handle]struct{})
	a.unsynced = make(map[fsys.Dir]struct{})
	a.uploads = make(map[string]struct{})
	a.buried = make(map[mailaccess.MailboxID]*mailbox)
	if err := a.loadMeta(); err != nil {
		return failDisk(op, "", err)
	}
	a.origin = a.meta.origin
	if err := a.loadCheckpoint(); err != nil {
		return failDisk(op, "", err)
	}
	if err := a.loadSubscriptions(); err != nil {
		return failDisk(op, "", err)
	}
	if err := a.finishTakeover(); err != nil {
		return failDisk(op, "", err)
	}
	if err := a.openDerived(); err != nil {
		return failDisk(op, "", err)
	}
	return nil
}

// openMaildir opens the account's directories, which are made if create is set.
func (a *account) openMaildir(parts []string, create bool) (err error) {
	a.dir = a.store.root
	for _, part := range parts {
		var sub fsys.Dir
		if a.store.folds {
			err = otherSpelling(a.dir, part)
		}
		if err != nil {
			// It stands for no account.
		} else if create {
			sub, err = subdir(a.dir, part)
		} else {
			sub, err = a.dir.Sub(part)
		}
		if a.dir != a.store.root {
			err = errors.Join(err, a.dir.Close())
		}
		if err != nil {
			a.dir = nil
			return err
		}
		a.dir = sub
	}
	for _, name := range []string{"tmp", "new", "cur"} {
		d, err := subdir(a.dir, name)
		if err != nil {
			return err
		}
		if err := d.Close(); err != nil {
			return err
		}
	}
	a.indexDir, err = subdir(a.dir, indexDir)
	return err
}

// errSpelling: the name differs from that of an account by the case of letters only, which on
// the disk is the same.
var errSpelling = errors.New("the name is spelled otherwise")

func otherSpelling(d fsys.Dir, name string) error {
	for e, err := range d.Names(0) {
		if err != nil {
			return err
		}
		if e.Name != name && strings.EqualFold(e.Name, name) {
			return errSpelling
		}
	}
	return nil
}

// openDerived opens the cache of what front-ends derived. It belongs to the epoch's
// numbers of contents.
func (a *account) openDerived() error {
	d, err := subdir(a.indexDir, "derived")
	if err != nil {
		return err
	}
	epoch := fnv.New64a()
	io.WriteString(epoch, a.Tag) //nolint:errcheck // a hash takes everything
	a.derived = derived.Open(d, &derived.Options{Budget: a.store.opts.DerivedBytes, Epoch: epoch.Sum64()})
	return nil
}

// accountCheckpoint is the file of the account's index.
type accountCheckpoint struct {
	_     struct{} `cbor:",toarray"`
	Sum   uint32   // CRC-32C of State
	State []byte   // a checkpointState
}

type checkpointState struct {
	Version int
	State   accountState
	Boxes   []boxState
	// Subscribed are the names, in the account's own file also; see subscriptions.go.
	Subscribed []string
}

type boxState struct {
	_           struct{} `cbor:",toarray"`
	Box         mailaccess.MailboxID
	Name, Dir   string
	UIDValidity uint32
	Use         mailaccess.SpecialUse
	Reserved    mailaccess.UID
}

// loadCheckpoint reads the account's index. Without one, or with one that cannot be right,
// the account begins a new epoch: see the package comment.
func (a *account) loadCheckpoint() error {
	var c checkpointState
	err := a.readCheckpoint(&c)
	if err == nil && !a.taking {
		a.subscribed = make(map[string]struct{}, len(c.Subscribed))
		for _, name := range c.Subscribed {
			a.subscribed[name] = struct{}{}
		}
	}
	switch {
	case a.taking:
		return a.newEpoch(nil)
	case err == nil && (a.weakened(&c.State) || c.State.Generation < a.store.state.lost):
		a.store.log.Warn("something may be lost that was not on disk: every message takes a new number", zap.String("account", a.key))
		return a.newEpoch(&c)
	case err == nil:
		a.accountState = c.State
		if err := a.loadBoxes(c.Boxes); err != nil || c.State.Generation == a.store.state.generation {
			return err
		}
		// The last stop was not clean: UIDs may have been reserved since.
		for _, b := range a.boxes {
			b.reserved = a.reservedUIDs(b)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if !a.fresh {
			a.store.log.Warn("no index: it is made from the files", zap.String("account", a.key))
		}
		return a.newEpoch(nil)
	case errors.Is(err, index.ErrCorrupt), errors.Is(err, fsys.ErrNotRegular):
		a.store.log.Warn("the index is damaged: it is made anew from the files", zap.String("account", a.key), zap.Error(err))
		return a.newEpoch(nil)
	}
	return err
}

// weakened reports whether something was acknowledged without being on disk before a stop
// that was not clean, and the checkpoint is not of later.
func (a *account) weakened(c *accountState) bool {
	weak := a.meta.weak
	return weak != 0 && weak-1 != a.store.state.generation && c.Generation < weak
}

// loadBoxes opens the mailboxes of a checkpoint.
func (a *account) loadBoxes(boxes []boxState) error {
	for _, s := range boxes {
		ix, err := index.Open(a.indexDir, string(s.Box), a.indexOptions())
		if err != nil {
			if errors.Is(err, index.ErrCorrupt) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fsys.ErrNotRegular) {
				a.store.log.Warn("the index of a mailbox is damaged: it is made anew from the files", zap.String("account", a.key), zap.String("mailbox", s.Name), zap.Error(err))
				s.Reserved = a.reservedUIDs(&mailbox{Mailbox: mailaccess.Mailbox{ID: s.Box}, dirName: s.Dir, reserved: s.Reserved})
				ix = a.anew(string(s.Box), s.Reserved)
				a.Epoch, a.Floor = rand.Text(), a.ModSeq
			} else {
				return err
			}
		}
		a.addBox(s, ix)
	}
	return nil
}

// distrust begins anew with a mailbox whose index turned out to be damaged. The calls that
// need it fail until the account was put away and opened again. a.mu is held.
func (a *account) distrust(b *mailbox) {
	a.store.log.Error("the index of a mailbox is damaged", zap.String("account", a.key), zap.String("mailbox", b.Name))
	a.Epoch, a.Floor = rand.Text(), a.ModSeq
	reserved := max(a.reservedUIDs(b), b.ix.UIDNext())
	b.ix.Release()
	b.ix = a.anew(string(b.ID), reserved)
	b.lazy = mailaccess.UIDSet{}
	b.scan.force()
}

// reservedUIDs returns below what UIDs may have been given out. The mailbox's own file may
// know more than the checkpoint: it is written first.
func (a *account) reservedUIDs(b *mailbox) mailaccess.UID {
	read := func() (mailboxMeta, error) {
		if b.dirName == "" {
			return readMailboxMeta(a.dir)
		}
		d, err := a.openFolder(b)
		if errors.Is(err, fs.ErrNotExist) {
			d, err = a.openAstray(b)
		}
		if err != nil {
			return mailboxMeta{}, err
		}
		defer d.Close()
		return readMailboxMeta(d)
	}
	m, err := read()
	if err != nil || m.id != b.ID {
		a.quietly("read what UIDs are reserved", err)
		return b.reserved
	}
	return max(b.reserved, m.reserved)
}

// anew returns an empty index for a mailbox whose own is lost. What is in its directories
// arrives with the next scan, under UIDs that were never given out.
func (a *account) anew(id string, reserved mailaccess.UID) *index.Mailbox {
	ix := index.New(a.indexDir, id, a.indexOptions())
	a.ModSeq++
	ix.SetCreated(a.ModSeq)
	if reserved > 1 {
		// There was something in it, of which nothing is known.
		ix.RaiseUIDNext(reserved)
		ix.RaiseFloor(a.ModSeq)
	}
	return ix
}

func (a *account) indexOptions() *index.Options {
	return &index.Options{HistoryLimit: a.store.opts.HistoryLimit}
}

// addBox makes a mailbox known. a.mu is held, or nobody else knows the account.
func (a *account) addBox(s boxState, ix *index.Mailbox) *mailbox {
	b := &mailbox{
		Mailbox: mailaccess.Mailbox{
			ID: s.Box, Name: s.Name, UIDValidity: s.UIDValidity, Use: s.Use,
			Created: ix.Created(), Changed: ix.Changed(),
		},
		dirName: s.Dir, ix: ix, reserved: s.Reserved,
	}
	a.boxes[b.ID] = b
	a.names[b.Name] = b
	a.sorted = nil
	return b
}

// newEpoch begins a history in which nothing is known but what is in the directories, or,
// when there is an index whose numbers cannot be trusted, what that says too: every
// message takes a new number then. Nothing that was ever shown is given out again.
func (a *account) newEpoch(c *checkpointState) error {
	var state accountState
	if c != nil {
		state = c.State
		state.Tombstones = nil
	}
	state.Epoch = rand.Text()
	state.Tag = strings.ToLower(state.Epoch[:8])
	state.ModSeq = max(state.ModSeq, a.meta.reserved, mailaccess.ModSeq(a.store.now().UnixMicro()))
	state.Floor = state.ModSeq
	kept, err := a.highestKept()
	if err != nil {
		return err
	}
	state.LastEmail = max(state.LastEmail, kept)
	a.accountState = state
	a.fresh, a.renewed = true, true
	if c == nil {
		return a.rebuildFolders()
	}
	meta := a.meta
	meta.reserved = max(meta.reserved, state.ModSeq+modSeqBlock)
	if err := a.writeMeta(meta); err != nil {
		return err
	}
	if err := a.loadBoxes(c.Boxes); err != nil {
		return err
	}
	for _, b := range a.boxes {
		if err := a.renumber(b); err != nil {
			return err
		}
	}
	return nil
}

// renumber gives every message of a mailbox the present number.
func (a *account) renumber(b *mailbox) error {
	if err := b.ix.Load(); err != nil {
		return err
	}
	groups := make(map[mailaccess.Flags]*mailaccess.UIDSetBuilder)
	var buf [batchLen]index.Row
	from := mailaccess.UID(1)
	for n := b.ix.Next(from, b.ix.UIDs(), 0, buf[:]); n > 0; n = b.ix.Next(from, b.ix.UIDs(), 0, buf[:]) {
		for i := range buf[:n] {
			if groups[buf[i].Flags] == nil {
				groups[buf[i].Flags] = new(mailaccess.UIDSetBuilder)
			}
			groups[buf[i].Flags].AddUID(buf[i].UID)
		}
		from = buf[n-1].UID + 1
		for i := range buf[:n] {
			// It may be the work of a checkpoint that was broken off.
			a.LastEmail, a.LastThread = max(a.LastEmail, buf[i].Email), max(a.LastThread, buf[i].Thread)
		}
	}
	for flags, uids := range groups {
		b.ix.SetFlags(uids.Set(), flags, a.ModSeq)
	}
	b.ix.RaiseModSeq(a.ModSeq)
	b.reserved = a.reservedUIDs(b)
	b.ix.RaiseUIDNext(b.reserved)
	b.ix.RaiseFloor(a.ModSeq)
	b.ix.SetDirTimes(0, 0)
	return nil
}

// readCheckpoint reads the account's file. ErrCorrupt when it is not what was written.
func (a *account) readCheckpoint(c *checkpointState) error {
	b, err := readAll(a.indexDir, checkpointFile)
	if err != nil {
		return err
	}
	var outer accountCheckpoint
	dec := a.store.codec.dec
	if err := dec.Unmarshal(b, &outer); err != nil || outer.Sum != checksum(outer.State) {
		return index.ErrCorrupt
	}
	if err := dec.Unmarshal(outer.State, c); err != nil || c.Version != 1 {
		return index.ErrCorrupt
	}
	return nil
}

// closeDirs closes what the account has open. All stays in its field for whoever is just
// using it, and says fs.ErrClosed.
func (a *account) closeDirs() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.boxes {
		a.closeBox(b)
	}
	for _, b := range a.buried {
		a.closeBox(b)
	}
	if a.derived != nil {
		a.quietly("close derived", a.derived.Close())
	}
	for _, d := range []fsys.Dir{a.indexDir, a.dir} {
		if d != nil && d != a.store.root {
			a.quietly("close", d.Close())
		}
	}
}

// closeBox closes the directories of a mailbox. a.mu is held.
func (a *account) closeBox(b *mailbox) {
	b.ix.Release()
	a.uncount(b)
	if b.rested {
		return
	}
	dirs := []fsys.Dir{b.cur, b.new, b.kept}
	if b.dir != a.dir {
		dirs = append(dirs, b.dir)
	}
	for _, d := range dirs {
		if d != nil {
			delete(a.unsynced, d)
			a.quietly("close", d.Close())
		}
	}
}

// quietly notes an error that changes nothing for anybody.
func (a *account) quietly(what string, err error) {
	if err != nil {
		a.store.log.Info(what, zap.String("account", a.key), zap.Error(err))
	}
}
