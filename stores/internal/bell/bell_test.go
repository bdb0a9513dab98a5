package bell

import (
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
)

// A commit that found the listener before it stopped does not ring it after.
func TestStoppedMeanwhile(t *testing.T) {
	var b Bell
	stop := b.Add(func(mailaccess.Ring) {})
	found := (*b.list.Load())[0]
	stop()
	if found.begin() {
		t.Error("a stopped listener is rung")
	}
}

func TestRing(t *testing.T) {
	var b Bell
	var got []mailaccess.Ring
	stop := b.Add(func(r mailaccess.Ring) { got = append(got, r) })
	b.Ring(mailaccess.Ring{Account: "ann", ModSeq: 1})
	stop()
	b.Ring(mailaccess.Ring{Account: "ann", ModSeq: 2})
	if len(got) != 1 || got[0].ModSeq != 1 {
		t.Errorf("rang %v, want the first ring alone", got)
	}
}
