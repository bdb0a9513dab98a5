package tap

import (
	"bytes"
	"strconv"
	"strings"
)

// literal returns the size of the literal that a line announces at its end, and
// whether its sender waits for leave to send it (RFC 9051, section 4.3; RFC 7888).
func literal(line []byte) (size int64, waits, ok bool) {
	rest, ok := bytes.CutSuffix(bytes.TrimRight(line, "\r\n"), []byte("}"))
	if !ok {
		return 0, false, false
	}
	i := bytes.LastIndexByte(rest, '{')
	if i < 0 {
		return 0, false, false
	}
	digits, straight := strings.CutSuffix(string(rest[i+1:]), "+")
	n, err := strconv.ParseUint(digits, 10, 62)
	return int64(n), !straight, err == nil
}

// parse reads the first line of a command. A command without a name has "".
func (s Syntax) parse(line []byte) Command {
	c := Command{Line: string(bytes.TrimRight(line, "\r\n"))}
	words := strings.Fields(c.Line)
	if s == IMAP {
		if len(words) == 0 {
			return c
		}
		c.Tag, words = words[0], words[1:]
	}
	if len(words) > 0 {
		c.Name = strings.ToUpper(words[0])
	}
	if s == IMAP && c.Name == "UID" && len(words) > 1 {
		c.Name += " " + strings.ToUpper(words[1])
	}
	return c
}

// answer returns what a verdict says, as it goes over the wire.
func (s Syntax) answer(text, tag string) []byte {
	var b []byte
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if s == IMAP && tag != "" && !strings.HasPrefix(line, "* ") {
			b = append(append(b, tag...), ' ')
		}
		b = append(append(b, line...), "\r\n"...)
	}
	return b
}

// many reports whether a command that succeeds is answered in POP3 with more than
// one line (RFC 1939, sections 5 and 7; RFC 2449, section 5; RFC 5034, section 6;
// RFC 6856, section 3.2).
func many(c Command) bool {
	alone := len(strings.Fields(c.Line)) == 1
	switch c.Name {
	case "RETR", "TOP", "CAPA":
		return true
	case "LIST", "UIDL", "AUTH", "LANG":
		return alone
	}
	return false
}

// A reply is what the first line of an answer is to the command under way.
type reply int

const (
	aside   reply = iota // something else that the server says
	goAhead              // it waits for more of the command
	done                 // the command is over
	opens                // more lines follow, up to one that is a dot
)

// classify reads the first piece of a line of the server, while c is under way.
func (s Syntax) classify(piece []byte, c Command) (r reply, success bool) {
	has := func(prefix string) bool { return bytes.HasPrefix(piece, []byte(prefix)) }
	if s == IMAP {
		switch {
		case has("+"):
			return goAhead, false
		case c.Tag != "" && has(c.Tag+" "):
			return done, bytes.HasPrefix(bytes.ToUpper(piece[len(c.Tag)+1:]), []byte("OK"))
		case has("* BAD"):
			// RFC 9051, section 7.1.3: for a command whose tag was not understood.
			return done, false
		}
		return aside, false
	}
	switch {
	case has("+OK") && many(c):
		return opens, true
	case has("+OK"):
		return done, true
	case has("-ERR"):
		return done, false
	case has("+ "), has("+\r\n"):
		return goAhead, false
	}
	return aside, false
}

// turns tells what a command that succeeded makes of the channel.
func (s Syntax) turns(c Command) (Kind, bool) {
	switch {
	case s == IMAP && c.Name == "STARTTLS", s == POP3 && c.Name == "STLS":
		return StartTLS, true
	case s == IMAP && c.Name == "COMPRESS":
		return Deflate, true
	}
	return 0, false
}
