package imap

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// fetch is a FETCH command that was parsed (RFC 3501, section 6.4.5). It streams:
// no more than a batch of messages' metadata, and none of their content, is in
// memory at once.
type fetch struct {
	how       addressing
	plan      fetchPlan
	modifiers fetchModifiers

	c   *conn
	can engine.Can
	// sent counts the messages answered.
	sent int
	// gone: the content of a message could not be had any more.
	gone bool
	// refused is why a message was left out of which the impossible was asked.
	refused error
	// read are messages whose text was sent and which are not \Seen yet.
	read []reading
	// rendered is what is made once and kept, of the present batch; open is the
	// present message.
	rendered *renderings
	headers  *engine.Headers    // of the present batch; nil: none is asked for
	trees    *engine.Structures // of the present batch; nil: nobody has asked for one
	open     opened
	ids      []mailaccess.EmailID
	found    []section      // of the present message
	spare    message.Ranges // of one section after the other
	clean    cleans
	// flushed is when what waited was last sent because of its age.
	flushed time.Time
}

// fetchBatch is for how many messages derived bytes are asked for at once, and
// \Seen set.
const fetchBatch = 64

// stepEach is after how many messages of a batch others may have their turn: what is kept of one takes
// less than a look at the clock, and what is read of it steps by itself.
const stepEach = 8

func (f *fetch) run(ctx context.Context, c *conn) error {
	f.c, f.can = c, c.sess.Can()
	if r := f.modifiers.partial; r != nil {
		if err := c.limitRange(*r); err != nil {
			return err
		}
	}
	if f.plan.modSeq {
		if err := c.enable(enabledCondstore); err != nil { // RFC 7162, section 3.1
			return err
		}
	}
	if f.modifiers.vanished {
		if err := f.vanished(ctx); err != nil {
			return err
		}
	}
	uids, err := c.resolve(&c.set, f.how)
	if err != nil {
		return err
	}
	if r := f.modifiers.partial; r != nil {
		// RFC 9394, section 3.4: this before CHANGEDSINCE.
		uids = found{uids: uids}.part(r.of(uids.Len())).uids
	}
	return f.of(ctx, c, c.limit(uids))
}

// of answers for messages.
func (f *fetch) of(ctx context.Context, c *conn, uids mailaccess.UIDSet) error {
	f.c, f.can = c, c.sess.Can()
	// \Seen is set where it can be kept; reading goes on where it cannot.
	f.plan.sees = f.plan.sees && !c.view.ReadOnly() && f.can.SetFlags && c.view.Status().Rights.Has(mailaccess.RightSeen)
	var err error
	if f.plan.sections || f.plan.rendered {
		err = f.batches(ctx, uids)
	} else {
		err = f.metadata(ctx, uids)
	}
	if err := errorsFirst(err, f.mark(ctx)); err != nil {
		return err
	}
	if f.refused != nil {
		return c.processed(f.refused)
	}
	// RFC 5530, section 3: a message whose content is gone, or a number that
	// has no message any more, is left out. UIDs without a message are no
	// failure (RFC 3501, section 6.4.8).
	if f.gone || f.how == byNumber && !f.modifiers.changed && f.sent < uids.Len() {
		return c.processed(no(codeExpungeIssued, "some of the messages are no longer there"))
	}
	return nil
}

// messages lists those of uids that are asked for.
func (f *fetch) messages(ctx context.Context, uids mailaccess.UIDSet) iter.Seq2[*engine.Numbered, error] {
	if f.modifiers.changed {
		return f.c.view.Changed(ctx, uids, f.modifiers.since)
	}
	return f.c.view.Messages(ctx, uids)
}

// metadata answers what can be answered without the content.
func (f *fetch) metadata(ctx context.Context, uids mailaccess.UIDSet) error {
	w := f.c.w
	recent := f.c.recent()
	for m, err := range f.messages(ctx, uids) {
		if err != nil {
			return err
		}
		if f.plan.size {
			if m.Size, err = f.c.sess.Size(ctx, &m.Message); err != nil {
				if mailaccess.KindOf(err) != mailaccess.KindContentGone {
					return err
				}
				f.gone = true
				continue
			}
		}
		b := f.c.appendFetchBegin(w.Begin(), m)
		for i := range f.plan.items {
			b = f.appendMetadata(appendSpace(b, i), f.plan.items[i].kind, m, recent)
		}
		if err := w.End(append(b, ")\r\n"...)); err != nil {
			return err
		}
		if f.sent++; f.sent%fetchBatch == 0 {
			if err := f.c.nc.Step(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendSpace appends what stands before item i. What b ends in cannot tell: it
// may be the text of a message, or empty once a literal was sent.
func appendSpace(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ' ')
	}
	return b
}

// appendMetadata appends an item that is no part of the content.
func (f *fetch) appendMetadata(b []byte, kind fetchKind, m *engine.Numbered, recent mailaccess.UIDSet) []byte {
	switch kind {
	case fetchUID:
		b = imapwire.AppendNumber(append(b, "UID "...), uint32(m.UID))
	case fetchFlags:
		b = appendFlags(append(b, "FLAGS "...), m.Flags, recent.Contains(m.UID))
	case fetchModSeq:
		b = f.c.appendModSeq(b, m.ModSeq)
	case fetchInternalDate:
		b = imapwire.AppendDateTime(append(b, "INTERNALDATE "...), m.Received)
	case fetchSize:
		b = imapwire.AppendNumber(append(b, "RFC822.SIZE "...), uint64(m.Size))
	case fetchEmailID:
		b = appendObjectID(append(b, "EMAILID "...), string(m.EmailID))
	case fetchThreadID:
		// RFC 8474, section 5.2: NIL without threads.
		if !f.can.Threads || m.ThreadID == "" {
			return append(b, "THREADID NIL"...)
		}
		b = appendObjectID(append(b, "THREADID "...), string(m.ThreadID))
	case fetchSaveDate:
		// RFC 8514, section 4.2: NIL where saved dates are not kept.
		if !f.can.SavedDates || m.Saved.IsZero() {
			return append(b, "SAVEDATE NIL"...)
		}
		b = imapwire.AppendDateTime(append(b, "SAVEDATE "...), m.Saved)
	}
	return b
}

// batches answers with what is derived from contents, or parts of them.
func (f *fetch) batches(ctx context.Context, uids mailaccess.UIDSet) error {
	f.rendered, f.flushed = f.c.renderings(&f.plan), time.Now()
	batch := make([]engine.Numbered, 0, min(fetchBatch, uids.Len()))
	for m, err := range f.messages(ctx, uids) {
		if err != nil {
			return err
		}
		if batch = append(batch, *m); len(batch) == cap(batch) {
			if err := f.batch(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return f.batch(ctx, batch)
}

func (f *fetch) batch(ctx context.Context, batch []engine.Numbered) error {
	f.ids = f.ids[:0]
	for i := range batch {
		f.ids = append(f.ids, batch[i].EmailID)
	}
	f.rendered.load(ctx, batch)
	if f.plan.sections {
		f.clean.load(ctx, f.c, batch)
	}
	if f.plan.listed {
		f.loadHeaders(ctx)
	}
	for i := range batch {
		if i%stepEach == 0 {
			if err := f.c.nc.Step(); err != nil {
				return err
			}
		}
		err := f.message(ctx, &batch[i], i)
		f.rendered.done(ctx, i)
		switch {
		case err == nil:
			f.sent++
		case f.c.w.Err() == nil && mailaccess.KindOf(err) == mailaccess.KindContentGone:
			f.gone = true
		case f.c.w.Err() == nil && errors.As(err, new(*statusError)):
			f.refused = err
		default:
			return err
		}
	}
	if f.trees != nil {
		f.trees.Close(ctx)
		f.trees = nil
	}
	f.rendered.save(ctx)
	f.clean.save(ctx, f.c)
	if f.headers != nil {
		f.headers.Save(ctx)
	}
	return f.mark(ctx)
}

// loadHeaders asks the store for the header fields that it keeps of a batch.
func (f *fetch) loadHeaders(ctx context.Context) {
	if f.headers == nil {
		f.headers = f.c.sess.Headers(f.rendered.room)
	}
	f.headers.Load(ctx, f.ids)
}

// structures returns the structures of the present batch.
func (f *fetch) structures() *engine.Structures {
	if f.trees == nil {
		f.trees = f.c.sess.Structures(f.ids, f.rendered.room)
	}
	return f.trees
}

// listed returns the header fields that are kept of message i of the batch; nil when they have
// to be read.
func (f *fetch) listed(i int) message.Header {
	if f.headers == nil {
		return nil
	}
	return f.headers.Of(i)
}

// message answers for one message, the i-th of the batch. Whatever can fail comes
// before the first octet is written.
func (f *fetch) message(ctx context.Context, m *engine.Numbered, i int) error {
	open := &f.open
	open.reset(f, m.EmailID, f.listed(i))
	defer open.close()
	if f.plan.size && m.Size == mailaccess.SizeUnknown {
		content, err := open.open(ctx)
		if err != nil {
			return err
		}
		m.Size = content.Size()
	}
	if err := f.rendered.render(ctx, i, open); err != nil {
		return err
	}
	sections, err := f.sections(ctx, open, i)
	if err != nil {
		return err
	}
	becomesSeen := f.plan.sees && !m.Flags.System.Has(mailaccess.FlagSeen)
	// RFC 7162, section 3.2.4: the change goes with its number, which is not known
	// yet. mark tells both.
	showsSeen := becomesSeen && !f.c.has(enabledCondstore)
	if showsSeen {
		m.Flags.System |= mailaccess.FlagSeen
	}
	recent := f.c.recent()
	b := f.c.appendFetchBegin(f.c.w.Begin(), m)
	for j := range f.plan.items {
		item := &f.plan.items[j]
		b = appendSpace(b, j)
		switch item.kind {
		case fetchEnvelope, fetchBody, fetchBodyStructure, fetchPreview:
			b = f.rendered.append(b, item.kind, i)
		case fetchSection:
			if b, err = f.writeSection(ctx, b, item, &sections[j]); err != nil {
				return err
			}
		case fetchBinary:
			if b, err = f.writeBinary(b, item, sections[j].decoded, open.content); err != nil {
				return err
			}
		case fetchBinarySize:
			b = imapwire.AppendNumber(append(append(b, item.label...), ' '), uint64(sections[j].decoded.size))
		default:
			b = f.appendMetadata(b, item.kind, m, recent)
		}
	}
	if showsSeen && !f.plan.flags {
		// RFC 3501, section 6.4.5: the flags changed, so they are told.
		b = f.appendMetadata(append(b, ' '), fetchFlags, m, recent)
	}
	if err := f.c.w.End(append(b, ")\r\n"...)); err != nil {
		return err
	}
	if becomesSeen {
		f.read = append(f.read, reading{m.UID, f.c.w.Sent() + int64(f.c.w.Buffered())})
	}
	if open.content != nil {
		return f.flush()
	}
	return nil
}

// flush sends what waits, once in a while: contents may take their time, and a client
// that waits sees something of it, while one that has gone away is noticed.
func (f *fetch) flush() error {
	now := time.Now()
	if now.Sub(f.flushed) < flushAfter {
		return nil
	}
	f.flushed = now
	return f.c.w.Flush()
}

// flushAfter is how long a response may wait while contents are opened.
const flushAfter = 100 * time.Millisecond

// section is where a section lies; absent when the message has none such.
type section struct {
	ranges message.Ranges
	size   int64
	// again: there are so many ranges in the response that they are found anew when
	// they are needed.
	again   bool
	absent  bool
	decoded decoded // of BINARY
}

// sections finds all sections that are asked for, of message i of the batch.
func (f *fetch) sections(ctx context.Context, open *opened, i int) ([]section, error) {
	if !f.plan.sections {
		return nil, nil
	}
	if f.plan.listed && open.listed == nil {
		header, err := open.header(ctx)
		if err != nil {
			return nil, err
		}
		if open.hasHeader {
			open.listed = f.headers.Made(i, header)
		}
	}
	if f.found == nil {
		f.found = make([]section, len(f.plan.items))
	}
	kept := 0
	for i := range f.plan.items {
		item := &f.plan.items[i]
		s := &f.found[i]
		var err error
		switch item.kind {
		case fetchBinary, fetchBinarySize:
			if item.alike != 0 {
				s.decoded = f.found[item.alike-1].decoded
			} else if s.decoded, err = open.decoded(ctx, item); err != nil {
				return nil, err
			}
			continue
		case fetchSection:
		default:
			continue
		}
		s.again = kept > maxRangesKept
		into := s.ranges[:0]
		if s.again {
			into, s.ranges = f.spare[:0], nil
		} else if cap(into) > maxRangesSpare {
			into = nil // the next message may have many ranges elsewhere
		}
		var ranges message.Ranges
		if ranges, s.absent, err = open.ranges(ctx, into, item); err != nil {
			return nil, err
		}
		if err := f.c.nc.Step(); err != nil {
			return nil, err
		}
		s.size = ranges.Size()
		if s.again {
			f.spare = ranges
		} else {
			s.ranges = ranges
			kept += len(ranges)
		}
	}
	return f.found, nil
}

// A header has as many ranges as fields, and a response perhaps many subsets of it: of
// those of one response so many are kept until it is written, and one subset more. What is
// kept of a section for the next message is little.
const (
	maxRangesKept  = 10_000
	maxRangesSpare = 64
)

// ranges finds the part of a section that is asked for.
func (o *opened) ranges(ctx context.Context, into message.Ranges, item *fetchItem) (message.Ranges, bool, error) {
	var ranges message.Ranges
	var absent bool
	var err error
	if item.listed && o.listed != nil {
		ranges = o.listed.AppendSubset(into, 0, item.section.Fields, false)
	} else {
		ranges, absent, err = o.section(ctx, into, item.section)
	}
	if item.partial.n != 0 {
		ranges = ranges.Partial(item.partial.off, item.partial.n)
	}
	return ranges, absent, err
}

// writeSection writes a section as a literal, straight from the store. It takes b
// as from Begin and returns the like.
func (f *fetch) writeSection(ctx context.Context, b []byte, item *fetchItem, s *section) ([]byte, error) {
	b = append(append(b, item.label...), ' ')
	if s.absent {
		return imapwire.AppendNil(b), nil
	}
	if err := f.c.w.End(b); err != nil {
		return nil, err
	}
	id, content := f.open.id, f.open.content
	var from message.RangeWriter = content
	if item.listed && f.open.listed != nil {
		from, content = &f.open, nil
	}
	kind := imapwire.LiteralText
	if f.clean.known[id] {
		kind = imapwire.LiteralClean
	}
	err := f.c.w.WriteLiteral(s.size, kind, func(w io.Writer) error {
		ranges := s.ranges
		if s.again {
			var err error
			if ranges, _, err = f.open.ranges(ctx, f.spare[:0], item); err != nil {
				return err
			}
			f.spare = ranges
			if err := f.c.nc.Step(); err != nil {
				return err
			}
		}
		_, err := ranges.WriteTo(w, from)
		return err
	})
	if size := s.size; err == nil && content != nil && kind == imapwire.LiteralText && size >= cleanFrom && size == content.Size() && !f.c.w.NUL() {
		f.clean.found(id)
	}
	return f.c.w.Begin(), err
}

// reading is a message that becomes \Seen, and where in all that was sent the response
// ends that holds its text.
type reading struct {
	uid mailaccess.UID
	end int64
}

// mark sets \Seen on the messages whose text was sent: after the fact, so that
// what never left is not taken for read. The client was told already, unless it wants
// the change number too; if it was told too much it is told again. When the client has
// broken off, those count whose text went out whole.
func (f *fetch) mark(ctx context.Context) error {
	w := f.c.w
	var seen mailaccess.UIDSetBuilder
	n := 0
	for _, r := range f.read {
		if w.Err() == nil || r.end <= w.Sent() {
			seen.AddUID(r.uid)
			n++
		}
	}
	f.read = f.read[:0]
	if n == 0 {
		return nil
	}
	if w.Err() != nil {
		// The context has ended with the connection.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), markPatience)
		defer cancel()
	}
	uids := seen.Set()
	res, err := f.c.view.SetFlags(ctx, uids, mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagSeen}}, mailaccess.AnyModSeq)
	switch {
	case w.Err() != nil:
		return err
	case err != nil:
		return errorsFirst(f.c.sendFlags(ctx, uids), err)
	case f.c.has(enabledCondstore):
		return f.c.sendFlags(ctx, changedUIDs(res))
	}
	return nil
}

// markPatience is how long a connection that has ended waits for the store.
const markPatience = 10 * time.Second
