package maildir

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
)

// countedWrites is a connection that counts what is written to it.
type countedWrites struct {
	net.Conn
	writes atomic.Int64
}

func (c *countedWrites) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Of each message that is asked for, its file is opened once, looked at once besides, and read
// once if it is not large; the names of files are read ahead. What is sent goes out in few
// writes.
func TestReadingTakesFewCalls(t *testing.T) {
	const n = 64
	for _, end := range []string{"\n", "\r\n"} {
		text := func(octets int) func(int) string {
			part := strings.Repeat(strings.Repeat("0123456789 ", 6)+end, octets/68)
			return func(i int) string {
				return strings.ReplaceAll(mail(i), "\r\n", end) + part
			}
		}
		for _, test := range []struct {
			octets int
			fetch  string
			reads  int // of each file
			writes int // at most
		}{
			{4 << 10, "FETCH 1:* BODY.PEEK[]", 1, n/4 + 1},
			{4 << 10, "FETCH 1:* BODY.PEEK[1]", 1, 1},
			{4 << 10, "FETCH 7 BODY.PEEK[]", 1, 1},
			{14 << 10, "FETCH 7 BODY.PEEK[]", 1, 1},
			{40 << 10, "FETCH 7 BODY.PEEK[]", 3, 2},
			{40 << 10, "FETCH 7 BODY.PEEK[1]", 1, 1},
		} {
			g := newGround(t)
			now := g.now()
			g.now = func() time.Time { return now } // no file is renamed
			g.deliver("ann", n, text(test.octets))
			s := g.open(nil)
			v := serve(t, s)
			client, server := net.Pipe()
			counted := &countedWrites{Conn: server}
			go v.server.ServeConn(counted)
			t.Cleanup(func() { client.Close() })
			c := v.greet(client, "SELECT INBOX", "FETCH 1:* (RFC822.SIZE BODYSTRUCTURE)")
			counted.writes.Store(0)
			ops := g.during(func() { c.do(test.fetch) })
			name := fmt.Sprintf("%q lines, %d octets, %s", end, test.octets, test.fetch)
			messages := n
			if !strings.Contains(test.fetch, "*") {
				messages = 1
			}
			var index int
			calls := make(map[fsys.Kind]int)
			for _, o := range ops {
				if ofMessages(o.Dir) {
					calls[o.Kind]++
				} else if o.Kind == fsys.OpRead {
					index++
				}
			}
			if calls[fsys.OpOpen] != messages || calls[fsys.OpStat] != messages {
				t.Errorf("%s: %d opened, %d looked at, want %d", name, calls[fsys.OpOpen], calls[fsys.OpStat], messages)
			}
			if got := calls[fsys.OpRead]; got > messages*test.reads {
				t.Errorf("%s: %d reads of %d files, want %d of each", name, got, messages, test.reads)
			}
			if len(calls) != 3 {
				t.Errorf("%s: other calls besides: %v", name, calls)
			}
			if index > 6+messages/8 {
				t.Errorf("%s: %d reads of the index", name, index)
			}
			if got := int(counted.writes.Load()); got > test.writes {
				t.Errorf("%s: %d writes, want %d", name, got, test.writes)
			}
			s.Close()
		}
	}
}
