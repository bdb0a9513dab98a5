package engine

import (
	"slices"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// hub hands the store's rings to those who listen. Nothing is queued: a listener
// remembers only that it was rung.
type hub struct {
	mu       sync.Mutex
	accounts map[string]*accountListeners
}

// Who listens to no single mailbox stands under a key that is no mailbox's id.
const (
	accountItself mailaccess.MailboxID = ""
	wholeAccount  mailaccess.MailboxID = "*"
)

type accountListeners struct {
	n     int // of listeners
	byBox map[mailaccess.MailboxID][]*Listener
	// recent holds the emulated \Recent watermark of mailboxes that
	// somebody has open; nil: of none.
	recent map[mailaccess.MailboxID]mailaccess.UID
	// looked is how far the poll has looked, in a store that does not ring.
	looked looked
}

// Listener is somebody's ear at the door of a mailbox or an account.
type Listener struct {
	hub     *hub
	account string
	box     mailaccess.MailboxID
	acct    mailaccess.Account // to ask what cannot ring

	// Guarded by hub.mu.
	place  int // among those who listen to the same
	rung   bool
	wake   func()
	calls  uint64 // of AfterRing
	closed bool
}

// listen starts to listen to a mailbox, or to accountItself or wholeAccount.
func (h *hub) listen(account string, acct mailaccess.Account, box mailaccess.MailboxID) *Listener {
	l := &Listener{hub: h, account: account, box: box, acct: acct}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.accounts == nil {
		h.accounts = make(map[string]*accountListeners)
	}
	a := h.accounts[account]
	if a == nil {
		a = &accountListeners{byBox: make(map[mailaccess.MailboxID][]*Listener)}
		h.accounts[account] = a
	}
	ls := a.byBox[box]
	l.place = len(ls)
	a.byBox[box] = append(ls, l)
	a.n++
	return l
}

// AfterRing calls wake once, in a goroutine of its own, as soon as there is a
// ring; at once when there was one since the last call. A new call replaces the
// one before. stop takes back the call that it came from, and reports whether it
// did so in time; what was rung stays remembered.
func (l *Listener) AfterRing(wake func()) (stop func() bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.closed {
		return func() bool { return false }
	}
	l.calls++
	if l.rung {
		l.rung, l.wake = false, nil
		go wake()
		return func() bool { return false }
	}
	l.wake = wake
	call := l.calls
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		if l.wake == nil || l.calls != call {
			return false
		}
		l.wake = nil
		return true
	}
}

// heard forgets a ring: whoever looks after it sees what was rung for.
func (l *Listener) heard() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	l.rung = false
}

// Ring wakes this listener alone, as if something had changed.
func (l *Listener) Ring() {
	l.hub.mu.Lock()
	wakes := l.rouse(nil)
	l.hub.mu.Unlock()
	wakeAll(wakes)
}

// Close stops listening. A function given to AfterRing is not called any more,
// unless it has begun.
func (l *Listener) Close() {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.closed {
		return
	}
	l.closed, l.wake = true, nil
	a := h.accounts[l.account]
	ls := a.byBox[l.box]
	last := len(ls) - 1
	ls[l.place], ls[last].place = ls[last], l.place
	ls[last] = nil
	if a.byBox[l.box] = ls[:last]; last == 0 {
		delete(a.byBox, l.box)
		delete(a.recent, l.box)
		delete(a.looked.boxes, l.box)
	}
	if a.n--; a.n == 0 {
		delete(h.accounts, l.account)
	}
}

// ring wakes those whom r concerns. It does not block.
func (h *hub) ring(r mailaccess.Ring) {
	var wakes []func()
	h.mu.Lock()
	if r.Account == "" {
		for _, a := range h.accounts {
			wakes = a.rouseAll(wakes)
		}
	} else if a := h.accounts[r.Account]; a != nil {
		if r.Mailbox == "" {
			// A mailbox may have been renamed or deleted: whoever has one
			// open looks too.
			wakes = a.rouseAll(wakes)
		} else {
			wakes = a.rouse(wakes, r.Mailbox)
			wakes = a.rouse(wakes, wholeAccount)
		}
	}
	h.mu.Unlock()
	wakeAll(wakes)
}

func wakeAll(wakes []func()) {
	for _, wake := range wakes {
		go wake()
	}
}

func (a *accountListeners) rouseAll(wakes []func()) []func() {
	for box := range a.byBox {
		wakes = a.rouse(wakes, box)
	}
	return wakes
}

func (a *accountListeners) rouse(wakes []func(), box mailaccess.MailboxID) []func() {
	ls := a.byBox[box]
	wakes = slices.Grow(wakes, len(ls))
	for _, l := range ls {
		wakes = l.rouse(wakes)
	}
	return wakes
}

// rouse adds what is to be called for a ring to wakes, if the listener waits. The
// hub's lock is held.
func (l *Listener) rouse(wakes []func()) []func() {
	if l.wake == nil {
		l.rung = true
		return wakes
	}
	wakes = append(wakes, l.wake)
	l.wake = nil
	return wakes
}

// claimRecent is [mailaccess.RecentKeeper] for stores without one: the watermark
// lives while somebody listens to the mailbox, and begins at uidNext.
func (h *hub) claimRecent(account string, box mailaccess.MailboxID, uidNext mailaccess.UID, claim bool) mailaccess.UID {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.accounts[account]
	if a == nil || a.byBox[box] == nil {
		return uidNext
	}
	from, ok := a.recent[box]
	if !ok {
		from = uidNext
	}
	if !ok || claim && uidNext > from {
		if a.recent == nil {
			a.recent = make(map[mailaccess.MailboxID]mailaccess.UID)
		}
		a.recent[box] = uidNext
	}
	return from
}
