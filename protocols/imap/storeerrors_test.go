package imap_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/stores/memory"
)

// plainErrors is a store whose errors are not of the contract's type, and look like
// those of a connection.
type plainErrors struct{ mailaccess.Store }

func (s plainErrors) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	acct, err := s.Store.Open(ctx, account, who)
	return plainErrorsAccount{acct}, err
}

type plainErrorsAccount struct{ mailaccess.Account }

func (a plainErrorsAccount) Lookup(ctx context.Context, name string) (mailaccess.Mailbox, error) {
	if name == "Box" {
		return mailaccess.Mailbox{}, io.EOF
	}
	return a.Account.Lookup(ctx, name)
}

func (plainErrorsAccount) Messages(context.Context, mailaccess.MailboxID, mailaccess.UIDSet) iter.Seq2[mailaccess.Message, error] {
	return func(yield func(mailaccess.Message, error) bool) {
		yield(mailaccess.Message{}, errors.New("connection reset by peer"))
	}
}

// TestUnknownStoreErrors: whatever a store's error is, it is answered, and ends no
// connection (mailaccess.KindOf: it is internal).
func TestUnknownStoreErrors(t *testing.T) {
	fx, store := fuzzFixture(), inMemory(memory.New(nil))
	fx.Options["errors"] = "yes"
	store.served = plainErrors{store.base}
	s := startServer(t, fx, store)
	client, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	converse(t, client, "a LOGIN demo demo\r\nb STATUS Box (MESSAGES)\r\nc SELECT Box\r\nd APPEND Box {1+}\r\nx\r\n"+
		"e SELECT INBOX\r\nf FETCH 1 FLAGS\r\ng SEARCH ALL\r\n")
	client.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	said := string(s.heard[0].sent)
	for _, want := range []string{"b NO [SERVERBUG] ", "c NO [SERVERBUG] ", "d NO [SERVERBUG] ", "e OK ", "f NO [SERVERBUG] ", "g NO [SERVERBUG] "} {
		if !strings.Contains(said, want) {
			t.Errorf("no %s in %q", want, said)
		}
	}
}

// TestFailuresAreLoggedOnce: an error that the client cannot help is logged, and once, also
// where it has another effect than its answer.
func TestFailuresAreLoggedOnce(t *testing.T) {
	for _, command := range []string{"SEARCH SUBJECT x", "SEARCH RETURN (SAVE) SUBJECT x", "SORT RETURN (SAVE) (SUBJECT) UTF-8 ALL", "ESEARCH RETURN (SAVE) SUBJECT x", "FETCH 1 FLAGS"} {
		fx, store := fuzzFixture(), inMemory(memory.New(nil))
		fx.Options["errors"] = "yes"
		store.served = plainErrors{store.base}
		s := startServer(t, fx, store)
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		converse(t, client, "a LOGIN demo demo\r\nb SELECT INBOX\r\nc "+command+"\r\n")
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := s.errors.Len(); n != 1 || s.errors.All()[0].Message != "command failed" {
			t.Errorf("%s: %d errors are logged", command, n)
		}
	}
}

// TestCloseFails: RFC 3501, section 6.4.2: CLOSE leaves the mailbox, also when what is
// \Deleted could not be removed; the client is told of that beside the OK.
func TestCloseFails(t *testing.T) {
	fx, store := fuzzFixture(), inMemory(memory.New(nil))
	store.served = failingExpunge{store.base}
	s := startServer(t, fx, store)
	client, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	converse(t, client, "a LOGIN demo demo\r\nb SELECT INBOX\r\nc CLOSE\r\nd CHECK\r\n")
	client.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	said := string(s.heard[0].sent)
	_, said, _ = strings.Cut(said, "b OK ")
	for _, want := range []string{"\n* NO [UNAVAILABLE] some messages were not removed", "\nc OK ", "\nd BAD "} {
		var found bool
		if _, said, found = strings.Cut(said, want); !found {
			t.Errorf("no %q, in this order", want)
		}
	}
}

type failingExpunge struct{ mailaccess.Store }

func (s failingExpunge) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	acct, err := s.Store.Open(ctx, account, who)
	return failingExpungeAccount{acct}, err
}

type failingExpungeAccount struct{ mailaccess.Account }

func (a failingExpungeAccount) Capabilities() mailaccess.Capabilities {
	c := a.Account.Capabilities()
	c.Expunge = a
	return c
}

func (failingExpungeAccount) Expunge(context.Context, mailaccess.MailboxID, mailaccess.UIDSet, mailaccess.SystemFlags) ([]mailaccess.Commit, error) {
	return nil, &mailaccess.Error{Kind: mailaccess.KindUnavailable, Op: "expunge"}
}
