package imap_test

import (
	"fmt"
	"strings"
	"testing"
)

// That a large message has no NUL is found out when it is sent whole, and kept; one that
// has some never goes out with it (RFC 3501, section 4.3).
func TestNULIsNeverSent(t *testing.T) {
	header, long := "Subject: s\r\n\r\n", strings.Repeat("0123456789abcdef\r\n", 10000)
	store := new(tampered)
	c := dialRaw(t, started(t, tamper(store), header+long, header+long+"\x00", header+"\x00"+long, header+"short"))
	expect := func(command string, kept int) {
		t.Helper()
		for n := 1; n <= 4; n++ {
			answers, status := c.do(fmt.Sprintf("FETCH %d (%s)", n, command))
			if len(answers) != 1 || !strings.HasPrefix(status, "OK") {
				t.Fatalf("%s of %d: %d answers, %s", command, n, len(answers), status)
			}
			text := literalOf(t, answers[0])
			if nul, replaced := strings.Contains(text, "\x00"), strings.Contains(text, "\x80"); nul || replaced != (n == 2 || n == 3) {
				t.Errorf("%s of %d: NUL is there: %t, 0x80: %t", command, n, nul, replaced)
			}
		}
		if got := store.kept["imap-clean/1"]; got != kept {
			t.Errorf("after %s %d messages are known to be clean, want %d", command, got, kept)
		}
	}
	expect("BODY.PEEK[TEXT]", 0) // not all of it
	expect("BODY.PEEK[]<0.1000000>", 1)
	expect("BODY.PEEK[]", 1)
	expect("BODY.PEEK[1]", 1)
	expect("RFC822.TEXT", 1)
	store.derived = func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	expect("BODY.PEEK[]", 2) // what was kept is damaged
}
