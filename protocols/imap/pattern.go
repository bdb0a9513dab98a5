package imap

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// Bounds on patterns: one with more wildcards is not accepted, nor one that is longer than
// any name that it could match.
const (
	maxWildcards = 64
	maxPattern   = mailaccess.MaxMailboxName + maxWildcards
	maxPatterns  = 64
	// maxPatternOctets bounds all patterns of a command together.
	maxPatternOctets = 4 * maxPattern
)

// matchesNothing stands for a pattern that is not accepted: it "MUST be silently
// ignored" (RFC 5258, section 3), and no name is empty.
const matchesNothing = ""

// readPatterns reads a reference name and a pattern, or several in parentheses
// (RFC 5258, section 6, mbox-or-pat), and joins the reference with each. Empty
// patterns are left out, the others in the form of the tree: in the basic syntax that is a question of its own, in the
// extended one they mean nothing (section 3).
func (c *conn) readPatterns() (patterns []string, extended bool, err error) {
	ref, refErr := c.r.ReadMailbox()
	if !isNameError(refErr) && refErr != nil {
		return nil, false, refErr
	}
	if err := c.r.SP(); err != nil {
		return nil, false, err
	}
	octets := 0
	read := func() error {
		pattern, err := c.r.ReadListMailbox()
		switch {
		case err == nil && pattern == "":
			return nil
		case len(patterns) == maxPatterns:
			return bad("too many patterns")
		case err != nil && !isNameError(err):
			return err
		}
		// Names are kept in this form; see [engine.NormalizeName].
		pattern = c.names.read(norm.NFC.String(ref + pattern))
		if err != nil || refErr != nil || len(pattern) > maxPattern || strings.Count(pattern, "*")+strings.Count(pattern, "%") > maxWildcards {
			pattern = matchesNothing
		}
		if octets += len(pattern); octets > maxPatternOctets {
			return bad("too long patterns")
		}
		patterns = append(patterns, pattern)
		return nil
	}
	next, err := c.r.Peek()
	if err != nil {
		return nil, false, err
	}
	if next != '(' {
		err := read()
		return patterns, false, err
	}
	n := 0
	err = c.r.ReadList(func() error { n++; return read() })
	if err == nil && n == 0 {
		err = bad("no pattern")
	}
	return patterns, true, err
}

// isNameError reports whether what was read can be the name of no mailbox.
func isNameError(err error) bool {
	var wrong *imapwire.NameError
	return errors.As(err, &wrong)
}

// matchAll says which of some names match a pattern. It calls step now and then.
func matchAll(ctx context.Context, patterns, names []string, step func() error) ([]bool, error) {
	m := newMatcher(patterns)
	matched := make([]bool, len(names))
	for i, name := range names {
		if i%16 == 0 {
			if err := errorsFirst(step(), ctx.Err()); err != nil {
				return nil, err
			}
		}
		matched[i] = m.match(name)
	}
	return matched, nil
}

// matcher matches names against patterns, in which * stands for anything and % for
// anything without a separator (RFC 3501, section 6.3.8). INBOX, also as the first level
// of a name, is matched in any case (section 5.1).
//
// It goes through a name once. The places that are reached in all patterns are a set of
// bits, each octet of a name a few operations on its words: whatever the patterns are, that
// is less than 80 for each octet.
type matcher struct {
	// literal are, by octet, the places before which that octet takes to the next one.
	literal [256][]uint64
	// star and percent are the places of wildcards, starts and ends those where patterns
	// begin and end.
	star, percent, starts, ends []uint64
	reached                     []uint64
	steps                       int // words gone through
}

func newMatcher(patterns []string) *matcher {
	places := 0
	for _, p := range patterns {
		places += len(p) + 1
	}
	words := (places + 63) / 64
	sets := make([]uint64, 5*words)
	next := func() (set []uint64) { set, sets = sets[:words], sets[words:]; return set }
	m := &matcher{star: next(), percent: next(), starts: next(), ends: next(), reached: next()}
	at := 0
	for _, p := range patterns {
		setBit(m.starts, at)
		p = collapse(p)
		for i := range len(p) {
			switch c := p[i]; c {
			case '*':
				setBit(m.star, at)
			case '%':
				setBit(m.percent, at)
			default:
				if m.literal[c] == nil {
					m.literal[c] = make([]uint64, words)
				}
				setBit(m.literal[c], at)
			}
			at++
		}
		setBit(m.ends, at)
		at++
	}
	return m
}

func setBit(set []uint64, i int) { set[i/64] |= 1 << (i % 64) }

// collapse makes one wildcard of several that stand together.
func collapse(pattern string) string {
	var b []byte
	for i := range len(pattern) {
		c := pattern[i]
		if n := len(b); n > 0 && isWildcard(c) && isWildcard(b[n-1]) {
			if c == '*' {
				b[n-1] = c
			}
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

func isWildcard(c byte) bool { return c == '*' || c == '%' }

// match reports whether a name matches one of the patterns.
func (m *matcher) match(name string) bool {
	fold := 0
	if name == mailaccess.Inbox || strings.HasPrefix(name, mailaccess.Inbox+"/") {
		fold = len(mailaccess.Inbox)
	}
	copy(m.reached, m.starts)
	m.pass()
	for i := range len(name) {
		c := name[i]
		var folded []uint64
		if i < fold {
			folded = m.literal[c+('a'-'A')]
		}
		if !m.step(m.literal[c], folded, c != '/') {
			return false
		}
	}
	for i, r := range m.reached {
		if r&m.ends[i] != 0 {
			return true
		}
	}
	return false
}

// step takes an octet, which takes on from the places in literal and folded. It reports
// whether any place is reached.
func (m *matcher) step(literal, folded []uint64, percent bool) bool {
	var carry, any uint64
	m.steps += len(m.reached)
	for i, r := range m.reached {
		stay := m.star[i]
		if percent {
			stay |= m.percent[i]
		}
		on := uint64(0)
		if literal != nil {
			on = r & literal[i]
		}
		if folded != nil {
			on |= r & folded[i]
		}
		r = r&stay | on<<1 | carry
		carry = on >> 63
		m.reached[i] = r
		any |= r
	}
	if any != 0 {
		m.pass()
	}
	return any != 0
}

// pass passes wildcards, which may stand for nothing. After one comes none.
func (m *matcher) pass() {
	var carry uint64
	for i, r := range m.reached {
		at := r & (m.star[i] | m.percent[i])
		m.reached[i] = r | at<<1 | carry
		carry = at >> 63
	}
}
