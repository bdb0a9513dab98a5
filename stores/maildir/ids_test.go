package maildir

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// An id leads back to its number, and what only looks like one to none.
func TestIDs(t *testing.T) {
	a := &account{accountState: accountState{Tag: "abcd2345"}}
	for _, n := range []uint32{1, 31, 32, 1 << 20, math.MaxUint32 - 1, math.MaxUint32} {
		id := a.emailID(n)
		if got := a.emailNumber(id); got != n || string(id) != fmt.Sprintf("Mabcd2345-%08s", strconv.FormatUint(uint64(n), 32)) {
			t.Errorf("%s is number %d, want %d", id, got, n)
		}
	}
	id := string(a.emailID(5))
	for _, other := range []string{
		"", "M", id[:len(id)-1], id + "0", strings.ToUpper(id), strings.Replace(id, "M", "T", 1),
		strings.Replace(id, "abcd", "abce", 1), strings.Replace(id, "-", "_", 1), id[:len(id)-8] + "w0000000",
		id[:len(id)-8] + "04000000", id[:len(id)-8] + "vvvvvvvv", id[:len(id)-1] + "V",
	} {
		if n := a.emailNumber(mailaccess.EmailID(other)); n != 0 {
			t.Errorf("%q is number %d", other, n)
		}
	}
}
