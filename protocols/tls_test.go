package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// upgrade says whether its channel is plain or TLS, and upgrades it when told to.
func upgrade(ctx context.Context, c *protocols.Conn) error {
	for {
		fmt.Fprintf(c, "tls=%t private=%t upgrade=%t plain=%t\r\n", c.TLS() != nil, c.Private(), c.CanStartTLS(), c.Underlying() != nil)
		var b [1]byte // so that nothing is read ahead
		switch _, err := c.Read(b[:]); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if b[0] == 's' {
			if err := c.StartTLS(ctx); err != nil {
				return err
			}
		}
	}
}

const (
	sayPlain  = "tls=false private=false upgrade=true plain=true\r\n"
	saySecure = "tls=true private=true upgrade=false plain=false\r\n"
)

func TestStartTLS(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	s := &protocols.Server{Protocol: serveFunc(upgrade), TLSConfig: config}
	client, err := net.Dial("tcp", listen(t, s, s.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if got := line(t, bufio.NewReaderSize(client, len(sayPlain))); got != sayPlain {
		t.Errorf("before the upgrade: %q", got)
	}
	send(t, client, "s")
	secure := tls.Client(client, clientConfig)
	r := bufio.NewReader(secure)
	if got := line(t, r); got != saySecure {
		t.Errorf("after the upgrade: %q", got)
	}
	send(t, secure, "s") // a second time
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("the end is %q, %v, want an orderly one", rest, err)
	}
}

func TestServeTLS(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	t.Run("ServeTLS", func(t *testing.T) {
		s := &protocols.Server{Protocol: serveFunc(upgrade), TLSConfig: config}
		speakTLS(t, listen(t, s, s.ServeTLS), clientConfig)
	})
	t.Run("Serve with a TLS listener", func(t *testing.T) {
		s := &protocols.Server{Protocol: serveFunc(upgrade), TLSConfig: config}
		addr := listen(t, s, func(l net.Listener) error { return s.Serve(tls.NewListener(l, config)) })
		speakTLS(t, addr, clientConfig)
	})
	t.Run("without a configuration", func(t *testing.T) {
		s := &protocols.Server{Protocol: serveFunc(upgrade)}
		q := newQueue()
		if err := s.ServeTLS(q); !errors.Is(err, protocols.ErrNoTLS) {
			t.Errorf("ServeTLS returned %v", err)
		}
		<-q.closed // ServeTLS has closed its listener
	})
}

func speakTLS(t *testing.T, addr string, config *tls.Config) {
	t.Helper()
	client, err := tls.Dial("tcp", addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := bufio.NewReader(client)
	if got := line(t, r); got != saySecure {
		t.Errorf("got %q, want %q", got, saySecure)
	}
	// The end is orderly: io.EOF means that close_notify was received.
	client.CloseWrite()
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil {
		t.Errorf("the end is %q, %v, want an orderly one", rest, err)
	}
}

// Over TLS, too, time limits end a Read and leave the channel in order.
func TestTLSTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, clientConfig := tlsConfigs(t)
		s := &protocols.Server{
			TLSConfig: config,
			Limits:    &protocols.Limits{IdleTimeout: time.Minute, AuthTimeout: -1},
			Protocol:  serveFunc(untilEnd),
		}
		server, nc := net.Pipe()
		ended := make(chan error)
		go func() { ended <- s.ServeConnTLS(server) }()
		client := tls.Client(nc, clientConfig)
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for range 3 {
			time.Sleep(50 * time.Second) // fake time
			send(t, client, "x")
		}
		if got, want := all(t, client), protocols.ErrIdle.Error()+"\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if d := time.Since(start); d != 210*time.Second {
			t.Errorf("ended after %v", d)
		}
		if err := <-ended; err != nil {
			t.Errorf("ServeConnTLS returned %v", err)
		}
	})
}

func TestHandshakeEnds(t *testing.T) {
	tests := []struct {
		name   string
		limits protocols.Limits
		client func(s *protocols.Server, client net.Conn)
		after  time.Duration
		reason string
	}{
		{"too slow", protocols.Limits{HandshakeTimeout: 10 * time.Second}, nil,
			10 * time.Second, "protocols: TLS handshake not done in time"},
		{"too slow to authenticate", protocols.Limits{AuthTimeout: 5 * time.Second}, nil,
			5 * time.Second, "protocols: client not authenticated in time"},
		{"no limit but the shutdown", protocols.Limits{HandshakeTimeout: -1, AuthTimeout: -1},
			func(s *protocols.Server, client net.Conn) {
				time.Sleep(time.Hour) // fake time
				s.Shutdown(context.Background())
			}, time.Hour, "protocols: the server is shutting down"},
		{"closed", protocols.Limits{},
			func(s *protocols.Server, client net.Conn) { s.Close() }, 0, "protocols: server closed"},
		{"client gone", protocols.Limits{},
			func(s *protocols.Server, client net.Conn) { client.Close() }, 0, "EOF"},
		{"not TLS", protocols.Limits{},
			func(s *protocols.Server, client net.Conn) {
				io.WriteString(client, "a1 LOGIN anna secret\r\n")
				io.Copy(io.Discard, client)
			}, 0, "tls: first record does not look like a TLS handshake"},
	}
	for _, implicit := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, implicit=%t", tt.name, implicit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					config, _ := tlsConfigs(t)
					logger, logs := observed(zapcore.InfoLevel)
					s := &protocols.Server{TLSConfig: config, Limits: &tt.limits, Logger: logger}
					s.Protocol = serveFunc(func(ctx context.Context, c *protocols.Conn) error {
						if implicit {
							t.Error("served without TLS")
							return nil
						}
						err := c.StartTLS(ctx)
						if err == nil || c.Private() && !c.Loopback() {
							t.Errorf("StartTLS returned %v", err)
						}
						if n, err := c.Write([]byte("nothing must be said in plain")); err == nil {
							t.Errorf("wrote %d bytes after a failed handshake", n)
						}
						return err
					})
					start := time.Now()
					server, client := net.Pipe()
					defer client.Close()
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						if implicit {
							s.ServeConnTLS(server)
						} else {
							s.ServeConn(server)
						}
					}()
					synctest.Wait()
					if tt.client != nil {
						tt.client(s, client)
					}
					<-ended
					if d := time.Since(start); d != tt.after {
						t.Errorf("ended after %v, want %v", d, tt.after)
					}
					reason := logs.All()[0].ContextMap()["reason"].(string)
					if !strings.Contains(reason, tt.reason) {
						t.Errorf("reason logged: %q, want %q", reason, tt.reason)
					}
				})
			})
		}
	}
}

func TestSelfSigned(t *testing.T) {
	cert, err := protocols.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		if err := cert.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	cert, err = protocols.SelfSigned("mail.example.org", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"mail.example.org": true, "192.0.2.1": true, "localhost": false, "127.0.0.1": false} {
		if err := cert.Leaf.VerifyHostname(host); (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}
