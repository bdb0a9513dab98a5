package pop3_test

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/pop3"
	"github.com/hashmail/mailaccess/stores/memory"
)

// What no user name and no password can be does not reach the authenticator: it
// may be a database or a directory that takes it for something else.
func TestImpossibleCredentialsAreNotAskedAbout(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	asked := mailaccess.AuthenticatorFunc(func(_ context.Context, username, password string) (string, error) {
		t.Errorf("asked about a name of %d and a password of %d octets", len(username), len(password))
		return username, nil
	})
	e, err := engine.New(engine.Options{Store: store, Authenticator: asked})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := &protocols.Server{Protocol: pop3.New(pop3.Options{Engine: e})}
	nc, server := net.Pipe()
	ended := make(chan struct{})
	go func() { defer close(ended); s.ServeConn(server) }()
	c := &client{t, nc, bufio.NewReader(nc)}
	c.want("+OK")
	for _, l := range [][2]string{
		{"al\xffice", "secret"},
		{strings.Repeat("a", 2000), "secret"},
		{"alice", strings.Repeat("p", 5000)},
	} {
		c.say("USER " + l[0])
		c.want("+OK")
		c.say("PASS " + l[1])
		c.want("-ERR [AUTH] ")
	}
	c.Close()
	<-ended
}
