package imap_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/stores/memory"
)

// TestKeywordsFull: when a mailbox takes no more keywords, that is LIMIT, and
// PERMANENTFLAGS comes without \*, once, until it has fewer or is selected again (RFC
// 9051, section 7.1).
func TestKeywordsFull(t *testing.T) {
	c := dialRaw(t, started(t, inMemory(memory.New(&memory.Options{MaxKeywords: 2})), "Subject: 1\r\n\r\n1\r\n"))
	do := func(command, status string, star ...bool) {
		t.Helper()
		said, got := c.do(command)
		var stars []bool // of each PERMANENTFLAGS
		for _, line := range said {
			if strings.Contains(line, "PERMANENTFLAGS") {
				stars = append(stars, strings.Contains(line, `\*`))
			}
		}
		if !strings.HasPrefix(got, status) || !slices.Equal(stars, star) {
			t.Errorf("%s: %q %s; want %s, \\* %v", command, said, got, status, star)
		}
	}
	do("STORE 1 FLAGS (one two)", "OK", true)
	do("STORE 1 +FLAGS (three)", "NO [LIMIT]", false)
	do("STORE 1 +FLAGS (three)", "NO [LIMIT]")
	do("STORE 1 FLAGS (TWO)", "OK", true)
	do("STORE 1 +FLAGS (three four)", "NO [LIMIT]", false)
	do("SELECT INBOX", "OK", true)
}
