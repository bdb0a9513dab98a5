package protocols_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

// Time is synctest's in all of these: it stands still unless everybody waits.

func TestIdleTimeout(t *testing.T) {
	tests := []struct {
		name string
		idle time.Duration // of Limits
		set  func(c *protocols.Conn)
		says []time.Duration // after which pauses the client says something
		want time.Duration   // when the connection ends
	}{
		{"silent", time.Minute, nil, nil, time.Minute},
		{"each word begins the time anew", time.Minute, nil,
			[]time.Duration{30 * time.Second, 59 * time.Second, 0, time.Second}, 150 * time.Second},
		{"default", 0, nil, nil, 30 * time.Minute},
		{"shorter", time.Minute, func(c *protocols.Conn) { c.SetIdleTimeout(time.Second) }, nil, time.Second},
		{"longer", time.Minute, func(c *protocols.Conn) { c.SetIdleTimeout(time.Hour) }, nil, time.Hour},
		{"restored", time.Minute, func(c *protocols.Conn) { c.SetIdleTimeout(time.Hour); c.SetIdleTimeout(0) }, nil, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var got error
				s := &protocols.Server{
					Limits: &protocols.Limits{IdleTimeout: tt.idle, AuthTimeout: -1},
					Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
						if tt.set != nil {
							tt.set(c)
						}
						got = untilEnd(ctx, c)
						return got
					}),
				}
				client, ended := connect(s)
				for _, pause := range tt.says {
					time.Sleep(pause) // fake time
					send(t, client, "x")
				}
				if said := all(t, client); said != got.Error()+"\n" {
					t.Errorf("the protocol could say %q after its error", said)
				}
				<-ended
				if got != protocols.ErrIdle || !errors.Is(got, os.ErrDeadlineExceeded) {
					t.Errorf("Read returned %v, want ErrIdle", got)
				}
				if d := time.Since(start); d != tt.want {
					t.Errorf("ended after %v, want %v", d, tt.want)
				}
			})
		})
	}
}

// SetIdleTimeout reaches the Read that waits already, in either direction.
func TestSetIdleTimeoutDuringRead(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			conns := make(chan *protocols.Conn, 1)
			s := &protocols.Server{
				Limits: &protocols.Limits{IdleTimeout: time.Hour, AuthTimeout: -1},
				Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
					conns <- c
					return untilEnd(ctx, c)
				}),
			}
			client, ended := connect(s)
			synctest.Wait()
			(<-conns).SetIdleTimeout(d)
			all(t, client)
			<-ended
			if got := time.Since(start); got != d {
				t.Errorf("ended after %v, want %v", got, d)
			}
		})
	}
}

func TestNoIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &protocols.Server{
			Limits: &protocols.Limits{IdleTimeout: time.Minute, AuthTimeout: -1},
			Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				c.Read(make([]byte, 1)) // arms a deadline that must not count later
				c.SetIdleTimeout(-1)
				return untilEnd(ctx, c)
			}),
		}
		client, ended := connect(s)
		send(t, client, "x")
		time.Sleep(1000 * time.Hour) // fake time
		send(t, client, "x")
		client.Close()
		<-ended
	})
}

func TestAuthTimeout(t *testing.T) {
	limits := &protocols.Limits{AuthTimeout: time.Minute, IdleTimeout: 45 * time.Second}
	t.Run("absolute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			client, ended := connect(&protocols.Server{Limits: limits, Protocol: serveFunc(untilEnd)})
			for range 5 {
				time.Sleep(11 * time.Second) // fake time
				send(t, client, "still here")
			}
			if got, want := all(t, client), protocols.ErrAuthTimeout.Error()+"\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			<-ended
			if got := time.Since(start); got != time.Minute {
				t.Errorf("ended after %v", got)
			}
		})
	})
	t.Run("ended by SetUser, begun anew by the empty user", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := &protocols.Server{Limits: limits, Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				buf := make([]byte, 1)
				for _, user := range []string{"anna", ""} {
					if _, err := c.Read(buf); err != nil {
						return err
					}
					if err := c.SetUser(user); err != nil {
						return err
					}
				}
				c.SetIdleTimeout(time.Hour)
				return untilEnd(ctx, c)
			})}
			client, ended := connect(s)
			time.Sleep(40 * time.Second) // fake time
			send(t, client, "x")         // anna
			time.Sleep(40 * time.Second) // fake time: past a minute since the beginning
			send(t, client, "x")         // nobody
			start := time.Now()
			if got, want := all(t, client), protocols.ErrAuthTimeout.Error()+"\n"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			<-ended
			if got := time.Since(start); got != time.Minute {
				t.Errorf("ended %v after the user was gone", got)
			}
		})
	})
}

// How long a command may take to arrive that was begun: while octets come, and no longer.
func TestCommandTimeout(t *testing.T) {
	const second, kib = time.Second, 1 << 10
	limits := &protocols.Limits{CommandTimeout: time.Minute, LiteralTimeout: 2 * time.Minute, IdleTimeout: time.Hour}
	type piece struct {
		after  time.Duration
		octets int
	}
	times := func(n int, p ...piece) []piece { return slices.Repeat(p, n) }
	tests := []struct {
		name string
		says []piece
		want time.Duration // when the connection ends; 0: after all was said, without an error
	}{
		{"silent", nil, 60 * second},
		{"an octet now and then", times(100, piece{29 * second, 1}), 60*second + 2*2*second*60/(64*kib)},
		{"an octet each second", times(100, piece{second, 1}), 60*second + 60*2*second*60/(64*kib)},
		{"64 KiB in time, and again", times(100, piece{50 * second, 32 * kib}), 0},
		{"too slow for long", times(100, piece{10 * second, 3 * kib}), 127500 * time.Millisecond},
		{"what came fast is no credit for later", append(times(100, piece{0, 64 * kib}), times(3, piece{59 * second, 1})...), 60*second + 2*second*60/(64*kib)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &protocols.Server{Limits: limits, Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
					c.SetUser("anna")
					c.SetBusy(true)
					_, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{c}, make([]byte, 32<<10))
					fmt.Fprintln(c, err)
					return err
				})}
				client, ended := connect(s)
				defer client.Close()
				start := time.Now()
				said := make(chan struct{})
				go func() {
					defer close(said)
					for _, p := range tt.says {
						time.Sleep(p.after) // fake time
						if _, err := client.Write(make([]byte, p.octets)); err != nil {
							return
						}
					}
					if tt.want == 0 {
						client.Close()
					}
				}()
				if got := readAll(client); tt.want != 0 && got != protocols.ErrCommandTimeout.Error()+"\n" {
					t.Errorf("got %q, want ErrCommandTimeout", got)
				}
				<-ended
				if d := time.Since(start); tt.want != 0 && d.Round(time.Millisecond) != tt.want.Round(time.Millisecond) {
					t.Errorf("ended after %v, want %v", d, tt.want)
				}
				<-said
				if d := time.Since(start); tt.want == 0 && d < 1000*second {
					t.Errorf("ended after %v, before all was said", d)
				}
			})
		})
	}
}

// The time for a command begins with each.
func TestCommandTimeoutBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &protocols.Server{
			Limits: &protocols.Limits{CommandTimeout: time.Minute, AuthTimeout: -1},
			Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				for range 5 {
					for _, busy := range []bool{false, true} {
						c.SetBusy(busy)
						if _, err := c.Read(make([]byte, 1)); err != nil {
							return err
						}
					}
				}
				c.Write([]byte("all came"))
				return nil
			}),
		}
		client, ended := connect(s)
		for range 5 {
			time.Sleep(20 * time.Minute) // fake time: nothing is begun
			send(t, client, "x")
			time.Sleep(59 * time.Second) // fake time
			send(t, client, "x")
		}
		if got := all(t, client); got != "all came" {
			t.Errorf("got %q", got)
		}
		<-ended
	})
}

// A client that takes an octet now and then does not keep the server writing, whether
// much is written at once or little.
func TestWriteTimeoutTrickle(t *testing.T) {
	for _, size := range []int{1, 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			s := &protocols.Server{
				Limits: &protocols.Limits{WriteTimeout: time.Minute},
				Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
					for {
						if _, err := c.Write(make([]byte, size)); err != nil {
							return err
						}
					}
				}),
			}
			client, ended := connect(s)
			start := time.Now()
			for {
				time.Sleep(59 * time.Second) // fake time
				if _, err := client.Read(make([]byte, 1)); err != nil {
					break
				}
			}
			<-ended
			if d := time.Since(start); d > 2*time.Minute {
				t.Errorf("pieces of %d: ended after %v", size, d)
			}
		})
	}
}

func TestWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var wrote, read, again, cause error
		s := &protocols.Server{
			Limits: &protocols.Limits{WriteTimeout: time.Minute},
			Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				_, wrote = c.Write([]byte("nobody listens"))
				_, read = c.Read(make([]byte, 1))
				_, again = c.Write([]byte("x"))
				cause = context.Cause(ctx)
				return wrote
			}),
		}
		client, ended := connect(s)
		defer client.Close()
		<-ended
		for _, err := range []error{wrote, read, again, cause} {
			if err != protocols.ErrWriteTimeout {
				t.Errorf("got write %v, read %v, write %v, cause %v: want ErrWriteTimeout each", wrote, read, again, cause)
			}
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("ended after %v", got)
		}
	})
}

// A client may be slow, as long as it takes 64 KiB within the timeout: a long
// write is not bound to it as a whole, and an earlier write's deadline does not
// cut a later one.
func TestWriteTimeoutSlowClient(t *testing.T) {
	const size = 10 * 64 << 10
	synctest.Test(t, func(t *testing.T) {
		want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		s := &protocols.Server{
			Limits: &protocols.Limits{WriteTimeout: time.Minute},
			Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				n, err := c.Write(want)
				if n != len(want) {
					t.Errorf("wrote %d of %d bytes", n, len(want))
				}
				return err
			}),
		}
		client, ended := connect(s)
		var got bytes.Buffer
		for got.Len() < size {
			time.Sleep(50 * time.Second) // fake time
			if _, err := io.CopyN(&got, client, 64<<10); err != nil {
				t.Fatal(err)
			}
		}
		<-ended
		if !bytes.Equal(got.Bytes(), want) {
			t.Error("the bytes read are not those written")
		}
	})
}

// One that takes a part of a long write and then no more is cut off.
func TestWriteTimeoutInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &protocols.Server{
			Limits: &protocols.Limits{WriteTimeout: time.Minute},
			Protocol: serveFunc(func(ctx context.Context, c *protocols.Conn) error {
				n, err := c.Write(make([]byte, 1<<20))
				if n != 100<<10 || err != protocols.ErrWriteTimeout {
					t.Errorf("wrote %d bytes, %v", n, err)
				}
				return err
			}),
		}
		client, ended := connect(s)
		defer client.Close()
		if _, err := io.CopyN(io.Discard, client, 100<<10); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-ended
		if got := time.Since(start); got > 2*time.Minute {
			t.Errorf("ended after %v", got)
		}
	})
}
