package imap_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// TestLongVanished: RFC 7162, section 3.2.10: what vanished is told whole, in lines that
// are no longer than section 4 recommends.
func TestLongVanished(t *testing.T) {
	const n = 3000
	contents := make([]string, n)
	for i := range contents {
		contents[i] = "Subject: x\r\n\r\nx\r\n"
	}
	s := started(t, inMemory(memory.New(nil)), contents...)
	c := dialRaw(t, s)
	if _, status := c.do("ENABLE QRESYNC"); !strings.HasPrefix(status, "OK") {
		t.Fatal(status)
	}
	var odd []string
	for uid := 1; uid <= n; uid += 2 {
		odd = append(odd, fmt.Sprint(uid))
	}
	if err := s.Do(t, []string{"expunge", "INBOX", strings.Join(odd, ",")}); err != nil {
		t.Fatal(err)
	}
	for _, step := range [][2]string{ // in this order: the first tells what is news
		{"NOOP", "* VANISHED "},
		{"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 9223372036854775807 VANISHED)", "* VANISHED (EARLIER) "},
	} {
		command, begin := step[0], step[1]
		told := mailaccess.UIDSet{}
		lines, _ := c.do(command)
		for _, line := range lines {
			uids, ok := strings.CutPrefix(line, begin)
			if !ok || len(line) > 8192 {
				t.Fatalf("%s: %.100s, %d octets", command, line, len(line))
			}
			set, err := parseUIDs(uids)
			if err != nil {
				t.Fatal(err)
			}
			told = told.Union(set)
		}
		if len(lines) < 2 || told.String() != strings.Join(odd, ",") {
			t.Errorf("%s: %d lines tell of %d messages, want some of %d", command, len(lines), told.Len(), len(odd))
		}
	}
}
