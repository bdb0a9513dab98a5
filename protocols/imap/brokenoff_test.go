package imap_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// dialSelected is a connection on which INBOX is selected, read by r.
func dialSelected(t *testing.T, s *server) (nc net.Conn, r *bufio.Reader) {
	t.Helper()
	nc, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	return nc, selectInbox(t, nc)
}

// selectInbox logs in and selects INBOX, and goes on with r, which reads little ahead.
func selectInbox(t *testing.T, nc net.Conn) (r *bufio.Reader) {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	r = bufio.NewReaderSize(nc, 16)
	for _, step := range []struct{ say, until string }{{"", "* OK"}, {"a LOGIN demo demo\r\n", "a OK"}, {"b SELECT INBOX\r\n", "b OK"}} {
		if step.say != "" {
			if _, err := io.WriteString(nc, step.say); err != nil {
				t.Fatal(err)
			}
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, step.until) {
				break
			}
		}
	}
	return r
}

// When a client breaks off, the messages whose text went out whole are \Seen, and no
// others, however many were read at once (RFC 3501, section 6.4.5).
func TestSeenWhenTheClientBreaksOff(t *testing.T) {
	for _, test := range []struct{ octets, whole int }{
		{20 << 10, 0}, {20 << 10, 1}, {20 << 10, 5}, {20 << 10, 66}, // more than a buffer holds
		{1 << 10, 0}, // some wait in a buffer
	} {
		whole := test.whole
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			var contents []string
			for range 70 {
				contents = append(contents, "Subject: s\r\n\r\n"+strings.Repeat("x", test.octets)+"\r\n")
			}
			s := started(t, inMemory(memory.New(nil)), contents...)
			nc, r := dialSelected(t, s)
			if _, err := io.WriteString(nc, "c FETCH 1:* BODY[]\r\n"); err != nil {
				t.Fatal(err)
			}
			// The next response has begun, so that the one before has gone out whole.
			for i := 0; i <= whole; i++ {
				if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, fmt.Sprintf("* %d FETCH", i+1)) {
					t.Fatalf("%q, %v", line, err)
				}
				if i == whole {
					break
				}
				if _, err := io.CopyN(io.Discard, r, int64(len(contents[i]))); err != nil {
					t.Fatal(err)
				}
				if _, err := r.ReadString('\n'); err != nil { // FLAGS
					t.Fatal(err)
				}
			}
			nc.Close()
			if err := s.shutdown(); err != nil {
				t.Fatal(err)
			}
			s.wg.Wait()
			inbox, err := s.accounts["demo"].Lookup(t.Context(), mailaccess.Inbox)
			if err != nil {
				t.Fatal(err)
			}
			var seen []mailaccess.UID
			for m, err := range s.accounts["demo"].Messages(t.Context(), inbox.ID, mailaccess.UIDSetRange(1, 1000)) {
				if err != nil {
					t.Fatal(err)
				}
				if m.Flags.System.Has(mailaccess.FlagSeen) {
					seen = append(seen, m.UID)
				}
			}
			if len(seen) != whole || whole > 0 && seen[whole-1] != mailaccess.UID(whole) {
				t.Errorf("%d were read whole, seen are %v", whole, seen)
			}
		})
	}
}

// A FETCH that takes its time is over as soon as the client has gone: at most the
// message at hand is finished, whether much is sent of each or little.
func TestFetchEndsWithTheConnection(t *testing.T) {
	for _, items := range []string{"BODY.PEEK[]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "(ENVELOPE BODYSTRUCTURE)", "PREVIEW"} {
		t.Run(items, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var contents []string
				for range 100 {
					contents = append(contents, "Subject: s\r\n\r\n"+strings.Repeat("x", 100)+"\r\n")
				}
				store := new(tampered)
				s := started(t, tamper(store), contents...)
				store.content = func(mailaccess.EmailID) error { time.Sleep(time.Second); return nil }
				nc, r := dialSelected(t, s)
				if _, err := io.WriteString(nc, "c FETCH 1:* "+items+"\r\n"); err != nil {
					t.Fatal(err)
				}
				// The client hears of each message when it is its turn.
				for i := range 3 {
					for {
						line, err := r.ReadBytes('\n')
						if err != nil {
							t.Fatal(err)
						}
						if bytes.HasPrefix(line, []byte("* ")) {
							break
						}
					}
					if opened := store.opens(); opened > i+2 {
						t.Errorf("%d contents were opened before message %d was told", opened, i+1)
					}
				}
				nc.Close()
				s.wg.Wait()
				if opened := store.opens(); opened > 4 {
					t.Errorf("%d contents were opened", opened)
				}
			})
		})
	}
}
