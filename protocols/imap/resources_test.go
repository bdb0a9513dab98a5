package imap_test

import (
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// counted is a store that counts what is open of it.
type counted struct {
	mailaccess.Store
	accounts, contents, staged *opens
}

// opens counts what was opened, and how much of it was not closed.
type opens struct{ all, left atomic.Int64 }

func (o *opens) open() { o.all.Add(1); o.left.Add(1) }

func (s counted) Open(ctx context.Context, account string, who mailaccess.Identity) (mailaccess.Account, error) {
	acct, err := s.Store.Open(ctx, account, who)
	if err == nil {
		s.accounts.open()
	}
	return countedAccount{acct, s}, err
}

type countedAccount struct {
	mailaccess.Account
	s counted
}

func (a countedAccount) Close() error {
	a.s.accounts.left.Add(-1)
	return a.Account.Close()
}

func (a countedAccount) Capabilities() mailaccess.Capabilities {
	caps := a.Account.Capabilities()
	caps.Append = countedAppender{caps.Append, a.s}
	caps.Derived, caps.Search = nil, nil
	return caps
}

func (a countedAccount) Content(ctx context.Context, id mailaccess.EmailID) (mailaccess.Content, error) {
	c, err := a.Account.Content(ctx, id)
	if err == nil {
		a.s.contents.open()
	}
	return countedContent{c, a.s}, err
}

type countedContent struct {
	mailaccess.Content
	s counted
}

func (c countedContent) Close() error {
	c.s.contents.left.Add(-1)
	return c.Content.Close()
}

type countedAppender struct {
	mailaccess.Appender
	s counted
}

func (a countedAppender) Stage(ctx context.Context, size int64) (mailaccess.Staged, error) {
	st, err := a.Appender.Stage(ctx, size)
	if err == nil {
		a.s.staged.open()
	}
	return &countedStaged{Staged: st, s: a.s}, err
}

func (a countedAppender) Append(ctx context.Context, box mailaccess.MailboxID, msgs []mailaccess.NewMessage) (mailaccess.Appended, error) {
	for i := range msgs {
		msgs[i].Staged = msgs[i].Staged.(*countedStaged).Staged
	}
	return a.Appender.Append(ctx, box, msgs)
}

type countedStaged struct {
	mailaccess.Staged
	s      counted
	closed bool
}

func (c *countedStaged) Close() error {
	if !c.closed {
		c.closed = true
		c.s.staged.left.Add(-1)
	}
	return c.Staged.Close()
}

// TestNothingIsLeftOpen: wherever a conversation breaks off, contents, messages on
// their way in and accounts are given back.
func TestNothingIsLeftOpen(t *testing.T) {
	const opening = "a LOGIN demo demo\r\nb SELECT INBOX\r\n"
	for _, test := range []struct {
		says string
		// hear is how many octets the client hears before it hangs up; all
		// when -1; and 0, whatever comes until it has said everything.
		hear int
		// opens is how much is opened, accounts included, at least.
		opens int64
	}{
		{"c FETCH 1:* (BODY[] ENVELOPE BODYSTRUCTURE)\r\nd LOGOUT\r\n", -1, 103},
		{"c FETCH 1:* (BODY.PEEK[TEXT] RFC822.SIZE)\r\nd LOGOUT\r\n", 60_000, 30},
		{"c FETCH 1:* (ENVELOPE)\r\n", 0, 2},
		{"c SEARCH BODY nothing OR TEXT x HEADER From y\r\nd LOGOUT\r\n", -1, 103},
		{"c APPEND INBOX {5+}\r\nhello {5+}\r\nhello CATENATE (URL /INBOX/;UID=1 TEXT {1+}\r\na URL /INBOX/;UID=9999)\r\n" +
			"d APPEND INBOX CATENATE (URL /INBOX/;UID=1/;SECTION=9)\r\ne APPEND INBOX CATENATE (URL /INBOX/;UID=2) {5+}\r\nhel", 0, 6},
		{"c APPEND INBOX {5+}\r\nhello\r\nd APPEND INBOX {5+}\r\nhello (\r\ne APPEND Nowhere {5+}\r\nhello\r\nf LOGOUT\r\n", -1, 3},
		{"c APPEND INBOX {500}\r\nhello", 0, 2},
		{"c APPEND INBOX {500+}\r\nhello", 0, 2},
		{"c IDLE\r\n", 0, 1},
		{"c UID", 0, 1},
	} {
		fx, store := fuzzFixture(), inMemory(memory.New(nil))
		for i := range 100 {
			fx.Messages = append(fx.Messages, prototest.Message{
				User: "demo", Mailbox: "INBOX",
				Content: append(prototest.Generated(i), strings.Repeat("0123456789\r\n", 100)...),
			})
		}
		counts := counted{store.base, new(opens), new(opens), new(opens)}
		store.served = counts
		s := startServer(t, fx, store)
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		said := make(chan struct{})
		go func() {
			defer close(said)
			_, _ = io.WriteString(client, opening+test.says)
		}()
		heard := make(chan error, 1)
		go func() {
			var err error
			if test.hear > 0 {
				_, err = io.CopyN(io.Discard, client, int64(test.hear))
				client.Close()
			} else {
				_, err = io.Copy(io.Discard, client)
			}
			heard <- err
		}()
		<-said
		if test.hear == 0 {
			client.Close()
		}
		if err := <-heard; err != nil && test.hear != 0 {
			t.Errorf("%q: %v", test.says, err)
		}
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		all := int64(0)
		for name, o := range map[string]*opens{"accounts": counts.accounts, "contents": counts.contents, "staged messages": counts.staged} {
			if o.left.Load() != 0 {
				t.Errorf("%q: %d of %d %s are left open", test.says, o.left.Load(), o.all.Load(), name)
			}
			all += o.all.Load()
		}
		if all < test.opens {
			t.Errorf("%q: %d things were opened, want %d at least", test.says, all, test.opens)
		}
	}
}
