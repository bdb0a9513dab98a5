package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// POP3 is a connection to a POP3 server (RFC 1939), for one goroutine.
type POP3 struct {
	*stream

	// On, if not nil, is called with each line of answers of several lines, without the line end. A
	// line of more than 64 KiB comes in pieces.
	On func(line []byte)
}

// A Listing is what a server said to a command that answers with several lines.
type Listing struct {
	Lines  int
	Octets int64 // of the lines, their ends and what is stuffed included, the last dot not
}

// DialPOP3 connects, and reads the greeting.
func DialPOP3(ctx context.Context, addr string, o *DialOptions) (*POP3, error) {
	s, err := dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	c := &POP3{stream: s}
	if _, err := c.status("connect"); err != nil {
		s.Close()
		return nil, fmt.Errorf("pop3 %s: greeting: %w", addr, err)
	}
	return c, nil
}

// Login logs in with USER and PASS.
func (c *POP3) Login(user, password string) error {
	if _, err := c.Do("USER " + user); err != nil {
		return err
	}
	_, err := c.do("PASS", "PASS "+password)
	return err
}

// Do sends a command, and returns the line that answers it, after +OK.
func (c *POP3) Do(command string) (string, error) { return c.do(command, command) }

func (c *POP3) do(name, command string) (string, error) {
	if err := c.Send(command); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return c.status(name)
}

// Send sends a command whose answer is read later, with Lines (RFC 2449, section 6.6).
func (c *POP3) Send(command string) error {
	c.out = append(append(c.out, command...), "\r\n"...)
	return c.write()
}

func (c *POP3) status(name string) (string, error) {
	line, end, err := c.chunk()
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	case !end:
		return "", fmt.Errorf("%s: a line without end", name)
	case !bytes.HasPrefix(line, []byte("+OK")):
		return "", &RefusedError{name, string(bytes.TrimSpace(line))}
	}
	return string(bytes.TrimSpace(line[3:])), nil
}

// Lines reads an answer of several lines.
func (c *POP3) Lines(name string) (Listing, error) {
	var l Listing
	if _, err := c.status(name); err != nil {
		return l, err
	}
	for fresh := true; ; {
		line, end, err := c.chunk()
		switch {
		case err != nil:
			return l, fmt.Errorf("%s: %w", name, err)
		case fresh && end && string(line) == ".\r\n":
			return l, nil
		}
		l.Octets += int64(len(line))
		if c.On != nil {
			c.On(bytes.TrimRight(line, "\r\n"))
		}
		if end {
			l.Lines++
		}
		fresh = end
	}
}

// List sends a command that answers with several lines, and reads them.
func (c *POP3) List(command string) (Listing, error) {
	if err := c.Send(command); err != nil {
		return Listing{}, fmt.Errorf("%s: %w", command, err)
	}
	return c.Lines(command)
}

// Stat returns the number of messages and their octets.
func (c *POP3) Stat() (messages int, octets int64, err error) {
	line, err := c.Do("STAT")
	if err != nil {
		return 0, 0, err
	}
	f := strings.Fields(line)
	if len(f) < 2 {
		return 0, 0, &RefusedError{"STAT", line}
	}
	messages, err = strconv.Atoi(f[0])
	octets, err2 := strconv.ParseInt(f[1], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return 0, 0, fmt.Errorf("STAT: %w", err)
	}
	return messages, octets, nil
}

// Quit ends the session in order.
func (c *POP3) Quit() error {
	_, err := c.Do("QUIT")
	return errors.Join(err, c.Close())
}
