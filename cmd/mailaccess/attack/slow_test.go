//go:build linux

package attack

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// slowAttacks hold connections as long as they can, for as little as they can: they send an
// octet now and then, or read nothing of what they have asked for.
func slowAttacks() []attack {
	drip := func(connect func(ctx context.Context, s *server) (*client, error), begin, octet string) func(context.Context, *server, int, func()) error {
		return func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := connect(ctx, s)
			if err != nil {
				return err
			}
			defer c.close()
			if err := c.say(begin); err != nil {
				return err
			}
			for done(); ; {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(50 * time.Millisecond):
				}
				if err := c.say(octet); err != nil {
					return err
				}
			}
		}
	}
	plain := func(ctx context.Context, s *server) (*client, error) { return s.greeted(ctx, false) }
	secure := func(ctx context.Context, s *server) (*client, error) { return s.greeted(ctx, true) }
	session := func(ctx context.Context, s *server) (*client, error) { return s.session(ctx, "mallory", false) }
	pop := func(ctx context.Context, s *server) (*client, error) { return dial(ctx, s.pop3, nil) }
	handshake := func(ctx context.Context, s *server) (*client, error) { return dial(ctx, s.imaps, nil) }

	unread := func(session func(context.Context, *server) (*client, error), command string) func(context.Context, *server, int, func()) error {
		return func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := session(ctx, s)
			if err != nil {
				return err
			}
			defer c.close()
			// Until the server takes no more, as it waits for its answers to be read.
			if err := c.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			go func() {
				for c.say(command) == nil {
				}
			}()
			if _, err := c.nc.Read(make([]byte, 1)); err != nil {
				return err
			}
			done()
			<-ctx.Done()
			return nil
		}
	}
	compressed := func(ctx context.Context, s *server) (*client, error) {
		c, err := session(ctx, s)
		if err == nil {
			if err = c.compress(); err != nil {
				c.close()
			}
		}
		return c, err
	}
	deliver := func(ctx context.Context, s *server) error { return s.appendLarge(ctx, 8<<20) }
	return []attack{
		{name: "slow command", clients: scaled(200), holds: beforeLogin, client: drip(plain, "a LOGI", "N")},
		{name: "slow literal", clients: scaled(200), holds: beforeLogin, client: drip(plain, "a LOGIN {4000+}\r\n", "x")},
		{name: "slow command, TLS", clients: scaled(100), holds: beforeLogin + overTLS, client: drip(secure, "a LOGI", "N")},
		{name: "slow POP3 line", clients: scaled(200), holds: beforeLogin, client: drip(pop, "USER ", "x")},
		// A record that announces a ClientHello of 16 KiB.
		{name: "slow TLS handshake", clients: scaled(200), holds: beforeLogin + overTLS, client: drip(handshake, "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", "x")},
		{name: "slow append", clients: scaled(60), holds: loggedIn, client: drip(session, "a APPEND INBOX {100000000+}\r\n", "x")},
		{name: "answers not read", clients: scaled(200), holds: beforeLogin + 64<<10, client: unread(plain, "a CAPABILITY\r\n")},
		{name: "messages not read", clients: scaled(60), holds: loggedIn, prepare: deliver, client: unread(session, "a FETCH 1:* BODY.PEEK[]\r\n")},
		{name: "messages not read, compressed", clients: scaled(60), holds: loggedIn + inflating, prepare: deliver,
			client: unread(compressed, "a FETCH 1:* (BODY.PEEK[] BODY.PEEK[TEXT])\r\n")},
		{name: "POP3 messages not read", clients: 1, holds: loggedIn, prepare: deliver,
			client: unread(func(ctx context.Context, s *server) (*client, error) { return s.popSession(ctx, "mallory") }, "RETR 1\r\nNOOP\r\n")},
	}
}

// appendLarge adds a message of so many octets to mallory's INBOX.
func (s *server) appendLarge(ctx context.Context, size int) error {
	return s.append(ctx, "mallory", "Subject: large\r\n\r\n"+strings.Repeat("something that takes its room, line by line\r\n", size/45))
}

// append adds messages to somebody's INBOX.
func (s *server) append(ctx context.Context, user string, messages ...string) error {
	c, err := s.session(ctx, user, false)
	if err != nil {
		return err
	}
	defer c.close()
	for _, m := range messages {
		if err := c.expect(ok, fmt.Sprintf("APPEND INBOX {%d+}\r\n", len(m)), m); err != nil {
			return err
		}
	}
	return nil
}

// appendMany adds small messages.
func (s *server) appendMany(ctx context.Context, user string, n int) error {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("From: bob@example.org\r\nSubject: message %d\r\n\r\n%s", i, strings.Repeat("Some words that somebody wrote.\r\n", 40)))
	}
	return s.append(ctx, user, all...)
}
