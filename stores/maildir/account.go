package maildir

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/maildir/internal/commitlog"
	"github.com/hashmail/mailaccess/stores/maildir/internal/derived"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/maildirname"
)

// account is one Maildir, shared by everybody who opened it.
//
// Two things keep order. The lead (see commit.go) belongs to whoever changes anything,
// on disk or in memory, and is held while waiting for the disk. mu guards what is in
// memory, is never held while waiting for a sync, and is taken after the lead.
type account struct {
	store *Store
	key   string // the path below the store's root

	dir      fsys.Dir // the Maildir
	indexDir fsys.Dir
	derived  *derived.Cache
	lead     lead

	loading chan struct{} // closed when it was loaded, or could not be
	loadErr error
	meta    accountMeta // under the lead
	origin  string      // of meta; it does not change
	fresh   bool        // no checkpoint was ever written
	// taking: what another server left is being taken over; renaming: its lists are being
	// renamed. See takeover.go. Both are set while loading only.
	taking, renaming bool

	// Guarded by the store's lock.
	users     int           // handles and others who acquired it
	idleSince time.Time     // when there was the last user
	leaving   chan struct{} // closed when it was put away; nil: it is not

	// calm: nothing happened since upkeep looked; see stir. size is what resident said then.
	calm atomic.Bool
	size atomic.Int64

	mu sync.Mutex
	accountState
	boxes  map[mailaccess.MailboxID]*mailbox
	names  map[string]*mailbox
	sorted []mailaccess.Mailbox // by name, never changed once made; nil: to be made

	subscribed map[string]struct{}
	listSeen   fsys.Info // the file of subscriptions as it was read or written last
	threads    threads
	measured   measured

	// opened are the handles, in the order of opening.
	opened  map[*handle]struct{}
	aliases []string // the names under which it was opened

	onDisk sync.Mutex // one checkpoint at a time; taken before the lead

	// What the next checkpoint has to do.
	first    commitlog.Pos // of the first record that no checkpoint holds; 0: there is none
	writing  commitlog.Pos // the same of the checkpoint that is being written
	unsynced map[fsys.Dir]struct{}
	spent    []string               // names in the spool that are linked elsewhere
	uploads  map[string]struct{}    // names in the spool that may be linked once more
	pending  []task                 // work on files that failed, in order
	forget   []mailaccess.MailboxID // whose index goes
	// buried are mailboxes that were deleted: work on files may still concern them.
	buried    map[mailaccess.MailboxID]*mailbox
	copied    copies         // nil unless nothing is kept
	captures  int            // how many checkpoints were begun
	inventory inventory      // nil unless the log is gone through again
	patient   bool           // work whose file is missing waits: the rest of the log may tell where it is
	replaced  []messagePlace // what was placed while the log was gone through again
	renewed   bool           // the epoch is a new one, since it was loaded
	swept     time.Time
	due       time.Time          // when upkeep has something to do though nothing happens
	listed    time.Time          // the directory's time when its folders were listed; zero: not trusted
	refused   map[string]refusal // folders that are left alone
}

// accountState is what a checkpoint of the account holds, apart from its mailboxes.
type accountState struct {
	// Generation is the store's, at the time of the checkpoint; see storeState.
	Generation   uint64
	LogPos       uint64 // up to where the checkpoint holds, of what is not in a mailbox
	Epoch        string
	Tag          string // part of every EmailID and ThreadID; another one in each epoch
	ModSeq       mailaccess.ModSeq
	LastEmail    uint32
	LastThread   uint32
	Tombstones   []tombstone // ascending by number
	Floor        mailaccess.ModSeq
	SubscribedAt mailaccess.ModSeq
}

// tombstone is what is left of a deleted mailbox.
type tombstone struct {
	_       struct{} `cbor:",toarray"`
	Box     mailaccess.MailboxID
	Name    string
	ModSeq  mailaccess.ModSeq
	Created mailaccess.ModSeq
	Emptied mailaccess.ModSeq // Gone tells everything after this number
	Gone    []index.Gone
}

// mailbox is guarded by the lock of its account.
type mailbox struct {
	mailaccess.Mailbox        // Rights are not set: they are the identity's
	dirName            string // where it is on the disk; "" is the account's own directory
	moveTo             string // the name that the directory is to get; "": it has it
	warned             bool   // of another server's list; see warnOfLists
	ix                 *index.Mailbox
	reserved           mailaccess.UID // UIDs below it may be given out; see meta.go
	deleted            bool
	holds              int

	kept          fsys.Dir                  // of expunged messages; opened when needed, under the lead
	open          bool                      // dir, cur and new count among the store's openBoxes
	dir, cur, new fsys.Dir                  // opened when needed; see (*account).openDirs
	rested        bool                      // they were closed, and are opened again when needed
	opened        time.Time                 // when they were needed last
	keywords      *maildirname.Keywords     // the letters of file names; nil: to be read
	uniqueIDs     map[mailaccess.UID]string // see uniqueid.go; nil: to be read
	lettersLost   bool                      // they cannot be read
	scan          scanState
	lazy          mailaccess.UIDSet // messages whose file names lag behind their flags
	adopt         ourNames          // see (*account).adopt
	flagged       time.Time         // when flags changed last
	used          time.Time         // when it was used last
}

// handle is an account as one identity opened it. It is the [mailaccess.Account] and every
// one of its capabilities.
type handle struct {
	*account
	rights mailaccess.Rights
	closed atomic.Bool
	since  time.Time
}

var _ mailaccess.Account = (*handle)(nil)

// handle opens the account, which the caller has acquired.
func (a *account) handle(who mailaccess.Identity) *handle {
	h := &handle{account: a, rights: mailaccess.RightsAll &^ who.Without, since: a.store.now()}
	a.mu.Lock()
	a.opened[h] = struct{}{}
	a.mu.Unlock()
	return h
}

// Close releases the account.
func (h *handle) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	h.mu.Lock()
	delete(h.opened, h)
	h.mu.Unlock()
	h.store.letGo(h.account)
	return nil
}

// begin checks what every call begins with: that the caller still waits, that all is open,
// and that the identity has the rights needed.
func (h *handle) begin(ctx context.Context, op string, need mailaccess.Rights) error {
	if err := h.store.usable(ctx, op); err != nil {
		return err
	}
	if h.closed.Load() {
		return fail(op, mailaccess.KindUnavailable, "", errors.New("the account is closed"))
	}
	if !h.rights.Has(need) {
		return fail(op, mailaccess.KindForbidden, "", nil)
	}
	return nil
}

// Capabilities returns what there is.
func (h *handle) Capabilities() mailaccess.Capabilities {
	c := mailaccess.Capabilities{
		Durable:         true,
		RetainsExpunged: h.store.opts.KeepExpunged > 0,
		MaxMessageSize:  h.store.opts.MaxMessageSize,
		SystemFlags:     mailaccess.SystemFlagsAll,
		NewKeywords:     true,
		SavedDates:      true,
		Threads:         true,
		Append:          h,
		AppendMany:      true,
		Flags:           h,
		Expunge:         h,
		Copy:            h,
		CopyMany:        true,
		Move:            h,
		Replace:         h,
		Mailboxes:       h,
		Subscriptions:   h,
		Search:          h,
		Derived:         h,
		Recent:          h,
		Locate:          h,
		Hold:            h,
	}
	if h.takenOver() {
		c.UniqueIDs = h
	}
	return c
}

// Mailboxes lists the mailboxes as they are when the loop begins.
func (h *handle) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	const op = "list mailboxes"
	return func(yield func(mailaccess.Mailbox, error) bool) {
		err := h.begin(ctx, op, 0)
		if err == nil {
			err = h.lookAround(op)
		}
		if err != nil {
			yield(mailaccess.Mailbox{}, err)
			return
		}
		h.mu.Lock()
		boxes := h.sortedMailboxes()
		h.mu.Unlock()
		for _, m := range boxes {
			if err := h.begin(ctx, op, 0); err != nil {
				yield(mailaccess.Mailbox{}, err)
				return
			}
			m.Rights = h.rights
			if !yield(m, nil) {
				return
			}
		}
	}
}

// sortedMailboxes returns all mailboxes by name. a.mu is held; the result is never changed.
func (a *account) sortedMailboxes() []mailaccess.Mailbox {
	if a.sorted == nil {
		a.sorted = make([]mailaccess.Mailbox, 0, len(a.boxes))
		for _, b := range a.boxes {
			a.sorted = append(a.sorted, b.Mailbox)
		}
		slices.SortFunc(a.sorted, func(x, y mailaccess.Mailbox) int { return strings.Compare(x.Name, y.Name) })
	}
	return a.sorted
}

// Lookup finds a mailbox by name.
func (h *handle) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	const op = "lookup"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.Mailbox{}, err
	}
	if err := h.lookForFolders(op); err != nil {
		return mailaccess.Mailbox{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.names[name]
	if b == nil {
		return mailaccess.Mailbox{}, fail(op, mailaccess.KindNotFound, name, nil)
	}
	m := b.Mailbox
	m.Rights = h.rights
	return m, nil
}

// box returns a mailbox that exists. a.mu is held.
func (a *account) box(op string, id mailaccess.MailboxID) (*mailbox, error) {
	if b := a.boxes[id]; b != nil {
		return b, nil
	}
	return nil, fail(op, mailaccess.KindNotFound, string(id), nil)
}

// Status returns a mailbox with its counts.
func (h *handle) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	s, err := h.snapshot(ctx, "status", box)
	return s.Status, err
}

// Snapshot returns the status and the UIDs. It costs the same whatever the number of
// messages.
func (h *handle) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	return h.snapshot(ctx, "snapshot", box)
}

func (h *handle) snapshot(ctx context.Context, op string, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return mailaccess.Snapshot{}, err
	}
	if err := h.refresh(op, box); err != nil {
		return mailaccess.Snapshot{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return mailaccess.Snapshot{}, err
	}
	return mailaccess.Snapshot{Status: b.status(h.rights), UIDs: b.ix.UIDs()}, nil
}

func (b *mailbox) status(rights mailaccess.Rights) mailaccess.Status {
	s := mailaccess.Status{
		Mailbox:  b.Mailbox,
		ModSeq:   b.ix.ModSeq(),
		UIDNext:  b.ix.UIDNext(),
		Keywords: b.ix.Keywords(),
	}
	c := b.ix.Counts()
	s.Messages, s.Unseen, s.Deleted, s.FirstUnseen = c.Messages, c.Unseen, c.Trashed, c.FirstUnseen
	known, unknown := b.ix.Size()
	if s.Size = known; unknown > 0 {
		s.Size = mailaccess.SizeUnknown
	}
	s.Rights = rights
	return s
}

// visible is what somebody may know of the mailbox who may see it: all, or, without the
// right to read, only what the mailbox itself is.
func (b *mailbox) visible(rights mailaccess.Rights) mailaccess.Status {
	if rights.Has(mailaccess.RightRead) {
		return b.status(rights)
	}
	s := mailaccess.Status{Mailbox: b.Mailbox, ModSeq: b.Changed}
	s.Rights = rights
	return s
}

// State returns the epoch and the highest number.
func (h *handle) State(ctx context.Context) (mailaccess.State, error) {
	const op = "state"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return mailaccess.State{Epoch: h.Epoch, ModSeq: h.ModSeq}, nil
}

// Changes returns what changed in the account after since.
func (h *handle) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	const op = "changes"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	if err := h.lookAround(op); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if since != (mailaccess.State{}) {
		switch {
		case since.Epoch != h.Epoch || since.ModSeq < h.Floor:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindHistoryGone, "", nil)
		case since.ModSeq > h.ModSeq:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindInvalid, "", errors.New("that number was never reached"))
		}
	}
	c := mailaccess.AccountChanges{
		UpTo:          mailaccess.State{Epoch: h.Epoch, ModSeq: h.ModSeq},
		Subscriptions: h.SubscribedAt > since.ModSeq,
	}
	for _, b := range h.boxes {
		if s := b.visible(h.rights); s.ModSeq > since.ModSeq {
			c.Mailboxes = append(c.Mailboxes, s)
		}
	}
	first := sort.Search(len(h.Tombstones), func(i int) bool { return h.Tombstones[i].ModSeq > since.ModSeq })
	for _, t := range h.Tombstones[first:] {
		if t.Created <= since.ModSeq {
			c.Deleted = append(c.Deleted, mailaccess.DeletedMailbox{ID: t.Box, Name: t.Name, ModSeq: t.ModSeq})
		}
	}
	return c, nil
}

// ring tells the listeners that box changed, or the account when it is empty. Neither
// a.mu nor the lead need be free: listeners only note it.
func (a *account) ring(box mailaccess.MailboxID, n mailaccess.ModSeq) {
	a.mu.Lock()
	names := a.aliases
	a.mu.Unlock()
	for _, name := range names {
		a.store.bell.Ring(mailaccess.Ring{Account: name, Mailbox: box, ModSeq: n})
	}
}
