package imap_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// TestClientThatDoesNotRead: while one client leaves the answer to each of these
// commands unread, another does everything to the same mailbox: no lock is held
// while writing to a client.
func TestClientThatDoesNotRead(t *testing.T) {
	for _, stuck := range []string{
		"FETCH 1:* (FLAGS)", "FETCH 1:* (ENVELOPE BODYSTRUCTURE)", "FETCH 1:* (RFC822.SIZE BODY[])", "FETCH 1 BODY.PEEK[TEXT]<1.5>",
		"STORE 1:* +FLAGS (\\Flagged)", "UID STORE 1:* FLAGS (new)", "SEARCH ALL", "EXPUNGE", "UID EXPUNGE 1:2", "COPY 1:* Box",
		"MOVE 1:* Box", "LIST \"\" *", "LSUB \"\" *", "STATUS Box (MESSAGES)", "SELECT INBOX", "NOOP", "IDLE",
		"APPEND INBOX {1+}\r\nx", "APPEND INBOX {100}", "CREATE x", "CAPABILITY",
		"compressed: FETCH 1:* (FLAGS)", "compressed: FETCH 1:* (RFC822.SIZE BODY[])", "compressed: IDLE", "compressed: EXPUNGE",
	} {
		stuck, isCompressed := strings.CutPrefix(stuck, "compressed: ")
		t.Run(fmt.Sprint(stuck, isCompressed), func(t *testing.T) {
			fx := fuzzFixture()
			for i := range 1000 { // more than a buffer holds
				fx.Messages = append(fx.Messages, prototest.Message{
					User: "demo", Mailbox: "INBOX", Flags: []string{`\Deleted`}, Content: prototest.Generated(i),
				})
			}
			s := startServer(t, fx, inMemory(memory.New(nil)))
			slow, err := s.Dial()
			if err != nil {
				t.Fatal(err)
			}
			quick, err := s.Dial()
			if err != nil {
				t.Fatal(err)
			}
			if err := quick.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			slowIn, quickIn := bufio.NewReader(slow), bufio.NewReader(quick)
			say := func(w io.Writer, r *bufio.Reader, line, until string) {
				t.Helper()
				if line != "" {
					if _, err := fmt.Fprintf(w, "%s\r\n", line); err != nil {
						t.Fatalf("%s: %v", line, err)
					}
				}
				for {
					got, err := r.ReadString('\n')
					if err != nil {
						t.Fatalf("%s: %v", line, err)
					}
					if strings.HasPrefix(got, until) {
						return
					}
				}
			}
			say(slow, slowIn, "", "* OK ")
			say(slow, slowIn, "a LOGIN demo demo", "a OK ")
			say(slow, slowIn, "b SELECT INBOX", "b OK ")
			var slowOut io.Writer = slow
			if isCompressed {
				say(slow, slowIn, "c COMPRESS DEFLATE", "c OK ")
				slowOut = newCompressed(t, slow)
			}
			say(quick, quickIn, "", "* OK ")
			say(quick, quickIn, "a LOGIN demo demo", "a OK ")
			say(quick, quickIn, "b SELECT INBOX", "b OK ")
			// With nothing to tell NOOP and IDLE would not get stuck.
			say(quick, quickIn, "c UID STORE 40:45 +FLAGS.SILENT (\\Answered)", "c OK ")
			if _, err := fmt.Fprintf(slowOut, "c %s\r\n", stuck); err != nil {
				t.Fatal(err)
			}
			// The first octet has left, the next ones have not.
			if _, err := slow.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			for i, line := range []string{
				"UID STORE 3:* +FLAGS (\\Seen other)", "APPEND INBOX {1+}\r\nx", "NOOP", "UID COPY * Box", "UID MOVE 3:5 Box",
				"UID EXPUNGE 6:10", "SEARCH TEXT x", "UID FETCH * (ENVELOPE BODY[])", "CREATE Other", "RENAME Other Others",
				"LIST \"\" *", "SUBSCRIBE Others", "LSUB \"\" *", "DELETE Others", "STATUS INBOX (MESSAGES UNSEEN RECENT)", "CLOSE", "SELECT INBOX", "DELETE Box",
			} {
				tag := fmt.Sprint("q", i)
				say(quick, quickIn, tag+" "+line, tag+" OK ")
			}
			slow.Close()
			quick.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
