//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A wiretap stands between clients and a server, and keeps what the clients say. It
// listens where the server's name is localhost.
type wiretap struct {
	addr string

	mu    sync.Mutex
	heard bytes.Buffer
}

// tap passes on every connection to addr until the test ends.
func tap(t *testing.T, addr string) *wiretap {
	t.Helper()
	w := &wiretap{}
	w.addr = relay(t, addr, func(client, server net.Conn) {
		pass(client, server, func(b []byte) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.heard.Write(b)
		})
	})
	return w
}

// mechanisms returns what clients have asked for so far, in the order in which they did:
// names of SASL mechanisms, and commands that send a password without one.
func (w *wiretap) mechanisms() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	commands := regexp.MustCompile(`(?mi)^(?:\S+ AUTHENTICATE|AUTH) (\S+)|^\S+ (LOGIN) |^(PASS|APOP) `)
	for _, m := range commands.FindAllStringSubmatch(w.heard.String(), -1) {
		names = append(names, strings.ToUpper(m[1]+m[2]+m[3]))
	}
	return names
}

// manInTheMiddle has a certificate that clients take for the server's, and ends their TLS:
// after STARTTLS it reads all of what goes either way. Its connection to the server is TLS as
// well.
func manInTheMiddle(t *testing.T, d *demo, cert tls.Certificate) (addr string) {
	t.Helper()
	return relay(t, d.imap, func(client, server net.Conn) {
		// What is sent before the handshake goes through, one line after the other.
		say, hear := bufio.NewReader(client), bufio.NewReader(server)
		for starting := false; !starting; {
			for tagged := false; !tagged; {
				line, err := hear.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(client, line) //nolint:errcheck // reading fails then
				tagged = !strings.HasPrefix(line, "* ") || strings.HasPrefix(line, "* OK")
			}
			line, err := say.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(server, line) //nolint:errcheck // reading fails then
			starting = strings.Contains(line, "STARTTLS")
		}
		line, err := hear.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(client, line) //nolint:errcheck // the handshake fails then
		secured, through := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{cert}}), tls.Client(server, d.tls)
		if errors.Join(secured.Handshake(), through.Handshake()) == nil {
			pass(secured, through, func([]byte) {})
		}
	})
}

// relay listens, and has handle speak for each client with addr, until the test ends.
func relay(t *testing.T, addr string, handle func(client, server net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, "listen", err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				defer server.Close()
				for _, c := range []net.Conn{client, server} {
					c.SetDeadline(time.Now().Add(clientTime)) //nolint:errcheck // the connection is open
				}
				handle(client, server)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// pass passes on what either side sends until one of them ends. What the client sends is
// heard first.
func pass(client, server net.Conn, hear func([]byte)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(client, server) //nolint:errcheck // an end is an end
		client.Close()
	}()
	buf := make([]byte, 4096)
	for {
		n, err := client.Read(buf)
		hear(buf[:n])
		if _, werr := server.Write(buf[:n]); err != nil || werr != nil {
			break
		}
	}
	server.Close()
	<-done
}
