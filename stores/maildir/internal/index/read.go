package index

import (
	"cmp"
	"iter"
	"slices"

	"github.com/hashmail/mailaccess/mailaccess"
)

// Get returns the row of a message. It needs the rows.
func (m *Mailbox) Get(uid mailaccess.UID) (Row, bool) {
	var r Row
	_, x := m.rows().get(uid)
	if x == nil {
		return r, false
	}
	var z zone
	m.row(x, &r, &z)
	return r, true
}

// Next fills buf with the rows of in at or above from whose number is above since,
// ascending by UID, and returns how many: less than len(buf) when there are no more. It does
// not allocate. It needs the rows.
//
//	for n := m.Next(from, in, since, buf); n > 0; n = m.Next(from, in, since, buf) {
//		...
//		from = buf[n-1].UID + 1
//	}
func (m *Mailbox) Next(from mailaccess.UID, in mailaccess.UIDSet, since mailaccess.ModSeq, buf []Row) int {
	n := 0
	var z zone
	for cells := range m.spans(from, in, since) {
		for i := range cells {
			if cells[i].modseq <= since {
				continue
			}
			if n == len(buf) {
				return n
			}
			m.row(&cells[i], &buf[n], &z)
			n++
		}
	}
	return n
}

// Message is a message without its ids, and the numbers that they are made of.
type Message struct {
	mailaccess.Message
	Email, Thread uint32
}

// NextMessages is Next for listings, which spares them a copy. The ids in buf stay as they are.
func (m *Mailbox) NextMessages(from mailaccess.UID, in mailaccess.UIDSet, since mailaccess.ModSeq, buf []Message) int {
	n := 0
	var z zone
	for cells := range m.spans(from, in, since) {
		for i := range cells {
			if cells[i].modseq <= since {
				continue
			}
			if n == len(buf) {
				return n
			}
			m.message(&cells[i], &buf[n], &z)
			n++
		}
	}
	return n
}

// message is row for a Message.
func (m *Mailbox) message(c *cell, r *Message, last *zone) {
	r.UID, r.ModSeq, r.Created = c.uid, c.modseq, c.created
	r.Flags = m.flags(c)
	r.Size = m.sizeOf(c)
	r.Received = m.zones.time(c.received, last)
	r.Saved = unpackSaved(c.saved)
	r.Email, r.Thread = c.email, c.thread
}

// FindFlags adds to found the messages of in at or above from whose number is above since and
// whose flags match. It looks at no more rows than most, or a few more, and returns where to
// go on, 0 when there are no more. match is asked of few messages: what it said of the same
// flags is remembered. It needs the rows.
func (m *Mailbox) FindFlags(from mailaccess.UID, in mailaccess.UIDSet, since mailaccess.ModSeq, most int, match func(mailaccess.Flags) bool, found *mailaccess.UIDSetBuilder) (next mailaccess.UID) {
	var said flagsMemo
	var run mailaccess.UIDRange // that is not in found yet
	for cells := range m.spans(from, in, since) {
		if most <= 0 {
			next = cells[0].uid
			break
		}
		most -= len(cells)
		for i := range cells {
			c := &cells[i]
			if c.modseq <= since || !said.match(m, c, match) {
				continue
			}
			if run.Last+1 == c.uid && run.Last != 0 {
				run.Last = c.uid
				continue
			}
			found.AddRange(run.First, run.Last)
			run = mailaccess.UIDRange{First: c.uid, Last: c.uid}
		}
	}
	found.AddRange(run.First, run.Last)
	return next
}

// flagsMemo remembers what was said of flags, of the last that fell on each place.
type flagsMemo [256]struct {
	flags uint32 // system flags and number of the keywords
	said  bool
	match bool
}

func (f *flagsMemo) match(m *Mailbox, c *cell, match func(mailaccess.Flags) bool) bool {
	if c.keywords == keywordsLate { // which says nothing of the keywords
		return match(m.flags(c))
	}
	flags := uint32(c.keywords)<<8 | uint32(c.system)
	e := &f[(uint16(c.system)^c.keywords*31)%uint16(len(f))]
	if !e.said || e.flags != flags {
		e.flags, e.said, e.match = flags, true, match(m.flags(c))
	}
	return e.match
}

// spans yields the rows of in at or above from, ascending, as they lie next to each other in
// memory. Of those that have no number above since it passes over many.
func (m *Mailbox) spans(from mailaccess.UID, in mailaccess.UIDSet, since mailaccess.ModSeq) iter.Seq[[]cell] {
	t := m.rows()
	return func(yield func([]cell) bool) {
		i, j := 0, 0
		for r := range in.RangesFrom(from) {
			if k := t.find(i, r.First); k != i {
				i, j = k, 0
			}
			for ; i < len(t.chunks) && t.chunks[i].first() <= r.Last; i, j = i+1, 0 {
				c := &t.chunks[i]
				if c.max <= since {
					continue
				}
				j += search(c.cells[j:], r.First)
				end := len(c.cells)
				if c.last() > r.Last {
					end = j + search(c.cells[j:], r.Last+1)
				}
				if j < end && !yield(c.cells[j:end]) {
					return
				}
				if j = end; j < len(c.cells) {
					break
				}
			}
			if i == len(t.chunks) {
				break
			}
		}
	}
}

// FindEmail returns the messages of an email number, ascending. The mailbox must not be
// changed while ranging. It needs the rows.
func (m *Mailbox) FindEmail(email uint32) iter.Seq[mailaccess.UID] {
	t := m.rows()
	return func(yield func(mailaccess.UID) bool) {
		if email == 0 {
			return
		}
		for i := range t.chunks {
			c := &t.chunks[i]
			if email < c.minEmail || email > c.maxEmail {
				continue
			}
			for j := range c.cells {
				if c.cells[j].email == email && !yield(c.cells[j].uid) {
					return
				}
			}
		}
	}
}

// OneOfEmail returns one of the messages of an email number. Those of a mailbox into which
// messages only came have ascending numbers: there it looks at a few rows. It needs the rows.
func (m *Mailbox) OneOfEmail(email uint32) (mailaccess.UID, bool) {
	t := m.rows()
	if email == 0 {
		return 0, false
	}
	for i := range t.chunks {
		c := &t.chunks[i]
		if email < c.minEmail || email > c.maxEmail {
			continue
		}
		j, ok := slices.BinarySearchFunc(c.cells, email, func(x cell, email uint32) int { return cmp.Compare(x.email, email) })
		for k := 0; !ok && k < len(c.cells); k++ {
			j, ok = k, c.cells[k].email == email
		}
		if ok {
			return c.cells[j].uid, true
		}
	}
	return 0, false
}
