package imap

import (
	"context"
	"maps"
	"slices"
	"strings"

	goimap "github.com/emersion/go-imap/v2"
	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
)

// listing is every name of an account, at one time, as the client sees it: in the form
// of the tree (see [namespace]).
type listing struct {
	// names are those of mailboxes, those that are subscribed to when they were
	// asked for, and the levels above either, ascending.
	names   []string
	boxes   map[string]*mailaccess.Mailbox
	parents map[string]bool // names with a mailbox somewhere below them
	// subscribed is nil when subscriptions were not asked for.
	subscribed map[string]bool
}

func (c *conn) listing(ctx context.Context, subscriptions bool) (*listing, error) {
	var boxes []*mailaccess.Mailbox
	for m, err := range c.sess.Mailboxes(ctx) {
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, &m)
	}
	var subscribed map[string]bool
	if subscriptions {
		var err error
		if subscribed, err = c.subscriptions(ctx); err != nil {
			return nil, err
		}
	}
	return newListing(c.names, boxes, subscribed), nil
}

// reserveNames sets the memory aside that a listing takes, if it has many names. They are
// counted first, as nobody can tell how many there are.
func (c *conn) reserveNames(ctx context.Context, mailboxes, subscriptions bool) error {
	n := int64(0)
	if mailboxes {
		for _, err := range c.sess.Mailboxes(ctx) {
			if err != nil {
				return err
			}
			n++
		}
	}
	if subscriptions {
		for _, err := range c.sess.Subscriptions(ctx) {
			if err != nil {
				return err
			}
			n++
		}
	}
	return c.reserveResult(n, listedName)
}

// newListing makes a listing of mailboxes and of names that are subscribed to, in the form
// of the store.
func newListing(ns *namespace, boxes []*mailaccess.Mailbox, subscribed map[string]bool) *listing {
	l := &listing{boxes: make(map[string]*mailaccess.Mailbox), parents: make(map[string]bool), subscribed: ns.allShown(subscribed)}
	known := maps.Clone(l.subscribed)
	if known == nil {
		known = make(map[string]bool)
	}
	for _, m := range boxes {
		name := ns.shown(m.Name)
		l.boxes[name] = m
		known[name] = true
		above(name, func(level string) { l.parents[level] = true })
	}
	l.names = withLevels(known)
	return l
}

// allShown turns names into the form of the tree; nil stays nil.
func (n *namespace) allShown(names map[string]bool) map[string]bool {
	if n.plain() || names == nil {
		return names
	}
	shown := make(map[string]bool, len(names))
	for name := range names {
		shown[n.shown(name)] = true
	}
	return shown
}

// subscriptions are the names that are subscribed to, in the form of the store.
func (c *conn) subscriptions(ctx context.Context) (map[string]bool, error) {
	names := make(map[string]bool)
	for name, err := range c.sess.Subscriptions(ctx) {
		if err != nil {
			return nil, err
		}
		names[name] = true
	}
	return names, nil
}

// above calls do with each level above a name.
func above(name string, do func(level string)) {
	for i := range len(name) {
		if name[i] == '/' {
			do(name[:i])
		}
	}
}

// withLevels returns names and the levels above them, ascending.
func withLevels(names map[string]bool) []string {
	all := make(map[string]struct{}, len(names))
	for name := range names {
		all[name] = struct{}{}
		for i := strings.LastIndexByte(name, '/'); i >= 0; i = strings.LastIndexByte(name[:i], '/') {
			if _, known := all[name[:i]]; known && !names[name[:i]] {
				break // and so are those above it
			}
			all[name[:i]] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// chosen reports whether a name meets the selection options. Without any, levels
// above mailboxes do too (RFC 3501, section 6.3.8); with some, exactly those names
// that they describe (RFC 5258, section 3.1).
func (l *listing) chosen(name string, o *listOptions) bool {
	box := l.boxes[name]
	if o.specialUse && (box == nil || box.Use == 0) {
		return false
	}
	if o.subscribed {
		return l.subscribed[name]
	}
	return box != nil || l.parents[name]
}

// below is what is known of the names below one.
type below struct {
	chosen bool // some meet the selection options
	hidden bool // and some of these match no pattern, so that they are not listed
}

// below looks for what RECURSIVEMATCH makes known of each name (RFC 5258, section
// 3.5); matched says which of them match a pattern.
func (l *listing) below(matched []bool, o *listOptions) map[string]below {
	if !o.recursive {
		return nil
	}
	found := make(map[string]below)
	for i, name := range l.names {
		if !l.chosen(name, o) {
			continue
		}
		hidden := !matched[i]
		above(name, func(level string) {
			found[level] = below{chosen: true, hidden: found[level].hidden || hidden}
		})
	}
	return found
}

// listed is what a LIST response says of a name beyond what the listing knows.
type listed struct {
	name     string // like oldName in the form of the tree
	extended bool   // the client knows of \NonExistent
	noSelect bool
	noAccess bool // RFC 5465, section 3.1
	below    below
	oldName  string // RFC 9051, section 6.3.9.7
}

// appendListed appends a LIST response (RFC 3501, section 7.2.2; RFC 9051, section
// 7.3.1). o may be nil.
func (c *conn) appendListed(b []byte, l *listing, r *listed, o *listOptions) []byte {
	box := l.boxes[r.name]
	b = append(b, "* LIST ("...)
	switch {
	case box == nil && (r.extended || c.rev2()):
		b = append(append(b, goimap.MailboxAttrNonExistent...), ' ')
	case box == nil || r.noSelect:
		b = append(append(b, goimap.MailboxAttrNoSelect...), ' ')
	}
	// RFC 3348, section 3.
	if l.parents[r.name] {
		b = append(b, goimap.MailboxAttrHasChildren...)
	} else {
		b = append(b, goimap.MailboxAttrHasNoChildren...)
	}
	if l.subscribed[r.name] {
		b = append(append(b, ' '), goimap.MailboxAttrSubscribed...)
	}
	if box != nil {
		for _, u := range &uses {
			if box.Use&u.use != 0 {
				b = append(append(b, ' '), u.attr...)
			}
		}
	}
	if r.noAccess {
		b = append(b, ` \NoAccess`...)
	}
	b = c.appendShown(append(c.appendSeparator(append(b, ") "...)), ' '), r.name)
	if r.below.chosen {
		b = appendChildInfo(b, o)
	}
	if r.oldName != "" {
		b = c.appendShown(append(b, " (\"OLDNAME\" ("...), r.oldName)
		b = append(b, "))"...)
	}
	return append(b, "\r\n"...)
}

// appendChildInfo appends by which options something below was selected (RFC 5258,
// section 3.5).
func appendChildInfo(b []byte, o *listOptions) []byte {
	b = append(b, ` ("CHILDINFO" (`...)
	if o.subscribed {
		b = append(b, `"SUBSCRIBED"`...)
	}
	if o.subscribed && o.specialUse {
		b = append(b, ' ')
	}
	if o.specialUse {
		b = append(b, `"SPECIAL-USE"`...)
	}
	return append(b, "))"...)
}

// listStatus returns the STATUS response of a mailbox that is listed. There is none
// when the mailbox cannot be selected, by then or by this client, and none when the
// store fails, which must not hide the other mailboxes (RFC 5819, section 2).
func (c *conn) listStatus(ctx context.Context, box *mailaccess.Mailbox, items []*statusItem) (response []byte, noSelect bool) {
	if !box.Rights.Has(mailaccess.RightRead) {
		return nil, true
	}
	response, err := c.appendStatus(ctx, nil, box.ID, items)
	if err == nil {
		return response, false
	}
	switch mailaccess.KindOf(err) {
	case mailaccess.KindNotFound, mailaccess.KindForbidden:
		return nil, true
	}
	c.log().Warn("status of a listed mailbox", zap.Error(err))
	return nil, false
}
