package pop3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/hashmail/mailaccess/protocols"
)

// state is the state of a session (RFC 1939, section 3), as a bit so that the
// command table can name several.
type state uint8

const (
	authorization state = 1 << iota
	transaction

	anyState = authorization | transaction
	// over comes after QUIT: UPDATE is done within it.
	over = state(0)
)

// idleTimeout is how long a client may be silent: RFC 1939, section 3 asks for
// ten minutes at least.
const idleTimeout = 10*time.Minute + 30*time.Second

// outputBuffer is how much of the answers is kept back before it is written.
// Larger pieces of a message pass it by.
const outputBuffer = 16 << 10

// conn is one client's connection. It belongs to the goroutine of Serve.
type conn struct {
	srv *Server
	nc  *protocols.Conn
	in  lineReader
	w   *bufio.Writer // nil: nothing waits to be written

	state state
	drop  *maildrop // in the TRANSACTION state
	// user is the name that USER gave, if that was the last command.
	user string
	// timestamp is the one of the greeting; empty: APOP is not offered.
	timestamp string

	bad           int // commands that made no sense: in a row, before the login in all
	loginFailures int // credentials that were refused
}

func newConn(s *Server, nc *protocols.Conn) *conn {
	c := &conn{srv: s, nc: nc, state: authorization}
	c.in = lineReader{
		src:        nc,
		pool:       &s.lines,
		limit:      int(min(nc.Limits().MaxLine, maxLine)),
		beforeWait: c.beforeWait,
	}
	return c
}

func (c *conn) close() {
	c.in.release()
	c.releaseWriter()
	if c.drop != nil {
		c.closeDrop()
	}
}

func (c *conn) log() *zap.Logger {
	return c.srv.log.With(zap.Uint64("conn", c.nc.ID()), zap.Stringer("remote", c.nc.RemoteAddr()))
}

// serve is the life of a connection. The session leaves by its return, however
// it comes, without entering the UPDATE state; only QUIT does that.
func (c *conn) serve(ctx context.Context) error {
	c.nc.SetIdleTimeout(idleTimeout)
	c.greet()
	for c.state != over {
		// Answers go out together, when there is nothing more to read.
		line, err := c.in.next()
		if err != nil && c.answerTo(err) == nil {
			return c.ended(err)
		}
		if err == nil {
			if err := c.nc.Pace(c.flush); err != nil {
				return err
			}
			c.nc.SetBusy(true)
			// Many small commands are long work too.
			if err = c.nc.Step(); err == nil {
				err = c.command(ctx, line)
			}
		}
		c.nc.SetBusy(false)
		if err = c.respond(err); err != nil {
			return c.ended(err)
		}
	}
	return c.flush()
}

// beforeWait is called before the client is waited for. When it has begun a line it has
// so long to end it; who is not logged in has little time in any case, and must not be
// able to hold up a shutdown.
func (c *conn) beforeWait() error {
	if c.state == transaction && c.in.begun() {
		c.nc.SetBusy(true)
	}
	return c.flush()
}

// respond answers a command that failed. Its error ends the connection.
func (c *conn) respond(err error) error {
	if err == nil {
		if c.state != authorization {
			c.bad = 0
		}
		return nil
	}
	answer := c.answerTo(err)
	if answer == nil {
		return err
	}
	c.user = ""
	c.err(answer)
	if answer.syntax {
		c.bad++
	}
	if c.bad > c.nc.Limits().BadCommands {
		return errTooManyBad
	}
	if c.loginFailures >= maxLoginFailures {
		return errTooManyLogins
	}
	return nil
}

// ended says a last word where somebody is left to hear it, and returns how the
// conversation ended.
func (c *conn) ended(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, protocols.ErrShutdown):
		c.err(&refusal{code: codeTemp, text: "server shutting down"})
		return c.flush()
	case errors.Is(err, protocols.ErrIdle):
		// RFC 1939, section 3: no response, which the client might take for
		// that to the command it is just sending.
		return err
	case errors.Is(err, protocols.ErrCommandTimeout):
		c.err(&refusal{text: "command not finished in time"})
	case errors.Is(err, protocols.ErrAuthTimeout):
		c.err(&refusal{text: "not logged in in time"})
	case errors.Is(err, errLeaseLost):
		c.err(&refusal{code: codeTemp, text: "the lock on the maildrop was lost"})
	case errors.Is(err, errEndlessLine):
		c.err(&refusal{text: "line too long"})
	case errors.Is(err, errTooManyBad), errors.Is(err, errTooManyLogins):
		// The last command was answered.
	default:
		// What is waiting to be written may be the part of a message.
		c.releaseWriter()
		return err
	}
	return errors.Join(err, c.flush())
}

// out returns where answers are written. Its errors come to light in flush.
func (c *conn) out() *bufio.Writer {
	if c.w == nil {
		c.w = c.srv.writers.Get().(*bufio.Writer)
		c.w.Reset(c.nc)
	}
	return c.w
}

// flush writes what waits, and gives the memory back.
func (c *conn) flush() error {
	if c.w == nil {
		return nil
	}
	err := c.w.Flush()
	c.releaseWriter()
	return err
}

func (c *conn) releaseWriter() {
	if c.w != nil {
		c.w.Reset(nil)
		c.srv.writers.Put(c.w)
		c.w = nil
	}
}

// ok answers +OK (RFC 2449, section 3: text does not begin with a bracket).
func (c *conn) ok(text string) {
	w := c.out()
	w.WriteString("+OK ") //nolint:errcheck // see out
	w.WriteString(text)   //nolint:errcheck
	w.WriteString("\r\n") //nolint:errcheck
}

// okNumbers answers +OK, two numbers and a text, if any.
func (c *conn) okNumbers(a, b int64, text string) {
	w := c.out()
	line := append(c.room(64+len(text)), "+OK "...)
	line = strconv.AppendInt(line, a, 10)
	line = append(line, ' ')
	line = strconv.AppendInt(line, b, 10)
	line = append(line, text...)
	w.Write(append(line, "\r\n"...)) //nolint:errcheck // see out
}

func (c *conn) err(r *refusal) {
	w := c.out()
	w.WriteString("-ERR ") //nolint:errcheck // see out
	if r.code != "" {
		w.WriteByte('[')      //nolint:errcheck
		w.WriteString(r.code) //nolint:errcheck
		w.WriteString("] ")   //nolint:errcheck
	}
	w.WriteString(r.text) //nolint:errcheck
	w.WriteString("\r\n") //nolint:errcheck
}

// room returns an empty slice to append n octets to and then write: memory of the
// writer's own.
func (c *conn) room(n int) []byte {
	w := c.out()
	if w.Available() < n {
		w.Flush() //nolint:errcheck // the error stays with the writer
	}
	return w.AvailableBuffer()
}
