package imap

import (
	"context"
	"sort"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// resync is what a client says that it knows of the mailbox that it selects, in order to
// be told no more than what changed since (RFC 7162, section 3.2.5).
type resync struct {
	uidValidity uint32
	since       mailaccess.ModSeq
	known       *imapwire.NumSet // UIDs; nil: all that there ever were
	// match is message numbers with the UIDs that the client knows them by.
	match matchData
}

// parseSelectParams reads a space and a list of parameters, if there is one (RFC 4466,
// section 2.1).
func (c *conn) parseSelectParams(s *selecting) error {
	if more, err := c.r.Accept(' '); err != nil || !more {
		return err
	}
	return c.readParameters(func(name string) (known bool, err error) {
		switch {
		case name == "CONDSTORE" && !s.condstore:
			s.condstore = true
		case name == "QRESYNC" && s.resync == nil:
			s.resync, err = c.parseResync()
		default:
			return false, nil
		}
		return true, err
	})
}

// parseResync reads a space and the arguments of QRESYNC.
func (c *conn) parseResync() (*resync, error) {
	if !c.has(enabledQResync) {
		return nil, bad("QRESYNC needs ENABLE QRESYNC") // RFC 7162, section 3.2.5
	}
	if err := c.r.SP(); err != nil {
		return nil, err
	}
	if err := c.r.Expect('('); err != nil {
		return nil, err
	}
	var r resync
	var err error
	if r.uidValidity, err = c.r.ReadNZNumber(); err != nil {
		return nil, err
	}
	if r.since, err = c.readModSeq(); err != nil {
		return nil, err
	}
	more, err := c.r.Accept(' ')
	if err != nil {
		return nil, err
	}
	if next, err := c.r.Peek(); err != nil {
		return nil, err
	} else if more && next != '(' {
		r.known = new(imapwire.NumSet)
		if err := c.readPlainSet(r.known); err != nil {
			return nil, err
		}
		if more, err = c.r.Accept(' '); err != nil {
			return nil, err
		}
	}
	if more {
		if err := c.parseMatchData(&r.match); err != nil {
			return nil, err
		}
	}
	return &r, c.r.Expect(')')
}

// readPlainSet reads a set in which "*" is not allowed.
func (c *conn) readPlainSet(set *imapwire.NumSet) error {
	if err := c.r.ReadNumSet(set); err != nil {
		return err
	}
	if set.Saved || set.Star() {
		return bad("a set here has numbers only") // RFC 7162, section 7
	}
	return nil
}

// run tells what vanished and what changed.
func (r *resync) run(ctx context.Context, c *conn) error {
	st, told := c.view.Status(), c.told()
	if r.uidValidity != st.UIDValidity {
		// RFC 7162, section 3.2.5: whatever the client knows is of another mailbox.
		return nil
	}
	// RFC 7162, section 3.2.5.1: without known UIDs, all that were ever given.
	known := mailaccess.UIDSetRange(1, st.UIDNext-1)
	if r.known != nil {
		known = uidSet(r.known.Resolve(0))
	}
	vanished, err := c.view.Vanished(ctx, known, r.since)
	if err != nil {
		return err
	}
	if known := r.match.known(c.view.UID); known > 0 {
		vanished = vanished.Minus(mailaccess.UIDSetRange(1, known))
	}
	if err := c.sendVanished("* VANISHED (EARLIER) ", vanished); err != nil {
		return err
	}
	since := r.since
	if since > told {
		// The client has seen a future that this mailbox lost: nothing that it
		// knows is sure.
		since = 0
	}
	for m, err := range c.view.Changed(ctx, known, since) {
		if err != nil {
			return err
		}
		if m.ModSeq > told {
			continue // news since the mailbox was opened: the update tells it
		}
		if err := c.w.End(c.appendFetchFlags(c.w.Begin(), m)); err != nil {
			return err
		}
	}
	return nil
}

// vanished tells which of the UIDs asked for vanished (RFC 7162, section 3.2.6), before
// any FETCH response.
func (f *fetch) vanished(ctx context.Context) error {
	v := f.c.view
	if f.c.set.Saved {
		return nil // what went is not in it any more
	}
	// "*" is the highest UID that there ever was: 1:* would leave out the last
	// message, when it is that which went.
	set := imapwire.NumSet{Ranges: append([]imapwire.NumRange(nil), f.c.set.Ranges...)}
	top := max(v.Status().UIDNext, 1) - 1
	vanished, err := v.Vanished(ctx, uidSet(set.Resolve(uint32(top))), f.modifiers.since)
	if err != nil {
		return err
	}
	return f.c.sendVanished("* VANISHED (EARLIER) ", vanished)
}

// uidSet returns the UIDs in ranges.
func uidSet(ranges []imapwire.NumRange) mailaccess.UIDSet {
	var b mailaccess.UIDSetBuilder
	for _, r := range ranges {
		b.AddRange(mailaccess.UID(r.First), mailaccess.UID(r.Last))
	}
	return b.Set()
}

// maxVanished is how many ranges a VANISHED response has at most: 8 KiB of them, which
// is what RFC 7162, section 4 recommends for lines.
const maxVanished = 350

// sendVanished writes VANISHED responses that begin as begin does (RFC 7162, section
// 3.2.10).
func (c *conn) sendVanished(begin string, uids mailaccess.UIDSet) error {
	var b []byte
	n := 0
	for r := range uids.Ranges() {
		if n == 0 {
			b = append(c.w.Begin(), begin...)
		} else {
			b = append(b, ',')
		}
		b = imapwire.AppendRange(b, uint32(r.First), uint32(r.Last))
		if n++; n == maxVanished {
			if err := c.w.End(append(b, "\r\n"...)); err != nil {
				return err
			}
			n = 0
		}
	}
	if n == 0 {
		return nil
	}
	return c.w.End(append(b, "\r\n"...))
}

// matchData is a sample of message numbers and the UIDs that the client knows them by,
// both ascending, as many of one as of the other (RFC 7162, section 3.2.5.2).
type matchData struct{ numbers, uids []imapwire.NumRange }

func (c *conn) parseMatchData(m *matchData) error {
	if c.has(enabledUIDOnly) {
		return errUIDRequired // RFC 9586, section 3.7
	}
	if err := c.r.Expect('('); err != nil {
		return err
	}
	var numbers, uids imapwire.NumSet
	if err := c.readPlainSet(&numbers); err != nil {
		return err
	}
	if err := c.r.SP(); err != nil {
		return err
	}
	if err := c.readPlainSet(&uids); err != nil {
		return err
	}
	n, ascending := countAscending(numbers.Ranges)
	k, alsoAscending := countAscending(uids.Ranges)
	if !ascending || !alsoAscending || n != k {
		return bad("match data are ascending numbers and as many ascending UIDs")
	}
	m.numbers, m.uids = numbers.Ranges, uids.Ranges
	return c.r.Expect(')')
}

// countAscending counts the members of a set, and reports whether they ascend.
func countAscending(set []imapwire.NumRange) (n uint64, ascending bool) {
	last := uint32(0)
	for _, r := range set {
		if r.First <= last || r.Last < r.First {
			return 0, false
		}
		last = r.Last
		n += uint64(r.Last-r.First) + 1
	}
	return n, true
}

// known returns the UID up to which the client knows of all removals: the highest of the
// sample that still has its number. When that many messages are left up to it, none of
// those below went either. uid is the UID of a message number now.
func (m *matchData) known(uid func(n int) mailaccess.UID) mailaccess.UID {
	i, j := len(m.numbers)-1, len(m.uids)-1
	if i < 0 {
		return 0
	}
	number, id := m.numbers[i].Last, m.uids[j].Last
	for {
		// The pairs that end here and descend together.
		n := min(number-m.numbers[i].First, id-m.uids[j].First)
		matching := sort.Search(int(n)+1, func(k int) bool {
			back := n - uint32(k)
			return uid(int(number-back)) != mailaccess.UID(id-back)
		})
		if matching > 0 {
			return mailaccess.UID(id - (n - uint32(matching-1)))
		}
		atFirst, atLowest := number-n == m.numbers[i].First, id-n == m.uids[j].First
		number, id = number-n-1, id-n-1
		if atFirst {
			if i--; i < 0 {
				return 0
			}
			number = m.numbers[i].Last
		}
		if atLowest {
			if j--; j < 0 {
				return 0
			}
			id = m.uids[j].Last
		}
	}
}
