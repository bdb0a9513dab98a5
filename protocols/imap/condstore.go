package imap

import (
	"context"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// syncPoint is the change number from which the client would resynchronize the
// selected mailbox, as RFC 7162, section 6 has it reckon: HIGHESTMODSEQ as told last
// or, when none was told since the last tagged response, the highest MODSEQ of FETCH
// responses since, if that is higher.
type syncPoint struct {
	known mailaccess.ModSeq // as of the last tagged response, or told since
	told  bool              // HIGHESTMODSEQ was told since the last tagged response
	seen  mailaccess.ModSeq // the highest MODSEQ since then
}

func (s *syncPoint) reckoned() mailaccess.ModSeq {
	if s.told {
		return s.known
	}
	return max(s.known, s.seen)
}

// appendModSeq appends the MODSEQ item of a FETCH response (RFC 7162, section 3.1.4.2).
func (c *conn) appendModSeq(b []byte, n mailaccess.ModSeq) []byte {
	c.sync.seen = max(c.sync.seen, n)
	b = imapwire.AppendNumber(append(b, "MODSEQ ("...), uint64(n))
	return append(b, ')')
}

// appendHighestModSeq appends the response code HIGHESTMODSEQ, without brackets. It
// is what the view has told: a client that took a higher number, while a removal must
// wait, would keep a ghost (RFC 7162, sections 3.2 and 6).
func (c *conn) appendHighestModSeq(b []byte) []byte {
	c.sync = syncPoint{known: c.told(), told: true}
	return imapwire.AppendNumber(append(b, "HIGHESTMODSEQ "...), uint64(c.sync.known))
}

// told is the change number up to which the client knows everything. Flags that NOTIFY
// left out it does not know: whoever resynchronizes must not miss them.
func (c *conn) told() mailaccess.ModSeq {
	if c.flagsUntold != 0 {
		return min(c.flagsUntold, c.view.Told())
	}
	return c.view.Told()
}

// sendHighestModSeq tells HIGHESTMODSEQ in an untagged response.
func (c *conn) sendHighestModSeq() error {
	b := c.appendHighestModSeq(append(c.w.Begin(), "* OK ["...))
	return c.w.End(append(b, "] highest\r\n"...))
}

// statusModSeq is the item of STATUS (RFC 7162, section 3.1.7); asking for it enables
// CONDSTORE (section 3.1).
func statusModSeq(_ context.Context, c *conn, st *mailaccess.Status) (uint64, error) {
	if c.view != nil && c.view.Status().ID == st.ID {
		// Of the selected mailbox the client must not take more than it was told.
		return uint64(c.told()), c.enable(enabledCondstore)
	}
	return uint64(st.ModSeq), c.enable(enabledCondstore)
}

// outOfSync reports whether the client, were it cut off now, would resynchronize from
// another number than it should. It is so after arrivals and removals (RFC 7162,
// section 3.2.7), and when a MODSEQ was told while a removal waits.
func (c *conn) outOfSync() bool {
	return c.view != nil && c.has(enabledCondstore) && c.sync.reckoned() != c.told()
}

// settle tells HIGHESTMODSEQ before the tagged response to a command, or in it where
// no other code is, if the client would reckon another. ok: the answer is OK.
func (c *conn) settle(ok bool) error {
	if c.outOfSync() {
		if ok && c.answer.code == "" {
			c.answer.code = string(c.appendHighestModSeq(nil))
		} else if err := c.sendHighestModSeq(); err != nil {
			return err
		}
	}
	if c.view != nil {
		c.sync = syncPoint{known: c.sync.reckoned()}
	}
	return nil
}

// readModSeq reads a space and a mod-sequence, 0 included. RFC 7162, section 7 has
// places where 0 is not allowed; there it asks for everything, as in Dovecot.
func (c *conn) readModSeq() (mailaccess.ModSeq, error) {
	if err := c.r.SP(); err != nil {
		return 0, err
	}
	n, err := c.r.ReadNumber64()
	return mailaccess.ModSeq(n), err
}

// modSeqFrom parses the arguments of the search key MODSEQ (RFC 7162, section 3.1.5).
// One number is kept for a message whole, so that the name of an entry makes no
// difference.
func (p *searchParser) modSeqFrom() (searchKey, error) {
	p.modSeq = true
	next, err := p.c.r.Peek()
	if err != nil {
		return nil, err
	}
	if next == '"' {
		entry, err := p.c.r.ReadStringBytes()
		if err != nil {
			return nil, err
		}
		const flags = "/flags/"
		if len(entry) <= len(flags) || !imapwire.EqualFold(entry[:len(flags)], flags) {
			return nil, bad("the name of an entry begins with " + flags)
		}
		if err := p.c.r.SP(); err != nil {
			return nil, err
		}
		kind, err := p.c.r.ReadKeyword()
		if err != nil {
			return nil, err
		}
		if k := string(kind); k != "PRIV" && k != "SHARED" && k != "ALL" {
			return nil, bad("expected priv, shared or all")
		}
		if err := p.c.r.SP(); err != nil {
			return nil, err
		}
	}
	n, err := p.c.r.ReadNumber64()
	return constant(mailaccess.ModSeqFrom{Min: mailaccess.ModSeq(n)}), err
}

// fetchModifiers narrow a FETCH down (RFC 4466, section 2.4).
type fetchModifiers struct {
	changed  bool // CHANGEDSINCE (RFC 7162, section 3.1.4.1)
	vanished bool // VANISHED (RFC 7162, section 3.2.6)
	since    mailaccess.ModSeq
	// partial is which of the messages named are meant (RFC 9394, section 3.3).
	partial *partialRange
}

// parseFetchModifiers reads a space and a list of modifiers, if there is one.
func (c *conn) parseFetchModifiers(m *fetchModifiers, how addressing) error {
	if more, err := c.r.Accept(' '); err != nil || !more {
		return err
	}
	err := c.readParameters(func(name string) (known bool, err error) {
		switch {
		case name == "CHANGEDSINCE" && !m.changed:
			m.changed = true
			m.since, err = c.readModSeq()
		case name == "VANISHED" && !m.vanished:
			m.vanished = true
		case name == "PARTIAL" && m.partial == nil:
			m.partial = new(partialRange)
			*m.partial, err = c.readPartialRange()
		default:
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil:
		return err
	case !m.vanished:
		return nil
	// RFC 7162, section 3.2.6.
	case how != byUID:
		return bad("VANISHED is for UID FETCH")
	case !m.changed:
		return bad("VANISHED goes with CHANGEDSINCE")
	case !c.has(enabledQResync):
		return bad("VANISHED needs ENABLE QRESYNC")
	}
	return nil
}

// storeModifiers make a STORE conditional (RFC 4466, section 2.5).
type storeModifiers struct {
	conditional bool // UNCHANGEDSINCE (RFC 7162, section 3.1.3)
	since       mailaccess.ModSeq
}

// parseStoreModifiers reads a list of modifiers and a space, if there is one.
func (c *conn) parseStoreModifiers(m *storeModifiers) error {
	m.since = mailaccess.AnyModSeq
	if next, err := c.r.Peek(); err != nil || next != '(' {
		return err
	}
	err := c.readParameters(func(name string) (known bool, err error) {
		if name != "UNCHANGEDSINCE" || m.conditional {
			return false, nil
		}
		m.conditional = true
		m.since, err = c.readModSeq()
		return true, err
	})
	if err != nil {
		return err
	}
	return c.r.SP()
}

// readParameters reads a list of parameters or modifiers (RFC 4466, sections 2.1, 2.4 and
// 2.5), of one at least. read takes what belongs to a name; known is false when it has no
// use for it, or has met it before.
func (c *conn) readParameters(read func(name string) (known bool, err error)) error {
	n := 0
	err := c.r.ReadList(func() error {
		n++
		name, err := c.r.ReadKeyword()
		if err != nil {
			return err
		}
		known, err := read(string(name))
		if err == nil && !known {
			err = bad("unknown parameter, or one given twice")
		}
		return err
	})
	if err == nil && n == 0 {
		err = bad("an empty list of parameters")
	}
	return err
}

// modified returns the response code MODIFIED (RFC 7162, section 3.1.3): the messages
// as the command named them.
func (c *conn) modified(how addressing, conflict mailaccess.UIDSet) string {
	b := []byte("MODIFIED ")
	if how == byUID {
		return string(appendUIDSet(b, conflict))
	}
	return string(imapwire.AppendNumSet(b, func(yield func(uint32) bool) {
		for uid := range conflict.All() {
			if !yield(uint32(c.view.Number(uid))) {
				return
			}
		}
	}))
}

// appendFetchModSeq appends a FETCH response that tells the new change number of a
// message whose flags the client knows (RFC 7162, sections 3.1.3 and 3.2.4).
func (c *conn) appendFetchModSeq(b []byte, m *engine.Numbered) []byte {
	b = c.appendFetchUID(c.appendFetchBegin(b, m), m)
	b = c.appendModSeq(b, m.ModSeq)
	return append(b, ")\r\n"...)
}
