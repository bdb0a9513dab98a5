package pop3_test

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashmail/mailaccess/protocols/prototest"
)

// writesConn notes the largest piece written to it at once.
type writesConn struct {
	net.Conn
	largest atomic.Int64
}

func (c *writesConn) Write(p []byte) (int, error) {
	if n := int64(len(p)); n > c.largest.Load() {
		c.largest.Store(n)
	}
	return c.Conn.Write(p)
}

// 100,000 messages are listed as they come: what is kept of an answer is one buffer,
// and what is allocated for it does not grow with the maildrop.
func TestLargeMaildropIsStreamed(t *testing.T) {
	const messages = 100_000
	fx := demo()
	fx.Options["boxes"] = "INBOX,Archive"
	fx.Mailboxes = []prototest.Mailbox{{User: "demo", Name: "Archive"}}
	for i := range messages {
		m := prototest.Message{User: "demo", Mailbox: "INBOX", Content: []byte("A: b\r\n\r\nc\r\n")}
		if i%2 == 1 {
			m.Mailbox = "Archive"
		}
		fx.Messages = append(fx.Messages, m)
	}
	h := newWorld(t, fx, nil)
	defer h.Close()
	nc, server := net.Pipe()
	defer nc.Close()
	counted := &writesConn{Conn: server}
	go h.server.ServeConn(counted)
	c := &client{t, nc, bufio.NewReaderSize(nc, 64<<10)}
	c.want("+OK")
	for _, line := range []string{"USER demo", "PASS demo"} {
		c.say(line)
		c.want("+OK")
	}
	c.say("STAT")
	if got, want := c.want("+OK"), fmt.Sprintf("+OK %d %d", messages, messages*11); got != want {
		t.Fatalf("%q, want %q", got, want)
	}
	buf := make([]byte, 64<<10)
	for _, command := range []string{"LIST\r\n", "UIDL\r\n"} {
		line := []byte(command)
		c.answer(line, buf)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		n := c.answer(line, buf)
		runtime.ReadMemStats(&after)
		if n < messages*len("100000 11\r\n")/2 {
			t.Errorf("%s is %d octets: too short", strings.TrimSpace(command), n)
		}
		// A buffer or two may have to be made anew.
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
			t.Errorf("%s allocates %d octets", strings.TrimSpace(command), allocated)
		}
	}
	if n := counted.largest.Load(); n > 16<<10 {
		t.Errorf("%d octets were kept before they were written", n)
	}
}
