package query

import (
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
)

// truth is what is known of a statement so far.
type truth uint8

const (
	unknown truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// known is what the content has told so far.
type known struct {
	found []truth // of each needle
	// sent is the time of the Date field, once sentKnown is not unknown; no
	// means that there is none.
	sentKnown truth
	sent      time.Time
}

// eval evaluates n in three-valued logic. Without k nothing is known of the
// content. It does not allocate.
func (n *node) eval(msg *mailaccess.Message, k *known) truth {
	switch n.op {
	case opTrue:
		return yes
	case opFalse:
		return no
	case opAnd:
		return n.evalKids(msg, k, no)
	case opOr:
		return n.evalKids(msg, k, yes)
	}
	t := n.evalLeaf(msg, k)
	if n.not && t != unknown {
		return no + yes - t
	}
	return t
}

// evalKids returns decisive when that is the truth of one of the kids.
func (n *node) evalKids(msg *mailaccess.Message, k *known, decisive truth) truth {
	t := no + yes - decisive
	for i := range n.kids {
		switch n.kids[i].eval(msg, k) {
		case decisive:
			return decisive
		case unknown:
			t = unknown
		}
	}
	return t
}

func (n *node) evalLeaf(msg *mailaccess.Message, k *known) truth {
	switch n.op {
	case opLarger, opSmaller:
		switch {
		case msg.Size == mailaccess.SizeUnknown:
			return unknown
		case n.op == opLarger:
			return truthOf(msg.Size > n.num)
		}
		return truthOf(msg.Size < n.num)
	case opModSeq:
		return truthOf(msg.ModSeq >= mailaccess.ModSeq(n.num))
	case opFlags:
		return truthOf(n.hasFlags(msg.Flags))
	case opUID:
		return truthOf(n.uids.Contains(msg.UID))
	case opEmail:
		return truthOf(string(msg.EmailID) == n.str)
	case opThread:
		return truthOf(string(msg.ThreadID) == n.str)
	case opNeedle:
		if k == nil {
			return unknown
		}
		return k.found[n.num]
	}
	// opDay, opBetween
	t, have := n.time(msg, k)
	if have != yes {
		return have
	}
	if n.op == opDay {
		return truthOf(n.onDay(t))
	}
	return truthOf((n.from.IsZero() || !t.Before(n.from)) && (n.until.IsZero() || t.Before(n.until)))
}

func (n *node) hasFlags(f mailaccess.Flags) bool {
	if !f.System.Has(n.flags.System) {
		return false
	}
	if len(n.keywords) == 0 || f.Keywords == n.flags.Keywords {
		return true
	}
	for _, w := range n.keywords {
		if !f.Keywords.Has(w) {
			return false
		}
	}
	return true
}

// time returns the date that a leaf compares, and whether there is one.
func (n *node) time(msg *mailaccess.Message, k *known) (time.Time, truth) {
	switch n.date {
	case mailaccess.DateReceived:
		return msg.Received, yes
	case mailaccess.DateSaved:
		return msg.Saved, truthOf(!msg.Saved.IsZero())
	}
	if k == nil {
		return time.Time{}, unknown
	}
	return k.sent, k.sentKnown
}

// onDay compares days as written. RFC 3501, section 6.4.4: "disregarding time
// and timezone".
func (n *node) onDay(t time.Time) bool {
	c := mailaccess.DayOf(t).Compare(n.day)
	switch n.dayOp {
	case mailaccess.DayBefore:
		return c < 0
	case mailaccess.DayOn:
		return c == 0
	}
	return c >= 0
}
