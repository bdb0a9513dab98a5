package imap

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// events are what the client wants to be told of a mailbox that is not selected, whose
// name is in the form of the store, as are all names that changed.
func (n *notification) events(name string) notifyEvents {
	var e notifyEvents
	for i := range n.groups {
		if g := &n.groups[i]; g.matches(n.names.shown(name), n.subscribed[name]) {
			e |= g.events
		}
	}
	return e
}

// matches is RFC 5465, sections 6.2 to 6.6.
func (g *notifyGroup) matches(name string, subscribed bool) bool {
	switch g.filter {
	case filterPersonal:
		return true
	case filterSubscribed:
		return subscribed
	case filterMailboxes:
		return slices.Contains(g.names, name)
	}
	return slices.ContainsFunc(g.names, func(top string) bool {
		return name == top || strings.HasPrefix(name, top+"/")
	})
}

// greet tells what RFC 5465, section 3.1 wants the client to know before the OK: the
// mailboxes that were named and may not be read, and the counts of the others.
func (n *notification) greet(ctx context.Context, c *conn, status bool) error {
	l := n.listing()
	for _, name := range l.names {
		box := l.boxes[name]
		if box == nil {
			continue
		}
		e := n.events(box.Name) & messageEvents
		switch {
		case e == 0, c.isSelected(box.ID):
		case !readable(box):
			if err := n.list(c, l, box.Name, ""); err != nil {
				return err
			}
		case status:
			if err := n.status(ctx, c, n.boxes[box.ID], greetItems(e)); err != nil {
				return err
			}
		}
	}
	return nil
}

func readable(box *mailaccess.Mailbox) bool { return box.Rights.Has(mailaccess.RightRead) }

func (c *conn) isSelected(id mailaccess.MailboxID) bool {
	return c.view != nil && c.view.Status().ID == id
}

// greetItems is RFC 5465, section 3.1.
func greetItems(e notifyEvents) []string {
	items := []string{"MESSAGES"}
	if e&messageNew != 0 {
		items = append(items, "UIDNEXT", "UIDVALIDITY")
	}
	if e&flagChange != 0 {
		items = append(items, "HIGHESTMODSEQ", "UNSEEN")
	}
	return items
}

// listing is what the client was told of the names in the account.
func (n *notification) listing() *listing {
	boxes := make([]*mailaccess.Mailbox, 0, len(n.boxes))
	for _, st := range n.boxes {
		boxes = append(boxes, &st.Mailbox)
	}
	return newListing(n.names, boxes, n.subscribed)
}

// notifyRetry is after how long a store that could not say what changed is asked again.
const notifyRetry = 5 * time.Second

// sweep tells what has changed in the account since the last time. When the store
// cannot say it any more, or not at all, the client is told that and nothing further
// (RFC 5465, section 5.8).
func (n *notification) sweep(ctx context.Context, c *conn) error {
	if n == nil || n.listener == nil {
		return nil
	}
	state, err := c.sess.State(ctx)
	if err == nil && state == n.since {
		clear(n.own) // what was done already made no difference
		return nil
	}
	var changes mailaccess.AccountChanges
	if err == nil {
		changes, err = c.sess.Changes(ctx, n.since)
	}
	if err == nil {
		err = n.tell(ctx, c, &changes)
	}
	if err == nil {
		n.since = changes.UpTo
		clear(n.own)
		return nil
	}
	if c.w.Err() != nil {
		return err
	}
	if mailaccess.KindOf(err) == mailaccess.KindUnavailable {
		c.log().Warn("notifying of changes", zap.Error(err))
		n.retry = time.AfterFunc(notifyRetry, n.listener.Ring)
		return nil
	}
	return n.overflow(c)
}

func (n *notification) overflow(c *conn) error {
	c.setNotification(&notification{})
	_, err := c.w.WriteString("* OK [" + string(codeNotificationOverflow) + "] too much has changed to tell of it\r\n")
	return err
}

// tell tells changes and remembers that it did.
func (n *notification) tell(ctx context.Context, c *conn, changes *mailaccess.AccountChanges) error {
	before := n.subscribed
	if changes.Subscriptions {
		var err error
		if n.subscribed, err = c.subscriptions(ctx); err != nil {
			n.subscribed = before
			return err
		}
	}
	names := make(map[string]nameEvent)
	for _, d := range changes.Deleted {
		if st, known := n.boxes[d.ID]; known {
			delete(n.boxes, d.ID)
			n.affect(names, st.Name)
		}
	}
	was := make(map[mailaccess.MailboxID]*mailaccess.Status, len(changes.Mailboxes))
	for i := range changes.Mailboxes {
		st := &changes.Mailboxes[i]
		old, known := n.boxes[st.ID]
		if !known {
			old = &mailaccess.Status{Mailbox: st.Mailbox}
		}
		if !readable(&st.Mailbox) { // it tells no counts
			unread := *old
			unread.Mailbox = st.Mailbox
			st = &unread
		}
		n.boxes[st.ID], was[st.ID] = st, old
		switch {
		case !known:
			n.affect(names, st.Name)
		case old.Name != st.Name:
			names[st.Name] = nameEvent{old: old.Name}
		case readable(&old.Mailbox) != readable(&st.Mailbox):
			names[st.Name] = nameEvent{access: true}
		}
	}
	if len(n.boxes) > maxNotified || !c.keep(c.saved, c.contexts...) {
		return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "notify"}
	}
	if len(names) > 0 || changes.Subscriptions {
		l := n.listing()
		if err := errorsFirst(n.tellNames(c, l, names), n.tellSubscriptions(c, l, before)); err != nil {
			return err
		}
	}
	ids := slices.SortedFunc(maps.Keys(was), func(a, b mailaccess.MailboxID) int { return cmp.Compare(n.boxes[a].Name, n.boxes[b].Name) })
	for _, id := range ids {
		if err := n.tellCounts(ctx, c, was[id], n.boxes[id]); err != nil {
			return err
		}
	}
	return nil
}

// nameEvent is what happened to a name.
type nameEvent struct {
	old string // of a mailbox that was renamed; empty: it was created or deleted
	// access: it can be read no more, or again. Whoever watches the mailbox must know,
	// whatever for (RFC 5465, section 5.9).
	access bool
}

// affect notes a mailbox that was created or deleted, and its parent (RFC 5465,
// section 5.4).
func (n *notification) affect(names map[string]nameEvent, name string) {
	names[name] = nameEvent{}
	name = n.names.shown(name)
	i := strings.LastIndexByte(name, '/')
	if i <= 0 {
		return
	}
	parent := n.names.known(name[:i])
	if _, noted := names[parent]; !noted && parent != nowhere {
		names[parent] = nameEvent{}
	}
}

// tellNames is RFC 5465, section 5.4. What was renamed with its parent has no event of
// its own.
func (n *notification) tellNames(c *conn, l *listing, names map[string]nameEvent) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, wants := names[name].old, n.events(name)
		if old != "" {
			wants |= n.events(old)
		}
		if wants == 0 || wants&mailboxName == 0 && !names[name].access || n.isOwn(name) {
			continue
		}
		if old != "" && renamedWithParent(names, name, old) {
			continue
		}
		if err := n.list(c, l, name, old); err != nil {
			return err
		}
	}
	return nil
}

func (n *notification) isOwn(name string) bool {
	_, own := n.own[name]
	return own
}

func renamedWithParent(names map[string]nameEvent, name, old string) bool {
	for i := range len(name) {
		if name[i] == '/' {
			if above := names[name[:i]].old; above != "" && old == above+name[i:] {
				return true
			}
		}
	}
	return false
}

// tellSubscriptions is RFC 5465, section 5.5.
func (n *notification) tellSubscriptions(c *conn, l *listing, before map[string]bool) error {
	changed := make(map[string]bool)
	for _, set := range []map[string]bool{before, n.subscribed} {
		for name := range set {
			if before[name] != n.subscribed[name] {
				changed[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		e := n.events(name)
		for i := range n.groups {
			// It left the subscribed mailboxes just now.
			if n.groups[i].filter == filterSubscribed {
				e |= n.groups[i].events
			}
		}
		if e&subscriptionChange == 0 || n.isOwn(name) {
			continue
		}
		if err := n.list(c, l, name, ""); err != nil {
			return err
		}
	}
	return nil
}

// tellCounts tells what happened to the messages of a mailbox that is not selected, by
// the counts that differ (RFC 5465, sections 5.1 to 5.3).
func (n *notification) tellCounts(ctx context.Context, c *conn, was, st *mailaccess.Status) error {
	e := n.events(st.Name)
	if !readable(&st.Mailbox) || c.isSelected(st.ID) || e&messageEvents == 0 {
		return nil
	}
	var items []string
	if e&messageNew != 0 && (st.UIDNext != was.UIDNext || st.Messages != was.Messages) {
		items = append(items, "UIDNEXT", "MESSAGES")
	}
	if e&flagChange != 0 {
		if st.Unseen != was.Unseen {
			items = append(items, "UNSEEN")
		}
		if st.UIDValidity != was.UIDValidity || c.has(enabledCondstore) && st.ModSeq != was.ModSeq {
			items = append(items, "UIDVALIDITY")
		}
	}
	if len(items) == 0 {
		return nil
	}
	if c.has(enabledCondstore) {
		items = append(items, "HIGHESTMODSEQ")
	}
	return n.status(ctx, c, st, items)
}

// notedModSeq is the item of STATUS where nobody asked for it, which does not enable
// CONDSTORE (RFC 7162, section 3.1).
var notedModSeq = statusItem{"HIGHESTMODSEQ", counted(func(st *mailaccess.Status) uint64 { return uint64(st.ModSeq) })}

// status writes a STATUS response from what the store said with the changes.
func (n *notification) status(ctx context.Context, c *conn, st *mailaccess.Status, names []string) error {
	items := make([]*statusItem, len(names))
	for i, name := range names {
		if items[i] = statusItemNamed(name); name == notedModSeq.name {
			items[i] = &notedModSeq
		}
	}
	b, err := c.appendStatusOf(ctx, nil, st, items)
	if err != nil {
		return err
	}
	return c.w.End(append(c.w.Begin(), b...))
}

// list writes the LIST response of a name (RFC 5465, sections 5.4 and 5.5).
func (n *notification) list(c *conn, l *listing, name, old string) error {
	r := listed{name: n.names.shown(name), extended: true}
	if old != "" {
		r.oldName = n.names.shown(old)
	}
	if box := l.boxes[r.name]; box != nil {
		r.noAccess = !readable(box)
	}
	return c.w.End(c.appendListed(c.w.Begin(), l, &r, nil))
}
