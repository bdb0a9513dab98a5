package imapplace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/transfer"
	"github.com/hashmail/mailaccess/mailaccess"
)

// uses are the special uses by their attributes.
func uses() map[imap.MailboxAttr]mailaccess.SpecialUse {
	return map[imap.MailboxAttr]mailaccess.SpecialUse{
		imap.MailboxAttrAll: mailaccess.UseAll, imap.MailboxAttrArchive: mailaccess.UseArchive,
		imap.MailboxAttrDrafts: mailaccess.UseDrafts, imap.MailboxAttrFlagged: mailaccess.UseFlagged,
		imap.MailboxAttrJunk: mailaccess.UseJunk, imap.MailboxAttrSent: mailaccess.UseSent,
		imap.MailboxAttrTrash: mailaccess.UseTrash, imap.MailboxAttrImportant: mailaccess.UseImportant,
	}
}

// Mailboxes implements transfer.Source.
func (p *Place) Mailboxes(ctx context.Context) ([]transfer.Mailbox, error) {
	c, done, err := p.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	list, err := p.list(c)
	if err != nil {
		return nil, err
	}
	var boxes []transfer.Mailbox
	for _, l := range list {
		if slices.Contains(l.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(l.Attrs, imap.MailboxAttrNonExistent) || p.isForeign(l.Mailbox) {
			continue
		}
		b := transfer.Mailbox{Name: p.name(l.Mailbox), Ref: l.Mailbox, Messages: -1}
		known := uses()
		for _, a := range l.Attrs {
			b.Use |= known[a]
		}
		boxes = append(boxes, b)
	}
	for some := range slices.Chunk(boxes, 16) {
		if err := p.status(c, some); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(boxes, func(a, b transfer.Mailbox) int { return strings.Compare(a.Name, b.Name) })
	return boxes, nil
}

// list lists all mailboxes, and learns how names are written.
func (p *Place) list(c *imapclient.Client) ([]*imap.ListData, error) {
	caps := c.Caps()
	opts := &imap.ListOptions{ReturnSpecialUse: caps.Has(imap.CapListExtended) && caps.Has(imap.CapSpecialUse)}
	list, err := c.List("", "*", opts).Collect()
	if err != nil {
		return nil, failed("list the mailboxes", err)
	}
	p.delim, p.prefix, p.foreign = 0, "", nil
	for _, l := range list {
		if l.Delim != 0 {
			p.delim = l.Delim
		}
	}
	if caps.Has(imap.CapNamespace) || caps.Has(imap.CapIMAP4rev2) {
		spaces, err := c.Namespace().Wait()
		if err != nil {
			return nil, failed("ask for the namespaces", err)
		}
		if len(spaces.Personal) > 0 {
			p.prefix = spaces.Personal[0].Prefix
			if d := spaces.Personal[0].Delim; d != 0 {
				p.delim = d
			}
		}
		for _, s := range append(spaces.Other, spaces.Shared...) {
			if s.Prefix != "" && s.Prefix != p.prefix {
				p.foreign = append(p.foreign, s.Prefix)
			}
		}
		return list, nil
	}
	// Courier's way, told by the names themselves.
	courier := mailaccess.Inbox + string(p.delim)
	others := 0
	for _, l := range list {
		if l.Mailbox != mailaccess.Inbox {
			others++
			if !strings.HasPrefix(l.Mailbox, courier) {
				return list, nil
			}
		}
	}
	if p.delim == '.' && others > 0 {
		p.prefix = courier
	}
	return list, nil
}

// isForeign reports whether a mailbox is somebody else's.
func (p *Place) isForeign(ref string) bool {
	return slices.ContainsFunc(p.foreign, func(prefix string) bool {
		return strings.HasPrefix(ref+string(p.delim), prefix)
	})
}

// name is the name of a mailbox with / between levels and without a prefix.
func (p *Place) name(ref string) string {
	if strings.EqualFold(ref, mailaccess.Inbox) {
		return mailaccess.Inbox
	}
	ref = strings.TrimPrefix(ref, p.prefix)
	if p.delim == 0 {
		return transfer.CleanName([]string{ref})
	}
	return transfer.CleanName(strings.Split(ref, string(p.delim)))
}

// Name implements transfer.Destination: a level may not hold what separates levels.
func (p *Place) Name(name string) string {
	if p.delim == 0 {
		return strings.ReplaceAll(name, "/", "_")
	}
	if p.delim == '/' {
		return name
	}
	return strings.ReplaceAll(name, string(p.delim), "_")
}

// ref is the server's name of a mailbox.
func (p *Place) ref(name string) string {
	if name == mailaccess.Inbox {
		return name
	}
	if p.delim != 0 {
		name = strings.ReplaceAll(name, "/", string(p.delim))
	}
	return p.prefix + name
}

// status fills in what STATUS says. One that cannot be asked for is found out about when
// it is selected.
func (p *Place) status(c *imapclient.Client, boxes []transfer.Mailbox) error {
	opts := &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true, HighestModSeq: c.Caps().Has(imap.CapCondStore)}
	commands := make([]*imapclient.StatusCommand, len(boxes))
	for i, b := range boxes {
		commands[i] = c.Status(b.Ref, opts)
	}
	for i, cmd := range commands {
		b := &boxes[i]
		s, err := cmd.Wait()
		if err != nil {
			if err := failed("ask for the status of "+b.Name, err); mailaccess.KindOf(err) == mailaccess.KindUnavailable {
				return err
			}
			continue
		}
		b.ID = fmt.Sprint(s.UIDValidity)
		if s.NumMessages != nil {
			b.Messages = int(*s.NumMessages)
		}
		// RFC 7162, section 3.1.2.2: 0 is that of a mailbox without change numbers.
		if s.HighestModSeq != 0 {
			b.State = fmt.Sprint(s.UIDValidity, s.HighestModSeq, s.UIDNext, b.Messages)
		}
	}
	return nil
}

// Subscriptions implements transfer.Source.
func (p *Place) Subscriptions(ctx context.Context) ([]string, error) {
	c, done, err := p.use(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if caps := c.Caps(); !caps.Has(imap.CapListExtended) && !caps.Has(imap.CapIMAP4rev2) {
		return nil, &mailaccess.Error{Kind: mailaccess.KindUnsupported, Op: "list them", Err: errors.New("the server has no LIST-EXTENDED (RFC 5258)")}
	}
	list, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		return nil, failed("list them", err)
	}
	var names []string
	for _, l := range list {
		if slices.Contains(l.Attrs, imap.MailboxAttrSubscribed) && !p.isForeign(l.Mailbox) {
			names = append(names, p.name(l.Mailbox))
		}
	}
	return names, nil
}

// Create implements transfer.Destination.
func (p *Place) Create(ctx context.Context, name string, use mailaccess.SpecialUse) (transfer.Mailbox, error) {
	c, done, err := p.use(ctx)
	if err != nil {
		return transfer.Mailbox{}, err
	}
	defer done()
	b := []transfer.Mailbox{{Name: name, Ref: p.ref(name), Messages: -1}}
	var attrs []imap.MailboxAttr
	if c.Caps().Has(imap.CapCreateSpecialUse) {
		for a, u := range uses() {
			if use&u != 0 {
				attrs = append(attrs, a)
			}
		}
	}
	err = failed("make "+name, c.Create(b[0].Ref, &imap.CreateOptions{SpecialUse: attrs}).Wait())
	if err != nil && len(attrs) > 0 && mailaccess.KindOf(err) != mailaccess.KindUnavailable {
		err = failed("make "+name, c.Create(b[0].Ref, nil).Wait())
	}
	if err != nil && !errors.Is(err, mailaccess.KindExists) {
		return transfer.Mailbox{}, err
	}
	if err := p.status(c, b); err != nil {
		return transfer.Mailbox{}, err
	}
	return b[0], nil
}

// Subscribe implements transfer.Destination.
func (p *Place) Subscribe(ctx context.Context, name string) error {
	c, done, err := p.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	return failed("subscribe", c.Subscribe(p.ref(name)).Wait())
}

// Finish implements transfer.Destination.
func (p *Place) Finish(context.Context) error { return nil }
