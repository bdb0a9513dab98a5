package tap_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/protocols/tap"
)

// What a recorder writes is played again by the tests of "mailaccess demo"; these are
// about what they do not come to.
func TestRecorder(t *testing.T) {
	var out strings.Builder
	r := tap.NewRecorder(&out, tap.IMAP, "imap", "Title.")
	c := r.Open("imap")
	c.Event(tap.Event{Kind: tap.ServerLine, Data: []byte("* OK hello\r\n")})
	// Two responses at the same time do not mix.
	other := r.Open("imaps")
	c.Event(tap.Event{Kind: tap.ServerLine, Data: []byte("* 1 FETCH (BODY[] {6}\r\n"), More: true})
	other.Event(tap.Event{Kind: tap.ServerLine, Data: []byte("<eof>\r\n")})
	c.Event(tap.Event{Kind: tap.ServerLiteral, Data: []byte("ab\r"), More: true})
	c.Event(tap.Event{Kind: tap.ServerLiteral, Data: []byte("\ncd"), More: true})
	c.Event(tap.Event{Kind: tap.ServerPart, Data: []byte(" UID 1"), More: true})
	c.Event(tap.Event{Kind: tap.ServerLine, Data: []byte(" X)\r\n")})
	c.Event(tap.Event{Kind: tap.ServerLine, Data: []byte("half")})
	c.Event(tap.Event{Kind: tap.ClientEnd})
	c.Event(tap.Event{Kind: tap.ServerEnd})
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	c.Event(tap.Event{Kind: tap.ClientLine, Data: []byte("late\r\n")})
	const want = `# Title.
recorded

S: * OK hello

C2: <dial imaps>
S2: {{"<"}}eof>
S: * 1 FETCH (BODY[] {6}
S| ab
S|" "cd"
S:  UID 1 X)
S": "half"
C: <close>
C2: <close>
`
	if out.String() != want || r.Connections() != 2 {
		t.Errorf("%d connections, got\n%s\nwant\n%s", r.Connections(), &out, want)
	}
}

type brokenWriter struct{ io.Writer }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// A recording that is not whole says so.
func TestRecorderFails(t *testing.T) {
	r := tap.NewRecorder(brokenWriter{}, tap.POP3, "pop3", "Title.")
	r.Open("pop3").Event(tap.Event{Kind: tap.ClientLine, Data: []byte("NOOP\r\n")})
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}

	r = tap.NewRecorder(io.Discard, tap.IMAP, "imap", "Title.")
	c := r.Open("imap")
	for range 33 {
		c.Event(tap.Event{Kind: tap.ServerLiteral, Data: make([]byte, 1<<20), More: true})
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "longer than a transcript holds") {
		t.Error(err)
	}
}

// Connections in memory go through a tap as well, and none is opened after a cut.
func TestPipes(t *testing.T) {
	r := &reader{begun: make(map[string]bool)}
	p := tap.NewPipes(tap.Options{Syntax: tap.POP3, Open: func(net.Addr) tap.Handler { return r }})
	client, server := p.Dial()
	go io.WriteString(server, "+OK\r\n")
	b := make([]byte, 5)
	if _, err := io.ReadFull(client, b); err != nil || string(b) != "+OK\r\n" {
		t.Errorf("%q, %v", b, err)
	}
	p.Cut()
	if _, err := client.Read(b); err == nil {
		t.Error("the connection outlives the cut")
	}
	client, _ = p.Dial()
	if _, err := client.Read(b); err == nil {
		t.Error("a connection was opened after the cut")
	}
}
