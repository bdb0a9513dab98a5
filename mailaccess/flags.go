package mailaccess

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"unique"
)

// SystemFlags is a set of system flags (RFC 3501, section 2.3.2). \Recent is
// not one of them: it belongs to sessions, not to messages.
type SystemFlags uint8

// The system flags.
const (
	FlagSeen SystemFlags = 1 << iota
	FlagAnswered
	FlagFlagged
	FlagDeleted
	FlagDraft

	SystemFlagsAll = FlagDraft<<1 - 1
)

// Has reports whether f holds all of want.
func (f SystemFlags) Has(want SystemFlags) bool { return f&want == want }

// Flags are the flags of a message: a bit mask and a set of keywords. Values
// are immutable, 16 octets, and comparable with ==.
type Flags struct {
	System   SystemFlags
	Keywords Keywords
}

// IsZero reports whether there is no flag at all.
func (f Flags) IsZero() bool { return f == Flags{} }

// Union returns the flags in f or in g.
func (f Flags) Union(g Flags) Flags {
	return Flags{f.System | g.System, f.Keywords.Union(g.Keywords)}
}

// Minus returns the flags in f and not in g.
func (f Flags) Minus(g Flags) Flags {
	return Flags{f.System &^ g.System, f.Keywords.Minus(g.Keywords)}
}

// Limits of keywords.
const (
	// MaxKeywordLen is the longest keyword, in octets.
	MaxKeywordLen = 255
	// MaxKeywords is how many keywords one message may have.
	MaxKeywords = 128
)

// Keywords is an immutable, interned set of keywords. The zero value is the
// empty set; sets of the same keywords in the same spelling compare equal with ==.
// Whether a keyword is in a set is asked without regard to ASCII case (RFC 5788,
// section 2); a store keeps one spelling of each for a mailbox, the first that it
// was given.
type Keywords struct {
	// set holds the keywords in folded order, a space between; interning
	// makes a mailbox of a million messages with the same keywords cost one
	// string.
	set unique.Handle[string]
}

// NewKeywords makes a set. It fails with KindInvalid on a word that is no
// keyword (see [CheckKeyword]) and with KindLimit over [MaxKeywords].
func NewKeywords(words ...string) (Keywords, error) {
	if len(words) == 0 {
		return Keywords{}, nil
	}
	for _, w := range words {
		if err := CheckKeyword(w); err != nil {
			return Keywords{}, err
		}
	}
	k := internKeywords(slices.Clone(words))
	if n := k.Len(); n > MaxKeywords {
		return Keywords{}, &Error{Kind: KindLimit, Op: "keywords", Err: fmt.Errorf("%d keywords, at most %d", n, MaxKeywords)}
	}
	return k, nil
}

// CheckKeyword reports whether w can be a keyword: an atom of printable ASCII
// (RFC 3501, section 9: flag-keyword) of 1 to MaxKeywordLen octets.
func CheckKeyword(w string) error {
	if w == "" || len(w) > MaxKeywordLen {
		return &Error{Kind: KindInvalid, Op: "keyword", Err: fmt.Errorf("%d octets long, 1 to %d are allowed", len(w), MaxKeywordLen)}
	}
	for i := range len(w) {
		if c := w[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return &Error{Kind: KindInvalid, Op: "keyword", Err: fmt.Errorf("character %q is not allowed", c)}
		}
	}
	return nil
}

// internKeywords sorts words, drops doubles and interns the result. It takes
// over words.
func internKeywords(words []string) Keywords {
	slices.SortStableFunc(words, compareFold)
	words = slices.CompactFunc(words, func(a, b string) bool { return compareFold(a, b) == 0 })
	if len(words) == 0 {
		return Keywords{}
	}
	return Keywords{unique.Make(strings.Join(words, " "))}
}

// String returns the keywords with a space between, in a fixed order.
func (k Keywords) String() string {
	if k == (Keywords{}) {
		return ""
	}
	return k.set.Value()
}

// IsEmpty reports whether k has no keyword.
func (k Keywords) IsEmpty() bool { return k == Keywords{} }

// Len returns the number of keywords.
func (k Keywords) Len() int {
	if k.IsEmpty() {
		return 0
	}
	return strings.Count(k.set.Value(), " ") + 1
}

// All yields the keywords in a fixed order, without allocating.
func (k Keywords) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		rest := k.String()
		for rest != "" {
			var w string
			w, rest, _ = strings.Cut(rest, " ")
			if !yield(w) {
				return
			}
		}
	}
}

// Has reports whether w is in k, without regard to ASCII case.
func (k Keywords) Has(w string) bool {
	for have := range k.All() {
		if compareFold(have, w) == 0 {
			return true
		}
	}
	return false
}

// Union returns the keywords in k or in o; where both have one, k's spelling.
func (k Keywords) Union(o Keywords) Keywords {
	switch {
	case o.IsEmpty() || k == o:
		return k
	case k.IsEmpty():
		return o
	}
	return internKeywords(slices.AppendSeq(slices.Collect(k.All()), o.All()))
}

// Minus returns the keywords in k and not in o.
func (k Keywords) Minus(o Keywords) Keywords {
	if k.IsEmpty() || o.IsEmpty() {
		return k
	}
	var left []string
	for w := range k.All() {
		if !o.Has(w) {
			left = append(left, w)
		}
	}
	return internKeywords(left)
}

func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if x, y := lower(a[i]), lower(b[i]); x != y {
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// FlagChange is a change of flags: those in Remove go, those in Add come. With
// Replace, Add is all that is left.
type FlagChange struct {
	Replace     bool
	Add, Remove Flags
}

// Apply returns old after the change.
func (c FlagChange) Apply(old Flags) Flags {
	if c.Replace {
		return c.Add
	}
	return old.Minus(c.Remove).Union(c.Add)
}
