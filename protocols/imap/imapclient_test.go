package imap_test

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// exampleMail has what a client shows of a message: encoded words, alternatives, an
// attachment and an embedded message.
const exampleMail = "Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n" +
	"Subject: =?utf-8?q?caf=C3=A9?=\r\n" +
	"From: \"Doe, J.\" <j@example.org>\r\n" +
	"To: a@example.com, Group: b@example.net;\r\n" +
	"Message-ID: <1@example.org>\r\n" +
	"In-Reply-To: <0@example.org>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nA needle.\r\n\r\n" +
	"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBE\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nInner.\r\n--b--\r\n"

// client is go-imap's client on a connection to s, and what it was told without
// having asked.
func (s *server) client(t *testing.T) (c *imapclient.Client, told <-chan uint32) {
	t.Helper()
	nc, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	exists := make(chan uint32, 100)
	c = imapclient.New(nc, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				exists <- *data.NumMessages
			}
		},
	}})
	t.Cleanup(func() { c.Close() })
	if err := c.Login("demo", "demo").Wait(); err != nil {
		t.Fatal(err)
	}
	return c, exists
}

// A client that nobody here wrote does what clients do.
func TestImapclient(t *testing.T) {
	s := startServer(t, prototest.Fixture{
		Users:     []prototest.User{{Name: "demo", Password: "demo"}},
		Mailboxes: []prototest.Mailbox{{User: "demo", Name: "Sent", Attributes: []string{`\Sent`}}, {User: "demo", Name: "Übung/Eins"}},
		Messages:  []prototest.Message{{User: "demo", Mailbox: mailaccess.Inbox, Date: time.Unix(1e9, 0), Content: prototest.Generated(1)}},
	}, inMemory(memory.New(nil)))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, exists := s.client(t)

	list, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range list {
		names = append(names, m.Mailbox)
		if m.Mailbox == "Sent" && !slices.Contains(m.Attrs, goimap.MailboxAttrSent) {
			t.Errorf("Sent has %v", m.Attrs)
		}
	}
	if slices.Sort(names); !slices.Equal(names, []string{"INBOX", "Sent", "Übung", "Übung/Eins"}) {
		t.Errorf("mailboxes: %q", names)
	}

	selected, err := c.Select("INBOX", nil).Wait()
	if err != nil || selected.NumMessages != 1 || selected.UIDNext != 2 || selected.UIDValidity == 0 || !slices.Contains(selected.PermanentFlags, goimap.FlagWildcard) {
		t.Fatalf("select: %+v, %v", selected, err)
	}

	// APPEND.
	received := time.Date(2003, 2, 1, 4, 5, 6, 0, time.FixedZone("", 7200))
	upload := c.Append("INBOX", int64(len(exampleMail)), &goimap.AppendOptions{Flags: []goimap.Flag{goimap.FlagFlagged, "Mine"}, Time: received})
	if _, err := io.WriteString(upload, exampleMail); err != nil {
		t.Fatal(err)
	}
	if err := upload.Close(); err != nil {
		t.Fatal(err)
	}
	appended, err := upload.Wait()
	if err != nil || appended.UID != 2 || appended.UIDValidity != selected.UIDValidity {
		t.Fatalf("append: %+v, %v", appended, err)
	}

	// FETCH.
	whole, text := &goimap.FetchItemBodySection{Peek: true}, &goimap.FetchItemBodySection{Part: []int{1}}
	fetched, err := c.Fetch(goimap.UIDSetNum(2), &goimap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, Envelope: true,
		BodyStructure: &goimap.FetchItemBodyStructure{Extended: true},
		BodySection:   []*goimap.FetchItemBodySection{whole, text},
	}).Collect()
	if err != nil || len(fetched) != 1 {
		t.Fatalf("fetch: %d messages, %v", len(fetched), err)
	}
	m := fetched[0]
	if m.SeqNum != 2 || m.UID != 2 || m.RFC822Size != int64(len(exampleMail)) || !m.InternalDate.Equal(received) {
		t.Errorf("fetched %d, UID %d, %d octets, of %v", m.SeqNum, m.UID, m.RFC822Size, m.InternalDate)
	}
	if !slices.Contains(m.Flags, goimap.FlagSeen) || !slices.Contains(m.Flags, goimap.FlagFlagged) || !slices.Contains(m.Flags, "Mine") {
		t.Errorf("flags: %v", m.Flags)
	}
	from := []goimap.Address{{Name: "Doe, J.", Mailbox: "j", Host: "example.org"}}
	wantEnvelope := &goimap.Envelope{
		Date: time.Date(1997, 11, 21, 9, 55, 6, 0, time.FixedZone("", -6*3600)), Subject: "café",
		From: from, Sender: from, ReplyTo: from,
		To:        []goimap.Address{{Mailbox: "a", Host: "example.com"}, {Mailbox: "Group"}, {Mailbox: "b", Host: "example.net"}, {}},
		InReplyTo: []string{"0@example.org"}, MessageID: "1@example.org",
	}
	if diff := cmp.Diff(wantEnvelope, m.Envelope, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("envelope (- want, + got):\n%s", diff)
	}
	if got := string(m.FindBodySection(whole)); got != exampleMail {
		t.Errorf("the message is %q", got)
	}
	if got := string(m.FindBodySection(text)); got != "A needle.\r\n" {
		t.Errorf("part 1 is %q", got)
	}
	checkStructure(t, m.BodyStructure)

	// SEARCH.
	for _, tt := range []struct {
		criteria goimap.SearchCriteria
		want     []goimap.UID
	}{
		{goimap.SearchCriteria{}, []goimap.UID{1, 2}},
		{goimap.SearchCriteria{Body: []string{"NEEDLE"}}, []goimap.UID{2}},
		{goimap.SearchCriteria{Header: []goimap.SearchCriteriaHeaderField{{Key: "Subject", Value: "CAFÉ"}}}, []goimap.UID{2}},
		{goimap.SearchCriteria{NotFlag: []goimap.Flag{goimap.FlagSeen}}, []goimap.UID{1}},
		{goimap.SearchCriteria{Flag: []goimap.Flag{"Mine"}, SentSince: time.Date(1997, 11, 21, 0, 0, 0, 0, time.UTC)}, []goimap.UID{2}},
		{goimap.SearchCriteria{Or: [][2]goimap.SearchCriteria{{{Larger: int64(len(exampleMail)) - 1}, {Text: []string{"no such text"}}}}}, []goimap.UID{2}},
	} {
		found, err := c.UIDSearch(&tt.criteria, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		if got := found.AllUIDs(); !slices.Equal(got, tt.want) {
			t.Errorf("search %+v: %v, want %v", tt.criteria, got, tt.want)
		}
	}

	// STORE, COPY, MOVE, EXPUNGE.
	stored, err := c.Store(goimap.UIDSetNum(1), &goimap.StoreFlags{Op: goimap.StoreFlagsAdd, Flags: []goimap.Flag{goimap.FlagDeleted}}, nil).Collect()
	if err != nil || len(stored) != 1 || !slices.Contains(stored[0].Flags, goimap.FlagDeleted) {
		t.Errorf("store: %+v, %v", stored, err)
	}
	copied, err := c.Copy(goimap.UIDSetNum(1, 2), "Übung/Eins").Wait()
	if err != nil || copied.SourceUIDs.String() != "1:2" || copied.DestUIDs.String() != "1:2" {
		t.Errorf("copy: %+v, %v", copied, err)
	}
	moved, err := c.Move(goimap.UIDSetNum(2), "Sent").Wait()
	if err != nil || moved.SourceUIDs.String() != "2" || moved.DestUIDs.String() != "1" {
		t.Errorf("move: %+v, %v", moved, err)
	}
	gone, err := c.Expunge().Collect()
	if err != nil || !slices.Equal(gone, []uint32{1}) {
		t.Errorf("expunge: %v, %v", gone, err)
	}

	// IDLE: what another client brings is told at once.
	for len(exists) > 0 {
		<-exists
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := s.client(t)
	if _, err := other.Select("Übung/Eins", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Copy(goimap.UIDSetNum(1), "INBOX").Wait(); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-exists:
		if n != 1 {
			t.Errorf("%d messages are told of, want 1", n)
		}
	case <-time.After(20 * time.Second):
		t.Error("an idling client was not told of a new message")
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*imapclient.Client{c, other} {
		if err := c.Logout().Wait(); err != nil {
			t.Error(err)
		}
	}
}

// checkStructure compares a body structure with that of exampleMail.
func checkStructure(t *testing.T, bs goimap.BodyStructure) {
	t.Helper()
	var got []string
	bs.Walk(func(path []int, part goimap.BodyStructure) bool {
		line := part.MediaType()
		if single, ok := part.(*goimap.BodyStructureSinglePart); ok {
			line += " " + single.Encoding + " " + single.Filename()
			if single.MessageRFC822 != nil {
				line += single.MessageRFC822.Envelope.Subject + " " + single.MessageRFC822.BodyStructure.MediaType()
			}
		}
		got = append(got, strings.TrimSpace(line))
		return true
	})
	want := []string{"multipart/mixed", "text/plain 7bit", "application/pdf base64 a.pdf", "message/rfc822 7bit inner text/plain"}
	if !slices.Equal(got, want) {
		t.Errorf("structure: %q, want %q", got, want)
	}
}
