package imap_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// known is a message as a client knows it. What it was not told yet is zero.
type known struct {
	uid    uint32
	flags  string // sorted, without \Recent; unknown until hasFlags
	modSeq uint64

	hasFlags bool
}

// modelClient is a client that keeps what it is told of a mailbox, and nothing else.
// It fails when it is told what cannot be, or what may not be told at that point.
type modelClient struct {
	t    *rapid.T
	name string
	conn net.Conn
	r    *bufio.Reader
	log  []string // what was said last

	caps                              map[string]bool
	condstore, qresync, uidonly, rev2 bool

	uidValidity uint32
	// msgs are the messages in the order of their numbers. With UIDONLY they are those
	// whose UID was told, ascending, and hidden counts the others.
	msgs   []known
	hidden int
	// highest is the mod-sequence up to which the client was told everything
	// (RFC 7162, section 6).
	highest uint64

	// Of the present command:
	command  string
	inFetch  uint64 // the highest MODSEQ in FETCH responses
	code     string // the last HIGHESTMODSEQ response code
	found    []uint32
	answered bool // a SEARCH or ESEARCH response came
	early    []uint32
	touched  map[uint32]bool // UIDs with a FETCH response
	flagged  map[uint32]bool // those with FLAGS in it
	onFound  func()          // called before a result is taken in
	idling   string          // the tag, while idling
	saved    []uint32        // the result that was saved, after a 0
	n        int             // of commands
}

// word is an atom, a number or a string in a response; list a parenthesized list.
type (
	word string
	list []any
)

func (c *modelClient) failf(format string, a ...any) {
	c.t.Helper()
	from := max(0, len(c.log)-60)
	c.t.Fatalf("%s: %s\n%s", c.name, fmt.Sprintf(format, a...), strings.Join(c.log[from:], ""))
}

// send writes in a goroutine of its own: the server may have something to say first.
func (c *modelClient) send(s string) {
	c.log = append(c.log, c.name+" C: "+s)
	go io.WriteString(c.conn, s) //nolint:errcheck // the reader finds out
}

// begin sends a command and returns its tag.
func (c *modelClient) begin(command string) string {
	tag := c.tag()
	c.expect(command)
	c.send(tag + " " + command + "\r\n")
	return tag
}

func (c *modelClient) tag() string {
	c.n++
	return fmt.Sprintf("%s%d", c.name, c.n)
}

// expect makes room for what a command brings.
func (c *modelClient) expect(command string) {
	c.command, c.inFetch, c.code, c.found, c.answered, c.early = command, 0, "", nil, false, nil
	c.touched, c.flagged = make(map[uint32]bool), make(map[uint32]bool)
}

// doAll says commands without waiting for the answers in between.
func (c *modelClient) doAll(commands []string) {
	c.t.Helper()
	var all string
	tags := make([]string, len(commands))
	for i, command := range commands {
		tags[i] = c.tag()
		all += tags[i] + " " + command + "\r\n"
	}
	c.send(all)
	for i, tag := range tags {
		c.expect(commands[i])
		c.finish(tag)
	}
}

// idle begins to idle (RFC 2177); what is told meanwhile is read by wake.
func (c *modelClient) idle() {
	c.t.Helper()
	tag := c.begin("IDLE")
	for line := ""; !strings.HasPrefix(line, "+"); {
		if line = c.response(); strings.HasPrefix(line, "*") {
			c.untagged(line)
		}
	}
	c.idling = tag
}

func (c *modelClient) wake() {
	c.t.Helper()
	if c.idling == "" {
		return
	}
	c.send("DONE\r\n")
	tag := c.idling
	c.idling = ""
	c.finish(tag)
}

// do says a command and takes in what comes up to its answer, which it returns
// without the tag.
func (c *modelClient) do(command string) string {
	c.t.Helper()
	return c.finish(c.begin(command))
}

func (c *modelClient) finish(tag string) string {
	c.t.Helper()
	for {
		line := c.response()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			c.noteCode(rest)
			c.settle()
			return rest
		}
		c.untagged(line)
	}
}

// ok is do, for a command that must succeed.
func (c *modelClient) ok(command string) string {
	c.t.Helper()
	answer := c.do(command)
	if !strings.HasPrefix(answer, "OK") {
		c.failf("%s was answered %s", command, answer)
	}
	return answer
}

// response reads a response with its literals, which stay in it as they are.
func (c *modelClient) response() string {
	c.t.Helper()
	var whole strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.failf("reading: %v", err)
		}
		whole.WriteString(line)
		n, ok := literalSize(line)
		if !ok {
			c.log = append(c.log, c.name+" S: "+whole.String())
			return whole.String()
		}
		if _, err := io.CopyN(&whole, c.r, n); err != nil {
			c.failf("reading a literal: %v", err)
		}
	}
}

func literalSize(line string) (int64, bool) {
	open := strings.LastIndexByte(line, '{')
	if !strings.HasSuffix(line, "}\r\n") || open < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(line[open+1:len(line)-3], 10, 64)
	return n, err == nil
}

// settle is RFC 7162, section 6: whenever a tagged response comes, HIGHESTMODSEQ is
// what the server said, or else the highest of what it told.
func (c *modelClient) settle() {
	c.t.Helper()
	if c.code != "" {
		n, err := strconv.ParseUint(c.code, 10, 64)
		if err != nil || n < c.highest {
			c.failf("HIGHESTMODSEQ %s after %d", c.code, c.highest)
		}
		c.highest = n
	} else {
		c.highest = max(c.highest, c.inFetch)
	}
}

func (c *modelClient) noteCode(text string) {
	if _, rest, ok := strings.Cut(text, "[HIGHESTMODSEQ "); ok {
		c.code, _, _ = strings.Cut(rest, "]")
	}
}

// untagged takes in an untagged response.
func (c *modelClient) untagged(line string) {
	c.t.Helper()
	fields := c.parse(line)
	if len(fields) < 2 || fields[0] != word("*") {
		c.failf("not a response: %q", line)
	}
	verb, _ := fields[1].(word)
	if n, err := strconv.ParseUint(string(verb), 10, 32); err == nil && len(fields) > 2 {
		c.counted(uint32(n), fields[2], fields[3:])
		return
	}
	switch verb {
	case "OK":
		c.noteCode(line)
		if _, rest, ok := strings.Cut(line, "[UIDVALIDITY "); ok {
			digits, _, _ := strings.Cut(rest, "]")
			n, _ := strconv.ParseUint(digits, 10, 32)
			c.uidValidity = uint32(n)
		}
	case "SEARCH", "ESEARCH":
		c.searched(verb, fields[2:])
	case "VANISHED":
		c.vanished(fields[2:])
	case "BYE":
		c.failf("BYE")
	}
}

// counted is a response that begins with a number.
func (c *modelClient) counted(n uint32, what any, rest []any) {
	c.t.Helper()
	switch what {
	case word("EXISTS"):
		if int(n) < c.len() {
			c.failf("fewer messages without EXPUNGE")
		}
		if grown := int(n) - c.len(); c.uidonly {
			c.hidden += grown
		} else {
			c.msgs = append(c.msgs, make([]known, grown)...)
		}
	case word("RECENT"):
		if c.rev2 {
			c.failf("RECENT in IMAP4rev2") // RFC 9051, appendix E
		}
	case word("EXPUNGE"):
		if c.qresync || c.uidonly || int(n) > len(c.msgs) {
			c.failf("EXPUNGE")
		}
		c.mayShrink("EXPUNGE")
		c.msgs = slices.Delete(c.msgs, int(n)-1, int(n))
	case word("FETCH"):
		if c.uidonly || int(n) > len(c.msgs) || n == 0 {
			c.failf("FETCH")
		}
		items, _ := rest[0].(list)
		c.fetched(&c.msgs[n-1], items)
		c.inOrder(int(n) - 1)
	case word("UIDFETCH"):
		if !c.uidonly {
			c.failf("UIDFETCH") // RFC 9586, section 3.3
		}
		items, _ := rest[0].(list)
		m := c.byUID(n)
		if m == nil {
			if c.hidden == 0 {
				c.failf("UIDFETCH of a message that was not announced")
			}
			c.hidden--
			at, _ := slices.BinarySearchFunc(c.msgs, n, func(m known, uid uint32) int { return int(m.uid) - int(uid) })
			c.msgs = slices.Insert(c.msgs, at, known{uid: n})
			m = &c.msgs[at]
		}
		c.fetched(m, append(list{word("UID"), word(strconv.Itoa(int(n)))}, items...))
	}
}

func (c *modelClient) len() int { return len(c.msgs) + c.hidden }

func (c *modelClient) byUID(uid uint32) *known {
	for i := range c.msgs {
		if c.msgs[i].uid == uid {
			return &c.msgs[i]
		}
	}
	return nil
}

// mayShrink: RFC 3501, section 7.4.1; RFC 7162, section 3.2.10.
func (c *modelClient) mayShrink(what string) {
	c.t.Helper()
	name, _, _ := strings.Cut(c.command, " ")
	if slices.Contains([]string{"FETCH", "STORE", "SEARCH", "SORT", "THREAD"}, name) {
		c.failf("%s during %s", what, name)
	}
}

// fetched takes in the items of a FETCH response.
func (c *modelClient) fetched(m *known, items list) {
	c.t.Helper()
	var modSeq uint64
	flagged := false
	for i := 0; i+1 < len(items); i += 2 {
		switch items[i] {
		case word("UID"):
			n, _ := strconv.ParseUint(string(items[i+1].(word)), 10, 32)
			if m.uid != 0 && m.uid != uint32(n) {
				c.failf("message with UID %d has UID %d", m.uid, n)
			}
			m.uid = uint32(n)
		case word("FLAGS"):
			var flags []string
			for _, f := range items[i+1].(list) {
				if f == word(`\Recent`) && c.rev2 {
					c.failf(`\Recent in IMAP4rev2`)
				}
				if f != word(`\Recent`) {
					flags = append(flags, string(f.(word)))
				}
			}
			slices.Sort(flags)
			m.flags, m.hasFlags, flagged = strings.Join(flags, " "), true, true
		case word("MODSEQ"):
			modSeq, _ = strconv.ParseUint(string(items[i+1].(list)[0].(word)), 10, 64)
		}
	}
	if m.uid != 0 {
		c.touched[m.uid] = true
		c.flagged[m.uid] = c.flagged[m.uid] || flagged
	}
	switch {
	case modSeq != 0 && modSeq < m.modSeq:
		c.failf("MODSEQ of UID %d fell from %d to %d", m.uid, m.modSeq, modSeq)
	case modSeq != 0:
		m.modSeq = modSeq
	case flagged && c.asksFlags():
		m.modSeq = 0 // it did not ask for that
	case flagged && c.condstore:
		c.failf("flags of UID %d without MODSEQ", m.uid) // RFC 7162, section 3.2.4
	}
	c.inFetch = max(c.inFetch, modSeq)
}

// asksFlags reports whether the present command fetches flags, and no MODSEQ.
func (c *modelClient) asksFlags() bool {
	verb := strings.TrimPrefix(c.command, "UID ")
	return strings.HasPrefix(verb, "FETCH ") && !strings.Contains(verb, "MODSEQ") && !strings.Contains(verb, "CHANGEDSINCE")
}

// inOrder: the message at i has a UID between those of its neighbours.
func (c *modelClient) inOrder(i int) {
	c.t.Helper()
	for j := range c.msgs {
		if a, b := c.msgs[j].uid, c.msgs[i].uid; a != 0 && b != 0 && (j < i && a >= b || j > i && a <= b) {
			c.failf("message %d has UID %d, message %d UID %d", j+1, a, i+1, b)
		}
	}
}

// vanished is RFC 7162, section 3.2.10.
func (c *modelClient) vanished(args []any) {
	c.t.Helper()
	if !c.qresync && !c.uidonly {
		c.failf("VANISHED without QRESYNC")
	}
	if l, ok := args[0].(list); ok && slices.Equal(l, list{word("EARLIER")}) {
		c.early = append(c.early, c.numbers(args[1])...)
		return
	}
	c.mayShrink("VANISHED")
	for _, uid := range c.numbers(args[0]) {
		c.remove(uid)
	}
}

// remove takes out the message with a UID, which the client may not know by it.
func (c *modelClient) remove(uid uint32) {
	c.t.Helper()
	if i := slices.IndexFunc(c.msgs, func(m known) bool { return m.uid == uid }); i >= 0 {
		c.msgs = slices.Delete(c.msgs, i, i+1)
		return
	}
	if c.uidonly {
		if c.hidden--; c.hidden < 0 {
			c.failf("VANISHED %d, which was not announced", uid)
		}
		return
	}
	low := uint32(0)
	for i := range c.msgs {
		if c.msgs[i].uid != 0 {
			low = c.msgs[i].uid
			continue
		}
		high := ^uint32(0)
		for _, m := range c.msgs[i:] {
			if m.uid != 0 {
				high = m.uid
				break
			}
		}
		if low < uid && uid < high {
			c.msgs = slices.Delete(c.msgs, i, i+1)
			return
		}
	}
	c.failf("VANISHED %d, which was not announced", uid)
}

// searched takes in a SEARCH or ESEARCH response. Of the latter it keeps ALL.
func (c *modelClient) searched(verb word, args []any) {
	c.t.Helper()
	if c.rev2 && verb == "SEARCH" {
		c.failf("SEARCH in IMAP4rev2") // RFC 9051, section 6.4.4
	}
	c.answered = true
	if c.onFound != nil {
		c.onFound()
	}
	if verb == "ESEARCH" {
		for i := 0; i+1 < len(args); i++ {
			if args[i] == word("ALL") {
				c.found = c.numbers(args[i+1])
			}
		}
		return
	}
	for _, a := range args {
		if w, ok := a.(word); ok {
			c.found = append(c.found, c.numbers(w)...)
		}
	}
}

// numbers expands a set. There is no * in one that a server sends.
func (c *modelClient) numbers(set any) []uint32 {
	c.t.Helper()
	var all []uint32
	w, _ := set.(word)
	for part := range strings.SplitSeq(string(w), ",") {
		from, to, isRange := strings.Cut(part, ":")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 32)
		last, err2 := strconv.ParseUint(to, 10, 32)
		if err1 != nil || err2 != nil {
			c.failf("not a set: %v", set)
		}
		for n := min(first, last); n <= max(first, last); n++ {
			all = append(all, uint32(n))
		}
	}
	return all
}

// parse splits a response into words and lists. The text of a status response is
// split too; nobody looks at it.
func (c *modelClient) parse(line string) []any {
	fields, _ := parseFields(strings.TrimSuffix(line, "\r\n"), 0)
	return fields
}

func parseFields(s string, depth int) (fields []any, rest string) {
	for s != "" {
		switch {
		case s[0] == ' ':
			s = s[1:]
		case s[0] == ')':
			if depth > 0 {
				return fields, s[1:]
			}
			s = s[1:]
		case s[0] == '(':
			var inner []any
			inner, s = parseFields(s[1:], depth+1)
			fields = append(fields, list(inner))
		case s[0] == '"':
			end := 1
			for end < len(s) && s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			fields = append(fields, word(s[1:min(end, len(s))]))
			s = s[min(end+1, len(s)):]
		case s[0] == '{':
			head, tail, _ := strings.Cut(s, "\r\n")
			n, _ := strconv.Atoi(strings.Trim(head, "{}"))
			fields = append(fields, word(tail[:n]))
			s = tail[n:]
		default:
			end := strings.IndexAny(s, " ()")
			if i := strings.IndexByte(s, '['); i >= 0 && i < end { // BODY[HEADER.FIELDS (...)]
				if j := strings.IndexByte(s, ']'); j > i {
					end = j + 1
				}
			}
			if end < 0 {
				end = len(s)
			}
			fields = append(fields, word(s[:end]))
			s = s[end:]
		}
	}
	return fields, ""
}

// dialModel opens a connection, logs in and switches on what the client speaks.
func dialModel(t *rapid.T, s *server, name string, enable ...string) *modelClient {
	t.Helper()
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	c := &modelClient{t: t, name: name, conn: conn, r: bufio.NewReader(conn), caps: make(map[string]bool)}
	c.response()
	answer := c.ok("LOGIN demo demo")
	for capability := range strings.FieldsSeq(answer[strings.IndexByte(answer, '[')+1 : strings.IndexByte(answer, ']')]) {
		c.caps[capability] = true
	}
	if len(enable) > 0 {
		c.ok("ENABLE " + strings.Join(enable, " "))
	}
	for _, e := range enable {
		switch e {
		case "CONDSTORE":
			c.condstore = true
		case "QRESYNC": // RFC 7162, section 3.2.3
			c.condstore, c.qresync = true, true
		case "UIDONLY":
			c.uidonly = true
		case "IMAP4rev2":
			c.rev2 = true
		}
	}
	return c
}
