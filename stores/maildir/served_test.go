package maildir

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/auth"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/protocols"
	"github.com/hashmail/mailaccess/protocols/imap"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index"
	"github.com/hashmail/mailaccess/stores/maildir/internal/index/indextest"
)

// ground is a directory for stores, with everything counted that they do in it.
type ground struct {
	tb   testing.TB
	dir  string
	now  func() time.Time
	ops  fsys.Counters
	mu   sync.Mutex
	note func(fsys.Op)
}

// newGround returns an empty one. Its clock is an hour ahead of that of the files, so that the
// times of directories have always settled.
func newGround(tb testing.TB) *ground {
	g := &ground{tb: tb, dir: tb.TempDir(), now: func() time.Time { return time.Now().Add(time.Hour) }}
	g.ops.Observe(func(o fsys.Op) {
		g.mu.Lock()
		note := g.note
		g.mu.Unlock()
		if note != nil {
			note(o)
		}
	})
	return g
}

// open opens a store, until the end of the test.
func (g *ground) open(opts *Options) *Store {
	g.tb.Helper()
	root, err := fsys.OpenRoot(g.dir)
	if err != nil {
		g.tb.Fatal(err)
	}
	p, err := parsePattern(".")
	if err != nil {
		g.tb.Fatal(err)
	}
	s, err := open(fsys.Counting(root, &g.ops), p, opts, g.now)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.tb.Cleanup(func() { s.Close() }) //nolint:errcheck // whoever cares has closed it
	return s
}

// during does something and returns what was done to the disk meanwhile.
func (g *ground) during(do func()) (ops []fsys.Op) {
	var mu sync.Mutex
	set := func(f func(fsys.Op)) {
		g.mu.Lock()
		g.note = f
		g.mu.Unlock()
	}
	set(func(o fsys.Op) {
		mu.Lock()
		ops = append(ops, o)
		mu.Unlock()
	})
	do()
	set(nil)
	mu.Lock()
	defer mu.Unlock()
	return ops
}

// ofMessages reports whether a directory is one of those with messages.
func ofMessages(dir string) bool {
	base := filepath.Base(dir)
	return base == "cur" || base == "new" || base == "spool"
}

// openedFiles returns how many message files were opened, listedDirs how many directories of
// messages were listed.
func openedFiles(ops []fsys.Op) (n int) {
	for _, o := range ops {
		if o.Kind == fsys.OpOpen && ofMessages(o.Dir) {
			n++
		}
	}
	return n
}

func listedDirs(ops []fsys.Op) (n int) {
	for _, o := range ops {
		if o.Kind == fsys.OpList && ofMessages(o.Dir) {
			n++
		}
	}
	return n
}

func ofKind(ops []fsys.Op, kinds ...fsys.Kind) (n int) {
	for _, o := range ops {
		for _, k := range kinds {
			if o.Kind == k {
				n++
			}
		}
	}
	return n
}

// octetsRead is how much was asked for.
func octetsRead(ops []fsys.Op) (n int) {
	for _, o := range ops {
		if o.Kind == fsys.OpRead {
			n += o.Size
		}
	}
	return n
}

// account opens the account of a user.
func (g *ground) account(s *Store, name string) *handle {
	g.tb.Helper()
	a, err := s.Open(context.Background(), name, mailaccess.Identity{User: name, Account: name})
	if err != nil {
		g.tb.Fatal(err)
	}
	return a.(*handle)
}

func (g *ground) close(s *Store) {
	g.tb.Helper()
	if err := s.Close(); err != nil {
		g.tb.Fatal(err)
	}
}

// pretend makes ann's INBOX one of n messages as far as the index knows, which trusts the
// directories: there are no files.
func (g *ground) pretend(n int) {
	g.tb.Helper()
	s := g.open(nil)
	h := g.account(s, "ann")
	m, err := h.Lookup(context.Background(), mailaccess.Inbox)
	if err != nil {
		g.tb.Fatal(err)
	}
	g.close(s)
	root, err := fsys.OpenRoot(filepath.Join(g.dir, "ann", indexDir))
	if err != nil {
		g.tb.Fatal(err)
	}
	defer root.Close()
	id := string(m.ID)
	if err := index.Remove(root, id); err != nil {
		g.tb.Fatal(err)
	}
	if err := indextest.Build(root, id, n); err != nil {
		g.tb.Fatal(err)
	}
	ix, err := index.Open(root, id, nil)
	if err != nil {
		g.tb.Fatal(err)
	}
	var times [2]int64
	for i, name := range []string{"cur", "new"} {
		d, err := fsys.OpenRoot(filepath.Join(g.dir, "ann", name))
		if err != nil {
			g.tb.Fatal(err)
		}
		info, err := d.Stat()
		d.Close()
		if err != nil {
			g.tb.Fatal(err)
		}
		times[i] = info.ModTime.UnixNano()
	}
	if err := ix.Load(); err != nil {
		g.tb.Fatal(err)
	}
	ix.SetDirTimes(times[0], times[1])
	c := ix.Capture(1)
	err = c.Write()
	if ix.Done(c, err); err != nil {
		g.tb.Fatal(err)
	}
	ix.Release()
}

// mail is message number i of a corpus: of two parts, about 700 octets, one in eight an answer
// to the one before.
func mail(i int) string {
	answers := ""
	if i%8 == 7 {
		answers = fmt.Sprintf("In-Reply-To: <%d@example.org>\r\n", i-1)
	}
	return fmt.Sprintf("From: Sender %d <sender%d@example.org>\r\nTo: Ann <ann@example.org>\r\nCc: list@example.org\r\n"+
		"Subject: message %d of some\r\nDate: Mon, 2 Mar 2026 10:%02d:%02d +0100\r\nMessage-ID: <%d@example.org>\r\n%s"+
		"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"+
		"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThis is what message %d says.\r\n"+
		"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>This is what message %d says.</p>\r\n--b--\r\n",
		i, i%100, i, i/60%60, i%60, i, answers, i, i)
}

// deliver puts n messages into new, as another program does.
func (g *ground) deliver(user string, n int, text func(i int) string) {
	g.tb.Helper()
	root, err := fsys.CreateRoot(filepath.Join(g.dir, user, "new"))
	if err != nil {
		g.tb.Fatal(err)
	}
	defer root.Close()
	for i := range n {
		f, err := root.Create(fmt.Sprintf("%d.M%06dP1.mail.example.org", 1772400000+i, i))
		if err != nil {
			g.tb.Fatal(err)
		}
		if _, err := io.WriteString(f, text(i)); err != nil {
			g.tb.Fatal(err)
		}
		if err := f.Close(); err != nil {
			g.tb.Fatal(err)
		}
	}
}

// served is an IMAP server over a store.
type served struct {
	tb     testing.TB
	engine *engine.Engine
	server *protocols.Server
}

// serve serves ann, until stop or the end of the test.
func serve(tb testing.TB, store mailaccess.Store) *served {
	tb.Helper()
	e, err := engine.New(engine.Options{Store: store, Authenticator: auth.Static(map[string]string{"ann": "secret"})})
	if err != nil {
		tb.Fatal(err)
	}
	v := &served{tb: tb, engine: e, server: &protocols.Server{
		Protocol: imap.New(imap.Options{Engine: e, PlaintextOnLoopback: true}),
		Limits:   &protocols.Limits{Connections: -1, PerUser: -1, CommandsPerSecond: -1},
	}}
	tb.Cleanup(v.stop)
	return v
}

func (v *served) stop() {
	v.server.Close()
	v.engine.Close()
}

// conn is a client that only looks for the tagged answer.
type conn struct {
	net.Conn
	tb  testing.TB
	r   *bufio.Reader
	buf []byte
}

// dial logs ann in and says lines.
func (v *served) dial(lines ...string) *conn {
	v.tb.Helper()
	client, server := net.Pipe()
	go v.server.ServeConn(server)
	v.tb.Cleanup(func() { client.Close() })
	return v.greet(client, lines...)
}

func (v *served) greet(client net.Conn, lines ...string) *conn {
	v.tb.Helper()
	c := &conn{Conn: client, tb: v.tb, r: bufio.NewReaderSize(client, 64<<10), buf: make([]byte, 256<<10)}
	if _, err := c.r.ReadSlice('\n'); err != nil {
		v.tb.Fatal(err)
	}
	for _, l := range append([]string{"LOGIN ann secret"}, lines...) {
		c.do(l)
	}
	return c
}

// do says a line, reads up to the tagged answer, and returns how many octets came. No literal
// may end as that does.
func (c *conn) do(line string) (octets int) {
	c.tb.Helper()
	if _, err := c.Write([]byte("t " + line + "\r\n")); err != nil {
		c.tb.Fatal(err)
	}
	last := ""
	for {
		n, err := c.r.Read(c.buf)
		if err != nil {
			c.tb.Fatal(err)
		}
		octets += n
		b := c.buf[:n]
		if !bytes.HasSuffix(b, []byte("\r\n")) {
			last = string(b[max(0, n-512):])
			continue
		}
		// The tagged answer is not long; it may have come in pieces.
		tail := last + string(b[max(0, n-512):])
		last = tail[max(0, len(tail)-512):]
		line := strings.TrimSuffix(tail, "\r\n")
		line = line[strings.LastIndexByte(line, '\n')+1:]
		if strings.HasPrefix(line, "t OK") {
			return octets
		}
		if strings.HasPrefix(line, "t NO") || strings.HasPrefix(line, "t BAD") {
			c.tb.Fatalf("answer: %s", line)
		}
	}
}
