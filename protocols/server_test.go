package protocols_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

func TestPanicIsConfined(t *testing.T) {
	const secret = "correct horse battery staple"
	tests := []struct {
		name  string
		fall  func(said string)
		value string // of the panic, in the log
	}{
		{"value", func(said string) { panic("cannot parse " + said) }, "string"},
		{"error", func(said string) { panic(errors.New(said)) }, "*errors.errorString"},
		{"runtime error", func(said string) { _ = []byte(nil)[len(said)] }, "runtime error: index out of range [28] with length 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, logs := observed(zapcore.DebugLevel)
				s := &protocols.Server{Logger: logger, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
					line, err := bufio.NewReader(c).ReadString('\n')
					if err != nil {
						return err
					}
					if c.ID() == 2 {
						tt.fall(strings.TrimSpace(line))
					}
					_, err = io.WriteString(c, line)
					return err
				})}
				witness, witnessEnded := connect(s)
				synctest.Wait() // has number 1
				client, ended := connect(s)
				send(t, client, secret+"\n")
				if got := all(t, client); got != "" {
					t.Errorf("the client got %q", got)
				}
				<-ended
				send(t, witness, "alive\n")
				if got := all(t, witness); got != "alive\n" {
					t.Errorf("the other connection got %q", got)
				}
				<-witnessEnded

				panics := logs.FilterMessage("panic").All()
				if len(panics) != 1 {
					t.Fatalf("%d panics logged", len(panics))
				}
				fields := panics[0].ContextMap()
				if fields["value"] != tt.value || fields["conn"] != uint64(2) {
					t.Errorf("logged value %q of connection %v, want %q of 2", fields["value"], fields["conn"], tt.value)
				}
				if stack := fields["stack"].(string); !strings.Contains(stack, "server_test.go") {
					t.Errorf("the stack does not lead to the panic:\n%s", stack)
				}
				for _, e := range logs.All() {
					if s := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(s, "horse") {
						t.Errorf("what the client sent is in the log: %s", s)
					}
				}
			})
		})
	}
}

// A protocol that ends its goroutine (a test's FailNow within it, say) takes its
// connection along, and nothing else.
func TestGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := protocols.NewLimiter(nil)
		s := &protocols.Server{Limiter: limiter, Protocol: serveFunc(func(context.Context, *protocols.Conn) error {
			runtime.Goexit()
			return nil
		})}
		client, ended := connect(s)
		all(t, client)
		<-ended
		if n := limiter.Connections(); n != 0 {
			t.Errorf("%d connections still counted", n)
		}
	})
}

func TestLog(t *testing.T) {
	tests := []struct {
		name   string
		serve  serveFunc
		client func(t *testing.T, client net.Conn)
		reason string
		out    int64
	}{
		{"in order", func(_ context.Context, c *protocols.Conn) error {
			c.Read(make([]byte, 10))
			c.SetUser("anna")
			c.Write([]byte("goodbye"))
			return nil
		}, func(t *testing.T, client net.Conn) { send(t, client, "quit"); all(t, client) }, "done", 7},
		{"idle", func(_ context.Context, c *protocols.Conn) error {
			c.SetUser("anna")
			c.Read(make([]byte, 10))
			c.SetIdleTimeout(time.Minute)
			_, err := c.Read(make([]byte, 10))
			return err
		}, func(t *testing.T, client net.Conn) { send(t, client, "quit"); all(t, client) },
			"protocols: client idle for too long: i/o timeout", 0},
		{"own error", func(_ context.Context, c *protocols.Conn) error {
			c.SetUser("anna")
			c.Read(make([]byte, 10))
			return errors.New("too many bad commands")
		}, func(t *testing.T, client net.Conn) { send(t, client, "quit"); all(t, client) }, "too many bad commands", 0},
		{"failed write", func(_ context.Context, c *protocols.Conn) error {
			c.SetUser("anna")
			c.Read(make([]byte, 10))
			_, err := c.Write([]byte("unheard"))
			return fmt.Errorf("answering: %w", err)
		}, func(t *testing.T, client net.Conn) { send(t, client, "quit"); client.Close() }, "io: read/write on closed pipe", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, logs := observed(zapcore.DebugLevel)
				start := time.Now()
				client, ended := connect(&protocols.Server{Protocol: tt.serve, Logger: logger})
				tt.client(t, client)
				<-ended
				lines := logs.All()
				if len(lines) != 2 {
					t.Fatalf("%d lines logged, want one at the beginning and one at the end", len(lines))
				}
				if lines[0].Level != zapcore.DebugLevel || lines[0].Message != "connection open" {
					t.Errorf("the first line is %v", lines[0])
				}
				if lines[1].Level != zapcore.InfoLevel || lines[1].Message != "connection end" {
					t.Errorf("the last line is %v", lines[1])
				}
				got := lines[1].ContextMap()
				want := map[string]any{
					"conn": uint64(1), "protocol": "test", "remote": "pipe", "user": "anna",
					"duration": time.Since(start), "in": int64(4), "out": tt.out, "reason": tt.reason,
				}
				for k, v := range want {
					if got[k] != v {
						t.Errorf("%s is %v, want %v", k, got[k], v)
					}
				}
				if len(got) != len(want) {
					t.Errorf("logged %v, want the fields of %v", got, want)
				}
			})
		})
	}
}

func TestPrivateAndLoopback(t *testing.T) {
	tests := []struct {
		from              net.Addr
		private, loopback bool
	}{
		{nil, true, true}, // a pipe
		{&net.UnixAddr{Net: "unix"}, true, true},
		{ipAddr("127.0.0.1"), false, true},
		{ipAddr("127.1.2.3"), false, true},
		{ipAddr("::ffff:127.0.0.1"), false, true},
		{ipAddr("::1"), false, true},
		{ipAddr("192.0.2.1"), false, false},
		{ipAddr("2001:db8::1"), false, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.from), func(t *testing.T) {
			s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				if c.Private() != tt.private || c.Loopback() != tt.loopback {
					t.Errorf("Private() = %v, Loopback() = %v, want %v, %v", c.Private(), c.Loopback(), tt.private, tt.loopback)
				}
				if c.TLS() != nil || c.CanStartTLS() || c.Underlying() == nil {
					t.Error("a plain connection of a server without TLSConfig claims TLS")
				}
				return nil
			})}
			client, ended := connectFrom(s, tt.from)
			all(t, client)
			<-ended
		})
	}
}

// Close works from anywhere and ends what the protocol waits for.
func TestConnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := make(chan *protocols.Conn, 1)
		var read, cause error
		s := &protocols.Server{Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
			conns <- c
			_, read = c.Read(make([]byte, 1))
			cause = context.Cause(ctx)
			return read
		})}
		client, ended := connect(s)
		synctest.Wait()
		(<-conns).Close()
		if got := all(t, client); got != "" {
			t.Errorf("the client got %q", got)
		}
		<-ended
		if read != net.ErrClosed || cause != net.ErrClosed {
			t.Errorf("Read returned %v and the context's cause is %v, want net.ErrClosed", read, cause)
		}
	})
}

// The context ends with the connection, for the sake of helpers.
func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		client, ended := connect(&protocols.Server{Protocol: serveFunc(func(c context.Context, _ *protocols.Conn) error {
			ctx = c
			return ctx.Err()
		})})
		all(t, client)
		<-ended
		if ctx.Err() == nil {
			t.Error("the context outlives its connection")
		}
	})
}

// A client that has sent more than was read must get the last words all the
// same: closing a TCP connection with unread bytes resets it.
func TestLastWordsArrive(t *testing.T) {
	const size = 1 << 20
	s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return err
		}
		_, err := c.Write(make([]byte, size))
		return err
	})}
	client, err := net.Dial("tcp", listen(t, s, s.Serve))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send(t, client, strings.Repeat("pipelined", 1000))
	if n, err := io.Copy(io.Discard, client); n != size || err != nil {
		t.Errorf("got %d bytes of %d, %v", n, size, err)
	}
}

// queue is a listener that answers Accept from a list.
type queue struct {
	results chan result
	closed  chan struct{}
}

type result struct {
	conn net.Conn
	err  error
}

func newQueue(results ...result) *queue {
	q := &queue{make(chan result, len(results)), make(chan struct{})}
	for _, r := range results {
		q.results <- r
	}
	return q
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case r := <-q.results:
		return r.conn, r.err
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error   { close(q.closed); return nil }
func (q *queue) Addr() net.Addr { return nil }

func TestAcceptErrors(t *testing.T) {
	exhausted := result{err: &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}}
	t.Run("temporary", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			server, client := net.Pipe()
			q := newQueue(exhausted, exhausted, exhausted, result{conn: server}, exhausted)
			logger, logs := observed(zapcore.WarnLevel)
			s := &protocols.Server{Protocol: serveFunc(greet), Logger: logger}
			served := make(chan error)
			start := time.Now()
			go func() { served <- s.Serve(q) }()
			line(t, bufio.NewReader(client))
			if d := time.Since(start); d != (5+10+20)*time.Millisecond {
				t.Errorf("three failures delayed the connection by %v", d)
			}
			client.Close()
			synctest.Wait()
			var pauses []any
			for _, e := range logs.All() {
				pauses = append(pauses, e.ContextMap()["pause"])
			}
			if got, want := fmt.Sprint(pauses), "[5ms 10ms 20ms 5ms]"; got != want {
				t.Errorf("warned of pauses %s, want %s", got, want)
			}
			s.Close() // during the fourth pause
			if err := <-served; err != protocols.ErrServerClosed {
				t.Errorf("Serve returned %v", err)
			}
		})
	})
	t.Run("lasting", func(t *testing.T) {
		broken := errors.New("broken")
		q := newQueue(result{err: broken})
		s := &protocols.Server{Protocol: serveFunc(greet)}
		if err := s.Serve(q); !errors.Is(err, broken) {
			t.Errorf("Serve returned %v", err)
		}
		select {
		case <-q.closed:
		default:
			t.Error("Serve left its listener open")
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
	})
}

// TestGuard: what panics in a goroutine of a protocol's own ends that connection, and
// neither the process nor another one.
func TestGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed(zapcore.ErrorLevel)
		s := &protocols.Server{Logger: logger, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil {
				return err
			}
			returned := make(chan bool)
			go func() {
				returned <- c.Guard(func() {
					if c.ID() == 2 {
						panic(line)
					}
				})
			}()
			if got, want := <-returned, c.ID() != 2; got != want {
				t.Errorf("connection %d: returned %t, want %t", c.ID(), got, want)
			}
			_, err = io.WriteString(c, line)
			return err
		})}
		witness, witnessEnded := connect(s)
		synctest.Wait() // has number 1
		client, ended := connect(s)
		send(t, client, "secret\n")
		if got := all(t, client); got != "" {
			t.Errorf("the client got %q", got)
		}
		<-ended
		send(t, witness, "hello\n")
		if got := all(t, witness); got != "hello\n" {
			t.Errorf("the witness got %q", got)
		}
		<-witnessEnded
		if n := logs.FilterMessage("panic").Len(); n != 1 {
			t.Errorf("%d panics were logged, want 1", n)
		}
	})
}
