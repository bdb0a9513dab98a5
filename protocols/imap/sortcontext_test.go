package imap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
)

// TestBlocks: whoever removes and inserts at the positions that are told comes from one
// order to the other (RFC 5267, sections 4.3.3 and 4.3.4).
func TestBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.Permutation([]mailaccess.UID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}).Draw(t, "order")
		pick := func(name string) (uids []mailaccess.UID) {
			for _, uid := range all {
				if rapid.Bool().Draw(t, name) {
					uids = append(uids, uid)
				}
			}
			return uids
		}
		before, after := pick("before"), pick("after")
		was, is := mailaccess.UIDSetOf(before...), mailaccess.UIDSetOf(after...)
		client := slices.Clone(before)
		for at, uids := range blocks(before, was.Minus(is), false) {
			if !slices.Equal(client[at-1:at-1+len(uids)], uids) {
				t.Fatalf("at %d of %v there is no %v", at, client, uids)
			}
			client = slices.Delete(client, at-1, at-1+len(uids))
		}
		for at, uids := range blocks(after, is.Minus(was), true) {
			client = slices.Insert(client, at-1, uids...)
		}
		if !slices.Equal(client, after) {
			t.Fatalf("%v instead of %v, from %v", client, after, before)
		}
	})
}
