package imap_test

import (
	"slices"
	"strings"
	"testing"
)

// A preview that was made is kept: with LAZY it is told from then on (RFC 8970, section
// 4.1), and no content is opened for it again, unless what was kept is damaged.
func TestPreviewIsKept(t *testing.T) {
	store := new(tampered)
	c := dialRaw(t, started(t, tamper(store), "Subject: 1\r\n\r\nOne.\r\n", "Subject: 2\r\n\r\nTwo.\r\n"))
	expect := func(command, first, second string, opened int) {
		t.Helper()
		store.opened = 0
		want := []string{"* 1 FETCH (PREVIEW " + first + ")", "* 2 FETCH (PREVIEW " + second + ")"}
		if got, status := c.do(command); !slices.Equal(got, want) || !strings.HasPrefix(status, "OK") {
			t.Errorf("%s: %q %s, want %q", command, got, status, want)
		}
		if store.opened != opened {
			t.Errorf("%s: %d contents were opened, want %d", command, store.opened, opened)
		}
	}
	const lazy, eager = "FETCH 1:2 (PREVIEW (LAZY))", "FETCH 1:2 (PREVIEW)"
	expect(lazy, "NIL", "NIL", 0)
	c.do("FETCH 2 (PREVIEW)")
	expect(lazy, "NIL", `"Two."`, 0)
	expect(eager, `"One."`, `"Two."`, 1)
	expect(eager, `"One."`, `"Two."`, 0)
	expect(lazy, `"One."`, `"Two."`, 0)
	store.derived = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	expect(lazy, "NIL", "NIL", 0)
	expect(eager, `"One."`, `"Two."`, 2)
}
