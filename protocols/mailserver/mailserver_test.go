package mailserver_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/protocols/pop3"
	"github.com/hashmail/mailaccess/stores/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// One store, both protocols, plain and TLS: mail that came is seen through each, and
// a shutdown says goodbye on each.
func TestServe(t *testing.T) {
	cert, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	store := memory.New(nil)
	defer store.Close()
	s, err := mailserver.New(store, auth.Static(map[string]string{"ann": "secret"}), &mailserver.Options{
		TLSConfig:           &tls.Config{Certificates: []tls.Certificate{cert}},
		PlaintextOnLoopback: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Deliver(t.Context(), "ann", mailaccess.Inbox, []byte("Subject: hello\n\nHello.\n"), mailaccess.Flags{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 4)
	dial := func(serve func(net.Listener) error, secure bool) *conversation {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { served <- serve(l) }()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			c = tls.Client(c, &tls.Config{RootCAs: roots, ServerName: "localhost"})
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		return &conversation{t, c, bufio.NewReader(c)}
	}
	var open []*conversation
	for _, secure := range []bool{false, true} {
		serve := s.IMAP.Serve
		if secure {
			serve = s.IMAP.ServeTLS
		}
		c := dial(serve, secure)
		c.expect("", "* OK ")
		c.expect("a LOGIN ann secret\r\n", "a OK ")
		c.expect("b STATUS INBOX (MESSAGES)\r\n", "* STATUS INBOX (MESSAGES 1)")
		c.expect("", "b OK ")
		open = append(open, c)
	}
	for _, secure := range []bool{false, true} {
		serve := s.POP3.Serve
		if secure {
			serve = s.POP3.ServeTLS
		}
		c := dial(serve, secure)
		c.expect("", "+OK ")
		c.expect("USER ann\r\n", "+OK")
		if secure {
			// The maildrop is held by the other connection.
			c.expect("PASS secret\r\n", "-ERR [IN-USE]")
		} else {
			c.expect("PASS secret\r\n", "+OK")
			c.expect("STAT\r\n", "+OK 1 ")
		}
		open = append(open, c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(ctx) }()
	for i, c := range open {
		goodbye := "* BYE "
		if i >= 2 {
			goodbye = "-ERR "
		}
		c.expect("", goodbye)
		c.conn.Close()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for range open {
		if err := <-served; err != protocols.ErrServerClosed {
			t.Error(err)
		}
	}
}

type conversation struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (c *conversation) expect(say, hear string) {
	c.t.Helper()
	if say != "" {
		if _, err := c.conn.Write([]byte(say)); err != nil {
			c.t.Fatal(err)
		}
	}
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, hear) {
		c.t.Fatalf("said %q, heard %q, %v; want %q", say, line, err, hear)
	}
}

// A namespace that cannot be is refused at the start, and not by clients.
func TestNamespace(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	for _, test := range []struct {
		ns imap.Namespace
		ok bool
	}{{imap.Namespace{Prefix: "INBOX.", Separator: '.'}, true}, {imap.Namespace{Prefix: "INBOX", Separator: '.'}, false}} {
		s, err := mailserver.New(store, auth.Static(nil), &mailserver.Options{Namespace: test.ns})
		if (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.ns, err)
		}
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// farListener hands out connections that say they come from elsewhere.
type farListener struct{ net.Listener }

func (l farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{c}, nil
}

type farConn struct{ net.Conn }

func (farConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:49152"))
}

// TestGuard: failures by one protocol ban for all, until the ban is lifted.
func TestGuard(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	s, err := mailserver.New(store, auth.Static(map[string]string{"ann": "secret"}), &mailserver.Options{
		AllowPlaintext: true, Guard: &auth.GuardOptions{BanAfter: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	say := func(p *protocols.Server, steps ...string) {
		t.Helper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go p.Serve(farListener{l})
		defer l.Close()
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		c := &conversation{t, nc, bufio.NewReader(nc)}
		for i := 0; i < len(steps); i += 2 {
			c.expect(steps[i], steps[i+1])
		}
	}
	say(s.IMAP, "", "* OK ", "a LOGIN ann wrong\r\n", "a NO [AUTHENTICATIONFAILED]")
	say(s.POP3, "", "+OK ", "USER nobody\r\n", "+OK", "PASS x\r\n", "-ERR [AUTH]")
	say(s.IMAP, "", "* OK ", "a LOGIN ann secret\r\n", "a NO [UNAVAILABLE]")
	say(s.POP3, "", "+OK ", "USER ann\r\n", "+OK", "PASS secret\r\n", "-ERR [SYS/TEMP]")
	if bans := s.Guard.Bans(); len(bans) != 1 || !s.Guard.Lift(bans[0].Prefix) {
		t.Fatalf("bans: %v", bans)
	}
	say(s.POP3, "", "+OK ", "USER ann\r\n", "+OK", "PASS secret\r\n", "+OK")
}

// A maildrop is as its policy says, and one that makes no sense is refused.
func TestPOP3Policy(t *testing.T) {
	store := memory.New(nil)
	defer store.Close()
	if _, err := mailserver.New(store, auth.Static(nil), &mailserver.Options{POP3: pop3.Policy{KeepDays: -1}}); err == nil {
		t.Error("a policy that makes no sense was taken")
	}
	s, err := mailserver.New(store, auth.Static(nil), &mailserver.Options{POP3: pop3.Policy{ExpireDays: 30}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client, server := net.Pipe()
	defer client.Close()
	go s.POP3.ServeConn(server)
	if err := client.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(client)
	lines.Scan() // the greeting
	if _, err := client.Write([]byte("CAPA\r\n")); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() && lines.Text() != "EXPIRE 30" {
		if lines.Text() == "." {
			t.Fatal("EXPIRE 30 is not among the capabilities")
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}
