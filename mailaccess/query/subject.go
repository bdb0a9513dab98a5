package query

import "strings"

// BaseSubject takes from a decoded subject what replies, forwards and mailing lists
// put around it (RFC 5256, section 2.1), and reports whether that makes the message
// a reply or a forward (section 3, REFERENCES). It takes time in proportion to the
// length of the subject.
func BaseSubject(subject string) (base string, reply bool) {
	// (1), of which the decoding is done.
	s := singleSpaces(subject)
	for {
		var refwd, fwd, wrapped bool
		s, fwd = trimTrailers(s)
		s, refwd = trimLeaders(s)
		s, wrapped = unwrapForward(s)
		reply = reply || fwd || refwd || wrapped
		if !wrapped {
			// (7)
			return s, reply
		}
	}
}

// singleSpaces turns tabs into spaces and several spaces into one.
func singleSpaces(s string) string {
	if !strings.Contains(s, "  ") && strings.IndexByte(s, '\t') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if c == '\t' {
			c = ' '
		}
		if c != ' ' || len(b) == 0 || b[len(b)-1] != ' ' {
			b = append(b, c)
		}
	}
	return string(b)
}

// trimTrailers is step (2): subj-trailer, as often as there is one.
func trimTrailers(s string) (_ string, fwd bool) {
	for {
		s = strings.TrimRight(s, wsp)
		const trailer = "(fwd)"
		if k := len(s) - len(trailer); k >= 0 && hasPrefixFold(s[k:], trailer) {
			s, fwd = s[:k], true
			continue
		}
		return s, fwd
	}
}

// trimLeaders is steps (3) to (5): subj-leader and subj-blob, as often as there is
// one, but not the last blob when nothing is behind it.
func trimLeaders(s string) (_ string, refwd bool) {
	for {
		s = strings.TrimLeft(s, wsp)
		rest, last := s, s // behind the blobs, and from the last of them on
		for {
			n := blobLen(rest)
			if n == 0 {
				break
			}
			last, rest = rest, rest[n:]
		}
		if n := refwdLen(rest); n > 0 {
			s, refwd = rest[n:], true
			continue
		}
		if rest == "" {
			return last, refwd
		}
		return rest, refwd
	}
}

// unwrapForward is step (6): subj-fwd-hdr and subj-fwd-trl.
func unwrapForward(s string) (_ string, wrapped bool) {
	const header, trailer = "[fwd:", "]"
	if len(s) < len(header)+len(trailer) || !hasPrefixFold(s, header) || !strings.HasSuffix(s, trailer) {
		return s, false
	}
	return s[len(header) : len(s)-len(trailer)], true
}

const wsp = " \t"

// blobLen returns the length of the subj-blob that s begins with, or 0.
func blobLen(s string) int {
	if len(s) == 0 || s[0] != '[' {
		return 0
	}
	k := strings.IndexAny(s[1:], "[]\x00")
	if k < 0 || s[1+k] != ']' {
		return 0
	}
	return k + 2 + spaceLen(s[k+2:])
}

// refwdLen returns the length of the subj-refwd that s begins with, or 0.
func refwdLen(s string) int {
	n := 2
	switch {
	case hasPrefixFold(s, "fwd"):
		n = 3
	case !hasPrefixFold(s, "re") && !hasPrefixFold(s, "fw"):
		return 0
	}
	n += spaceLen(s[n:])
	n += blobLen(s[n:])
	if n < len(s) && s[n] == ':' {
		return n + 1
	}
	return 0
}

func spaceLen(s string) int { return len(s) - len(strings.TrimLeft(s, wsp)) }

// hasPrefixFold reports whether s begins with an ASCII prefix, whatever the case, as
// ABNF compares (RFC 5234, section 2.3).
func hasPrefixFold(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if upper(s[i]) != upper(prefix[i]) {
			return false
		}
	}
	return true
}
