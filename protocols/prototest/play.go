package prototest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxSkip bounds what S...: passes over.
const maxSkip = 10_000

// player runs one script.
type player struct {
	t      testing.TB // only handed on to the server's own actions
	script *Script
	server Server
	opts   *Options
	bye    []*step

	conns map[int]*conn
	vars  map[string]string
	log   dialogue
}

// RunScript runs a script against a server and returns how it failed, as a
// *Failure, or nil. It closes the connections that it opened, but not the
// server. t is handed to [Deliverer] and [Doer] and used for nothing else.
func RunScript(t testing.TB, s *Script, server Server, opts *Options) error {
	if opts == nil {
		opts = new(Options)
	}
	bye, err := parseLines("bye", opts.Bye)
	if err != nil {
		return err
	}
	p := &player{
		t:      t,
		script: s,
		server: server,
		opts:   opts,
		bye:    bye,
		conns:  make(map[int]*conn),
		vars:   make(map[string]string),
	}
	defer func() {
		for _, c := range p.conns {
			c.close()
		}
	}()
	for _, st := range s.steps {
		if err := p.step(st, st.conn, p.vars); err != nil {
			return p.failure(st.line, err)
		}
	}
	if err := p.end(); err != nil {
		return p.failure(0, err)
	}
	return nil
}

// end says goodbye on every connection and looks for what nobody expected.
func (p *player) end() error {
	if p.script.ignoreRest {
		return nil
	}
	for _, number := range slices.Sorted(maps.Keys(p.conns)) {
		c := p.conns[number]
		if c.over {
			continue
		}
		if err := p.lines("goodbye", p.bye, c); err != nil {
			return err
		}
		if rest := c.in.unread(); len(rest) > 0 {
			return fmt.Errorf("left unread on connection %d: %s", number, show(rest))
		}
		if c.writeErr != nil {
			return fmt.Errorf("send on connection %d: %w", number, c.writeErr)
		}
	}
	return nil
}

// lines runs lines of the options on a connection.
func (p *player) lines(what string, steps []*step, c *conn) error {
	vars := make(map[string]string)
	for _, st := range steps {
		if err := p.step(st, c.number, vars); err != nil {
			var m *mismatch
			if errors.As(err, &m) {
				m.line = 0 // it is not one of the script's
			}
			return fmt.Errorf("%s on connection %d, its line %d: %w", what, c.number, st.line, err)
		}
	}
	return nil
}

// step does one step on the connection of that number.
func (p *player) step(st *step, number int, vars map[string]string) error {
	switch st.kind {
	case stepDeliver:
		d, ok := p.server.(Deliverer)
		if !ok {
			return errors.New("the server of this test cannot deliver")
		}
		p.log.add(0, "", []byte(st.src))
		for _, m := range st.messages {
			if err := d.Deliver(p.t, m); err != nil {
				return fmt.Errorf("deliver to %s: %w", m.Mailbox, err)
			}
		}
		return nil
	case stepDo:
		d, ok := p.server.(Doer)
		if !ok {
			return errors.New("the server of this test has no actions of its own")
		}
		p.log.add(0, "", []byte(st.src))
		args := make([]string, len(st.args))
		for i, arg := range st.args {
			args[i] = string(arg.expand(vars))
		}
		if err := d.Do(p.t, args); err != nil {
			return fmt.Errorf("do %s: %w", args[0], err)
		}
		return nil
	}

	if st.kind == stepDial {
		d, ok := p.server.(Dialer)
		if !ok {
			return errors.New("the server of this test has no services by name")
		}
		return p.open(number, func() (net.Conn, error) { return d.DialService(st.service) })
	}
	c, err := p.conn(number, st.kind)
	if err != nil {
		return err
	}
	switch st.kind {
	case stepSend:
		data := st.data.expand(vars)
		p.log.add(number, "C", data)
		return c.write(data, p.opts.timeout())
	case stepTLS:
		p.log.add(number, "C", []byte("<starttls>\r\n"))
		return c.startTLS(p.opts.timeout())
	case stepDeflate:
		p.log.add(number, "C", []byte("<deflate>\r\n"))
		return c.deflate()
	case stepLogin:
		return p.logIn(c, st.user)
	case stepClose:
		p.log.add(number, "C", []byte("<close>\r\n"))
		c.close()
		return nil
	}
	return p.listen(c, st, vars)
}

// conn returns the connection of that number, which it opens on first use.
func (p *player) conn(number int, first stepKind) (*conn, error) {
	if c := p.conns[number]; c != nil {
		if c.over {
			return nil, fmt.Errorf("connection %d is over", number)
		}
		return c, nil
	}
	if err := p.open(number, p.server.Dial); err != nil {
		return nil, err
	}
	c := p.conns[number]
	// TLS from the first byte on comes before login.
	if p.script.login != nil && first != stepTLS && first != stepLogin {
		return c, p.logIn(c, p.script.login)
	}
	return c, nil
}

// open opens the connection of that number.
func (p *player) open(number int, dial func() (net.Conn, error)) error {
	raw, err := dial()
	if err != nil {
		return fmt.Errorf("open connection %d: %w", number, err)
	}
	p.conns[number] = newConn(number, raw)
	return nil
}

func (p *player) logIn(c *conn, u *User) error {
	if p.opts.Login == nil {
		return errors.New("login: the options of this test do not tell how")
	}
	steps, err := parseLines("login", p.opts.Login(*u))
	if err != nil {
		return err
	}
	return p.lines("login as "+u.Name, steps, c)
}

// listen reads what a step expects.
func (p *player) listen(c *conn, st *step, vars map[string]string) error {
	timer := time.NewTimer(p.opts.timeout())
	defer timer.Stop()
	l := &listener{c: c, deadline: timer.C, literals: p.opts.Literals, forbid: st.forbid, vars: vars, log: &p.log}
	switch st.kind {
	case stepBytes:
		return l.exactly(st.data.expand(vars))
	case stepGroup:
		return l.anyOrder(st.expect)
	case stepSkip:
		return l.skipTo(st.expect[0])
	default:
		return l.next(st.expect[0])
	}
}

// Failure is how a transcript failed. Its text is all that a person needs: the
// line, what was expected, what came, and what was said so far.
type Failure struct {
	File     string
	Line     int // of the script; 0 when it is about the end
	Err      error
	Dialogue string // what was said, the last lines of it
}

func (f *Failure) Error() string {
	where := f.File
	if f.Line > 0 {
		where = fmt.Sprintf("%s:%d", f.File, f.Line)
	} else {
		where += ": at the end"
	}
	return fmt.Sprintf("%s: %v\nwhat was said:\n%s", where, f.Err, f.Dialogue)
}

func (f *Failure) Unwrap() error { return f.Err }

func (p *player) failure(line int, err error) error {
	var m *mismatch
	if errors.As(err, &m) && m.line > 0 && line > 0 {
		line = max(line, m.line)
	}
	for _, number := range slices.Sorted(maps.Keys(p.conns)) {
		c := p.conns[number]
		if rest := c.in.unread(); len(rest) > 0 {
			p.log.add(number, "unread", rest)
		}
		if c.writeErr != nil {
			p.log.add(number, "C", fmt.Appendf(nil, "<not sent: %v>\r\n", c.writeErr))
		}
	}
	return &Failure{File: p.script.File, Line: line, Err: err, Dialogue: p.log.String()}
}

// dialogue remembers the last of what was said.
type dialogue struct {
	entries []string
	dropped int
}

// maxEntries is how many lines a failure shows of what was said before it.
const maxEntries = 80

// add notes what was said, in the form of a script's line; a number of 0 is
// nobody's connection.
func (d *dialogue) add(number int, who string, data []byte) {
	if len(d.entries) == 2*maxEntries {
		d.dropped += maxEntries
		d.entries = append(d.entries[:0], d.entries[maxEntries:]...)
	}
	how := ":"
	switch who {
	case "C":
		var line bool
		if data, line = bytes.CutSuffix(data, []byte("\r\n")); !line {
			how = ".:"
		}
	case "S|":
		who, how = "S", "|"
	case "S+":
		who, how = "S", "+:"
	}
	prefix := who + how + " "
	switch {
	case number == 0:
		prefix = ""
	case number > 1:
		prefix = fmt.Sprintf("%s%d%s ", who, number, how)
	}
	d.entries = append(d.entries, prefix+show(data))
}

func (d *dialogue) String() string {
	var b strings.Builder
	first := max(0, len(d.entries)-maxEntries)
	if n := d.dropped + first; n > 0 {
		fmt.Fprintf(&b, "    (%d before)\n", n)
	}
	for _, e := range d.entries[first:] {
		fmt.Fprintf(&b, "    %s\n", e)
	}
	return b.String()
}

// show writes bytes for people: as they are when they are printable, as a Go
// string when not, and never much of them.
func show(data []byte) string {
	const most = 400
	cut := ""
	if len(data) > most {
		cut = fmt.Sprintf(" ... (%d bytes)", len(data))
		data = data[:most]
	}
	for _, c := range data {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%q%s", data, cut)
		}
	}
	return string(data) + cut
}
