package query

import (
	"strings"

	"github.com/hashmail/mailaccess/mailaccess/message"
)

// Ancestry is what a header says of whom its message answers: message ids in
// their normal form, as [MessageIDs] gives them.
type Ancestry struct {
	// ID is the message's own; empty when it has none that is valid.
	ID string
	// References are those of the References field, the oldest first.
	References []string
	// InReplyTo are those of the In-Reply-To field.
	InReplyTo []string
}

// maxReferences is how many message ids of a field are read, the last ones: more
// than any honest conversation has.
const maxReferences = 1000

// ReadAncestry reads the fields Message-ID, References and In-Reply-To. Of
// several of one name the first counts.
func ReadAncestry(h message.Header) Ancestry {
	var a Ancestry
	var id, references, inReplyTo bool
	for f := range h.Fields() {
		switch {
		case !id && f.Is("message-id"):
			id = true
			if ids := MessageIDs(f.Value()); len(ids) > 0 {
				a.ID = ids[0]
			}
		case !references && f.Is("references"):
			references = true
			a.References = MessageIDs(f.Value())
		case !inReplyTo && f.Is("in-reply-to"):
			inReplyTo = true
			a.InReplyTo = MessageIDs(f.Value())
		}
	}
	return a
}

// Parents are the references from which THREAD=REFERENCES builds the ancestry of
// the message, the oldest first (RFC 5256, section 3): those of References, and
// without any, the first of In-Reply-To, whose others may be anything.
func (a *Ancestry) Parents() []string {
	if len(a.References) > 0 {
		return a.References
	}
	return a.InReplyTo[:min(1, len(a.InReplyTo))]
}

// MessageIDs returns the valid message ids in the unfolded value of a field (RFC
// 5322, section 3.6.4), the last 1000 of them. Each is in its normal form, without
// the angle brackets: no quotes, no space outside of them, no comments, so that two
// ways to write one id are equal (RFC 5256, section 3). Ids are compared as octets.
//
// Valid is more than RFC 5322 allows, as with Dovecot: whatever stands in angle
// brackets and has something before and after an @. Words between ids are passed
// over.
func MessageIDs(v string) []string {
	var ids []string
	for {
		k := strings.IndexByte(v, '<')
		if k < 0 {
			return ids[max(0, len(ids)-maxReferences):]
		}
		id, n := messageID(v[k+1:])
		v = v[k+1+n:]
		if id == "" {
			continue
		}
		if len(ids) == 2*maxReferences {
			ids = append(ids[:0], ids[maxReferences:]...)
		}
		ids = append(ids, id)
	}
}

// messageID reads an id after its opening bracket, and how many octets it took: up
// to the closing bracket, or to another opening one, before which there was none.
// The id is empty when it is not valid.
func messageID(s string) (id string, n int) {
	end := strings.IndexAny(s, "<>\"(\\ \t")
	if end >= 0 && s[end] == '>' { // in its normal form already
		if !validID(s[:end], strings.LastIndexByte(s[:end], '@')) {
			return "", end + 1
		}
		return s[:end], end + 1
	}
	var b []byte
	at := -1
	for n < len(s) {
		c := s[n]
		n++
		switch c {
		case '>':
			if !validID(string(b), at) {
				return "", n
			}
			return string(b), n
		case '<':
			return "", n - 1
		case ' ', '\t':
		case '(':
			if k := endOfComment(s[n:]); k > 0 {
				n += k
			} else {
				b = append(b, c)
			}
		case '"':
			if k := endOfQuotes(s[n:]); k > 0 {
				b = appendUnquoted(b, s[n:n+k-1])
				n += k
			} else {
				b = append(b, c)
			}
		case '@':
			at = len(b)
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	return "", n
}

// validID reports whether an id has something on both sides of the @ at index at.
func validID(id string, at int) bool { return at > 0 && at < len(id)-1 }

// What is longer than this is no comment and no quoted string: a field full of
// opening brackets must not be read to its end at each.
const maxQuoted = 250

// endOfComment returns how many octets there are to the end of a comment whose
// opening bracket has been read, or 0 if it does not end.
func endOfComment(s string) int {
	depth := 1
	for i := 0; i < min(len(s), maxQuoted); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// endOfQuotes is endOfComment for a quoted string.
func endOfQuotes(s string) int {
	for i := 0; i < min(len(s), maxQuoted); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// appendUnquoted appends what is in a quoted string, its quoted pairs undone.
func appendUnquoted(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return b
}
