package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// negotiating is a protocol with identifiers for ALPN.
type negotiating struct {
	serveFunc
	ids []string
}

func (n negotiating) ALPN() []string { return n.ids }

// sayChannel tells the client of its channel, when it asks.
func sayChannel(_ context.Context, c *protocols.Conn) error {
	var b [1]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return nil
		}
		serial := "none"
		if own := c.Certificate(); own != nil {
			serial = own.SerialNumber.String()
		}
		fmt.Fprintf(c, "certificate=%s resumed=%t alpn=%s\r\n", serial, c.TLS().DidResume, c.TLS().NegotiatedProtocol)
	}
}

// askChannel connects and returns what the server says of the channel.
func askChannel(t *testing.T, addr string, config *tls.Config) string {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return ask(t, conn)
}

func ask(t *testing.T, conn *tls.Conn) string {
	t.Helper()
	send(t, conn, "?")
	// With TLS 1.3, session tickets come before the answer.
	return strings.TrimSuffix(line(t, bufio.NewReader(conn)), "\r\n")
}

// RFC 7301, section 3.2: who offers only what is not spoken here is refused with
// no_application_protocol; RFC 7301 leaves alone who offers nothing.
func TestALPN(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	fixed := config.Clone()
	fixed.NextProtos = []string{"fixed"}
	upgrading := serveFunc(func(ctx context.Context, c *protocols.Conn) error {
		if c.TLS() == nil {
			if err := c.StartTLS(ctx); err != nil {
				return err
			}
		}
		return sayChannel(ctx, c)
	})
	for _, tt := range []struct {
		what    string
		config  *tls.Config
		p       protocols.Protocol
		offered []string
		want    string // empty: refused
	}{
		{"its own", config, negotiating{upgrading, []string{"imap"}}, []string{"h2", "imap"}, "alpn=imap"},
		{"nothing", config, negotiating{upgrading, []string{"imap"}}, nil, "alpn="},
		{"another's", config, negotiating{upgrading, []string{"imap"}}, []string{"pop3"}, ""},
		{"http", config, negotiating{upgrading, []string{"imap"}}, []string{"h2", "http/1.1"}, ""},
		{"the same configuration", config, negotiating{upgrading, []string{"pop3"}}, []string{"pop3"}, "alpn=pop3"},
		{"said by the configuration", fixed, negotiating{upgrading, []string{"imap"}}, []string{"imap"}, ""},
		{"said by the configuration", fixed, negotiating{upgrading, []string{"imap"}}, []string{"fixed"}, "alpn=fixed"},
		{"a protocol without", config, upgrading, []string{"h2"}, "alpn="},
	} {
		s := &protocols.Server{Protocol: tt.p, TLSConfig: tt.config}
		for _, addr := range []string{listen(t, s, s.ServeTLS), listen(t, s, s.Serve)} {
			config := clientConfig.Clone()
			config.NextProtos = tt.offered
			conn, err := tls.Dial("tcp", addr, config)
			if tt.want == "" {
				if err == nil || err.Error() != "remote error: tls: no application protocol" {
					t.Errorf("%s: %v, want no_application_protocol", tt.what, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", tt.what, err)
				continue
			}
			if got := ask(t, conn); !strings.HasSuffix(got, tt.want) {
				t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
			}
			conn.Close()
		}
	}
}

// TestCertificate: the server knows the certificate that the client has seen.
func TestCertificate(t *testing.T) {
	first, second := issue(t, x509.ECDSA, year, "a.test"), issue(t, x509.ECDSA, year, "b.test")
	bare := first // as old programs have it
	bare.Leaf = nil
	several := &tls.Config{Certificates: []tls.Certificate{first, second}}
	for what, config := range map[string]*tls.Config{
		"one":          {Certificates: []tls.Certificate{first}},
		"without Leaf": {Certificates: []tls.Certificate{bare}},
		"several":      several,
		"GetCertificate": {GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "b.test" {
				return &second, nil
			}
			return &first, nil
		}},
		"GetCertificate, by name": {Certificates: []tls.Certificate{first}, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "b.test" {
				return &second, nil
			}
			return nil, nil
		}},
		"GetConfigForClient": {GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return several, nil }},
		"GetConfigForClient, none": {Certificates: []tls.Certificate{first, second}, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return nil, nil
		}},
	} {
		s := &protocols.Server{Protocol: serveFunc(sayChannel), TLSConfig: config}
		addr := listen(t, s, s.ServeTLS)
		for _, name := range []string{"a.test", "b.test", ""} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: version})
				if err != nil {
					t.Fatal(err)
				}
				seen := conn.ConnectionState().PeerCertificates[0]
				if name != "" && seen.DNSNames[0] != name && len(config.Certificates) != 1 {
					t.Errorf("%s: the certificate for %v instead of %s", what, seen.DNSNames, name)
				}
				if got, want := ask(t, conn), "certificate="+seen.SerialNumber.String(); !strings.HasPrefix(got, want+" ") {
					t.Errorf("%s, %q, %x: %s, want %s", what, name, version, got, want)
				}
				conn.Close()
			}
		}
	}
	s := &protocols.Server{TLSConfig: several, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
		_, err := fmt.Fprintln(c, c.Certificate())
		return err
	})}
	conn, err := net.Dial("tcp", listen(t, s, s.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := all(t, conn); got != "<nil>\n" {
		t.Errorf("plain: %q", got)
	}
}

// Without a certificate there is an alert, and no connection.
func TestNoCertificate(t *testing.T) {
	for _, config := range []*tls.Config{
		{}, {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }},
		{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("none") }},
	} {
		s := &protocols.Server{Protocol: serveFunc(sayChannel), TLSConfig: config}
		_, err := tls.Dial("tcp", listen(t, s, s.ServeTLS), &tls.Config{InsecureSkipVerify: true})
		if err == nil || !strings.HasPrefix(err.Error(), "remote error: tls: ") {
			t.Errorf("%v, want an alert", err)
		}
	}
}

// Sessions are resumed: on another port of the same configuration, and after
// certificates were loaded again; but not under another certificate than they were
// made with, which would be neither the one that they are bound to nor, perhaps, one
// that is trusted still.
func TestSessionsResume(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		dir := t.TempDir()
		a, b := issue(t, x509.ECDSA, year, "a.test"), issue(t, x509.ECDSA, year, "b.test")
		certs, err := protocols.LoadCertificates([]protocols.KeyPair{writePair(t, dir, "a", a), writePair(t, dir, "b", b)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(certs.Close)
		config := certs.TLSConfig()
		var skew atomic.Int64
		config.Time = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
		imap := &protocols.Server{Protocol: negotiating{sayChannel, []string{"imap"}}, TLSConfig: config}
		pop3 := &protocols.Server{Protocol: negotiating{sayChannel, []string{"pop3"}}, TLSConfig: config}
		addrs := map[string]string{"imap": listen(t, imap, imap.ServeTLS), "pop3": listen(t, pop3, pop3.ServeTLS)}
		caches := make(map[string]tls.ClientSessionCache)
		expect := func(what, protocol string, cert tls.Certificate, resumed bool) {
			t.Helper()
			name := cert.Leaf.DNSNames[0]
			if caches[name] == nil {
				caches[name] = tls.NewLRUClientSessionCache(1)
			}
			got := askChannel(t, addrs[protocol], &tls.Config{
				ServerName: name, InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: caches[name], NextProtos: []string{protocol},
			})
			if want := fmt.Sprintf("certificate=%v resumed=%t alpn=%s", cert.Leaf.SerialNumber, resumed, protocol); got != want {
				t.Errorf("TLS %x, %s: %s, want %s", version, what, got, want)
			}
		}
		expect("at first", "imap", a, false)
		expect("again", "imap", a, true)
		expect("on another port", "pop3", a, true)
		expect("back", "imap", a, true)
		expect("the other name", "imap", b, false)
		expect("the other name again", "pop3", b, true)
		renewed := issue(t, x509.ECDSA, year, "b.test")
		writePair(t, dir, "b", renewed)
		if err := certs.Reload(); err != nil {
			t.Fatal(err)
		}
		expect("after others were renewed", "imap", a, true)
		expect("after it was renewed", "imap", renewed, false)
		expect("after it was renewed, again", "pop3", renewed, true)
		skew.Store(int64(25 * time.Hour)) // crypto/tls has a new key each day, and keeps old ones for a week
		expect("the next day", "imap", a, true)
		skew.Store(int64(9 * 24 * time.Hour))
		expect("after the time of tickets", "imap", a, false)
	}
}

// Where the configuration is chosen by client, its tickets are its own affair: they
// are resumed, but not bound to.
func TestForeignSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config, clientConfig := tlsConfigs(t)
		s := &protocols.Server{Protocol: serveFunc(sayChannel), TLSConfig: &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return config, nil },
		}}
		addr := listen(t, s, s.ServeTLS)
		clientConfig.MaxVersion = version
		clientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for _, want := range []string{fmt.Sprintf("certificate=%v resumed=false alpn=", config.Certificates[0].Leaf.SerialNumber), "certificate=none resumed=true alpn="} {
			if got := askChannel(t, addr, clientConfig); got != want {
				t.Errorf("TLS %x: %s, want %s", version, got, want)
			}
		}
	}
}

// A program's own tickets go on to work.
func TestOwnTickets(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	var mu sync.Mutex
	keep := make(map[string]*tls.SessionState)
	config.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		ticket := fmt.Sprint("ticket ", len(keep))
		keep[ticket] = s
		return []byte(ticket), nil
	}
	config.UnwrapSession = func(ticket []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
		mu.Lock()
		defer mu.Unlock()
		return keep[string(ticket)], nil
	}
	s := &protocols.Server{Protocol: serveFunc(sayChannel), TLSConfig: config}
	addr := listen(t, s, s.ServeTLS)
	clientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []string{"resumed=false", "resumed=true"} {
		if got := askChannel(t, addr, clientConfig); !strings.Contains(got, resumed) {
			t.Errorf("%s, want %s", got, resumed)
		}
	}
}

// What NewTLSConfig asks for.
func TestNewTLSConfig(t *testing.T) {
	cert := issue(t, x509.RSA, year, "localhost")
	s := &protocols.Server{Protocol: serveFunc(sayChannel), TLSConfig: protocols.NewTLSConfig(cert)}
	addr := listen(t, s, s.ServeTLS)
	for what, tt := range map[string]struct {
		client *tls.Config
		ok     bool
	}{
		"TLS 1.1": {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		"TLS 1.2": {&tls.Config{MaxVersion: tls.VersionTLS12}, true},
		"TLS 1.3": {&tls.Config{MinVersion: tls.VersionTLS13}, true},
		"CBC":     {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}}, false},
		"RSA":     {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
	} {
		config := tt.client.Clone()
		config.InsecureSkipVerify = true
		conn, err := tls.Dial("tcp", addr, config)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", what, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

// RFC 8314, section 4: the log says how a connection was protected.
func TestLogsChannel(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	clientConfig.MaxVersion = tls.VersionTLS12
	clientConfig.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	logger, logs := observed(zapcore.InfoLevel)
	s := &protocols.Server{TLSConfig: config, Logger: logger, Protocol: serveFunc(func(context.Context, *protocols.Conn) error { return nil })}
	for _, secure := range []bool{true, false} {
		server, client := net.Pipe()
		ended := make(chan error, 1)
		if secure {
			go func() { ended <- s.ServeConnTLS(server) }()
			all(t, tls.Client(client, clientConfig))
		} else {
			go func() { s.ServeConn(server); ended <- nil }()
			all(t, client)
		}
		client.Close()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		fields := logs.TakeAll()[0].ContextMap()
		version, cipher := fields["tls"], fields["cipher"]
		if secure && (version != "TLS 1.2" || cipher != "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256") || !secure && (version != nil || cipher != nil) {
			t.Errorf("secure %v: %v", secure, fields)
		}
	}
}
