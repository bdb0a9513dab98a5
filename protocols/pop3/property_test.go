package pop3_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// multiline reads a multi-line answer and undoes it (RFC 1939, section 3).
func (c *client) multiline() []byte {
	c.Helper()
	c.want("+OK")
	var message []byte
	for {
		line, err := c.r.ReadBytes('\n')
		switch {
		case err != nil:
			c.Fatalf("after %d octets: %v", len(message), err)
		case string(line) == ".\r\n":
			return message
		}
		message = append(message, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// What a client undoes of RETR is what was stored; TOP is the header and exactly
// as many lines as asked for.
func TestMessagesArriveAsStored(t *testing.T) {
	for _, s := range worlds() {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				piece := rapid.SampledFrom([]string{"\r\n", "\r\n.", "\r\n\r\n", ".", "\r", "A: b", "\x00\xff", strings.Repeat("long ", 4000)})
				content := strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(rt, "message"), "")
				lines := rapid.IntRange(0, 10).Draw(rt, "lines")
				roundTrip(t, s.start(t, demo(content)), content, lines)
			})
		})
	}
}

func roundTrip(t *testing.T, h *world, content string, lines int) {
	t.Helper()
	defer h.Close()
	c := dialIn(t, h)
	defer c.Close()

	want := content
	if want != "" && !strings.HasSuffix(want, "\r\n") {
		want += "\r\n"
	}
	c.say("RETR 1")
	if got := c.multiline(); string(got) != want {
		t.Fatalf("RETR: %q, want %q", got, want)
	}

	header, body, found := strings.Cut("\r\n"+want, "\r\n\r\n")
	header = strings.TrimPrefix(header+"\r\n", "\r\n")
	if found {
		header += "\r\n"
	} else {
		header, body = want, ""
	}
	bodyLines := strings.SplitAfter(body, "\n")
	top := header + strings.Join(bodyLines[:min(lines, len(bodyLines))], "")
	c.say(fmt.Sprintf("TOP 1 %d", lines))
	if got := c.multiline(); string(got) != top {
		t.Fatalf("TOP 1 %d: %q, want %q", lines, got, top)
	}
}

// What a client does to a maildrop, against a model of it.
func TestMaildropModel(t *testing.T) {
	for _, s := range worlds() {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				var contents []string
				for i := range rapid.IntRange(0, 70).Draw(rt, "messages") {
					contents = append(contents, strings.Repeat("x", i)+"\r\n")
				}
				commands := rapid.SliceOfN(rapid.IntRange(0, len(contents)), 0, 30).Draw(rt, "commands")
				checkMaildrop(t, s.start(t, demo(contents...)), commands)
			})
		})
	}
}

// checkMaildrop marks messages, 0 standing for RSET, and compares listings.
func checkMaildrop(t *testing.T, h *world, commands []int) {
	t.Helper()
	defer h.Close()
	c := dialIn(t, h)
	defer c.Close()
	c.say("UIDL")
	ids := strings.Fields(string(c.multiline()))
	total := len(ids) / 2
	deleted := make([]bool, total+1)
	for _, n := range commands {
		switch {
		case n == 0:
			c.say("RSET")
			c.want("+OK")
			clear(deleted)
		case deleted[n]:
			c.say(fmt.Sprintf("DELE %d", n))
			c.want("-ERR")
		default:
			c.say(fmt.Sprintf("DELE %d", n))
			c.want("+OK")
			deleted[n] = true
		}
	}
	var scan, unique strings.Builder
	left, octets := 0, 0
	for n := 1; n <= total; n++ {
		if !deleted[n] {
			size := n + 1 // x n-1 times, and CRLF
			left, octets = left+1, octets+size
			fmt.Fprintf(&scan, "%d %d\r\n", n, size)
			fmt.Fprintf(&unique, "%d %s\r\n", n, ids[2*n-1])
		}
	}
	c.say("STAT")
	if got, want := c.want("+OK"), fmt.Sprintf("+OK %d %d", left, octets); got != want {
		t.Fatalf("STAT: %q, want %q", got, want)
	}
	c.say("LIST")
	if got := c.multiline(); string(got) != scan.String() {
		t.Fatalf("LIST: %q, want %q", got, scan.String())
	}
	c.say("UIDL")
	if got := c.multiline(); string(got) != unique.String() {
		t.Fatalf("UIDL: %q, want %q", got, unique.String())
	}
	c.say("QUIT")
	c.want("+OK")
	h.wantCount(t, fmt.Sprint(left))
}

var _ prototest.Doer = (*world)(nil)
