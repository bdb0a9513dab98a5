package tap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxResponse bounds what is held of a response until it is whole. A transcript takes no
// more of one.
const maxResponse = 32 << 20

// A Recorder writes what passes as a transcript of package prototest: one for all
// connections of one syntax, in the order in which commands and answers came.
//
// What another server, or the same on another day, says otherwise is kept or passed
// over: UIDVALIDITY, change numbers, the ids of mailboxes, messages and threads, the
// unique-ids of POP3, dates of the time of the recording, the version. Where a client
// repeats one of these, the transcript repeats what was kept.
//
// A transcript holds passwords, and mail, as they were sent.
type Recorder struct {
	syntax Syntax
	usual  string
	begun  time.Time

	mu    sync.Mutex
	w     io.Writer
	err   error
	over  bool
	conns []*recorded
	masks masks
}

// NewRecorder returns a recorder that writes to w as it goes. usual is the service that
// connections of a transcript go to; the first lines of a connection to another one say
// so. title is the transcript's first line.
func NewRecorder(w io.Writer, s Syntax, usual, title string) *Recorder {
	r := &Recorder{syntax: s, usual: usual, begun: time.Now(), w: w, masks: newMasks()}
	r.printf("# %s\nrecorded\n", title)
	return r
}

// Open returns the handler of a connection to a service.
func (r *Recorder) Open(service string) Handler {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &recorded{r: r, number: ""}
	r.conns = append(r.conns, c)
	if n := len(r.conns); n > 1 {
		c.number = strconv.Itoa(n)
	}
	if len(r.conns) > maxConns {
		r.fail(fmt.Errorf("more than %d connections", maxConns))
	}
	r.printf("\n")
	if service != r.usual {
		r.printf("C%s: <dial %s>\n", c.number, service)
	}
	return c
}

// maxConns is how many connections a transcript can have.
const maxConns = 9999

// Connections returns how many connections there were.
func (r *Recorder) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// Close ends the transcript; nothing that passes afterwards is in it. It returns why the
// recording is not whole, if it is not.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.end("C", "<close>")
	}
	r.over = true
	return r.err
}

func (r *Recorder) fail(err error) {
	if r.err == nil && !r.over {
		r.err = fmt.Errorf("tap: record: %w", err)
	}
}

// printf writes, unless the recording is over or has failed.
func (r *Recorder) printf(format string, args ...any) {
	if r.over || r.err != nil {
		return
	}
	if _, err := fmt.Fprintf(r.w, format, args...); err != nil {
		r.fail(err)
	}
}

// recorded is a connection that is recorded. The recorder's mutex guards it.
type recorded struct {
	r      *Recorder
	number string // as it stands after C and S
	ended  bool

	command string  // its name, by which unique-ids are known
	held    []piece // of a response that is not whole
	size    int     // of all these
}

// A piece is a line of a response, or a literal between two.
type piece struct {
	data    string
	literal bool
}

func (c *recorded) Command(_ context.Context, cmd Command) Verdict {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if !strings.HasPrefix(cmd.Name, "<") {
		c.command = cmd.Name
	}
	return Verdict{}
}

func (c *recorded) Event(e Event) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if c.ended {
		return
	}
	switch e.Kind {
	case ClientLine:
		c.client(string(e.Data), true)
	case ClientPart, ClientLiteral:
		c.client(string(e.Data), false)
	case ServerLine, ServerPart, ServerLiteral:
		c.server(string(e.Data), e.Kind == ServerLiteral, e.More)
	case StartTLS:
		c.r.printf("C%s: <starttls>\n", c.number)
	case Deflate:
		c.r.printf("C%s: <deflate>\n", c.number)
	case ClientEnd:
		c.end("C", "<close>")
	case ServerEnd:
		c.end("S", "<eof>")
	}
}

func (c *recorded) end(who, how string) {
	if !c.ended {
		c.ended = true
		c.held = nil
		c.r.printf("%s%s: %s\n", who, c.number, how)
	}
}

// client writes what the client has said: lines of a command, or of a literal.
func (c *recorded) client(data string, command bool) {
	for line := range strings.Lines(data) {
		text, whole := strings.CutSuffix(line, "\r\n")
		switch {
		case !plain(text):
			c.r.printf("C%s\": %q\n", c.number, line)
		case !whole:
			c.r.printf("C%s.: %s\n", c.number, escaped(text))
		case command:
			c.r.printf("C%s: %s\n", c.number, c.r.masks.client(text))
		default:
			c.r.printf("C%s: %s\n", c.number, escaped(text))
		}
	}
}

// server holds what the server says until the response is whole, since the lines of one
// stand together in a transcript.
func (c *recorded) server(data string, literal, more bool) {
	if c.size += len(data); c.size > maxResponse {
		c.r.fail(errors.New("a response is longer than a transcript holds"))
		c.held, c.size = nil, 0
		return
	}
	var last *piece
	if n := len(c.held); n > 0 {
		last = &c.held[n-1]
	}
	over := last != nil && !last.literal && strings.HasSuffix(last.data, "\n")
	if over && !literal {
		c.held = append(c.held, piece{literal: true}) // an empty one
	}
	if last != nil && last.literal == literal && !over {
		last.data += data
	} else {
		c.held = append(c.held, piece{data, literal})
	}
	if !more {
		c.write(c.held)
		c.held, c.size = nil, 0
	}
}

// write writes a response.
func (c *recorded) write(held []piece) {
	masked := c.r.masks.response(c.r.syntax, c.command, c.r.begun)
	for _, p := range held {
		switch {
		case p.literal:
			c.literal(p.data)
		case !strings.HasSuffix(p.data, "\r\n"):
			c.r.printf("S%s\": %q\n", c.number, p.data)
		default:
			c.r.printf("S%s: %s\n", c.number, masked(strings.TrimSuffix(p.data, "\r\n")))
		}
	}
}

// literal writes a literal's lines.
func (c *recorded) literal(data string) {
	if data == "" {
		c.r.printf("S%s|\" \"\"\n", c.number)
	}
	for line := range strings.Lines(data) {
		text, whole := strings.CutSuffix(line, "\r\n")
		switch {
		case !plain(text) || strings.HasPrefix(text, "file="):
			c.r.printf("S%s|\" %q\n", c.number, line)
		case whole:
			c.r.printf("S%s| %s\n", c.number, escapedPart(text))
		default:
			c.r.printf("S%s|\" %q\n", c.number, line)
		}
	}
}

// plain reports whether a transcript can show text as it is.
func plain(text string) bool {
	if !utf8.ValidString(text) {
		return false
	}
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// escaped writes text so that nothing in it is a pattern or an action.
func escaped(text string) string {
	text = strings.ReplaceAll(text, "{{", `{{"{{"}}`)
	if strings.HasPrefix(text, "<") && strings.HasSuffix(text, ">") {
		text = `{{"<"}}` + text[1:]
	}
	return text
}
