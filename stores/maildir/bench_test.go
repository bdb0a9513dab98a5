package maildir

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashmail/mailaccess/mailaccess"
	"github.com/hashmail/mailaccess/mailaccess/engine"
	"github.com/hashmail/mailaccess/mailaccess/message"
	"github.com/hashmail/mailaccess/mailaccess/query"
	"github.com/hashmail/mailaccess/stores/maildir/internal/fsys"
	"github.com/hashmail/mailaccess/stores/memory"
)

// inTurns does each of things once in a round, and reports how long the fastest of each
// took, under its name: what else the machine does slows down either.
type inTurns struct {
	names   []string
	do      []func()
	fastest []time.Duration
}

func (x *inTurns) add(name string, do func()) {
	x.names, x.do, x.fastest = append(x.names, name), append(x.do, do), append(x.fastest, 0)
}

func (x *inTurns) run(b *testing.B, per float64, unit string) {
	for b.Loop() {
		for i, do := range x.do {
			start := time.Now()
			do()
			if took := time.Since(start); x.fastest[i] == 0 || took < x.fastest[i] {
				x.fastest[i] = took
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, name := range x.names {
		b.ReportMetric(float64(x.fastest[i].Nanoseconds())/per, name+"-"+unit)
	}
	b.ReportMetric(float64(x.fastest[0])/float64(x.fastest[1]), "ratio")
}

func allocated(do func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// inMemory is a memory store with n messages in ann's INBOX.
func inMemory(b *testing.B, n int) *memory.Store {
	s := memory.New(&memory.Options{DerivedBytes: 512 << 20})
	b.Cleanup(func() { s.Close() })
	for i := range n {
		if _, err := s.Deliver(context.Background(), "ann", mailaccess.Inbox, []byte(mail(i)), mailaccess.Flags{}, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkServedLists lists 100,000 messages over IMAP, in turns from this store and from
// that in memory.
func BenchmarkServedLists(b *testing.B) {
	const n = 100_000
	g := newGround(b)
	g.deliver("ann", n, mail)
	ours := serve(b, g.open(nil)).dial("SELECT INBOX")
	theirs := serve(b, inMemory(b, n)).dial("SELECT INBOX")
	for _, line := range []string{
		"FETCH 1:* (FLAGS)",
		"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
		"FETCH 1:* (ENVELOPE BODYSTRUCTURE)",
		"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID)])",
		"SEARCH SUBJECT some",
		"SORT (SUBJECT) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL",
	} {
		b.Run(line, func(b *testing.B) {
			ours.do(line) // derives it
			theirs.do(line)
			allocs := allocated(func() { ours.do(line) })
			var x inTurns
			x.add("maildir", func() { ours.do(line) })
			x.add("memory", func() { theirs.do(line) })
			x.run(b, n, "ns/msg")
			b.ReportMetric(allocs/n, "allocs/msg")
		})
	}
}

// BenchmarkServedSelect selects INBOX of 1,000 and of 100,000 messages.
func BenchmarkServedSelect(b *testing.B) {
	var x inTurns
	for _, n := range []int{100_000, 1_000} {
		g := newGround(b)
		g.pretend(n)
		c := serve(b, g.open(nil)).dial("SELECT INBOX")
		x.add(fmt.Sprint(n), func() { c.do("SELECT INBOX") })
	}
	x.run(b, 1, "ns")
}

// BenchmarkColdOpen opens a store and, over IMAP, an INBOX of 100,000 and of 1,000 messages
// of which nothing is in memory.
func BenchmarkColdOpen(b *testing.B) {
	var x inTurns
	for _, n := range []int{100_000, 1_000} {
		g := newGround(b)
		g.pretend(n)
		x.add(fmt.Sprint(n), func() {
			s := g.open(nil)
			v := serve(b, s)
			v.dial("SELECT INBOX").Close()
			v.stop()
			g.close(s)
		})
	}
	x.run(b, 1, "ns")
}

// BenchmarkQResync resynchronizes after ten changes, five of flags and five removals.
func BenchmarkQResync(b *testing.B) {
	var x inTurns
	for _, n := range []int{1_000_000, 1_000} {
		g := newGround(b)
		g.pretend(n)
		s := g.open(nil)
		h := g.account(s, "ann")
		m, err := h.Lookup(b.Context(), mailaccess.Inbox)
		if err != nil {
			b.Fatal(err)
		}
		st, err := h.Status(b.Context(), m.ID)
		if err != nil {
			b.Fatal(err)
		}
		for i := range mailaccess.UID(5) {
			uid := mailaccess.UID(n/6)*(i+1) | 1
			flagged := mailaccess.FlagChange{Add: mailaccess.Flags{System: mailaccess.FlagFlagged}}
			if _, err := h.SetFlags(b.Context(), m.ID, mailaccess.UIDSetRange(uid, uid+1), flagged, mailaccess.AnyModSeq); err != nil {
				b.Fatal(err)
			}
			if _, err := h.Expunge(b.Context(), m.ID, mailaccess.UIDSetOf(uid+2), 0); err != nil {
				b.Fatal(err)
			}
		}
		c := serve(b, s).dial("ENABLE QRESYNC")
		line := fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", m.UIDValidity, st.ModSeq)
		x.add(fmt.Sprint(n), func() { c.do(line) })
	}
	x.run(b, 1, "ns")
}

// BenchmarkFlagAll sets a flag on 100,000 messages and takes it back, a sync for each of the
// 25 transactions.
func BenchmarkFlagAll(b *testing.B) {
	g := newGround(b)
	g.pretend(100_000)
	now := g.now()
	g.now = func() time.Time { return now } // no file is renamed: there are none
	c := serve(b, g.open(nil)).dial("SELECT INBOX")
	add := true
	for b.Loop() {
		c.do(map[bool]string{true: "STORE 1:* +FLAGS.SILENT (\\Flagged)", false: "STORE 1:* -FLAGS.SILENT (\\Flagged)"}[add])
		add = !add
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/msg")
}

// BenchmarkAppend appends messages of 4 KiB, 16 writers at the same time, each into a mailbox
// of its own, or one alone. Beside it a record of that size is written to a file and synced:
// what a log of contents would take.
func BenchmarkAppend(b *testing.B) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789 0123456789 0123456789\r\n", 120)
	for _, test := range []struct {
		name              string
		writers, accounts int
	}{{"alone", 1, 1}, {"16 mailboxes", 16, 1}, {"16 accounts", 16, 16}} {
		b.Run(test.name, func(b *testing.B) {
			g := newGround(b)
			s := g.open(nil)
			puts := make([]func(), test.writers)
			for i := range puts {
				h := g.account(s, fmt.Sprintf("user%d", i%test.accounts))
				name := fmt.Sprintf("box%d", i)
				if _, err := h.CreateMailbox(b.Context(), name, 0); err != nil {
					b.Fatal(err)
				}
				m, err := h.Lookup(b.Context(), name)
				if err != nil {
					b.Fatal(err)
				}
				puts[i] = func() {
					if err := put(context.Background(), h, m.ID, text); err != nil {
						b.Error(err)
					}
				}
				puts[i]()
			}
			root, err := fsys.OpenRoot(g.dir)
			if err != nil {
				b.Fatal(err)
			}
			defer root.Close()
			probe, err := root.Create("probe")
			if err != nil {
				b.Fatal(err)
			}
			defer probe.Close()
			const each = 20
			var x inTurns
			x.add("append", func() {
				var all sync.WaitGroup
				for _, put := range puts {
					all.Go(func() {
						for range each {
							put()
						}
					})
				}
				all.Wait()
			})
			x.add("sync", func() {
				for range each {
					if _, err := probe.Write([]byte(text)); err != nil {
						b.Fatal(err)
					}
					if err := probe.SyncData(); err != nil {
						b.Fatal(err)
					}
				}
			})
			x.run(b, each, "ns/round")
			b.ReportMetric(float64(each*test.writers)/x.fastest[0].Seconds(), "appends/s")
		})
	}
}

// BenchmarkServedBodies fetches 64 MiB of messages over loopback TCP, of files with LF and with
// CRLF, in turns with copying the files to such a connection with io.Copy, and with the least
// that can be done: each is opened, read, brought into canonical form if it has LF, and written.
func BenchmarkServedBodies(b *testing.B) {
	for _, size := range []int{4 << 10, 256 << 10} {
		for _, ends := range []string{"LF", "CRLF"} {
			b.Run(fmt.Sprintf("%s %d", ends, size), func(b *testing.B) {
				n := 64 << 20 / size
				end := map[string]string{"LF": "\n", "CRLF": "\r\n"}[ends]
				text := "Subject: s" + end + "From: a@example.org" + end + end + strings.Repeat(strings.Repeat("0123456789 ", 6)+end, size/67)
				g := newGround(b)
				now := g.now()
				g.now = func() time.Time { return now } // no file is renamed
				g.deliver("ann", n, func(int) string { return text })
				v := serve(b, g.open(nil))
				c := v.greet(tcp(b, v.server.Serve), "SELECT INBOX")
				const line = "FETCH 1:* BODY.PEEK[]"
				octets := c.do(line)
				copied := copying(b, filepath.Join(g.dir, "ann"), func(nc net.Conn, f *os.File) (int64, error) { return io.Copy(nc, f) })
				bare := copying(b, filepath.Join(g.dir, "ann"), bareCopy(ends == "LF"))
				allocs := allocated(func() { c.do(line) })
				var x inTurns
				x.add("copy", func() { copied(octets) })
				x.add("served", func() { c.do(line) })
				x.add("bare", func() { bare(octets) })
				x.run(b, float64(n), "ns/msg")
				b.ReportMetric(float64(octets)/1e6/x.fastest[1].Seconds(), "MB/s")
				b.ReportMetric(allocs/float64(n), "allocs/msg")
			})
		}
	}
}

// tcp is a loopback connection to what serves the other end.
func tcp(b *testing.B, serve func(net.Listener) error) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go serve(l) //nolint:errcheck // until it is closed
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nc.Close() })
	return nc
}

// bareCopy reads a file and writes it, in canonical form if that is asked for, through two
// buffers.
func bareCopy(convert bool) func(net.Conn, *os.File) (int64, error) {
	in, out := make([]byte, 32<<10), make([]byte, 64<<10)
	return func(nc net.Conn, f *os.File) (done int64, err error) {
		var state message.CanonicalState
		for {
			n, err := f.Read(in)
			if n == 0 {
				if err == io.EOF {
					err = nil
				}
				return done, err
			}
			p := in[:n]
			if convert {
				k, _ := state.Convert(out, p)
				p = out[:k]
			}
			n, err = nc.Write(p)
			done += int64(n)
			if err != nil {
				return done, err
			}
		}
	}
}

// copying returns what opens each message file of an account, copies it to a connection, fills
// up to so many octets and waits until they were read.
func copying(b *testing.B, dir string, copy func(net.Conn, *os.File) (int64, error)) func(octets int) {
	var names []string
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, filepath.Join(dir, sub, e.Name()))
		}
	}
	var fill int
	client := tcp(b, func(l net.Listener) error {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		defer nc.Close()
		for one := make([]byte, 1); ; {
			if _, err := io.ReadFull(nc, one); err != nil {
				return err
			}
			left := fill
			for _, name := range names {
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				k, err := copy(nc, f)
				if left -= int(k); err != nil {
					return err
				}
				f.Close()
			}
			if _, err := nc.Write(make([]byte, max(0, left))); err != nil {
				return err
			}
		}
	})
	buf := make([]byte, 256<<10)
	return func(octets int) {
		fill = octets
		if _, err := client.Write([]byte{0}); err != nil {
			b.Fatal(err)
		}
		for left := octets; left > 0; {
			k, err := client.Read(buf[:min(left, len(buf))])
			if err != nil {
				b.Fatal(err)
			}
			left -= k
		}
	}
}

// BenchmarkTakeIn opens an account into which 100,000 messages were delivered before.
func BenchmarkTakeIn(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		g := newGround(b)
		g.deliver("ann", n, mail)
		s := g.open(nil)
		b.StartTimer()
		h := g.account(s, "ann")
		m, err := h.Lookup(b.Context(), mailaccess.Inbox)
		if err != nil {
			b.Fatal(err)
		}
		st, err := h.Status(b.Context(), m.ID)
		if err != nil || st.Messages != n {
			b.Fatal(st.Messages, err)
		}
		b.StopTimer()
		g.close(s)
		os.RemoveAll(g.dir)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/msg")
}

// BenchmarkListStatus lists 1,000 mailboxes with their status, after a start and again.
func BenchmarkListStatus(b *testing.B) {
	const n = 1_000
	g := newGround(b)
	s := g.open(nil)
	h := g.account(s, "ann")
	for i := range n {
		if _, err := h.CreateMailbox(b.Context(), fmt.Sprintf("box%d", i), 0); err != nil {
			b.Fatal(err)
		}
	}
	g.close(s)
	const line = `LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ))`
	var c *conn
	var v *served
	start := func() {
		if v != nil {
			v.stop()
			g.close(s)
		}
		s = g.open(nil)
		v = serve(b, s)
		c = v.dial()
	}
	var x inTurns
	x.add("first", func() { c.do(line) })
	x.add("again", func() { c.do(line) })
	for b.Loop() {
		b.StopTimer()
		start()
		b.StartTimer()
		for i, do := range x.do {
			began := time.Now()
			do()
			if took := time.Since(began); x.fastest[i] == 0 || took < x.fastest[i] {
				x.fastest[i] = took
			}
		}
	}
	b.ReportMetric(float64(x.fastest[0].Nanoseconds())/n, "first-ns/mailbox")
	b.ReportMetric(float64(x.fastest[1].Nanoseconds())/n, "again-ns/mailbox")
}

// BenchmarkUpkeep is what is done every second with 2,000 accounts loaded in which nothing
// is due.
func BenchmarkUpkeep(b *testing.B) {
	const n = 2_000
	g := newGround(b)
	s := g.open(&Options{Sync: SyncOff})
	for i := range n {
		g.account(s, fmt.Sprintf("user%d", i))
	}
	now := s.now()
	s.upkeep(now)
	b.ReportAllocs()
	for b.Loop() {
		s.upkeep(now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/account")
}

// keep offers the store what is derived of each of the n messages of [ground.pretend], as mail
// makes them, so that their files need not be there.
func (g *ground) keep(h *handle, box mailaccess.MailboxID) {
	g.tb.Helper()
	kinds := []struct {
		kind mailaccess.DerivedKind
		make func(i int, header message.Header) []byte
	}{
		{"imap-envelope/1", func(i int, _ message.Header) []byte {
			return fmt.Appendf(nil, `ENVELOPE ("Mon, 2 Mar 2026 10:%02d:%02d +0100" "message %d of some" (("Sender %d" NIL "sender%d" "example.org")) (("Sender %[4]d" NIL "sender%[4]d" "example.org")) (("Sender %[4]d" NIL "sender%[4]d" "example.org")) (("Ann" NIL "ann" "example.org")) ((NIL NIL "list" "example.org")) NIL NIL "<%[3]d@example.org>")`,
				i/60%60, i%60, i, i%100, i)
		}},
		{"imap-bodystructure/1", func(int, message.Header) []byte {
			return []byte(`BODYSTRUCTURE (("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 30 1 NIL NIL NIL NIL)("text" "html" ("charset" "utf-8") NIL NIL "7bit" 37 1 NIL NIL NIL NIL) "alternative" ("boundary" "b") NIL NIL NIL)`)
		}},
		{"header/1", func(_ int, header message.Header) []byte { return header }},
		{"sort/1", func(_ int, header message.Header) []byte { return query.AppendSortKey(nil, header) }},
		{"thread/1", func(_ int, header message.Header) []byte { return query.AppendThreadKey(nil, header) }},
	}
	items := make([][]mailaccess.Derived, len(kinds))
	put := func() {
		for k := range items {
			if err := h.PutDerived(context.Background(), kinds[k].kind, items[k]); err != nil {
				g.tb.Fatal(err)
			}
			items[k] = items[k][:0]
		}
	}
	i := 0
	for m, err := range h.Messages(context.Background(), box, mailaccess.UIDSetRange(1, 1<<32-1)) {
		if err != nil {
			g.tb.Fatal(err)
		}
		head, _, _ := strings.Cut(mail(i), "\r\n\r\n")
		header := message.Header(head + "\r\n\r\n")
		for k := range kinds {
			items[k] = append(items[k], mailaccess.Derived{ID: m.EmailID, Bytes: engine.Sealed(kinds[k].make(i, header))})
		}
		if i++; i%512 == 0 {
			put()
		}
	}
	put()
}

// BenchmarkGenerated does over IMAP, in mailboxes of 10,000, 100,000 and 1,000,000 messages, what
// needs no message file: there are none, but an index and what is kept of messages. It
// reports the processor time of a message, the client's included.
func BenchmarkGenerated(b *testing.B) {
	sizes := []int{10_000, 100_000, 1_000_000}
	clients := make([]*conn, len(sizes))
	resync := make([]string, len(sizes))
	for k, n := range sizes {
		g := newGround(b)
		g.pretend(n)
		now := g.now()
		g.now = func() time.Time { return now } // no file is renamed
		s := g.open(nil)
		h := g.account(s, "ann")
		m, err := h.Lookup(b.Context(), mailaccess.Inbox)
		if err != nil {
			b.Fatal(err)
		}
		g.keep(h, m.ID)
		clients[k] = serve(b, s).dial("ENABLE QRESYNC", "SELECT INBOX", "STORE 1:9 +FLAGS.SILENT (\\Answered)")
		st, err := h.Status(b.Context(), m.ID)
		if err != nil {
			b.Fatal(err)
		}
		resync[k] = fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", m.UIDValidity, st.ModSeq-1)
	}
	for _, test := range []struct {
		name, line string
		alone      bool // what it costs is not to depend on the number of messages
	}{
		{name: "select", line: "SELECT INBOX", alone: true},
		{name: "noop", line: "NOOP", alone: true},
		{name: "resync", alone: true},
		{name: "fetch-flags", line: "FETCH 1:* (FLAGS)"},
		{name: "fetch-envelope", line: "FETCH 1:* (ENVELOPE)"},
		{name: "fetch-headers", line: "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID)])"},
		{name: "fetch-structure", line: "FETCH 1:* (BODYSTRUCTURE)"},
		{name: "search-flags", line: "SEARCH UNSEEN"},
		{name: "search-subject", line: "SEARCH SUBJECT some"},
		{name: "sort", line: "SORT (SUBJECT) UTF-8 ALL"},
		{name: "thread", line: "THREAD REFERENCES UTF-8 ALL"},
		{name: "store-flags", line: "STORE 1:* +FLAGS.SILENT (\\Flagged)"},
	} {
		b.Run(test.name, func(b *testing.B) {
			least := make([]time.Duration, len(sizes))
			for b.Loop() {
				for k, c := range clients {
					line, times := test.line, 1
					if test.name == "resync" {
						line = resync[k]
					}
					if test.alone {
						times = 200
					}
					if test.name == "store-flags" {
						c.do("STORE 1:* -FLAGS.SILENT (\\Flagged)")
					}
					from := processorTime(b)
					for range times {
						c.do(line)
					}
					if took := (processorTime(b) - from) / time.Duration(times); least[k] == 0 || took < least[k] {
						least[k] = took
					}
				}
			}
			b.ReportMetric(0, "ns/op")
			for k, n := range sizes {
				if test.alone {
					n = 1
				}
				b.ReportMetric(float64(least[k].Nanoseconds())/float64(n), fmt.Sprintf("ns-at-%d", sizes[k]))
			}
		})
	}
}
