//go:build linux

package attack

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
)

// floodAttacks are much of what is little: connections, commands, logins.
func floodAttacks() []attack {
	return []attack{
		{name: "connections, one after another", clients: 16, holds: beforeLogin, client: func(ctx context.Context, s *server, i int, done func()) error {
			c, err := dial(ctx, []string{s.imap, s.pop3, s.imaps, s.pop3s}[i%4], nil)
			if err != nil {
				return err
			}
			c.close()
			done()
			return nil
		}},
		// One address may have 256, and the others are told so.
		{name: "connections, many at once", clients: max(600, scaled(1500)), holds: beforeLogin, client: func(ctx context.Context, s *server, i int, done func()) error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/300))}}
			c, err := dialWith(ctx, &d, s.imap, nil)
			if err != nil {
				return err
			}
			defer c.close()
			line, err := c.until("* OK", "* BYE")
			done()
			if err != nil || strings.HasPrefix(line, "* BYE") {
				return err
			}
			<-ctx.Done()
			return nil
		}},
		{name: "commands, many at once", clients: few(), holds: loggedIn, client: commands(sessionOf(false), "a NOOP\r\n", "", scaled(million))},
		{name: "commands, many at once, TLS", clients: few(), holds: loggedIn + overTLS, client: commands(sessionOf(true), "a NOOP\r\n", "", scaled(million/4))},
		{name: "commands without sense", clients: few(), holds: loggedIn, client: commands(sessionOf(false), "a X\r\n", "* BYE", scaled(million))},
		{name: "empty lines", clients: few(), holds: loggedIn, client: commands(sessionOf(false), "\r\n", "* BYE", scaled(million))},
		{name: "commands before the login", clients: scaled(50), holds: beforeLogin, client: commands(func(ctx context.Context, s *server) (*client, error) {
			return s.greeted(ctx, false)
		}, "a CAPABILITY\r\n", "", scaled(million/10))},
		{name: "POP3 commands", clients: 1, holds: loggedIn, client: commands(func(ctx context.Context, s *server) (*client, error) {
			return s.popSession(ctx, "mallory")
		}, "STAT\r\n", "", scaled(million))},
		{name: "wrong passwords, LOGIN", clients: scaled(50), holds: beforeLogin, shared: hashing, client: guess(false, func(i int) string {
			return fmt.Sprintf("a LOGIN slow wrong%d\r\n", i)
		})},
		{name: "wrong passwords, AUTHENTICATE", clients: scaled(50), holds: beforeLogin + overTLS, shared: hashing, client: guess(true, func(i int) string {
			return "a AUTHENTICATE PLAIN " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x00slow\x00wrong%d", i)) + "\r\n"
		})},
		{name: "wrong passwords, POP3", clients: scaled(50), holds: beforeLogin, shared: hashing, client: func(ctx context.Context, s *server, i int, done func()) error {
			c, err := dial(ctx, s.pop3, nil)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.say(fmt.Sprintf("USER slow\r\nPASS wrong%d\r\n", i)); err != nil {
				return err
			}
			_, err = c.until("-ERR")
			done()
			return err
		}},
	}
}

// hashing is what the hashes of passwords take: as many run at the same time as there are
// processors, and of as many the memory, 19 MiB each, is not collected yet.
var hashing = 2 * int64(runtime.NumCPU()) * 19 << 20

// commands says a command many times without waiting, and hears the answers: until the
// server ends it, where it must, or else until the attack is over, since who says so many is
// served at the pace of Limits.CommandsPerSecond.
func commands(connect func(context.Context, *server) (*client, error), command, end string, n int) func(context.Context, *server, int, func()) error {
	all := sync.OnceValue(func() string { return strings.Repeat(command, n) })
	return func(ctx context.Context, s *server, _ int, done func()) error {
		c, err := connect(ctx, s)
		if err != nil {
			return err
		}
		defer c.close()
		go c.say(all()) // who is hung up on hears of it below
		if end != "" {
			_, err := c.until(end)
			done()
			return err
		}
		for heard := 0; ; heard++ {
			if _, err := c.until("a ", "+OK"); err != nil {
				return err
			}
			if heard == 1000 {
				done()
			}
		}
	}
}

// guess tries a password, and another one.
func guess(secure bool, line func(i int) string) func(context.Context, *server, int, func()) error {
	return func(ctx context.Context, s *server, i int, done func()) error {
		addr, conf := s.imap, (*tls.Config)(nil)
		if secure {
			addr, conf = s.imaps, s.tls
		}
		c, err := dial(ctx, addr, conf)
		if err != nil {
			return err
		}
		defer c.close()
		for n := 0; ctx.Err() == nil; n++ {
			if err := c.say(line(i*million + n)); err != nil {
				return err
			}
			answer, err := c.until("a ", "* BYE")
			if err != nil {
				return err
			}
			done()
			if strings.HasPrefix(answer, "a OK") {
				return fmt.Errorf("a wrong password was taken: %q", answer)
			}
		}
		return nil
	}
}
