package mailaccess

import "time"

// Expr is a search expression: what a message is asked. The types below are all
// there are. Expressions are immutable. Package query evaluates them; a store's
// [Searcher] may.
//
// Whatever belongs to a session (message numbers, \Recent, saved results) the
// front-end has turned into [UIDIn] before.
type Expr interface{ expr() }

type (
	// And matches when all match; none at all matches everything.
	And []Expr
	// Or matches when one matches; none at all matches nothing.
	Or []Expr
	// Not matches when X does not.
	Not struct{ X Expr }

	// UIDIn matches the messages in the set.
	UIDIn struct{ UIDs UIDSet }
	// HasFlags matches messages that have all of Flags.
	HasFlags struct{ Flags Flags }
	// Larger and Smaller compare the size, in octets, strictly.
	Larger  struct{ Than int64 }
	Smaller struct{ Than int64 }
	// ModSeqFrom matches messages whose change number is at least Min.
	ModSeqFrom struct{ Min ModSeq }
	// EmailIs and ThreadIs compare object ids (RFC 8474, section 5.3).
	EmailIs  struct{ ID EmailID }
	ThreadIs struct{ ID ThreadID }

	// OnDay compares a date as written, without time and zone (RFC 3501,
	// section 6.4.4: BEFORE, ON, SINCE and their SENT forms).
	OnDay struct {
		Date DateField
		Op   DayOp
		Day  Day
	}
	// Between matches when the date, as an instant, is at least From and
	// before Until; a zero time is no bound (RFC 5032; RFC 8621, section
	// 4.4.1).
	Between struct {
		Date        DateField
		From, Until time.Time
	}

	// Header matches when a field called Name has Text in its decoded body;
	// an empty Text asks only that there be such a field.
	Header struct{ Name, Text string }
	// Body matches when Text stands in a decoded text part.
	Body struct{ Text string }
	// FullText matches when Text stands in a decoded header or text part.
	FullText struct{ Text string }
)

func (And) expr()        {}
func (Or) expr()         {}
func (Not) expr()        {}
func (UIDIn) expr()      {}
func (HasFlags) expr()   {}
func (Larger) expr()     {}
func (Smaller) expr()    {}
func (ModSeqFrom) expr() {}
func (EmailIs) expr()    {}
func (ThreadIs) expr()   {}
func (OnDay) expr()      {}
func (Between) expr()    {}
func (Header) expr()     {}
func (Body) expr()       {}
func (FullText) expr()   {}

// DateField is one of a message's dates.
type DateField uint8

// The dates.
const (
	DateReceived DateField = iota
	DateSent               // the Date header field
	DateSaved              // RFC 8514; a message without one matches nothing
)

// DayOp compares days.
type DayOp uint8

// The comparisons.
const (
	DayBefore DayOp = iota
	DayOn
	DaySince // that day or later
)

// Day is a calendar day.
type Day struct {
	Year  int
	Month time.Month
	Day   int
}

// DayOf returns the day that t shows in its own zone.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day{y, m, d}
}

// Compare returns -1, 0 or +1.
func (d Day) Compare(o Day) int {
	switch {
	case d.Year != o.Year:
		return sign(d.Year - o.Year)
	case d.Month != o.Month:
		return sign(int(d.Month - o.Month))
	}
	return sign(d.Day - o.Day)
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
