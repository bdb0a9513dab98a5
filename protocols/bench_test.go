package protocols_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hashmail/mailaccess/protocols"
)

// BenchmarkIdleConnections measures what a connection that waits in Read costs:
// the heap and the stack of the runtime itself, without the two ends of the pipe.
func BenchmarkIdleConnections(b *testing.B) {
	const n = 10_000
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	for b.Loop() {
		servers, clients := make([]net.Conn, n), make([]net.Conn, n)
		for i := range n {
			servers[i], clients[i] = net.Pipe()
		}
		s := &protocols.Server{
			Logger: logger,
			Limits: &protocols.Limits{Connections: n},
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
		heap, stack := memory()
		var served sync.WaitGroup
		for _, nc := range servers {
			served.Go(func() { s.ServeConn(nc) })
		}
		for _, client := range clients {
			client.Write([]byte("xx")) // taken by the second Read
		}
		heapAfter, stackAfter := memory()
		b.ReportMetric(float64(heapAfter-heap)/n, "heap-B/conn")
		b.ReportMetric(float64(stackAfter-stack)/n, "stack-B/conn")
		b.ReportMetric(float64(heapAfter-heap+stackAfter-stack)/n, "B/conn")
		if err := s.Shutdown(b.Context()); err != nil {
			b.Fatal(err)
		}
		served.Wait()
		runtime.KeepAlive(clients)
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
