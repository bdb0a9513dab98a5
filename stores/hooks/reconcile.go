package hooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
)

// maxText is how long the application's keys, versions and revisions may be, in
// octets.
const maxText = 1024

// hint notes that nothing is known for certain any more and returns the hint's
// number. a.mu is held.
func (a *account) hint() uint64 {
	a.hints++
	a.fresh.hinted = a.hints
	for _, b := range a.boxes {
		b.fresh.hinted = a.hints
	}
	return a.hints
}

// hintBox is hint for one mailbox, and for the list, which has the versions.
func (a *account) hintBox(b *mailbox) uint64 {
	a.hints++
	a.fresh.hinted, b.fresh.hinted = a.hints, a.hints
	return a.hints
}

// doubt has boxes compared with the application before anybody looks at them
// again, and now.
func (a *account) doubt(boxes ...*mailbox) {
	a.mu.Lock()
	for _, b := range boxes {
		b.suspect = true
		b.fresh.must = a.hintBox(b)
		a.rescan[b] = struct{}{}
	}
	if len(boxes) == 0 {
		a.fresh.must = a.hint()
		if b := a.names[mailaccess.Inbox]; b != nil {
			a.rescan[b] = struct{}{} // so that the list is compared now
		}
	}
	a.mu.Unlock()
	a.wakeKeeper()
}

func (a *account) wakeKeeper() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// freshenList has the list of mailboxes agree with the application as it was at
// the hint of that number or later.
func (a *account) freshenList(ctx context.Context, op string, level uint64) error {
	old := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.fresh.done < max(level, a.fresh.must)
	}
	if !old() {
		return nil
	}
	w, err := a.workOnList(ctx, op)
	if err != nil {
		return err
	}
	defer w.done()
	if !old() {
		return nil
	}
	a.mu.Lock()
	from := a.hints
	a.mu.Unlock()
	var boxes []Box
	finished, err := a.ask(ctx, "list mailboxes", func(ctx context.Context, _ *call) (err error) {
		boxes, err = a.store.app.MailBoxes(ctx, a.name, BoxQuery{})
		return appError("list mailboxes", "", err)
	})
	if err != nil || !finished {
		return err
	}
	known, err := a.understand(op, boxes)
	if err != nil {
		return err
	}
	if _, err := a.commit(op, w, func(t *txn) error { return t.list(op, known) }); err != nil {
		return err
	}
	a.mu.Lock()
	a.noteVersions(known)
	a.fresh.done = from
	a.mu.Unlock()
	return nil
}

// listed is a mailbox as the application lists it.
type listed struct {
	Box
	name string // in NFC
}

// understand returns the boxes that can be shown.
func (a *account) understand(op string, boxes []Box) ([]listed, error) {
	if limit := a.store.opts.MaxMailboxes; len(boxes) > limit {
		return nil, fail(op, mailaccess.KindLimit, "", fmt.Errorf("the application has %d mailboxes, at most %d are taken", len(boxes), limit))
	}
	known := make([]listed, 0, len(boxes))
	names, keys := make(map[string]bool, len(boxes)), make(map[string]bool, len(boxes))
	for _, x := range boxes {
		name := norm.NFC.String(x.Name)
		err := mailaccess.CheckMailboxName(name)
		switch {
		case err != nil:
		case names[name]:
			err = errors.New("the name is there twice")
		case x.Key != "" && keys[x.Key]:
			err = errors.New("the key is there twice")
		case len(x.Key) > maxText || len(x.Version) > maxText:
			err = fmt.Errorf("key or version have more than %d octets", maxText)
		}
		if err != nil {
			a.store.log.Warn("hooks: a mailbox cannot be shown", zap.Error(err))
			continue
		}
		x.Use &= mailaccess.UseImportant<<1 - 1
		names[name], keys[x.Key] = true, true
		known = append(known, listed{x, name})
	}
	// In the same order always: after a restart without a file, the UIDVALIDITY of
	// a mailbox is then above the one that it had before.
	slices.SortFunc(known, func(x, y listed) int { return strings.Compare(x.name, y.name) })
	return known, nil
}

// list makes the account's mailboxes what the application says.
func (t *txn) list(op string, boxes []listed) error {
	a := t.a
	byKey := make(map[string]*mailbox, len(a.boxes))
	for _, b := range a.boxes {
		if b.appKey != "" {
			byKey[b.appKey] = b
		}
	}
	if a.names[mailaccess.Inbox] == nil && !slices.ContainsFunc(boxes, func(x listed) bool { return x.name == mailaccess.Inbox }) {
		if _, err := t.create(op, mailaccess.Inbox, 0); err != nil {
			return err
		}
	}
	met := make(map[*mailbox]bool, len(boxes))
	match := func(x listed) *mailbox {
		b := a.names[x.name]
		if x.name == mailaccess.Inbox {
			return b // it is neither renamed nor deleted
		}
		if k := byKey[x.Key]; x.Key != "" && k != nil && k.Name != mailaccess.Inbox {
			return k
		}
		if b != nil && b.appKey != "" && x.Key != "" {
			return nil // another mailbox took the name
		}
		return b
	}
	for _, x := range boxes {
		b := match(x)
		if b != nil && met[b] {
			b = nil
		}
		if b == nil {
			c, err := t.create(op, x.name, x.Use)
			if err != nil {
				return err
			}
			c.head.appName, c.head.appKey = x.Name, x.Key
			continue
		}
		met[b] = true
		if b.Name == x.name && b.appName == x.Name && b.appKey == x.Key && b.Use == x.Use {
			continue
		}
		c := t.box(b)
		if b.Name != x.name || b.Use != x.Use {
			t.rename(c, x.name, x.Name)
			c.head.Use = x.Use
		}
		c.head.appName, c.head.appKey = x.Name, x.Key
		t.quiet = true
	}
	for _, b := range a.boxes {
		if !met[b] && b.Name != mailaccess.Inbox {
			t.delete(t.box(b))
		}
	}
	return nil
}

// noteVersions notes which versions the application has. a.mu is held.
func (a *account) noteVersions(boxes []listed) {
	inbox := a.names[mailaccess.Inbox]
	inbox.listed, inbox.wanted = false, ""
	for _, x := range boxes {
		if b := a.names[x.name]; b != nil {
			b.listed, b.wanted = true, x.Version
			if x.Version == "" {
				b.version = ""
			}
		}
	}
}

// freshen has a mailbox agree with the application as it was at the hint of that
// number or later.
func (a *account) freshen(ctx context.Context, op string, b *mailbox, level uint64) error {
	old := func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return !b.deleted && b.fresh.done < max(level, b.fresh.must)
	}
	for old() {
		a.mu.Lock()
		level = max(level, b.fresh.must)
		a.mu.Unlock()
		if err := a.freshenList(ctx, op, level); err != nil {
			return err
		}
		w, err := a.work(ctx, op, b)
		if err != nil {
			return err
		}
		if old() {
			err = a.compare(ctx, w, b)
		}
		w.done()
		if err != nil {
			return err
		}
	}
	return nil
}

// compare compares a mailbox with the application, unless its version says that
// there is no need. The mailbox's turn is taken.
func (a *account) compare(ctx context.Context, w *work, b *mailbox) error {
	a.mu.Lock()
	if !b.suspect && b.wanted != "" && b.wanted == b.version {
		b.fresh.done = max(b.fresh.done, a.fresh.done)
		a.mu.Unlock()
		return nil
	}
	from, wanted, whole := a.hints, b.wanted, b.suspect
	if wanted != "" {
		from = a.fresh.done // the version is of then
	}
	b.suspect = false
	a.mu.Unlock()
	err := a.scan(ctx, w, b, wanted, whole)
	a.mu.Lock()
	if err != nil {
		b.suspect = true
	} else {
		b.fresh.done = max(b.fresh.done, from)
	}
	a.mu.Unlock()
	return err
}

// keep is the account's keeper, while anybody has it open: it compares with the
// application what is hinted at, and at intervals what is held.
func (a *account) keep(ctx context.Context) {
	var tick <-chan time.Time
	if every := a.store.opts.Reconcile; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		tick = t.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-tick:
			a.age()
		}
		a.catchUp(ctx)
	}
}

// age makes everything that was compared before old. What is held is compared by
// the keeper now, the rest when somebody looks at it.
func (a *account) age() {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.hint()
	held := false
	for _, b := range a.boxes {
		if b.holds > 0 {
			a.rescan[b] = struct{}{}
			held = true
		} else {
			b.fresh.must = n
		}
	}
	if !held {
		a.fresh.must = n
	}
}

// catchUp compares what shall be.
func (a *account) catchUp(ctx context.Context) {
	const op = "reconcile"
	a.mu.Lock()
	if len(a.rescan) == 0 {
		a.mu.Unlock()
		return
	}
	level := a.hints
	todo := make([]*mailbox, 0, len(a.rescan))
	for b := range a.rescan {
		todo = append(todo, b)
	}
	clear(a.rescan)
	a.mu.Unlock()

	listErr := a.freshenList(ctx, op, level)
	if listErr == nil {
		todo = a.alsoChanged(todo)
	}
	for _, b := range todo {
		err := listErr
		if err == nil {
			err = a.freshen(ctx, op, b, a.lastHint(b))
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, mailaccess.KindNotFound) {
			continue
		}
		// Whoever looks next tries again, and is told.
		a.store.log.Warn("hooks: reconciling failed", zap.String("mailbox", string(b.ID)), zap.Error(err))
		a.mu.Lock()
		b.fresh.must = b.fresh.hinted
		a.mu.Unlock()
	}
}

func (a *account) lastHint(b *mailbox) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return b.fresh.hinted
}

// alsoChanged adds the mailboxes whose version has changed.
func (a *account) alsoChanged(todo []*mailbox) []*mailbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.boxes {
		if b.wanted != "" && b.wanted != b.version && !slices.Contains(todo, b) {
			todo = append(todo, b)
		}
	}
	slices.SortFunc(todo, func(x, y *mailbox) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return todo
}

// pushed notes a hint of the application.
func (a *account) pushed(names []string) {
	a.mu.Lock()
	if len(names) == 0 {
		n := a.hint()
		for _, b := range a.boxes {
			if b.holds > 0 || b.Name == mailaccess.Inbox {
				a.rescan[b] = struct{}{}
			} else {
				b.fresh.must = n
			}
		}
	}
	for _, name := range names {
		b := a.names[norm.NFC.String(name)]
		if b == nil {
			// Perhaps it was made just now: the list will tell.
			a.fresh.must = a.hint()
			if b = a.names[mailaccess.Inbox]; b == nil {
				continue
			}
		}
		a.hintBox(b)
		a.rescan[b] = struct{}{}
	}
	a.mu.Unlock()
	a.wakeKeeper()
}
