package hooks

import (
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// accountHead is what is kept of an account beside its mailboxes.
type accountHead struct {
	epoch  string
	tag    string // part of every id
	modseq mailaccess.ModSeq

	uidValidity        uint32 // the next one to be given out
	lastBox, lastEmail uint64

	floor        mailaccess.ModSeq // deletions of mailboxes at or below it may be forgotten
	subscribedAt mailaccess.ModSeq
}

// newHead begins a history. Numbers start from the clock, so that they are above
// all that an earlier history, lost since, has ever shown.
func newHead(now time.Time) accountHead {
	epoch := rand.Text()
	return accountHead{
		epoch:       epoch,
		tag:         epoch[:8],
		modseq:      mailaccess.ModSeq(max(now.UnixMicro(), 1)),
		uidValidity: uint32(now.Unix()),
	}
}

// id returns an id that no other thing of the account ever has.
func (h *accountHead) id(kind byte, n uint64) string {
	id := make([]byte, 0, 24)
	id = append(id, h.tag...)
	id = append(id, kind)
	return string(strconv.AppendUint(id, n, 36))
}

// tombstone is what is left of a deleted mailbox.
type tombstone struct {
	mailaccess.DeletedMailbox
	created mailaccess.ModSeq
}

// account is one user's mail, shared by everybody who opened it.
//
// Its locks and turns, in the order in which they are taken: turn, the mailboxes'
// turns ascending by id, committing, mu. Functions of the application run with
// turns taken, but never under a lock; committing is held while the file is
// written, mu only for what is quick. Store.mu is taken before mu, the locks of
// calls and caches after it, and nothing else while these are held. Listeners are
// rung with nothing taken.
type account struct {
	store *Store
	name  string

	// turn is taken by whoever compares the list of mailboxes with the
	// application or changes it.
	turn       turn
	committing sync.Mutex

	mu    sync.Mutex // guards all that follows, and every mailbox
	head  accountHead
	boxes map[mailaccess.MailboxID]*mailbox
	names map[string]*mailbox
	// sorted is by name and never changed once made; nil: to be made.
	sorted     []mailaccess.Mailbox
	tombs      []tombstone // ascending by number
	subscribed map[string]struct{}
	contents   map[mailaccess.EmailID]*content
	sized      []*content // measured, and the file does not know yet

	hints uint64    // the number of the last hint
	fresh freshness // of the list of mailboxes
	scans uint64    // the number of the last scan
	// rescan are mailboxes that the keeper shall compare, held or not.
	rescan map[*mailbox]struct{}

	wake chan struct{} // of the keeper; one element at most

	// guarded by Store.mu
	refs int
	stop context.CancelFunc // of the keeper, while refs > 0
}

func newAccount(s *Store, name string, head accountHead) *account {
	return &account{
		store:      s,
		name:       name,
		head:       head,
		turn:       newTurn(),
		boxes:      make(map[mailaccess.MailboxID]*mailbox),
		names:      make(map[string]*mailbox),
		subscribed: make(map[string]struct{}),
		contents:   make(map[mailaccess.EmailID]*content),
		rescan:     make(map[*mailbox]struct{}),
		wake:       make(chan struct{}, 1),
	}
}

// box returns a mailbox that exists. a.mu is held.
func (a *account) box(op string, id mailaccess.MailboxID) (*mailbox, error) {
	if b := a.boxes[id]; b != nil {
		return b, nil
	}
	return nil, notFound(op, id)
}

func notFound(op string, id mailaccess.MailboxID) error {
	return fail(op, mailaccess.KindNotFound, string(id), nil)
}

// ask runs a function of the application that reads.
func (a *account) ask(ctx context.Context, op string, f func(ctx context.Context, k *call) error) (finished bool, err error) {
	k := &call{op: op}
	return a.store.calls.do(ctx, a.name, k, func(ctx context.Context) error { return f(ctx, k) })
}

// tell runs a function of the application that changes something in boxes. When
// nobody can say whether it did, they are compared with the application before
// anybody looks at them again, and once more when the function returns.
func (a *account) tell(ctx context.Context, op string, f func(ctx context.Context) error, boxes ...*mailbox) error {
	k := &call{op: op, changes: true, late: func() { a.doubt(boxes...) }}
	_, err := a.store.calls.do(ctx, a.name, k, f)
	switch mailaccess.KindOf(err) {
	case mailaccess.KindUncertain, mailaccess.KindInternal:
		if err != nil {
			a.doubt(boxes...)
		}
	}
	return err
}

// handle is an account as one identity opened it. It is the [mailaccess.Account]
// and every one of its capabilities.
type handle struct {
	*account
	without mailaccess.Rights // of the identity
	rights  mailaccess.Rights // what is left of what the application can do
	caps    mailaccess.Capabilities
	opened  uint64 // the hint that its opening was: readers want nothing older
	closed  atomic.Bool
}

var _ mailaccess.Account = (*handle)(nil)

func (a *account) open(who mailaccess.Identity, opened uint64) *handle {
	h := &handle{account: a, without: who.Without, opened: opened}
	h.rights = a.store.abilities.rights &^ who.Without
	h.caps = a.store.abilities.capabilities(h)
	return h
}

// Capabilities returns what the application's functions make possible.
func (h *handle) Capabilities() mailaccess.Capabilities { return h.caps }

// Close releases the account.
func (h *handle) Close() error {
	if !h.closed.Swap(true) {
		h.store.release(h.account)
	}
	return nil
}

// begin checks what every call begins with: that the caller still waits, that all
// is open, and that the identity has the rights needed.
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

// look is begin for a call that reads a mailbox, which is first compared with the
// application if it has not been since the account was opened.
func (h *handle) look(ctx context.Context, op string, id mailaccess.MailboxID, need mailaccess.Rights) (*mailbox, error) {
	if err := h.begin(ctx, op, need); err != nil {
		return nil, err
	}
	h.mu.Lock()
	b, err := h.box(op, id)
	h.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := h.freshen(ctx, op, b, h.opened); err != nil {
		return nil, err
	}
	return b, nil
}

// begun locks the account and returns a mailbox that look has returned, if it is
// still there. The caller unlocks unless there is an error.
func (h *handle) begun(op string, b *mailbox) error {
	h.mu.Lock()
	if b.deleted {
		h.mu.Unlock()
		return notFound(op, b.ID)
	}
	return nil
}

// abilities are what the application's functions make possible.
type abilities struct {
	rights mailaccess.Rights
	system mailaccess.SystemFlags // that are kept
	words  bool                   // any keyword is kept
	only   mailaccess.Keywords    // else these

	append, appendMany, flags, expunge, move, manage, durable bool

	maxSize int64
}

func abilitiesOf(app *Handlers, o *Options) (ab abilities, err error) {
	ab = abilities{
		rights:     mailaccess.RightRead,
		append:     app.AddMailItem != nil || app.AddMailItems != nil,
		appendMany: app.AddMailItems != nil,
		flags:      app.UpdateMailItem != nil,
		expunge:    app.UpdateMailItem != nil || app.RemoveMailItem != nil,
		move:       app.MoveMailItem != nil,
		manage:     app.CreateMailBox != nil || app.RenameMailBox != nil || app.DeleteMailBox != nil,
		durable:    o.Durable && o.SyncState != "",
		maxSize:    o.MaxMessageSize,
	}
	if ab.system, ab.words, ab.only, err = keptFlags(o.Flags); err != nil {
		return ab, err
	}
	for _, r := range []struct {
		on     bool
		rights mailaccess.Rights
	}{
		{ab.append, mailaccess.RightInsert},
		{ab.flags, mailaccess.RightSeen | mailaccess.RightFlags | mailaccess.RightDeleted},
		{ab.expunge, mailaccess.RightExpunge},
		{ab.move, mailaccess.RightExpunge | mailaccess.RightDeleted | mailaccess.RightInsert},
		{app.CreateMailBox != nil, mailaccess.RightCreate},
		{app.DeleteMailBox != nil, mailaccess.RightRemove},
		{app.RenameMailBox != nil, mailaccess.RightRemove | mailaccess.RightCreate},
	} {
		if r.on {
			ab.rights |= r.rights
		}
	}
	return ab, nil
}

func (ab *abilities) capabilities(h *handle) mailaccess.Capabilities {
	c := mailaccess.Capabilities{
		Durable:        ab.durable,
		MaxMessageSize: ab.maxSize,
		SavedDates:     true,
		Subscriptions:  h,
		Derived:        h,
		Recent:         h,
		Locate:         h,
		Hold:           h,
	}
	if ab.append || ab.flags {
		c.SystemFlags, c.NewKeywords = ab.system, ab.words
	}
	if ab.append {
		c.Append, c.AppendMany = h, ab.appendMany
		c.Copy, c.CopyMany = h, ab.appendMany
	}
	if ab.flags {
		c.Flags = h
	}
	if ab.expunge {
		c.Expunge = h
	}
	if ab.move {
		c.Move = h
	}
	if ab.manage {
		c.Mailboxes = h
	}
	return c
}
