package imap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/imap/imapwire"
)

// pairs are match data one by one.
func pairs(m *matchData) (numbers, uids []uint32) {
	for _, r := range m.numbers {
		for n := r.First; n <= r.Last; n++ {
			numbers = append(numbers, n)
		}
	}
	for _, r := range m.uids {
		for n := r.First; n <= r.Last; n++ {
			uids = append(uids, n)
		}
	}
	return numbers, uids
}

// ranged returns ascending numbers as ranges, which may touch.
func ranged(t *rapid.T, numbers []uint32) (set []imapwire.NumRange) {
	for _, n := range numbers {
		if k := len(set) - 1; k >= 0 && set[k].Last+1 == n && rapid.Bool().Draw(t, "join") {
			set[k].Last = n
		} else {
			set = append(set, imapwire.NumRange{First: n, Last: n})
		}
	}
	return set
}

// TestMatchData: RFC 7162, section 3.2.5.2: of a sample of what a client knew, taken
// before some of it was removed, the highest pair counts that still holds; and whatever
// went up to it, the client knows.
func TestMatchData(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.SliceOfNDistinct(rapid.Uint32Range(1, 40), 1, 30, rapid.ID).Draw(t, "before")
		slices.Sort(before)
		now := slices.DeleteFunc(slices.Clone(before), func(uint32) bool { return rapid.IntRange(0, 9).Draw(t, "removed") == 0 })
		now = append(now, 41, 42)
		var numbers, uids []uint32
		for i, uid := range before {
			if rapid.Bool().Draw(t, "sampled") {
				numbers, uids = append(numbers, uint32(i+1)), append(uids, uid)
			}
		}
		m := matchData{ranged(t, numbers), ranged(t, uids)}
		if k, n := pairs(&m); !slices.Equal(k, numbers) || !slices.Equal(n, uids) {
			t.Fatalf("%v: %v and %v", m, k, n)
		}
		uidOf := func(n int) mailaccess.UID {
			if n > len(now) {
				return 0
			}
			return mailaccess.UID(now[n-1])
		}
		want := mailaccess.UID(0)
		for i, n := range numbers {
			if uidOf(int(n)) == mailaccess.UID(uids[i]) {
				want = mailaccess.UID(uids[i])
			}
		}
		if got := m.known(uidOf); got != want {
			t.Fatalf("%v is known up to %d, want %d; there are %v", m, got, want, now)
		}
		for _, uid := range before {
			if mailaccess.UID(uid) <= want && !slices.Contains(now, uid) {
				t.Fatalf("UID %d went, which the client does not know", uid)
			}
		}
	})
}

// However long the ranges, they are not walked through.
func TestMatchDataOfAllNumbers(t *testing.T) {
	all := []imapwire.NumRange{{First: 1, Last: 1<<32 - 1}}
	m := matchData{numbers: all, uids: all}
	asked := 0
	got := m.known(func(n int) mailaccess.UID {
		if asked++; n > 1000 {
			return 0
		}
		return mailaccess.UID(n)
	})
	if got != 1000 || asked > 64 {
		t.Errorf("known up to %d after %d questions, want 1000 after few", got, asked)
	}
}
