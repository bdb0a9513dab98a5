package imap

import (
	"strings"
)

// notifyEvents is a set of events (RFC 5465, section 5).
type notifyEvents uint8

const (
	messageNew notifyEvents = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange

	messageEvents = messageNew | messageExpunge | flagChange
)

// eventNames are the events that there are, in the order of BADEVENT. Annotations and
// metadata are not offered, hence neither are their events.
var eventNames = []struct {
	name  string
	event notifyEvents
}{
	{"MessageNew", messageNew},
	{"MessageExpunge", messageExpunge},
	{"FlagChange", flagChange},
	{"MailboxName", mailboxName},
	{"SubscriptionChange", subscriptionChange},
}

// mailboxFilter says which mailboxes a group of events is about (RFC 5465, section 6).
type mailboxFilter uint8

const (
	filterSelected mailboxFilter = iota
	filterDelayed
	filterPersonal
	filterSubscribed
	filterSubtree
	filterMailboxes
)

// notifyFilters are the names of the filters. Mail may be delivered to any mailbox, so
// that INBOXES is PERSONAL (RFC 5465, section 6.3).
var notifyFilters = map[string]mailboxFilter{
	"SELECTED":         filterSelected,
	"SELECTED-DELAYED": filterDelayed,
	"INBOXES":          filterPersonal,
	"PERSONAL":         filterPersonal,
	"SUBSCRIBED":       filterSubscribed,
	"SUBTREE":          filterSubtree,
	"MAILBOXES":        filterMailboxes,
}

// notifyGroup is a group of events for some mailboxes.
type notifyGroup struct {
	filter mailboxFilter
	names  []string // of SUBTREE and MAILBOXES, in the form of the tree
	events notifyEvents
	items  *fetchPlan // what MessageNew tells of a message in the selected mailbox
}

// notifySet is a NOTIFY SET command.
type notifySet struct {
	status bool
	groups []notifyGroup // without the one for the selected mailbox
	// selected is the group for the selected mailbox. Without one no events are
	// told of it (RFC 5465, section 3.1).
	selected *notifyGroup
	// unsupported: an event was asked for that there is not.
	unsupported bool
}

// maxNotifyGroups bounds the groups of a NOTIFY command.
const maxNotifyGroups = 64

// parseNotify is RFC 5465, section 8.
func parseNotify(c *conn) (action, error) {
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	word, err := c.r.ReadKeyword()
	if err != nil {
		return nil, err
	}
	switch string(word) {
	case "NONE":
		return notifyNone, c.r.CRLF()
	case "SET":
	default:
		return nil, bad("expected SET or NONE")
	}
	set := new(notifySet)
	for {
		if err := c.r.SP(); err != nil {
			return nil, err
		}
		if next, err := c.r.Peek(); err != nil {
			return nil, err
		} else if next != '(' && !set.status && len(set.groups) == 0 && set.selected == nil {
			if word, err = c.r.ReadKeyword(); err != nil {
				return nil, err
			} else if string(word) != "STATUS" {
				return nil, bad("expected STATUS or a group of events")
			}
			set.status = true
			continue
		}
		if err := c.parseNotifyGroup(set); err != nil {
			return nil, err
		}
		if end, err := c.r.AtEnd(); err != nil {
			return nil, err
		} else if end {
			return set.run, c.r.CRLF()
		}
	}
}

// parseNotifyGroup reads a group and adds it to set. The RFC's grammar has parentheses
// around the events, its example (section 3.1) none: both are taken.
func (c *conn) parseNotifyGroup(set *notifySet) error {
	p := notifyParser{c: c, set: set}
	if err := c.r.ReadList(p.element); err != nil {
		return err
	}
	g := p.group
	selected := g.filter == filterSelected || g.filter == filterDelayed
	switch {
	case p.events == 0:
		return bad("expected mailboxes and events")
	case selected && set.selected != nil:
		return bad("SELECTED and SELECTED-DELAYED are for one group") // section 6.1
	case selected && g.events&^messageEvents != 0:
		return bad("the selected mailbox has events of messages only") // section 6.1
	case !selected && g.items != nil:
		return bad("only the selected mailbox has messages to fetch") // section 8, message-event
	case (g.events&messageNew == 0) != (g.events&messageExpunge == 0):
		return bad("MessageNew and MessageExpunge go together") // section 5
	case g.events&flagChange != 0 && g.events&messageNew == 0:
		return bad("FlagChange needs MessageNew and MessageExpunge") // section 5
	case len(set.groups) >= maxNotifyGroups:
		return bad("more groups of events than are taken")
	}
	if selected {
		set.selected = &g
	} else {
		set.groups = append(set.groups, g)
	}
	return nil
}

// notifyParser reads the elements of a group.
type notifyParser struct {
	c     *conn
	set   *notifySet
	group notifyGroup
	read  int // elements so far
	// events counts what says which events: NONE, a list, or events themselves.
	events int
	none   bool
	last   notifyEvents // the event before
}

func (p *notifyParser) element() error {
	p.read++
	next, err := p.c.r.Peek()
	if err != nil {
		return err
	}
	named := p.group.filter == filterSubtree || p.group.filter == filterMailboxes
	switch {
	case p.read == 1:
		return p.filter()
	case p.read == 2 && named && next == '(':
		return p.c.r.ReadList(p.name)
	case p.read == 2 && named:
		return p.name()
	case next == '(' && p.events == 0:
		p.events++
		err := p.c.r.ReadList(p.event)
		if err == nil && p.last == 0 && !p.set.unsupported {
			err = bad("an empty list of events")
		}
		p.none = true // nothing may follow
		return err
	case p.none:
		return bad("expected the end of the group")
	}
	p.events++
	return p.event()
}

func (p *notifyParser) filter() error {
	word, err := p.c.r.ReadKeyword()
	if err != nil {
		return err
	}
	f, known := notifyFilters[string(word)]
	if !known {
		return bad("unknown choice of mailboxes")
	}
	p.group.filter = f
	return nil
}

// name reads the name of a mailbox. One that there can be no mailbox with is ignored
// (RFC 5465, section 3.1).
func (p *notifyParser) name() error {
	name, ok, err := p.c.readBranch()
	if ok {
		p.group.names = append(p.group.names, name)
	}
	return err
}

// event reads an event, or the items that belong to the MessageNew before.
func (p *notifyParser) event() error {
	next, err := p.c.r.Peek()
	if err != nil {
		return err
	}
	if next == '(' {
		if p.last != messageNew || p.group.items != nil {
			return bad("items belong to MessageNew")
		}
		p.group.items = new(fetchPlan)
		return p.c.parseFetchItems(p.group.items)
	}
	word, err := p.c.r.ReadKeyword()
	if err != nil {
		return err
	}
	if string(word) == "NONE" && p.events == 1 && p.last == 0 {
		p.none = true
		return nil
	}
	for _, e := range eventNames {
		if strings.EqualFold(e.name, string(word)) {
			p.last = e.event
			p.group.events |= e.event
			return nil
		}
	}
	p.set.unsupported = true // section 3.1: NO and not BAD
	return nil
}
