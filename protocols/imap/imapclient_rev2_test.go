package imap_test

import (
	"slices"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// TestImapclientRev2: a client that nobody here wrote enables IMAP4rev2 and finds names
// in UTF-8, the status of each mailbox beside its name, and ESEARCH.
func TestImapclientRev2(t *testing.T) {
	s := startServer(t, prototest.Fixture{
		Users: []prototest.User{{Name: "demo", Password: "demo"}},
		Mailboxes: []prototest.Mailbox{
			{User: "demo", Name: "Übung/Eins", Subscribed: true}, {User: "demo", Name: "Rund", Attributes: []string{`\Archive`}},
		},
		Messages: []prototest.Message{{User: "demo", Mailbox: "Rund", Date: time.Unix(1e9, 0), Content: prototest.Generated(1)}},
	}, inMemory(memory.New(nil)))
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, _ := s.client(t)
	if got, err := c.Enable(goimap.CapIMAP4rev2).Wait(); err != nil || !got.Caps.Has(goimap.CapIMAP4rev2) {
		t.Fatalf("enable: %v, %v", got, err)
	}
	list, err := c.List("", "*", &goimap.ListOptions{
		ReturnSubscribed: true, ReturnChildren: true, ReturnSpecialUse: true,
		ReturnStatus: &goimap.StatusOptions{NumMessages: true, NumDeleted: true, Size: true},
	}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	type shown struct {
		name     string
		attrs    []goimap.MailboxAttr
		messages int64 // -1: no status
	}
	want := []shown{
		{"INBOX", []goimap.MailboxAttr{goimap.MailboxAttrHasNoChildren}, 0},
		{"Rund", []goimap.MailboxAttr{goimap.MailboxAttrHasNoChildren, goimap.MailboxAttrArchive}, 1},
		{"Übung", []goimap.MailboxAttr{goimap.MailboxAttrNonExistent, goimap.MailboxAttrHasChildren}, -1},
		{"Übung/Eins", []goimap.MailboxAttr{goimap.MailboxAttrHasNoChildren, goimap.MailboxAttrSubscribed}, 0},
	}
	if len(list) != len(want) {
		t.Fatalf("%d names, want %d", len(list), len(want))
	}
	for i, m := range list {
		got := shown{m.Mailbox, m.Attrs, -1}
		if m.Status != nil {
			got.messages = int64(*m.Status.NumMessages)
			if *m.Status.NumDeleted != 0 || (*m.Status.Size > 0) != (got.messages > 0) {
				t.Errorf("%s: %d deleted, %d octets", m.Mailbox, *m.Status.NumDeleted, *m.Status.Size)
			}
		}
		if w := want[i]; got.name != w.name || !slices.Equal(got.attrs, w.attrs) || got.messages != w.messages {
			t.Errorf("got %+v, want %+v", got, w)
		}
	}
	for _, name := range []string{"Café", mailaccess.Inbox + "/Ⅳ"} {
		if err := c.Create(name, &goimap.CreateOptions{SpecialUse: []goimap.MailboxAttr{goimap.MailboxAttrSent}}).Wait(); err != nil {
			t.Errorf("create %q: %v", name, err)
		}
		if _, err := c.Select(name, nil).Wait(); err != nil {
			t.Errorf("select %q: %v", name, err)
		}
	}
	if _, err := c.Select("Rund", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	found, err := c.UIDSearch(&goimap.SearchCriteria{Not: []goimap.SearchCriteria{{Text: []string{"Ünsinn"}}}}, &goimap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	if err != nil || found.Count != 1 || !slices.Equal(found.AllUIDs(), []goimap.UID{1}) {
		t.Errorf("search: %+v, %v", found, err)
	}
	if err := c.Logout().Wait(); err != nil {
		t.Error(err)
	}
}
