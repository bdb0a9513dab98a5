package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/message"
)

// Options are the limits of a Matcher. Zero values, and a nil pointer, mean
// the defaults.
type Options struct {
	// Depth is how deep And, Or and Not may be nested in each other (1000).
	Depth int
	// Nodes is how many nodes an expression may have, And, Or and Not
	// counted (10,000).
	Nodes int
	// Needles is how many different tests Header, Body and FullText an
	// expression may have (256).
	Needles int
	// Text is how many octets the names and texts of those tests may have
	// together, as they are and as prepared (64 KiB).
	Text int
	// Octets is how many decoded octets of header and text are looked at in
	// one message (64 MiB). What stands beyond is not found.
	Octets int64
}

func (o *Options) withDefaults() Options {
	var v Options
	if o != nil {
		v = *o
	}
	defaultTo(&v.Depth, 1000)
	defaultTo(&v.Nodes, 10_000)
	defaultTo(&v.Needles, 256)
	defaultTo(&v.Text, 64<<10)
	defaultTo(&v.Octets, 64<<20)
	return v
}

func defaultTo[T int | int64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Source opens what a [Matcher] needs of one message beyond its metadata.
type Source interface {
	// Content opens the content of the message. Match closes it.
	Content(ctx context.Context) (mailaccess.Content, error)
	// Structure returns the MIME tree of c, which Content returned. Whoever
	// keeps no trees parses: [message.Parse]. It is asked for only when the
	// header of the message does not decide.
	Structure(ctx context.Context, c mailaccess.Content) (*message.Part, error)
}

// Matcher is a compiled expression. It is immutable and safe for concurrent
// use.
type Matcher struct {
	root    node
	needles []needle
	sent    bool // some key asks for the Date
	header  bool // some key asks for the header of the message
	octets  int64
	scans   sync.Pool // of *scan
}

// Compile makes a Matcher of an expression. Errors: KindInvalid for a nil or
// unknown expression, pointers to the known ones included, KindLimit for one
// over the limits.
func Compile(e mailaccess.Expr, opts *Options) (*Matcher, error) {
	c := compiler{opts: opts.withDefaults(), index: make(map[needleKey]int)}
	root, err := c.build(e, false, 0)
	if err != nil {
		return nil, err
	}
	m := &Matcher{root: root, needles: c.needles, sent: c.sent, header: c.sent, octets: c.opts.Octets}
	for _, n := range m.needles {
		m.header = m.header || n.where != inBody
	}
	return m, nil
}

// NeedsContent reports whether there are messages whose content Match must
// open, apart from those whose size must be found out.
func (m *Matcher) NeedsContent() bool { return m.root.cost >= costHeader }

// Decide reports whether the message matches, as far as its metadata decide that. It
// does not allocate.
func (m *Matcher) Decide(msg *mailaccess.Message) (matches, decided bool) {
	t := m.root.eval(msg, nil)
	return t == yes, t != unknown
}

// MatchesAll reports whether the expression matches every message.
func (m *Matcher) MatchesAll() bool { return m.root.op == opTrue }

// NeedsFlagsOnly reports whether the flags of a message decide whether it matches: whether
// [Matcher.MatchFlags] says so.
func (m *Matcher) NeedsFlagsOnly() bool { return m.root.needsFlagsOnly() }

func (n *node) needsFlagsOnly() bool {
	for i := range n.kids {
		if !n.kids[i].needsFlagsOnly() {
			return false
		}
	}
	return n.op <= opOr || n.op == opFlags
}

// MatchFlags reports whether messages with these flags match an expression that asks for
// nothing else.
func (m *Matcher) MatchFlags(f mailaccess.Flags) bool {
	matches, _ := m.Decide(&mailaccess.Message{Flags: f})
	return matches
}

// NeedsFields reports whether the expression tests single header fields or the sent date:
// whether [Matcher.DecideHeader] may decide more than [Matcher.Decide].
func (m *Matcher) NeedsFields() bool { return m.root.needsFields(m.needles) }

func (n *node) needsFields(needles []needle) bool {
	switch n.op {
	case opNeedle:
		return needles[n.num].where == inField
	case opDay, opBetween:
		return n.date == mailaccess.DateSent
	}
	for i := range n.kids {
		if n.kids[i].needsFields(needles) {
			return true
		}
	}
	return false
}

// DecideHeader reports whether the message matches, as far as its metadata and h decide
// that. Of the fields of the message's header h has all those whose names, in lower case, whole
// reports, and the Date.
func (m *Matcher) DecideHeader(ctx context.Context, msg *mailaccess.Message, h message.Header, whole func(name string) bool) (matches, decided bool) {
	s := m.scan(ctx, msg, nil)
	defer m.done(s)
	t := s.fields(h)
	if t == unknown {
		t = s.missing(whole)
	}
	return t == yes, t != unknown
}

// Match reports whether the message matches. It asks src for the content at
// most once, and only if the metadata do not decide; src may be nil when
// [Matcher.NeedsContent] is false and the size is known.
//
// A message whose content is gone (KindContentGone, from src or while reading)
// and would have been needed does not match, whatever the expression. Other
// errors of src and of the content are returned with their kind; a content
// shorter than it should be is KindCorrupt.
func (m *Matcher) Match(ctx context.Context, msg *mailaccess.Message, src Source) (bool, error) {
	t := m.root.eval(msg, nil)
	if t != unknown {
		return t == yes, nil
	}
	if src == nil {
		return false, invalidError("no content to search in")
	}
	t, err := m.matchContent(ctx, msg, src)
	switch {
	case err == nil:
		return t == yes, nil
	case mailaccess.KindOf(err) == mailaccess.KindContentGone:
		return false, nil
	}
	kind := mailaccess.KindOf(err)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		kind = mailaccess.KindCorrupt
	}
	return false, &mailaccess.Error{Kind: kind, Op: "search", Err: fmt.Errorf("UID %d: %w", msg.UID, err)}
}

func (m *Matcher) matchContent(ctx context.Context, msg *mailaccess.Message, src Source) (truth, error) {
	c, err := src.Content(ctx)
	if err != nil {
		return unknown, err
	}
	// Nothing was written: closing has nothing to tell.
	defer func() { _ = c.Close() }()

	if msg.Size == mailaccess.SizeUnknown {
		sized := *msg
		sized.Size = c.Size()
		msg = &sized
		if t := m.root.eval(msg, nil); t != unknown {
			return t, nil
		}
	}
	s := m.scan(ctx, msg, c)
	defer m.done(s)
	if m.header {
		if t, err := s.header(); t != unknown || err != nil {
			return t, err
		}
	}
	root, err := src.Structure(ctx, c)
	if err != nil {
		return unknown, err
	}
	return s.body(root)
}

// scan returns a scan of a message, until done.
func (m *Matcher) scan(ctx context.Context, msg *mailaccess.Message, c mailaccess.Content) *scan {
	s, _ := m.scans.Get().(*scan)
	if s == nil {
		s = newScan(m)
	}
	s.reset(ctx, msg, c)
	return s
}

func (m *Matcher) done(s *scan) {
	s.release()
	m.scans.Put(s)
}
