package query

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/mailaccess"
)

// node is a node of the normalised expression: negations stand at the leaves
// alone, no And lies in an And and no Or in an Or, and what costs less to know
// comes first.
type node struct {
	op   op
	not  bool // leaves only
	cost uint8
	kids []node // And, Or

	// What a leaf compares with; which fields count depends on op.
	num      int64 // size, mod-sequence, or index of a needle
	str      string
	uids     mailaccess.UIDSet
	flags    mailaccess.Flags
	keywords []string
	date     mailaccess.DateField
	dayOp    mailaccess.DayOp
	day      mailaccess.Day
	from     time.Time
	until    time.Time
}

type op uint8

const (
	opTrue op = iota
	opFalse
	opAnd
	opOr
	opLarger
	opSmaller
	opModSeq
	opFlags
	opUID
	opEmail
	opThread
	opDay
	opBetween
	opNeedle
)

// What it costs to know a leaf. From costHeader on, it takes the content.
const (
	costNumber uint8 = iota
	costLookup
	costDate
	costHeader
	costField
	costFullText
	costBody
)

// needle is a text to look for. Equal needles are one.
type needle struct {
	where where
	name  string // of the field, in lower case
	text  []byte // prepared by UnicodeCasemap; empty: that there is the field
}

type where uint8

const (
	inField where = iota
	inBody
	inFullText
)

type compiler struct {
	opts    Options
	nodes   int
	text    int
	needles []needle
	index   map[needleKey]int
	sent    bool // there is a key for the sent date
}

type needleKey struct {
	where      where
	name, text string
}

// build normalises e, or its negation, which lies below depth others.
func (c *compiler) build(e mailaccess.Expr, not bool, depth int) (node, error) {
	if c.nodes++; c.nodes > c.opts.Nodes {
		return node{}, limitError("more than %d search keys", c.opts.Nodes)
	}
	switch e := e.(type) {
	case mailaccess.And:
		return c.join(opAnd, e, not, depth)
	case mailaccess.Or:
		return c.join(opOr, e, not, depth)
	case mailaccess.Not:
		if depth++; depth > c.opts.Depth {
			return node{}, limitError("search keys nested more than %d deep", c.opts.Depth)
		}
		return c.build(e.X, !not, depth)
	}
	n, err := c.leaf(e)
	if err != nil {
		return node{}, err
	}
	if not {
		switch n.op {
		case opTrue:
			n.op = opFalse
		case opFalse:
			n.op = opTrue
		default:
			n.not = true
		}
	}
	return n, nil
}

// join builds an And or an Or. A negated one becomes the other, of negations.
func (c *compiler) join(o op, kids []mailaccess.Expr, not bool, depth int) (node, error) {
	if depth++; depth > c.opts.Depth {
		return node{}, limitError("search keys nested more than %d deep", c.opts.Depth)
	}
	if not {
		o = opAnd + opOr - o
	}
	neutral, decisive := opTrue, opFalse
	if o == opOr {
		neutral, decisive = opFalse, opTrue
	}
	n := node{op: o}
	decided := false
	for _, e := range kids {
		// What is decided already is still looked at for errors.
		k, err := c.build(e, not, depth)
		if err != nil {
			return node{}, err
		}
		switch k.op {
		case neutral:
		case decisive:
			decided = true
		case o:
			n.kids = append(n.kids, k.kids...)
		default:
			n.kids = append(n.kids, k)
		}
	}
	switch {
	case decided:
		return node{op: decisive}, nil
	case len(n.kids) == 0:
		return node{op: neutral}, nil
	case len(n.kids) == 1:
		return n.kids[0], nil
	}
	slices.SortStableFunc(n.kids, func(a, b node) int { return int(a.cost) - int(b.cost) })
	n.cost = n.kids[len(n.kids)-1].cost
	return n, nil
}

func (c *compiler) leaf(e mailaccess.Expr) (node, error) {
	switch e := e.(type) {
	case mailaccess.UIDIn:
		return node{op: opUID, cost: costLookup, uids: e.UIDs}, nil
	case mailaccess.HasFlags:
		n := node{op: opFlags, cost: costNumber, flags: e.Flags}
		for w := range e.Flags.Keywords.All() {
			n.cost = costLookup
			n.keywords = append(n.keywords, w)
		}
		return n, nil
	case mailaccess.Larger:
		return node{op: opLarger, num: e.Than}, nil
	case mailaccess.Smaller:
		return node{op: opSmaller, num: e.Than}, nil
	case mailaccess.ModSeqFrom:
		return node{op: opModSeq, num: int64(e.Min)}, nil
	case mailaccess.EmailIs:
		return node{op: opEmail, cost: costLookup, str: string(e.ID)}, nil
	case mailaccess.ThreadIs:
		return node{op: opThread, cost: costLookup, str: string(e.ID)}, nil
	case mailaccess.OnDay:
		if e.Op > mailaccess.DaySince {
			return node{}, invalidError("unknown comparison of days %d", e.Op)
		}
		cost, err := c.dateCost(e.Date)
		return node{op: opDay, cost: cost, date: e.Date, dayOp: e.Op, day: e.Day}, err
	case mailaccess.Between:
		cost, err := c.dateCost(e.Date)
		return node{op: opBetween, cost: cost, date: e.Date, from: e.From, until: e.Until}, err
	case mailaccess.Header:
		return c.needle(inField, strings.ToLower(e.Name), e.Text)
	case mailaccess.Body:
		return c.needle(inBody, "", e.Text)
	case mailaccess.FullText:
		return c.needle(inFullText, "", e.Text)
	case nil:
		return node{}, invalidError("missing search key")
	}
	return node{}, invalidError("unknown search key %T", e)
}

func (c *compiler) dateCost(f mailaccess.DateField) (uint8, error) {
	switch f {
	case mailaccess.DateReceived, mailaccess.DateSaved:
		return costDate, nil
	case mailaccess.DateSent:
		c.sent = true
		return costHeader, nil
	}
	return 0, invalidError("unknown date %d", f)
}

func (c *compiler) needle(w where, name, text string) (node, error) {
	if text == "" && w != inField {
		return node{op: opTrue}, nil
	}
	// Folding makes a text longer, by 11 times at most: check before, too.
	if c.text += len(name) + len(text); c.text > c.opts.Text {
		return node{}, limitError("search texts of more than %d octets", c.opts.Text)
	}
	if !utf8.ValidString(text) {
		return node{op: opFalse}, nil
	}
	key := needleKey{w, name, UnicodeCasemap(text)}
	if c.text += max(0, len(key.text)-len(text)); c.text > c.opts.Text {
		return node{}, limitError("search texts of more than %d octets", c.opts.Text)
	}
	i, ok := c.index[key]
	if !ok {
		if i = len(c.needles); i == c.opts.Needles {
			return node{}, limitError("more than %d search texts", c.opts.Needles)
		}
		c.needles = append(c.needles, needle{w, name, []byte(key.text)})
		c.index[key] = i
	}
	cost := costField
	switch w {
	case inBody:
		cost = costBody
	case inFullText:
		cost = costFullText
	}
	return node{op: opNeedle, cost: cost, num: int64(i)}, nil
}

func limitError(format string, a ...any) error {
	return &mailaccess.Error{Kind: mailaccess.KindLimit, Op: "search", Err: fmt.Errorf(format, a...)}
}

func invalidError(format string, a ...any) error {
	return &mailaccess.Error{Kind: mailaccess.KindInvalid, Op: "search", Err: fmt.Errorf(format, a...)}
}
