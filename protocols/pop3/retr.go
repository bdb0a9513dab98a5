package pop3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/hashmail/mailaccess/mailaccess"
)

// retr is RFC 1939, section 5. The message goes from the store to the client as
// it comes, no copy of it is kept.
func retr(ctx context.Context, c *conn, rq *request) error {
	content, err := c.open(ctx, rq.msg)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // it was only read
	size := content.Size()
	b := strconv.AppendInt(append(c.room(64), "+OK "...), size, 10)
	out := c.out()
	out.Write(append(b, " octets\r\n"...)) //nolint:errcheck // see out
	lines := dotWriter{w: out, step: c.nc.Step}
	_, err = content.WriteRange(&lines, 0, size)
	if err == nil && lines.n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		// The answer began as +OK: whatever ended it now would be taken for
		// the message.
		return &hangUp{"message broken off", err}
	}
	if err := lines.finish(); err != nil {
		return err
	}
	c.drop.delivered(rq.msg)
	return nil
}

// top is RFC 1939, section 7.
func top(ctx context.Context, c *conn, rq *request) error {
	content, err := c.open(ctx, rq.msg)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // it was only read
	c.ok("top of message follows")
	lines := dotWriter{w: c.out(), step: c.nc.Step}
	head := topWriter{w: &lines, lines: rq.lines}
	_, err = content.WriteRange(&head, 0, content.Size())
	switch {
	case head.err != nil:
		return &hangUp{"message broken off", head.err}
	case head.done: // and err says so
	case err != nil:
		return &hangUp{"message broken off", err}
	case lines.n != content.Size():
		return &hangUp{"message broken off", io.ErrUnexpectedEOF}
	}
	if err := lines.finish(); err != nil {
		return err
	}
	if rq.lines >= allLines {
		c.drop.delivered(rq.msg)
	}
	return nil
}

// allLines is a number of lines with which fetchmail asks for whole messages, since
// TOP marks nothing on servers that would for RETR.
const allLines = 99_999_999

// open opens the content of a message that a command names.
func (c *conn) open(ctx context.Context, n int) (mailaccess.Content, error) {
	if err := c.drop.check(n); err != nil {
		return nil, err
	}
	return c.drop.content(ctx, n)
}

// errTopDone stops the reading of a message of which no more is wanted.
var errTopDone = errors.New("pop3: enough lines")

// topWriter passes on the header, the empty line after it, and as many lines of
// the body as are wanted.
type topWriter struct {
	w     io.Writer
	lines int64 // of the body, still wanted
	err   error // of w
	done  bool

	body bool
	// begun is what the present line of the header has so far: nothing, a CR,
	// or something else.
	begun lineBegun
}

type lineBegun uint8

const (
	begunNot lineBegun = iota
	begunCR
	begunText
)

// Write takes a piece of the message. It fails with errTopDone when the rest is
// not wanted.
func (t *topWriter) Write(p []byte) (int, error) {
	if t.done {
		return 0, errTopDone
	}
	wanted := t.scan(p)
	n, err := t.w.Write(p[:wanted])
	if err != nil {
		t.err = err
		return n, err
	}
	if t.done {
		return n, errTopDone
	}
	return n, nil
}

// scan returns how much of p is wanted, and sets done when that is all.
func (t *topWriter) scan(p []byte) int {
	at := 0
	for {
		if t.body && t.lines == 0 {
			t.done = true
			return at
		}
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			t.begin(p[at:])
			return len(p)
		}
		t.begin(p[at : at+i])
		at += i + 1
		if t.body {
			t.lines--
		} else if t.begun != begunText {
			t.body = true // the line was empty
		}
		t.begun = begunNot
	}
}

// begin notes what was added to the present line.
func (t *topWriter) begin(p []byte) {
	switch {
	case t.body || len(p) == 0:
	case t.begun == begunNot && len(p) == 1 && p[0] == '\r':
		t.begun = begunCR
	default:
		t.begun = begunText
	}
}
