package protocols_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/protocols"
)

// A client that gives commands faster than it may has them all answered, in order, at the
// pace that it may; what it does not use of it counts for ten seconds.
func TestCommandsPerSecond(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rate   int
		before []time.Duration // that the client waits before each 1000 commands
		want   []time.Duration // how long each 1000 take
	}{
		{"no limit", -1, []time.Duration{0, 0}, []time.Duration{0, 0}},
		{"default", 0, make([]time.Duration, 12), append(make([]time.Duration, 10), time.Second, time.Second)},
		{"a burst, then the rate", 100, []time.Duration{0, 0, 0}, []time.Duration{0, 10 * time.Second, 10 * time.Second}},
		{"rest is credit", 100, []time.Duration{0, 5 * time.Second, 5 * time.Second}, []time.Duration{0, 5 * time.Second, 5 * time.Second}},
		{"for ten seconds at most", 100, []time.Duration{0, time.Hour, 0}, []time.Duration{0, 0, 10 * time.Second}},
		{"few", 1, []time.Duration{0}, []time.Duration{990 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &protocols.Server{
					Limits: &protocols.Limits{CommandsPerSecond: tt.rate, AuthTimeout: -1, IdleTimeout: -1, WriteTimeout: -1},
					Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
						w := bufio.NewWriter(c)
						commands := bufio.NewScanner(c)
						for commands.Scan() {
							if err := c.Pace(w.Flush); err != nil {
								return err
							}
							fmt.Fprintln(w, commands.Text())
							if err := w.Flush(); err != nil {
								return err
							}
						}
						return commands.Err()
					}),
				}
				client, ended := connect(s)
				answers := bufio.NewReader(client)
				for i, before := range tt.before {
					time.Sleep(before) // fake time
					start := time.Now()
					go func() {
						for n := range 1000 {
							fmt.Fprintln(client, n)
						}
					}()
					for n := range 1000 {
						if got := line(t, answers); got != fmt.Sprintln(n) {
							t.Fatalf("answer %d is %q", n, got)
						}
					}
					if d := time.Since(start); (d - tt.want[i]).Abs() > 20*time.Millisecond {
						t.Errorf("the thousand %d took %v, want %v", i, d, tt.want[i])
					}
				}
				client.Close()
				<-ended
			})
		})
	}
}

// Whoever waits for its next command to be done has the answers to those before, and is
// not waited for when the server ends.
func TestPaceFlushesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ends error
		s := &protocols.Server{
			Limits: &protocols.Limits{CommandsPerSecond: 1},
			Protocol: serveFunc(func(_ context.Context, c *protocols.Conn) error {
				w := bufio.NewWriter(c)
				for ends == nil {
					ends = c.Pace(w.Flush)
					w.WriteString("x")
				}
				return ends
			}),
		}
		client, ended := connect(s)
		start := time.Now()
		if _, err := io.ReadFull(client, make([]byte, len(strings.Repeat("x", 10)))); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the answers came after %v", d)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-ended
		if d := time.Since(start); d != 0 || ends != protocols.ErrServerClosed {
			t.Errorf("ended after %v with %v", d, ends)
		}
	})
}
