package prototest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Script is a transcript that was read and found to be well formed.
type Script struct {
	File      string // as given to Parse
	Title     string // first comment, without #
	Citations []Citation
	Recorded  bool // it is what a server has said, and proves no section
	Fixture   Fixture

	login      *User // as whom every connection logs in, or nil
	ignoreRest bool
	steps      []*step
}

// step is one thing to do or to expect.
type step struct {
	kind stepKind
	line int
	src  string // as written
	conn int

	data     *pattern       // stepSend, stepBytes
	expect   []*expectation // stepNext (one), stepGroup, stepSkip (one)
	forbid   []*pattern     // with the same: what must not come
	user     *User          // stepLogin
	service  string         // stepDial
	messages []Message      // stepDeliver
	args     []*pattern     // stepDo
}

type stepKind int

const (
	stepSend    stepKind = iota // client sends data
	stepTLS                     // client starts TLS
	stepDeflate                 // client compresses
	stepLogin                   // client logs in as user
	stepClose                   // client closes
	stepDial                    // client opens the connection to a service
	stepNext                    // server says this next
	stepGroup                   // server says these next, in any order
	stepSkip                    // server says this, after anything else
	stepBytes                   // server sends exactly these bytes
	stepDeliver                 // another program delivers
	stepDo                      // an action of the caller
)

// expectation is a line of the server: text, then as often as there are literals
// a literal and text again.
type expectation struct {
	line     int
	src      string
	eof      bool // the end of the connection instead
	texts    []*pattern
	literals [][]chunk
}

// chunk is a piece of a literal.
type chunk struct {
	kind chunkKind
	pt   *pattern
	line int
	src  string
}

type chunkKind int

const (
	chunkLine  chunkKind = iota // a line and its CRLF
	chunkRest                   // all that is left
	chunkBytes                  // exactly these bytes
)

// parser reads one script.
type parser struct {
	script *Script
	files  map[string][]byte // of the archive, with line ends of the wire
	raw    map[string][]byte // of the archive, as they stand

	inBody       bool
	userNamed    bool
	messageCount int
	repeated     int

	vars    map[string]bool    // kept by the lines so far
	opened  map[int]bool       // connections that were used
	closed  map[int]bool       // connections that are over
	forbids map[int][]*pattern // S!: lines that wait for an expectation
	group   *step              // of S~: lines, while it can grow
	after   map[string]bool    // kept by the lines of the group: known after it
	last    *expectation       // to which S| may add
	conn    int                // of last
	literal bool               // S: must say how last goes on
}

// Parse reads a transcript. The name of the file stands in errors, and must agree
// with the citations when it begins with rfc.
func Parse(file string, data []byte) (*Script, error) {
	p := newParser(file)
	archive := txtar.Parse(data)
	for _, f := range archive.Files {
		if p.raw[f.Name] != nil {
			return nil, fmt.Errorf("%s: file %s is there twice", file, f.Name)
		}
		p.raw[f.Name] = append([]byte{}, f.Data...)
		p.files[f.Name] = crlf(f.Data)
	}
	if err := p.lines(string(archive.Comment)); err != nil {
		return nil, err
	}
	if err := p.checkCitations(); err != nil && !p.script.Recorded {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if !p.inBody {
		return nil, fmt.Errorf("%s: nobody says anything (no C: and S: lines)", file)
	}
	return p.script, nil
}

// parseLines reads the lines of Options.Login or Options.Bye.
func parseLines(name, text string) ([]*step, error) {
	p := newParser(name)
	p.inBody = true
	if err := p.lines(text); err != nil {
		return nil, err
	}
	for _, s := range p.script.steps {
		if s.conn != 1 || s.kind == stepLogin {
			return nil, fmt.Errorf("%s:%d: want only lines of the connection C:/S:, and no login", name, s.line)
		}
	}
	return p.script.steps, nil
}

func newParser(file string) *parser {
	files := make(map[string][]byte)
	return &parser{
		script: &Script{File: file, Fixture: Fixture{
			Users:   []User{defaultUser},
			Options: make(map[string]string),
			Files:   files,
		}},
		files:   files,
		raw:     make(map[string][]byte),
		vars:    make(map[string]bool),
		opened:  make(map[int]bool),
		closed:  make(map[int]bool),
		forbids: make(map[int][]*pattern),
		after:   make(map[string]bool),
	}
}

// lines reads a script, line by line.
func (p *parser) lines(text string) error {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if err := p.line(n, strings.TrimSuffix(line, "\r")); err != nil {
			return fmt.Errorf("%s:%d: %w", p.script.File, n, err)
		}
	}
	if p.literal {
		return fmt.Errorf("%s:%d: after S| lines, S: says how the line goes on", p.script.File, p.last.line)
	}
	for conn := range p.forbids {
		return fmt.Errorf("%s: S!: on connection %d comes before nothing that is expected", p.script.File, conn)
	}
	return nil
}

// speech is a line of the conversation: who, connection, how, and the rest.
var speech = regexp.MustCompile(`^([CS])([0-9]{0,4})(\.\.\.:|~:|!:|:|\.:|":|\+:|\|\.|\|"|\|)(.*)$`)

func (p *parser) line(n int, line string) error {
	switch {
	case strings.TrimSpace(line) == "":
		p.endGroup()
		return nil
	case strings.HasPrefix(line, "#"):
		p.comment(strings.TrimSpace(strings.TrimLeft(line, "#")))
		return nil
	}
	m := speech.FindStringSubmatch(line)
	if m == nil {
		return p.directive(n, line)
	}
	text, spaced := strings.CutPrefix(m[4], " ")
	if !spaced && text != "" {
		return fmt.Errorf("want a space after %s", line[:len(line)-len(text)])
	}
	s := &step{line: n, src: line, conn: 1}
	if m[2] != "" {
		s.conn, _ = strconv.Atoi(m[2])
		if s.conn == 0 {
			return fmt.Errorf("connections are numbered from 1")
		}
	}
	if p.closed[s.conn] {
		return fmt.Errorf("connection %d is over; take another number", s.conn)
	}
	p.inBody = true
	first := !p.opened[s.conn]
	p.opened[s.conn] = true
	if m[1] == "C" {
		if err := p.endLine(); err != nil {
			return err
		}
		return p.client(s, m[3], text, first)
	}
	return p.server(s, m[3], text)
}

// directive reads a line that neither side says.
func (p *parser) directive(n int, line string) error {
	if err := p.endLine(); err != nil {
		return err
	}
	words, err := split(line)
	if err != nil {
		return err
	}
	if len(words) == 2 && words[0] == "ignore" && words[1] == "rest" {
		p.script.ignoreRest = true
		return nil
	}
	s := &step{line: n, src: line, conn: 1}
	switch words[0] {
	case "deliver":
		p.inBody = true
		s.kind = stepDeliver
		if s.messages, err = p.messages(words[1:]); err != nil {
			return err
		}
		p.script.steps = append(p.script.steps, s)
		return nil
	case "do":
		if len(words) < 2 {
			return fmt.Errorf("want: do NAME ARG ...")
		}
		p.inBody = true
		s.kind = stepDo
		for _, word := range words[1:] {
			pt, err := p.pattern(word, fromClient)
			if err != nil {
				return err
			}
			s.args = append(s.args, pt)
		}
		p.script.steps = append(p.script.steps, s)
		return nil
	}
	if p.inBody {
		return fmt.Errorf("%q: not a line of a conversation (the header comes before it)", line)
	}
	known, err := p.headerLine(words)
	if !known {
		return fmt.Errorf("%q: not a line of a header", line)
	}
	return err
}

// client reads what the client says.
func (p *parser) client(s *step, how, text string, first bool) (err error) {
	s.kind = stepSend
	switch how {
	case ":":
		if action, ok := strings.CutPrefix(text, "<"); ok && strings.HasSuffix(action, ">") {
			if err = p.action(s, strings.TrimSuffix(action, ">")); err == nil && s.kind == stepDial && !first {
				err = fmt.Errorf("<dial> is the first line of a connection")
			}
			break
		}
		if s.data, err = p.pattern(text, fromClient); err == nil {
			s.data.text("\r\n")
		}
	case ".:":
		s.data, err = p.pattern(text, fromClient)
	case `":`, "+:":
		s.data, err = p.bytes(how, text)
	default:
		err = fmt.Errorf("C%s is not a form of the client's lines", how)
	}
	if err != nil {
		return err
	}
	p.script.steps = append(p.script.steps, s)
	return nil
}

// action reads what stands in C: <...>.
func (p *parser) action(s *step, text string) (err error) {
	name, arg, _ := strings.Cut(text, " ")
	switch {
	case text == "starttls":
		s.kind = stepTLS
	case text == "deflate":
		s.kind = stepDeflate
	case text == "close":
		s.kind = stepClose
		p.closed[s.conn] = true
	case name == "dial" && arg != "":
		s.kind, s.service = stepDial, arg
	case name == "login":
		s.kind = stepLogin
		s.user, err = p.loginUser(strings.Fields(arg))
	default:
		return fmt.Errorf(`<%s> is not known; a line that is this is written C: {{"<"}}...`, text)
	}
	return err
}

// server reads what the server must say.
func (p *parser) server(s *step, how, text string) error {
	if strings.HasPrefix(how, "|") {
		return p.literalLine(s, how, text)
	}
	if p.literal && s.conn == p.conn && how == ":" {
		pt, err := p.pattern(text, fromServer)
		if err != nil {
			return err
		}
		p.last.texts = append(p.last.texts, pt)
		p.literal = false
		return p.keep(pt, p.group != nil)
	}
	if how != "~:" || p.group == nil || p.group.conn != s.conn || p.literal {
		if err := p.endLine(); err != nil {
			return err
		}
	}

	switch how {
	case "!:":
		pt, err := p.pattern(text, forbidden)
		if err != nil {
			return err
		}
		p.forbids[s.conn] = append(p.forbids[s.conn], pt)
		return nil
	case `":`, "+:":
		if p.forbids[s.conn] != nil {
			return fmt.Errorf("after S!: comes S:, S~: or S...:")
		}
		pt, err := p.bytes(how, text)
		if err != nil {
			return err
		}
		s.kind, s.data = stepBytes, pt
		p.script.steps = append(p.script.steps, s)
		return nil
	case ":":
		s.kind = stepNext
	case "...:":
		s.kind = stepSkip
	case "~:":
		s.kind = stepGroup
	default:
		return fmt.Errorf("S%s is not a form of the server's lines", how)
	}

	e := &expectation{line: s.line, src: s.src}
	if text == "<eof>" && s.kind != stepGroup {
		e.eof = true
		p.closed[s.conn] = true
	} else {
		pt, err := p.pattern(text, fromServer)
		if err != nil {
			return err
		}
		e.texts = []*pattern{pt}
		if err := p.keep(pt, s.kind == stepGroup); err != nil {
			return err
		}
		p.last, p.conn = e, s.conn
	}
	if s.kind == stepGroup && p.group != nil {
		p.group.expect = append(p.group.expect, e)
		return nil
	}
	s.expect = []*expectation{e}
	s.forbid = p.forbids[s.conn]
	delete(p.forbids, s.conn)
	if s.kind == stepGroup {
		p.group = s
	}
	p.script.steps = append(p.script.steps, s)
	return nil
}

// literalLine reads a line of the content of a literal.
func (p *parser) literalLine(s *step, how, text string) error {
	if p.last == nil || p.conn != s.conn {
		return fmt.Errorf("S| comes after the S: line that announces the literal")
	}
	c := chunk{kind: chunkLine, line: s.line, src: s.src}
	var err error
	switch {
	case how == `|"`:
		c.kind = chunkBytes
		c.pt, err = p.bytes(`":`, text)
	case how == "|" && strings.HasPrefix(text, "file="):
		c.kind = chunkBytes
		c.pt, err = p.bytes("+:", text)
	case how == "|.":
		c.kind = chunkRest
		fallthrough
	default:
		if c.pt, err = p.pattern(text, fromServer); err == nil {
			err = p.keep(c.pt, p.group != nil)
		}
	}
	if err != nil {
		return err
	}
	if !p.literal {
		p.last.literals = append(p.last.literals, nil)
		p.literal = true
	}
	n := len(p.last.literals) - 1
	if chunks := p.last.literals[n]; len(chunks) > 0 && chunks[len(chunks)-1].kind == chunkRest {
		return fmt.Errorf("S|. is the last of a literal")
	}
	p.last.literals[n] = append(p.last.literals[n], c)
	return nil
}

// keep notes what a line keeps: the lines after it may use it, those after the
// group when it belongs to one.
func (p *parser) keep(pt *pattern, inGroup bool) error {
	for _, name := range pt.names() {
		if !inGroup {
			p.vars[name] = true
		} else if p.after[name] {
			return fmt.Errorf("{{%s=...}}: the name is taken", name)
		} else {
			p.after[name] = true
		}
	}
	return nil
}

// endGroup makes the next S~: line the first of another group.
func (p *parser) endGroup() {
	if p.literal {
		return // an empty line within a response changes nothing
	}
	for name := range p.after {
		p.vars[name] = true
	}
	clear(p.after)
	p.group = nil
}

// endLine checks that the response before is complete.
func (p *parser) endLine() error {
	if p.literal {
		return fmt.Errorf("after S| lines, S: says how the line goes on")
	}
	p.endGroup()
	p.last = nil
	return nil
}

// bytes reads the text of C":, S":, C+: and S+:.
func (p *parser) bytes(how, text string) (*pattern, error) {
	if how == `":` {
		text = strings.TrimSpace(text)
		s, err := strconv.Unquote(text)
		if err != nil || text[0] != '"' {
			return nil, fmt.Errorf("%s is not a Go string", text)
		}
		return textPattern(s), nil
	}
	words, err := split(text)
	if err != nil {
		return nil, err
	}
	ref, ok := "", len(words) == 1 || len(words) == 2 && words[1] == "dotted"
	if ok {
		ref, ok = strings.CutPrefix(words[0], "file=")
	}
	if !ok {
		return nil, fmt.Errorf("want: file=FILE [dotted]")
	}
	data, err := p.fileRef(ref)
	if err != nil {
		return nil, err
	}
	if len(words) == 2 {
		data = dotted(data)
	}
	return textPattern(string(data)), nil
}
