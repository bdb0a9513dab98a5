package imap_test

import (
	"bufio"
	"net"
	"strings"
	"testing"

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
