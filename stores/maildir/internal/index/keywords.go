package index

import (
	"math"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/mailaccess"
)

// keywordTable gives sets of keywords small numbers. Messages mostly share a few sets,
// so that sets are counted by message and words by set. A mailbox may have more
// sets than there are numbers: those of the messages that came too late are kept by
// UID, and such a message counts as a set of its own.
type keywordTable struct {
	limit int // how many numbers there are
	sets  []keywordSet
	free  []uint16 // unused numbers up to len(sets)
	index map[mailaccess.Keywords]uint16
	late  map[mailaccess.UID]mailaccess.Keywords
	words map[string]int // sets by the word in lower case
	all   mailaccess.Keywords
}

type keywordSet struct {
	keywords mailaccess.Keywords
	messages int
}

// keywordsLate is the number of all that are in keywordTable.late; 0 is that of the empty set.
const keywordsLate = math.MaxUint16

// at returns the set of a message.
func (t *keywordTable) at(uid mailaccess.UID, number uint16) mailaccess.Keywords {
	switch number {
	case 0:
		return mailaccess.Keywords{}
	case keywordsLate:
		return t.late[uid]
	}
	return t.sets[number-1].keywords
}

// hold counts a message that has k and returns the number of k.
func (t *keywordTable) hold(uid mailaccess.UID, k mailaccess.Keywords) uint16 {
	if k.IsEmpty() {
		return 0
	}
	if n := t.index[k]; n != 0 {
		t.sets[n-1].messages++
		return n
	}
	t.addWords(k)
	if len(t.free) == 0 && len(t.sets) == t.limit {
		if t.late == nil {
			t.late = make(map[mailaccess.UID]mailaccess.Keywords)
		}
		t.late[uid] = k
		return keywordsLate
	}
	if t.index == nil {
		t.index = make(map[mailaccess.Keywords]uint16)
	}
	var n uint16
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
	} else {
		t.sets = append(t.sets, keywordSet{})
		n = uint16(len(t.sets))
	}
	t.index[k], t.sets[n-1] = n, keywordSet{k, 1}
	return n
}

// drop takes back hold.
func (t *keywordTable) drop(uid mailaccess.UID, number uint16) {
	switch number {
	case 0:
	case keywordsLate:
		t.removeWords(t.late[uid])
		delete(t.late, uid)
	default:
		s := &t.sets[number-1]
		if s.messages--; s.messages > 0 {
			return
		}
		k := s.keywords
		*s = keywordSet{}
		delete(t.index, k)
		t.free = append(t.free, number)
		t.removeWords(k)
	}
}

func (t *keywordTable) addWords(k mailaccess.Keywords) {
	if t.words == nil {
		t.words = make(map[string]int)
	}
	fresh := false
	for w := range k.All() {
		w = strings.ToLower(w)
		fresh = fresh || t.words[w] == 0
		t.words[w]++
	}
	if fresh {
		t.all = t.all.Union(k)
	}
}

func (t *keywordTable) removeWords(k mailaccess.Keywords) {
	var gone []string
	for w := range k.All() {
		key := strings.ToLower(w)
		if t.words[key]--; t.words[key] == 0 {
			delete(t.words, key)
			gone = append(gone, w)
		}
	}
	for some := range slices.Chunk(gone, mailaccess.MaxKeywords) {
		if k, err := mailaccess.NewKeywords(some...); err == nil {
			t.all = t.all.Minus(k)
		}
	}
}

// complete reports whether the words in use are those of all.
func (t *keywordTable) complete() bool {
	n := 0
	for w := range t.all.All() {
		if t.words[strings.ToLower(w)] == 0 {
			return false
		}
		n++
	}
	return n == len(t.words)
}

// maxKeywords is the longest text of a set of keywords that is read, in octets. One
// message has at most half of that.
const maxKeywords = 1 << 16

// parseKeywords reads what Keywords.String wrote.
func parseKeywords(s string) (mailaccess.Keywords, error) {
	var all mailaccess.Keywords
	if s == "" {
		return all, nil
	}
	for some := range slices.Chunk(strings.Split(s, " "), mailaccess.MaxKeywords) {
		k, err := mailaccess.NewKeywords(some...)
		if err != nil {
			return all, err
		}
		all = all.Union(k)
	}
	return all, nil
}
