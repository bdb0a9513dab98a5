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

// records is a connection that remembers the type of each TLS record read.
type records struct {
	net.Conn
	types []byte
	rest  []byte // of what was read, not a whole record yet
}

func (r *records) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.rest = append(r.rest, p[:n]...)
	for len(r.rest) >= 5 {
		size := 5 + int(r.rest[3])<<8 + int(r.rest[4])
		if len(r.rest) < size {
			break
		}
		r.types = append(r.types, r.rest[0])
		r.rest = r.rest[size:]
	}
	return n, err
}

// RFC 5246, section 7.2.1: each party sends close_notify before it closes.
func TestCloseNotify(t *testing.T) {
	config, clientConfig := tlsConfigs(t)
	clientConfig.MaxVersion = tls.VersionTLS12 // in which an alert can be told from data
	bye := serveFunc(func(_ context.Context, c *protocols.Conn) error {
		_, err := c.Write([]byte("bye"))
		return err
	})
	t.Run("received", func(t *testing.T) {
		s := &protocols.Server{Protocol: bye, TLSConfig: config}
		nc, err := net.Dial("tcp", listen(t, s, s.ServeTLS))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		r := &records{Conn: nc}
		if got := all(t, tls.Client(r, clientConfig)); got != "bye" {
			t.Errorf("got %q", got)
		}
		if last := r.types[len(r.types)-1]; last != 21 || len(r.rest) != 0 {
			t.Errorf("the last record is of type %d, want an alert (21)", last)
		}
	})
	t.Run("not taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			config, clientConfig := tlsConfigs(t)
			s := &protocols.Server{Protocol: bye, TLSConfig: config}
			server, nc := net.Pipe()
			defer nc.Close()
			ended := make(chan error)
			go func() { ended <- s.ServeConnTLS(server) }()
			if _, err := io.ReadFull(tls.Client(nc, clientConfig), make([]byte, 3)); err != nil {
				t.Error(err)
			}
			start := time.Now()
			<-ended
			if d := time.Since(start); d != time.Second {
				t.Errorf("the close took %v, want a second", d)
			}
		})
	})
}

// A Read's deadline, which may still be armed when the handshake begins, is none
// of the handshake's business.
func TestStartTLSAfterDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, clientConfig := tlsConfigs(t)
		s := &protocols.Server{
			TLSConfig: config,
			Limits:    &protocols.Limits{IdleTimeout: time.Minute},
			Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				if _, err := c.Read(make([]byte, 1)); err != nil {
					return err
				}
				if err := c.StartTLS(ctx); err != nil {
					return err
				}
				_, err := c.Write([]byte("secure"))
				return err
			}),
		}
		nc, _ := connect(s)
		time.Sleep(50 * time.Second) // fake time
		send(t, nc, "s")
		time.Sleep(20 * time.Second) // fake time
		if got := all(t, tls.Client(nc, clientConfig)); got != "secure" {
			t.Errorf("got %q", got)
		}
	})
}

// While the server drains, no handshake begins, unless it is part of a command.
func TestStartTLSDuringShutdown(t *testing.T) {
	for _, busy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			config, clientConfig := tlsConfigs(t)
			draining := make(chan struct{})
			var got error
			s := &protocols.Server{
				TLSConfig: config,
				Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
					c.SetBusy(busy)
					<-draining
					got = c.StartTLS(ctx)
					return got
				}),
			}
			nc, ended := connect(s)
			synctest.Wait()
			done := shutdown(s, time.Minute)
			close(draining)
			client := tls.Client(nc, clientConfig)
			err := client.Handshake()
			io.Copy(io.Discard, client)
			nc.Close()
			<-ended
			if busy && (err != nil || got != nil) {
				t.Errorf("busy: client got %v, StartTLS returned %v", err, got)
			}
			if !busy && (err == nil || !errors.Is(got, protocols.ErrShutdown)) {
				t.Errorf("client got %v, StartTLS returned %v, want ErrShutdown", err, got)
			}
			if err := <-done; err != nil {
				t.Errorf("Shutdown returned %v", err)
			}
		})
	}
}

// A write on a TLS connection that came from the listener cannot be taken up
// again after a deadline, hence must have one of its own.
func TestTLSListenerSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config, clientConfig := tlsConfigs(t)
		s := &protocols.Server{
			Limits: &protocols.Limits{WriteTimeout: time.Minute},
			Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				for range 3 {
					if _, err := c.Write([]byte("x")); err != nil {
						return err
					}
					time.Sleep(45 * time.Second) // fake time
				}
				return nil
			}),
		}
		server, nc := net.Pipe()
		ended := make(chan struct{})
		go func() { defer close(ended); s.ServeConn(tls.Server(server, config)) }()
		client := tls.Client(nc, clientConfig)
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		// Ten seconds after each was written.
		for _, pause := range []time.Duration{10 * time.Second, 55 * time.Second, 55 * time.Second} {
			time.Sleep(pause) // fake time
			if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if rest := all(t, client); rest != "" {
			t.Errorf("got %q", rest)
		}
		nc.Close()
		<-ended
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
