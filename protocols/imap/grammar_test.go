package imap_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/hashmail/mailaccess/stores/memory"
)

// heard is the server's end of a connection that keeps what was sent.
type heard struct {
	net.Conn
	mu   sync.Mutex
	sent []byte
}

func (h *heard) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, p[:n]...)
	return n, err
}

// check reports what of that is not as RFC 3501, section 9 has it.
func (h *heard) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return checkResponses(h.sent)
}

// checkResponses checks all that a server has said on a connection against the
// formal syntax of RFC 3501, section 9, and of the extensions that are offered;
// that message numbers are those of messages that the client was told of; and
// that a FETCH response tells nothing twice. The last response may be cut short.
// What follows a handshake of TLS is not looked at; what is compressed (RFC 4978) is.
func checkResponses(sent []byte) error {
	g := grammar{in: decompressed(sent)}
	sent = g.in
	for g.pos < len(sent) && !bytes.HasPrefix(sent[g.pos:], []byte{0x16, 0x03}) {
		from := g.pos
		if g.response(); g.cut {
			return nil
		} else if g.err != nil {
			return fmt.Errorf("%w at octet %d of %.200q", g.err, g.pos-from, sent[from:])
		}
	}
	return nil
}

// decompressed undoes the compression that a server says is active, until the end of
// its stream.
func decompressed(sent []byte) []byte {
	const active = " OK DEFLATE active\r\n"
	at := bytes.Index(sent, []byte(active))
	if at < 0 {
		return sent
	}
	rest := bytes.NewReader(sent[at+len(active):])
	// What was sent may be cut short; what came until then is good.
	plain, err := io.ReadAll(flate.NewReader(rest))
	all := slices.Concat(sent[:at+len(active)-2], []byte("!\r\n"), plain)
	if err == nil {
		all = append(all, sent[len(sent)-rest.Len():]...)
	}
	return decompressed(all)
}

// grammar is a parser by recursive descent, a method for each rule, that stops at
// the first error.
type grammar struct {
	in     []byte
	pos    int
	err    error
	cut    bool // the input ended where more must come
	exists int  // how many messages the client knows of
	utf8   bool // UTF-8 was enabled (RFC 6855, section 3), or IMAP4rev2
	rev2   bool // IMAP4rev2 was enabled (RFC 9051, section 6.3.1)
	// on is all that was enabled.
	on []string
}

func (g *grammar) ok() bool { return g.err == nil }

func (g *grammar) fail(format string, args ...any) {
	if g.err == nil {
		g.err = fmt.Errorf(format, args...)
		g.cut = g.pos >= len(g.in)
	}
}

// peek is the next octet, 0 at the end of the input.
func (g *grammar) peek() byte {
	if g.err != nil || g.pos >= len(g.in) {
		return 0
	}
	return g.in[g.pos]
}

// accept takes what is given, without regard to case.
func (g *grammar) accept(s string) bool {
	if g.err != nil || len(g.in)-g.pos < len(s) || !strings.EqualFold(string(g.in[g.pos:g.pos+len(s)]), s) {
		return false
	}
	g.pos += len(s)
	return true
}

func (g *grammar) expect(s string) {
	if !g.accept(s) {
		// What is there may be the beginning of it.
		if g.err == nil && strings.HasPrefix(s, string(g.in[g.pos:])) {
			g.pos = len(g.in)
		}
		g.fail("expected %q", s)
	}
}

// take reads octets of a class, at least one.
func (g *grammar) take(what string, in func(c byte) bool) string {
	from := g.pos
	for g.ok() && g.pos < len(g.in) && in(g.in[g.pos]) {
		g.pos++
	}
	if g.pos == from || g.pos == len(g.in) {
		g.fail("expected %s", what)
	}
	return string(g.in[from:g.pos])
}

func atomChar(c byte) bool    { return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0 }
func astringChar(c byte) bool { return atomChar(c) || c == ']' }
func tagChar(c byte) bool     { return astringChar(c) && c != '+' }
func digit(c byte) bool       { return '0' <= c && c <= '9' }
func textChar(c byte) bool    { return c > 0 && c < 0x80 && c != '\r' && c != '\n' }

func (g *grammar) atom() string { return g.take("an atom", atomChar) }

// number is 32 bits wide.
func (g *grammar) number() uint32 {
	s := g.take("a number", digit)
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		g.fail("number %s", s)
	}
	return uint32(n)
}

func (g *grammar) nzNumber() uint32 {
	if g.peek() == '0' {
		g.fail("number begins with 0")
	}
	return g.number()
}

// message reads the number of a message that there is.
func (g *grammar) message() {
	if n := g.nzNumber(); g.ok() && int(n) > g.exists {
		g.fail("message %d of %d", n, g.exists)
	}
}

func (g *grammar) quoted() string {
	var b []byte
	for g.expect(`"`); g.ok(); g.pos++ {
		c := g.peek()
		if c == '"' {
			if !utf8.Valid(b) {
				g.fail("quoted string %q is not UTF-8", b)
			}
			g.pos++
			return string(b)
		}
		if c == '\\' {
			g.pos++
			if c = g.peek(); c != '"' && c != '\\' {
				g.fail("escaped %q", c)
			}
		} else if !textChar(c) && !(g.utf8 && c >= 0x80) {
			g.fail("octet %q in a quoted string", c)
		}
		b = append(b, c)
	}
	return ""
}

func (g *grammar) literal() string {
	s := g.octets()
	if strings.IndexByte(s, 0) >= 0 {
		g.fail("NUL in a literal")
	}
	return s
}

// octets is a literal with any octets in it.
func (g *grammar) octets() string {
	g.expect("{")
	n := int(g.number())
	g.expect("}\r\n")
	if !g.ok() {
		return ""
	}
	if len(g.in)-g.pos < n {
		g.pos = len(g.in)
		g.fail("expected a literal of %d octets", n)
		return ""
	}
	s := g.in[g.pos : g.pos+n]
	g.pos += n
	return string(s)
}

func (g *grammar) str() string {
	if g.peek() == '{' {
		return g.literal()
	}
	return g.quoted()
}

func (g *grammar) nstring() {
	if !g.accept("NIL") {
		g.str()
	}
}

func (g *grammar) astring() string {
	if c := g.peek(); c == '"' || c == '{' {
		return g.str()
	}
	return g.take("an astring", astringChar)
}

// list reads items in parentheses, at least least of them.
func (g *grammar) list(least int, item func()) {
	g.expect("(")
	n := 0
	for ; g.ok() && !g.accept(")"); n++ {
		if n > 0 {
			g.expect(" ")
		}
		item()
	}
	if n < least {
		g.fail("%d items, want %d at least", n, least)
	}
}

func (g *grammar) response() {
	switch g.peek() {
	case '+':
		// A challenge may be empty (RFC 3501, section 9, base64).
		if g.expect("+ "); g.peek() != '\r' {
			g.text()
		}
	case '*':
		g.expect("* ")
		g.untagged()
	default:
		g.take("a tag", tagChar)
		g.expect(" ")
		g.state("OK", "NO", "BAD")
	}
	g.expect("\r\n")
}

func (g *grammar) untagged() {
	if digit(g.peek()) {
		g.counted()
		return
	}
	from := g.pos
	switch word := g.atom(); word {
	case "OK", "NO", "BAD", "BYE":
		g.pos = from
		g.state("OK", "NO", "BAD", "BYE")
	case "CAPABILITY":
		g.capabilities(true)
	case "ENABLED":
		g.enabled()
	case "VANISHED":
		g.vanished()
	case "FLAGS":
		g.expect(" ")
		g.flags(false, false)
	case "LIST", "LSUB":
		g.mailboxList()
	case "SEARCH":
		g.notRev2(word)
		g.numbers()
	case "ESEARCH":
		g.esearch()
	case "SORT":
		g.sort()
	case "THREAD":
		g.thread()
	case "STATUS":
		g.status()
	case "ID":
		g.expect(" ")
		g.list(0, func() { g.str(); g.expect(" "); g.nstring() })
	case "NAMESPACE":
		for range 3 {
			g.expect(" ")
			g.namespace()
		}
	default:
		g.fail("response %q", word)
	}
}

// counted is a response that begins with a number.
func (g *grammar) counted() {
	from := g.pos
	n := g.number()
	g.expect(" ")
	switch word := g.atom(); word {
	case "EXISTS":
		g.exists = int(n)
	case "RECENT":
		g.notRev2(word)
	case "UIDFETCH":
		g.uidFetch(n)
	case "EXPUNGE", "FETCH":
		g.numbered(word)
		after := g.pos
		g.pos = from
		g.message()
		g.pos = max(g.pos, after)
		if word == "EXPUNGE" {
			g.exists--
			break
		}
		g.expect(" ")
		g.attributes()
	default:
		g.fail("response %q", word)
	}
}

func (g *grammar) state(words ...string) {
	if word := g.atom(); g.ok() && !slices.Contains(words, word) {
		g.fail("state %q", word)
	}
	g.expect(" ")
	if g.accept("[") {
		g.code()
		g.expect("] ")
	}
	g.text()
}

// text is human-readable; "[" at its beginning would be that of a code.
func (g *grammar) text() {
	if g.peek() == '[' {
		g.fail("text begins with [")
	}
	g.take("text", textChar)
}

// plainCodes are the response codes without arguments (RFC 3501, section 7.1; RFC
// 5530, section 3; RFC 4978, section 5; RFC 4469, section 4.2; RFC 9051, section 7.1; RFC 4315, section
// 2; RFC 7162, section 7; RFC 9586, section 4).
var plainCodes = []string{
	"READ-ONLY", "READ-WRITE", "TRYCREATE", "UNAVAILABLE", "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED",
	"PRIVACYREQUIRED", "CONTACTADMIN", "NOPERM", "INUSE", "EXPUNGEISSUED", "CORRUPTION", "SERVERBUG", "CLIENTBUG",
	"CANNOT", "UNKNOWN-CTE", "LIMIT", "COMPRESSIONACTIVE", "OVERQUOTA", "ALREADYEXISTS", "NONEXISTENT", "USEATTR", "TOOBIG", "HASCHILDREN", "UIDNOTSTICKY",
	"CLOSED", "UIDREQUIRED", "NOTIFICATIONOVERFLOW",
}

func (g *grammar) code() {
	switch code := g.atom(); code {
	case "HIGHESTMODSEQ":
		g.expect(" ")
		g.modSeq()
	case "MODIFIED":
		g.uids()
	case "CAPABILITY":
		g.capabilities(true)
	case "BADCHARSET":
		g.expect(" ")
		g.list(1, func() { g.astring() })
	case "PERMANENTFLAGS":
		g.expect(" ")
		g.flags(false, true)
	case "UIDNEXT", "UIDVALIDITY":
		g.expect(" ")
		g.nzNumber()
	case "UNSEEN":
		g.notRev2(code)
		g.numbered(code)
		g.expect(" ")
		g.nzNumber()
	case "MAILBOXID":
		g.expect(" ")
		g.objectID()
	case "MESSAGELIMIT": // RFC 9738, section 5
		g.expect(" ")
		g.nzNumber()
		if g.accept(" ") {
			g.nzNumber()
		}
	case "NOUPDATE": // RFC 5267, section 5
		g.expect(" ")
		g.quoted()
	case "INPROGRESS":
		g.inProgress()
	case "APPENDUID":
		g.expect(" ")
		g.nzNumber()
		g.uids()
	case "BADURL":
		// RFC 4469, section 5: url-resp-text.
		g.expect(" ")
		g.take("a URL", func(c byte) bool { return textChar(c) && c != ']' })
	case "COPYUID":
		g.expect(" ")
		g.nzNumber()
		if from, to := g.uids(), g.uids(); g.ok() && from != to {
			g.fail("COPYUID of %d UIDs to %d", from, to)
		}
	case "BADEVENT": // RFC 5465, section 8
		g.expect(" ")
		g.list(1, func() { g.atom() })
	default:
		if g.ok() && !slices.Contains(plainCodes, code) {
			g.fail("code %q", code)
		}
	}
}

// inProgress is RFC 9585, section 5; the goal is not reached (section 4).
func (g *grammar) inProgress() {
	if !g.accept(" (") {
		return
	}
	if !g.accept("NIL") {
		g.quoted()
	}
	if !g.accept(" NIL NIL") {
		g.expect(" ")
		done := g.number()
		if g.accept(" NIL") {
		} else if g.expect(" "); done >= g.nzNumber() {
			g.fail("a goal that is reached")
		}
	}
	g.expect(")")
}

// uids is a uid-set (RFC 4315, section 4): no "*". It returns how many there are.
func (g *grammar) uids() (n int) {
	g.expect(" ")
	for more := true; g.ok() && more; more = g.accept(",") {
		first := g.nzNumber()
		last := first
		if g.accept(":") {
			last = g.nzNumber()
		}
		n += int(max(first, last)-min(first, last)) + 1
	}
	return n
}

func (g *grammar) capabilities(rev1 bool) (all []string) {
	for g.ok() && g.accept(" ") {
		all = append(all, g.atom())
	}
	if rev1 && g.ok() && !slices.Contains(all, "IMAP4rev1") {
		g.fail("IMAP4rev1 is not among the capabilities")
	}
	return all
}

// enabled remembers what changes the syntax of what follows.
func (g *grammar) enabled() {
	for _, name := range g.capabilities(false) {
		g.on = append(g.on, name)
		g.rev2 = g.rev2 || name == "IMAP4rev2"
		g.utf8 = g.utf8 || g.rev2 || name == "UTF8=ACCEPT"
	}
}

// flags is a list of flags, each once.
func (g *grammar) flags(recent, star bool) {
	var all []string
	g.list(0, func() {
		from := g.pos
		switch {
		case star && g.accept(`\*`):
		case g.accept(`\`):
			g.atom()
		default:
			g.atom()
		}
		flag := strings.ToLower(string(g.in[from:g.pos]))
		if flag == `\recent` {
			g.notRev2(flag)
		}
		if flag == `\recent` && !recent {
			g.fail(`\Recent is not settable`)
		}
		if slices.Contains(all, flag) {
			g.fail("flag %s twice", flag)
		}
		all = append(all, flag)
	})
}

// TestGrammar: the checker takes what the RFCs show and nothing else.
func TestGrammar(t *testing.T) {
	const text = `("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92)`
	const extended = `("TEXT" "PLAIN" NIL NIL NIL "7BIT" 3028 92 NIL NIL NIL NIL)`
	const envelope = `("d" NIL (("T" NIL "gray" "example.org")("U" NIL "u" NIL)) NIL NIL NIL NIL NIL NIL "<a>")`
	for _, in := range []string{
		"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n+ \r\n", "+ idling\r\n", "a OK done\r\n", "a NO [TRYCREATE] no\r\n",
		"* FLAGS (\\Seen x)\r\n", "* OK [PERMANENTFLAGS (\\Seen \\*)] kept\r\n", "* OK [COPYUID 1 2:3,5 7:9] copied\r\n",
		"* OK [INPROGRESS] x\r\n", "* OK [INPROGRESS (NIL 3 NIL)] x\r\n", "* OK [INPROGRESS (\"a\" 0 5)] x\r\n",
		"* LIST (\\Noselect) \"/\" \"\"\r\n", "* LSUB () NIL {1}\r\na\r\n", "* SEARCH\r\n* SEARCH 1 2\r\n",
		"* LIST (\\Subscribed \\NonExistent) \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\"))\r\n",
		"* LIST (\\NoSelect) \"/\" a (\"OLDNAME\" (b))\r\n", "* OK [MAILBOXID (a-1)] x\r\n", "a OK [MESSAGELIMIT 1000 23221] x\r\n", "a NO [MESSAGELIMIT 1000] x\r\n",
		"* ENABLED UTF8=ACCEPT\r\n* LIST () \"/\" \"caf\xc3\xa9\"\r\n* LIST () \"/\" &\r\n* 1 RECENT\r\n",
		"* STATUS a (MESSAGES 0)\r\n* STATUS a (SIZE 9223372036854775807 DELETED 1 MAILBOXID (a-b_C))\r\n* STATUS a ()\r\n", "* ID (\"a\" NIL)\r\n", "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
		"* 2 EXISTS\r\n* 2 EXPUNGE\r\n* 1 FETCH (UID 4294967295 FLAGS (\\Recent))\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (ENVELOPE " + envelope + " BODY " + text + ")\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODYSTRUCTURE (" + extended + extended + ` "mixed" NIL ("inline" NIL) ("a" "b") NIL))` + "\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY[1.HEADER.FIELDS (a {1}\r\n\xff)]<3> {2}\r\n\xff\n BODY[] NIL)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BINARY[1]<0> ~{2}\r\n\x00\n BINARY[] {1}\r\na BINARY[1.2] NIL BINARY.SIZE[1] 3)\r\n",
		"* STATUS a (APPENDLIMIT 1)\r\n", "a NO [UNKNOWN-CTE] x\r\n", "a NO [BADURL /a b/;UID=\"1] x\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY[] {9}\r\nabc", "* BYE", "", "a OK begin TLS\r\n\x16\x03\x00",
	} {
		if err := checkResponses([]byte(in)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"a NO [BADURL] x\r\n", "a OK [MESSAGELIMIT] x\r\n", "a OK [MESSAGELIMIT 0 1] x\r\n", "a OK [MESSAGELIMIT 1 0] x\r\n", "a NO [BADURL ] x\r\n", "a NO [BADURL a]] x\r\n",
		"* OK\r\n", "* OK \r\n", "a  OK x\r\n", "a OK x\n", "a OK \x80\r\n", "+x OK x\r\n", "a BYE x\r\n", "* OK [X] y\r\n",
		"* OK [ALERT]x\r\n", "* XYZ 1\r\n", "* FLAGS (\\Recent)\r\n", "* FLAGS (a A)\r\n", "* FLAGS (\\*)\r\n",
		"* LIST () \"//\" a\r\n", "* LIST () \"/\" a b\r\n", "* LIST () \"/\" \"&\"\r\n", "* LIST () \"/\" \"\xc3\xa9\"\r\n",
		"* LIST (\\HasChildren \\HasNoChildren) \"/\" a\r\n", "* SEARCH \r\n", "* SEARCH 0\r\n", "* SEARCH 4294967296\r\n",
		"* 1 EXPUNGE\r\n", "* 1 EXISTS\r\n* 1 EXPUNGE\r\n* 1 FETCH (UID 1)\r\n", "* 1 EXISTS\r\n* 1 FETCH ()\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (UID 1 UID 1)\r\n", "* 1 EXISTS\r\n* 1 FETCH (UID 1FLAGS ())\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY[] \"\xff\")\r\n", "* 1 EXISTS\r\n* 1 FETCH (BODY[] {1}\r\n\x00)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BINARY[1] ~{1}\r\na)\r\n", "* 1 EXISTS\r\n* 1 FETCH (BINARY[1] {1}\r\n\x00)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BINARY[TEXT] NIL)\r\n", "* 1 EXISTS\r\n* 1 FETCH (BINARY.SIZE[1] NIL)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY[] ~{1}\r\n\x00)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY[MIME] NIL)\r\n", "* 1 EXISTS\r\n* 1 FETCH (BODY[] {1}\r\nab)\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY " + extended + ")\r\n", "* 1 EXISTS\r\n* 1 FETCH (BODYSTRUCTURE " + text + ")\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODYSTRUCTURE (\"mixed\" NIL NIL NIL NIL))\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (BODY (\"TEXT\" \"PLAIN\" () NIL NIL \"7BIT\" 1 1))\r\n",
		"* 1 EXISTS\r\n* 1 FETCH (INTERNALDATE \"1-Jul-1996 02:44:25 -0700\")\r\n",
		"* LIST (\\Noselect \\NonExistent) \"/\" a\r\n", "* LIST (\\Sent \\Sent) \"/\" a\r\n", "* LIST () \"/\" a (\"CHILDINFO\" (SUBSCRIBED))\r\n",
		"* LIST () \"/\" a ()\r\n", "* LIST () \"/\" a (\"X\" (a))\r\n", "* STATUS a (MAILBOXID a)\r\n", "* STATUS a (SIZE 9223372036854775808)\r\n",
		"* ENABLED IMAP4rev2\r\n* 1 RECENT\r\n", "* ENABLED IMAP4rev2\r\n* SEARCH 1\r\n", "* ENABLED IMAP4rev2\r\n* OK [UNSEEN 1] x\r\n",
		"* ENABLED IMAP4rev2\r\n* STATUS a (RECENT 1)\r\n", "* ENABLED IMAP4rev2\r\n* 1 EXISTS\r\n* 1 FETCH (FLAGS (\\Recent))\r\n",
		"* ENABLED UTF8=ACCEPT\r\n* LIST () \"/\" \"\xc3\"\r\n",
		"* OK [COPYUID 1 2:3 5] copied\r\n", "* OK [INPROGRESS (\"a\" 5 5)] x\r\n", "* OK [INPROGRESS (a NIL NIL)] x\r\n", "* CAPABILITY IDLE\r\n", "a OK [CAPABILITY IDLE] x\r\n",
	} {
		if checkResponses([]byte(in)) == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

// FuzzMessage fetches whatever is in the store, in all ways: the responses must be
// well-formed, which the harness checks, and the connection stay in step.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		"", "\r\n", "a", "Subject: =?utf-8?q?caf=C3=A9?=\r\nFrom: \"\\\"\" <@a,@b:c@d>, x: y, z@w;\r\n\r\nb",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n", "Content-Type: multipart/mixed\r\n\r\nx",
		"Content-Type: message/rfc822\r\n\r\n", "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/x; boundary=\"\"\r\n\r\n--",
		"Content-Type: text/plain; a*0=b; a*1=\"\xff\"\r\nContent-Language: a, (b) c\r\nContent-Disposition: x; y\r\n\r\n\x00",
		"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nFrom: a\r\n\r\nx\r\n--b\r\n\r\n",
		"From: \x00\x80 <>\r\nTo: undisclosed:;\r\nCc: a@[1.2.3.4] (b)\r\nDate: \r\n\x00\r\nMessage-ID: <\x7f>\r\n\r\n",
		"Content-Type: message/\"rfc822\"; x=\"" + strings.Repeat("a", 2000) + "\"\r\n\r\n\r\n",
		"Content-Type: a\r\nContent-Transfer-Encoding: \"\r\nContent-ID: \xc3\xa9\r\nContent-MD5: \\\r\nContent-Location: a\tb\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fx := fuzzFixture()
		fx.Messages = fx.Messages[:1]
		fx.Messages[0].Content = data
		s := startServer(t, fx, inMemory(memory.New(nil)))
		client, err := s.Dial()
		if err != nil {
			t.Fatal(err)
		}
		converse(t, client, "a LOGIN demo demo\r\nb SELECT INBOX\r\n"+
			"c FETCH 1 (ENVELOPE BODY BODYSTRUCTURE RFC822.SIZE BODY[HEADER.FIELDS (FROM {1+}\r\n\")]<1.9>)\r\n"+
			"d FETCH 1 (BODY[HEADER] BODY[TEXT] BODY[] BODY[1] BODY[1.MIME] BODY[1.HEADER] BODY[1.1.TEXT] BODY[2]<0.5> BODY[]<1.4294967295>)\r\n"+
			"e FETCH 1 (BINARY.PEEK[] BINARY.SIZE[])\r\nf FETCH 1 (BINARY[1]<1.5> BINARY.SIZE[1] BINARY[1.1] BINARY.SIZE[2])")
		client.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
