package imap

import (
	"errors"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// Bounds on the work of matching: a pattern with more wildcards is not accepted, nor
// one that is longer than any name that it could match.
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
		pattern = c.srv.names.read(norm.NFC.String(ref + pattern))
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

// matchesAny reports whether a name matches one of some patterns.
func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if matches(p, name) {
			return true
		}
	}
	return false
}

// matches reports whether a name matches a pattern, in which * stands for
// anything and % for anything without a separator (RFC 3501, section 6.3.8).
// INBOX, also as the first level of a name, is matched in any case (section 5.1).
func matches(pattern, name string) bool {
	fold := 0
	if name == mailaccess.Inbox || strings.HasPrefix(name, mailaccess.Inbox+"/") {
		fold = len(mailaccess.Inbox)
	}
	return wildcard(pattern, name, fold)
}

// wildcard matches with work bounded by the product of the lengths, and by the length
// of the name where there is no wildcard: it keeps the set of places in the pattern that
// are reached so far, all of them between low and high. The first fold octets of the
// name are ASCII capitals that stand for small letters too.
func wildcard(pattern, name string, fold int) bool {
	at := make([]bool, len(pattern)+1)
	next := make([]bool, len(pattern)+1)
	low, high := 0, reach(at, pattern, 0)
	for i := range len(name) {
		from, to := low, min(high, len(pattern)-1)
		newLow, newHigh := len(pattern)+1, -1
		for p := from; p <= to; p++ {
			if !at[p] {
				continue
			}
			place := p + 1
			switch c := pattern[p]; {
			case c == '*', c == '%' && name[i] != '/':
				place = p
			case c == name[i], i < fold && c == name[i]+('a'-'A'):
			default:
				continue
			}
			newLow, newHigh = min(newLow, place), max(newHigh, reach(next, pattern, place))
		}
		if newHigh < 0 {
			return false
		}
		clear(at[low : high+1])
		at, next = next, at
		low, high = newLow, newHigh
	}
	return at[len(pattern)]
}

// reach marks a place in the pattern, and those behind wildcards that may stand
// for nothing. It returns the last of them.
func reach(at []bool, pattern string, p int) int {
	for at[p] = true; p < len(pattern) && (pattern[p] == '*' || pattern[p] == '%'); {
		p++
		at[p] = true
	}
	return p
}
