package imap

import (
	"context"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// multiSearch is an ESEARCH command that was parsed (RFC 7377, section 2).
type multiSearch struct {
	in   searchSources
	ret  returnOptions
	crit criteria
}

// searchSources are the mailboxes that are searched (RFC 7377, section 2.2).
//
// Names are in the form of the tree (see [namespace]).
type searchSources struct {
	selected   bool
	personal   bool
	subscribed bool
	named      []string // these
	subtrees   []string // these and all below
	children   []string // these and those a level below
}

// maxSourceNames bounds the mailboxes that one ESEARCH names.
const maxSourceNames = 1000

// parseMultiSearch is RFC 7377, section 4, esearch.
func parseMultiSearch(c *conn) (action, error) {
	m := &multiSearch{in: searchSources{selected: true}}
	if err := m.parse(c); err != nil {
		return nil, c.notSaved(&m.ret, err)
	}
	return func(ctx context.Context, c *conn) error { return c.notSaved(&m.ret, m.run(ctx, c)) }, c.r.CRLF()
}

func (m *multiSearch) parse(c *conn) error {
	p := searchParser{c: c}
	if err := c.r.SP(); err != nil {
		return err
	}
	name, err := p.keyword()
	if err == nil && string(name) == "IN" {
		if m.in, err = c.readSources(); err != nil {
			return err
		}
		if err := c.r.SP(); err != nil {
			return err
		}
		name, err = p.keyword()
	}
	if err != nil {
		return err
	}
	if m.crit, err = p.program(name, &m.ret); err != nil {
		return err
	}
	if !m.ret.given {
		m.ret.bits = returnAll // RFC 7377, section 2.1
	}
	switch {
	case m.in.selected && c.view == nil:
		return bad("no mailbox is selected")
	case m.ret.has(returnUpdate) && c.view == nil:
		return bad("UPDATE needs a selected mailbox")
	case m.ret.has(returnSave) && !m.in.onlySelected():
		return bad("SAVE is for a search of the selected mailbox alone")
	}
	return c.checkTag(&m.ret)
}

// readSources reads the list of sources that follows the word IN. Of the options that
// may end it none is defined.
func (c *conn) readSources() (in searchSources, err error) {
	if err := c.r.SP(); err != nil {
		return in, err
	}
	names, some := 0, false
	err = c.r.ReadList(func() error {
		word, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		some = true
		var to *[]string
		switch string(word) {
		case "SELECTED":
			in.selected = true
		case "PERSONAL", "INBOXES": // RFC 5465, section 6.3: mail may be delivered anywhere
			in.personal = true
		case "SUBSCRIBED":
			in.subscribed = true
		case "MAILBOXES":
			to = &in.named
		case "SUBTREE":
			to = &in.subtrees
		case "SUBTREE-ONE":
			to = &in.children
		default:
			return bad("unknown choice of mailboxes")
		}
		if to == nil {
			return nil
		}
		return c.readSourceNames(func(name string, ok bool) error {
			if names++; names > maxSourceNames {
				return bad("more mailboxes than are taken")
			}
			if ok { // what can be the name of no mailbox names none
				*to = append(*to, name)
			}
			return nil
		})
	})
	if err == nil && !some {
		err = bad("an empty list of mailboxes")
	}
	return in, err
}

// readSourceNames reads a space and a name, or several in parentheses.
func (c *conn) readSourceNames(add func(name string, ok bool) error) error {
	if err := c.r.SP(); err != nil {
		return err
	}
	one := func() error {
		name, ok, err := c.readBranch()
		if err != nil {
			return err
		}
		return add(name, ok)
	}
	if next, err := c.r.Peek(); err != nil {
		return err
	} else if next != '(' {
		return one()
	}
	n := 0
	err := c.r.ReadList(func() error { n++; return one() })
	if err == nil && n == 0 {
		err = bad("an empty list of mailboxes")
	}
	return err
}

func (in *searchSources) onlySelected() bool {
	return in.selected && !in.personal && !in.subscribed && len(in.named)+len(in.subtrees)+len(in.children) == 0
}

// has reports whether a mailbox is among the sources; subscribed is in the form of the
// tree too.
func (in *searchSources) has(name string, subscribed map[string]bool) bool {
	if in.personal || subscribed[name] || slices.Contains(in.named, name) {
		return true
	}
	for _, top := range in.subtrees {
		if name == top || strings.HasPrefix(name, top+"/") {
			return true
		}
	}
	for _, top := range in.children {
		rest, below := strings.CutPrefix(name, top+"/")
		if name == top || below && !strings.Contains(rest, "/") {
			return true
		}
	}
	return false
}

// boxes returns the mailboxes to search, each once whatever names it, the selected one
// first. It goes by what there is and follows nothing, so that nothing can loop.
func (in *searchSources) boxes(ctx context.Context, c *conn) (boxes []mailaccess.MailboxID, err error) {
	if in.selected {
		boxes = append(boxes, c.view.Status().ID)
	}
	if in.onlySelected() {
		return boxes, nil
	}
	var subscribed map[string]bool
	if in.subscribed {
		if subscribed, err = c.subscriptions(ctx); err != nil {
			return nil, err
		}
		subscribed = c.names.allShown(subscribed)
	}
	for m, err := range c.sess.Mailboxes(ctx) {
		if err != nil {
			return nil, err
		}
		if in.has(c.names.shown(m.Name), subscribed) && !(in.selected && m.ID == boxes[0]) {
			boxes = append(boxes, m.ID)
		}
	}
	return boxes, nil
}

func (m *multiSearch) run(ctx context.Context, c *conn) error {
	boxes, err := m.in.boxes(ctx, c)
	if err != nil {
		return err
	}
	if m.crit.modSeq {
		if err := c.enable(enabledCondstore); err != nil { // RFC 7162, section 3.1
			return err
		}
	}
	updated := false
	for _, box := range boxes {
		if c.view != nil && c.view.Status().ID == box {
			updated = true
			err = m.searchSelected(ctx, c)
		} else {
			err = m.searchOther(ctx, c, box)
		}
		if err != nil {
			return err
		}
	}
	if m.ret.has(returnUpdate) && !updated {
		// RFC 7377, section 2.2: UPDATE is for the selected mailbox.
		return c.addContext(&searchContext{}, &m.ret)
	}
	return nil
}

// searchSelected searches what the client was told of the selected mailbox.
func (m *multiSearch) searchSelected(ctx context.Context, c *conn) error {
	x := searchContext{how: byUID, named: true, crit: m.crit, scope: c.scope(), whole: !m.in.onlySelected()}
	f, err := c.find(ctx, &x, &m.ret)
	if err != nil {
		return err
	}
	if m.ret.has(returnSave) {
		if err := c.save(f.told(&m.ret)); err != nil {
			return err
		}
	}
	if err := m.answer(ctx, c, c.view, f); err != nil || !m.ret.has(returnUpdate) {
		return err
	}
	return c.addContext(&x, &m.ret)
}

// searchOther searches a mailbox that is not selected. One that has gone meanwhile, or
// may not be read, is passed over (RFC 7377, section 2.2).
func (m *multiSearch) searchOther(ctx context.Context, c *conn, box mailaccess.MailboxID) error {
	view, err := c.sess.OpenView(ctx, box, engine.ViewOptions{ReadOnly: true, Frozen: true})
	if err == nil {
		defer view.Close()
		// $ is of the selected mailbox.
		x := searchContext{crit: m.crit, scope: scopeOf(c.sess, view, mailaccess.UIDSet{}), whole: true}
		var f found
		ret := m.ret
		ret.bits &^= returnUpdate
		if f, err = c.find(ctx, &x, &ret); err == nil {
			return m.answer(ctx, c, view, f)
		}
	}
	if kind := mailaccess.KindOf(err); c.broken == nil && (kind == mailaccess.KindNotFound || kind == mailaccess.KindForbidden) {
		return nil
	}
	return err
}

// answer writes what was found in a mailbox, if anything was (RFC 7377, section 2.1).
func (m *multiSearch) answer(ctx context.Context, c *conn, view *engine.View, f found) error {
	if f.len() == 0 || !m.ret.has(returnData) {
		return nil
	}
	var highest mailaccess.ModSeq
	if m.crit.modSeq {
		var err error
		if highest, err = highestModSeq(ctx, view, f.told(&m.ret)); err != nil {
			return err
		}
	}
	b := c.appendNamedESearch(c.w.Begin(), c.r.Tag(), view)
	return c.sendESearch(b, view.UIDs(), byUID, &m.ret, f, highest)
}

// appendNamedESearch begins an ESEARCH response that names the mailbox (RFC 7377,
// section 2.1).
func (c *conn) appendNamedESearch(b []byte, tag []byte, view *engine.View) []byte {
	st := view.Status()
	b = imapwire.AppendString(append(b, "* ESEARCH (TAG "...), tag, false)
	b = c.appendMailbox(append(b, " MAILBOX "...), st.Name)
	b = imapwire.AppendNumber(append(b, " UIDVALIDITY "...), st.UIDValidity)
	return append(b, ") UID"...)
}
