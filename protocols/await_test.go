package protocols_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// awaiting is a protocol that answers each line with its length, and waits for the next without
// Serve. Over TLS it sees first that nothing more has come.
type awaiting struct {
	r     *bufio.Reader
	line  func(c *protocols.Conn, line string) error
	waits func(c *protocols.Conn)
}

func (a *awaiting) serve(_ context.Context, c *protocols.Conn) error {
	mine := &awaiting{line: a.line, waits: a.waits}
	mine.r = bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) { return c.ReadWithin(p, time.Millisecond) }), 16)
	return mine.converse(c)
}

func (a *awaiting) converse(c *protocols.Conn) error {
	for {
		line, err := a.r.ReadString('\n')
		switch {
		case err == protocols.ErrQuiet && line == "" && c.CanAwait():
			if a.waits != nil {
				a.waits(c)
			}
			return c.Await(func(context.Context) error { return a.converse(c) })
		case err != nil:
			fmt.Fprintln(c, err)
			return err
		}
		if a.line != nil {
			if err := a.line(c, line); err != nil {
				return err
			}
		}
		fmt.Fprintln(c, len(line))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestAwait: what the client says while the connection waits without Serve is read whole and in
// order, however the connection came.
func TestAwait(t *testing.T) {
	serverTLS, clientTLS := tlsConfigs(t)
	waits := make(chan struct{}, 100)
	a := awaiting{waits: func(*protocols.Conn) { waits <- struct{}{} }}
	s := &protocols.Server{Protocol: serveFunc(a.serve), TLSConfig: serverTLS}
	plain, secure := listen(t, s, s.Serve), listen(t, s, s.ServeTLS)
	for name, dial := range map[string]func() (net.Conn, error){
		"tcp": func() (net.Conn, error) { return net.Dial("tcp", plain) },
		"tls": func() (net.Conn, error) { return tls.Dial("tcp", secure, clientTLS) },
		"ServeConn": func() (net.Conn, error) {
			client, _ := connect(s)
			return client, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			r := bufio.NewReader(client)
			for _, size := range []int{1, 63, 64, 65, 300, 3} {
				<-waits
				send(t, client, strings.Repeat("x", size-1)+"\n")
				if got, want := line(t, r), fmt.Sprintln(size); got != want {
					t.Errorf("a line of %d: got %q", size, got)
				}
			}
		})
	}
}

// TestAwaitEnds: whatever ends a wait without Serve, the next Read says what it was.
func TestAwaitEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *protocols.Server, c *protocols.Conn, client net.Conn)
		want error
	}{
		{"the client hangs up", func(_ *protocols.Server, _ *protocols.Conn, client net.Conn) { client.Close() }, io.EOF},
		{"idle for too long", func(_ *protocols.Server, c *protocols.Conn, _ net.Conn) { c.SetIdleTimeout(time.Nanosecond) }, protocols.ErrIdle},
		{"closed", func(_ *protocols.Server, c *protocols.Conn, _ net.Conn) { c.Close() }, net.ErrClosed},
		{"drained", func(s *protocols.Server, _ *protocols.Conn, _ net.Conn) { s.Shutdown(context.Background()) }, protocols.ErrShutdown},
		{"cut", func(s *protocols.Server, _ *protocols.Conn, _ net.Conn) { s.Close() }, protocols.ErrServerClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			waits, ended := make(chan *protocols.Conn), make(chan error, 1)
			s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				waits <- c
				return c.Await(func(context.Context) error {
					_, err := c.Read(make([]byte, 1))
					ended <- err
					return err
				})
			})}
			client, err := net.Dial("tcp", listen(t, s, s.Serve))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			test.end(s, <-waits, client)
			if got := <-ended; !errors.Is(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestAwaitPanics: a panic after a wait ends the connection, as one in Serve does.
func TestAwaitPanics(t *testing.T) {
	log, logs := observed(zapcore.ErrorLevel)
	s := &protocols.Server{Logger: log, Protocol: serveFunc((&awaiting{line: func(*protocols.Conn, string) error { panic("secret") }}).serve)}
	client, err := net.Dial("tcp", listen(t, s, s.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	time.Sleep(5 * time.Millisecond) // mostly it waits by then
	send(t, client, "x\n")
	if got := all(t, client); got != "" {
		t.Errorf("got %q, want the end", got)
	}
	if logs.FilterMessage("panic").Len() != 1 {
		t.Errorf("logged %v", logs.All())
	}
}

// TestCanAwait: over TLS there may be more where something came from, until a Read was in vain.
func TestCanAwait(t *testing.T) {
	serverTLS, clientTLS := tlsConfigs(t)
	could := make(chan bool, 3)
	s := &protocols.Server{TLSConfig: serverTLS, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
		for range 3 {
			if _, err := c.ReadWithin(make([]byte, 1), 100*time.Millisecond); err != nil && err != protocols.ErrQuiet {
				return err
			}
			could <- c.CanAwait()
		}
		return nil
	})}
	client, err := tls.Dial("tcp", listen(t, s, s.ServeTLS), clientTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send(t, client, "ab")
	if a, b, c := <-could, <-could, <-could; a || b || !c {
		t.Errorf("after one octet of two %v, after both %v, after a Read in vain %v; want false, false, true", a, b, c)
	}
}

// TestAwaitTakesSmallStacks: a connection that waits without Serve has the smallest stack there is, also
// when the deadline of a Read before would have come early.
func TestAwaitTakesSmallStacks(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes frames larger")
	}
	const n, most, early = 200, 3 << 10, 50 * time.Millisecond
	waits := make(chan struct{}, n)
	s := &protocols.Server{Limits: &protocols.Limits{AuthTimeout: -1}, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
		if _, err := c.ReadWithin(make([]byte, 2), early); err != nil && err != protocols.ErrQuiet {
			return err
		}
		deep(20)
		waits <- struct{}{}
		return c.Await(func(context.Context) error { return nil })
	})}
	addr := listen(t, s, s.Serve)
	open := func() {
		for range n {
			client, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			send(t, client, "x\n")
		}
		for range n {
			<-waits
		}
		time.Sleep(2 * early)
	}
	open()
	_, before := memory()
	open()
	_, after := memory()
	if got := (int64(after) - int64(before)) / n; got > most {
		t.Errorf("the stack of a connection that waits takes %d octets, want %d at most", got, most)
	}
}

// deep makes the stack grow.
//
//go:noinline
func deep(n int) byte {
	var frame [512]byte
	if n > 0 {
		frame[n] = deep(n - 1)
	}
	runtime.KeepAlive(&frame)
	return frame[n]
}
