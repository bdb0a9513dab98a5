package engine

import (
	"context"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// looked is how far the poll has looked in an account.
type looked struct {
	state mailaccess.State
	boxes map[mailaccess.MailboxID]mailaccess.ModSeq
}

// poll looks at intervals for what a store that cannot watch does not ring for. A
// round asks each account that somebody listens to for its change number, once
// however many they are; only when that rose it asks for the status of the
// mailboxes listened to, and it wakes those who listen to what changed.
func (e *Engine) poll(ctx context.Context, interval time.Duration) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		failed, last := 0, error(nil)
		for _, account := range e.hub.listenedTo() {
			if err := e.look(ctx, account, interval); err != nil {
				failed, last = failed+1, err
			}
		}
		if failed > 0 && ctx.Err() == nil {
			e.log.Warn("looking for changes", zap.Int("accounts", failed), zap.Error(last))
		}
	}
}

// look looks for changes in one account, for at most the time given. After an error
// the next round looks again.
func (e *Engine) look(ctx context.Context, account string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	acct, last := e.hub.lastLook(account)
	if acct == nil {
		return nil // everybody has gone
	}
	now, err := acct.State(ctx)
	if err != nil || now == last {
		return err
	}
	var failure error
	for box, l := range e.hub.boxesToLookAt(account) {
		st, err := l.acct.Status(ctx, box)
		switch kind := mailaccess.KindOf(err); {
		case err == nil && st.ModSeq == l.modSeq:
		case err == nil, kind == mailaccess.KindNotFound, kind == mailaccess.KindForbidden:
			// A mailbox that is gone, or may not be read any more, is news too.
			e.hub.found(account, box, st.ModSeq)
		default:
			failure = err
		}
	}
	if failure == nil {
		e.hub.lookedAt(account, now)
	}
	return failure
}

// listenedTo returns the names of the accounts that somebody listens to.
func (h *hub) listenedTo() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.accounts))
	for name := range h.accounts {
		names = append(names, name)
	}
	return names
}

// lastLook returns how far the poll has looked, and an account to ask: that of any
// listener, or nil when there is none.
func (h *hub) lastLook(account string) (mailaccess.Account, mailaccess.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a := h.accounts[account]; a != nil {
		for _, ls := range a.byBox {
			return anyOf(ls).acct, a.looked.state
		}
	}
	return nil, mailaccess.State{}
}

// anyOf returns another one each time: what one may not see another may.
func anyOf(ls []*Listener) *Listener { return ls[rand.IntN(len(ls))] }

// boxLook is how far the poll has looked in a mailbox, and an account that may read
// it, as somebody has it open there.
type boxLook struct {
	acct   mailaccess.Account
	modSeq mailaccess.ModSeq // 0: nobody has looked
}

func (h *hub) boxesToLookAt(account string) map[mailaccess.MailboxID]boxLook {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := h.accounts[account]
	if a == nil {
		return nil
	}
	boxes := make(map[mailaccess.MailboxID]boxLook, len(a.byBox))
	for box, ls := range a.byBox {
		if box == accountItself || box == wholeAccount {
			continue
		}
		boxes[box] = boxLook{anyOf(ls).acct, a.looked.boxes[box]}
	}
	return boxes
}

// found notes that a mailbox was found changed, and wakes who listens to it.
func (h *hub) found(account string, box mailaccess.MailboxID, n mailaccess.ModSeq) {
	h.mu.Lock()
	var wakes []func()
	if a := h.accounts[account]; a != nil && a.byBox[box] != nil {
		if a.looked.boxes == nil {
			a.looked.boxes = make(map[mailaccess.MailboxID]mailaccess.ModSeq)
		}
		a.looked.boxes[box] = n
		wakes = a.rouse(wakes, box)
	}
	h.mu.Unlock()
	wakeAll(wakes)
}

// lookedAt notes that all of an account was looked at, and wakes who listens to the
// account itself or to all of it: something has changed.
func (h *hub) lookedAt(account string, s mailaccess.State) {
	h.mu.Lock()
	var wakes []func()
	if a := h.accounts[account]; a != nil {
		a.looked.state = s
		wakes = a.rouse(wakes, accountItself)
		wakes = a.rouse(wakes, wholeAccount)
	}
	h.mu.Unlock()
	wakeAll(wakes)
}
