package imap_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// troubled is a store in which some mailboxes cannot be looked into: Secret may not
// be read, Gone goes after it was listed, Broken fails.
type troubled struct{ mailaccess.Store }

func (s troubled) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	acct, err := s.Store.Open(ctx, account, who)
	return troubledAccount{acct}, err
}

type troubledAccount struct{ mailaccess.Account }

func (a troubledAccount) Mailboxes(ctx context.Context) iter.Seq2[mailaccess.Mailbox, error] {
	return func(yield func(mailaccess.Mailbox, error) bool) {
		for m, err := range a.Account.Mailboxes(ctx) {
			if m.Name == "Secret" {
				m.Rights = 0
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (a troubledAccount) Status(ctx context.Context, box mailaccess.MailboxID) (mailaccess.Status, error) {
	st, err := a.Account.Status(ctx, box)
	switch st.Name {
	case "Gone":
		return st, &mailaccess.Error{Kind: mailaccess.KindNotFound, Op: "status"}
	case "Broken":
		return st, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "status"}
	}
	return st, err
}

// TestListStatusOfWhatCannotBeRead: a mailbox that cannot be selected has \NoSelect
// and no STATUS, one whose status fails has none, and neither hides the others (RFC
// 5819, section 2).
func TestListStatusOfWhatCannotBeRead(t *testing.T) {
	fx, store := fuzzFixture(), inMemory(memory.New(nil))
	for _, name := range []string{"Broken", "Gone", "Secret", "Well"} {
		fx.Mailboxes = append(fx.Mailboxes, prototest.Mailbox{Name: name, User: fx.Users[0].Name})
	}
	store.served = troubled{store.base}
	s := startServer(t, fx, store)
	client, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	converse(t, client, "a LOGIN demo demo\r\nb LIST \"\" (Broken Gone Secret Well) RETURN (STATUS (UIDNEXT))\r\nc LOGOUT\r\n")
	client.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	const want = "* LIST (\\HasNoChildren) \"/\" Broken\r\n" +
		"* LIST (\\Noselect \\HasNoChildren) \"/\" Gone\r\n" +
		"* LIST (\\Noselect \\HasNoChildren) \"/\" Secret\r\n" +
		"* LIST (\\HasNoChildren) \"/\" Well\r\n* STATUS Well (UIDNEXT 1)\r\nb OK "
	if said := string(s.heard[0].sent); !strings.Contains(said, want) {
		t.Errorf("no %q in %q", want, said)
	}
}
