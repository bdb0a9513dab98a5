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
	m.each(from, in, since, len(buf), func(c *cell) {
		m.row(c, &buf[n], &z)
		n++
	})
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
	m.each(from, in, since, len(buf), func(c *cell) {
		m.message(c, &buf[n], &z)
		n++
	})
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

// each calls do for at most so many rows, as Next says.
func (m *Mailbox) each(from mailaccess.UID, in mailaccess.UIDSet, since mailaccess.ModSeq, most int, do func(*cell)) {
	t := m.rows()
	if most == 0 {
		return
	}
	i, j := 0, 0
	for r := range in.RangesFrom(from) {
		if k := t.find(i, r.First); k != i {
			i, j = k, 0
		}
		for ; i < len(t.chunks) && t.chunks[i].first() <= r.Last; i, j = i+1, 0 {
			c := &t.chunks[i]
			if c.max > since {
				j += search(c.cells[j:], r.First)
				for ; j < len(c.cells) && c.cells[j].uid <= r.Last; j++ {
					x := &c.cells[j]
					if x.modseq <= since {
						continue
					}
					do(x)
					if most--; most == 0 {
						return
					}
				}
				if j < len(c.cells) {
					break
				}
			}
		}
		if i == len(t.chunks) {
			break
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
