package protocols_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

// shutdown begins the shutdown of s with the given patience, and waits until
// everybody waits.
func shutdown(s *protocols.Server, patience time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		done <- s.Shutdown(ctx)
	}()
	synctest.Wait()
	return done
}

func TestShutdownIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &protocols.Server{Protocol: serveFunc(untilEnd)}
		var clients []net.Conn
		for range 100 {
			client, _ := connect(s)
			clients = append(clients, client)
		}
		synctest.Wait()
		done := shutdown(s, time.Hour)
		for _, client := range clients {
			if got, want := all(t, client), protocols.ErrShutdown.Error()+"\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if err := <-done; err != nil || time.Since(start) != 0 {
			t.Errorf("Shutdown returned %v after %v", err, time.Since(start))
		}
	})
}

// deadlines is a connection that remembers its read deadline.
type deadlines struct {
	net.Conn
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return d.Conn.SetReadDeadline(t)
}

// Neither a new idle timeout nor a new user, each of which sets a deadline, wakes
// up a connection from its drain. The deadline itself has to stay: a socket whose
// deadline passes and is set anew before the reader could run never wakes it.
func TestShutdownIsNotUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draining := make(chan struct{})
		var got []error
		server, client := net.Pipe()
		nc := &deadlines{Conn: server}
		s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			<-draining
			for _, set := range []func(){
				func() {},
				func() { c.SetIdleTimeout(time.Hour) },
				func() { c.SetUser("anna") },
				func() { c.SetUser("") },
				func() { c.SetBusy(true); c.SetBusy(false) },
			} {
				set()
				if nc.read.IsZero() || nc.read.After(time.Now()) {
					t.Errorf("the read deadline is %v again", nc.read)
				}
				_, err := c.Read(make([]byte, 1))
				got = append(got, err)
			}
			return nil
		})}
		go s.ServeConn(nc)
		go io.WriteString(client, "never read")
		synctest.Wait()
		done := shutdown(s, time.Hour)
		close(draining)
		all(t, client)
		if err := <-done; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		for i, err := range got {
			if err != protocols.ErrShutdown {
				t.Errorf("Read %d returned %v, want ErrShutdown", i, err)
			}
		}
	})
}

// The same with the race for the race detector, and for the deadline to lose.
func TestShutdownRaces(t *testing.T) {
	for range 50 {
		s := &protocols.Server{Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
			var setters sync.WaitGroup
			setters.Go(func() { c.SetIdleTimeout(time.Hour) })
			setters.Go(func() { c.SetUser("anna") })
			setters.Go(func() { c.SetBusy(true); c.SetBusy(false) })
			defer setters.Wait()
			return untilEnd(ctx, c)
		})}
		var clients sync.WaitGroup
		for range 4 {
			client, ended := connect(s)
			clients.Go(func() { io.Copy(io.Discard, client); <-ended })
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		clients.Wait()
	}
}

func TestShutdownRunningCommand(t *testing.T) {
	// Both receive one line, "run N" with N bytes to follow, and answer when the
	// command is done; then they ask for the next one.
	serve := func(busy bool, finish <-chan struct{}) serveFunc {
		return func(_ context.Context, c *protocols.Conn) error {
			r := bufio.NewReaderSize(c, 16)
			for {
				var n int
				if _, err := fmt.Fscanf(r, "run %d\n", &n); err != nil {
					fmt.Fprintln(c, "goodbye")
					return err
				}
				c.SetBusy(busy)
				if _, err := io.CopyN(io.Discard, r, int64(n)); err != nil {
					fmt.Fprintln(c, "broken off")
					return err
				}
				<-finish
				fmt.Fprintln(c, "done")
				c.SetBusy(false)
			}
		}
	}
	tests := []struct {
		name        string
		busy        bool
		before, now string // what the client sends before and after the shutdown began
		want        string
	}{
		{"executing", false, "run 0\n", "", "done\ngoodbye\n"},
		{"executing, busy", true, "run 0\n", "", "done\ngoodbye\n"},
		{"receiving", false, "run 7\n123", "", "broken off\n"},
		{"receiving, busy", true, "run 7\n123", "4567", "done\ngoodbye\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				finish := make(chan struct{})
				s := &protocols.Server{Protocol: serve(tt.busy, finish)}
				client, _ := connect(s)
				send(t, client, tt.before)
				synctest.Wait()
				done := shutdown(s, time.Hour)
				select {
				case err := <-done:
					t.Errorf("Shutdown returned %v ahead of the command", err)
				default:
				}
				if tt.now != "" {
					send(t, client, tt.now)
				}
				close(finish)
				if got := all(t, client); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if err := <-done; err != nil {
					t.Errorf("Shutdown returned %v", err)
				}
			})
		})
	}
}

// The read of a busy connection outlasts the deadline of an earlier Read, as
// ever, while the server drains.
func TestShutdownBusyReadRenewsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &protocols.Server{
			Limits: &protocols.Limits{IdleTimeout: time.Minute},
			Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				c.SetBusy(true)
				if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
					return err
				}
				_, err := c.Write([]byte("done"))
				return err
			}),
		}
		client, _ := connect(s)
		time.Sleep(50 * time.Second) // fake time
		send(t, client, "1")
		synctest.Wait()
		done := shutdown(s, time.Hour)
		time.Sleep(50 * time.Second) // fake time
		send(t, client, "2")
		if got := all(t, client); got != "done" {
			t.Errorf("got %q", got)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
	})
}

// What does not end by itself is cut when patience ends.
func TestShutdownCuts(t *testing.T) {
	tests := []struct {
		name  string
		serve serveFunc
		wait  time.Duration // how long Shutdown takes, its patience being a minute
	}{
		{"a command that heeds its context", func(ctx context.Context, c *protocols.Conn) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, time.Minute},
		{"a busy read", func(ctx context.Context, c *protocols.Conn) error {
			c.SetBusy(true)
			_, err := c.Read(make([]byte, 1))
			return err
		}, time.Minute},
		{"a write", func(ctx context.Context, c *protocols.Conn) error {
			_, err := c.Write([]byte("nobody listens"))
			return err
		}, time.Minute},
		{"a command that heeds nothing", func(ctx context.Context, c *protocols.Conn) error {
			<-time.After(time.Hour)
			_, err := c.Write([]byte("x"))
			return err
		}, time.Minute + time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				got := make(chan error, 1)
				s := &protocols.Server{
					Limits: &protocols.Limits{WriteTimeout: time.Hour},
					Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
						err := tt.serve(ctx, c)
						got <- err
						return err
					}),
				}
				client, ended := connect(s)
				defer client.Close()
				synctest.Wait()
				if err := <-shutdown(s, time.Minute); err != context.DeadlineExceeded {
					t.Errorf("Shutdown returned %v", err)
				}
				if d := time.Since(start); d != tt.wait {
					t.Errorf("Shutdown took %v, want %v", d, tt.wait)
				}
				<-ended
				if err := <-got; err != protocols.ErrServerClosed {
					t.Errorf("the protocol got %v, want ErrServerClosed", err)
				}
			})
		})
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var read error
		s := &protocols.Server{Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
			c.SetBusy(true)
			_, read = c.Read(make([]byte, 1))
			return read
		})}
		client, ended := connect(s)
		synctest.Wait()
		if err := s.Close(); err != nil || time.Since(start) != 0 {
			t.Errorf("Close returned %v after %v", err, time.Since(start))
		}
		<-ended
		if read != protocols.ErrServerClosed {
			t.Errorf("Read returned %v", read)
		}
		if got := all(t, client); got != "" {
			t.Errorf("the client was told %q", got)
		}
	})
}

func TestServeAfterShutdown(t *testing.T) {
	limiter := protocols.NewLimiter(nil)
	s := &protocols.Server{Protocol: serveFunc(greet), Limiter: limiter}
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown of a server that does nothing returned %v", err)
		}
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := s.Shutdown(ended); err != nil {
		t.Errorf("Shutdown without patience returned %v", err)
	}
	q := newQueue()
	if err := s.Serve(q); err != protocols.ErrServerClosed {
		t.Errorf("Serve returned %v", err)
	}
	<-q.closed // Serve has closed its listener
	client, served := connect(s)
	if got, want := all(t, client), "refused: server is shutting down\r\n"; got != want {
		t.Errorf("a late connection was told %q, want %q", got, want)
	}
	<-served
	if n := limiter.Connections(); n != 0 {
		t.Errorf("%d connections still counted", n)
	}
}

// onceMore is a listener that has one more connection when it is closed.
type onceMore struct {
	*queue
	last net.Conn
}

func (l *onceMore) Accept() (net.Conn, error) {
	_, err := l.queue.Accept()
	if nc := l.last; nc != nil {
		l.last = nil
		return nc, nil
	}
	return nil, err
}

// A connection accepted while the shutdown closes the listener is turned away,
// and waited for.
func TestShutdownDuringAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		l := &onceMore{queue: newQueue(), last: server}
		s := &protocols.Server{Protocol: serveFunc(greet)}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		synctest.Wait()
		done := shutdown(s, time.Hour)
		select {
		case err := <-done:
			t.Errorf("Shutdown returned %v ahead of the last connection", err)
		default:
		}
		if got, want := all(t, client), "refused: server is shutting down\r\n"; got != want {
			t.Errorf("the last connection was told %q, want %q", got, want)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		if err := <-served; err != protocols.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
	})
}
