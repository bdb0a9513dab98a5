//go:build linux

package attack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// few are as many clients as take much of the server's time.
func few() int { return max(2, scaled(8)) }

const million = 1_000_000

// repeated is a text that is the same again and again, but for its beginning and its end.
type repeated struct {
	begin, again string
	n            int
	end          string
}

func (r repeated) String() string { return r.begin + strings.Repeat(r.again, r.n) + r.end }

// commandAttacks are commands that are larger than anybody needs.
func commandAttacks() []attack {
	var all []attack
	for _, a := range []struct {
		name    string
		command repeated
	}{
		{"parentheses, SEARCH", repeated{"SEARCH ", "(", million, ""}},
		{"parentheses, FETCH", repeated{"FETCH 1 ", "(", million, ""}},
		{"parentheses, THREAD", repeated{"THREAD REFERENCES UTF-8 ", "(", million, ""}},
		{"parentheses, CATENATE", repeated{"APPEND INBOX CATENATE ", "(", million, ""}},
		{"OR", repeated{"SEARCH ", "OR SEEN ", million, "SEEN"}},
		{"NOT", repeated{"SEARCH ", "NOT ", million, "SEEN"}},
		{"OR with literals", repeated{"SEARCH ", "OR TEXT {1+}\r\nx ", million / 10, "SEEN"}},
		{"search keys", repeated{"SEARCH", " SEEN", million, ""}},
		{"sort keys", repeated{"SORT (", "SUBJECT ", million, "DATE) UTF-8 ALL"}},
		{"mailboxes of ESEARCH", repeated{"ESEARCH IN (mailboxes (", "a ", million, "b)) ALL"}},
		{"FETCH sections", repeated{"FETCH 1 (", "BODY.PEEK[1.1.1] ", million, "UID)"}},
		{"FETCH parts", repeated{"FETCH 1 BODY.PEEK[", "1.", million, "1]"}},
		{"FETCH fields", repeated{"FETCH 1 BODY.PEEK[HEADER.FIELDS (", "SUBJECT ", million, "X)]"}},
		{"flags", repeated{"STORE 1 +FLAGS (", "x ", million, "y)"}},
		{"ranges", repeated{"UID FETCH ", "1,", million, "1 UID"}},
		{"patterns", repeated{"LIST \"\" (", "* ", million, "x)"}},
		{"status items", repeated{"STATUS INBOX (", "MESSAGES ", million, "UNSEEN)"}},
		{"NOTIFY", repeated{"NOTIFY SET ", "(personal (MessageNew MessageExpunge)) ", million / 10, "(selected NONE)"}},
		{"ID", repeated{"ID (", "\"a\" \"b\" ", million, "\"a\" NIL)"}},
		{"line", repeated{"NOOP ", "x", scaled(100 * million), ""}},
		{"tag", repeated{"", "x", scaled(10 * million), ""}},
		{"name", repeated{"SELECT \"", "a", scaled(10 * million), "\""}},
		{"literals of four gigabytes", repeated{"APPEND INBOX {4294967295}", "", 0, ""}},
		{"literals of four gigabytes at once", repeated{"APPEND INBOX {4294967295+}\r\n", "", 0, ""}},
		{"literals of four gigabytes, SEARCH", repeated{"SEARCH TEXT {4294967295+}\r\n", "", 0, ""}},
		{"literals of exabytes", repeated{"APPEND INBOX {9223372036854775807+}\r\n", "", 0, ""}},
	} {
		all = append(all, attack{name: a.name, clients: few(), holds: loggedIn, client: refusedCommand(sessionOf(false), a.command)})
	}
	greeted := func(ctx context.Context, s *server) (*client, error) { return s.greeted(ctx, false) }
	for _, a := range []struct {
		name    string
		command repeated
	}{
		{"parentheses before the login", repeated{"ID ", "(", million, ""}},
		{"line before the login", repeated{"LOGIN ", "x", scaled(10 * million), ""}},
		{"literals of four gigabytes before the login", repeated{"LOGIN {4294967295+}\r\n", "", 0, ""}},
		{"base64 before the login", repeated{"AUTHENTICATE PLAIN ", "AAAA", scaled(10 * million), ""}},
	} {
		all = append(all, attack{name: a.name, clients: scaled(50), holds: beforeLogin, client: refusedCommand(greeted, a.command)})
	}
	for _, a := range []struct {
		name string
		line repeated
	}{
		{"POP3 line", repeated{"USER ", "x", scaled(10 * million), "\r\n"}},
		{"POP3 base64", repeated{"AUTH PLAIN ", "AAAA", scaled(10 * million), "\r\n"}},
		{"POP3 nonsense", repeated{"", "x\r\n", scaled(million), ""}},
	} {
		line := sync.OnceValue(a.line.String)
		all = append(all, attack{name: a.name, clients: scaled(50), holds: beforeLogin, client: func(ctx context.Context, s *server, _ int, done func()) error {
			c, err := dial(ctx, s.pop3, nil)
			if err != nil {
				return err
			}
			defer c.close()
			go c.say(line())
			_, err = c.until("-ERR")
			done()
			return err
		}})
	}
	return all
}

func sessionOf(secure bool) func(ctx context.Context, s *server) (*client, error) {
	return func(ctx context.Context, s *server) (*client, error) { return s.session(ctx, "mallory", secure) }
}

// refusedCommand says a command again and again that must be refused.
func refusedCommand(connect func(context.Context, *server) (*client, error), what repeated) func(context.Context, *server, int, func()) error {
	text := sync.OnceValue(what.String)
	return func(ctx context.Context, s *server, _ int, done func()) error {
		c, err := connect(ctx, s)
		if err != nil {
			return err
		}
		defer c.close()
		command := text()
		// It may be refused, and the connection be ended, before all of it was sent: what
		// the server says is heard meanwhile.
		said := make(chan error, 1)
		go func() {
			said <- c.say("a ", command, "\r\n")
		}()
		line, err := c.until("a ", "a", "* BAD", "* BYE")
		done()
		if err != nil {
			return err
		}
		_, answer, _ := strings.Cut(line, " ")
		if strings.HasPrefix(answer, "OK") {
			return fmt.Errorf("%.80q was answered with %q", command, answer)
		}
		if strings.HasPrefix(answer, "BYE") || strings.HasSuffix(command, "+}\r\n") {
			return nil
		}
		if err := <-said; err != nil {
			return err
		}
		// The server is in step.
		return c.expect([]string{"OK", "BYE"}, "NOOP")
	}
}

// deflated is a text, compressed.
func (r repeated) deflated() []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is one that there is
	}
	piece := strings.Repeat(r.again, 1<<20/len(r.again))
	io.WriteString(w, r.begin) //nolint:errcheck // a buffer takes everything
	for n := r.n * len(r.again); n > 0; n -= len(piece) {
		io.WriteString(w, piece[:min(len(piece), n)]) //nolint:errcheck
	}
	w.Flush() //nolint:errcheck
	return b.Bytes()
}

func drain(nc net.Conn) { io.Copy(io.Discard, nc) }
