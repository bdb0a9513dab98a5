package imap_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/memory"
)

// holdingStore counts the mailboxes that are held.
type holdingStore struct {
	mailaccess.Store
	held, holds int
}

func (s *holdingStore) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	a, err := s.Store.Open(ctx, account, who)
	return holdingAccount{a, s}, err
}

type holdingAccount struct {
	mailaccess.Account
	s *holdingStore
}

func (a holdingAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Hold = a
	return caps
}

func (a holdingAccount) Hold(context.Context, mailaccess.MailboxID) (func(), error) {
	a.s.held++
	a.s.holds++
	return func() { a.s.held-- }, nil
}

// RFC 7377, section 2.2: mailboxes that may not be read are passed over, whoever names
// them. No mailbox stays open after its part of the search, whatever becomes of it.
func TestMultiSearchUnread(t *testing.T) {
	mem := memory.New(nil)
	defer mem.Close()
	fill(t, mem, 2)
	for want, without := range map[string]mailaccess.Rights{
		"* ESEARCH (TAG \"a\" MAILBOX INBOX": 0, "a OK ": mailaccess.RightRead,
	} {
		store := &holdingStore{Store: mem}
		e, err := engine.New(engine.Options{Store: store, Authenticator: limited{without}})
		if err != nil {
			t.Fatal(err)
		}
		ps := &protocols.Server{Protocol: imap.New(imap.Options{Engine: e})}
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			ps.ServeConn(server)
		}()
		go client.Write([]byte("l LOGIN demo demo\r\na ESEARCH IN (mailboxes INBOX personal) ALL\r\n" +
			"b ESEARCH IN (personal) MODSEQ\r\nc LOGOUT\r\n"))
		all, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		if _, after, _ := strings.Cut(string(all), "l OK "); !strings.HasPrefix(after[strings.Index(after, "\n")+1:], want) {
			t.Errorf("without %b: no %q in %q", without, want, all)
		}
		<-done
		if store.held != 0 || store.holds != 1 {
			t.Errorf("without %b: %d mailboxes are held after %d holds", without, store.held, store.holds)
		}
		if err := errors.Join(ps.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	}
}
