package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// IMAP is a connection to an IMAP server (RFC 9051, RFC 3501), for one goroutine, or one that sends
// and one that waits.
type IMAP struct {
	*stream
	caps map[string]bool
	tag  int

	// On, if not nil, is called with each untagged line, its literals left out, without the line
	// end. A line of more than 64 KiB comes in pieces.
	On func(line []byte)
}

// An Answer is what a server said to a command: how many of each.
type Answer struct {
	Text     string // of the tagged line, after the tag
	Fetches  int    // FETCH responses
	Expunges int    // EXPUNGE responses
	Vanished int    // VANISHED responses
	Numbers  int    // numbers in SEARCH, SORT and THREAD responses
	Exists   int    // of the last EXISTS response; -1: none
	Literals int64  // octets in literals
	Octets   int64  // all octets
}

// DialOptions are for [DialIMAP] and [DialPOP3]; nil means the defaults.
type DialOptions struct {
	TLS    *tls.Config // nil: none
	Buffer int         // octets to read at once; default 64 KiB
	From   net.IP      // address to connect from; nil: the system's choice
}

func dial(ctx context.Context, addr string, o *DialOptions) (*stream, error) {
	var d DialOptions
	if o != nil {
		d = *o
	}
	if d.Buffer == 0 {
		d.Buffer = 64 << 10
	}
	var dialer net.Dialer
	if d.From != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: d.From}
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if d.TLS != nil {
		config := d.TLS.Clone()
		if config.ServerName == "" {
			if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				conn.Close()
				return nil, err
			}
		}
		t := tls.Client(conn, config)
		if err := t.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = t
	}
	return newStream(conn, d.Buffer), nil
}

// DialIMAP connects, and reads the greeting.
func DialIMAP(ctx context.Context, addr string, o *DialOptions) (*IMAP, error) {
	s, err := dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	c := &IMAP{stream: s}
	line, _, err := c.chunk()
	if err == nil && !bytes.HasPrefix(line, []byte("* OK")) {
		err = &RefusedError{"connect", string(bytes.TrimSpace(line))}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("imap %s: greeting: %w", addr, err)
	}
	c.readCapabilities(line)
	return c, nil
}

// Login logs in, and learns what the server can do.
func (c *IMAP) Login(user, password string) error {
	on := c.On
	c.On = c.readCapabilities
	defer func() { c.On = on }()
	c.caps = nil
	a, err := c.do("LOGIN", "LOGIN "+quote(user)+" "+quote(password))
	if err != nil {
		return err
	}
	c.readCapabilities([]byte(a.Text))
	if c.caps == nil {
		_, err = c.Do("CAPABILITY")
	}
	return err
}

// readCapabilities takes the capabilities out of a line that has them, as a response or as a code.
func (c *IMAP) readCapabilities(line []byte) {
	_, list, ok := strings.Cut(string(line), "CAPABILITY ")
	if !ok {
		return
	}
	list, _, _ = strings.Cut(list, "]")
	c.caps = make(map[string]bool)
	for _, name := range strings.Fields(list) {
		c.caps[strings.ToUpper(name)] = true
	}
}

// Has says whether the server has all of the capabilities. Those that are alternatives are separated by |.
func (c *IMAP) Has(needs ...string) bool {
	for _, need := range needs {
		any := false
		for _, name := range strings.Split(need, "|") {
			any = any || c.caps[name]
		}
		if !any {
			return false
		}
	}
	return true
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Do sends a command and reads up to its end. It fails unless the server says OK.
func (c *IMAP) Do(command string) (Answer, error) { return c.do(command, command) }

func (c *IMAP) do(name, command string) (Answer, error) {
	tag, err := c.Send(command)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", name, err)
	}
	return c.wait(name, tag)
}

// Send sends a command, and returns its tag for Wait.
func (c *IMAP) Send(command string) (tag int, err error) {
	c.begin()
	c.out = append(c.out, command...)
	return c.tag, c.end()
}

func (c *IMAP) begin() {
	c.tag++
	c.out = append(c.out, 'a')
	c.out = strconv.AppendInt(c.out, int64(c.tag), 10)
	c.out = append(c.out, ' ')
}

func (c *IMAP) end() error {
	c.out = append(c.out, "\r\n"...)
	return c.write()
}

// Tag returns the tag of the last command that was sent. Each is one more than that before it.
func (c *IMAP) Tag() int { return c.tag }

// Wait reads up to the end of the command with that tag. Commands end in the order in which they
// were sent.
func (c *IMAP) Wait(tag int) (Answer, error) { return c.wait("a"+strconv.Itoa(tag), tag) }

func (c *IMAP) wait(name string, tag int) (a Answer, err error) {
	a.Exists = -1
	before := c.in
	for err == nil {
		var kind byte
		if kind, err = c.response(&a); kind == 'a' {
			break
		}
		if kind == '+' {
			err = errors.New("the server asks for more of the command")
		}
	}
	a.Octets = c.in - before
	if err != nil {
		return a, fmt.Errorf("%s: %w", name, err)
	}
	got, text, _ := strings.Cut(a.Text, " ")
	a.Text = text
	if got != "a"+strconv.Itoa(tag) {
		return a, fmt.Errorf("%s: the server ends %q instead of a%d", name, got, tag)
	}
	if !strings.HasPrefix(text, "OK") {
		return a, &RefusedError{name, text}
	}
	return a, nil
}

// response reads one response and adds it to a. kind is '*', '+', or 'a' for the end of a command,
// whose line is then the answer's text.
func (c *IMAP) response(a *Answer) (kind byte, err error) {
	piece, end, err := c.chunk()
	if err != nil {
		return 0, err
	}
	kind = piece[0]
	if kind == 'a' {
		if !end {
			return 0, errors.New("a line without end")
		}
		a.Text = string(bytes.TrimRight(piece, "\r\n"))
		return kind, nil
	}
	if kind != '*' {
		return kind, nil
	}
	count := numbers{on: a.untagged(piece)}
	for {
		count.add(piece)
		if c.On != nil {
			c.On(bytes.TrimRight(piece, "\r\n"))
		}
		size := int64(-1)
		if end {
			if len(piece) < 24 && len(c.tail) > 0 { // it may begin in the piece before
				c.tail = append(c.tail, piece...)
				size = literal(c.tail)
			} else {
				size = literal(piece)
			}
			c.tail = c.tail[:0]
			if size < 0 {
				break
			}
			a.Literals += size
			if err := c.skip(size); err != nil {
				return 0, err
			}
		} else {
			c.tail = append(c.tail[:0], piece[len(piece)-24:]...)
		}
		if piece, end, err = c.chunk(); err != nil {
			return 0, err
		}
	}
	a.Numbers += count.n
	return kind, nil
}

// untagged counts a response by how it begins, and says whether its numbers count.
func (a *Answer) untagged(line []byte) bool {
	i, n := 2, 0
	for ; i < len(line) && line[i] >= '0' && line[i] <= '9'; i++ {
		n = n*10 + int(line[i]-'0')
	}
	if i == 2 {
		rest := line[min(2, len(line)):]
		if bytes.HasPrefix(rest, []byte("VANISHED")) {
			a.Vanished++
		}
		return bytes.HasPrefix(rest, []byte("SEARCH")) || bytes.HasPrefix(rest, []byte("SORT")) || bytes.HasPrefix(rest, []byte("THREAD"))
	}
	switch rest := line[min(i+1, len(line)):]; {
	case bytes.HasPrefix(rest, []byte("FETCH")):
		a.Fetches++
	case bytes.HasPrefix(rest, []byte("EXISTS")):
		a.Exists = n
	case bytes.HasPrefix(rest, []byte("EXPUNGE")):
		a.Expunges++
	}
	return false
}

// numbers counts numbers in a line that comes in pieces.
type numbers struct {
	on     bool
	n      int
	inside bool
}

func (c *numbers) add(piece []byte) {
	if !c.on {
		return
	}
	for _, o := range piece {
		digit := o >= '0' && o <= '9'
		if digit && !c.inside {
			c.n++
		}
		c.inside = digit
	}
}

// An Append is a message for [IMAP.Append].
type Append struct {
	Options string // flags and date, as they stand in the command, or nothing
	Message []byte
}

// Append adds messages to a mailbox in one command: more than one takes MULTIAPPEND (RFC 3502).
func (c *IMAP) Append(mailbox string, messages ...Append) (Answer, error) {
	tag, err := c.SendAppend(mailbox, messages...)
	if err != nil {
		return Answer{}, fmt.Errorf("APPEND: %w", err)
	}
	return c.wait("APPEND", tag)
}

// SendAppend sends the command without reading its answer, as long as the server need not be asked
// for permission (LITERAL+, RFC 7888).
func (c *IMAP) SendAppend(mailbox string, messages ...Append) (tag int, err error) {
	c.begin()
	c.out = append(c.out, "APPEND "...)
	c.out = append(c.out, quote(mailbox)...)
	for _, m := range messages {
		c.out = append(c.out, ' ')
		if m.Options != "" {
			c.out = append(append(c.out, m.Options...), ' ')
		}
		c.out = append(c.out, '{')
		c.out = strconv.AppendInt(c.out, int64(len(m.Message)), 10)
		if c.Has("LITERAL+") || len(m.Message) <= 4096 && c.Has("LITERAL-") {
			c.out = append(c.out, "+}\r\n"...)
		} else {
			c.out = append(c.out, "}\r\n"...)
			if err := c.permission("literal"); err != nil {
				return c.tag, err
			}
		}
		c.out = append(c.out, m.Message...)
		if len(c.out) > 1<<20 {
			if err := c.write(); err != nil {
				return c.tag, err
			}
		}
	}
	return c.tag, c.end()
}

// permission sends what there is of a command, and waits until the server wants more (RFC 9051, section 7.6).
func (c *IMAP) permission(name string) error {
	if err := c.write(); err != nil {
		return err
	}
	for {
		var a Answer
		switch kind, err := c.response(&a); {
		case err != nil:
			return err
		case kind == '+':
			return nil
		case kind == 'a':
			return &RefusedError{name, a.Text}
		}
	}
}

// Idle begins to wait for changes (RFC 9051, section 6.3.13).
func (c *IMAP) Idle() error {
	c.begin()
	c.out = append(c.out, "IDLE\r\n"...)
	return c.permission("IDLE")
}

// Next waits for the next untagged response, in IDLE.
func (c *IMAP) Next() (Answer, error) {
	a := Answer{Exists: -1}
	kind, err := c.response(&a)
	if err == nil && kind != '*' {
		err = &RefusedError{"IDLE", a.Text}
	}
	return a, err
}

// Done ends IDLE.
func (c *IMAP) Done() (Answer, error) {
	c.out = append(c.out, "DONE\r\n"...)
	if err := c.write(); err != nil {
		return Answer{}, err
	}
	return c.wait("IDLE", c.tag)
}

// Logout ends the session in order.
func (c *IMAP) Logout() error {
	_, err := c.Do("LOGOUT")
	return errors.Join(err, c.Close())
}
