//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/klauspost/compress/flate"
)

// patience is how long a client waits for the server before it gives up. A server that
// makes one wait longer is down.
const patience = 2 * time.Minute

// A client is one end of a conversation with the server. It belongs to one goroutine.
type client struct {
	nc   net.Conn
	r    *bufio.Reader
	w    io.Writer
	end  func() bool // of the context's watch
	tags int
}

// dial connects to a server. When ctx ends the connection is closed.
func dial(ctx context.Context, addr string, conf *tls.Config) (*client, error) {
	var d net.Dialer
	return dialWith(ctx, &d, addr, conf)
}

func dialWith(ctx context.Context, d *net.Dialer, addr string, conf *tls.Config) (*client, error) {
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	if conf != nil {
		secure := tls.Client(nc, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		nc = secure
	}
	return &client{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), w: nc, end: context.AfterFunc(ctx, func() { nc.Close() })}, nil
}

func (c *client) close() {
	c.end()
	c.nc.Close()
}

func (c *client) say(pieces ...string) error {
	all := make(net.Buffers, len(pieces))
	size := 0
	for i, p := range pieces {
		all[i] = unsafe.Slice(unsafe.StringData(p), len(p)) // which nobody writes to
		size += len(p)
	}
	if size < 4096 {
		_, err := io.WriteString(c.w, strings.Join(pieces, ""))
		return err
	}
	_, err := all.WriteTo(c.w)
	return err
}

// line hears a line, without its end. Of a long one it is the beginning.
func (c *client) line() (string, error) {
	line, _, err := c.hear()
	return line, err
}

// hear is line, and the end of a long one.
func (c *client) hear() (begin string, end []byte, err error) {
	end, err = c.r.ReadSlice('\n')
	begin = string(end)
	for errors.Is(err, bufio.ErrBufferFull) {
		end, err = c.r.ReadSlice('\n')
	}
	return strings.TrimRight(begin, "\r\n"), bytes.TrimRight(end, "\r\n"), err
}

// until hears lines until one begins with one of these, and returns it.
func (c *client) until(prefixes ...string) (string, error) {
	for {
		line, err := c.line()
		if err != nil {
			return "", err
		}
		if beginsWith(line, prefixes) {
			return line, nil
		}
	}
}

// answered is until that passes over literals: hundreds of megabytes of short lines would keep the
// processors from the server, and whoever is measured in this process from the processors.
func (c *client) answered(prefixes ...string) (string, error) {
	for {
		line, end, err := c.hear()
		if err != nil {
			return "", err
		}
		if beginsWith(line, prefixes) {
			return line, nil
		}
		if n := literal(end); n > 0 {
			if _, err := c.r.Discard(n); err != nil {
				return "", err
			}
		}
	}
}

// literal is the size of the literal that a line announces at its end.
func literal(end []byte) int {
	size, ok := bytes.CutSuffix(end[bytes.LastIndexByte(end, '{')+1:], []byte("}"))
	n, err := strconv.Atoi(string(size))
	if !ok || err != nil {
		return 0
	}
	return n
}

func beginsWith(line string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
}

// ask says an IMAP command, of which there may be several pieces, and hears all of the
// answer. It returns the tagged line, or that of BYE, without its first word.
func (c *client) ask(command string, more ...string) (string, error) {
	c.tags++
	tag := fmt.Sprintf("t%d ", c.tags)
	// The server may have answered, and hung up, before all was said.
	said := c.say(append(append([]string{tag, command}, more...), "\r\n")...)
	line, err := c.answered(tag, "* BYE")
	if err != nil {
		return "", errors.Join(said, err)
	}
	_, line, _ = strings.Cut(line, " ")
	return line, nil
}

// expect is ask whose answer must begin in one of these ways.
func (c *client) expect(answers []string, command string, more ...string) error {
	got, err := c.ask(command, more...)
	if err != nil {
		return err
	}
	for _, want := range answers {
		if strings.HasPrefix(got, want) {
			return nil
		}
	}
	return fmt.Errorf("%.80q was answered with %.200q", command, got)
}

var ok = []string{"OK"}

// oks says commands that must succeed.
func (c *client) oks(commands ...string) error {
	for _, command := range commands {
		if err := c.expect(ok, command); err != nil {
			return err
		}
	}
	return nil
}

// greeted connects to IMAP and hears the greeting.
func (s *server) greeted(ctx context.Context, secure bool) (*client, error) {
	addr, conf := s.imap, (*tls.Config)(nil)
	if secure {
		addr, conf = s.imaps, s.tls
	}
	c, err := dial(ctx, addr, conf)
	if err != nil {
		return nil, err
	}
	if _, err := c.until("* OK"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// session connects to IMAP, logs in and selects INBOX.
func (s *server) session(ctx context.Context, user string, secure bool) (*client, error) {
	c, err := s.greeted(ctx, secure)
	if err != nil {
		return nil, err
	}
	if err := c.oks("LOGIN "+user+" "+password, "SELECT INBOX"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// compress begins COMPRESS=DEFLATE (RFC 4978).
func (c *client) compress() error {
	if err := c.oks("COMPRESS DEFLATE"); err != nil {
		return err
	}
	w, err := flate.NewWriter(c.nc, flate.BestCompression)
	if err != nil {
		return err
	}
	c.w = flushed{w}
	c.r = bufio.NewReader(flate.NewReader(c.r))
	return nil
}

type flushed struct{ *flate.Writer }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}

// popSession connects to POP3 and logs in.
func (s *server) popSession(ctx context.Context, user string) (*client, error) {
	c, err := dial(ctx, s.pop3, nil)
	if err != nil {
		return nil, err
	}
	_, err = c.until("+OK")
	if err == nil {
		err = c.say("USER " + user + "\r\nPASS " + password + "\r\n")
	}
	for range 2 {
		if err == nil {
			_, err = c.until("+OK")
		}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// hungUp reports whether an error is that of a connection which the server, or the end of
// the attack, has closed: what the server does with who goes too far.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
