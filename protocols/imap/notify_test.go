package imap_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// overAiling starts a server over a ailing store with mailboxes A and B and a message in
// INBOX, and logs in.
func overAiling(t *testing.T) (*server, *ailing, *rawClient) {
	t.Helper()
	m := &ailing{Store: memory.New(nil)}
	fx := prototest.Fixture{
		Users:     []prototest.User{{Name: "demo", Password: "demo"}},
		Mailboxes: []prototest.Mailbox{{User: "demo", Name: "A"}, {User: "demo", Name: "B"}},
		Messages:  []prototest.Message{{User: "demo", Mailbox: mailaccess.Inbox, Content: prototest.Generated(1)}},
	}
	s := startServer(t, fx, testStore{base: m.Store, served: m})
	return s, m, dialRaw(t, s)
}

func (s *server) deliverTo(t *testing.T, box string) {
	t.Helper()
	if err := s.Deliver(t, prototest.Message{User: "demo", Mailbox: box, Content: prototest.Generated(2)}); err != nil {
		t.Fatal(err)
	}
}

// end hangs up and stops the server.
func end(t *testing.T, s *server, c *rawClient) {
	t.Helper()
	c.nc.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// hears fails when the next answers are not these, as regular expressions.
func (c *rawClient) hears(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.answer(); !regexp.MustCompile("^" + w + "$").MatchString(got) {
			c.t.Fatalf("heard %q, want %q", got, w)
		}
	}
}

func (c *rawClient) ok(commands ...string) {
	c.t.Helper()
	for _, command := range commands {
		if _, status := c.do(command); !strings.HasPrefix(status, "OK") {
			c.t.Fatalf("%s: %s", command, status)
		}
	}
}

// TestNotifyOfLostAccess: RFC 5465, section 5.9: a mailbox that may not be read any more
// is told with \NoAccess and not watched until it may be again, whatever events were
// asked for.
func TestNotifyOfLostAccess(t *testing.T) {
	for _, events := range []string{"MessageNew MessageExpunge", "MailboxName MessageNew MessageExpunge"} {
		s, m, c := overAiling(t)
		acct := s.accounts["demo"]
		c.ok("NOTIFY SET (personal (" + events + "))")
		s.deliverTo(t, "A")
		c.hears(`\* STATUS A \(UIDNEXT 2 MESSAGES 1\)`)
		// Nothing comes meanwhile: its counts are no news.
		for _, step := range []struct {
			without mailaccess.Rights
			hears   string
		}{{mailaccess.RightRead, ` \\NoAccess`}, {0, ""}} {
			if err := m.forbid(t.Context(), acct, "A", step.without); err != nil {
				t.Fatal(err)
			}
			c.hears(`\* LIST \(\\HasNoChildren` + step.hears + `\) "/" A`)
		}
		if err := m.forbid(t.Context(), acct, "A", mailaccess.RightRead); err != nil {
			t.Fatal(err)
		}
		c.hears(`\* LIST \(\\HasNoChildren \\NoAccess\) "/" A`)
		s.deliverTo(t, "A")
		s.deliverTo(t, "B") // what was told of A would come before
		c.hears(`\* STATUS B \(UIDNEXT 2 MESSAGES 1\)`)
		if err := m.forbid(t.Context(), acct, "A", 0); err != nil {
			t.Fatal(err)
		}
		c.hears(`\* LIST \(\\HasNoChildren\) "/" A`, `\* STATUS A \(UIDNEXT 3 MESSAGES 2\)`)
		s.deliverTo(t, "A")
		c.hears(`\* STATUS A \(UIDNEXT 4 MESSAGES 3\)`)
		end(t, s, c)
	}
	// Who does not watch it is told nothing.
	s, m, c := overAiling(t)
	c.ok("NOTIFY SET (mailboxes B (MessageNew MessageExpunge))")
	if err := m.forbid(t.Context(), s.accounts["demo"], "A", mailaccess.RightRead); err != nil {
		t.Fatal(err)
	}
	s.deliverTo(t, "B")
	c.hears(`\* STATUS B \(UIDNEXT 2 MESSAGES 1\)`)
	end(t, s, c)
}

// TestNotifySetRefused: a NOTIFY SET that is answered with NO changes nothing: what was
// asked for before stays in force (RFC 5465, section 3.1).
func TestNotifySetRefused(t *testing.T) {
	for _, refused := range []struct{ fails, groups string }{
		{"changes", "(personal (MessageNew MessageExpunge))"},
		{"", "(personal (MessageNew MessageExpunge AnnotationChange))"},
	} {
		s, m, c := overAiling(t)
		c.ok("NOTIFY SET (selected-delayed (MessageNew (UID) MessageExpunge)) (mailboxes A (MessageNew MessageExpunge))")
		m.fail(refused.fails)
		if untagged, status := c.do("NOTIFY SET STATUS (selected (MessageNew (MODSEQ) MessageExpunge)) " + refused.groups); !strings.HasPrefix(status, "NO") || len(untagged) > 0 {
			t.Fatalf("heard %q %s", untagged, status)
		}
		m.fail()
		s.deliverTo(t, "A")
		c.hears(`\* STATUS A \(UIDNEXT 2 MESSAGES 1\)`)
		s.deliverTo(t, "B")
		s.deliverTo(t, mailaccess.Inbox)
		// Without a mod-sequence: CONDSTORE was not enabled either.
		c.hears(`\* 2 EXISTS`, `\* 2 RECENT`, `\* 2 FETCH \(UID 2\)`)
		end(t, s, c)
	}
}

// TestNotifyAsksAgain: what the store could not say at once is told when it can.
func TestNotifyAsksAgain(t *testing.T) {
	for _, test := range []struct {
		fails  string
		within time.Duration
		// first is what is told at once, then what is told later.
		first, then []string
		box         string
	}{
		{"state", 5 * time.Second, nil, []string{`\* STATUS A \(UIDNEXT 2 MESSAGES 1\)`}, "A"},
		{"changes", 5 * time.Second, nil, []string{`\* STATUS A \(UIDNEXT 2 MESSAGES 1\)`}, "A"},
		{"messages", 2 * time.Second, []string{`\* 2 EXISTS`, `\* 2 RECENT`, `\* ESEARCH \(TAG "t"\) ADDTO \(0 2\)`}, []string{`\* 2 FETCH \(UID 2 FLAGS \(\\Recent\) RFC822.SIZE \d+\)`}, mailaccess.Inbox},
		{"mailbox changes", 2 * time.Second, []string{`\* 2 EXISTS`, `\* 2 RECENT`}, []string{`\* ESEARCH \(TAG "t"\) ADDTO \(0 2\)`, `\* 2 FETCH \(UID 2 FLAGS \(\\Recent\) RFC822.SIZE \d+\)`}, mailaccess.Inbox},
	} {
		t.Run(test.fails, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, m, c := overAiling(t)
				c.ok("SEARCH RETURN (UPDATE (RFC822.SIZE)) UNSEEN",
					"NOTIFY SET (selected (MessageNew (FLAGS) MessageExpunge)) (mailboxes A (MessageNew MessageExpunge))")
				synctest.Wait()
				m.fail(test.fails)
				s.deliverTo(t, test.box)
				c.hears(test.first...)
				synctest.Wait()
				m.fail()
				begun := time.Now()
				c.hears(test.then...)
				if took := time.Since(begun); took == 0 || took > test.within { // fake time
					t.Errorf("told after %v, want it within %v", took, test.within)
				}
				end(t, s, c)
			})
		})
	}
}

// TestUpdateItemsAreBounded: what all contexts fetch of a message is no more than one
// FETCH may: what goes beyond is not kept up to date (RFC 5267, section 4.3.1).
func TestUpdateItemsAreBounded(t *testing.T) {
	c := dialRaw(t, started(t, inMemory(memory.New(nil)), "Subject: 1\r\n\r\n1\r\n"))
	items := make([]string, 150)
	for i := range items {
		items[i] = fmt.Sprintf("BODY.PEEK[]<%d.1>", i)
	}
	search := "SEARCH RETURN (UPDATE (" + strings.Join(items, " ") + ")) SEEN"
	if untagged, status := c.do(search); len(untagged) > 0 || !strings.HasPrefix(status, "OK") {
		t.Fatalf("heard %q %s", untagged, status)
	}
	c.ok("CANCELUPDATE \"t\"", search)
	// One more beside it, under another tag.
	if _, err := c.nc.Write([]byte("u " + search + "\r\n")); err != nil {
		t.Fatal(err)
	}
	c.hears(`\* NO \[NOUPDATE "u"\] .*`, `u OK .*`)
}

// TestResyncFails: a SELECT that fails selects nothing, also when it fails while it tells
// what changed (RFC 3501, section 6.3.1).
func TestResyncFails(t *testing.T) {
	s, m, c := overAiling(t)
	c.ok("ENABLE QRESYNC", "UNSELECT")
	m.fail("mailbox changes")
	box, err := s.accounts["demo"].Lookup(t.Context(), mailaccess.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	if _, status := c.do(fmt.Sprintf("SELECT INBOX (QRESYNC (%d 1))", box.UIDValidity)); !strings.HasPrefix(status, "NO [UNAVAILABLE]") {
		t.Fatalf("SELECT: %s", status)
	}
	m.fail()
	if _, status := c.do("CHECK"); !strings.HasPrefix(status, "BAD") {
		t.Errorf("CHECK: %s", status)
	}
	untagged, status := c.do("SELECT INBOX")
	if !strings.HasPrefix(status, "OK") || strings.Contains(strings.Join(untagged, "\n"), "[CLOSED]") {
		t.Errorf("SELECT: %q %s", untagged, status)
	}
	end(t, s, c)
}
