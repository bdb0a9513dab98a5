package protocols_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// BenchmarkIdleConnections measures what a connection that waits in Read costs: the
// heap and the stack of the runtime itself, without the two ends of the pipe.
func BenchmarkIdleConnections(b *testing.B) {
	config, clientConfig := tlsConfigs(b)
	proxy := header(b, 2, tcpAddr("192.0.2.1:40000"), tcpAddr("198.51.100.1:143"))
	for _, way := range []struct {
		name    string
		n       int
		proxied bool
		dial    func(client net.Conn) io.Writer
	}{
		{"plain", 10_000, false, func(client net.Conn) io.Writer { return client }},
		{"proxied", 10_000, true, func(client net.Conn) io.Writer {
			client.Write([]byte(proxy))
			return client
		}},
		{"tls", 1000, false, func(client net.Conn) io.Writer { return tls.Client(client, clientConfig) }},
	} {
		b.Run(way.name, func(b *testing.B) { benchmarkIdle(b, way.n, way.proxied, way.name == "tls", config, way.dial) })
	}
}

func benchmarkIdle(b *testing.B, n int, proxied, secure bool, config *tls.Config, dial func(net.Conn) io.Writer) {
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	for b.Loop() {
		clients, q := make([]net.Conn, n), newQueue(make([]result, n)...)
		for i := range n {
			server, client := net.Pipe()
			<-q.results
			q.results <- result{conn: server}
			clients[i] = client
		}
		s := &protocols.Server{
			Logger:    logger,
			Limits:    &protocols.Limits{Connections: n, PerAddress: -1, PerNetwork: -1},
			TLSConfig: config,
			Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				if err := c.SetUser(""); err != nil {
					return err
				}
				var buf [1]byte
				for {
					if _, err := c.Read(buf[:]); err != nil {
						return nil
					}
				}
			}),
		}
		var l net.Listener = q
		if proxied {
			l = &protocols.ProxyListener{Listener: l}
		}
		heap, stack := memory()
		serve := s.Serve
		if secure {
			serve = s.ServeTLS
		}
		served := make(chan error, 1)
		go func() { served <- serve(l) }()
		for _, client := range clients {
			w := dial(client)
			w.Write([]byte("x")) // taken by the first Read
			w.Write([]byte("x")) // and by the second
		}
		heapAfter, stackAfter := memory()
		b.ReportMetric(float64(heapAfter-heap)/float64(n), "heap-B/conn")
		b.ReportMetric(float64(stackAfter-stack)/float64(n), "stack-B/conn")
		b.ReportMetric(float64(heapAfter-heap+stackAfter-stack)/float64(n), "B/conn")
		for _, client := range clients {
			client.Close() // nobody is left to take a word
		}
		if err := s.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
		<-served
	}
}

func memory() (heap, stack uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// BenchmarkExchange measures one line to the server and one back, through the
// runtime and, for comparison, through the bare pipe.
func BenchmarkExchange(b *testing.B) {
	answer := func(c io.ReadWriter) error {
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return err
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return err
			}
		}
	}
	exchange := func(b *testing.B, client net.Conn) {
		command, buf := []byte("a1 NOOP\r\n"), make([]byte, 64)
		b.ReportAllocs()
		for b.Loop() {
			client.Write(command)
			if n, _ := client.Read(buf); !bytes.Equal(buf[:n], command) {
				b.Fatalf("got %q", buf[:n])
			}
		}
	}
	b.Run("server", func(b *testing.B) {
		s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error { return answer(c) })}
		client, ended := connect(s)
		exchange(b, client)
		client.Close()
		<-ended
	})
	b.Run("bare", func(b *testing.B) {
		server, client := net.Pipe()
		ended := make(chan struct{})
		go func() { defer close(ended); answer(server) }()
		exchange(b, client)
		client.Close()
		<-ended
	})
}
