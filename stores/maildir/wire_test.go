package maildir

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/protocols/pop3"
)

// wire is a client that reads what comes octet by octet.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// wired is a client of a server over a store: IMAP with INBOX selected, or POP3 with ann logged
// in.
func wired(t *testing.T, s *Store, protocol string) *wire {
	t.Helper()
	e, err := engine.New(engine.Options{Store: s, Authenticator: auth.Static(map[string]string{"ann": "secret"})})
	if err != nil {
		t.Fatal(err)
	}
	server := &protocols.Server{Protocol: imap.New(imap.Options{Engine: e, PlaintextOnLoopback: true})}
	if protocol == "pop3" {
		server.Protocol = pop3.New(pop3.Options{Engine: e, AllowPlaintext: true})
	}
	client, conn := net.Pipe()
	go server.ServeConn(conn)
	t.Cleanup(func() {
		client.Close()
		server.Close()
		e.Close()
	})
	if err := client.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, Conn: client, r: bufio.NewReaderSize(client, 16)}
	w.line()
	if protocol == "pop3" {
		w.say("USER ann", "+OK")
		w.say("PASS secret", "+OK")
	} else {
		w.ask("LOGIN ann secret")
		w.ask("SELECT INBOX")
	}
	return w
}

func (w *wire) line() string {
	w.t.Helper()
	s, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatalf("after %q: %v", s, err)
	}
	return s
}

func (w *wire) send(line string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, line+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
}

// say is a POP3 command with an answer of one line.
func (w *wire) say(line, want string) string {
	w.t.Helper()
	w.send(line)
	got := w.line()
	if !strings.HasPrefix(got, want) {
		w.t.Fatalf("%s: %q, want %q", line, got, want)
	}
	return got
}

var literal = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// ask is an IMAP command. It returns the lines of the answer, literals within, the tagged one
// last.
func (w *wire) ask(line string) (lines []string) {
	w.t.Helper()
	w.send("t " + line)
	for {
		l := w.line()
		for m := literal.FindStringSubmatch(l); m != nil; m = literal.FindStringSubmatch(l) {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				w.t.Fatal(err)
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(w.r, b); err != nil {
				w.t.Fatal(err)
			}
			l = strings.TrimSuffix(l, m[0]) + string(b) + w.line()
		}
		lines = append(lines, l)
		if strings.HasPrefix(l, "t ") {
			return lines
		}
	}
}

// While a message goes over the wire its file changes: the connection ends before what was
// announced has come, or all that comes is of the message.
func TestFileChangesOnTheWire(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		was := "Subject: x" + end + end + linesOf(100_000, end)
		for name, change := range map[string]func(p program){
			"truncated": func(p program) { p.overwrite("cur", "1.one.host:2,S", was[:len(was)/2], false) },
			"grown":     func(p program) { p.overwrite("cur", "1.one.host:2,S", was+was, false) },
			"rewritten": func(p program) { p.overwrite("cur", "1.one.host:2,S", strings.ToUpper(was), false) },
			"vanished":  func(p program) { p.remove("cur", "1.one.host:2,S") },
		} {
			for _, protocol := range []string{"imap", "pop3"} {
				t.Run(fmt.Sprintf("%s %q %s", protocol, end, name), func(t *testing.T) {
					d := realDisk(t)
					o := d.open(nil)
					p := program{t, d}
					p.d.plant(p.dir("cur"), "1.one.host:2,S", was, d.clock.now())
					want := crlf(was)
					w := wired(t, o.s, protocol)
					size := len(want)
					if protocol == "imap" {
						w.send("t FETCH 1 BODY.PEEK[]")
						m := literal.FindStringSubmatch(w.line())
						if m == nil || m[1] != fmt.Sprint(size) {
							t.Fatalf("the literal is announced as %v", m)
						}
					} else {
						w.say("RETR 1", "+OK")
					}
					got := make([]byte, size/3)
					if _, err := io.ReadFull(w.r, got); err != nil {
						t.Fatal(err)
					}
					change(p)
					rest, err := io.ReadAll(io.LimitReader(w.r, int64(size-len(got))))
					got = append(got, rest...)
					if name != "rewritten" && !strings.HasPrefix(want, string(got)) {
						t.Error("what came is not of the message")
					}
					if name == "vanished" {
						if err != nil || len(got) != size {
							t.Fatalf("%d of %d octets came: %v", len(got), size, err)
						}
						return
					}
					if len(got) == size {
						t.Error("all that was announced came, of a file that is another")
					}
					if n, err := w.r.Read(make([]byte, 1)); n != 0 || err == nil {
						t.Error("the connection goes on")
					}
				})
			}
		}
	}
}

// The file of a message that a client knows becomes another, or vanishes, before it is asked
// for: the client is told, and the connection goes on in step.
func TestFileChangedBeforeItIsAskedFor(t *testing.T) {
	was := "Subject: x\n\n" + linesOf(100, "\n")
	for name, change := range map[string]func(p program){
		"truncated": func(p program) { p.overwrite("cur", "1.one.host:2,S", was[:500], false) },
		"grown":     func(p program) { p.overwrite("cur", "1.one.host:2,S", was+was, false) },
		"replaced": func(p program) {
			p.copy("cur", "1.one.host:2,S", "tmp", "x")
			p.overwrite("tmp", "x", "Subject: y\n\nother\n", false)
			p.move("tmp", "x", "cur", "1.one.host:2,S")
		},
		"vanished": func(p program) { p.remove("cur", "1.one.host:2,S") },
	} {
		t.Run("imap "+name, func(t *testing.T) {
			d := realDisk(t)
			o := d.open(nil)
			p := program{t, d}
			p.d.plant(p.dir("cur"), "1.one.host:2,S", was, d.clock.now().Add(-2*time.Hour))
			p.deliver("cur", "2.two.host:2,S", "two")
			w := wired(t, o.s, "imap")
			w.ask("FETCH 1:2 (RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
			change(p)
			answer := w.ask("FETCH 1 BODY.PEEK[]")
			if !strings.HasPrefix(answer[len(answer)-1], "t NO [EXPUNGEISSUED]") || strings.Contains(strings.Join(answer, ""), "BODY[]") {
				t.Errorf("the answer is %.200q", answer)
			}
			// In step:
			w.ask("NOOP")
			if got := w.ask("FETCH 1 BODY.PEEK[]"); !strings.Contains(strings.Join(got, ""), "two\r\n") {
				t.Errorf("the other message is %q", got)
			}
			b, err := readAll(p.dir("cur"), "1.one.host:2,S")
			got := strings.Join(w.ask("FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])"), "")
			if err == nil && !strings.Contains(got, crlf(string(b))) {
				t.Errorf("the new message does not come: %.300q", got)
			}
			if strings.Contains(got, "UID 1 ") {
				t.Errorf("the old message is there: %.300q", got)
			}
		})
		t.Run("pop3 "+name, func(t *testing.T) {
			d := realDisk(t)
			o := d.open(nil)
			p := program{t, d}
			p.d.plant(p.dir("cur"), "1.one.host:2,S", was, d.clock.now().Add(-2*time.Hour))
			p.deliver("cur", "2.two.host:2,S", "two")
			w := wired(t, o.s, "pop3")
			w.say("LIST 1", fmt.Sprintf("+OK 1 %d", len(crlf(was))))
			change(p)
			w.say("RETR 1", "-ERR [SYS/TEMP]")
			w.say("TOP 1 0", "-ERR [SYS/TEMP]")
			w.say("NOOP", "+OK")
			w.say("RETR 2", "+OK")
			if got := w.line() + w.line(); got != "two\r\n.\r\n" {
				t.Errorf("the other message is %q", got)
			}
			w.say("QUIT", "+OK")
		})
	}
}
