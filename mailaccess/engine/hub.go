package engine

import (
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
)

// hub hands the store's rings to those who listen. Nothing is queued: a listener
// remembers only that it was rung.
type hub struct {
	mu       sync.Mutex
	accounts map[string]*accountListeners
}

type accountListeners struct {
	// all are the listeners of the account, byBox those of one mailbox;
	// those who listen to the account itself stand under the empty id.
	n     int
	byBox map[mailaccess.MailboxID]map[*Listener]struct{}
	// recent holds the emulated \Recent watermark of mailboxes that
	// somebody has open.
	recent map[mailaccess.MailboxID]mailaccess.UID
}

// Listener is somebody's ear at the door of a mailbox or an account.
type Listener struct {
	hub     *hub
	account string
	box     mailaccess.MailboxID

	// Guarded by hub.mu.
	rung   bool
	wake   func()
	closed bool
}

// listen starts to listen to a mailbox, or to the account itself when box is
// empty.
func (h *hub) listen(account string, box mailaccess.MailboxID) *Listener {
	l := &Listener{hub: h, account: account, box: box}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.accounts == nil {
		h.accounts = make(map[string]*accountListeners)
	}
	a := h.accounts[account]
	if a == nil {
		a = &accountListeners{
			byBox:  make(map[mailaccess.MailboxID]map[*Listener]struct{}),
			recent: make(map[mailaccess.MailboxID]mailaccess.UID),
		}
		h.accounts[account] = a
	}
	ls := a.byBox[box]
	if ls == nil {
		ls = make(map[*Listener]struct{})
		a.byBox[box] = ls
	}
	ls[l] = struct{}{}
	a.n++
	return l
}

// AfterRing calls wake once, in a goroutine of its own, as soon as there is a
// ring; at once when there was one since the last call. A new call replaces the
// one before. stop takes it back, and reports whether it did so in time; what was
// rung stays remembered.
func (l *Listener) AfterRing(wake func()) (stop func() bool) {
	h := l.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.closed {
		return func() bool { return false }
	}
	if l.rung {
		l.rung = false
		go wake()
		return func() bool { return false }
	}
	l.wake = wake
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		armed := l.wake != nil
		l.wake = nil
		return armed
	}
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
	delete(ls, l)
	if len(ls) == 0 {
		delete(a.byBox, l.box)
		delete(a.recent, l.box)
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
			for _, ls := range a.byBox {
				wakes = rouse(wakes, ls)
			}
		}
	} else if a := h.accounts[r.Account]; a != nil {
		wakes = rouse(wakes, a.byBox[r.Mailbox])
		if r.Mailbox == "" {
			// A mailbox may have been renamed or deleted: whoever has one
			// open looks too.
			for box, ls := range a.byBox {
				if box != "" {
					wakes = rouse(wakes, ls)
				}
			}
		}
	}
	h.mu.Unlock()
	for _, wake := range wakes {
		go wake()
	}
}

func rouse(wakes []func(), ls map[*Listener]struct{}) []func() {
	for l := range ls {
		if l.wake == nil {
			l.rung = true
			continue
		}
		wakes = append(wakes, l.wake)
		l.wake = nil
	}
	return wakes
}

// claimRecent is [mailaccess.RecentKeeper] for stores without one: the watermark
// lives while somebody listens to the mailbox, and begins at uidNext.
func (h *hub) claimRecent(account string, box mailaccess.MailboxID, uidNext mailaccess.UID, claim bool) mailaccess.UID {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.accounts[account]
	if a == nil {
		return uidNext
	}
	from, ok := a.recent[box]
	if !ok {
		from = uidNext
	}
	if !ok || claim && uidNext > from {
		a.recent[box] = uidNext
	}
	return from
}
