package imap_test

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/stores/memory"
)

// TestAutologout: RFC 3501, section 5.4: a client may be silent for 30 minutes at
// least, in IDLE too; whoever does not log in, or finish a command, has less. BYE comes before
// the end.
func TestAutologout(t *testing.T) {
	const login = "a LOGIN demo demo\r\n"
	for _, test := range []struct {
		name string
		says string // at once
		then string // after 29 minutes; nothing when empty
		// lasts is how long the connection does, to the minute.
		lasts time.Duration
	}{
		{"not logged in", "a NOOP\r\n", "", 3 * time.Minute},
		{"logged in", login, "", 30 * time.Minute},
		{"selected", login + "b SELECT INBOX\r\n", "", 30 * time.Minute},
		{"not silent", login, "b NOOP\r\n", 59 * time.Minute},
		{"idling", login + "b SELECT INBOX\r\nc IDLE\r\n", "", 30 * time.Minute},
		{"idling again", login + "b IDLE\r\n", "DONE\r\nc IDLE\r\n", 59 * time.Minute},
		{"in a command", login + "b APPEND INBOX {10}\r\n", "", 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := startServer(t, fuzzFixture(), inMemory(memory.New(nil)))
				client, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				go func() {
					io.WriteString(client, test.says)
					if test.then != "" {
						time.AfterFunc(29*time.Minute, func() { io.WriteString(client, test.then) })
					}
				}()
				var last string
				for r := bufio.NewReader(client); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						break
					}
					last = line
				}
				if !strings.HasPrefix(last, "* BYE ") {
					t.Errorf("the last line is %q", last)
				}
				if lasted := time.Since(start).Truncate(time.Minute); lasted != test.lasts {
					t.Errorf("ended after %v, want %v", lasted, test.lasts)
				}
				client.Close()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
