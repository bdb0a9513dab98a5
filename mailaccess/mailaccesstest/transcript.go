package mailaccesstest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashmail/mailaccess/protocols/tap"
)

// Command is a command that a client has given.
type Command struct {
	// Conn is the number of the connection, from 1 in the order in which they were
	// opened.
	Conn int
	// Service is imap, imaps, pop3 or pop3s.
	Service string
	// Name is what the command is called, in capitals: FETCH, UID FETCH, RETR.
	Name string
	// Line is the command's first line, passwords included.
	Line string
	// Answer is the line that has ended it, in IMAP without its tag: "OK done"; of an
	// answer of several lines in POP3 the first. Empty: there is none yet.
	Answer string

	tag string
}

// maxShown is how much of a literal a transcript shows, and of a line.
const maxShown = 64 << 10

// entry is a line of the transcript.
type entry struct {
	conn int
	text string
}

// A conn is one connection, as its tap sees it.
type conn struct {
	s       *Server
	number  int
	service *service

	// The following are guarded by the server's mutex.

	half   map[byte]*bytes.Buffer // the beginning of a line, by who says it: C or S
	shown  map[byte]int           // how much of what is no line was shown
	asking *Command               // the last one
}

// connected makes the handler of a new connection.
func (s *Server) connected(v *service) tap.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns++
	return &conn{s: s, number: s.conns, service: v, half: map[byte]*bytes.Buffer{'C': {}, 'S': {}}, shown: make(map[byte]int)}
}

// Event writes the transcript.
func (c *conn) Event(e tap.Event) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	switch e.Kind {
	case tap.ClientLine, tap.ClientPart, tap.ClientLiteral:
		c.hear('C', e)
	case tap.ServerLine, tap.ServerPart, tap.ServerLiteral:
		c.answered(e.Data)
		c.hear('S', e)
	case tap.StartTLS:
		c.note('C', "<starttls>")
	case tap.Deflate:
		c.note('C', "<deflate>")
	case tap.ClientEnd:
		c.note('C', "<close>")
	case tap.ServerEnd:
		c.note('S', "<eof>")
	}
	c.s.ringLocked()
}

// hear takes a piece of what was said.
func (c *conn) hear(who byte, e tap.Event) {
	half := c.half[who]
	room := maxShown - c.shown[who]
	data := e.Data
	if e.Kind == tap.ClientLine || e.Kind == tap.ServerLine {
		c.shown[who] = 0
	} else {
		c.shown[who] += len(data)
		if len(data) > room {
			data = data[:max(room, 0)]
			if room >= 0 { // the first that is too much
				data = append(bytes.Clone(data), "...\n"...)
			}
		}
	}
	for line := range bytes.Lines(data) {
		half.Write(line)
		if bytes.HasSuffix(line, []byte("\n")) {
			c.flush(who)
		}
	}
}

// flush ends a line.
func (c *conn) flush(who byte) {
	if half := c.half[who]; half.Len() > 0 {
		how, text := ":", half.String()
		if !strings.HasSuffix(text, "\n") {
			how = ".:" // no end of a line
		}
		c.entry(who, how, strings.TrimRight(text, "\r\n"))
		half.Reset()
	}
}

func (c *conn) note(who byte, text string) {
	c.flush('C')
	c.flush('S')
	c.entry(who, ":", text)
}

func (c *conn) entry(who byte, how, text string) {
	c.s.log = append(c.s.log, entry{c.number, fmt.Sprintf("%c%d%s %s\n", who, c.number, how, text)})
}

// answered looks whether a line of the server, of which this is the beginning, ends the
// command.
func (c *conn) answered(data []byte) {
	cmd := c.asking
	if cmd == nil || cmd.Answer != "" || c.half['S'].Len() > 0 {
		return
	}
	line := strings.TrimRight(string(data), "\r\n")
	switch {
	case c.service.syntax == tap.POP3 && (strings.HasPrefix(line, "+OK") || strings.HasPrefix(line, "-ERR")):
		cmd.Answer = line
	case c.service.syntax == tap.IMAP && cmd.tag != "":
		if text, ok := strings.CutPrefix(line, cmd.tag+" "); ok {
			cmd.Answer = text
		}
	}
}

// Command notes a command, and decides what becomes of it.
func (c *conn) Command(ctx context.Context, cmd tap.Command) tap.Verdict {
	noted := Command{Conn: c.number, Service: c.service.name, Name: cmd.Name, Line: cmd.Line, tag: cmd.Tag}
	c.s.mu.Lock()
	if cmd.Name != Connect && cmd.Name != Handshake {
		c.asking = &noted
		c.s.commands = append(c.s.commands, c.asking)
	}
	fault := c.s.faultLocked(noted)
	c.s.ringLocked()
	c.s.mu.Unlock()
	if fault == nil {
		return tap.Verdict{}
	}
	return fault.carryOut(ctx, cmd.Name)
}

// Commands returns the commands that clients have given, in the order in which they
// came; with names, those of these names, as [Fault].Command has them.
func (s *Server) Commands(names ...string) []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Command
	for _, c := range s.commands {
		if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return called(n, c.Name) }) {
			all = append(all, *c)
		}
	}
	return all
}

// Transcript returns what was said so far on all connections, or on those of these
// numbers: "C2: " begins a line of the client on the second connection, "S2: " one of
// the server, and "C2.: " one that has no end. It shows passwords. Of a literal of more
// than 64 KiB the rest is left out.
func (s *Server) Transcript(conns ...int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, e := range s.log {
		if len(conns) == 0 || slices.Contains(conns, e.conn) {
			b.WriteString(e.text)
		}
	}
	return b.String()
}

// WaitFor returns nil once cond is true. It is asked at once, and whenever a client or
// the server has said something or the mail has changed; it may ask the server. When ctx
// ends first, the error is its cause.
func (s *Server) WaitFor(ctx context.Context, cond func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("mailaccesstest: what is waited for did not happen: %w", context.Cause(ctx))
		}
	}
}

func (s *Server) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ringLocked()
}

func (s *Server) ringLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}
