package memory

import (
	"container/list"
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// account is one user's mail, shared by everybody who opened it.
type account struct {
	store *Store
	name  string

	mu     sync.Mutex // guards all that follows, and every mailbox
	modseq mailaccess.ModSeq

	boxes  map[mailaccess.MailboxID]*mailbox
	names  map[string]*mailbox
	sorted []mailaccess.Mailbox // by name, never changed once made; nil: to be made

	uidValidity uint32 // the next one to be given out
	lastBox     uint64
	lastEmail   uint64

	tombstones []tombstone // ascending by number
	floor      mailaccess.ModSeq

	subscribed   map[string]struct{}
	subscribedAt mailaccess.ModSeq

	contents map[mailaccess.EmailID]*content
	threads  threads
	used     int64      // octets of all contents that have a place
	retained []retained // ascending by number
	opened   list.List  // of *handle, in the order of opening; only when retaining

	derived derivedCache // has its own lock, which may be taken while mu is held
	leases  leases       // has its own lock
}

// tombstone is what is left of a deleted mailbox.
type tombstone struct {
	mailaccess.DeletedMailbox
	created mailaccess.ModSeq

	// vanished are the removals that are remembered, its last messages among
	// them, as in mailbox; they tell everything after the number emptied.
	vanished []mailaccess.Vanished
	emptied  mailaccess.ModSeq
}

func newAccount(s *Store, name string, now time.Time) *account {
	a := &account{
		store:       s,
		name:        name,
		modseq:      mailaccess.ModSeq(max(now.UnixMicro(), 0)),
		boxes:       make(map[mailaccess.MailboxID]*mailbox),
		names:       make(map[string]*mailbox),
		uidValidity: uint32(now.Unix()),
		subscribed:  make(map[string]struct{}),
		contents:    make(map[mailaccess.EmailID]*content),
		threads:     threads{seed: maphash.MakeSeed(), known: make(map[uint64]thread)},
	}
	a.derived.limit = s.opts.DerivedBytes
	a.modseq++
	a.newMailbox(mailaccess.Inbox, 0, a.modseq)
	return a
}

// newID returns an id that no other thing of the account ever has.
func (a *account) newID(n uint64) string {
	id := make([]byte, 0, 24)
	id = append(id, a.store.tag...)
	id = append(id, '-')
	return string(strconv.AppendUint(id, n, 36))
}

// emailNumber returns from which number newID made the id of a message.
func (a *account) emailNumber(id mailaccess.EmailID) (n uint64, ok bool) {
	digits, ok := strings.CutPrefix(string(id), a.store.tag)
	if !ok || len(digits) < 2 || len(digits) > 1+12 || digits[0] != '-' || digits[1] == '0' {
		return 0, false
	}
	for _, c := range []byte(digits[1:]) {
		switch {
		case '0' <= c && c <= '9':
			n = n*36 + uint64(c-'0')
		case 'a' <= c && c <= 'z':
			n = n*36 + uint64(c-'a') + 10
		default:
			return 0, false
		}
	}
	return n, true
}

// box returns a mailbox that exists. a.mu is held.
func (a *account) box(op string, id mailaccess.MailboxID) (*mailbox, error) {
	if b := a.boxes[id]; b != nil {
		return b, nil
	}
	return nil, fail(op, mailaccess.KindNotFound, string(id), nil)
}

// ring tells the listeners that box changed, or the account when it is empty.
// a.mu is not held.
func (a *account) ring(box mailaccess.MailboxID, n mailaccess.ModSeq) {
	a.store.bell.Ring(mailaccess.Ring{Account: a.name, Mailbox: box, ModSeq: n})
}

// handle is an account as one identity opened it. It is the
// [mailaccess.Account] and every one of its capabilities.
type handle struct {
	*account
	rights mailaccess.Rights
	closed atomic.Bool

	since mailaccess.ModSeq // the account's number when it was opened
	elem  *list.Element     // in account.opened; nil when not retaining
}

var _ mailaccess.Account = (*handle)(nil)

func (a *account) open(who mailaccess.Identity) *handle {
	h := &handle{account: a, rights: mailaccess.RightsAll &^ who.Without}
	if a.store.opts.RetainExpunged {
		a.mu.Lock()
		h.since = a.modseq
		h.elem = a.opened.PushBack(h)
		a.mu.Unlock()
	}
	return h
}

// Close releases the account.
func (h *handle) Close() error {
	if h.closed.Swap(true) || h.elem == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened.Remove(h.elem)
	h.dropRetained()
	return nil
}

// begin checks what every call begins with: that the caller still waits, that
// all is open, and that the identity has the rights needed.
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

// Capabilities returns everything there is.
func (h *handle) Capabilities() mailaccess.Capabilities {
	return mailaccess.Capabilities{
		RetainsExpunged: h.store.opts.RetainExpunged,
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
		Lease:           h,
		Recent:          h,
		Locate:          h,
		Hold:            h,
	}
}

// Mailboxes lists the mailboxes as they are when the loop begins.
func (h *handle) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	const op = "list mailboxes"
	return func(yield func(mailaccess.Mailbox, error) bool) {
		if err := h.begin(ctx, op, 0); err != nil {
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

// sortedMailboxes returns all mailboxes by name. a.mu is held; the result is
// never changed.
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

// Status returns a mailbox with its counts.
func (h *handle) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	s, err := h.snapshot(ctx, "status", box)
	return s.Status, err
}

// Snapshot returns the status and the UIDs. It costs the same whatever the
// number of messages.
func (h *handle) Snapshot(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	return h.snapshot(ctx, "snapshot", box)
}

func (h *handle) snapshot(ctx context.Context, op string, box mailaccess.MailboxID) (mailaccess.Snapshot, error) {
	if err := h.begin(ctx, op, mailaccess.RightRead); err != nil {
		return mailaccess.Snapshot{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := h.box(op, box)
	if err != nil {
		return mailaccess.Snapshot{}, err
	}
	return mailaccess.Snapshot{Status: b.status(h.rights), UIDs: b.uids}, nil
}

// State returns the epoch and the highest number.
func (h *handle) State(ctx context.Context) (mailaccess.State, error) {
	if err := h.begin(ctx, "state", 0); err != nil {
		return mailaccess.State{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return mailaccess.State{Epoch: h.store.epoch, ModSeq: h.modseq}, nil
}

// Changes returns what changed in the account after since.
func (h *handle) Changes(ctx context.Context, since mailaccess.State) (mailaccess.AccountChanges, error) {
	const op = "changes"
	if err := h.begin(ctx, op, 0); err != nil {
		return mailaccess.AccountChanges{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if since != (mailaccess.State{}) {
		switch {
		case since.Epoch != h.store.epoch || since.ModSeq < h.floor:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindHistoryGone, "", nil)
		case since.ModSeq > h.modseq:
			return mailaccess.AccountChanges{}, fail(op, mailaccess.KindInvalid, "", errors.New("that number was never reached"))
		}
	}
	c := mailaccess.AccountChanges{
		UpTo:          mailaccess.State{Epoch: h.store.epoch, ModSeq: h.modseq},
		Subscriptions: h.subscribedAt > since.ModSeq,
	}
	for _, b := range h.boxes {
		if s := b.visible(h.rights); s.ModSeq > since.ModSeq {
			c.Mailboxes = append(c.Mailboxes, s)
		}
	}
	first := sort.Search(len(h.tombstones), func(i int) bool { return h.tombstones[i].ModSeq > since.ModSeq })
	for i := first; i < len(h.tombstones); i++ {
		if t := &h.tombstones[i]; t.created <= since.ModSeq {
			c.Deleted = append(c.Deleted, t.DeletedMailbox)
		}
	}
	return c, nil
}
