//go:build linux

package attack

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
)

// channelAttacks are on TLS and on what is compressed.
func channelAttacks() []attack {
	return []attack{
		{name: "TLS handshakes", clients: few(), holds: beforeLogin + overTLS, client: func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := dial(ctx, s.imaps, s.tls)
			if err != nil {
				return err
			}
			c.close()
			done()
			return nil
		}},
		{name: "TLS renegotiation", clients: few(), holds: beforeLogin + overTLS, client: renegotiate},
		{name: "nonsense as TLS", clients: scaled(20), holds: beforeLogin + overTLS, client: func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := dial(ctx, s.imaps, nil)
			if err != nil {
				return err
			}
			defer c.close()
			err = c.say(strings.Repeat("\x16\x03\x01\x40\x00\x01\xff\xff\xff", 8<<10))
			done()
			return err
		}},
		{name: "STARTTLS with commands behind it", clients: few(), holds: beforeLogin + overTLS, client: func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := s.greeted(ctx, false)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.say("a STARTTLS\r\nb LOGIN mallory ", password, "\r\nc SELECT INBOX\r\n"); err != nil {
				return err
			}
			line, err := c.until("a ", "* BYE")
			if err != nil {
				return err
			}
			if !strings.HasPrefix(line, "a OK") {
				done()
				return nil // refused
			}
			secure := tls.Client(c.nc, s.tls)
			if err := secure.HandshakeContext(ctx); err != nil {
				return err
			}
			in := &client{nc: secure, r: bufio.NewReader(secure), w: secure}
			if err := in.say("d SELECT INBOX\r\n"); err != nil {
				return err
			}
			if line, err = in.line(); err != nil {
				return err
			}
			done()
			if !strings.HasPrefix(line, "d BAD") {
				return fmt.Errorf("commands from before the handshake count after it: %q", line)
			}
			return nil
		}},
		{name: "compressed line without end", clients: few(), holds: loggedIn + inflating, client: inflated(repeated{"a NOOP ", "x", scaled(64 << 20), ""})},
		{name: "compressed literal without end", clients: few(), holds: loggedIn + inflating, client: inflated(repeated{"a SEARCH TEXT {4294967295+}\r\n", "\x01", scaled(128 << 20), ""})},
		{name: "compressed commands", clients: few(), holds: loggedIn + inflating, client: inflated(repeated{"", "a NOOP\r\n", scaled(million / 2), ""})},
		{name: "compressed append", clients: few(), holds: loggedIn + inflating, client: inflated(repeated{"a APPEND INBOX {60000000+}\r\n", "0", scaled(60 * million), ""})},
		{name: "compressed nonsense", clients: few(), holds: loggedIn + inflating, client: func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := s.session(ctx, "mallory", false)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.compress(); err != nil {
				return err
			}
			_, err = c.nc.Write([]byte(strings.Repeat("\xff\x00\xaa", 1000)))
			if err == nil {
				_, err = c.until("* BYE")
			}
			done()
			return err
		}},
	}
}

// inflated sends one thing again and again, compressed a thousand to one, and reads what
// comes.
func inflated(what repeated) func(context.Context, *server, int, func()) error {
	bomb := sync.OnceValue(what.deflated)
	return func(ctx context.Context, s *server, _ int, done func()) error {
		c, err := s.session(ctx, "mallory", false)
		if err != nil {
			return err
		}
		defer c.close()
		if err := c.compress(); err != nil {
			return err
		}
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			drain(c.nc)
		}()
		// The server hangs up in the midst of it where it is too much.
		_, err = c.nc.Write(bomb())
		if err == nil {
			// What was sent has been taken when the last of it has.
			err = c.nc.(*net.TCPConn).CloseWrite()
		}
		done()
		// Who came back sooner would have more connections than a user may: the server
		// takes as long for what it has as it takes turns for.
		select {
		case <-heard:
		case <-ctx.Done():
		}
		return err
	}
}
