package protocols_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hashmail/mailaccess/protocols"
)

// greet greets, then waits for the client to leave.
func greet(_ context.Context, c *protocols.Conn) error {
	fmt.Fprint(c, "welcome\r\n")
	_, err := io.Copy(io.Discard, c)
	return err
}

func TestLimitsDefaults(t *testing.T) {
	const none = time.Duration(math.MaxInt64)
	tests := []struct {
		name        string
		given, want *protocols.Limits
	}{
		{"nil", nil, &protocols.Limits{
			Connections: 16384, PerAddress: 256, PerNetwork: 1024, PerUser: 64,
			HandshakeTimeout: 30 * time.Second, AuthTimeout: 3 * time.Minute, IdleTimeout: 30 * time.Minute,
			CommandTimeout: 2 * time.Minute, LiteralTimeout: 2 * time.Minute, WriteTimeout: time.Minute,
			CommandsPerSecond: 1000, Memory: 512 << 20, PerConnection: 128 << 20, BadCommands: 20,
			MaxLine: 64 << 10, MaxLiteral: 128 << 20, MaxString: 64 << 10, MaxCommand: 256 << 10,
			MaxDepth: 256, MaxItems: 8192, MaxSet: 32768,
		}},
		{"none", &protocols.Limits{
			Connections: -1, PerAddress: -1, PerNetwork: -1, PerUser: -1,
			HandshakeTimeout: -1, AuthTimeout: -1, IdleTimeout: -1,
			CommandTimeout: -1, LiteralTimeout: -1, WriteTimeout: -1,
			CommandsPerSecond: -1, Memory: -1, PerConnection: -1, BadCommands: -1,
			MaxLine: -1, MaxLiteral: -1, MaxString: -1, MaxCommand: -1, MaxDepth: -1, MaxItems: -1, MaxSet: -1,
		}, &protocols.Limits{
			Connections: math.MaxInt, PerAddress: math.MaxInt, PerNetwork: math.MaxInt, PerUser: math.MaxInt,
			HandshakeTimeout: none, AuthTimeout: none, IdleTimeout: none,
			CommandTimeout: none, LiteralTimeout: none, WriteTimeout: none,
			CommandsPerSecond: math.MaxInt, Memory: math.MaxInt64, PerConnection: math.MaxInt64, BadCommands: math.MaxInt,
			MaxLine: math.MaxInt64, MaxLiteral: math.MaxInt64, MaxString: math.MaxInt64, MaxCommand: math.MaxInt64 / 4 / 4 / 2,
			MaxDepth: math.MaxInt, MaxItems: math.MaxInt, MaxSet: math.MaxInt,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got protocols.Limits
				s := &protocols.Server{Limits: tt.given, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
					got = c.Limits()
					_, err := c.Write([]byte("works without any deadline, too"))
					return err
				})}
				client, ended := connect(s)
				all(t, client)
				<-ended
				if diff := cmp.Diff(tt.want, &got); diff != "" {
					t.Errorf("limits in force (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestLimitsCheck(t *testing.T) {
	for _, tt := range []struct {
		limits *protocols.Limits
		want   string // what the error names; empty: none
	}{
		{nil, ""},
		{&protocols.Limits{Memory: -1, PerConnection: -1, MaxString: -1, MaxCommand: -1}, ""},
		{&protocols.Limits{Memory: 1 << 20}, "Memory"},
		{&protocols.Limits{Memory: 64 << 20, PerConnection: 65 << 20}, "PerConnection"},
		{&protocols.Limits{MaxString: 1 << 20}, "MaxString"},
		{&protocols.Limits{MaxString: -1, MaxCommand: -1}, ""},
		{&protocols.Limits{Memory: 64 << 20, MaxCommand: 9 << 20}, "MaxCommand"},
		{&protocols.Limits{PerConnection: 100 << 10, MaxString: 1000}, "MaxCommand"},
		{&protocols.Limits{Trusted: make([]netip.Prefix, 1)}, "Trusted"},
	} {
		err := tt.limits.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error about %q", tt.limits, err, tt.want)
		}
	}
}

// A peer is a client at an address, and what the server says to it first.
type peer struct {
	from string // empty: in memory
	says string
}

func TestConnectionLimits(t *testing.T) {
	const (
		ok      = "welcome\r\n"
		total   = "refused: too many connections\r\n"
		address = "refused: too many connections from your address\r\n"
		network = "refused: too many connections from your network\r\n"
	)
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/30"), netip.MustParsePrefix("2001:db8::/32")}
	tests := []struct {
		name   string
		limits protocols.Limits
		peers  []peer // all stay connected; the last one is let in once the others have left
	}{
		{"total", protocols.Limits{Connections: 2},
			[]peer{{"192.0.2.1", ok}, {"", ok}, {"192.0.2.3", total}, {"", total}}},
		{"one IPv4 address", protocols.Limits{PerAddress: 2},
			[]peer{{"192.0.2.1", ok}, {"192.0.2.1", ok}, {"192.0.2.2", ok}, {"::ffff:192.0.2.1", address}, {"192.0.2.1", address}}},
		{"one IPv6 network", protocols.Limits{PerAddress: 1},
			[]peer{{"2001:db8::1", ok}, {"2001:db8:0:1::1", ok}, {"2001:db8::ffff:1", address}}},
		{"IPv4 network", protocols.Limits{PerNetwork: 2},
			[]peer{{"192.0.2.1", ok}, {"192.0.2.255", ok}, {"192.0.3.1", ok}, {"192.0.2.7", network}}},
		{"IPv6 network", protocols.Limits{PerNetwork: 2},
			[]peer{{"2001:db8:1:2::1", ok}, {"2001:db8:1:ffff::1", ok}, {"2001:db8:2::1", ok}, {"2001:db8:1:3::1", network}}},
		{"trusted networks", protocols.Limits{PerAddress: 1, PerNetwork: 2, Trusted: trusted},
			[]peer{{"192.0.2.1", ok}, {"192.0.2.1", ok}, {"::ffff:192.0.2.1", ok}, {"2001:db8::1", ok}, {"2001:db8::1", ok},
				{"192.0.2.8", ok}, {"192.0.2.9", ok}, {"192.0.2.10", network}}},
		{"trusted networks count in the total", protocols.Limits{Connections: 2, Trusted: trusted},
			[]peer{{"192.0.2.1", ok}, {"192.0.2.1", ok}, {"192.0.2.1", total}}},
		{"loopback is this machine", protocols.Limits{PerAddress: 1, PerNetwork: 1},
			[]peer{{"127.0.0.1", ok}, {"127.0.0.1", ok}, {"::1", ok}, {"::1", ok}, {"192.0.2.1", ok}, {"192.0.2.1", address}}},
		{"in-memory connections have no address", protocols.Limits{PerAddress: 1},
			[]peer{{"", ok}, {"", ok}, {"192.0.2.1", ok}, {"192.0.2.1", address}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limiter := protocols.NewLimiter(&tt.limits)
				// Two servers, to see that it is the Limiter that counts.
				servers := []*protocols.Server{
					{Protocol: serveFunc(greet), Limiter: limiter},
					{Protocol: serveFunc(greet), Limiter: limiter},
				}
				try := func(i int, p peer, want string) (net.Conn, <-chan struct{}) {
					var from net.Addr
					if p.from != "" {
						from = ipAddr(p.from)
					}
					client, ended := connectFrom(servers[i%2], from)
					if got := line(t, bufio.NewReader(client)); got != want {
						t.Errorf("connection %d from %q: got %q, want %q", i, p.from, got, want)
					}
					return client, ended
				}
				var clients []net.Conn
				var ends []<-chan struct{}
				for i, p := range tt.peers {
					client, ended := try(i, p, p.says)
					clients, ends = append(clients, client), append(ends, ended)
				}
				for i := range clients {
					clients[i].Close()
					<-ends[i]
				}
				if n := limiter.Connections(); n != 0 {
					t.Errorf("%d connections are counted after all have ended", n)
				}
				client, ended := try(0, tt.peers[len(tt.peers)-1], ok)
				client.Close()
				<-ended
			})
		})
	}
}

func TestPerUserLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Says ok or no to each user name that it is told.
		login := serveFunc(func(_ context.Context, c *protocols.Conn) error {
			names := bufio.NewScanner(c)
			for names.Scan() {
				err := c.SetUser(names.Text())
				if err != nil && !errors.Is(err, protocols.ErrTooManyConnections) {
					return err
				}
				fmt.Fprintln(c, err == nil)
			}
			return names.Err()
		})
		limiter := protocols.NewLimiter(&protocols.Limits{PerUser: 2})
		s := &protocols.Server{Protocol: login, Limiter: limiter}
		other := &protocols.Server{Protocol: login, Limiter: limiter}
		type client struct {
			net.Conn
			answers *bufio.Reader
			ended   <-chan struct{}
		}
		dial := func(s *protocols.Server) client {
			nc, ended := connect(s)
			return client{nc, bufio.NewReader(nc), ended}
		}
		a, b, c := dial(s), dial(other), dial(s)
		says := func(c client, user, want string) {
			t.Helper()
			send(t, c, user+"\n")
			if got := line(t, c.answers); got != want+"\n" {
				t.Errorf("login as %q: got %q, want %s", user, got, want)
			}
		}
		says(a, "anna", "true")
		says(a, "anna", "true") // the same again counts once
		says(b, "anna", "true")
		says(c, "anna", "false")
		says(c, "bert", "true")
		says(c, "anna", "false") // and remains bert
		says(b, "", "true")      // lets go of anna
		says(c, "anna", "true")  // lets go of bert
		says(b, "anna", "false")
		a.Close() // lets go of anna
		<-a.ended
		says(b, "anna", "true")
		for _, c := range []client{b, c} {
			c.Close()
			<-c.ended
		}
	})
}

// Only so many clients are told at once why they are turned away; the flood
// finds closed doors.
func TestRefusalsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &protocols.Server{Protocol: serveFunc(greet), Limits: &protocols.Limits{Connections: 1}}
		first, ended := connect(s)
		line(t, bufio.NewReader(first))
		start := time.Now()
		var ends []<-chan struct{}
		for range 100 {
			client, ended := connect(s) // and does not read
			defer client.Close()
			ends = append(ends, ended)
		}
		synctest.Wait()
		closed := 0
		for _, ended := range ends {
			select {
			case <-ended:
				closed++
			default:
			}
		}
		if closed != 100-64 {
			t.Errorf("%d of 100 refused connections were closed at once, want 36", closed)
		}
		for _, ended := range ends {
			<-ended
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("clients that do not read their refusal were kept for %v", d)
		}
		late, lateEnded := connect(s)
		if got, want := all(t, late), "refused: too many connections\r\n"; got != want {
			t.Errorf("after the flood a client is told %q, want %q", got, want)
		}
		<-lateEnded
		first.Close()
		<-ended
	})
}

// Ahead of implicit TLS nothing can be said.
func TestRefusalImplicitTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, _ := tlsConfigs(t)
		s := &protocols.Server{Protocol: serveFunc(greet), Limits: &protocols.Limits{Connections: 1}, TLSConfig: config}
		first, ended := connect(s)
		line(t, bufio.NewReader(first))
		server, client := net.Pipe()
		go s.ServeConnTLS(server)
		if got := all(t, client); got != "" {
			t.Errorf("the refused client was told %q", got)
		}
		first.Close()
		<-ended
	})
}
