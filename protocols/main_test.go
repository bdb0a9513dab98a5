package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hashmail/mailaccess/protocols"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveFunc is a protocol that consists of its Serve.
type serveFunc func(ctx context.Context, c *protocols.Conn) error

func (serveFunc) Name() string                { return "test" }
func (serveFunc) Refuse(reason string) []byte { return []byte("refused: " + reason + "\r\n") }
func (f serveFunc) Serve(ctx context.Context, c *protocols.Conn) error {
	return f(ctx, c)
}

// untilEnd reads and forgets until Read fails, says which error it was, and ends
// with it.
func untilEnd(_ context.Context, c *protocols.Conn) error {
	buf := make([]byte, 16)
	for {
		if _, err := c.Read(buf); err != nil {
			fmt.Fprintln(c, err)
			return err
		}
	}
}

// connect has s serve one end of a pipe and returns the other. The channel is
// closed when ServeConn has returned.
func connect(s *protocols.Server) (net.Conn, <-chan struct{}) {
	return connectFrom(s, nil)
}

// connectFrom is connect with a client that appears to have the address.
func connectFrom(s *protocols.Server, from net.Addr) (net.Conn, <-chan struct{}) {
	server, client := net.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if from != nil {
			server = addressed{server, from}
		}
		s.ServeConn(server)
	}()
	return client, ended
}

// addressed is a connection from elsewhere.
type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// ipAddr returns an address as a TCP connection from ip has it.
func ipAddr(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000} }

// all returns what the server says until it closes the connection.
func all(t *testing.T, client net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(client)
	if err != nil {
		t.Errorf("reading to the end: %v", err)
	}
	return string(b)
}

// readAll is all where the client may be the one who ends.
func readAll(client net.Conn) string {
	b, _ := io.ReadAll(client)
	return string(b)
}

// line returns the next line that the server says.
func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Errorf("reading a line: got %q, %v", s, err)
	}
	return s
}

// send writes to the server.
func send(t *testing.T, client io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(client, s); err != nil {
		t.Errorf("sending %q: %v", s, err)
	}
}

// listen serves s on a loopback port with serve, which is s.Serve or s.ServeTLS,
// until the test ends, and returns the address.
func listen(t *testing.T, s *protocols.Server, serve func(net.Listener) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != protocols.ErrServerClosed {
			t.Errorf("serving ended with %v, want ErrServerClosed", err)
		}
	})
	return l.Addr().String()
}

// tlsConfigs returns the configurations of a server and of a client that trusts it.
func tlsConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	cert, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{cert}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// observed returns a logger and what it has logged.
func observed(level zapcore.Level) (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return zap.New(core), logs
}
