package memory

import (
	"fmt"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// keywordIndex counts the keywords of a mailbox. Messages mostly share a few
// sets of keywords, so that sets are counted by message and words by set.
//
// Within a mailbox a keyword has one spelling, the first, so that sets of
// keywords that are equal are so for == too.
type keywordIndex struct {
	sets  map[mailaccess.Keywords]*keywordSet
	words map[string]*keyword // by the word in lower case
	all   mailaccess.Keywords
	idle  []*keywordSet // those that may have no message
}

type keywordSet struct {
	keywords mailaccess.Keywords
	messages int
}

type keyword struct {
	spelling string
	sets     int
}

// intern returns the entry of a set, which is made if need be; nil for the empty
// set. It fails with KindLimit when the mailbox would have more than limit
// words. An entry that no message is counted in goes with the next sweep.
func (x *keywordIndex) intern(op string, k mailaccess.Keywords, limit int) (*keywordSet, error) {
	if k.IsEmpty() {
		return nil, nil
	}
	if s := x.sets[k]; s != nil {
		return s, nil
	}
	if n := k.Len(); n > mailaccess.MaxKeywords {
		return nil, fail(op, mailaccess.KindLimit, "", fmt.Errorf("%d keywords, a message has at most %d", n, mailaccess.MaxKeywords))
	}
	var words []string
	fresh := 0
	for w := range k.All() {
		if have := x.words[strings.ToLower(w)]; have != nil {
			w = have.spelling
		} else {
			fresh++
		}
		words = append(words, w)
	}
	if fresh > 0 && len(x.words)+fresh > limit {
		return nil, fail(op, mailaccess.KindLimit, "", fmt.Errorf("a mailbox has at most %d keywords", limit))
	}
	canonical, err := mailaccess.NewKeywords(words...)
	if err != nil {
		return nil, err
	}
	if s := x.sets[canonical]; s != nil {
		return s, nil
	}
	if x.sets == nil {
		x.sets = make(map[mailaccess.Keywords]*keywordSet)
		x.words = make(map[string]*keyword)
	}
	for _, w := range words {
		key := strings.ToLower(w)
		if x.words[key] == nil {
			x.words[key] = &keyword{spelling: w}
		}
		x.words[key].sets++
	}
	if fresh > 0 {
		x.all = x.all.Union(canonical)
	}
	s := &keywordSet{keywords: canonical}
	x.sets[canonical] = s
	x.idle = append(x.idle, s)
	return s, nil
}

// count adds n messages to a set; nil stands for the empty one.
func (x *keywordIndex) count(s *keywordSet, n int) {
	if s == nil {
		return
	}
	if s.messages += n; s.messages == 0 {
		x.idle = append(x.idle, s)
	}
}

// sweep drops the sets that no message has, and the words that no set has.
func (x *keywordIndex) sweep() {
	var gone []string
	for _, s := range x.idle {
		if s.messages > 0 || x.sets[s.keywords] != s {
			continue
		}
		delete(x.sets, s.keywords)
		for w := range s.keywords.All() {
			key := strings.ToLower(w)
			if x.words[key].sets--; x.words[key].sets == 0 {
				delete(x.words, key)
				gone = append(gone, w)
			}
		}
	}
	x.idle = nil
	// A set of keywords has its own limit, hence the portions.
	for len(gone) > 0 {
		n := min(len(gone), mailaccess.MaxKeywords)
		if k, err := mailaccess.NewKeywords(gone[:n]...); err == nil {
			x.all = x.all.Minus(k)
		}
		gone = gone[n:]
	}
}
