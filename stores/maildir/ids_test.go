package maildir

import (
	"math"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// An id leads back to its number, and what only looks like one to none.
func TestIDs(t *testing.T) {
	a := &account{accountState: accountState{Tag: "abcd2345"}}
	for _, n := range []uint32{1, 31, 32, 1 << 20, math.MaxUint32 - 1, math.MaxUint32} {
		if got := a.emailNumber(a.emailID(n)); got != n {
			t.Errorf("%s is number %d, want %d", a.emailID(n), got, n)
		}
	}
	id := string(a.emailID(5))
	for _, other := range []string{
		"", "M", id[:len(id)-1], id + "0", strings.ToUpper(id), strings.Replace(id, "M", "T", 1),
		strings.Replace(id, "abcd", "abce", 1), strings.Replace(id, "-", "_", 1), id[:len(id)-7] + "w000000",
		id[:len(id)-7] + "4000000", id[:len(id)-7] + "vvvvvvv", id[:len(id)-1] + "V",
	} {
		if n := a.emailNumber(mailaccess.EmailID(other)); n != 0 {
			t.Errorf("%q is number %d", other, n)
		}
	}
}
