package imap_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/protocols/prototest"
	"github.com/hashmail/mailaccess/stores/memory"
)

// replica is a mailbox as a client knows it that keeps what it is told (RFC 3501,
// section 5.2): "UID u FLAGS (...)" of each message, empty where it did not ask yet.
type replica struct {
	conn net.Conn
	r    *bufio.Reader
	msgs []string
	log  []string
}

var (
	countedLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)\r\n$`)
	flagsLine   = regexp.MustCompile(`^\* (\d+) FETCH \((UID \d+ FLAGS \([^)]*\))[ )]`)
)

// say says a command and takes in what comes up to its answer.
func (c *replica) say(t *testing.T, command string) {
	t.Helper()
	c.log = append(c.log, command)
	if _, err := fmt.Fprintf(c.conn, "t %s\r\n", command); err != nil {
		t.Fatal(err)
	}
	for line := ""; !strings.HasPrefix(line, "t "); {
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			t.Fatalf("%v after %q", err, c.log)
		}
		c.log = append(c.log, line)
		if m := countedLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch {
			case m[2] == "EXPUNGE":
				c.msgs = slices.Delete(c.msgs, n-1, n)
			case n < len(c.msgs):
				t.Fatalf("fewer messages without EXPUNGE: %q", c.log)
			default:
				c.msgs = append(c.msgs, make([]string, n-len(c.msgs))...)
			}
		} else if m := flagsLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			c.msgs[n-1] = strings.Replace(strings.Replace(m[2], ` \Recent`, "", 1), `\Recent`, "", 1)
		}
	}
}

// TestReplicas: three clients change a mailbox in turn, whatever comes to their mind;
// each of them that believes what it is told knows the mailbox as it is after a NOOP.
func TestReplicas(t *testing.T) {
	commands := []string{
		"NOOP", "CHECK", "EXPUNGE", "UID EXPUNGE 3:9", "APPEND INBOX {1+}\r\nx", "APPEND INBOX (\\Deleted x) {1+}\r\ny",
		"STORE 1 +FLAGS (\\Deleted)", "STORE 2:3 FLAGS (\\Seen)", "STORE 1:* -FLAGS (\\Deleted)", "UID STORE 2:7 +FLAGS (\\Deleted x)",
		"UID STORE * FLAGS (y)", "FETCH 1:2 (UID FLAGS)", "UID FETCH 1:* (FLAGS)", "FETCH 1 (UID FLAGS BODY[])", "UID FETCH 2:4 (FLAGS BODY[TEXT])",
		"SEARCH ALL", "UID SEARCH SEEN", "COPY 1 INBOX", "COPY 1:2 Box", "MOVE 2 Box", "UID MOVE 1:4 Box", "MOVE 1 INBOX", "STATUS INBOX (MESSAGES)",
		"IDLE\r\nDONE", "LIST \"\" *", "RENAME INBOX Box2", "DELETE Box2",
	}
	for _, over := range []func(testing.TB) testStore{
		func(testing.TB) testStore { return inMemory(memory.New(nil)) },
		func(testing.TB) testStore { return hostile(memory.New(nil)) },
		filedInMemory,
	} {
		for seed := range uint64(60) {
			random := rand.New(rand.NewPCG(seed, 0))
			fx := fuzzFixture()
			for i := range 6 {
				fx.Messages = append(fx.Messages, prototest.Message{User: "demo", Mailbox: "INBOX", Content: prototest.Generated(i)})
			}
			s := startServer(t, fx, over(t))
			clients := make([]*replica, 3)
			for i := range clients {
				conn, err := s.Dial()
				if err != nil {
					t.Fatal(err)
				}
				if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				clients[i] = &replica{conn: conn, r: bufio.NewReader(conn)}
				if _, err := clients[i].r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				for _, command := range []string{"LOGIN demo demo", "SELECT INBOX", "FETCH 1:* (UID FLAGS)"} {
					clients[i].say(t, command)
				}
			}
			for range 40 {
				clients[random.IntN(len(clients))].say(t, commands[random.IntN(len(commands))])
			}
			for i, c := range clients {
				c.say(t, "NOOP")
				known := slices.Clone(c.msgs)
				if c.say(t, "UID FETCH 1:* (FLAGS)"); len(known) != len(c.msgs) {
					t.Errorf("seed %d, client %d: knows %d messages of %d: %q", seed, i, len(known), len(c.msgs), c.log)
					continue
				}
				for n := range known {
					if known[n] != "" && known[n] != c.msgs[n] {
						t.Errorf("seed %d, client %d: message %d is %s, known as %s: %q", seed, i, n+1, c.msgs[n], known[n], c.log)
					}
				}
				c.conn.Close()
			}
			if err := s.Close(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
	}
}
