package pop3_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/prototest"
)

// client is the other end of a connection in memory.
type client struct {
	testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, h *world) *client {
	t.Helper()
	nc, err := h.Dial()
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, nc, bufio.NewReaderSize(nc, 64<<10)}
	c.want("+OK")
	return c
}

func dialIn(t testing.TB, h *world) *client {
	t.Helper()
	c := dial(t, h)
	c.say("USER demo")
	c.want("+OK")
	c.say("PASS demo")
	c.want("+OK")
	return c
}

func (c *client) say(line string) {
	c.Helper()
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		c.Fatal(err)
	}
}

// want reads one line, which must begin so.
func (c *client) want(prefix string) string {
	c.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.Fatalf("%q, %v; want %s", line, err, prefix)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// wantEnd reads what is left, which must be this.
func (c *client) wantEnd(rest string) {
	c.Helper()
	got, err := io.ReadAll(c.r)
	if err != nil || string(got) != rest {
		c.Errorf("at the end: %q, %v; want %q", got, err, rest)
	}
}

func demo(contents ...string) prototest.Fixture {
	user := prototest.User{Name: "demo", Password: "demo"}
	fx := prototest.Fixture{Users: []prototest.User{user}, Options: map[string]string{}}
	for _, content := range contents {
		fx.Messages = append(fx.Messages, prototest.Message{User: user.Name, Mailbox: mailaccess.Inbox, Content: []byte(content)})
	}
	return fx
}

// inBubble runs a test in a synctest bubble, over each kind of store.
func inBubble(t *testing.T, fx prototest.Fixture, test func(t *testing.T, h *world)) {
	for _, s := range stores() {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newWorld(t, fx, s.wrap)
				test(t, h)
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func (h *world) wantCount(t testing.TB, n string) {
	t.Helper()
	if err := h.Do(t, []string{"count", "demo", n}); err != nil {
		t.Error(err)
	}
}

// RFC 1939, section 6: a connection that dies removes nothing, and its lock is
// free at once.
func TestDeadConnection(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		for range 3 {
			c := dialIn(t, h)
			c.say("DELE 1")
			c.want("+OK")
			c.Close()
			synctest.Wait()
		}
		h.wantCount(t, "1")
		dialIn(t, h).Close()
	})
}

// The client goes away while a message is being sent to it, with DELE and QUIT
// sent already: it may not have the message.
func TestDeadWhileReading(t *testing.T) {
	for _, size := range []int{1 << 10, 1 << 20} {
		inBubble(t, demo("A: b\r\n\r\n"+strings.Repeat("all is well\r\n", size/13)), func(t *testing.T, h *world) {
			c := dialIn(t, h)
			c.say("RETR 1\r\nDELE 1\r\nQUIT")
			if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			c.Close()
			synctest.Wait()
			h.wantCount(t, "1")
			dialIn(t, h).Close()
		})
	}
}

// Whoever has begun a line has two minutes to end it, even if an octet comes now and then;
// nothing is removed, and the lock is free.
func TestHalfSentLine(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		for _, part := range []string{"R", "RETR 1", "STAT\r\nRETR 1", "TOP " + strings.Repeat("1", 1000)} {
			c := dialIn(t, h)
			c.say("DELE 1")
			c.want("+OK")
			time.Sleep(10 * time.Minute) // fake time: nothing is begun
			start := time.Now()
			said := make(chan struct{})
			go func() {
				defer close(said)
				_, err := io.WriteString(c, part)
				for err == nil {
					time.Sleep(29 * time.Second)
					_, err = io.WriteString(c, " ")
				}
			}()
			all, _ := io.ReadAll(c.r)
			if !strings.HasSuffix(string(all), "-ERR command not finished in time\r\n") {
				t.Errorf("%q: said %q", part, all)
			}
			if d := time.Since(start).Truncate(time.Second); d != 2*time.Minute {
				t.Errorf("%q: ended after %v", part, d)
			}
			c.Close()
			<-said
			synctest.Wait()
			h.wantCount(t, "1")
		}
	})
}

// RFC 1939, section 3: the autologout timer is at least ten minutes, is reset by
// any command, removes nothing and sends nothing.
func TestIdle(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		c.say("DELE 1")
		c.want("+OK")
		for range 3 {
			<-time.After(10 * time.Minute)
			c.say("NOOP")
			c.want("+OK")
		}
		start := time.Now()
		c.wantEnd("")
		if d := time.Since(start); d < 10*time.Minute || d > time.Hour {
			t.Errorf("closed after %v", d)
		}
		h.wantCount(t, "1")
		dialIn(t, h).Close()
	})
}

// RFC 1939, section 6: the lock is free before the client can read the answer to
// QUIT, so that it may come back at once.
func TestQuitFreesTheLockFirst(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		c.say("QUIT")
		synctest.Wait() // the answer is not read
		dialIn(t, h).Close()
		c.want("+OK")
		c.wantEnd("")
	})
}

func TestNotLoggedInInTime(t *testing.T) {
	inBubble(t, demo(), func(t *testing.T, h *world) {
		c := dial(t, h)
		c.wantEnd("-ERR not logged in in time\r\n")
	})
}

func TestShutdown(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		c.say("DELE 1")
		c.want("+OK")
		synctest.Wait()
		done := make(chan error)
		go func() { done <- h.server.Shutdown(context.Background()) }()
		c.wantEnd("-ERR [SYS/TEMP] server shutting down\r\n")
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.wantCount(t, "1")
	})
}

// Who is not logged in cannot hold up a shutdown in the middle of a login or of
// a handshake.
func TestShutdownDoesNotWaitForStrangers(t *testing.T) {
	fx := demo()
	fx.Options["tls"] = "yes"
	for _, tt := range []struct{ command, answer, end string }{
		{"AUTH PLAIN", "+ ", "-ERR [SYS/TEMP] server shutting down\r\n"},
		{"STLS", "+OK", ""},
	} {
		inBubble(t, fx, func(t *testing.T, h *world) {
			c := dial(t, h)
			c.say(tt.command)
			c.want(tt.answer)
			synctest.Wait()
			begun := time.Now()
			done := make(chan error)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				done <- h.server.Shutdown(ctx)
			}()
			c.wantEnd(tt.end)
			if err := <-done; err != nil || time.Since(begun) != 0 { // fake time
				t.Errorf("%s: shut down after %v: %v", tt.command, time.Since(begun), err)
			}
		})
	}
}

func TestLostLease(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		c.say("DELE 1")
		c.want("+OK")
		if err := h.faults.set("lease", mailaccess.KindNotFound, 0); err != nil {
			t.Fatal(err)
		}
		<-time.After(5 * time.Minute)
		c.say("QUIT")
		c.wantEnd("-ERR [SYS/TEMP] the lock on the maildrop was lost\r\n")
		h.wantCount(t, "1")
	})
}

func TestRefuse(t *testing.T) {
	h := newWorld(t, demo(), nil)
	defer h.Close()
	if got := h.server.Protocol.Refuse("too many connections"); string(got) != "-ERR [SYS/TEMP] too many connections\r\n" {
		t.Errorf("Refuse: %q", got)
	}
}

// A waiting client's answers do not wait for the rest of its next command.
func TestAnswersBeforeTheNextCommandIsWhole(t *testing.T) {
	inBubble(t, demo(), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		if _, err := io.WriteString(c, "NOOP\r\nNOO"); err != nil {
			t.Fatal(err)
		}
		c.want("+OK")
		c.say("P")
		c.want("+OK")
		c.Close()
	})
}

// A content that breaks off ends the connection without anything after it.
func TestBrokenContent(t *testing.T) {
	message := "A: b\r\n\r\n" + strings.Repeat("all is well\r\n", 10_000)
	for _, n := range []int{0, 1, 8, 40_000, len(message) - 2} {
		for _, fault := range []string{"range", "short"} {
			for _, command := range []string{"RETR 1", "TOP 1 100000"} {
				inBubble(t, demo(message), func(t *testing.T, h *world) {
					c := dialIn(t, h)
					if err := h.faults.set(fault, mailaccess.KindUnavailable, n); err != nil {
						t.Fatal(err)
					}
					c.say(command)
					got, err := io.ReadAll(c.r)
					if err != nil || bytes.Contains(got, []byte("\r\n.\r\n")) {
						t.Errorf("%s, %s after %d octets: %d octets, %v, an end among them", command, fault, n, len(got), err)
					}
				})
			}
		}
	}
}

// RFC 2449, section 6.6: a client may send all its commands before it reads.
func TestPipelining(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		const n = 1000
		go io.WriteString(c, strings.Repeat("STAT\r\nDELE 1\r\nRSET\r\n", n)+"QUIT\r\n")
		for range n {
			c.want("+OK 1 11")
			c.want("+OK")
			c.want("+OK")
		}
		c.want("+OK")
		c.wantEnd("")
	})
}

// Commands that make no sense end the connection: when they come in a row, and before the
// login, where nobody has a reason for them, whatever comes between.
func TestBadCommands(t *testing.T) {
	const login = "USER demo\r\nPASS demo\r\n"
	for _, tt := range []struct {
		says string
		ends bool
	}{
		{login + strings.Repeat("SENSE\r\n", 4), true},
		{login + strings.Repeat("SENSE\r\n", 3), false},
		{login + strings.Repeat("SENSE\r\nNOOP\r\n", 10), false},
		{strings.Repeat("SENSE\r\nCAPA\r\n", 4), true},
		{strings.Repeat("SENSE\r\n", 3) + login + strings.Repeat("SENSE\r\n", 3), false},
	} {
		fx := demo("A: b\r\n\r\nc\r\n")
		fx.Options = map[string]string{"bad": "3"}
		inBubble(t, fx, func(t *testing.T, h *world) {
			nc, err := h.Dial()
			if err != nil {
				t.Fatal(err)
			}
			said := make(chan struct{})
			go func() {
				defer close(said)
				_, _ = io.WriteString(nc, tt.says+"QUIT\r\n")
			}()
			all, err := io.ReadAll(nc)
			if err != nil {
				t.Error(err)
			}
			nc.Close()
			<-said
			lines := strings.Split(strings.TrimSuffix(string(all), "\r\n"), "\r\n")
			if last := lines[len(lines)-1]; strings.HasPrefix(last, "-ERR unknown command") != tt.ends {
				t.Errorf("%q: ended with %q, want it to be by the limit: %v", tt.says, last, tt.ends)
			}
		})
	}
}

// What a client gives beyond a thousand commands a second, ten seconds' worth of them
// aside, is done at that pace.
func TestPace(t *testing.T) {
	inBubble(t, demo("A: b\r\n\r\nc\r\n"), func(t *testing.T, h *world) {
		c := dialIn(t, h)
		start := time.Now()
		go func() { _, _ = io.WriteString(c, strings.Repeat("NOOP\r\n", 12_000)+"QUIT\r\n") }()
		for range 12_001 {
			c.want("+OK")
		}
		if d := time.Since(start).Round(100 * time.Millisecond); d != 2*time.Second {
			t.Errorf("12,000 commands took %v, want 2s", d)
		}
		c.Close()
	})
}

// A maildrop takes eight octets for each message, of which a connection may have so many.
func TestMaildropHasALimit(t *testing.T) {
	for most, want := range map[int64]string{24: "+OK", 23: "-ERR [SYS/TEMP] limit exceeded"} {
		inBubble(t, demo("A: 1\r\n\r\n", "A: 2\r\n\r\n", "A: 3\r\n\r\n"), func(t *testing.T, h *world) {
			h.server.Limits.PerConnection = most
			c := dial(t, h)
			c.say("USER demo")
			c.want("+OK")
			c.say("PASS demo")
			c.want(want)
			c.Close()
		})
	}
}
