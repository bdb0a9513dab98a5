package hooks_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"net"
	"strings"
	"testing"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/mailaccesstest"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

// wire is a server over an application, and a client of it.
type wire struct {
	*fixture
	server *mailaccesstest.Server
}

func newWire(t *testing.T, reduce func(*hooks.Handlers)) *wire {
	t.Helper()
	f := newFixture(t, hookstest.Style{}, reduce, hooks.Options{Reconcile: -1, CacheBytes: -1})
	// The application may fail, and the server says so; a panic is contained in the store.
	return &wire{f, mailaccesstest.New(t, &mailaccesstest.Options{Store: f.store, Authenticator: f.store, Pipes: true, AllowErrors: true})}
}

// talk is a client that says lines and reads what comes.
type talk struct {
	*testing.T
	conn net.Conn
	r    *bufio.Reader
}

func (w *wire) connect(t *testing.T, service string) *talk {
	nc, err := w.server.Dial(service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &talk{t, nc, bufio.NewReader(nc)}
}

// hear reads lines up to one that begins with a prefix, and returns all.
func (c *talk) hear(prefix string) string {
	c.Helper()
	var all strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			c.Fatalf("waiting for %q, got %q: %v", prefix, all.String(), err)
		}
		if strings.HasPrefix(line, prefix) {
			return all.String()
		}
	}
}

func (c *talk) say(line string) {
	c.Helper()
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		c.Fatal(err)
	}
}

// imap logs in.
func (w *wire) imap(t *testing.T) *talk {
	c := w.connect(t, "imap")
	c.hear("* OK")
	c.do("LOGIN "+user+" secret", "OK")
	return c
}

// do says an IMAP command, wants an answer, and returns what came.
func (c *talk) do(command, want string) string {
	c.Helper()
	c.say("t " + command)
	got := c.hear("t ")
	if _, answer, _ := strings.Cut("\r\n"+got, "\r\nt "); !strings.HasPrefix(answer, want) || strings.Contains(got, "* BAD") {
		c.Errorf("%s: got %q, want %s", command, got, want)
	}
	return got
}

// pop3 logs in.
func (w *wire) pop3(t *testing.T) *talk {
	c := w.connect(t, "pop3")
	c.hear("+OK")
	c.ask("USER "+user, "+OK")
	c.ask("PASS secret", "+OK")
	return c
}

// ask says a POP3 command and wants an answer.
func (c *talk) ask(command, want string) {
	c.Helper()
	c.say(command)
	if line, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, want) {
		c.Errorf("%s: got %q, %v; want %s", command, line, err, want)
	}
}

// Three functions make a server that reads, over both protocols. What it cannot do is
// not offered, and refused with a NO that says so.
func TestReadOnlyOnTheWire(t *testing.T) {
	w := newWire(t, variants["read only"])
	w.put(mailaccess.Inbox, hookstest.Message{Flags: []string{hooks.Flagged}})
	c := w.imap(t)
	if got := c.do("CAPABILITY", "OK"); strings.Contains(got, "MULTIAPPEND") || strings.Contains(got, " MOVE") || strings.Contains(got, "UIDPLUS") {
		t.Errorf("offered: %s", got)
	}
	if got := c.do("SELECT INBOX", "OK [READ-ONLY]"); !strings.Contains(got, "* 1 EXISTS") || !strings.Contains(got, "[PERMANENTFLAGS ()]") {
		t.Errorf("SELECT: %s", got)
	}
	if got := c.do("FETCH 1 (FLAGS BODY[TEXT])", "OK"); !strings.Contains(got, "text\r\n") || !strings.Contains(got, `\Flagged`) {
		t.Errorf("FETCH: %s", got)
	}
	for _, command := range []string{
		`STORE 1 +FLAGS (\Seen)`, "COPY 1 INBOX", "EXPUNGE", "CREATE Work", "RENAME INBOX Work", "DELETE Work", "APPEND INBOX {3+}\r\nx\r\n",
	} {
		c.do(command, "NO ")
	}
	c.do("NOOP", "OK")

	p := w.pop3(t)
	p.ask("STAT", "+OK 1 ")
	p.ask("RETR 1", "+OK")
	p.hear(".\r\n")
	p.ask("DELE 1", "-ERR")
	p.ask("QUIT", "+OK")
	if n := len(w.app.Messages(user, mailaccess.Inbox)); n != 1 {
		t.Errorf("the application has %d messages", n)
	}
}

// Without the batch function there is no APPEND and no COPY of several messages.
func TestOneByOneOnTheWire(t *testing.T) {
	for _, batch := range []bool{false, true} {
		w := newWire(t, func(h *hooks.Handlers) {
			if !batch {
				variants["five functions"](h)
			}
		})
		w.fill(2)
		c := w.imap(t)
		if got := c.do("CAPABILITY", "OK"); strings.Contains(got, "MULTIAPPEND") && !batch {
			t.Errorf("offered: %s", got)
		}
		c.do("SELECT INBOX", "OK [READ-WRITE]")
		c.do("COPY 1 INBOX", "OK")
		want := "OK"
		if !batch {
			want = "NO [CANNOT] "
		}
		c.do("COPY 1:2 INBOX", want)
		if n := len(w.app.Messages(user, mailaccess.Inbox)); batch && n != 5 || !batch && n != 3 {
			t.Errorf("batch %v: the application has %d messages", batch, n)
		}
	}
}

// An error of the application is the answer that belongs to it, over both protocols,
// and a function that panics or declines harms its command alone.
func TestErrorsOnTheWire(t *testing.T) {
	var refuse func() error // of every function but Authenticate
	check := func() error {
		if refuse == nil {
			return nil
		}
		return refuse()
	}
	w := newWire(t, func(h *hooks.Handlers) {
		add, update, items, create := h.AddMailItem, h.UpdateMailItem, h.MailItems, h.CreateMailBox
		h.OpenMailItem = nil
		h.AddMailItem = func(ctx context.Context, email string, n hooks.NewItem) (string, error) {
			if err := check(); err != nil {
				return "", err
			}
			return add(ctx, email, n)
		}
		h.UpdateMailItem = func(ctx context.Context, email string, c hooks.Change) error {
			if err := check(); err != nil {
				return err
			}
			return update(ctx, email, c)
		}
		h.CreateMailBox = func(ctx context.Context, email string, b hooks.Box) error {
			if err := check(); err != nil {
				return err
			}
			return create(ctx, email, b)
		}
		h.MailItems = func(ctx context.Context, email string, q hooks.ItemQuery) iter.Seq2[hooks.Item, error] {
			return func(yield func(hooks.Item, error) bool) {
				if q.Fields.Has(hooks.FieldBody) {
					if err := check(); err != nil {
						yield(hooks.Item{}, err)
						return
					}
				}
				items(ctx, email, q)(yield)
			}
		}
	})
	w.fill(1)
	c := w.imap(t)
	c.do("SELECT INBOX", "OK")
	p := w.pop3(t)
	for _, test := range []struct {
		name   string
		refuse func() error
		imap   string
		pop3   string
	}{
		{"plain", func() error { return fmt.Errorf("the database is away") }, "NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] "},
		{"quota", func() error { return mailaccess.KindOverQuota }, "NO [OVERQUOTA] ", "-ERR "},
		{"forbidden", func() error { return fmt.Errorf("policy: %w", mailaccess.KindForbidden) }, "NO [NOPERM] ", "-ERR "},
		{"limit", func() error { return mailaccess.KindLimit }, "NO [LIMIT] ", "-ERR "},
		{"corrupt", func() error { return mailaccess.KindCorrupt }, "NO [CORRUPTION] ", "-ERR [SYS/PERM] "},
		{"panic", func() error { panic("content") }, "NO [SERVERBUG] ", "-ERR [SYS/"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c.T, p.T = t, t
			refuse = test.refuse
			c.do("CREATE Work", test.imap)
			c.do(`STORE 1 +FLAGS (\Flagged)`, test.imap)
			c.do("APPEND INBOX {3+}\r\nx\r\n", test.imap)
			c.do("FETCH 1 BODY.PEEK[]", "NO ")
			p.ask("RETR 1", test.pop3)
			refuse = nil
			c.do("NOOP", "OK")
			p.ask("NOOP", "+OK")
		})
	}
	c.T, p.T = t, t
	c.do("FETCH 1 BODY.PEEK[]", "OK")
	p.ask("RETR 1", "+OK")
	p.hear(".\r\n")
	if n := len(w.app.Messages(user, mailaccess.Inbox)); n != 1 {
		t.Errorf("the application has %d messages, want 1", n)
	}
}
