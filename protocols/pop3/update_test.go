package pop3_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/storetest"
	"github.com/hashmail/mailaccess/protocols/prototest"
)

// RFC 1939, section 6: QUIT answers +OK when all marked messages are gone, and
// -ERR when some are left, however unlucky the store; what is not marked stays.
func TestUpdateTellsTheTruth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		opts := storetest.HostileOptions{
			Seed:      rapid.Uint64().Draw(rt, "seed"),
			Uncertain: rapid.IntRange(0, 2).Draw(rt, "uncertain"),
			Partial:   rapid.IntRange(0, 2).Draw(rt, "partial"),
		}
		total := rapid.IntRange(1, 40).Draw(rt, "messages")
		marked := rapid.SliceOfDistinct(rapid.IntRange(1, total), rapid.ID).Draw(rt, "marked")
		way := rapid.SampledFrom([]string{"", "trash", "flag"}).Draw(rt, "delete")
		checkUpdate(t, opts, way, total, marked)
	})
}

func checkUpdate(t *testing.T, opts storetest.HostileOptions, way string, total int, marked []int) {
	t.Helper()
	fx := demo(make([]string, total)...)
	fx.Options["delete"] = way
	fx.Mailboxes = []prototest.Mailbox{{User: "demo", Name: "Trash"}}
	h := newWorld(t, fx, func(s mailaccess.Store) mailaccess.Store { return storetest.Hostile(s, &opts) })
	defer h.Close()
	c := dialIn(t, h)
	defer c.Close()
	c.say("UIDL")
	ids := strings.Fields(string(c.multiline()))
	isMarked := make(map[string]bool)
	for _, n := range marked {
		c.say(fmt.Sprintf("DELE %d", n))
		c.want("+OK")
		isMarked[ids[2*n-1]] = true
	}
	c.say("QUIT")
	answer := c.want("")
	c.wantEnd("")

	left := 0
	c = dialIn(t, h)
	defer c.Close()
	c.say("UIDL")
	after := strings.Fields(string(c.multiline()))
	for i := 1; i < len(after); i += 2 {
		if isMarked[after[i]] {
			left++
		}
	}
	if ok := strings.HasPrefix(answer, "+OK"); ok != (left == 0) {
		t.Fatalf("%q, with %d of %d marked messages left", answer, left, len(marked))
	}
	if stayed := len(after)/2 - left; stayed != total-len(marked) {
		t.Fatalf("%d messages that were not marked are left, want %d", stayed, total-len(marked))
	}
	if way != "trash" {
		return
	}
	err := h.mailbox("demo", "Trash", func(_ mailaccess.Account, snap mailaccess.Snapshot) error {
		if gone := len(marked) - left; snap.Messages < gone {
			return fmt.Errorf("%d messages went and %d arrived", gone, snap.Messages)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
