package hooks_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/protocols/mailserver"
	"github.com/hashmail/mailaccess/stores/hooks"
	"github.com/hashmail/mailaccess/stores/hooks/hookstest"
)

const ann = "ann@example.org"

// TestClients: an application's mail changes as it likes, and clients learn of it
// through NOOP, by selecting anew, by connecting anew, or by QRESYNC; with a state file the server
// is restarted now and then, and INBOX keeps its UIDVALIDITY. Each of them, believing
// what it is told and keeping what it has read, ends with exactly what the application
// has.
func TestClients(t *testing.T) {
	styles := []struct {
		name string
		hookstest.Style
	}{
		{"plain", hookstest.Style{}},
		{"whole", hookstest.Style{Whole: true}},
		{"versions", hookstest.Style{Versions: true, Revisions: true, Sizes: true}},
		{"changes", hookstest.Style{Versions: true, Changes: true, BoxKeys: true, Revisions: true}},
	}
	for _, style := range styles {
		for _, push := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s push=%v", style.name, push), func(t *testing.T) {
				dir, n := filepath.Dir(stateFile(t)), 0
				rapid.Check(t, func(rt *rapid.T) {
					// The clock is the bubble's: what a timer finds is found
					// at once. rapid ends tests by panics, and wants them in
					// its own goroutine.
					var failed error
					var escaped any
					options := hooks.Options{}
					if rapid.Bool().Draw(rt, "file") {
						n++
						options.SyncState = filepath.Join(dir, fmt.Sprint("state", n))
					}
					synctest.Test(t, func(*testing.T) {
						defer func() { escaped = recover() }()
						failed = checkClients(rt, style.Style, push, options)
					})
					if escaped != nil {
						panic(escaped)
					}
					if failed != nil {
						rt.Fatal(failed)
					}
				})
			})
		}
	}
}

// interval is how often the adapter compares what is in use.
const interval = time.Minute

func checkClients(t *rapid.T, style hookstest.Style, push bool, options hooks.Options) (err error) {
	w := &world{t: t, style: style, app: hookstest.New(style)}
	w.app.AddUser(ann, "secret")
	for range 2 {
		if err := w.put(mailaccess.Inbox); err != nil {
			return err
		}
	}
	// Without revisions other bytes are found out by reading them.
	options.Reconcile, options.CacheBytes = interval, -1
	if push {
		options.Reconcile = -1
	}
	w.options = options
	if err := w.start(); err != nil {
		return err
	}
	w.clients = []*client{{w: w}, {w: w}, {w: w, reselects: true}, {w: w, reconnects: true}}
	w.resyncing = &resyncing{w: w}
	defer func() { err = errors.Join(err, w.stop()) }()
	for round := range rapid.IntRange(1, 4).Draw(t, "rounds") {
		for range rapid.IntRange(0, 8).Draw(t, "changes") {
			boxes, err := w.change()
			if err != nil {
				return err
			}
			if push {
				w.store.Push(ann, boxes...)
			}
			if rapid.Bool().Draw(t, "look in between") {
				w.clients[0].look()
			}
			if options.SyncState != "" && rapid.IntRange(0, 5).Draw(t, "restart") == 5 {
				w.log = append(w.log, "restart")
				if err := errors.Join(w.stop(), w.start()); err != nil {
					return err
				}
			}
		}
		if push {
			synctest.Wait() // until what was pushed has been compared
		} else {
			time.Sleep(3 * interval)
		}
		for i, c := range w.clients {
			if err := c.settle(); err != nil {
				return fmt.Errorf("round %d, client %d: %w\n%s", round, i, err, strings.Join(w.log, "\n"))
			}
		}
		if err := w.resyncing.settle(); err != nil {
			return fmt.Errorf("round %d: %w\n%s", round, err, strings.Join(w.log, "\n"))
		}
	}
	return nil
}

// world is an application with a server before it.
type world struct {
	t       *rapid.T
	style   hookstest.Style
	app     *hookstest.App
	options hooks.Options
	store   *hooks.Store
	server  *mailserver.Server
	clients []*client
	// resyncing is one more.
	resyncing *resyncing
	bodies    int
	log       []string // what was done
}

func (w *world) start() (err error) {
	if w.store, err = hooks.New(w.app.Handlers(), &w.options); err != nil {
		return err
	}
	w.server, err = mailserver.New(w.store, w.store, nil)
	return err
}

func (w *world) stop() error {
	for _, c := range w.clients {
		c.hangUp()
	}
	if w.resyncing != nil {
		w.resyncing.hangUp()
	}
	err := errors.Join(w.server.Shutdown(context.Background()), w.store.Close())
	synctest.Wait()
	return err
}

var keptFlags = []string{hooks.Seen, hooks.Answered, hooks.Flagged, hooks.Deleted, hooks.Draft, "$Forwarded", "work"}

func (w *world) flags() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(keptFlags), 0, 3, rapid.ID[string]).Draw(w.t, "flags")
}

// body is a message that there was never before. Some have as many octets as others.
func (w *world) body() []byte {
	w.bodies++
	return fmt.Appendf(nil, "Subject: %04d\n\n%s\n", w.bodies, strings.Repeat("line\r\n", w.bodies%3))
}

func (w *world) put(box string) error {
	_, err := w.app.Put(ann, box, hookstest.Message{Flags: w.flags(), Body: w.body(), Received: time.Now()})
	return err
}

// change does something to the application's mail and returns the mailboxes to push:
// none for all.
func (w *world) change() (changed []string, err error) {
	boxes := w.app.Mailboxes(ann)
	box := rapid.SampledFrom(boxes).Draw(w.t, "box")
	key := ""
	if all := w.app.Messages(ann, box); len(all) > 0 {
		key = rapid.SampledFrom(all).Draw(w.t, "message").Key
	}
	names := slices.DeleteFunc([]string{"Work", "Work/Old", "Home", "Ünterwegs"}, func(n string) bool { return slices.Contains(boxes, n) })
	what := rapid.SampledFrom([]string{"put", "put", "put", "remove", "flags", "flags", "body", "return", "create", "rename", "delete"}).Draw(w.t, "what")
	w.log = append(w.log, fmt.Sprint(what, " ", box, " ", key))
	switch {
	case what == "put":
		err = w.put(box)
	case what == "create" && len(names) > 0:
		err = w.app.Create(ann, rapid.SampledFrom(names).Draw(w.t, "name"), 0)
		box = ""
	case what == "rename" && len(names) > 0 && box != mailaccess.Inbox:
		to := rapid.SampledFrom(names).Draw(w.t, "name")
		if !strings.HasPrefix(to, box+"/") && !slices.ContainsFunc(boxes, func(n string) bool { return strings.HasPrefix(n, box+"/") }) {
			err = w.app.Rename(ann, box, to)
			w.leave(box)
		}
		box = ""
	case what == "delete" && box != mailaccess.Inbox:
		err = w.app.Delete(ann, box)
		w.leave(box)
		box = ""
	case key == "":
	case what == "remove":
		err = w.app.Remove(ann, box, key)
	case what == "flags":
		err = w.app.SetFlags(ann, box, key, w.flags()...)
	case what == "body":
		err = w.app.SetBody(ann, box, key, w.body())
	case what == "return": // what was removed comes again, with its key
		all := w.app.Messages(ann, box)
		m := all[slices.IndexFunc(all, func(m hookstest.Message) bool { return m.Key == key })]
		if err = w.app.Remove(ann, box, key); err == nil {
			_, err = w.app.Put(ann, box, m)
		}
	}
	if err != nil || box == "" {
		return nil, err
	}
	return []string{box}, nil
}

// leave says that the name of a mailbox is not that of what clients have selected any
// more, whoever has the name next.
func (w *world) leave(box string) {
	for _, c := range w.clients {
		c.left = c.left || c.selected == box
	}
}

// truth is what a client shall find in a mailbox: each message, in canonical form, with
// its flags.
func (w *world) truth(box string) []string {
	var all []string
	for _, m := range w.app.Messages(ann, box) {
		body := bytes.ReplaceAll(bytes.ReplaceAll(m.Body, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		all = append(all, describe(m.Flags, body))
	}
	slices.Sort(all)
	return all
}

func describe(flags []string, body []byte) string {
	flags = slices.DeleteFunc(slices.Clone(flags), func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return fmt.Sprintf("%q %q", flags, body)
}

// client is one that keeps what it is told (RFC 3501, section 5.2), and the bytes that
// it has read, under UIDVALIDITY and UID.
type client struct {
	w                     *world
	reselects, reconnects bool

	conn     net.Conn
	r        *bufio.Reader
	selected string
	left     bool // see world.leave
	validity string
	inbox    string // the UIDVALIDITY of INBOX, which stays
	msgs     []known
	bodies   map[string][]byte
}

type known struct {
	uid   string // empty: not asked yet
	flags []string
}

func (c *client) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	c.selected = ""
}

func (c *client) connect() error {
	near, far := net.Pipe()
	go c.w.server.IMAP.ServeConn(far)
	c.conn, c.r = near, bufio.NewReader(near)
	if c.bodies == nil {
		c.bodies = make(map[string][]byte)
	}
	if _, err := c.r.ReadString('\n'); err != nil {
		return err
	}
	_, err := c.say("LOGIN " + ann + " secret")
	return err
}

var (
	counted  = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)\r\n$`)
	fetched  = regexp.MustCompile(`^\* (\d+) FETCH \(`)
	uidItem  = regexp.MustCompile(`UID (\d+)`)
	flagItem = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	validity = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	literal  = regexp.MustCompile(`\{(\d+)\}\r\n$`)
	listed   = regexp.MustCompile(`^\* LIST \(([^)]*)\) "/" "?([^"\r]*)"?\r\n$`)
)

// say says a command, takes in what comes up to its answer, and returns the names of a
// list. An answer that is not OK is an error.
func (c *client) say(command string) (list []string, err error) {
	if _, err := fmt.Fprintf(c.conn, "t %s\r\n", command); err != nil {
		return nil, err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
		if answer, ok := strings.CutPrefix(line, "t "); ok {
			if !strings.HasPrefix(answer, "OK") {
				return nil, fmt.Errorf("%s: %s", command, answer)
			}
			return list, nil
		}
		if m := counted.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			switch {
			case m[2] == "EXPUNGE" && n <= len(c.msgs):
				c.msgs = slices.Delete(c.msgs, n-1, n)
			case m[2] == "EXPUNGE", n < len(c.msgs):
				return nil, fmt.Errorf("%s: %d messages are known, told %s", command, len(c.msgs), line)
			default:
				c.msgs = append(c.msgs, make([]known, n-len(c.msgs))...)
			}
		} else if m := fetched.FindStringSubmatch(line); m != nil {
			if err := c.take(m[1], line); err != nil {
				return nil, err
			}
		} else if m := validity.FindStringSubmatch(line); m != nil {
			c.validity = m[1]
			if c.selected == mailaccess.Inbox {
				if c.inbox != "" && c.inbox != m[1] {
					return nil, fmt.Errorf("INBOX had UIDVALIDITY %s, and has %s", c.inbox, m[1])
				}
				c.inbox = m[1]
			}
		} else if m := listed.FindStringSubmatch(line); m != nil && !strings.Contains(m[1], `\Noselect`) {
			list = append(list, m[2])
		}
	}
}

// take takes in what is told of one message.
func (c *client) take(number, line string) error {
	n, _ := strconv.Atoi(number)
	if n < 1 || n > len(c.msgs) {
		return fmt.Errorf("%d messages are known, told %s", len(c.msgs), line)
	}
	m := &c.msgs[n-1]
	if f := flagItem.FindStringSubmatch(line); f != nil {
		m.flags = strings.Fields(f[1])
	}
	if u := uidItem.FindStringSubmatch(line); u != nil {
		if m.uid != "" && m.uid != u[1] {
			return fmt.Errorf("message %d has the UID %s, told %s", n, m.uid, line)
		}
		m.uid = u[1]
	}
	l := literal.FindStringSubmatch(line)
	if l == nil {
		return nil
	}
	size, _ := strconv.Atoi(l[1])
	body := make([]byte, size)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return err
	}
	if _, err := c.r.ReadString('\n'); err != nil {
		return err
	}
	if have, ok := c.bodies[c.name(m.uid)]; ok && !bytes.Equal(have, body) {
		return fmt.Errorf("UID %s had the bytes %q, and has %q", m.uid, have, body)
	}
	c.bodies[c.name(m.uid)] = body
	return nil
}

// name is the name of a message for ever (RFC 3501, section 2.3.1.1).
func (c *client) name(uid string) string { return c.selected + "\x00" + c.validity + "\x00" + uid }

// look is a NOOP at any time.
func (c *client) look() {
	if c.conn == nil {
		return
	}
	if _, err := c.say("NOOP"); err != nil {
		c.hangUp()
	}
}

// settle compares all mailboxes with the application's: first the one that is selected,
// if the client stays, then each of the others.
func (c *client) settle() error {
	if c.reconnects {
		c.hangUp()
	}
	if c.conn != nil {
		switch _, err := c.say("NOOP"); {
		case errors.Is(err, io.EOF):
			c.hangUp() // the mailbox has been deleted
		case err != nil:
			return err
		case c.left || c.reselects:
		default:
			if err := c.compare(c.selected); err != nil {
				return fmt.Errorf("having stayed in %s: %w", c.selected, err)
			}
		}
	}
	if c.left = false; c.conn == nil {
		if err := c.connect(); err != nil {
			return err
		}
	}
	list, err := c.say(`LIST "" *`)
	if err != nil {
		return err
	}
	for i, name := range list {
		list[i] = strings.ReplaceAll(name, "&ANw-", "Ü")
	}
	slices.Sort(list)
	want := c.w.app.Mailboxes(ann)
	if !slices.Equal(list, want) {
		return fmt.Errorf("mailboxes %q, want %q", list, want)
	}
	for _, box := range want {
		c.selected, c.msgs = box, nil
		if _, err := c.say(`SELECT "` + strings.ReplaceAll(box, "Ü", "&ANw-") + `"`); err != nil {
			return err
		}
		if err := c.compare(box); err != nil {
			return fmt.Errorf("mailbox %s: %w", box, err)
		}
	}
	// One of them stays selected.
	c.selected, c.msgs = rapid.SampledFrom(want).Draw(c.w.t, "selected"), nil
	_, err = c.say(`SELECT "` + strings.ReplaceAll(c.selected, "Ü", "&ANw-") + `"`)
	if err == nil {
		err = c.compare(c.selected)
	}
	return err
}

// compare asks for what is not known yet, and compares what then is.
func (c *client) compare(box string) error {
	if !c.w.style.Revisions && !c.w.style.Whole {
		// Only whoever reads learns of other bytes, and then by a new message.
		for range 2 {
			if len(c.msgs) > 0 {
				_, _ = c.say("UID FETCH 1:* (UID FLAGS BODY.PEEK[])")
			}
			if _, err := c.say("NOOP"); err != nil {
				return err
			}
		}
	}
	for _, m := range c.msgs {
		if m.uid == "" || m.flags == nil {
			if _, err := c.say("FETCH 1:* (UID FLAGS)"); err != nil {
				return err
			}
			break
		}
	}
	have := make(map[string]struct{})
	var got []string
	for _, m := range slices.Clone(c.msgs) {
		have[m.uid] = struct{}{}
		if _, ok := c.bodies[c.name(m.uid)]; !ok {
			if _, err := c.say("UID FETCH " + m.uid + " BODY.PEEK[]"); err != nil {
				return err
			}
		}
		got = append(got, describe(m.flags, c.bodies[c.name(m.uid)]))
	}
	if len(have) != len(got) {
		return fmt.Errorf("UIDs %q of %d messages", slices.Sorted(maps.Keys(have)), len(got))
	}
	slices.Sort(got)
	if want := c.w.truth(box); !slices.Equal(got, want) {
		return fmt.Errorf("has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return nil
}
