package pop3

import (
	"bytes"
	"context"
	"math"
)

// request is a command that was read to its end.
type request struct {
	user  string // given by the command before, USER
	msg   int    // the number of a message; 0: none was given
	lines int64  // of TOP
	text  []byte // a name, a password, a mechanism; valid until the next line is read
	// initial is the initial response of AUTH as it came, or the digest of APOP; nil: none.
	initial []byte
}

// command is an entry of the command table.
type command struct {
	// in are the states in which the command is valid.
	in state
	// parse reads the arguments: what follows the keyword and a space, nil
	// when nothing does.
	parse func(args []byte, rq *request) error
	// run does the command. It answers +OK itself; -ERR is its error.
	run func(ctx context.Context, c *conn, rq *request) error
}

// commands is every command, by its keyword in capitals. It is never changed.
var commands = map[string]command{
	// RFC 1939, sections 4 and 7; RFC 5034, section 4; RFC 2595, section 4.
	"USER": {authorization, parseWord, user},
	"PASS": {authorization, parseText, pass},
	"APOP": {authorization, parseAPOP, apop},
	"AUTH": {authorization, parseAuth, authenticate},
	"STLS": {authorization, parseNothing, stls},

	// RFC 1939, sections 5 and 7.
	"STAT": {transaction, parseNothing, stat},
	"LIST": {transaction, parseOptionalMessage, list},
	"RETR": {transaction, parseMessage, retr},
	"DELE": {transaction, parseMessage, dele},
	"NOOP": {transaction, parseNothing, noop},
	"RSET": {transaction, parseNothing, rset},
	"TOP":  {transaction, parseTop, top},
	"UIDL": {transaction, parseOptionalMessage, uidl},

	"CAPA": {anyState, parseNothing, capa},      // RFC 2449, section 5
	"LANG": {anyState, parseOptionalWord, lang}, // RFC 6856, section 3.2
	"UTF8": {anyState, parseNothing, utf8Mode},  // RFC 6856, section 2.1
	"QUIT": {anyState, parseNothing, quit},      // RFC 1939, sections 4 and 6
}

// command reads one command to its end, and does it.
func (c *conn) command(ctx context.Context, line []byte) error {
	if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return refuseSyntax("a command with NUL or CR in it")
	}
	keyword, args, more := bytes.Cut(line, []byte(" "))
	cmd, known := lookUp(keyword)
	switch {
	case !known:
		return refuseSyntax("unknown command")
	case cmd.in&c.state == 0 && c.state == authorization:
		return refuseSyntax("log in first")
	case cmd.in&c.state == 0:
		return refuseSyntax("already logged in")
	}
	if !more {
		args = nil
	}
	// RFC 1939, section 7: PASS comes immediately after USER.
	rq := request{user: c.user}
	c.user = ""
	if err := cmd.parse(args, &rq); err != nil {
		return err
	}
	if c.drop != nil && c.drop.lost() {
		// Another process may change the maildrop: nothing holds any more.
		return errLeaseLost
	}
	return cmd.run(ctx, c, &rq)
}

// lookUp finds a command by its keyword in any case.
func lookUp(keyword []byte) (command, bool) {
	var upper [4]byte // RFC 1939, section 3: three or four characters
	if len(keyword) > len(upper) {
		return command{}, false
	}
	for i, b := range keyword {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		upper[i] = b
	}
	cmd, known := commands[string(upper[:len(keyword)])]
	return cmd, known
}

// Arguments are separated by single spaces. Spaces at the end are passed over,
// as some clients send them, but for PASS.

func parseNothing(args []byte, _ *request) error {
	if len(trimRight(args)) > 0 {
		return refuseSyntax("this command has no arguments")
	}
	return nil
}

// parseText takes all that there is, spaces included.
func parseText(args []byte, rq *request) error {
	if len(args) == 0 {
		return refuseSyntax("an argument is missing")
	}
	rq.text = args
	return nil
}

func parseWord(args []byte, rq *request) error {
	args = trimRight(args)
	if len(args) == 0 {
		return refuseSyntax("an argument is missing")
	}
	for _, b := range args {
		if b <= ' ' || b == 0x7f {
			return refuseSyntax("one argument without spaces is expected")
		}
	}
	rq.text = args
	return nil
}

func parseOptionalWord(args []byte, rq *request) error {
	if len(trimRight(args)) == 0 {
		return nil
	}
	return parseWord(args, rq)
}

// parseAuth is RFC 5034, section 4: a mechanism, perhaps an initial response.
func parseAuth(args []byte, rq *request) error {
	mechanism, initial, more := bytes.Cut(trimRight(args), []byte(" "))
	if more {
		rq.initial = initial
	}
	return parseWord(mechanism, rq)
}

// parseAPOP is RFC 1939, section 7: a name and a digest.
func parseAPOP(args []byte, rq *request) error {
	name, digest, more := bytes.Cut(trimRight(args), []byte(" "))
	if !more {
		return refuseSyntax("a name and a digest are expected")
	}
	rq.initial = digest
	return parseWord(name, rq)
}

func parseMessage(args []byte, rq *request) error {
	n, ok := parseNumber(trimRight(args))
	if !ok {
		return refuseSyntax("a message number is expected")
	}
	// 0 stands for no number at all, and no maildrop has as many as this.
	if n == 0 || n > math.MaxInt32 {
		n = math.MaxInt32
	}
	rq.msg = int(n)
	return nil
}

func parseOptionalMessage(args []byte, rq *request) error {
	if len(trimRight(args)) == 0 {
		return nil
	}
	return parseMessage(args, rq)
}

// parseTop is RFC 1939, section 7: both numbers are required.
func parseTop(args []byte, rq *request) error {
	msg, lines, _ := bytes.Cut(trimRight(args), []byte(" "))
	n, ok := parseNumber(lines)
	if !ok {
		return refuseSyntax("a message number and a number of lines are expected")
	}
	rq.lines = n
	return parseMessage(msg, rq)
}

// parseNumber reads digits and nothing else. What is too large for an int64 is
// the largest.
func parseNumber(b []byte) (n int64, ok bool) {
	for _, d := range b {
		if d < '0' || d > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(d-'0')
	}
	return n, len(b) > 0
}

func trimRight(b []byte) []byte { return bytes.TrimRight(b, " ") }
