package bench

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/hashmail/mailaccess/cmd/mailaccess/internal/bench/wire"
)

// pop3Workloads are those of POP3.
func pop3Workloads() []*workload {
	return []*workload{
		{
			name: "pop3-list", about: "POP3: connect, log in, STAT, UIDL, LIST and QUIT", unit: "session", pop3: true,
			open: func(r *run, _ int) (session, error) {
				return session{do: func() (done, error) {
					c, err := r.loginPOP3(r)
					if err != nil {
						return done{}, err
					}
					if _, err := listMaildrop(r, c); err != nil {
						c.Close()
						return done{}, err
					}
					err = c.Quit()
					return done{1, c.In()}, err
				}}, nil
			},
		},
		{
			name: "pop3-retr", about: "POP3: RETR of one message after the other", unit: "message", pop3: true,
			open: func(r *run, _ int) (session, error) {
				c, err := r.loginPOP3(r)
				if err != nil {
					return session{}, err
				}
				sizes, err := listMaildrop(r, c)
				if err != nil {
					c.Close()
					return session{}, err
				}
				n := 0
				return session{func() (done, error) {
					i := n % len(sizes)
					n++
					l, err := c.List("RETR " + strconv.Itoa(i+1))
					if err == nil { // no line of the corpus begins with a dot
						err = want("RETR: octets", l.Octets, sizes[i])
					}
					return done{1, l.Octets}, err
				}, c.Quit}, nil
			},
		},
	}
}

// listMaildrop asks what a client asks that leaves mail on the server, and returns the sizes of all
// messages.
func listMaildrop(r *run, c *wire.POP3) ([]int64, error) {
	messages, octets, err := c.Stat()
	if err != nil {
		return nil, err
	}
	if err := want("STAT: messages", int64(messages), int64(r.messages())); err != nil {
		return nil, err
	}
	if err := want("STAT: octets", octets, r.expect.octets); err != nil {
		return nil, err
	}
	l, err := c.List("UIDL")
	if err == nil {
		err = want("UIDL: lines", int64(l.Lines), int64(messages))
	}
	if err != nil {
		return nil, err
	}
	sizes := make([]int64, 0, messages)
	var bad error
	c.On = func(line []byte) {
		_, size, _ := bytes.Cut(line, []byte(" "))
		n, err := strconv.ParseInt(string(size), 10, 64)
		if err != nil {
			bad = fmt.Errorf("LIST: %w", err)
		}
		sizes = append(sizes, n)
	}
	_, err = c.List("LIST")
	c.On = nil
	if err == nil {
		err = bad
	}
	if err == nil {
		err = want("LIST: lines", int64(len(sizes)), int64(messages))
	}
	return sizes, err
}
