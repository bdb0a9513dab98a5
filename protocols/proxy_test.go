package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// header returns a PROXY header.
func header(t testing.TB, version byte, from, to net.Addr, tlvs ...proxyproto.TLV) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(version, from, to)
	if err := h.SetTLVs(tlvs); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tcpAddr(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// tell says where the client is, and then what it sends, up to a line's end.
func tell(_ context.Context, c *protocols.Conn) error {
	fmt.Fprintf(c, "%v %v loopback=%t private=%t\r\n", c.RemoteAddr(), c.LocalAddr(), c.Loopback(), c.Private())
	var line []byte
	for b := [1]byte{}; b[0] != '\n'; line = append(line, b[0]) {
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
	}
	_, err := c.Write(line)
	return err
}

func proxyTo(serve func(net.Listener) error, from []netip.Prefix) func(net.Listener) error {
	return func(l net.Listener) error { return serve(&protocols.ProxyListener{Listener: l, From: from}) }
}

// The client is where the header says, and what follows the header is the client's.
func TestProxyHeader(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	s := &protocols.Server{Protocol: serveFunc(tell), TLSConfig: config}
	plain, secure := listen(t, s, proxyTo(s.Serve, loopback)), listen(t, s, proxyTo(s.ServeTLS, loopback))
	v4 := []net.Addr{tcpAddr("192.0.2.1:40000"), tcpAddr("198.51.100.1:143")}
	v6 := []net.Addr{tcpAddr("[2001:db8::1]:40000"), tcpAddr("[2001:db8::2]:993")}
	unix := []net.Addr{&net.UnixAddr{Net: "unix", Name: "/run/client"}, &net.UnixAddr{Net: "unix", Name: "/run/server"}}
	ssl := proxyproto.TLV{Type: proxyproto.PP2_TYPE_SSL, Value: []byte{1, 0, 0, 0, 0}}
	large := proxyproto.TLV{Type: proxyproto.PP2_TYPE_MIN_CUSTOM, Value: make([]byte, 4000)}
	for _, tt := range []struct{ what, header, want string }{
		{"v1 IPv4", header(t, 1, v4[0], v4[1]), "192.0.2.1:40000 198.51.100.1:143"},
		{"v1 IPv6", header(t, 1, v6[0], v6[1]), "[2001:db8::1]:40000 [2001:db8::2]:993"},
		{"v1 longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", ""},
		{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
		{"v2 IPv4", header(t, 2, v4[0], v4[1]), "192.0.2.1:40000 198.51.100.1:143"},
		{"v2 IPv6", header(t, 2, v6[0], v6[1]), "[2001:db8::1]:40000 [2001:db8::2]:993"},
		{"v2 Unix", header(t, 2, unix[0], unix[1]), "/run/client /run/server"},
		{"v2 LOCAL", header(t, 2, nil, nil), ""},
		{"v2 with TLS that the proxy has ended", header(t, 2, v4[0], v4[1], ssl), "192.0.2.1:40000 198.51.100.1:143"},
		{"v2 with a large value", header(t, 2, v4[0], v4[1], large), "192.0.2.1:40000 198.51.100.1:143"},
		{"v2 from the proxy's loopback", header(t, 2, tcpAddr("127.0.0.1:40000"), v4[1]), "127.0.0.1:40000 198.51.100.1:143"},
		{"v1 from the proxy's loopback", header(t, 1, tcpAddr("[::1]:40000"), v6[1]), "[::1]:40000 [2001:db8::2]:993"},
	} {
		for _, addr := range []string{plain, secure} {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			var client net.Conn = nc
			if addr == secure {
				send(t, nc, tt.header)
				client = tls.Client(nc, clientConfig)
				send(t, client, "hello\n")
			} else {
				send(t, nc, tt.header+"hello\n") // in one segment
			}
			want := tt.want
			if want == "" { // the proxy speaks for itself
				want = nc.LocalAddr().String() + " " + addr
			}
			want += fmt.Sprintf(" loopback=false private=%t\r\nhello\n", addr == secure)
			if got := all(t, client); got != want {
				t.Errorf("%s: %q, want %q", tt.what, got, want)
			}
			nc.Close()
		}
	}
}

// A header that a client sends through the proxy is what the client sends.
func TestProxyHeaderOnce(t *testing.T) {
	s := &protocols.Server{Protocol: serveFunc(tell)}
	nc, err := net.Dial("tcp", listen(t, s, proxyTo(s.Serve, loopback)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	second := header(t, 1, tcpAddr("198.51.100.66:1"), tcpAddr("198.51.100.1:143"))
	send(t, nc, header(t, 1, tcpAddr("192.0.2.1:40000"), tcpAddr("198.51.100.1:143"))+second)
	if got, want := all(t, nc), "192.0.2.1:40000 198.51.100.1:143 loopback=false private=false\r\n"+second; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A peer that is no proxy gets nothing, whatever it sends.
func TestProxyNotTrusted(t *testing.T) {
	config, _ := tlsConfigs(t)
	logger, logs := observed(zapcore.InfoLevel)
	s := &protocols.Server{TLSConfig: config, Logger: logger, Protocol: serveFunc(func(context.Context, *protocols.Conn) error {
		t.Error("served")
		return nil
	})}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for _, addr := range []string{listen(t, s, proxyTo(s.Serve, elsewhere)), listen(t, s, proxyTo(s.ServeTLS, elsewhere)), listen(t, s, proxyTo(s.Serve, nil))} {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, header(t, 1, tcpAddr("192.0.2.1:40000"), tcpAddr("198.51.100.1:143"))) // perhaps closed already
		if got, _ := io.ReadAll(nc); len(got) != 0 {                                              // an end, or a reset
			t.Errorf("%q", got)
		}
		fields := logs.TakeAll()[0].ContextMap()
		if fields["remote"] != nc.LocalAddr().String() || fields["reason"] != "protocols: not from a proxy that is trusted" {
			t.Errorf("logged: %v", fields)
		}
		nc.Close()
	}
}

// Who does not send a header is not served.
func TestProxyWithoutHeader(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	v2 := string(proxyproto.SIGV2)
	for _, tt := range []struct{ what, sent, reason string }{
		{"nothing", "", "reading the PROXY header: EOF"},
		{"a command", "a1 CAPABILITY\r\n", "no PROXY header"},
		{"part of a header", "PROXY TCP4 192.0", "reading the PROXY header: unexpected EOF"},
		{"a line without end", "PROXY TCP4 " + strings.Repeat("1", 200), "reading the PROXY header: PROXY header too long"},
		{"no address", "PROXY TCP4 a b 1 2\r\n", "reading the PROXY header: proxyproto: invalid address"},
		{"another protocol", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "reading the PROXY header: proxyproto: can't read address family or protocol"},
		{"no version", v2 + "\x11\x11\x00\x0c" + strings.Repeat("\x00", 12), "reading the PROXY header: proxyproto: unsupported proxy protocol version and command"},
		{"too short", v2 + "\x21\x11\x00\x0b" + strings.Repeat("\x00", 11), "reading the PROXY header: proxyproto: invalid length"},
		{"too long", v2 + "\x21\x11\xff\xff", "reading the PROXY header: PROXY header too long"},
		{"datagrams", header(t, 2, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2)}), "PROXY header for something else than a stream"},
	} {
		logger, logs := observed(zapcore.InfoLevel)
		s := &protocols.Server{Protocol: serveFunc(tell), Logger: logger}
		nc, err := net.Dial("tcp", listen(t, s, proxyTo(s.Serve, loopback)))
		if err != nil {
			t.Fatal(err)
		}
		send(t, nc, tt.sent)
		nc.(*net.TCPConn).CloseWrite()
		if got := all(t, nc); got != "" {
			t.Errorf("%s: %q", tt.what, got)
		}
		nc.Close()
		if err := s.Shutdown(t.Context()); err != nil { // which waits for the log
			t.Error(err)
		}
		if fields := logs.TakeAll()[0].ContextMap(); !strings.HasPrefix(fields["reason"].(string), "protocols: "+tt.reason) {
			t.Errorf("%s: logged: %v", tt.what, fields)
		}
	}
	s := &protocols.Server{Protocol: serveFunc(tell), TLSConfig: config}
	if _, err := tls.Dial("tcp", listen(t, s, proxyTo(s.ServeTLS, loopback)), clientConfig); err == nil {
		t.Error("TLS without a header")
	}
}

// A header that does not come, or comes octet by octet, ends that connection in time,
// and holds up no other one, nor a shutdown.
func TestProxySlowHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed(zapcore.InfoLevel)
		s := &protocols.Server{Protocol: serveFunc(tell), Logger: logger}
		q := newQueue()
		served := make(chan error, 1)
		go func() { served <- s.Serve(&protocols.ProxyListener{Listener: q}) }()
		dial := func() net.Conn {
			server, client := net.Pipe()
			q.results <- result{conn: server}
			return client
		}
		silent, slow, quick := dial(), dial(), dial()
		start := time.Now()
		h := header(t, 1, tcpAddr("192.0.2.1:40000"), tcpAddr("198.51.100.1:143"))
		var sending sync.WaitGroup
		defer sending.Wait()
		sending.Go(func() {
			for i := range h {
				if _, err := slow.Write([]byte(h[i : i+1])); err != nil {
					return
				}
				time.Sleep(time.Second) // fake time
			}
		})
		send(t, quick, h)
		if got := line(t, bufio.NewReader(quick)); !strings.HasPrefix(got, "192.0.2.1:40000") || time.Since(start) != 0 {
			t.Errorf("after %v: %q", time.Since(start), got)
		}
		for what, nc := range map[string]net.Conn{"silent": silent, "slow": slow} {
			if got, _ := io.ReadAll(nc); len(got) > 0 {
				t.Errorf("%s: %q", what, got)
			}
		}
		if d := time.Since(start); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("ended after %v", d)
		}
		synctest.Wait()
		for _, e := range logs.TakeAll() {
			if reason := e.ContextMap()["reason"]; reason != "protocols: PROXY header not sent in time" {
				t.Errorf("logged: %v", reason)
			}
		}
		waiting := dial()
		synctest.Wait()
		start = time.Now()
		done := shutdown(s, time.Minute)
		if _, err := io.ReadAll(waiting); err != nil {
			t.Error(err)
		}
		if got := all(t, quick); got != "" {
			t.Errorf("%q", got)
		}
		if err := <-done; err != nil || time.Since(start) > 2*time.Second {
			t.Errorf("shutdown: %v after %v", err, time.Since(start))
		}
		if err := <-served; err != protocols.ErrServerClosed {
			t.Error(err)
		}
		for _, nc := range []net.Conn{silent, slow, quick, waiting} {
			nc.Close()
		}
	})
}

// Limits count clients, not the proxy.
func TestProxyLimits(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	logger, logs := observed(zapcore.InfoLevel)
	limiter := protocols.NewLimiter(&protocols.Limits{PerAddress: 1})
	s := &protocols.Server{Protocol: serveFunc(tell), TLSConfig: config, Limiter: limiter, Logger: logger}
	plain, secure := listen(t, s, proxyTo(s.Serve, loopback)), listen(t, s, proxyTo(s.ServeTLS, loopback))
	dial := func(addr, from string) (net.Conn, *bufio.Reader) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		send(t, nc, header(t, 2, tcpAddr(from), tcpAddr("198.51.100.1:143")))
		return nc, bufio.NewReader(nc)
	}
	first, r := dial(plain, "192.0.2.1:1")
	line(t, r)
	second, r2 := dial(plain, "192.0.2.2:1")
	line(t, r2)
	third, r3 := dial(plain, "192.0.2.1:2")
	if got := line(t, r3); got != "refused: too many connections from your address\r\n" {
		t.Errorf("%q", got)
	}
	all(t, third)
	fourth, _ := dial(secure, "192.0.2.1:3")
	if err := tls.Client(fourth, clientConfig).Handshake(); err == nil {
		t.Error("a handshake for who is refused")
	}
	fourth.Close()
	if n := limiter.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	for _, nc := range []net.Conn{first, second} {
		send(t, nc, "end\n")
		all(t, nc)
		nc.Close()
	}
	third.Close()
	// Their places are free again, soon after the clients have seen the end.
	for end := time.Now().Add(20 * time.Second); limiter.Connections() > 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	fifth, r5 := dial(plain, "192.0.2.1:4")
	if got := line(t, r5); !strings.HasPrefix(got, "192.0.2.1:4 ") {
		t.Errorf("%q", got)
	}
	fifth.Close()
	s.Close()
	if n := limiter.Connections(); n != 0 {
		t.Errorf("%d connections at the end", n)
	}
	for _, e := range logs.All() {
		if fields := e.ContextMap(); fields["remote"] == "192.0.2.2:1" && strings.HasPrefix(fields["proxy"].(string), "127.0.0.1:") {
			return
		}
	}
	t.Errorf("the log does not say who came through which proxy: %v", logs.All())
}

// What a proxied connection is made of stays the TCP connection itself, for sendfile
// and for an end in order.
func TestProxyUnderlying(t *testing.T) {
	s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
		_, err := fmt.Fprintf(c, "%T", c.Underlying())
		return err
	})}
	nc, err := net.Dial("tcp", listen(t, s, proxyTo(s.Serve, loopback)))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	send(t, nc, header(t, 2, tcpAddr("192.0.2.1:1"), tcpAddr("198.51.100.1:143"))+"unread, which would reset the connection")
	if got := all(t, nc); got != "*net.TCPConn" {
		t.Errorf("%q", got)
	}
}

// A proxy on the same machine may come by a Unix socket, whose permissions say who it is.
func TestProxyByUnixSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	s := &protocols.Server{Protocol: serveFunc(tell)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(&protocols.ProxyListener{Listener: l}) }()
	for _, h := range []string{header(t, 2, tcpAddr("192.0.2.1:1"), tcpAddr("198.51.100.1:143")), header(t, 2, nil, nil)} {
		nc, err := net.Dial("unix", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		send(t, nc, h+"\n")
		if got := all(t, nc); !strings.Contains(got, "loopback=false private=false") {
			t.Errorf("%q", got)
		}
		nc.Close()
	}
	s.Close()
	<-served
}
