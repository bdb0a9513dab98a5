package imap_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/memory"
)

// A user who is known and has no account is told so, and not that a mailbox is
// missing (RFC 5530, section 3: CONTACTADMIN).
func TestLoginWithoutAccount(t *testing.T) {
	store := memory.New(&memory.Options{KnownAccountsOnly: true})
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"demo": "demo"})})
	if err != nil {
		t.Fatal(err)
	}
	s := &protocols.Server{Protocol: imap.New(imap.Options{Engine: e})}
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ServeConn(server)
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
		for _, err := range []error{s.Close(), e.Close(), store.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	r := bufio.NewReader(client)
	for _, step := range []struct{ say, hear string }{
		{"", "* OK "},
		{"a LOGIN demo demo\r\n", "a NO [CONTACTADMIN] "},
		{"b SELECT INBOX\r\n", "b BAD "}, // still not logged in
	} {
		if step.say != "" {
			if _, err := client.Write([]byte(step.say)); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, step.hear) {
			t.Fatalf("%q: heard %q, %v; want %q", step.say, line, err, step.hear)
		}
	}
}

// RFC 4315, section 5: whoever may put messages into a mailbox and not look into it
// is not told their UIDs.
func TestAppendUnread(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	for name, without := range map[string]mailaccess.Rights{"a OK [APPENDUID ": 0, "a OK done": mailaccess.RightRead} {
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
		go client.Write([]byte("l LOGIN demo demo\r\na APPEND INBOX {1+}\r\nx\r\nb LOGOUT\r\n"))
		all, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(all), "\n"+name) {
			t.Errorf("without %b: no %q in %q", without, name, all)
		}
		<-done
		if err := errors.Join(ps.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	}
}

// limited lets everybody in, without some rights.
type limited struct{ without mailaccess.Rights }

func (l limited) Authenticate(_ context.Context, who mailaccess.Login) (mailaccess.Identity, error) {
	return mailaccess.Identity{User: who.Username, Account: who.Username, Without: l.without}, nil
}

// A shutdown waits for nobody who is not logged in, also in the middle of an
// exchange or of a command.
func TestShutdownDoesNotWaitForStrangers(t *testing.T) {
	for _, says := range []string{
		"a AUTHENTICATE PLAIN\r\n", "a STARTTLS\r\n", "a LO", "a LOGIN {4}\r\nde", "a NOOP\r\nb NONSENSE {10+}\r\nabc",
	} {
		synctest.Test(t, func(t *testing.T) {
			fx := fuzzFixture()
			fx.Options = map[string]string{"tls": "yes"}
			s := startServer(t, fx, inMemory(memory.New(nil)))
			client, err := s.Dial()
			if err != nil {
				t.Fatal(err)
			}
			heard := make(chan string)
			go func() {
				all, _ := io.ReadAll(client)
				heard <- string(all)
			}()
			if _, err := io.WriteString(client, says); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			begun := time.Now()
			if err := s.shutdown(); err != nil || time.Since(begun) != 0 { // fake time
				t.Errorf("%q: shut down after %v: %v", says, time.Since(begun), err)
			}
			if got := <-heard; !strings.HasPrefix(says, "a STARTTLS") && !strings.Contains(got, "\r\n* BYE ") {
				t.Errorf("%q: heard %q", says, got)
			}
			client.Close()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
