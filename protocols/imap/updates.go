package imap

import (
	"context"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// update tells the client what changed in the selected mailbox, before the
// tagged answer to a command (RFC 3501, section 5.2). noExpunge keeps message
// numbers as they are (section 7.4.1).
func (c *conn) update(ctx context.Context, noExpunge bool) error {
	return c.updateTo(ctx, noExpunge, (*updateSink)(c))
}

func (c *conn) updateTo(ctx context.Context, noExpunge bool, sink engine.Sink) error {
	if c.view == nil || c.notify.silent() && !c.acted {
		return nil
	}
	before := c.view.UIDs().Max()
	err := c.view.Update(ctx, engine.UpdateOptions{NoExpunge: noExpunge}, sink)
	if err == nil {
		return errorsFirst(c.tellRenamed(ctx), c.arrivals(ctx, before))
	}
	if c.w.Err() != nil || err == engine.ErrViewInvalid {
		return err
	}
	c.noteArrived(before)
	// The store cannot say now: the client is told another time.
	c.log().Warn("update of the selected mailbox", zap.Error(err))
	return nil
}

// adds says that the present command put messages into a mailbox.
func (c *conn) adds(box mailaccess.MailboxID, uids mailaccess.UIDSet) {
	if c.view != nil && c.view.Status().ID == box {
		c.acted, c.created = true, c.created.Union(uids)
	}
}

// updateSink writes what changed as untagged responses.
type updateSink conn

// Gone writes EXPUNGE responses (RFC 3501, section 7.4.1), or VANISHED for a client
// that thinks in UIDs.
func (s *updateSink) Gone(gone engine.Gone) error {
	// RFC 5182, section 2.1: what went leaves the saved result too.
	s.saved = s.saved.Minus(gone.UIDs)
	c := (*conn)(s)
	if err := c.contextsWithout(gone); err != nil {
		return err
	}
	if c.has(enabledQResync) || c.has(enabledUIDOnly) {
		return c.sendVanished("* VANISHED ", gone.UIDs)
	}
	for n := range gone.Numbers() {
		b := append(s.w.Begin(), "* "...)
		b = imapwire.AppendNumber(b, uint32(n))
		if err := s.w.End(append(b, " EXPUNGE\r\n"...)); err != nil {
			return err
		}
	}
	return nil
}

// Exists writes EXISTS and RECENT (RFC 3501, sections 7.3.1 and 7.3.2).
func (s *updateSink) Exists(n int, recent mailaccess.UIDSet) error {
	return s.w.End((*conn)(s).appendExists(s.w.Begin(), n, recent))
}

func (c *conn) appendExists(b []byte, n int, recent mailaccess.UIDSet) []byte {
	b = imapwire.AppendNumber(append(b, "* "...), uint32(n))
	b = append(b, " EXISTS\r\n"...)
	if c.rev2() {
		return b
	}
	b = imapwire.AppendNumber(append(b, "* "...), uint32(recent.Len()))
	return append(b, " RECENT\r\n"...)
}

// Keywords writes FLAGS and PERMANENTFLAGS anew (RFC 3501, section 7.2.6).
func (s *updateSink) Keywords(k mailaccess.Keywords) error {
	b := appendDefinedFlags(s.w.Begin(), k)
	return s.w.End((*conn)(s).appendPermanentFlags(b, k))
}

// Flags writes a FETCH response (RFC 3501, section 7.4.2).
func (s *updateSink) Flags(m *engine.Numbered) error {
	if !s.notify.tellsFlags() {
		if s.flagsUntold == 0 {
			s.flagsUntold = s.view.Told()
		}
		return nil
	}
	return s.w.End((*conn)(s).appendFetchFlags(s.w.Begin(), m))
}

// appendFetchBegin begins every FETCH response, up to the list of items.
func (c *conn) appendFetchBegin(b []byte, m *engine.Numbered) []byte {
	b = append(b, "* "...)
	if c.has(enabledUIDOnly) {
		// RFC 9586, section 3: UIDFETCH names the message by UID.
		b = imapwire.AppendNumber(b, uint32(m.UID))
		return append(b, " UIDFETCH ("...)
	}
	b = imapwire.AppendNumber(b, uint32(m.Number))
	return append(b, " FETCH ("...)
}

// appendFetchUID appends the UID to a FETCH response that nobody asked for, and a
// space. RFC 7162, section 3.2.4 wants it; before CONDSTORE it spares clients that
// think in UIDs the translation. UIDFETCH says it already.
func (c *conn) appendFetchUID(b []byte, m *engine.Numbered) []byte {
	if c.has(enabledUIDOnly) {
		return b
	}
	b = imapwire.AppendNumber(append(b, "UID "...), uint32(m.UID))
	return append(b, ' ')
}

// appendFetchFlags appends a FETCH response with the flags of a message.
func (c *conn) appendFetchFlags(b []byte, m *engine.Numbered) []byte {
	b = c.appendFetchUID(c.appendFetchBegin(b, m), m)
	b = appendFlags(append(b, "FLAGS "...), m.Flags, c.recent().Contains(m.UID))
	if c.has(enabledCondstore) {
		b = c.appendModSeq(append(b, ' '), m.ModSeq) // RFC 7162, section 3.1
	}
	return append(b, ")\r\n"...)
}
