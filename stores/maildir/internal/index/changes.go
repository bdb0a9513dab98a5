package index

import (
	"github.com/hashmail/mailaccess/mailaccess"
)

// Arrive adds rows, ascending by UID, and the names of their files, as many. A UID that
// is there already is overwritten. UIDNext and ModSeq rise with them. It needs the rows.
func (m *Mailbox) Arrive(rows []Row, names []FileName) {
	t := m.rows()
	if len(rows) == 0 {
		return
	}
	var all, unseen, trashed, back mailaccess.UIDSetBuilder
	highest := mailaccess.ModSeq(0)
	for i := range rows {
		r := &rows[i]
		var c *chunk
		var x *cell
		if r.UID < m.uidNext {
			// A change of the past is played again.
			c, x = t.get(r.UID)
			back.AddUID(r.UID)
		}
		if x == nil {
			c, x = t.insert(r.UID)
		} else {
			m.count(x, -1)
			m.kw.drop(x.uid, x.keywords)
		}
		m.fill(x, r)
		m.count(x, 1)
		x.keywords = m.kw.hold(x.uid, r.Flags.Keywords)
		m.setName(c, x, names[i])
		m.touch(c, x)
		all.AddUID(r.UID)
		if !r.Flags.System.Has(mailaccess.FlagSeen) {
			unseen.AddUID(r.UID)
		}
		if r.Flags.System.Has(mailaccess.FlagDeleted) {
			trashed.AddUID(r.UID)
		}
		highest = max(highest, r.ModSeq)
		m.uidNext = max(m.uidNext, r.UID+1)
	}
	arrived := all.Set()
	m.uids = m.uids.Union(arrived)
	m.unseen = m.unseen.Minus(arrived).Union(unseen.Set())
	m.trashed = m.trashed.Minus(arrived).Union(trashed.Set())
	if again := back.Set(); !again.IsEmpty() {
		m.history.back(again)
	}
	m.changedTo(highest, arrived)
}

// SetFlags gives all messages of uids these flags and this number. UIDs without a
// message are passed over. It needs the rows.
func (m *Mailbox) SetFlags(uids mailaccess.UIDSet, flags mailaccess.Flags, modseq mailaccess.ModSeq) {
	t := m.rows()
	uids = uids.Intersect(m.uids)
	t.walk(uids, func(c *chunk, x *cell) {
		if m.kw.at(x.uid, x.keywords) != flags.Keywords {
			m.kw.drop(x.uid, x.keywords)
			x.keywords = m.kw.hold(x.uid, flags.Keywords)
		}
		x.system, x.modseq = flags.System, modseq
		m.touch(c, x)
	})
	m.unseen = with(m.unseen, uids, !flags.System.Has(mailaccess.FlagSeen))
	m.trashed = with(m.trashed, uids, flags.System.Has(mailaccess.FlagDeleted))
	m.changedTo(modseq, uids)
}

// with returns s with uids in it or not.
func with(s, uids mailaccess.UIDSet, in bool) mailaccess.UIDSet {
	if in {
		return s.Union(uids)
	}
	return s.Minus(uids)
}

// Remove takes out the messages of uids and remembers them as gone. UIDs without a
// message are passed over. It needs the rows.
func (m *Mailbox) Remove(uids mailaccess.UIDSet, modseq mailaccess.ModSeq) {
	t := m.rows()
	uids = uids.Intersect(m.uids)
	var gone []Gone
	remember := modseq > m.floor && uids.Len() <= m.limits.HistoryLimit
	t.walk(uids, func(_ *chunk, x *cell) {
		if remember {
			gone = append(gone, Gone{UID: x.uid, Created: x.created, ModSeq: modseq, Email: x.email, Thread: x.thread})
		}
		m.count(x, -1)
		m.kw.drop(x.uid, x.keywords)
		m.forgetName(x.uid)
	})
	t.remove(uids)
	m.uids = m.uids.Minus(uids)
	m.unseen = m.unseen.Minus(uids)
	m.trashed = m.trashed.Minus(uids)
	m.changedTo(modseq, mailaccess.UIDSet{})
	h := &m.history
	h.add(gone)
	switch n := len(h.gone); {
	case uids.Len() > m.limits.HistoryLimit:
		m.RaiseFloor(modseq)
	case n > m.limits.HistoryLimit:
		// Dropping half makes it rare.
		m.RaiseFloor(h.gone[max(n-m.limits.HistoryLimit, n/2)-1].ModSeq)
	}
}

// SetFileName notes another name of a message's file. It takes no number. A UID without a
// message is passed over. It needs the rows.
func (m *Mailbox) SetFileName(uid mailaccess.UID, name FileName) {
	if c, x := m.rows().get(uid); x != nil {
		m.setName(c, x, name)
		m.touch(c, x)
		m.version++
	}
}

// SetSize sets the size of a message, mailaccess.SizeUnknown too. It takes no number. A
// UID without a message is passed over. It needs the rows.
func (m *Mailbox) SetSize(uid mailaccess.UID, size int64) {
	if c, x := m.rows().get(uid); x != nil {
		m.count(x, -1)
		m.setSize(x, size)
		m.count(x, 1)
		m.touch(c, x)
		m.version++
	}
}

// SetCreated sets the mailbox's own numbers to that of its creation, and raises ModSeq.
func (m *Mailbox) SetCreated(n mailaccess.ModSeq) {
	m.created, m.changed = n, n
	m.RaiseModSeq(n)
}

// SetChanged is for a change of the mailbox itself: it raises Changed and ModSeq.
func (m *Mailbox) SetChanged(n mailaccess.ModSeq) {
	m.changed = max(m.changed, n)
	m.RaiseModSeq(n)
}

// RaiseModSeq raises the highest number. To lower it does nothing.
func (m *Mailbox) RaiseModSeq(n mailaccess.ModSeq) {
	m.modseq = max(m.modseq, n)
	m.version++
}

// RaiseUIDNext raises UIDNext. To lower it does nothing.
func (m *Mailbox) RaiseUIDNext(uid mailaccess.UID) {
	m.uidNext = max(m.uidNext, uid)
	m.version++
}

// RaiseFloor forgets what was removed up to a number, and raises ModSeq to it if need
// be. It needs the rows.
func (m *Mailbox) RaiseFloor(n mailaccess.ModSeq) {
	m.rows()
	if n > m.floor {
		m.floor = n
		m.history.cut(n)
		m.RaiseModSeq(n)
	}
}

// SetRecent sets the watermark.
func (m *Mailbox) SetRecent(uid mailaccess.UID) {
	m.recent = uid
	m.version++
}

// SetDirTimes sets what DirTimes returns.
func (m *Mailbox) SetDirTimes(curTime, newTime int64) {
	m.curTime, m.newTime = curTime, newTime
	m.version++
}

// SetMeta sets the caller's octets, at most 64 KiB, which it gives away.
func (m *Mailbox) SetMeta(meta []byte) {
	m.meta = meta
	m.version++
}

// touch notes that x has changed.
func (m *Mailbox) touch(c *chunk, x *cell) {
	x.state |= cellDirty
	c.cover(x)
}

// changedTo ends a change that has the number modseq, of the messages of uids.
func (m *Mailbox) changedTo(modseq mailaccess.ModSeq, uids mailaccess.UIDSet) {
	m.keywords = m.kw.all
	m.RaiseModSeq(modseq)
	m.history.note(modseq, m.modseq, uids, len(m.table.chunks))
}

// setName sets the name of x in memory.
func (m *Mailbox) setName(c *chunk, x *cell, name FileName) {
	m.forgetName(x.uid)
	if m.names == nil {
		m.names = make(map[mailaccess.UID]FileName)
	}
	m.names[x.uid] = name
	m.nameBytes += len(name.Base) + len(name.Suffix)
	x.hash = hashOf(name.Base)
	if c.bases != nil {
		c.bases.add(x.hash)
	}
	x.state |= cellNamed
}

// forgetName lets go of the name in memory.
func (m *Mailbox) forgetName(uid mailaccess.UID) {
	if name, ok := m.names[uid]; ok {
		m.nameBytes -= len(name.Base) + len(name.Suffix)
		if delete(m.names, uid); len(m.names) == 0 {
			m.names = nil // a map that was large stays so
		}
	}
}
