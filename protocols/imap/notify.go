package imap

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
)

// notification is what a client wants to be told of without asking, and what it was
// told (RFC 5465). It is given up with the session.
type notification struct {
	names    *namespace
	selected *notifyGroup // nil: nothing of the selected mailbox
	groups   []notifyGroup

	// listener hears of everything in the account; nil when only the selected mailbox
	// matters.
	listener *engine.Listener
	since    mailaccess.State
	// boxes are the mailboxes as the client was told them.
	boxes map[mailaccess.MailboxID]*mailaccess.Status
	// subscribed are the subscribed names, where they matter.
	subscribed map[string]bool
	retry      *time.Timer // of a sweep that the store refused
	// fetches is what is told of messages that arrive in the selected mailbox.
	fetches unasked
	// own are names that the client itself has changed since: it knows (section 5).
	own map[string]struct{}
}

// silent reports whether nothing is told of the selected mailbox (RFC 5465, section
// 3.1: "a snapshot facility").
func (n *notification) silent() bool {
	return n != nil && (n.selected == nil || n.selected.events == 0)
}

// tellsFlags reports whether flags that others changed are told.
func (n *notification) tellsFlags() bool {
	return n == nil || n.selected != nil && n.selected.events&flagChange != 0
}

// delayed reports whether removals wait for a command (RFC 5465, section 6.1.2).
func (n *notification) delayed() bool {
	return n.selected != nil && n.selected.filter == filterDelayed
}

// pushes reports whether there is anything to tell between commands.
func (n *notification) pushes() bool {
	return n != nil && (!n.silent() || n.listener != nil)
}

// noteOwn says that the client itself has changed names.
func (n *notification) noteOwn(names ...string) {
	if n == nil || n.listener == nil {
		return
	}
	if n.own == nil {
		n.own = make(map[string]struct{})
	}
	for _, name := range names {
		if name, err := engine.NormalizeName(strings.TrimSuffix(name, "/")); err == nil {
			n.own[name] = struct{}{}
		}
	}
}

// maxNotified is of how many mailboxes a session remembers what its client was told.
const maxNotified = 20_000

const (
	codeNotificationOverflow goimap.ResponseCode = "NOTIFICATIONOVERFLOW"
	codeBadEvent             goimap.ResponseCode = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"
)

// notifyNone is RFC 5465, section 3.1: no events at all, of the selected mailbox
// neither.
func notifyNone(_ context.Context, c *conn) error {
	c.setNotification(&notification{})
	return nil
}

// setNotification replaces what the client wants to be told.
func (c *conn) setNotification(n *notification) {
	c.endNotification()
	c.notify = n
	c.keep(c.saved, c.contexts...) // which is less, or was counted before
}

// endNotification lets nothing more be told.
func (c *conn) endNotification() {
	if old := c.notify; old != nil && old.listener != nil {
		if old.retry != nil {
			old.retry.Stop()
		}
		old.listener.Close()
	}
	c.notify = nil
}

// memory is what the names take that are remembered.
func (n *notification) memory() int64 {
	if n == nil {
		return 0
	}
	return notifiedName * int64(len(n.boxes)+len(n.subscribed))
}

// run is RFC 5465, section 3.1. Whatever may be refused comes first: a command that is
// answered with NO leaves what was asked for before in force, and nothing else.
func (s *notifySet) run(ctx context.Context, c *conn) error {
	if s.unsupported {
		return no(codeBadEvent, "unknown event")
	}
	n := &notification{names: c.names, selected: s.selected, groups: s.groups}
	if s.selected != nil {
		n.fetches.plan = s.selected.items
	}
	if len(s.groups) > 0 {
		// Listen first, look after.
		n.listener = c.sess.ListenAll()
		if err := n.begin(ctx, c); err != nil {
			n.listener.Close()
			return err
		}
	}
	// A NOOP is implied, whatever is told from now on. From here on only an error that
	// ends the connection is possible.
	c.endNotification()
	err := c.update(ctx, false)
	if err == nil {
		err = c.tellFlagsUntold(ctx)
	}
	c.setNotification(n)
	if err == nil && n.fetches.plan != nil && n.fetches.plan.modSeq {
		err = c.enable(enabledCondstore) // RFC 7162, section 3.1
	}
	if err != nil {
		return err
	}
	return n.greet(ctx, c, s.status)
}

// tellFlagsUntold tells the flags that changed while the client did not want to hear of it
// (RFC 5465, section 3.1: a SET returns accumulated changes at once).
func (c *conn) tellFlagsUntold(ctx context.Context) error {
	if c.view == nil || c.flagsUntold == 0 {
		return nil
	}
	for m, err := range c.view.Changed(ctx, c.view.UIDs(), c.flagsUntold) {
		if err != nil {
			// HIGHESTMODSEQ says that they are unknown, as before.
			c.log().Warn("telling flags that changed", zap.Error(err))
			return nil
		}
		if err := c.w.End(c.appendFetchFlags(c.w.Begin(), m)); err != nil {
			return err
		}
	}
	c.flagsUntold = 0
	return nil
}

// begin takes in what there is.
func (n *notification) begin(ctx context.Context, c *conn) error {
	all, err := c.sess.Changes(ctx, mailaccess.State{})
	if err != nil {
		return err
	}
	if len(all.Mailboxes) > maxNotified {
		return no(codeNotificationOverflow, "more mailboxes than can be watched")
	}
	n.since = all.UpTo
	n.boxes = make(map[mailaccess.MailboxID]*mailaccess.Status, len(all.Mailboxes))
	for i := range all.Mailboxes {
		n.boxes[all.Mailboxes[i].ID] = &all.Mailboxes[i]
	}
	if n.subscribed, err = c.subscriptions(ctx); err != nil {
		return err
	}
	if !c.keepNotified(n, c.saved, c.contexts...) {
		return no(codeNotificationOverflow, "no memory is free to watch the mailboxes")
	}
	return nil
}
