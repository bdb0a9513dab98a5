package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// A program is this program, running in the process of the test.
type program struct {
	t      *testing.T
	cancel context.CancelFunc // as the first interrupt
	code   chan int

	lines *bufio.Reader // what it prints
}

// start runs the program with args. With onStderr, lines is its standard error,
// otherwise its standard output. It is ended at the end of the test.
func start(t *testing.T, onStderr bool, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := newSpool()
	p := &program{t: t, cancel: cancel, code: make(chan int, 1), lines: bufio.NewReader(w)}
	stdout, stderr := io.Writer(w), io.Writer(testLog{t})
	if onStderr {
		stdout, stderr = testLog{t}, w
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer w.Close()
		p.code <- run(ctx, args, strings.NewReader(""), stdout, stderr)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return p
}

// line returns the next line that matches, and its groups.
func (p *program) line(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		l, err := p.lines.ReadString('\n')
		if m := re.FindStringSubmatch(strings.TrimSuffix(l, "\n")); m != nil {
			return m
		}
		if err != nil {
			p.t.Fatalf("no line %s: %v", pattern, err)
		}
	}
}

// wait returns the exit code.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		p.t.Fatal("the program does not end")
		return -1
	}
}

// A spool holds what was written until it is read: writing does not wait.
type spool struct {
	mu     sync.Mutex
	more   *sync.Cond
	buf    bytes.Buffer
	closed bool
}

func newSpool() *spool {
	s := new(spool)
	s.more = sync.NewCond(&s.mu)
	return s
}

func (s *spool) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.Broadcast()
	return s.buf.Write(b)
}

func (s *spool) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.buf.Len() == 0 && !s.closed {
		s.more.Wait()
	}
	return s.buf.Read(b)
}

func (s *spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
	return nil
}

// testLog writes to a test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// A client is a connection on which lines are sent and expected.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial connects; config is nil for a plain connection.
func dial(t *testing.T, addr string, config *tls.Config) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, Conn: nc}
	c.r = bufio.NewReader(c)
	if config != nil {
		c.upgrade(config)
	}
	return c
}

// upgrade begins TLS.
func (c *client) upgrade(config *tls.Config) {
	c.t.Helper()
	tc := tls.Client(c.Conn, config)
	if err := tc.Handshake(); err != nil {
		c.t.Fatalf("TLS: %v", err)
	}
	c.Conn = tc
	c.r = bufio.NewReader(tc)
}

func (c *client) send(lines ...string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads up to the first line that matches, and returns its groups.
func (c *client) expect(pattern string) []string {
	c.t.Helper()
	re := regexp.MustCompile("^" + pattern)
	var read strings.Builder
	for {
		l, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("no %s: %v after\n%s", pattern, err, &read)
		}
		read.WriteString(l)
		if m := re.FindStringSubmatch(l); m != nil {
			return m
		}
	}
}

// do sends a line and expects one.
func (c *client) do(line, pattern string) []string {
	c.t.Helper()
	c.send(line)
	return c.expect(pattern)
}

// expectEnd demands that nothing more comes.
func (c *client) expectEnd() {
	c.t.Helper()
	if l, err := c.r.ReadString('\n'); !errors.Is(err, io.EOF) {
		c.t.Fatalf("%q, %v instead of the end of the connection", l, err)
	}
}

// trust returns the TLS settings of a client that trusts the certificate in a
// file and nothing else.
func trust(t *testing.T, file string) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatalf("no certificate in %s", file)
	}
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// writeKeyPair writes a fresh certificate and its key.
func writeKeyPair(dir, certFile, keyFile string) error {
	cert, err := protocols.SelfSigned()
	if err != nil {
		return err
	}
	key, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		return err
	}
	return errors.Join(
		writeCertificate(filepath.Join(dir, certFile), cert.Certificate[0]),
		os.WriteFile(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key}), 0o600),
	)
}

func loginOf(user, password string) mailaccess.Login {
	return mailaccess.Login{Username: user, Password: password, Protocol: "imap", Private: true}
}
