package imap

import (
	"context"
	"iter"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// found is what a search or a sort found, in the order in which it is told.
type found struct {
	// uids is what a search found, in the order of the mailbox.
	uids mailaccess.UIDSet
	// sorted is what a sort found, in its order; uids is empty then.
	sorted []mailaccess.UID
}

func (f found) len() int {
	if f.sorted != nil {
		return len(f.sorted)
	}
	return f.uids.Len()
}

// at returns the i-th, from 1 on.
func (f found) at(i int) mailaccess.UID {
	if f.sorted != nil {
		return f.sorted[i-1]
	}
	return f.uids.Select(i)
}

// part returns those from the i-th to the j-th; nothing when i is above j.
func (f found) part(i, j int) found {
	switch {
	case i > j:
		return found{}
	case f.sorted != nil:
		return found{sorted: f.sorted[i-1 : j]}
	}
	return found{uids: f.uids.Intersect(mailaccess.UIDSetRange(f.uids.Select(i), f.uids.Select(j)))}
}

// set returns what was found without its order.
func (f found) set() mailaccess.UIDSet {
	if f.sorted == nil {
		return f.uids
	}
	return mailaccess.UIDSetOf(f.sorted...)
}

// told are the messages that the response tells something of with these options.
// They are what SAVE saves (RFC 5182, section 2.4; RFC 9394, section 3.2), and what
// a MODSEQ in the response is of (RFC 4731, section 3.2).
func (f found) told(o *returnOptions) mailaccess.UIDSet {
	if o.has(returnAll|returnCount) || !o.has(returnData) {
		return f.set()
	}
	var told mailaccess.UIDSet
	if o.has(returnPartial) {
		told = f.part(o.partial.of(f.len())).set()
	}
	if n := f.len(); n > 0 {
		if o.has(returnMin) {
			told = told.With(f.at(1))
		}
		if o.has(returnMax) {
			told = told.With(f.at(n))
		}
	}
	return told
}

// runs yields what was found as runs of ascending numbers without gaps, in order:
// UIDs, or message numbers as they are in numbers. RFC 5267, section 3.2: what a sort
// found in descending order is no run.
func (f found) runs(numbers mailaccess.UIDSet, how addressing) iter.Seq2[uint32, uint32] {
	number := func(uid mailaccess.UID) uint32 {
		if how == byUID {
			return uint32(uid)
		}
		return uint32(numbers.Rank(uid))
	}
	return func(yield func(first, last uint32) bool) {
		var first, last uint32 // the run that may go on
		add := func(a, b uint32) bool {
			if last != 0 && a == last+1 {
				last = b
				return true
			}
			old, until := first, last
			first, last = a, b
			return until == 0 || yield(old, until)
		}
		for r := range f.uids.Ranges() {
			// Whatever lies in the range has a number, so that the
			// numbers have no gap either.
			a := number(r.First)
			if !add(a, a+uint32(r.Last-r.First)) {
				return
			}
		}
		for _, uid := range f.sorted {
			if n := number(uid); !add(n, n) {
				return
			}
		}
		if last != 0 {
			yield(first, last)
		}
	}
}

// searchAnswer is the answer to a SEARCH, a SORT, or what is like them.
type searchAnswer struct {
	how addressing
	ret returnOptions
	// plain is the name of the response when there was no RETURN.
	plain string
	// modSeq: the criteria speak of mod-sequences, so that the response tells the
	// highest of what was found (RFC 7162, section 3.1.5).
	modSeq bool
}

// answerFound writes the response to a searching command and saves what is to be
// saved. Without RETURN it is a plain SEARCH or SORT response (RFC 3501, section
// 7.2.5; RFC 5256, section 4); else, and to each SEARCH of IMAP4rev2 (RFC 9051,
// section 6.4.4), an ESEARCH.
func (c *conn) answerFound(ctx context.Context, a *searchAnswer, f found) error {
	ret := a.ret
	extended := ret.given || a.plain == "SEARCH" && c.rev2()
	if !ret.given {
		ret.bits = returnAll
	}
	var highest mailaccess.ModSeq
	if a.modSeq {
		if err := c.enable(enabledCondstore); err != nil { // RFC 7162, section 3.1
			return err
		}
		var err error
		if highest, err = highestModSeq(ctx, c.view, f.told(&ret)); err != nil {
			return err
		}
	}
	if ret.has(returnSave) {
		if err := c.save(f.told(&ret)); err != nil {
			return err
		}
	}
	switch {
	case !extended:
		return c.sendPlain(a, f, highest)
	case !ret.has(returnData):
		// RFC 5182, section 1: SAVE alone suppresses the response.
		return nil
	}
	b := appendESearch(c.w.Begin(), c.r.Tag(), a.how)
	return c.sendESearch(b, c.view.UIDs(), a.how, &ret, f, highest)
}

// highestModSeq returns the highest mod-sequence of messages; 0 when there are none.
func highestModSeq(ctx context.Context, view *engine.View, uids mailaccess.UIDSet) (mailaccess.ModSeq, error) {
	var highest mailaccess.ModSeq
	for m, err := range view.Messages(ctx, uids) {
		if err != nil {
			return 0, err
		}
		highest = max(highest, m.ModSeq)
	}
	return highest, nil
}

// maxNumber is what a space and a number take at most, in octets.
const maxNumber = 1 + 10

// sendPlain writes a response that lists numbers one by one.
func (c *conn) sendPlain(a *searchAnswer, f found, highest mailaccess.ModSeq) error {
	b := append(append(c.w.Begin(), "* "...), a.plain...)
	var digits imapwire.Ascending
	for first, last := range f.runs(c.view.UIDs(), a.how) {
		// n may be the highest number that there can be.
		for n := first; ; n++ {
			b = digits.Append(append(b, ' '), n)
			if cap(b)-len(b) < maxNumber {
				if err := c.w.End(b); err != nil {
					return err
				}
				b = c.w.Begin()
			}
			if n == last {
				break
			}
		}
	}
	if highest != 0 {
		b = imapwire.AppendNumber(append(b, " (MODSEQ "...), uint64(highest))
		b = append(b, ')')
	}
	return c.w.End(append(b, "\r\n"...))
}

// sendESearch writes the rest of an ESEARCH response, which b begins (RFC 4731,
// section 3.1).
func (c *conn) sendESearch(b []byte, numbers mailaccess.UIDSet, how addressing, o *returnOptions, f found, highest mailaccess.ModSeq) error {
	n := f.len()
	number := func(name string, i int) {
		first, _ := firstRun(f.part(i, i).runs(numbers, how))
		b = imapwire.AppendNumber(append(b, name...), first)
	}
	if o.has(returnMin) && n > 0 {
		number(" MIN ", 1)
	}
	if o.has(returnMax) && n > 0 {
		number(" MAX ", n)
	}
	var err error
	if o.has(returnAll) && n > 0 {
		if b, err = c.sendSet(append(b, " ALL "...), f.runs(numbers, how)); err != nil {
			return err
		}
	}
	if o.has(returnPartial) {
		b = append(o.partial.appendTo(append(b, " PARTIAL ("...)), ' ')
		if i, j := o.partial.of(n); i > j {
			b = append(b, "NIL"...) // RFC 9394, section 3.1
		} else if b, err = c.sendSet(b, f.part(i, j).runs(numbers, how)); err != nil {
			return err
		}
		b = append(b, ')')
	}
	if o.has(returnCount) {
		b = imapwire.AppendNumber(append(b, " COUNT "...), uint64(n))
	}
	if highest != 0 {
		b = imapwire.AppendNumber(append(b, " MODSEQ "...), uint64(highest))
	}
	return c.w.End(append(b, "\r\n"...))
}

func firstRun(runs iter.Seq2[uint32, uint32]) (first, last uint32) {
	for first, last = range runs {
		break
	}
	return first, last
}

// sendSet appends runs as a sequence set, piece by piece: it may be long. It returns
// the buffer to append to.
func (c *conn) sendSet(b []byte, runs iter.Seq2[uint32, uint32]) ([]byte, error) {
	comma := false
	for first, last := range runs {
		if comma {
			b = append(b, ',')
		}
		comma = true
		if err := c.w.End(imapwire.AppendRange(b, first, last)); err != nil {
			return nil, err
		}
		b = c.w.Begin()
	}
	return b, nil
}
