package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/memory"
)

// benchServer is a server over the memory store whose user demo has n messages in
// INBOX.
type benchServer struct {
	store  *memory.Store
	server *protocols.Server
}

func newBenchServer(tb testing.TB, n int) *benchServer {
	tb.Helper()
	store := memory.New(nil)
	fill(tb, store, n)
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"demo": "demo"})})
	if err != nil {
		tb.Fatal(err)
	}
	s := &protocols.Server{
		Protocol: imap.New(imap.Options{Engine: e, PlaintextOnLoopback: true}),
		Limits:   &protocols.Limits{Connections: -1, PerUser: -1, CommandsPerSecond: -1},
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
		if err := store.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &benchServer{store, s}
}

// fill appends n small messages, many at once.
func fill(tb testing.TB, store *memory.Store, n int) {
	tb.Helper()
	ctx := context.Background()
	acct, err := store.Open(ctx, "demo", mailaccess.Identity{User: "demo", Account: "demo"})
	if err != nil {
		tb.Fatal(err)
	}
	defer acct.Close()
	inbox, err := acct.Lookup(ctx, mailaccess.Inbox)
	if err != nil {
		tb.Fatal(err)
	}
	appender := acct.Capabilities().Append
	for n > 0 {
		batch := make([]mailaccess.NewMessage, min(n, 1000))
		for i := range batch {
			staged, err := appender.Stage(ctx, -1)
			if err != nil {
				tb.Fatal(err)
			}
			defer staged.Close()
			fmt.Fprintf(staged, "Subject: message %d\r\nFrom: a@example.org\r\n\r\nHello.\r\n", n-i)
			batch[i] = mailaccess.NewMessage{Staged: staged, Flags: mailaccess.Flags{System: mailaccess.FlagSeen}}
		}
		if _, err := appender.Append(ctx, inbox.ID, batch); err != nil {
			tb.Fatal(err)
		}
		n -= len(batch)
	}
}

// benchClient is the client's end of a connection in memory.
type benchClient struct {
	net.Conn
	r *bufio.Reader
}

// dial opens a connection, logs in and says each of lines.
func (s *benchServer) dial(tb testing.TB, lines ...string) *benchClient {
	tb.Helper()
	client, server := net.Pipe()
	go s.server.ServeConn(server)
	tb.Cleanup(func() { client.Close() })
	c := &benchClient{client, bufio.NewReaderSize(client, 64<<10)}
	c.line(tb)
	for _, l := range append([]string{"LOGIN demo demo"}, lines...) {
		c.command(tb, l)
	}
	return c
}

func (c *benchClient) line(tb testing.TB) []byte {
	l, err := c.r.ReadSlice('\n')
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// command says a line, reads up to the tagged answer, and returns how many octets
// came.
func (c *benchClient) command(tb testing.TB, line string) (octets int) {
	if _, err := io.WriteString(c, "t "+line+"\r\n"); err != nil {
		tb.Fatal(err)
	}
	for {
		l := c.line(tb)
		octets += len(l)
		if bytes.HasPrefix(l, []byte("t ")) {
			if !bytes.HasPrefix(l, []byte("t OK")) {
				tb.Fatalf("%s: %s", line, l)
			}
			return octets
		}
	}
}

// BenchmarkFetchFlags lists the flags of 100,000 messages, beside writing the same
// octets, line by line, through a bufio.Writer to the same kind of connection.
func BenchmarkFetchFlags(b *testing.B) {
	const n = 100_000
	s := newBenchServer(b, n)
	c := s.dial(b, "SELECT INBOX")
	b.Run("server", func(b *testing.B) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var octets int
		for b.Loop() {
			octets = c.command(b, "UID FETCH 1:* (FLAGS)")
		}
		runtime.ReadMemStats(&after)
		b.SetBytes(int64(octets))
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N)/n, "allocs/msg")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/msg")
	})
	b.Run("bufio", func(b *testing.B) {
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("* %d FETCH (UID %d FLAGS (\\Seen))\r\n", i+1, i+1)
		}
		lines = append(lines, "t OK done\r\n")
		client, server := net.Pipe()
		b.Cleanup(func() { client.Close() })
		c := &benchClient{client, bufio.NewReaderSize(client, 64<<10)}
		go func() {
			in := bufio.NewReader(server)
			for {
				if _, err := in.ReadString('\n'); err != nil {
					return
				}
				out := bufio.NewWriterSize(server, 16<<10)
				for _, l := range lines {
					out.WriteString(l)
				}
				out.Flush()
			}
		}()
		var octets int
		for b.Loop() {
			octets = c.command(b, "UID FETCH 1:* (FLAGS)")
		}
		b.SetBytes(int64(octets))
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/msg")
	})
}

// BenchmarkSelect selects a small and a large mailbox.
func BenchmarkSelect(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := newBenchServer(b, n).dial(b)
			b.ReportAllocs()
			for b.Loop() {
				c.command(b, "SELECT INBOX")
			}
		})
	}
}

// BenchmarkNoop is a NOOP with nothing new.
func BenchmarkNoop(b *testing.B) {
	c := newBenchServer(b, 1000).dial(b, "SELECT INBOX")
	b.ReportAllocs()
	for b.Loop() {
		c.command(b, "NOOP")
	}
}

// BenchmarkIdle holds connections in IDLE on one mailbox, measures what each costs, the client's end of
// the pipe included, and wakes all of them by an append: until the last has been told, and no client
// keeps the server waiting.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newBenchServer(b, 1000)
			told := new(told)
			dial := s.inMemory(b, told)
			before := inUse()
			s.idle(b, n, dial)
			perConn := float64(inUse()-before) / float64(n)
			told.counts.Store(true)
			for b.Loop() {
				told.Add(n)
				fill(b, s.store, 1)
				told.Wait()
			}
			b.ReportMetric(perConn, "B/conn")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/wake")
			told.counts.Store(false)
		})
	}
}

// told are those that have been told of a message, from when that counts.
type told struct {
	sync.WaitGroup
	counts atomic.Bool
}

// tolling is a connection whose client hears what it is told at once, from when that counts.
type tolling struct {
	net.Conn
	told *told
}

func (c tolling) Write(p []byte) (int, error) {
	if !c.told.counts.Load() {
		return c.Conn.Write(p)
	}
	if bytes.Contains(p, []byte(" EXISTS\r\n")) {
		c.told.Done()
	}
	return len(p), nil
}

// inMemory returns what dials connections in memory, which are served as those of a listener.
func (s *benchServer) inMemory(tb testing.TB, told *told) func() net.Conn {
	l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{}), told: told}
	s.serve(tb, l)
	return l.dial
}

// overTCP returns what dials connections over TCP.
func (s *benchServer) overTCP(tb testing.TB) func() net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.serve(tb, l)
	return func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			tb.Fatal(err)
		}
		return c
	}
}

func (s *benchServer) serve(tb testing.TB, l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(l) }()
	tb.Cleanup(func() {
		l.Close()
		<-served
	})
}

// idle opens n connections that wait in IDLE.
func (s *benchServer) idle(tb testing.TB, n int, dial func() net.Conn) []net.Conn {
	tb.Helper()
	clients := make([]net.Conn, n)
	var buf [4096]byte
	for i := range clients {
		c := dial()
		tb.Cleanup(func() { c.Close() })
		until(tb, c, buf[:], "ready\r\n")
		for _, step := range []struct{ say, until string }{
			{"a LOGIN demo demo\r\n", "a OK"},
			{"b SELECT INBOX\r\n", "b OK"},
			{"c IDLE\r\n", "+ idling\r\n"},
		} {
			if _, err := io.WriteString(c, step.say); err != nil {
				tb.Fatal(err)
			}
			until(tb, c, buf[:], step.until)
		}
		clients[i] = c
	}
	return clients
}

// until reads until all of what was said.
func until(tb testing.TB, c net.Conn, buf []byte, all ...string) {
	tb.Helper()
	for n := 0; ; {
		k, err := c.Read(buf[n:])
		if err != nil {
			tb.Fatal(err)
		}
		n += k
		if !slices.ContainsFunc(all, func(s string) bool { return !bytes.Contains(buf[:n], []byte(s)) }) {
			return
		}
	}
}

// A pipeListener accepts the other ends of the connections that are dialled.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
	told   *told
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- tolling{server, l.told}
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }
