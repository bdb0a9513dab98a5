package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/textproto"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Conversations, over the reference store.
func TestTranscripts(t *testing.T) {
	prototest.Run(t, os.DirFS("testdata"), start, &prototest.Options{
		Login: func(u prototest.User) string {
			return "S: 201 {{.*}}\nC: AUTHINFO USER " + u.Name + "\nS: 381 {{.*}}\nC: AUTHINFO PASS " + u.Password + "\nS: 281 {{.*}}\n"
		},
		Bye: "C: QUIT\nS: 205 {{.*}}\nS: <eof>\n",
	})
}

// fixture is a server over mail in memory.
type fixture struct {
	server *protocols.Server
	engine *engine.Engine
	store  *memory.Store
}

func start(t testing.TB, fx prototest.Fixture) prototest.Server {
	store := memory.New(nil)
	users := make(map[string]string)
	for _, u := range fx.Users {
		users[u.Name] = u.Password
	}
	for _, m := range fx.Mailboxes {
		account, err := store.Open(t.Context(), m.User, mailaccess.Identity{User: m.User, Account: m.User})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := account.Capabilities().Mailboxes.CreateMailbox(t.Context(), m.Name, 0); err != nil {
			t.Fatal(err)
		}
		if err := account.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range fx.Messages {
		if _, err := store.Deliver(t.Context(), m.User, m.Mailbox, m.Content, mailaccess.Flags{}, m.Date); err != nil {
			t.Fatal(err)
		}
	}
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(users)})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{&protocols.Server{Protocol: &server{engine: e}}, e, store}
}

func (f *fixture) Dial() (net.Conn, error) {
	client, server := net.Pipe()
	go f.server.ServeConn(server)
	return client, nil
}

func (f *fixture) Close() error {
	for _, close := range []func() error{f.server.Close, f.engine.Close, f.store.Close} {
		if err := close(); err != nil {
			return err
		}
	}
	return nil
}

// The program serves, and ends when it is told to.
func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"--listen", "127.0.0.1:0", "--user", "ann", "--password", "secret"}, in)
		in.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c, err := textproto.Dial("tcp", strings.TrimPrefix(strings.TrimSpace(line), "NNTP on "))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, step := range []struct {
		say  string
		code int
	}{{"", 201}, {"GROUP INBOX", 480}, {"AUTHINFO USER ann", 381}, {"AUTHINFO PASS wrong", 481}, {"AUTHINFO PASS secret", 281}, {"GROUP INBOX", 211}} {
		if step.say != "" {
			if err := c.PrintfLine("%s", step.say); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.ReadCodeLine(step.code); err != nil {
			t.Fatalf("%s: %v", step.say, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
